//! One cluster's rules with the states of their alerts: runs them over the window and writes back what they yield.

mod pace;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use self::pace::Pace;
use super::alert::{self, Alert, AlertState, Alerts, Seen, Tracked};
use super::state::{Kept, Recall, States};
use super::{AlertingRule, Group, Rule, RuleSet, Scope, record};
use crate::model::{Labels, METRIC_NAME, Timestamp};
use crate::promql::{Element, Options, Patience, QueryValue, TIMED_OUT, Window};

/// What rules are evaluated with, besides the window and the time.
#[derive(Clone, Debug)]
pub struct Environment {
    /// How expressions are evaluated, and at what cost at most.
    pub options: Options,
    /// How long each rule may take, its templates included. A rule that takes longer fails.
    pub patience: Patience,
    /// How long all rules of an evaluation may take. After it only those are evaluated that ended in time before.
    pub together: Patience,
    /// `$externalLabels` in templates.
    pub external_labels: Labels,
    /// `$externalURL` in templates: where this server is reached.
    pub external_url: String,
}

/// The most points that one rule may load and make. The window of a member holds 4 million at most, and a rule that reads
/// all of one metric of 300 members over an hour takes one.
pub const MAX_SAMPLES: usize = 5_000_000;

/// How expressions of rules are evaluated.
pub const OPTIONS: Options = Options {
    max_samples: MAX_SAMPLES,
    ..Options::PROMETHEUS
};

impl Default for Environment {
    fn default() -> Self {
        Self {
            options: OPTIONS,
            patience: Patience::default(),
            together: Patience::default(),
            external_labels: Labels::empty(),
            external_url: String::new(),
        }
    }
}

/// How one rule fared in an evaluation.
#[derive(Clone, Debug)]
pub struct RuleReport {
    /// The rule: index of its group and its index in the group.
    pub rule: (usize, usize),
    /// Why it could not be evaluated. Its alerts are then as they were before.
    pub error: Option<String>,
    /// Its alerts: pending, firing and lately resolved, by their labels. Empty for a recording rule.
    pub alerts: Vec<Alert>,
}

/// The rules of one cluster with the states of their alerts.
#[derive(Debug)]
pub struct Evaluator {
    rules: Arc<RuleSet>,
    environment: Environment,
    /// As many as the rules have groups.
    groups: Vec<GroupState>,
    /// Writers of rules that a reload removed; their series are to end.
    removed: Vec<String>,
}

#[derive(Debug)]
struct GroupState {
    /// Which group this is: its file, its name, and its interval, on which the schedule depends.
    key: (String, String, Option<Duration>),
    schedule: Option<Schedule>,
    /// As many as the group has rules.
    rules: Vec<RuleState>,
}

/// When a group with an interval of its own runs.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    last: Timestamp,
    due: Timestamp,
}

#[derive(Debug)]
struct RuleState {
    /// Under this key it writes into the window. It says which rule this is, also after a reload.
    writer: String,
    alerts: Alerts,
    error: Option<String>,
    pace: Pace,
    /// What is remembered from before a restart and has not been seen again yet.
    recall: Option<Recall>,
}

/// How long past the time that a rule's window takes to fill an alert may still be taken up again.
const SETTLING: Duration = Duration::from_secs(60);

