//! Walks an expression at one time. `steps` does it for every step of a range.

use std::borrow::Cow;
use std::cell::Cell;
use std::time::Duration;

use super::ast::{self, Expr, Subquery, VectorSelector};
use super::functions::{self, Call};
use super::regex::Patterns;
use super::select::{Loaded, Span, reference, too_many};
use super::value::{RangeSeries, RangeVector, Series, Value, distinct};
use super::{Element, EvalError, Options, QueryValue, Selector, Source, TIMED_OUT, aggregate, binary};
use crate::model::Timestamp;

/// The value at one time.
pub(super) fn instant(
    expr: &Expr,
    selectors: &[Selector],
    source: &dyn Source,
    at: Timestamp,
    options: &Options,
) -> Result<QueryValue, EvalError> {
    let query = Span { from: at, to: at };
    let evaluation = Evaluation::new(expr, selectors, source, query, options)?;
    Ok(evaluation.value(expr, at)?.into_result())
}

/// The values at each step of `query`, as series sorted by their labels.
pub(super) fn range(
    expr: &Expr,
    selectors: &[Selector],
    source: &dyn Source,
    query: Span,
    step: Duration,
    options: &Options,
) -> Result<Vec<Series>, EvalError> {
    if step < Duration::from_millis(1) {
        return Err(EvalError(
            "the step of a range query must be at least 1 ms".to_owned(),
        ));
    }
    let evaluation = Evaluation::new(expr, selectors, source, query, options)?;
    let series = evaluation.steps(expr, query, step)?.into_iter();
    let series = series.map(|(labels, points)| Series {
        labels,
        points: points.into(),
    });
    Ok(series.collect())
}

/// One query while it is evaluated.
pub(super) struct Evaluation<'q> {
    source: &'q dyn Source,
    pub(super) loaded: Loaded,
    pub(super) query: Span,
    pub(super) options: &'q Options,
    /// Points loaded and made so far.
    spent: Cell<usize>,
    patterns: Patterns,
}

impl<'q> Evaluation<'q> {
    fn new(
        expr: &Expr,
        selectors: &[Selector],
        source: &'q dyn Source,
        query: Span,
        options: &'q Options,
    ) -> Result<Self, EvalError> {
        let loaded = Loaded::new(expr, selectors, source, query, options)?;
        Ok(Self {
            spent: Cell::new(loaded.points),
            patterns: Patterns::default(),
            source,
            loaded,
            query,
            options,
        })
    }

    /// Counts points that are made: no more than the options allow.
    pub(super) fn spend(&self, points: usize) -> Result<(), EvalError> {
        let spent = self.spent.get().saturating_add(points);
        self.spent.set(spent);
        if spent > self.options.max_samples {
            return Err(too_many(self.options.max_samples));
        }
        Ok(())
    }

    /// Ends the evaluation when its time is over.
    pub(super) fn go_on(&self) -> Result<(), EvalError> {
        if self.source.given_up() {
            return Err(EvalError(TIMED_OUT.to_owned()));
        }
        Ok(())
    }

