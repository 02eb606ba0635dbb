//! A recording judged anew: as it was judged then, or by other rules from its first cycle on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::Recording;
use crate::diagnosis::inspection::{self, Inspection};
use crate::diagnosis::{self, Diagnosis, Inputs, Provider};
use crate::model::{Batch, Labels, Outcome, Timestamp, stale_nan};
use crate::promql::{self, Matcher, Patience, Point, Points, Series, Source, Window};
use crate::rules::{AlertState, Evaluator, RuleReport, RuleSet};

/// A recording that is judged anew.
pub struct Replay<'a> {
    recording: &'a Recording,
    providers: &'a [Provider],
}

/// What came of judging by other rules.
pub struct Retrial {
    /// The diagnosis at the recording's end.
    pub diagnosis: Diagnosis,
    /// How the alerts came and went, in the order of time.
    pub changes: Vec<Change>,
    /// How many cycles were judged.
    pub cycles: usize,
    /// The rules' results at the end.
    pub reports: Vec<RuleReport>,
}

/// An alert that began, fired or ended.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// When.
    pub time: Timestamp,
    /// Its labels.
    pub labels: Labels,
    /// What it became; none when it was pending and went away.
    pub state: Option<AlertState>,
}

impl<'a> Replay<'a> {
    /// Prepares to judge. `providers` are those of this version: collectors that it does not have are left out.
    pub const fn new(recording: &'a Recording, providers: &'a [Provider]) -> Self {
        Self { recording, providers }
    }

    /// The diagnosis as it was, by the rules that the bundle carries: the last cycle is judged over the recorded window,
    /// with the alerts that were active already as they were.
    pub fn diagnosis(&self, rules: &Arc<RuleSet>) -> Diagnosis {
        let (reports, window) = self.judged(rules);
        self.diagnose(rules, &reports, &window)
    }

    /// The last cycle evaluated, and the window with what came of it.
    fn judged(&self, rules: &Arc<RuleSet>) -> (Vec<RuleReport>, Played) {
        let mut window = Played::of(self.recording, true);
        let mut evaluator = Evaluator::new(rules.clone());
        let alerts = self.recording.alerts.iter();
        evaluator.resume(alerts.map(|recorded| (recorded.rule, recorded.alert.clone())));
        let reports = evaluator.evaluate(&mut window, self.recording.time);
        (reports, window)
    }

    /// One alert looked at closely, as it was; none when no rule has its name.
    pub fn inspection(&self, rules: &Arc<RuleSet>, alert: &str) -> Option<Inspection> {
        let (reports, window) = self.judged(rules);
        let diagnosis = self.diagnose(rules, &reports, &window);
        inspection::inspect(
            alert,
            &inspection::Sight {
                cluster: &self.recording.cluster,
                time: self.recording.time,
                rules,
                reports: &reports,
                gaps: &diagnosis.coverage.gaps,
                source: &window,
            },
        )
    }

    /// The diagnosis by any rules. Each cycle of the recording is judged in turn, as if watching had begun with the
    /// first: nothing is known of what was before.
    pub fn retrial(&self, rules: &Arc<RuleSet>) -> Retrial {
        let mut window = Played::of(self.recording, false);
        let mut evaluator = Evaluator::new(rules.clone());
        let (mut states, mut changes, mut reports) = (BTreeMap::new(), Vec::new(), Vec::new());
        let cycles = self.cycles();
        for time in &cycles {
            reports = evaluator.evaluate(&mut window, *time);
            let now = active(&reports);
            changes.extend(changed(&states, &now, *time));
            states = now;
        }
        Retrial {
            diagnosis: self.diagnose(rules, &reports, &window),
            changes,
            cycles: cycles.len(),
            reports,
        }
    }

