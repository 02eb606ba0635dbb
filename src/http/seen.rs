//! A cluster as one request sees it.

use std::sync::Arc;
use std::time::Duration;

use super::State;
use crate::diagnosis::{Diagnosis, SourceError, Status};
use crate::model::Timestamp;
use crate::snapshot::Snapshot;

/// A cluster and its last snapshot, read once, so that one answer is of one time.
pub(super) struct Seen {
    pub(super) name: Arc<str>,
    pub(super) last: Option<Observation>,
    stale_after: Duration,
    now: Timestamp,
}

/// The last snapshot and how long ago it was made.
pub(super) struct Observation {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) age: Duration,
}

impl State {
    /// Every cluster as of now.
    pub(super) fn look(&self) -> Vec<Seen> {
        let now = (self.clock)();
        let watched = self.watched.borrow();
        let clusters = watched.clusters.iter().map(|cluster| Seen {
            name: Arc::clone(&cluster.name),
            last: cluster.snapshots.borrow().clone().map(|snapshot| Observation {
                age: now.since(snapshot.time),
                snapshot,
            }),
            stale_after: cluster.stale_after,
            now,
        });
        clusters.collect()
    }
}

impl Seen {
    /// The last observation, unless it is too old to say anything of the present.
    pub(super) fn fresh(&self) -> Option<&Observation> {
        self.last.as_ref().filter(|last| last.age <= self.stale_after)
    }

    /// Why there is no fresh observation, in words; none when there is one.
    pub(super) fn trouble(&self) -> Option<String> {
        match (&self.last, self.fresh()) {
            (_, Some(_)) => None,
            (None, None) => Some(format!("cluster {} has not been observed yet", self.name)),
            (Some(last), None) => Some(format!(
                "cluster {} was last observed {} s ago: its cycles have stalled, see the log",
                self.name,
                last.age.as_secs()
            )),
        }
    }

    /// What can be said of the cluster now. Without a fresh observation its status is unknown, and what was seen last
    /// stands below the reason: "cannot see" is neither fine nor failed.
    pub(super) fn diagnosis(&self) -> Diagnosis {
        let last = self.last.as_ref().map(|last| last.snapshot.diagnosis.clone());
        let mut diagnosis = last.unwrap_or_else(|| Diagnosis::unknown(Arc::clone(&self.name), self.now));
        if let Some(trouble) = self.trouble() {
            diagnosis.status = Status::Unknown;
            diagnosis.summary.clone_from(&trouble);
            diagnosis.errors.insert(
                0,
                SourceError {
                    source: format!("cluster {}", self.name),
                    message: trouble,
                },
            );
        }
        diagnosis
    }
}