    /// The value of an expression at one time.
    pub(super) fn value(&self, expr: &Expr, at: Timestamp) -> Result<Value<'_>, EvalError> {
        self.go_on()?;
        match expr {
            Expr::Number(number) => Ok(Value::Scalar(*number)),
            Expr::String(text) => Ok(Value::String(text.clone())),
            Expr::Paren(inner) => self.value(inner, at),
            Expr::Vector(selector) => Ok(Value::Vector(self.select(selector, at))),
            Expr::Matrix(selector) => {
                let time = reference(selector.vector.place, at, self.query);
                let range = self.loaded.range(&selector.vector, selector.range, time);
                Ok(Value::Matrix(range))
            }
            Expr::Subquery(subquery) => self.subquery(subquery, at),
            Expr::Negation(_) | Expr::Call(_) | Expr::Aggregate(_) | Expr::Binary(_) => {
                let operands = expr.children().into_iter();
                let operands = operands.map(|operand| self.value(operand, at));
                self.apply(expr, operands.collect::<Result<_, _>>()?, at)
            }
        }
    }

    /// The value of an operator, function or aggregation at one time, from those of its operands in the order in which they
    /// are written.
    pub(super) fn apply<'a>(
        &'a self,
        expr: &Expr,
        operands: Vec<Value<'a>>,
        at: Timestamp,
    ) -> Result<Value<'a>, EvalError> {
        let mut operands = operands.into_iter();
        let mut next = || {
            let missing = || EvalError("an operand is missing".to_owned());
            operands.next().ok_or_else(missing)
        };
        match expr {
            Expr::Negation(_) => negated(next()?),
            Expr::Call(call) => self.call(call, operands.collect(), at),
            Expr::Aggregate(aggregate) => {
                let param = match &aggregate.param {
                    Some(_) => Some(next()?),
                    None => None,
                };
                aggregate::apply(aggregate, param, vector(next()?)?).map(Value::Vector)
            }
            Expr::Binary(binary) => {
                let first = next()?;
                let mut links = binary.links.iter();
                links.try_fold(first, |left, link| binary::apply(link, left, next()?))
            }
            _ => self.value(expr, at),
        }
    }

    fn select(&self, selector: &VectorSelector, at: Timestamp) -> Vec<Element> {
        let time = reference(selector.place, at, self.query);
        let newest = self.loaded.newest(selector, time);
        newest
            .map(|(labels, point)| Element {
                labels: labels.clone(),
                value: point.value,
            })
            .collect()
    }

    fn call<'a>(
        &'a self,
        call: &ast::Call,
        args: Vec<Value<'a>>,
        at: Timestamp,
    ) -> Result<Value<'a>, EvalError> {
        let name = call.name;
        if let ("timestamp", Some(arg)) = (name, call.args.first())
            && let Expr::Vector(selector) = arg.unwrapped()
        {
            return self.timestamps(selector, at).map(Value::Vector);
        }
        let body = functions::find(name)
            .ok_or_else(|| EvalError(format!("the function {name} is not supported")))?;
        body(&Call {
            name,
            args,
            exprs: &call.args,
            at,
            patterns: &self.patterns,
        })
    }

    /// `timestamp()` of a plain selector: when the samples themselves were taken.
    fn timestamps(&self, selector: &VectorSelector, at: Timestamp) -> Result<Vec<Element>, EvalError> {
        let time = reference(selector.place, at, self.query);
        let newest = self.loaded.newest(selector, time);
        let elements = newest.map(|(labels, point)| Element {
            labels: labels.nameless(),
            value: point.time.seconds(),
        });
        distinct(elements.collect())
    }

    /// The inner expression at every multiple of the step in the window.
    fn subquery(&self, subquery: &Subquery, at: Timestamp) -> Result<Value<'_>, EvalError> {
        let through = reference(subquery.place, at, self.query);
        let after = through.minus(subquery.range);
        let step = subquery.step.unwrap_or(self.options.subquery_step);
        let step_millis = i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1);
        // The first multiple of the step after the window's start. Integer division truncates towards zero.
        let mut first = step_millis * (after.millis() / step_millis);
        if first <= after.millis() {
            first = first.saturating_add(step_millis);
        }
        let span = Span {
            from: Timestamp::from_millis(first),
            to: through,
        };
        let series = self.steps(&subquery.expr, span, step)?;
        let series = series.into_iter().map(|(labels, points)| RangeSeries {
            labels,
            points: Cow::Owned(points),
        });
        Ok(Value::Matrix(RangeVector {
            after,
            through,
            series: series.collect(),
            one_name: false,
        }))
    }
}

/// The elements of a value that has to be an instant vector.
pub(super) fn vector(value: Value<'_>) -> Result<Vec<Element>, EvalError> {
    match value {
        Value::Vector(elements) => Ok(elements),
        other => Err(EvalError(format!(
            "expected an instant vector, got a {}",
            other.kind()
        ))),
    }
}

fn negated(value: Value<'_>) -> Result<Value<'_>, EvalError> {
    if let Value::Scalar(number) = value {
        return Ok(Value::Scalar(-number));
    }
    let elements = vector(value)?.into_iter().map(|element| Element {
        labels: element.labels.nameless(),
        value: -element.value,
    });
    distinct(elements.collect()).map(Value::Vector)
}