    /// The names of collectors of which this version has none. What they told is not in the diagnosis.
    pub fn unknown_collectors(&self) -> BTreeSet<&'a str> {
        let outcomes = self.recording.outcomes.iter();
        let names = outcomes.map(|outcome| &*outcome.collector);
        names.filter(|name| self.collector(name).is_none()).collect()
    }

    /// When its cycles were: whenever anything but a rule wrote.
    fn cycles(&self) -> BTreeSet<Timestamp> {
        let collected = self.recording.series.iter().filter(|series| !series.by_rule);
        let times = collected.flat_map(|series| series.points.iter().map(|point| point.time));
        times.chain([self.recording.time]).collect()
    }

    fn collector(&self, name: &str) -> Option<&'static str> {
        let mut names = self.providers.iter().flat_map(|provider| &provider.collectors);
        names.find(|known| **known == name).copied()
    }

    fn diagnose(&self, rules: &RuleSet, reports: &[RuleReport], window: &Played) -> Diagnosis {
        let recording = self.recording;
        let outcomes = recording.outcomes.iter().filter_map(|outcome| {
            Some(Outcome {
                collector: self.collector(&outcome.collector)?,
                member: outcome.member.clone(),
                duration: Duration::ZERO,
                verdict: outcome.verdict.clone(),
            })
        });
        let batch = Batch {
            cluster: recording.cluster.clone(),
            time: recording.time,
            samples: Vec::new(),
            pages: Vec::new(),
            facts: recording.facts.clone(),
            outcomes: outcomes.collect(),
        };
        diagnosis::diagnose(&Inputs {
            rules,
            reports,
            batch: &batch,
            source: window,
            patience: &Patience::default(),
            providers: self.providers,
            watched_for: recording.watched_for,
            ends_after: recording.ends_after,
        })
    }
}

type States = BTreeMap<Labels, AlertState>;

fn active(reports: &[RuleReport]) -> States {
    let alerts = reports.iter().flat_map(|report| &report.alerts);
    let active = alerts.filter(|alert| alert.state != AlertState::Inactive);
    active.map(|alert| (alert.labels.clone(), alert.state)).collect()
}

fn changed(before: &States, now: &States, time: Timestamp) -> Vec<Change> {
    let change = |labels: &Labels, state| Change {
        time,
        labels: labels.clone(),
        state,
    };
    let ended = before.iter().filter(|(labels, _)| !now.contains_key(labels));
    let ended = ended.map(|(labels, state)| {
        change(
            labels,
            (*state == AlertState::Firing).then_some(AlertState::Inactive),
        )
    });
    let begun = now
        .iter()
        .filter(|(labels, state)| before.get(labels) != Some(state));
    ended
        .chain(begun.map(|(labels, state)| change(labels, Some(*state))))
        .collect()
}

/// The window of a recording. All of it is there from the beginning: what is evaluated at a time sees nothing later.
struct Played {
    metrics: HashMap<Arc<str>, HashMap<Labels, Arc<Vec<Point>>>>,
    /// What each rule yielded the last time.
    yielded: HashMap<String, Vec<Labels>>,
}

impl Played {
    fn of(recording: &Recording, with_rules: bool) -> Self {
        let mut played = Self {
            metrics: HashMap::new(),
            yielded: HashMap::new(),
        };
        let series = recording.series.iter();
        for series in series.filter(|series| with_rules || !series.by_rule) {
            *played.points(&series.labels) = Arc::new(series.points.clone());
        }
        played
    }

    fn points(&mut self, labels: &Labels) -> &mut Arc<Vec<Point>> {
        let metric = self.metrics.entry(labels.metric_name().into()).or_default();
        metric.entry(labels.clone()).or_default()
    }

    fn push(&mut self, labels: &Labels, time: Timestamp, value: f64) {
        let points = self.points(labels);
        if points.last().is_none_or(|last| last.time < time) {
            Arc::make_mut(points).push(Point { time, value });
        }
    }
}

impl Source for Played {
    fn select(&self, matchers: &[Matcher], after: Timestamp, through: Timestamp) -> Vec<Series> {
        let metrics: Vec<_> = match matchers.iter().find_map(Matcher::literal_metric) {
            Some(name) => self.metrics.get(name).into_iter().collect(),
            None => self.metrics.values().collect(),
        };
        let found = metrics.into_iter().flatten();
        let found = found.filter(|(labels, _)| matchers.iter().all(|matcher| matcher.matches(labels)));
        let series = found.filter_map(|(labels, points)| {
            let part = promql::window(points, after, through);
            (!part.is_empty()).then(|| Series {
                labels: labels.clone(),
                points: Points::shared(points, part),
            })
        });
        series.collect()
    }
}

impl Window for Played {
    fn record(&mut self, writer: &str, at: Timestamp, series: Vec<(Labels, f64)>) {
        let mut now = Vec::with_capacity(series.len());
        for (labels, value) in series {
            self.push(&labels, at, value);
            now.push(labels);
        }
        for labels in self.yielded.remove(writer).unwrap_or_default() {
            // Not taken when the series has a point of this time: then it goes on.
            self.push(&labels, at, stale_nan());
        }
        self.yielded.insert(writer.to_owned(), now);
    }
}

#[cfg(test)]
mod tests;