impl Evaluator {
    /// No alert is active yet.
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Self::with_environment(rules, Environment::default())
    }

    /// As [`Self::new`], with other options for queries or with what templates may show of the surroundings.
    pub fn with_environment(rules: Arc<RuleSet>, environment: Environment) -> Self {
        let groups = rules.groups.iter().map(GroupState::new).collect();
        Self {
            rules,
            environment,
            groups,
            removed: Vec::new(),
        }
    }

    /// The rules.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Goes on with alerts that were active before, as told for each rule (see [`RuleReport::rule`]): what has been known
    /// for long is not to begin anew where only its end is evaluated.
    pub fn resume(&mut self, alerts: impl IntoIterator<Item = ((usize, usize), Alert)>) {
        for ((group, rule), alert) in alerts {
            let state = self
                .groups
                .get_mut(group)
                .and_then(|group| group.rules.get_mut(rule));
            if let Some(state) = state {
                state.alerts.insert(alert.labels.clone(), Tracked::resumed(alert));
            }
        }
    }

    /// Puts other rules in force. A rule that stands in the same group under the same name and with the same labels
    /// as before keeps its alerts; the series of those that are gone end with the next evaluation.
    pub fn reload(&mut self, rules: Arc<RuleSet>) {
        let mut schedules = HashMap::new();
        let mut states = HashMap::new();
        for state in self.groups.drain(..) {
            schedules.insert(state.key, state.schedule);
            states.extend(state.rules.into_iter().map(|rule| (rule.writer.clone(), rule)));
        }
        self.groups = rules.groups.iter().map(GroupState::new).collect();
        for state in &mut self.groups {
            state.schedule = schedules.remove(&state.key).flatten();
            for rule in &mut state.rules {
                if let Some(before) = states.remove(&rule.writer) {
                    *rule = before;
                }
            }
        }
        self.removed.extend(states.into_keys());
        self.rules = rules;
    }

    /// Runs every rule that is due over the window at `now`; recorded series, `ALERTS` and `ALERTS_FOR_STATE` go back
    /// into it. The reports are of all rules: of one that was not due, the one that it gave last.
    pub fn evaluate(&mut self, window: &mut dyn Window, now: Timestamp) -> Vec<RuleReport> {
        for writer in self.removed.drain(..) {
            window.record(&writer, now, Vec::new());
        }
        let together = self.environment.together.start();
        for (group, state) in self.rules.groups.iter().zip(&mut self.groups) {
            if !state.is_due(group.interval, now) {
                continue;
            }
            for (rule, state) in group.rules.iter().zip(&mut state.rules) {
                let ran = match state.pace.admits(&together) {
                    Ok(()) => {
                        let ran = state.run(rule, group, window, now, &self.environment);
                        state
                            .pace
                            .note(ran.as_ref().is_err_and(|error| error == TIMED_OUT));
                        ran
                    }
                    left_out => left_out,
                };
                state.error = ran.err();
            }
        }
        self.reports()
    }

    /// The alerts that are active, to be remembered over a restart.
    pub fn remember(&self, now: Timestamp) -> States {
        let mut rules: BTreeMap<String, BTreeMap<Labels, Kept>> = BTreeMap::new();
        for (group, state) in self.rules.groups.iter().zip(&self.groups) {
            for (rule, state) in group.rules.iter().zip(&state.rules) {
                let Rule::Alerting(rule) = rule else { continue };
                let alerts = state.kept(rule.hold, now);
                if !alerts.is_empty() {
                    rules.insert(state.writer.clone(), alerts);
                }
            }
        }
        States { saved_at: now, rules }
    }

    /// Takes what was remembered before a restart. An alert is continued when its condition is seen again while the
    /// rule's window may still be filling; what stays away then begins anew. What is older than an hour, and of rules
    /// that are gone or have other labels, is left.
    pub fn restore(&mut self, mut states: States, now: Timestamp) {
        if states.is_outdated(now) {
            return;
        }
        for (group, state) in self.rules.groups.iter().zip(&mut self.groups) {
            for (rule, state) in group.rules.iter().zip(&mut state.rules) {
                let Some(alerts) = states.rules.remove(&state.writer) else {
                    continue;
                };
                let history = self.rules.history(rule.query());
                let ranges = history.iter().filter(|selector| selector.is_range);
                let reach = ranges.map(|selector| selector.reach).max().unwrap_or_default();
                let until = now.plus(reach + group.query_offset + SETTLING);
                state.recall = Some(Recall::new(states.saved_at, until, alerts));
            }
        }
    }

    /// How each rule fared when it ran last.
    pub fn reports(&self) -> Vec<RuleReport> {
        let mut reports = Vec::new();
        for (at, group) in self.groups.iter().enumerate() {
            for (index, rule) in group.rules.iter().enumerate() {
                reports.push(RuleReport {
                    rule: (at, index),
                    error: rule.error.clone(),
                    alerts: rule
                        .alerts
                        .values()
                        .map(|tracked| tracked.alert.clone())
                        .collect(),
                });
            }
        }
        reports
    }
}

impl GroupState {
    fn new(group: &Group) -> Self {
        let mut writers = BTreeSet::new();
        let rules = group.rules.iter().map(|rule| {
            let kind = match rule {
                Rule::Recording(_) => "record",
                Rule::Alerting(_) => "alert",
            };
            let key = format!(
                "{}\n{}\n{kind} {}{}",
                group.file,
                group.name,
                rule.name(),
                rule.labels()
            );
            // Rules may be alike in name and labels; they are told apart by their order.
            let mut writer = key.clone();
            let mut count = 1;
            while !writers.insert(writer.clone()) {
                count += 1;
                writer = format!("{key}\n{count}");
            }
            RuleState {
                writer,
                alerts: Alerts::new(),
                error: None,
                pace: Pace::default(),
                recall: None,
            }
        });
        let rules = rules.collect();
        Self {
            key: (group.file.clone(), group.name.clone(), group.interval),
            schedule: None,
            rules,
        }
    }

    /// Whether the group runs at `now`, and notes it if so.
    ///
    /// The times at which it is due are an interval apart from the first on, whatever the cycle, and one that passed
    /// unused is skipped. A cycle that comes up to a tenth of the interval early counts, since cycles are never to the
    /// millisecond.
    fn is_due(&mut self, interval: Option<Duration>, now: Timestamp) -> bool {
        let Some(interval) = interval.filter(|interval| !interval.is_zero()) else {
            return true;
        };
        // After a clock was set back the schedule begins anew.
        let schedule = self.schedule.filter(|schedule| schedule.last <= now);
        let due = schedule.map_or(now, |schedule| schedule.due);
        if now < due.minus(interval / 10) {
            return false;
        }
        let missed = now.since(due).as_millis() / interval.as_millis().max(1);
        let steps = u32::try_from(missed).unwrap_or(u32::MAX).saturating_add(1);
        let due = due.plus(interval.saturating_mul(steps));
        self.schedule = Some(Schedule { last: now, due });
        true
    }
}

