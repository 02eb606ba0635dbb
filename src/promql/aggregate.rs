//! Aggregations: one element a group, or some of each group's own.

use std::cmp::Ordering;
use std::collections::HashMap;

use promql_parser::parser::token::{
    T_AVG, T_BOTTOMK, T_COUNT, T_COUNT_VALUES, T_GROUP, T_MAX, T_MIN, T_QUANTILE, T_STDDEV, T_STDVAR, T_SUM,
    T_TOPK,
};
use promql_parser::parser::{AggregateExpr, LabelModifier};

use super::number::{decimal, larger, mean, quantile, smaller, sum, variance};
use super::value::{METRIC_NAME, Value};
use super::{Element, EvalError};
use crate::model::Labels;

/// Applies the aggregation of `expr` to its evaluated operand.
pub(super) fn apply(
    expr: &AggregateExpr,
    param: Option<Value<'_>>,
    elements: Vec<Element>,
) -> Result<Vec<Element>, EvalError> {
    let grouping = Grouping::new(expr.modifier.as_ref());
    let fold = |fold: &dyn Fn(&[f64]) -> f64| {
        let groups = grouping.split(&elements, |element| element.value);
        let folded = groups.into_iter().map(|(labels, values)| Element {
            labels,
            value: fold(&values),
        });
        Ok(folded.collect())
    };
    match expr.op.id() {
        T_SUM => fold(&|all| sum(values(all))),
        T_AVG => fold(&|all| mean(values(all))),
        T_COUNT => fold(&|all| all.len() as f64),
        T_GROUP => fold(&|_| 1.0),
        T_MIN => fold(&|all| values(all).fold(f64::NAN, smaller)),
        T_MAX => fold(&|all| values(all).fold(f64::NAN, larger)),
        T_STDVAR => fold(&|all| variance(values(all))),
        T_STDDEV => fold(&|all| variance(values(all)).sqrt()),
        T_QUANTILE => {
            let q = number(param)?;
            fold(&|all| quantile(q, all.to_vec()))
        }
        T_TOPK => ranked(&grouping, number(param)?, elements, |a, b| b.partial_cmp(&a)),
        T_BOTTOMK => ranked(&grouping, number(param)?, elements, |a, b| a.partial_cmp(&b)),
        T_COUNT_VALUES => count_values(&grouping, param, elements),
        _ => Err(EvalError(format!("the aggregation {} is not supported", expr.op))),
    }
}

fn values(values: &[f64]) -> impl Iterator<Item = f64> {
    values.iter().copied()
}

struct Grouping<'a> {
    by: bool,
    labels: Vec<&'a str>,
}

impl<'a> Grouping<'a> {
    fn new(modifier: Option<&'a LabelModifier>) -> Self {
        let (by, labels) = match modifier {
            Some(LabelModifier::Include(labels)) => (true, labels.labels.as_slice()),
            Some(LabelModifier::Exclude(labels)) => (false, labels.labels.as_slice()),
            None => (true, [].as_slice()),
        };
        let mut labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        if !by {
            labels.push(METRIC_NAME);
        }
        Self { by, labels }
    }

    fn labels(&self, of: &Labels) -> Labels {
        if self.by {
            of.only(&self.labels)
        } else {
            of.without(&self.labels)
        }
    }

    /// What `keep` keeps of each element, by group, in the order in which the groups first occur.
    fn split<'e, T>(
        &self,
        elements: impl IntoIterator<Item = &'e Element>,
        keep: impl Fn(&'e Element) -> T,
    ) -> Vec<(Labels, Vec<T>)> {
        let mut groups: Vec<(Labels, Vec<T>)> = Vec::new();
        let mut places: HashMap<Labels, usize> = HashMap::new();
        for element in elements {
            let labels = self.labels(&element.labels);
            let place = match places.get(&labels) {
                Some(place) => *place,
                None => {
                    places.insert(labels.clone(), groups.len());
                    groups.push((labels, Vec::new()));
                    groups.len() - 1
                }
            };
            groups[place].1.push(keep(element));
        }
        groups
    }
}

/// The first `k` of each group, with their own labels.
fn ranked(
    grouping: &Grouping<'_>,
    k: f64,
    elements: Vec<Element>,
    order: fn(f64, f64) -> Option<Ordering>,
) -> Result<Vec<Element>, EvalError> {
    if k.is_nan() || k.abs() >= i64::MAX as f64 {
        return Err(EvalError(format!(
            "the parameter {} is not a whole number of elements",
            decimal(k)
        )));
    }
    if k < 1.0 {
        return Ok(Vec::new());
    }
    let groups = grouping
        .split(&elements, |element| element)
        .into_iter()
        .flat_map(|(_, mut members)| {
            // NaN is neither large nor small: it comes last either way.
            members.sort_by(|a, b| {
                let by_value = || order(a.value, b.value).unwrap_or(Ordering::Equal);
                a.value.is_nan().cmp(&b.value.is_nan()).then_with(by_value)
            });
            members.truncate(k as usize);
            members
        });
    Ok(groups.cloned().collect())
}

fn count_values(
    grouping: &Grouping<'_>,
    param: Option<Value<'_>>,
    elements: Vec<Element>,
) -> Result<Vec<Element>, EvalError> {
    let Some(Value::String(label)) = param else {
        return Err(EvalError("count_values needs the name of a label".to_owned()));
    };
    if label.is_empty() {
        return Err(EvalError(format!("invalid label name {label:?}")));
    }
    let valued = elements.into_iter().map(|element| Element {
        labels: grouping
            .labels(&element.labels)
            .with(&label, &decimal(element.value)),
        value: element.value,
    });
    let valued: Vec<Element> = valued.collect();
    let whole = Grouping {
        by: false,
        labels: Vec::new(),
    };
    let groups = whole
        .split(&valued, |_| ())
        .into_iter()
        .map(|(labels, members)| Element {
            labels,
            value: members.len() as f64,
        });
    Ok(groups.collect())
}

fn number(param: Option<Value<'_>>) -> Result<f64, EvalError> {
    match param {
        Some(Value::Scalar(number)) => Ok(number),
        _ => Err(EvalError(
            "the aggregation needs a number as its parameter".to_owned(),
        )),
    }
}
