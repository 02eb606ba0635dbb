//! Unit tests of rules, in the format of `promtool test rules`: series made up, rules run over them, alerts and
//! expressions compared with what is expected. Verdicts and texts are promtool's of Prometheus 3.5. No I/O.

mod series;
mod shape;
mod window;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{AlertState, Environment, Evaluator, Group, Rule, RuleSet};
use crate::model::{Labels, Timestamp};
use crate::promql::{Options, Patience, Query, QueryValue, duration, format_exponential, quote};
use window::Memory;

/// A file of unit tests.
#[derive(Debug)]
pub struct UnitTests {
    rule_files: Vec<String>,
    evaluation_interval: Duration,
    /// Whether values may differ in their last bit.
    fuzzy: bool,
    /// Groups that run in this order; those that are not named run first.
    order: Vec<String>,
    tests: Vec<Test>,
}

/// One test of a file: series, and what rules and expressions give of them.
#[derive(Debug)]
struct Test {
    name: String,
    interval: Duration,
    series: Vec<(Labels, Vec<Option<f64>>)>,
    alerts: Vec<AlertCase>,
    expressions: Vec<ExpressionCase>,
    external_labels: Labels,
    external_url: String,
}

/// Which alerts of a name fire at a time.
#[derive(Debug)]
struct AlertCase {
    at: Duration,
    alert: String,
    expected: Vec<Shown>,
}

/// What an expression gives at a time.
#[derive(Debug)]
struct ExpressionCase {
    expr: String,
    at: Duration,
    /// Or why the expected labels cannot be read.
    expected: Result<Vec<(Labels, f64)>, String>,
}

/// An alert as far as it is compared. Ordered by its labels.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Shown {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl UnitTests {
    /// Reads a file of unit tests.
    ///
    /// # Errors
    /// In words, with line and column where they can be told.
    pub fn parse(text: &str) -> Result<Self, String> {
        shape::parse(text)
    }

    /// The rule files that it tests, as written: paths or patterns, relative to the file.
    pub fn rule_files(&self) -> &[String] {
        &self.rule_files
    }

    /// Runs all tests over the rules of its rule files. What failed, a text each, as promtool prints it.
    pub fn run(&self, mut groups: Vec<Group>) -> Vec<String> {
        // Every group runs at each step, whatever its own interval.
        for group in &mut groups {
            group.interval = None;
        }
        groups.sort_by_key(|group| self.order.iter().position(|name| *name == group.name));
        let rules = Arc::new(RuleSet::new(groups));
        self.tests
            .iter()
            .flat_map(|test| test.run(self, &rules))
            .collect()
    }
}

impl Test {
    fn run(&self, file: &UnitTests, rules: &Arc<RuleSet>) -> Vec<String> {
        if let Some(unnamed) = self.alerts.iter().find(|case| case.alert.is_empty()) {
            let at = duration::format(unnamed.at);
            return vec![format!(
                "an item under alert_rule_test misses required attribute alertname at eval_time {at}"
            )];
        }
        let options = Options {
            subquery_step: file.evaluation_interval,
            ..Options::default()
        };
        let environment = Environment {
            options,
            patience: Patience::default(),
            together: Patience::default(),
            external_labels: self.external_labels.clone(),
            external_url: self.external_url.clone(),
        };
        let mut evaluator = Evaluator::with_environment(rules.clone(), environment);
        let mut window = Memory::new(&self.series, self.interval);
        let mut failures = Vec::new();
        let mut cases: Vec<&AlertCase> = self.alerts.iter().collect();
        cases.sort_by_key(|case| case.at);
        let mut cases = cases.into_iter().peekable();
        let mut since = Duration::ZERO;
        while since <= self.end() {
            let now = epoch_plus(since);
            window.fill(now);
            let reports = evaluator.evaluate(&mut window, now);
            let errors: Vec<String> = reports
                .iter()
                .filter_map(|report| {
                    let name = rules.rule(report.rule)?.name();
                    let error = report.error.as_ref()?;
                    Some(format!("    rule: {name}, time: {}, err: {error}", in_go(since)))
                })
                .collect();
            if !errors.is_empty() {
                failures.extend(errors);
                return failures;
            }
            let next = since + file.evaluation_interval;
            // What is expected between two steps is compared with the earlier one.
            while let Some(case) = cases.next_if(|case| case.at < next) {
                failures.extend(self.judge_alerts(case, &evaluator));
            }
            since = next;
        }
        let expressions = self.expressions.iter();
        failures.extend(expressions.filter_map(|case| case.judge(&window, &options, file.fuzzy).err()));
        failures
    }

    /// The last time that any case asks for.
    fn end(&self) -> Duration {
        let alerts = self.alerts.iter().map(|case| case.at);
        let expressions = self.expressions.iter().map(|case| case.at);
        alerts.chain(expressions).max().unwrap_or_default()
    }