impl RuleState {
    /// Evaluates the rule. On an error its alerts stay as they are and nothing is written.
    fn run(
        &mut self,
        rule: &Rule,
        group: &Group,
        window: &mut dyn Window,
        now: Timestamp,
        environment: &Environment,
    ) -> Result<(), String> {
        let at = now.minus(group.query_offset);
        let patient = environment.patience.with(&*window);
        let value = rule
            .query()
            .instant(&patient, at, &environment.options)
            .map_err(|error| error.to_string())?;
        let elements = vector(value)?;
        let over = |count: usize| group.limit.filter(|limit| count > *limit);
        let series = match rule {
            Rule::Recording(rule) => {
                let series = record::series(rule, elements)?;
                if let Some(limit) = over(series.len()) {
                    return Err(format!("exceeded limit of {limit} with {} series", series.len()));
                }
                series
            }
            Rule::Alerting(rule) => {
                let scope = Scope {
                    source: &patient,
                    at: now,
                    options: &environment.options,
                    external_labels: &environment.external_labels,
                    external_url: &environment.external_url,
                };
                let seen = seen(rule, elements, &scope)?;
                alert::step(&mut self.alerts, seen, rule.hold, rule.keep_firing, now);
                self.take_up(rule.hold, now);
                let active = self
                    .alerts
                    .values()
                    .filter(|tracked| tracked.alert.state != AlertState::Inactive)
                    .count();
                if let Some(limit) = over(active) {
                    self.alerts.clear();
                    return Err(format!("exceeded limit of {limit} with {active} alerts"));
                }
                alert::series(&self.alerts)
            }
        };
        drop(patient);
        window.record(&self.writer, at, series);
        Ok(())
    }
}

impl RuleState {
    /// Continues those of the alerts that are new now and were active before a restart.
    fn take_up(&mut self, hold: Duration, now: Timestamp) {
        let Some(recall) = &mut self.recall else { return };
        for (labels, tracked) in &mut self.alerts {
            let new = tracked.alert.active_at == now && tracked.alert.state != AlertState::Inactive;
            if let Some(kept) = new.then(|| recall.take(labels, hold, now)).flatten() {
                alert::take_up(tracked, kept, hold, now);
            }
        }
        if recall.is_over(now) {
            self.recall = None;
        }
    }

    /// The active alerts, and those that wait to be seen again.
    fn kept(&self, hold: Duration, now: Timestamp) -> BTreeMap<Labels, Kept> {
        let active = self
            .alerts
            .iter()
            .filter(|(_, tracked)| tracked.alert.state != AlertState::Inactive);
        let active = active.map(|(labels, tracked)| {
            let kept = Kept {
                active_at: tracked.alert.active_at,
                fired_at: tracked.alert.fired_at,
            };
            (labels.clone(), kept)
        });
        let waiting = self.recall.iter().flat_map(|recall| recall.waiting(hold, now));
        waiting.chain(active).collect()
    }
}

/// The elements of a rule's result. A number is one element without labels.
fn vector(value: QueryValue) -> Result<Vec<Element>, String> {
    match value {
        QueryValue::Vector(elements) => Ok(elements),
        QueryValue::Scalar(value) => Ok(vec![Element {
            labels: Labels::empty(),
            value,
        }]),
        QueryValue::String(_) | QueryValue::Matrix(_) => {
            Err("rule result is not a vector or scalar".to_owned())
        }
    }
}

/// The elements of an alerting rule's result as alerts, with their texts expanded.
fn seen(rule: &AlertingRule, elements: Vec<Element>, scope: &Scope<'_>) -> Result<Vec<Seen>, String> {
    let mut taken = BTreeSet::new();
    let mut seen = Vec::with_capacity(elements.len());
    for Element {
        labels: sample,
        value,
    } in elements
    {
        let labels = rule
            .labels
            .iter()
            .fold(sample.without(&[METRIC_NAME]), |labels, (name, template)| {
                labels.with(name, &template.expand_or_complain(&sample, value, scope))
            });
        let labels = labels.with("alertname", &rule.alert);
        if !taken.insert(labels.clone()) {
            return Err(format!(
                "vector contains metrics with the same labelset after applying alert labels: {labels}"
            ));
        }
        let annotations = rule
            .annotations
            .iter()
            .map(|(name, template)| (name.clone(), template.expand_or_complain(&sample, value, scope)));
        seen.push(Seen {
            labels,
            annotations: annotations.collect(),
            value,
        });
        // A query of a template that was given up is told in the text only; the texts take time too.
        if scope.source.given_up() {
            return Err(TIMED_OUT.to_owned());
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests;
