//! Aggregations: one element a group, or some of each group's own.

use std::cmp::Ordering;

use hashbrown::HashMap;

use super::ast::{self, Aggregate, Aggregation};
use super::grouping::{Grouping, Groups, Places};
use super::number::{decimal, larger, mean, quantile, smaller, sum, variance};
use super::value::Value;
use super::{Element, EvalError};
use crate::model::Labels;

/// Applies the aggregation of `expr` to its evaluated operand.
pub(super) fn apply(
    expr: &Aggregate,
    param: Option<Value<'_>>,
    elements: Vec<Element>,
    known: &mut KnownGroups,
) -> Result<Vec<Element>, EvalError> {
    let grouping = grouping(&expr.grouping);
    let mut fold = |fold: &dyn Fn(&[f64]) -> f64| {
        let groups = known.split(&grouping, &elements);
        let folded = groups.map(|(labels, values)| Element {
            labels,
            value: fold(&values),
        });
        Ok(folded.collect())
    };
    match expr.op {
        Aggregation::Sum => fold(&|all| sum(values(all))),
        Aggregation::Avg => fold(&|all| mean(values(all))),
        Aggregation::Count => fold(&|all| all.len() as f64),
        Aggregation::Group => fold(&|_| 1.0),
        Aggregation::Min => fold(&|all| values(all).fold(f64::NAN, smaller)),
        Aggregation::Max => fold(&|all| values(all).fold(f64::NAN, larger)),
        Aggregation::Stdvar => fold(&|all| variance(values(all))),
        Aggregation::Stddev => fold(&|all| variance(values(all)).sqrt()),
        Aggregation::Quantile => {
            let q = number(param)?;
            fold(&|all| quantile(q, all.to_vec()))
        }
        Aggregation::Topk => ranked(&grouping, number(param)?, elements, |a, b| b.partial_cmp(&a)),
        Aggregation::Bottomk => ranked(&grouping, number(param)?, elements, |a, b| a.partial_cmp(&b)),
        Aggregation::CountValues => count_values(&grouping, param, elements),
    }
}

fn values(values: &[f64]) -> impl Iterator<Item = f64> {
    values.iter().copied()
}

fn grouping(written: &ast::Grouping) -> Grouping<'_> {
    if written.without {
        Grouping::without(&written.labels)
    } else {
        Grouping::by(&written.labels)
    }
}

/// The groups that an aggregation met in an evaluation: the same label sets come at every step of a range.
#[derive(Default)]
pub(super) struct KnownGroups {
    places: Places,
    /// The labels of each group.
    groups: Vec<Labels>,
    /// The group of each label set that was met, from the second step on: one evaluation does without.
    members: HashMap<Labels, usize>,
    steps: usize,
}

impl KnownGroups {
    /// The values of each group that has any.
    fn split(
        &mut self,
        grouping: &Grouping<'_>,
        elements: &[Element],
    ) -> impl Iterator<Item = (Labels, Vec<f64>)> {
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); self.places.len()];
        for element in elements {
            let place = self.place(grouping, &element.labels);
            if place == values.len() {
                values.push(Vec::new());
            }
            values[place].push(element.value);
        }
        self.steps += 1;
        let groups = self.groups.iter().cloned().zip(values);
        groups.filter(|(_, values)| !values.is_empty())
    }

    fn place(&mut self, grouping: &Grouping<'_>, labels: &Labels) -> usize {
        if self.steps == 0 {
            return self.find(grouping, labels);
        }
        if let Some(place) = self.members.get(labels) {
            return *place;
        }
        let place = self.find(grouping, labels);
        self.members.insert(labels.clone(), place);
        place
    }

    fn find(&mut self, grouping: &Grouping<'_>, labels: &Labels) -> usize {
        let place = self.places.find_or_add(grouping, labels);
        if place == self.groups.len() {
            self.groups.push(grouping.key(labels));
        }
        place
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
    let groups = split(grouping, &elements, |element| element)
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
