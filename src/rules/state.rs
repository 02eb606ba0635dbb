//! What is remembered of alerts over a restart: since when each has been active, and since when it fires. Text in, text
//! out; whoever calls keeps it in a file.
//!
//! Prometheus does this with its series `ALERTS_FOR_STATE`, which outlive it. A window in memory does not.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Labels, Timestamp};

/// The first words of a file, and the version of its shape.
const KIND: &str = "etcd-doctor alert states";
const VERSION: u32 = 1;

/// How long etcd-doctor may have been away: what is older says nothing of the present. As Prometheus has it.
const OUTAGE_TOLERANCE: Duration = Duration::from_secs(3600);

/// The most alerts that are remembered: many more than anybody looks at, and a few megabytes.
const MAX_ALERTS: usize = 10_000;

/// The alerts of one cluster as they were at a time.
#[derive(Clone, PartialEq, Debug)]
pub struct States {
    /// When.
    pub(super) saved_at: Timestamp,
    /// The alerts of each rule, by the rule's key.
    pub(super) rules: BTreeMap<String, BTreeMap<Labels, Kept>>,
}

/// What is kept of an alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    /// Since when its condition has held.
    pub(super) active_at: Timestamp,
    /// Since when it fires, if it does.
    pub(super) fired_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: String,
    version: u32,
    cluster: String,
    saved_at_ms: i64,
    alerts: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: String,
    labels: BTreeMap<String, String>,
    active_at_ms: i64,
    fired_at_ms: Option<i64>,
}

impl States {
    /// Whether there is no more to tell than in `other`, the time aside.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.rules == other.rules
    }

    /// As a text, and how many alerts found no room in it.
    pub fn to_text(&self, cluster: &str) -> (String, usize) {
        let entries = self.rules.iter().flat_map(|(rule, alerts)| {
            alerts.iter().map(move |(labels, kept)| Entry {
                rule: rule.clone(),
                labels: labels
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                active_at_ms: kept.active_at.millis(),
                fired_at_ms: kept.fired_at.map(Timestamp::millis),
            })
        });
        let mut alerts: Vec<Entry> = entries.collect();
        let left_out = alerts.len().saturating_sub(MAX_ALERTS);
        if left_out > 0 {
            // Those that fire have more to lose.
            alerts.sort_by_key(|entry| (entry.fired_at_ms.is_none(), entry.active_at_ms));
            alerts.truncate(MAX_ALERTS);
        }
        let file = File {
            kind: KIND.to_owned(),
            version: VERSION,
            cluster: cluster.to_owned(),
            saved_at_ms: self.saved_at.millis(),
            alerts,
        };
        // Text and numbers have a form in JSON.
        let text = serde_json::to_string(&file).unwrap_or_default();
        (text + "\n", left_out)
    }

    /// Reads such a text.
    ///
    /// # Errors
    /// In words, when it is damaged, of another version or program, or of another cluster.
    pub fn parse(text: &str, cluster: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| format!("it is damaged: {error}"))?;
        if file.kind != KIND {
            return Err(format!("it is no file of alert states but of {:?}", file.kind));
        }
        if file.version != VERSION {
            return Err(format!("it is of version {}, expected {VERSION}", file.version));
        }
        if file.cluster != cluster {
            return Err(format!("it is of the cluster {:?}", file.cluster));
        }
        if file.alerts.len() > MAX_ALERTS {
            return Err(format!("it has more than {MAX_ALERTS} alerts"));
        }
        let mut rules: BTreeMap<String, BTreeMap<Labels, Kept>> = BTreeMap::new();
        for entry in file.alerts {
            let kept = Kept {
                active_at: Timestamp::from_millis(entry.active_at_ms),
                fired_at: entry.fired_at_ms.map(Timestamp::from_millis),
            };
            let alerts = rules.entry(entry.rule).or_default();
            alerts.insert(Labels::new(entry.labels), kept);
        }
        Ok(Self {
            saved_at: Timestamp::from_millis(file.saved_at_ms),
            rules,
        })
    }

    /// Whether it is too old to say anything of the present.
    pub fn is_outdated(&self, now: Timestamp) -> bool {
        now.since(self.saved_at) > OUTAGE_TOLERANCE
    }
}

