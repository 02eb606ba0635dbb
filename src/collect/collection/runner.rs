//! Running collectors side by side, each in its own task with its deadline, and the samples about how they fared.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::Collection;
use crate::client::proc::HostAccess;
use crate::collect::local::NotSearched;
use crate::collect::{Collector, Failure, Reading, Scope, Settings, Spec, Subject};
use crate::model::{CollectError, Desc, Labels, Outcome, Reason, Sample, Timestamp, Verdict};

/// `member` only where the collector reads one member.
const LABELS: &[&str] = &["member", "collector"];

static SUCCESS: Desc = Desc::gauge(
    "etcd_doctor_collector_success",
    None,
    "Whether the collector read its subject in this cycle; absent where it does not apply.",
)
.labels(LABELS);
static DURATION: Desc = Desc::gauge(
    "etcd_doctor_collector_duration_seconds",
    Some("seconds"),
    "How long the collector took in this cycle.",
)
.labels(LABELS);
static LAST_SUCCESS: Desc = Desc::gauge(
    "etcd_doctor_collector_last_success_timestamp_seconds",
    Some("seconds"),
    "When the collector last read its subject, in seconds since the epoch.",
)
.labels(LABELS);

pub(in crate::collect) const DESCS: &[&Desc] = &[&SUCCESS, &DURATION, &LAST_SUCCESS];

/// What a collector may take beyond the deadline of its calls before it is given up: calls end by themselves with
/// better words, this is for what hangs elsewhere.
const GRACE: Duration = Duration::from_millis(250);

/// A collector, away while it runs.
pub(super) struct Slot {
    pub(super) spec: &'static Spec,
    pub(super) collector: Option<Box<dyn Collector>>,
}

impl Slot {
    pub(super) fn new(spec: &'static Spec) -> Self {
        Self {
            spec,
            collector: None,
        }
    }
}

/// A collector that came back from its run.
pub(super) struct Run {
    pub(super) spec: &'static Spec,
    /// The member that it read, by its place.
    pub(super) member: Option<usize>,
    pub(super) duration: Duration,
    pub(super) result: Result<Reading, Failure>,
    /// None when it panicked: it is built anew.
    pub(super) collector: Option<Box<dyn Collector>>,
}

/// The collectors of one cycle at work. Dropping it ends them.
#[derive(Default)]
pub(super) struct Running {
    tasks: JoinSet<Run>,
    /// Whose task it is, for one that panics.
    whose: HashMap<tokio::task::Id, (&'static Spec, Option<usize>, Instant)>,
}

impl Running {
    pub(super) fn begin(
        &mut self,
        slot: &mut Slot,
        member: Option<usize>,
        subject: Subject,
        settings: &Settings,
    ) {
        let spec = slot.spec;
        let mut collector = slot.collector.take().unwrap_or_else(|| {
            match spec.scope == Scope::Host && settings.host == HostAccess::None {
                true => Box::new(NotSearched),
                false => (spec.build)(settings),
            }
        });
        let started = Instant::now();
        let task = self.tasks.spawn(async move {
            let result = match timeout(subject.timeout + GRACE, collector.collect(&subject)).await {
                Ok(result) => result,
                Err(_) => Err(Failure::Failed(CollectError {
                    reason: Reason::Timeout,
                    message: format!(
                        "collector {} was not done within {:?}",
                        spec.name, subject.timeout
                    ),
                    fix: String::new(),
                })),
            };
            Run {
                spec,
                member,
                duration: started.elapsed(),
                result,
                collector: Some(collector),
            }
        });
        self.whose.insert(task.id(), (spec, member, started));
    }

    pub(super) async fn next(&mut self) -> Option<Run> {
        loop {
            match self.tasks.join_next().await? {
                Ok(run) => return Some(run),
                Err(error) => {
                    let Some((spec, member, started)) = self.whose.get(&error.id()).copied() else {
                        continue;
                    };
                    tracing::error!(collector = spec.name, %error, "a collector broke off and is built anew");
                    return Some(Run {
                        spec,
                        member,
                        duration: started.elapsed(),
                        result: Err(Failure::Failed(CollectError {
                            reason: Reason::Malformed,
                            message: format!("collector {} broke off: {error}", spec.name),
                            fix: "report it as a bug of etcd-doctor".into(),
                        })),
                        collector: None,
                    });
                }
            }
        }
    }
}

impl Collection {
    /// The samples about the collectors themselves.
    pub(super) fn report(&mut self, now: Timestamp, outcomes: &[Outcome], samples: &mut Vec<Sample>) {
        self.last_success.retain(|(_, member), _| {
            member.is_none() || outcomes.iter().any(|outcome| outcome.member == *member)
        });
        for outcome in outcomes {
            let key = (outcome.collector, outcome.member.clone());
            let success = match outcome.verdict {
                Verdict::Read => {
                    self.last_success.insert(key.clone(), now);
                    1.0
                }
                Verdict::Failed(_) => 0.0,
                Verdict::NotApplicable(_) | Verdict::Nothing(_) => continue,
            };
            let labels = Labels::new([
                ("collector", outcome.collector),
                ("member", outcome.member.as_deref().unwrap_or_default()),
            ]);
            samples.push(Sample::number(&SUCCESS, labels.clone(), success));
            samples.push(Sample::number(
                &DURATION,
                labels.clone(),
                outcome.duration.as_secs_f64(),
            ));
            if let Some(time) = self.last_success.get(&key) {
                samples.push(Sample::number(&LAST_SUCCESS, labels, time.seconds()));
            }
        }
    }
}
