//! The YAML of unit tests. Unknown keys are refused.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::{AlertCase, ExpressionCase, Shown, Test, UnitTests, repeated, series};
use crate::model::Labels;
use crate::promql::{self, duration};
use crate::rules::yaml;

/// How often rules run when the file does not say.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawFile {
    rule_files: Option<Vec<String>>,
    evaluation_interval: Option<Spanned<String>>,
    group_eval_order: Option<Vec<String>>,
    fuzzy_compare: Option<bool>,
    tests: Option<Vec<RawTest>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTest {
    name: Option<String>,
    interval: Option<Spanned<String>>,
    input_series: Option<Vec<RawSeries>>,
    alert_rule_test: Option<Vec<RawAlertCase>>,
    promql_expr_test: Option<Vec<RawExpressionCase>>,
    external_labels: Option<BTreeMap<String, String>>,
    external_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSeries {
    series: Spanned<String>,
    values: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlertCase {
    eval_time: Option<Spanned<String>>,
    alertname: Option<String>,
    exp_alerts: Option<Vec<RawAlert>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlert {
    exp_labels: Option<BTreeMap<String, String>>,
    exp_annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpressionCase {
    expr: Option<String>,
    eval_time: Option<Spanned<String>>,
    exp_samples: Option<Vec<RawSample>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSample {
    labels: Option<String>,
    value: Option<f64>,
    histogram: Option<String>,
}

/// Reads a file of unit tests. An empty one has no tests.
pub(super) fn parse(text: &str) -> Result<UnitTests, String> {
    let mut bytes = text.as_bytes();
    let raw: RawFile = match serde_saphyr::read(&mut bytes).next() {
        None => RawFile::default(),
        Some(Ok(raw)) => raw,
        Some(Err(error)) => return Err(in_words(&error)),
    };
    let order = raw.group_eval_order.unwrap_or_default();
    if let Some(twice) = repeated(&order) {
        return Err(format!("group name repeated in evaluation order: {twice}"));
    }
    let evaluation_interval = duration_or(raw.evaluation_interval, DEFAULT_INTERVAL)?;
    let tests = raw.tests.unwrap_or_default();
    Ok(UnitTests {
        rule_files: raw.rule_files.unwrap_or_default(),
        evaluation_interval,
        fuzzy: raw.fuzzy_compare.unwrap_or_default(),
        order,
        tests: tests
            .into_iter()
            .map(|test| test.checked(evaluation_interval))
            .collect::<Result<_, _>>()?,
    })
}

fn in_words(error: &serde_saphyr::Error) -> String {
    let (at, why) = yaml::refused(error);
    if at == Location::UNKNOWN {
        return why;
    }
    format!("{}:{}: {why}", at.line(), at.column())
}

/// Adds the place of a value to what is wrong with it.
fn placed<T>(value: Spanned<String>, read: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
    let at = value.referenced;
    read(&value.value).map_err(|why| format!("{}:{}: {why}", at.line(), at.column()))
}

/// What is absent or zero has the default.
fn duration_or(text: Option<Spanned<String>>, default: Duration) -> Result<Duration, String> {
    let given = text.map_or(Ok(Duration::ZERO), |text| placed(text, duration::parse))?;
    Ok(if given.is_zero() { default } else { given })
}

impl RawTest {
    fn checked(self, evaluation_interval: Duration) -> Result<Test, String> {
        let series = self.input_series.unwrap_or_default().into_iter().map(|raw| {
            let labels = placed(raw.series, |text| {
                promql::made_up_series(text).map_err(|error| error.to_string())
            })?;
            Ok((labels, placed(raw.values, series::values)?))
        });
        let alerts = self.alert_rule_test.unwrap_or_default().into_iter();
        let expressions = self.promql_expr_test.unwrap_or_default().into_iter();
        Ok(Test {
            name: self.name.unwrap_or_default(),
            interval: duration_or(self.interval, evaluation_interval)?,
            series: series.collect::<Result<_, String>>()?,
            alerts: alerts.map(RawAlertCase::checked).collect::<Result<_, _>>()?,
            expressions: expressions
                .map(RawExpressionCase::checked)
                .collect::<Result<_, _>>()?,
            external_labels: Labels::new(self.external_labels.unwrap_or_default()),
            external_url: self.external_url.unwrap_or_default(),
        })
    }
}

impl RawAlertCase {
    fn checked(self) -> Result<AlertCase, String> {
        let alert = self.alertname.unwrap_or_default();
        let expected = self.exp_alerts.unwrap_or_default().into_iter().map(|raw| {
            let mut labels = raw.exp_labels.unwrap_or_default();
            labels.insert("alertname".to_owned(), alert.clone());
            Shown {
                labels,
                annotations: raw.exp_annotations.unwrap_or_default(),
            }
        });
        let mut expected: Vec<Shown> = expected.collect();
        expected.sort();
        Ok(AlertCase {
            at: duration_or(self.eval_time, Duration::ZERO)?,
            alert,
            expected,
        })
    }
}

impl RawExpressionCase {
    fn checked(self) -> Result<ExpressionCase, String> {
        let samples = self.exp_samples.unwrap_or_default();
        if samples.iter().any(|sample| sample.histogram.is_some()) {
            return Err("exp_samples: native histograms are not supported".to_owned());
        }
        let samples = samples.into_iter().map(|sample| {
            let labels = match sample.labels.as_deref().unwrap_or("") {
                "" => Labels::empty(),
                text => promql::series_labels(text)
                    .map_err(|error| format!("labels {}: {error}", promql::quote(text)))?,
            };
            Ok((labels, sample.value.unwrap_or_default()))
        });
        let expected = samples.collect::<Result<Vec<_>, String>>().map(|mut samples| {
            samples.sort_by(|(a, _), (b, _)| a.cmp(b));
            samples
        });
        Ok(ExpressionCase {
            expr: self.expr.unwrap_or_default(),
            at: duration_or(self.eval_time, Duration::ZERO)?,
            expected,
        })
    }
}
