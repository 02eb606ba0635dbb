//! Walks an expression at one time, or at each step of a range.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::time::Duration;

use hashbrown::HashMap;

use super::aggregate::KnownGroups;
use super::ast::{self, Expr, Subquery, VectorSelector};
use super::functions::{self, Call};
use super::regex::Patterns;
use super::select::{Loaded, Span, reference, too_many};
use super::value::{Point, RangeSeries, RangeVector, Series, Value, distinct};
use super::{Element, EvalError, Options, QueryValue, Selector, Source, TIMED_OUT, aggregate, binary};
use crate::model::{Labels, Timestamp};

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

struct Evaluation<'q> {
    source: &'q dyn Source,
    loaded: Loaded,
    query: Span,
    options: &'q Options,
    /// Points loaded and made so far.
    spent: Cell<usize>,
    /// What each aggregation knows of its groups, by its place in the expression.
    groups: RefCell<HashMap<*const ast::Aggregate, KnownGroups>>,
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
            groups: RefCell::default(),
            patterns: Patterns::default(),
            source,
            loaded,
            query,
            options,
        })
    }

    fn spend(&self, points: usize) -> Result<(), EvalError> {
        let spent = self.spent.get().saturating_add(points);
        self.spent.set(spent);
        if spent > self.options.max_samples {
            return Err(too_many(self.options.max_samples));
        }
        Ok(())
    }

    fn value(&self, expr: &Expr, at: Timestamp) -> Result<Value<'_>, EvalError> {
        if self.source.given_up() {
            return Err(EvalError(TIMED_OUT.to_owned()));
        }
        match expr {
            Expr::Number(number) => Ok(Value::Scalar(*number)),
            Expr::String(text) => Ok(Value::String(text.clone())),
            Expr::Paren(inner) => self.value(inner, at),
            Expr::Negation(inner) => negated(self.value(inner, at)?),
            Expr::Vector(selector) => Ok(Value::Vector(self.select(selector, at))),
            Expr::Matrix(selector) => {
                let time = reference(selector.vector.place, at, self.query);
                let range = self.loaded.range(&selector.vector, selector.range, time);
                Ok(Value::Matrix(range))
            }
            Expr::Subquery(subquery) => self.subquery(subquery, at),
            Expr::Call(call) => self.call(call, at),
            Expr::Aggregate(aggregate) => {
                let param = match &aggregate.param {
                    Some(param) => Some(self.value(param, at)?),
                    None => None,
                };
                let elements = vector(self.value(&aggregate.expr, at)?)?;
                let mut known = self.groups.borrow_mut();
                let known = known.entry(std::ptr::from_ref(aggregate)).or_default();
                aggregate::apply(aggregate, param, elements, known).map(Value::Vector)
            }
            Expr::Binary(binary) => {
                let first = self.value(&binary.first, at)?;
                binary.links.iter().try_fold(first, |left, link| {
                    binary::apply(link, left, self.value(&link.right, at)?)
                })
            }
        }
    }

    fn select(&self, selector: &VectorSelector, at: Timestamp) -> Vec<Element> {
        let time = reference(selector.place, at, self.query);
        let newest = self.loaded.newest(selector, time);
        newest
            .map(|(series, point)| Element {
                labels: series.labels.clone(),
                value: point.value,
            })
            .collect()
    }

    fn call(&self, call: &ast::Call, at: Timestamp) -> Result<Value<'_>, EvalError> {
        let name = call.name;
        if let ("timestamp", Some(arg)) = (name, call.args.first())
            && let Expr::Vector(selector) = arg.unwrapped()
        {
            return self.timestamps(selector, at).map(Value::Vector);
        }
        let body = functions::find(name)
            .ok_or_else(|| EvalError(format!("the function {name} is not supported")))?;
        let exprs = &call.args;
        let args = exprs
            .iter()
            .map(|arg| self.value(arg, at))
            .collect::<Result<_, _>>()?;
        body(&Call {
            name,
            args,
            exprs,
            at,
            patterns: &self.patterns,
        })
    }

    /// `timestamp()` of a plain selector: when the samples themselves were taken.
    fn timestamps(&self, selector: &VectorSelector, at: Timestamp) -> Result<Vec<Element>, EvalError> {
        let time = reference(selector.place, at, self.query);
        let newest = self.loaded.newest(selector, time);
        let elements = newest.map(|(series, point)| Element {
            labels: series.labels.nameless(),
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

    /// Evaluates at every step of `span` and puts the elements of equal labels together into series, sorted by them.
    fn steps(&self, expr: &Expr, span: Span, step: Duration) -> Result<Vec<(Labels, Vec<Point>)>, EvalError> {
        // So many steps would be too much even if each gave but one sample: said at once, not after most of them.
        let steps = span.to.since(span.from).as_millis() / step.as_millis().max(1);
        if steps >= self.options.max_samples as u128 {
            return Err(too_many(self.options.max_samples));
        }
        let mut series: HashMap<Labels, Vec<Point>> = HashMap::new();
        let mut time = span.from;
        while time <= span.to {
            let elements = match self.value(expr, time)? {
                Value::Scalar(value) => vec![Element {
                    labels: Labels::empty(),
                    value,
                }],
                other => vector(other)?,
            };
            // One more, so that steps without any element are bounded too.
            self.spend(elements.len() + 1)?;
            for Element { labels, value } in elements {
                series.entry(labels).or_default().push(Point { time, value });
            }
            let next = time.plus(step);
            if next == time {
                break;
            }
            time = next;
        }
        let mut series: Vec<_> = series.into_iter().collect();
        series.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(series)
    }
}

fn vector(value: Value<'_>) -> Result<Vec<Element>, EvalError> {
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
