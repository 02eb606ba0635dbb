//! The window while a cycle writes it and queries read it.
//!
//! A cycle holds the lock from the first sample that it appends to the last one, some milliseconds without any waiting
//! in between, so that a reader finds whole cycles only. A reader holds it while series are looked up: it takes the
//! points along without copying them ([`crate::promql::Points`]) and evaluates without the lock.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use super::Store;
use crate::model::Timestamp;
use crate::promql::{Matcher, Series, Source};

/// The label that tells clusters apart.
const CLUSTER: &str = "cluster";

/// A window that is shared: one writer, many readers.
#[derive(Clone, Debug)]
pub struct SharedStore(Arc<RwLock<Store>>);

impl SharedStore {
    /// Shares a window.
    pub fn new(store: Store) -> Self {
        Self(Arc::new(RwLock::new(store)))
    }

    /// To read. Not to be held over anything that waits.
    pub fn read(&self) -> RwLockReadGuard<'_, Store> {
        // A writer that panicked left whole samples behind; the next cycle goes on from them.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// To write. Not to be held over anything that waits.
    pub fn write(&self) -> RwLockWriteGuard<'_, Store> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The windows of several clusters as one source, as they are now: what later cycles append is not seen.
///
/// With several clusters, a series without the label `cluster` (a recording rule may drop it, and so does an alert on
/// `absent(…)`) has it here: the same series of two clusters would be one otherwise.
pub struct View {
    windows: Vec<Cluster>,
    deadline: Option<Instant>,
}

struct Cluster {
    name: Arc<str>,
    store: SharedStore,
    /// The time of its last cycle.
    last: Timestamp,
}

impl View {
    /// The windows by the names of their clusters. After `deadline` an evaluation is given up.
    pub fn new(
        windows: impl IntoIterator<Item = (Arc<str>, SharedStore)>,
        deadline: Option<Instant>,
    ) -> Self {
        let windows = windows.into_iter().map(|(name, store)| {
            let last = store.read().last.unwrap_or_default();
            Cluster { name, store, last }
        });
        Self {
            windows: windows.collect(),
            deadline,
        }
    }
}

impl Source for View {
    fn select(&self, matchers: &[Matcher], after: Timestamp, through: Timestamp) -> Vec<Series> {
        if let [only] = &*self.windows {
            return only.store.read().select(matchers, after, through.min(only.last));
        }
        let (of_cluster, others): (Vec<Matcher>, Vec<Matcher>) = matchers
            .iter()
            .cloned()
            .partition(|matcher| matcher.label == CLUSTER);
        let mut found = Vec::new();
        for window in &self.windows {
            let selected = window
                .store
                .read()
                .select(&others, after, through.min(window.last));
            found.extend(selected.into_iter().filter_map(|mut series| {
                if series.labels.get(CLUSTER).is_empty() {
                    series.labels = series.labels.with(CLUSTER, &window.name);
                }
                let matched = of_cluster.iter().all(|matcher| matcher.matches(&series.labels));
                matched.then_some(series)
            }));
        }
        found
    }

    fn given_up(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}
