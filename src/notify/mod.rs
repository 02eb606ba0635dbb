//! Alerts leave for Alertmanager: which are due, under which labels, to whom, and what becomes of them.
//!
//! | file | subject |
//! |---|---|
//! | `due` | when alerts are sent: as soon as one begins or resolves, and once a minute |
//! | `waves` | which of them have to be known before which: causes before symptoms |
//! | `relabel` | what is done to their labels on the way |
//! | `message` | the JSON of one alert |
//! | `queue` | the bounded queue before each Alertmanager, which keeps waves apart |
//! | `sender` | takes batches from a queue and posts them |
//! | `instruments` | what is counted of it |
//!
//! One task for each cluster reads its snapshots and fills the queues; one for each Alertmanager empties its own. A cycle
//! waits for none of them, and no Alertmanager for another. It is as Prometheus' notifier does it, so that the same Alertmanager
//! may be told by both, but for two things: all alerts of a cluster go together and in waves, and an alert whose rule cannot be
//! evaluated goes on, where Prometheus' ends.

mod due;
mod instruments;
mod message;
mod queue;
pub mod relabel;
mod sender;
mod waves;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;

use crate::client::alertmanager;
use crate::model::{Labels, Timestamp};
use crate::rules::Alert;
use crate::snapshot::Snapshot;

use self::due::Sent;
pub use self::instruments::{DESCS, Instruments};
use self::message::Origin;
use self::queue::{Message, Queue};
use self::relabel::Relabel;
use self::sender::Sender;

/// The alert that always fires where it is asked for.
pub const WATCHDOG: &str = "EtcdDoctorWatchdog";

/// How many evaluations or sendings in a row may fail before Alertmanager takes an alert for resolved: as in Prometheus,
/// it ends after four times the longer of the resend delay and the interval.
const VALID_FOR: u32 = 4;

/// How long queues may take to empty when etcd-doctor stops, or when an Alertmanager was taken out of the
/// configuration: as long as one request may take by default.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// Where alerts go, and as what.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// How often an alert that goes on firing, or has resolved, is sent again.
    pub resend_delay: Duration,
    /// Whether [`WATCHDOG`] is sent for each cluster, for as long as its cycles run.
    pub watchdog: bool,
    /// Labels for all alerts that do not have them.
    pub external_labels: Labels,
    /// Where readers of an alert reach this etcd-doctor, without a slash at the end.
    pub external_url: String,
    /// What is done to the labels of each alert, wherever it goes.
    pub relabel: Vec<Relabel>,
    /// The Alertmanagers. Each is sent every alert.
    pub alertmanagers: Vec<Group>,
}

/// Alertmanagers that are told alike.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// How each is reached.
    pub targets: Vec<alertmanager::Settings>,
    /// What is done to labels besides.
    pub relabel: Vec<Relabel>,
}

/// Sends alerts. A clone is another handle to the same.
#[derive(Clone)]
pub struct Notifier {
    routes: watch::Sender<Arc<Routes>>,
    senders: Arc<Mutex<Vec<Sender>>>,
    instruments: Instruments,
}

/// What the tasks of the clusters go by.
struct Routes {
    settings: Settings,
    /// The queues of each group of [`Settings::alertmanagers`].
    queues: Vec<Vec<Arc<Queue>>>,
}

/// What an alert was judged by.
#[derive(Clone, Copy)]
struct Judged {
    /// How often that is done.
    interval: Duration,
    /// The rule; none for the watchdog.
    rule: Option<(usize, usize)>,
}

impl Notifier {
    /// Starts a task for each Alertmanager; none is asked anything yet.
    pub fn start(settings: Settings) -> Self {
        let nothing = Routes {
            settings: Settings {
                alertmanagers: Vec::new(),
                ..settings.clone()
            },
            queues: Vec::new(),
        };
        let notifier = Self {
            routes: watch::Sender::new(Arc::new(nothing)),
            senders: Arc::default(),
            instruments: Instruments::default(),
        };
        notifier.reload(settings);
        notifier
    }

