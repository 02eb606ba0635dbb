//! What a bundle keeps of one cluster: everything that its last diagnosis was made from.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::diagnosis::Diagnosis;
use crate::model::{ClusterFacts, Desc, Labels, Outcome, Timestamp, Verdict};
use crate::promql::{Point, Source};
use crate::rules::{Alert, AlertState, Rule, RuleReport, RuleSet};

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
    /// The rule, as in [`RuleReport::rule`].
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

/// What a recording is made from, all of one cycle.
pub struct Moment<'a> {
    /// The rules that were evaluated.
    pub rules: &'a RuleSet,
    /// Their results.
    pub reports: &'a [RuleReport],
    /// How the collectors fared.
    pub outcomes: &'a [Outcome],
    /// The window.
    pub window: &'a dyn Source,
    /// Metrics that were written when the rules had been evaluated: no rule has seen the last value of these.
    pub afterwards: &'a [&'static Desc],
}

impl Recording {
    /// Records a cluster. What the window holds of a later time than `time` is left out.
    pub fn of(diagnosis: &Diagnosis, ends_after: Option<Duration>, moment: &Moment<'_>) -> Self {
        let Moment {
            rules,
            reports,
            outcomes,
            window,
            afterwards,
        } = moment;
        let active = reports.iter().flat_map(|report| {
            let alerts = report.alerts.iter();
            alerts
                .filter(|alert| alert.state != AlertState::Inactive)
                .map(|alert| RecordedAlert {
                    rule: report.rule,
                    alert: alert.clone(),
                })
        });
        Self {
            cluster: diagnosis.cluster.clone(),
            time: diagnosis.time,
            watched_for: diagnosis.coverage.watched_for,
            ends_after,
            facts: diagnosis.facts.clone(),
            outcomes: outcomes.iter().map(RecordedOutcome::of).collect(),
            alerts: active.collect(),
            series: series(*window, rules, afterwards, diagnosis.time),
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

/// Everything that the window held when the rules had been evaluated at `time`, in the order of the labels.
fn series(
    window: &dyn Source,
    rules: &RuleSet,
    afterwards: &[&Desc],
    time: Timestamp,
) -> Vec<RecordedSeries> {
    let recorded: BTreeSet<&str> = rules
        .rules()
        .filter_map(|(_, _, rule)| match rule {
            Rule::Recording(rule) => Some(&*rule.record),
            Rule::Alerting(_) => None,
        })
        .chain(["ALERTS", "ALERTS_FOR_STATE"])
        .collect();
    let mut found = window.select(&[], Timestamp::from_millis(i64::MIN), time);
    for series in &mut found {
        if afterwards
            .iter()
            .any(|desc| desc.name == series.labels.metric_name())
        {
            series.points.pop_if(|point| point.time == time);
        }
    }
    found.retain(|series| !series.points.is_empty());
    let mut series: Vec<RecordedSeries> = found
        .into_iter()
        .map(|found| RecordedSeries {
            by_rule: recorded.contains(found.labels.metric_name()),
            labels: found.labels,
            points: found.points,
        })
        .collect();
    series.sort_by(|one, other| one.labels.cmp(&other.labels));
    series
}