    /// What differs, if anything does.
    fn judge_alerts(&self, case: &AlertCase, evaluator: &Evaluator) -> Option<String> {
        let rules = evaluator.rules();
        let reports = evaluator.reports();
        let of_name = reports.iter().filter(|report| {
            matches!(rules.rule(report.rule), Some(Rule::Alerting(rule)) if rule.alert == case.alert)
        });
        let firing = of_name
            .flat_map(|report| &report.alerts)
            .filter(|alert| alert.state == AlertState::Firing);
        let mut got: Vec<Shown> = firing
            .map(|alert| Shown {
                labels: owned(alert.labels.iter()),
                annotations: alert.annotations.iter().cloned().collect(),
            })
            .collect();
        got.sort();
        if got == case.expected {
            return None;
        }
        let name = match &*self.name {
            "" => String::new(),
            name => format!("    name: {name},\n"),
        };
        Some(format!(
            "{name}    alertname: {}, time: {}, \n        exp:{}, \n        got:{}",
            case.alert,
            duration::format(case.at),
            listed(&case.expected),
            listed(&got)
        ))
    }
}

impl ExpressionCase {
    fn judge(&self, window: &Memory, options: &Options, fuzzy: bool) -> Result<(), String> {
        let place = format!(
            "    expr: {}, time: {},",
            quote(&self.expr),
            duration::format(self.at)
        );
        let failed = |why: &str| format!("{place} err: {why}");
        let got = self.evaluate(window, options).map_err(|why| failed(&why))?;
        let expected = self.expected.as_ref().map_err(|why| failed(why))?;
        let same_value = |a: f64, b: f64| a == b || (fuzzy && a.next_down() <= b && b <= a.next_up());
        let pairs = expected.iter().zip(&got);
        let mut same =
            pairs.map(|((labels, value), (other, got))| labels == other && same_value(*value, *got));
        if expected.len() == got.len() && same.all(|same| same) {
            return Ok(());
        }
        Err(format!(
            "{place}\n        exp: {}\n        got: {}",
            samples(expected),
            samples(&got)
        ))
    }

    /// The samples that the expression gives, sorted by their labels.
    fn evaluate(&self, window: &Memory, options: &Options) -> Result<Vec<(Labels, f64)>, String> {
        let query = Query::parse(&self.expr).map_err(|error| error.to_string())?;
        let value = query
            .instant(window, epoch_plus(self.at), options)
            .map_err(|error| error.to_string())?;
        let mut samples: Vec<(Labels, f64)> = match value {
            QueryValue::Vector(elements) => elements
                .into_iter()
                .map(|element| (element.labels, element.value))
                .collect(),
            QueryValue::Scalar(value) => vec![(Labels::empty(), value)],
            QueryValue::String(_) | QueryValue::Matrix(_) => {
                return Err("rule result is not a vector or scalar".to_owned());
            }
        };
        samples.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(samples)
    }
}

fn epoch_plus(since: Duration) -> Timestamp {
    Timestamp::from_millis(0).plus(since)
}

fn owned<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// `{a="b", c="d"}`
fn braced<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let is_plain = |name: &str| {
        !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let shown = |name: &str| {
        if is_plain(name) {
            name.to_owned()
        } else {
            quote(name)
        }
    };
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{}={}", shown(name), quote(value)))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Alerts as promtool lists them.
fn listed(alerts: &[Shown]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let pairs =
        |pairs: &BTreeMap<String, String>| braced(pairs.iter().map(|(name, value)| (&**name, &**value)));
    let items: Vec<String> = alerts
        .iter()
        .enumerate()
        .map(|(at, alert)| {
            format!(
                "            {at}:\n              Labels:{}\n              Annotations:{}",
                pairs(&alert.labels),
                pairs(&alert.annotations)
            )
        })
        .collect();
    format!("[\n{}\n            ]", items.join(",\n"))
}

/// Samples as promtool lists them.
fn samples(samples: &[(Labels, f64)]) -> String {
    if samples.is_empty() {
        return "nil".to_owned();
    }
    let items: Vec<String> = samples
        .iter()
        .map(|(labels, value)| format!("{} {}", braced(labels.iter()), format_exponential(*value, 'E')))
        .collect();
    items.join(", ")
}

/// A duration as Go prints it: `0s`, `1m30s`, `1h0m0s`.
fn in_go(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let millis = duration.subsec_millis();
    if seconds == 0 && millis > 0 {
        return format!("{millis}ms");
    }
    let fraction = match millis {
        0 => String::new(),
        millis => format!(".{millis:03}").trim_end_matches('0').to_owned(),
    };
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}{fraction}s"),
        (0, minutes) => format!("{minutes}m{rest}{fraction}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}{fraction}s"),
    }
}

/// The names that stand in a list twice.
fn repeated(names: &[String]) -> Option<&String> {
    let mut seen = BTreeSet::new();
    names.iter().find(|name| !seen.insert(*name))
}