    /// Puts other settings in force. What waits for an Alertmanager that stays as it was goes on waiting; every alert is
    /// then sent anew, for those who do not know it yet.
    pub fn reload(&self, settings: Settings) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if self.routes.borrow().settings == settings {
            return;
        }
        let mut before = std::mem::take(&mut *senders);
        let mut queues = Vec::new();
        for group in &settings.alertmanagers {
            let mut of_group = Vec::new();
            for target in &group.targets {
                let same = before.iter().position(|sender| sender.settings() == target);
                let sender = match same {
                    Some(at) => before.swap_remove(at),
                    None => Sender::start(target.clone()),
                };
                of_group.push(sender.queue());
                senders.push(sender);
            }
            queues.push(of_group);
        }
        self.instruments.show(senders.iter().map(Sender::instrument));
        self.routes.send_replace(Arc::new(Routes { settings, queues }));
        for removed in before {
            tokio::spawn(removed.drain(DRAIN_TIME));
        }
    }

    /// What is counted of it, for `/metrics`.
    pub fn instruments(&self) -> Instruments {
        self.instruments.clone()
    }

    /// Sends the alerts of one cluster, judged at every `interval`, until its snapshots end.
    pub async fn follow(self, interval: Duration, mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>) {
        let mut sent = Sent::default();
        let (mut in_force, mut since) = (None, None);
        while snapshots.changed().await.is_ok() {
            let Some(snapshot) = snapshots.borrow_and_update().clone() else {
                continue;
            };
            let routes = Arc::clone(&self.routes.borrow());
            if !in_force.is_some_and(|before| Arc::ptr_eq(&before, &routes)) {
                sent = Sent::default();
            }
            in_force = Some(Arc::clone(&routes));
            let since = *since.get_or_insert(snapshot.time);
            routes.send(&snapshot, interval, since, &mut sent);
        }
    }

    /// Sends what waits, for a limited time, and ends. What an Alertmanager did not take by then is counted and logged.
    pub async fn drain(&self) {
        let senders = std::mem::take(&mut *self.senders.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(senders.into_iter().map(|sender| sender.drain(DRAIN_TIME))).await;
    }
}

impl Routes {
    /// Puts what is due into the queues. `since` is when the cluster was first seen.
    fn send(&self, snapshot: &Snapshot, interval: Duration, since: Timestamp, sent: &mut Sent) {
        let Settings {
            resend_delay,
            watchdog,
            ..
        } = self.settings;
        let watchdog = watchdog.then(|| message::watchdog(&snapshot.cluster, since));
        let of_rules = snapshot.reports.iter().flat_map(|report| {
            let group = snapshot.rules.groups.get(report.rule.0);
            let interval = group.and_then(|group| group.interval).unwrap_or(interval);
            let judged = Judged {
                interval,
                rule: Some(report.rule),
            };
            report.alerts.iter().map(move |alert| (alert, judged))
        });
        let always = Judged { interval, rule: None };
        let alerts = of_rules.chain(watchdog.iter().map(|alert| (alert, always)));
        let due = sent.due(alerts, resend_delay, snapshot.time);
        if due.is_empty() || self.queues.iter().all(Vec::is_empty) {
            return;
        }
        let waves = waves::waves(
            &snapshot.rules,
            due.iter().filter_map(|(_, judged)| judged.rule).collect(),
        );
        let origin = Origin {
            external_url: &self.settings.external_url,
            cluster: &snapshot.cluster,
        };
        // What is sent to each group of Alertmanagers, by the labels that it has there.
        let mut waiting = vec![BTreeMap::new(); self.queues.len()];
        for (alert, Judged { interval, .. }) in due {
            let valid_until = snapshot.time.plus(VALID_FOR * resend_delay.max(interval));
            let wave = waves.get(alert.labels.get("alertname")).copied().unwrap_or(0);
            for (messages, labels) in waiting.iter_mut().zip(self.labels(alert)) {
                let Some(labels) = labels else {
                    continue;
                };
                // Those that fire come first: one that is over must not end them where relabelling makes the two one.
                messages.entry(labels).or_insert_with_key(|labels| Message {
                    text: message::text(alert, labels, valid_until, &origin).into(),
                    wave,
                });
            }
        }
        for (messages, queues) in waiting.into_iter().zip(&self.queues) {
            let mut messages: Vec<Message> = messages.into_values().collect();
            messages.sort_by_key(|message| message.wave);
            for queue in queues {
                queue.push(messages.iter().cloned());
            }
        }
    }

    /// The labels of an alert for each group of Alertmanagers; none where relabelling drops it.
    fn labels(&self, alert: &Alert) -> Vec<Option<Labels>> {
        let settings = &self.settings;
        let labels = settings.external_labels.merged(&alert.labels);
        let labels = relabel::apply(&settings.relabel, labels);
        let of_group = |group: &Group| relabel::apply(&group.relabel, labels.clone()?);
        settings.alertmanagers.iter().map(of_group).collect()
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod fixtures {
    use super::*;
    use crate::diagnosis::Diagnosis;
    use crate::rules::{RuleReport, RuleSet};

    pub(super) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    /// What a cycle publishes so many seconds after [`NOW`].
    pub(super) fn snapshot(alerts: Vec<Alert>, seconds: u64) -> Snapshot {
        let time = NOW.plus(Duration::from_secs(seconds));
        Snapshot {
            cluster: "prod".into(),
            time,
            took: Duration::ZERO,
            cycle: 1,
            samples: Vec::new(),
            diagnosis: Diagnosis::unknown("prod".into(), time),
            reports: vec![RuleReport {
                rule: (0, 0),
                error: None,
                alerts,
            }],
            rules: Arc::new(RuleSet::default()),
            outcomes: Vec::new(),
            afterwards: &[],
        }
    }
}
