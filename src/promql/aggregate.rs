//! Aggregations: one element a group, or some of each group's own.

use std::cmp::Ordering;

use hashbrown::HashMap;

use super::ast::{Aggregate, Aggregation};
use super::grouping::{Grouping, Groups};
use super::number::{decimal, larger, mean, quantile, smaller, sum, variance};
use super::value::Value;
use super::{Element, EvalError};
use crate::model::Labels;

/// Applies the aggregation of `expr` to its evaluated operand.
pub(super) fn apply(
    expr: &Aggregate,
    param: Option<Value<'_>>,
    elements: Vec<Element>,
) -> Result<Vec<Element>, EvalError> {
    let grouping = grouping(expr);
    let folded = |fold: &dyn Fn(&[f64]) -> f64| {
        let groups = split(&grouping, &elements, |element| element.value).into_iter();
        let folded = groups.map(|(labels, values)| Element {
            labels,
            value: fold(&values),
        });
        Ok(folded.collect())
    };
    if let Some(fold) = fold(expr.op) {
        return folded(&fold);
    }
    match expr.op {
        Aggregation::Quantile => {
            let q = number(param)?;
            folded(&|all| quantile(q, all.to_vec()))
        }
        Aggregation::CountValues => count_values(&grouping, param, elements),
        Aggregation::Bottomk => ranked(&grouping, number(param)?, &elements, |a, b| a.partial_cmp(&b)),
        _ => ranked(&grouping, number(param)?, &elements, |a, b| b.partial_cmp(&a)),
    }
}

/// What makes one value of a group's, of the aggregations that need nothing else.
pub(super) fn fold(op: Aggregation) -> Option<fn(&[f64]) -> f64> {
    Some(match op {
        Aggregation::Sum => |all| sum(values(all)),
        Aggregation::Avg => |all| mean(values(all)),
        Aggregation::Count => |all| all.len() as f64,
        Aggregation::Group => |_| 1.0,
        Aggregation::Min => |all| values(all).fold(f64::NAN, smaller),
        Aggregation::Max => |all| values(all).fold(f64::NAN, larger),
        Aggregation::Stdvar => |all| variance(values(all)),
        Aggregation::Stddev => |all| variance(values(all)).sqrt(),
        Aggregation::Quantile | Aggregation::CountValues | Aggregation::Topk | Aggregation::Bottomk => {
            return None;
        }
    })
}

fn values(values: &[f64]) -> impl Iterator<Item = f64> {
    values.iter().copied()
}

/// The groups that an aggregation makes.
pub(super) fn grouping(of: &Aggregate) -> Grouping<'_> {
    if of.grouping.without {
        Grouping::without(&of.grouping.labels)
    } else {
        Grouping::by(&of.grouping.labels)
    }
}

/// What `keep` keeps of each element, by group.
fn split<'e, T>(
    grouping: &Grouping<'_>,
    elements: impl IntoIterator<Item = &'e Element>,
    keep: impl Fn(&'e Element) -> T,
) -> Vec<(Labels, Vec<T>)> {
    let mut groups = Groups::new(grouping);
    for element in elements {
        groups.entry(&element.labels, Vec::new).0.push(keep(element));
    }
    groups.into_groups().collect()
}

/// The first `k` of each group, with their own labels.
fn ranked(
    grouping: &Grouping<'_>,
    k: f64,
    elements: &[Element],
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
    let groups = split(grouping, elements, |element| element)
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
    let mut counts: Vec<(Labels, f64)> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for element in &elements {
        let labels = grouping
            .key(&element.labels)
            .with(&label, &decimal(element.value));
        let place = *places.entry(labels.clone()).or_insert(counts.len());
        if place == counts.len() {
            counts.push((labels, 0.0));
        }
        counts[place].1 += 1.0;
    }
    let elements = counts.into_iter();
    Ok(elements
        .map(|(labels, value)| Element { labels, value })
        .collect())
}

fn number(param: Option<Value<'_>>) -> Result<f64, EvalError> {
    match param {
        Some(Value::Scalar(number)) => Ok(number),
        _ => Err(EvalError(
            "the aggregation needs a number as its parameter".to_owned(),
        )),
    }
}