/// The alerts of one rule that wait to be taken up again.
#[derive(Clone, Debug)]
pub(super) struct Recall {
    saved_at: Timestamp,
    /// Until when the rule's window may not have filled yet, so that an alert may be missing for that reason alone.
    until: Timestamp,
    alerts: BTreeMap<Labels, Kept>,
}

impl Recall {
    pub(super) fn new(saved_at: Timestamp, until: Timestamp, alerts: BTreeMap<Labels, Kept>) -> Self {
        Self {
            saved_at,
            until,
            alerts,
        }
    }

    /// Whether there is nothing left to take up.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.alerts.is_empty() || now > self.until
    }

    /// What was remembered of an alert that is seen again.
    pub(super) fn take(&mut self, labels: &Labels, hold: Duration, now: Timestamp) -> Option<Kept> {
        let kept = self.alerts.remove(labels)?;
        Some(self.resumed(kept, hold, now))
    }

    /// All that still waits, as though it were seen now.
    pub(super) fn waiting(&self, hold: Duration, now: Timestamp) -> impl Iterator<Item = (Labels, Kept)> {
        self.alerts
            .iter()
            .map(move |(labels, kept)| (labels.clone(), self.resumed(*kept, hold, now)))
    }

    /// The time that nobody watched does not count, unless the condition had held for long enough before it.
    fn resumed(&self, kept: Kept, hold: Duration, now: Timestamp) -> Kept {
        if self.saved_at.since(kept.active_at) >= hold {
            return kept;
        }
        Kept {
            active_at: kept.active_at.plus(now.since(self.saved_at)).min(now),
            ..kept
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn states(count: usize) -> States {
        let alerts = (0..count).map(|number| {
            let labels = Labels::new([("alertname", "A".to_owned()), ("n", number.to_string())]);
            let kept = Kept {
                active_at: at(10),
                fired_at: (number % 2 == 0).then(|| at(20)),
            };
            (labels, kept)
        });
        States {
            saved_at: at(30),
            rules: BTreeMap::from([("rule \"1\"\n".to_owned(), alerts.collect())]),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (text, left_out) = states(3).to_text("prod");
        assert_eq!(left_out, 0);
        assert_eq!(States::parse(&text, "prod"), Ok(states(3)));
    }

    #[test]
    fn no_more_than_so_many_are_kept_and_firing_ones_first() {
        let (text, left_out) = states(MAX_ALERTS + 5000).to_text("prod");
        assert_eq!(left_out, 5000);
        let read = States::parse(&text, "prod").unwrap();
        let firing = read.rules.values().flatten();
        let firing = firing.filter(|(_, kept)| kept.fired_at.is_some()).count();
        assert_eq!(firing, (MAX_ALERTS + 5000) / 2);
    }

    #[test]
    fn what_is_something_else_is_refused_in_words() {
        let (text, _) = states(1).to_text("prod");
        for (text, cluster, why) in [
            (String::new(), "prod", "damaged"),
            (text[..text.len() / 2].to_owned(), "prod", "damaged"),
            (
                text.replace("\"version\":1", "\"version\":2"),
                "prod",
                "version 2",
            ),
            (
                text.replace("alert states", "backups"),
                "prod",
                "etcd-doctor backups",
            ),
            (text.replace("\"rule\"", "\"rules\""), "prod", "unknown field"),
            (text.clone(), "other", "cluster \"prod\""),
        ] {
            let error = States::parse(&text, cluster).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn after_an_hour_it_is_outdated() {
        assert!(!states(1).is_outdated(at(30 + 3600)));
        assert!(states(1).is_outdated(at(31 + 3600)));
    }
}
