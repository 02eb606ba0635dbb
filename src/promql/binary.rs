//! Operators between two values: arithmetic, comparison and sets, with the matching of vectors.

use std::collections::HashSet;

use super::ast::{self, Link, Many, Operator};
use super::grouping::{Grouping, Groups};
use super::value::{Value, distinct};
use super::{Element, EvalError};
use crate::model::Labels;

/// What an operator does with two numbers.
enum Computation {
    Arithmetic(fn(f64, f64) -> f64),
    Comparison(fn(f64, f64) -> bool),
}

/// An operator that combines label sets and not numbers.
enum SetOperator {
    And,
    Or,
    Unless,
}

/// Applies the operator of `expr` to its evaluated operands.
pub(super) fn apply<'a>(expr: &Link, left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, EvalError> {
    let matching = Matching::new(&expr.matching);
    if let (Value::Vector(left), Value::Vector(right), Some(set)) = (&left, &right, set_operator(expr.op)) {
        return Ok(Value::Vector(matching.combine(&set, left, right)));
    }
    let operator = computation(expr.op).ok_or_else(|| {
        EvalError(format!(
            "the operator {} takes instant vectors only",
            expr.op.text()
        ))
    })?;
    let bool = expr.bool;
    match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => Ok(Value::Scalar(match operator {
            Computation::Arithmetic(compute) => compute(left, right),
            Computation::Comparison(holds) => f64::from(u8::from(holds(left, right))),
        })),
        (Value::Vector(elements), Value::Scalar(scalar)) => {
            with_scalar(&operator, bool, elements, |value| (value, scalar)).map(Value::Vector)
        }
        (Value::Scalar(scalar), Value::Vector(elements)) => {
            with_scalar(&operator, bool, elements, |value| (scalar, value)).map(Value::Vector)
        }
        (Value::Vector(left), Value::Vector(right)) => {
            matching.pair(&operator, bool, left, right).map(Value::Vector)
        }
        (left, right) => Err(EvalError(format!(
            "the operator {} does not take a {} and a {}",
            expr.op.text(),
            left.kind(),
            right.kind()
        ))),
    }
}

fn set_operator(op: Operator) -> Option<SetOperator> {
    match op {
        Operator::And => Some(SetOperator::And),
        Operator::Or => Some(SetOperator::Or),
        Operator::Unless => Some(SetOperator::Unless),
        _ => None,
    }
}

fn computation(op: Operator) -> Option<Computation> {
    use Computation::{Arithmetic, Comparison};
    Some(match op {
        Operator::Add => Arithmetic(|a, b| a + b),
        Operator::Subtract => Arithmetic(|a, b| a - b),
        Operator::Multiply => Arithmetic(|a, b| a * b),
        Operator::Divide => Arithmetic(|a, b| a / b),
        Operator::Modulo => Arithmetic(|a, b| a % b),
        Operator::Power => Arithmetic(f64::powf),
        Operator::Atan2 => Arithmetic(f64::atan2),
        Operator::Equal => Comparison(|a, b| a == b),
        Operator::NotEqual => Comparison(|a, b| a != b),
        Operator::Greater => Comparison(|a, b| a > b),
        Operator::Less => Comparison(|a, b| a < b),
        Operator::GreaterOrEqual => Comparison(|a, b| a >= b),
        Operator::LessOrEqual => Comparison(|a, b| a <= b),
        Operator::And | Operator::Or | Operator::Unless => return None,
    })
}

impl Computation {
    /// The result for one pair, or none when a comparison filters it out. A filter keeps `kept`.
    fn apply(&self, bool: bool, (left, right): (f64, f64), kept: f64) -> Option<f64> {
        match self {
            Self::Arithmetic(compute) => Some(compute(left, right)),
            Self::Comparison(holds) if bool => Some(f64::from(u8::from(holds(left, right)))),
            Self::Comparison(holds) => holds(left, right).then_some(kept),
        }
    }

    /// A computed value is no longer what the metric's name says.
    fn drops_name(&self, bool: bool) -> bool {
        bool || matches!(self, Self::Arithmetic(_))
    }
}

fn with_scalar(
    operator: &Computation,
    bool: bool,
    elements: Vec<Element>,
    operands: impl Fn(f64) -> (f64, f64),
) -> Result<Vec<Element>, EvalError> {
    let drops_name = operator.drops_name(bool);
    let results = elements.into_iter().filter_map(|Element { labels, value }| {
        let result = operator.apply(bool, operands(value), value)?;
        let labels = if drops_name { labels.nameless() } else { labels };
        Some(Element {
            labels,
            value: result,
        })
    });
    distinct(results.collect())
}

