//! What a bundle keeps of one cluster: everything that its last diagnosis was made from.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{ClusterFacts, Labels, Outcome, Timestamp, Verdict};
use crate::promql::{Point, Source};
use crate::rules::{Alert, AlertState, Rule};
use crate::snapshot::Snapshot;

/// One cluster as it was at one moment, and how it came there.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// The moment: that of its last cycle.
    pub time: Timestamp,
    /// How long it had been watched.
    pub watched_for: Duration,
    /// After how long watching was to end by itself.
    pub ends_after: Option<Duration>,
    /// Members and quorum.
    pub facts: ClusterFacts,
    /// How the collectors fared in the last cycle.
    pub outcomes: Vec<RecordedOutcome>,
    /// The alerts that were active.
    pub alerts: Vec<RecordedAlert>,
    /// The window.
    pub series: Vec<RecordedSeries>,
}

/// How a collector fared: [`Outcome`] without how long it took, and of any version's collectors.
#[derive(Clone, Debug)]
pub struct RecordedOutcome {
    /// The collector's name.
    pub collector: String,
    /// The member.
    pub member: Option<Arc<str>>,
    /// What came of it.
    pub verdict: Verdict,
}

/// An active alert of a rule of the bundle.
#[derive(Clone, PartialEq, Debug)]
pub struct RecordedAlert {
    /// The rule, as in [`crate::rules::RuleReport::rule`].
    pub rule: (usize, usize),
    /// The alert.
    pub alert: Alert,
}

/// A series of the window.
#[derive(Clone, Debug)]
pub struct RecordedSeries {
    /// Whether a rule wrote it: when other rules are tried, these are made anew.
    pub by_rule: bool,
    /// Its labels, its name among them.
    pub labels: Labels,
    /// Its points, oldest first, stale markers included.
    pub points: Vec<Point>,
}

impl Recording {
    /// Records a cluster as it was in the cycle that this snapshot is of. What the window holds of later ones is left out.
    pub fn of(snapshot: &Snapshot, ends_after: Option<Duration>, window: &dyn Source) -> Self {
        let active = snapshot.reports.iter().flat_map(|report| {
            let alerts = report.alerts.iter();
            alerts
                .filter(|alert| alert.state != AlertState::Inactive)
                .map(|alert| RecordedAlert {
                    rule: report.rule,
                    alert: alert.clone(),
                })
        });
        Self {
            cluster: snapshot.cluster.clone(),
            time: snapshot.time,
            watched_for: snapshot.diagnosis.coverage.watched_for,
            ends_after,
            facts: snapshot.diagnosis.facts.clone(),
            outcomes: snapshot.outcomes.iter().map(RecordedOutcome::of).collect(),
            alerts: active.collect(),
            series: series(window, snapshot),
        }
    }
}

impl RecordedOutcome {
    fn of(outcome: &Outcome) -> Self {
        Self {
            collector: outcome.collector.to_owned(),
            member: outcome.member.clone(),
            verdict: outcome.verdict.clone(),
        }
    }
}

/// Everything that the window held when the rules had been evaluated, in the order of the labels.
fn series(window: &dyn Source, snapshot: &Snapshot) -> Vec<RecordedSeries> {
    let recorded: BTreeSet<&str> = snapshot
        .rules
        .rules()
        .filter_map(|(_, _, rule)| match rule {
            Rule::Recording(rule) => Some(&*rule.record),
            Rule::Alerting(_) => None,
        })
        .chain(["ALERTS", "ALERTS_FOR_STATE"])
        .collect();
    let found = window.select(&[], Timestamp::from_millis(i64::MIN), snapshot.time);
    let mut series: Vec<RecordedSeries> = found
        .into_iter()
        .filter_map(|found| {
            let name = found.labels.metric_name();
            let mut points = found.points.to_vec();
            if snapshot.afterwards.iter().any(|desc| desc.name == name) {
                points.pop_if(|point| point.time == snapshot.time);
            }
            let by_rule = recorded.contains(name);
            (!points.is_empty()).then_some(RecordedSeries {
                by_rule,
                labels: found.labels,
                points,
            })
        })
        .collect();
    series.sort_by(|one, other| one.labels.cmp(&other.labels));
    series
}