/// How the elements of two vectors find each other.
struct Matching<'a> {
    /// Match on these labels (`on`), or on all but these (`ignoring`).
    on: bool,
    /// As written.
    labels: Vec<&'a str>,
    /// The labels that must be equal for a match.
    grouping: Grouping<'a>,
    many: Many,
    /// Taken over from the "one" side.
    include: &'a [String],
}

impl<'a> Matching<'a> {
    fn new(written: &'a ast::Matching) -> Self {
        let labels = &written.labels;
        Self {
            on: written.on,
            labels: labels.iter().map(String::as_str).collect(),
            grouping: if written.on {
                Grouping::by(labels)
            } else {
                Grouping::without(labels)
            },
            many: written.many,
            include: &written.include,
        }
    }

    fn groups(&self, elements: &[Element]) -> Groups<'_, ()> {
        let mut groups = Groups::new(&self.grouping);
        for element in elements {
            groups.entry(&element.labels, || ());
        }
        groups
    }

    fn combine(&self, set: &SetOperator, left: &[Element], right: &[Element]) -> Vec<Element> {
        match set {
            SetOperator::And | SetOperator::Unless => {
                let wanted = matches!(set, SetOperator::And);
                let groups = self.groups(right);
                let kept = left
                    .iter()
                    .filter(|element| groups.get(&element.labels).is_some() == wanted);
                kept.cloned().collect()
            }
            SetOperator::Or => {
                let groups = self.groups(left);
                let added = right
                    .iter()
                    .filter(|element| groups.get(&element.labels).is_none());
                left.iter().chain(added).cloned().collect()
            }
        }
    }

    /// Matches each element of the "many" side (the left one, unless `group_right` is given) with the only one of its
    /// group on the other side.
    fn pair(
        &self,
        operator: &Computation,
        bool: bool,
        left: Vec<Element>,
        right: Vec<Element>,
    ) -> Result<Vec<Element>, EvalError> {
        if left.is_empty() || right.is_empty() {
            return Ok(Vec::new());
        }
        let swapped = self.many == Many::Right;
        let (many, one) = if swapped { (&right, &left) } else { (&left, &right) };
        let partners = self.partners(one, if swapped { "left" } else { "right" })?;
        let mut matched = Groups::new(&self.grouping);
        let mut given = HashSet::new();
        let mut results = Vec::with_capacity(many.len());
        for element in many {
            let Some(partner) = partners.get(&element.labels) else {
                continue;
            };
            let operands = if swapped {
                (partner.value, element.value)
            } else {
                (element.value, partner.value)
            };
            let Some(value) = operator.apply(bool, operands, operands.0) else {
                continue;
            };
            let labels = self.result_labels(element, partner, operator.drops_name(bool));
            if self.many == Many::Neither {
                if !matched.entry(&element.labels, || ()).1 {
                    return Err(EvalError(
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                            .to_owned(),
                    ));
                }
            } else if !given.insert(labels.clone()) {
                return Err(EvalError(format!(
                    "multiple matches for labels: grouping labels must ensure unique matches; {labels} comes twice"
                )));
            }
            results.push(Element { labels, value });
        }
        distinct(results)
    }

    /// The elements of the "one" side by their group, of which each may have only one.
    fn partners<'e>(&self, one: &'e [Element], side: &str) -> Result<Groups<'_, &'e Element>, EvalError> {
        let mut partners = Groups::new(&self.grouping);
        for element in one {
            let (first, new) = partners.entry(&element.labels, || element);
            if !new {
                return Err(EvalError(format!(
                    "found duplicate series for the match group {} on the {side} hand-side of the operation: \
                     [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                    braced(&self.grouping.key(&element.labels)),
                    braced(&element.labels),
                    braced(&first.labels)
                )));
            }
        }
        Ok(partners)
    }

    fn result_labels(&self, many: &Element, one: &Element, drop_name: bool) -> Labels {
        let mut labels = many.labels.clone();
        if drop_name {
            labels = labels.nameless();
        }
        match self.many {
            Many::Neither if self.on => labels.only(&self.labels),
            Many::Neither if self.labels.is_empty() => labels,
            Many::Neither => labels.without(&self.labels),
            Many::Left | Many::Right => self
                .include
                .iter()
                .fold(labels, |labels, name| labels.with(name, one.labels.get(name))),
        }
    }
}

/// A label set with its name inside of the braces, as Prometheus prints it in errors.
fn braced(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}
