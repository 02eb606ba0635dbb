//! An expression at every step of a range query or of a subquery.
//!
//! As far as it can be, this goes series by series and not step by step: the points of a series lie side by side, and its
//! labels and the group that it belongs to are worked out once. Everything else is evaluated step by step from what its
//! operands give at all of them.

use std::time::Duration;

use hashbrown::HashMap;

use super::ast::{Aggregate, Call, Expr, MatrixSelector, VectorSelector};
use super::eval::{Evaluation, vector};
use super::grouping::Groups;
use super::histogram::{self, Bucket};
use super::range;
use super::select::{Span, reference, too_many};
use super::value::{Point, Value, check_distinct};
use super::{Element, EvalError, ValueKind, aggregate};
use crate::model::{Labels, Timestamp};

/// The values of one series at the steps at which it has any.
pub(super) type Column = (Labels, Vec<Point>);

/// The times of the steps.
#[derive(Clone, Copy)]
struct Times {
    first: Timestamp,
    step: Duration,
    count: u64,
}

impl Times {
    fn iter(self) -> impl Iterator<Item = Timestamp> {
        let step = self.step.as_millis() as i64;
        let first = self.first.millis();
        (0..self.count as i64).map(move |at| Timestamp::from_millis(first + at * step))
    }
}

impl Evaluation<'_> {
    /// Evaluates at every step of `span` and puts the elements of equal labels together into series, sorted by them.
    pub(super) fn steps(&self, expr: &Expr, span: Span, step: Duration) -> Result<Vec<Column>, EvalError> {
        let more = span.to.since(span.from).as_millis() / step.as_millis().max(1);
        // So many steps would be too much even if each gave but one sample: said at once, not after most of them.
        if more >= self.options.max_samples as u128 {
            return Err(too_many(self.options.max_samples));
        }
        let times = Times {
            first: span.from,
            step,
            count: if span.from <= span.to { more as u64 + 1 } else { 0 },
        };
        let mut columns = self.columns(expr, times)?;
        columns.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(columns)
    }

    fn columns(&self, expr: &Expr, times: Times) -> Result<Vec<Column>, EvalError> {
        match expr {
            Expr::Paren(inner) => return self.columns(inner, times),
            Expr::Vector(selector) => return self.selected(selector, times),
            Expr::Aggregate(aggregate) => {
                if let Some(fold) = aggregate::fold(aggregate.op) {
                    return self.folded(aggregate, fold, times);
                }
            }
            Expr::Call(call) => {
                let last = call.args.last().map(Expr::unwrapped);
                if let (Some(compute), Some(Expr::Matrix(selector))) = (range::computed(call.name), last) {
                    return self.computed(selector, compute, times);
                }
                if let Some(compute) = histogram::computed(call.name) {
                    let columns = self.histograms(call, compute, times)?;
                    // Histograms that differ in their names only are one series, unless they have a step in common.
                    if check_distinct(columns.iter().map(|(labels, _)| labels)).is_ok() {
                        return Ok(columns);
                    }
                }
            }
            _ => {}
        }
        self.step_by_step(expr, times)
    }

    /// A plain selector.
    fn selected(&self, selector: &VectorSelector, times: Times) -> Result<Vec<Column>, EvalError> {
        let lookback = self.loaded.lookback;
        let mut columns = Vec::new();
        for held in self.loaded.of(selector) {
            let points = times.iter().filter_map(|time| {
                let through = reference(selector.place, time, self.query);
                let value = held.newest(through.minus(lookback), through)?.value;
                Some(Point { time, value })
            });
            self.keep(&mut columns, held.labels(), points.collect())?;
        }
        Ok(columns)
    }

    /// A function over a range of each series. Two series that differ in their names only are refused, even if they have no
    /// step in common: Prometheus does so, too.
    fn computed(
        &self,
        selector: &MatrixSelector,
        compute: range::Compute,
        times: Times,
    ) -> Result<Vec<Column>, EvalError> {
        let mut columns = Vec::new();
        for held in self.loaded.of(&selector.vector) {
            let points = times.iter().filter_map(|time| {
                let through = reference(selector.vector.place, time, self.query);
                let after = through.minus(selector.range);
                let points = held.points(after, through);
                if points.is_empty() {
                    return None;
                }
                let value = compute(&points, after, through)?;
                Some(Point { time, value })
            });
            self.keep(&mut columns, &held.labels().nameless(), points.collect())?;
        }
        if !selector.vector.has_one_name() {
            check_distinct(columns.iter().map(|(labels, _)| labels))?;
        }
        Ok(columns)
    }

    /// An aggregation that makes one value of each group's.
    fn folded(
        &self,
        aggregate: &Aggregate,
        fold: fn(&[f64]) -> f64,
        times: Times,
    ) -> Result<Vec<Column>, EvalError> {
        let members = self.columns(&aggregate.expr, times)?;
        let grouping = aggregate::grouping(aggregate);
        let mut groups = Groups::new(&grouping);
        for (labels, points) in &members {
            groups.entry(labels, Vec::new).0.push(Cursor::new(points));
        }
        let mut columns = Vec::new();
        let mut values = Vec::new();
        for (labels, mut members) in groups.into_groups() {
            let points = times.iter().filter_map(|time| {
                values.clear();
                values.extend(members.iter_mut().filter_map(|member| member.at(time)));
                let value = (!values.is_empty()).then(|| fold(&values))?;
                Some(Point { time, value })
            });
            self.keep(&mut columns, &labels, points.collect())?;
        }
        Ok(columns)
    }

    /// A function on classic histograms.
    fn histograms(
        &self,
        call: &Call,
        compute: histogram::Compute,
        times: Times,
    ) -> Result<Vec<Column>, EvalError> {
        let Some((buckets, numbers)) = call.args.split_last() else {
            return Ok(Vec::new());
        };
        let buckets = self.columns(buckets, times)?;
        let numbers = times.iter().map(|time| {
            let numbers = numbers.iter().map(|number| scalar(self.value(number, time)?));
            numbers.collect::<Result<Vec<f64>, EvalError>>()
        });
        let numbers = numbers.collect::<Result<Vec<_>, EvalError>>()?;
        let series = buckets
            .iter()
            .map(|(labels, points)| (labels, Cursor::new(points)));
        let mut columns = Vec::new();
        for (labels, mut buckets) in histogram::histograms(series) {
            let points = times.iter().zip(&numbers).filter_map(|(time, numbers)| {
                let buckets = buckets.iter_mut().filter_map(|(bound, bucket)| {
                    let (bound, count) = (*bound, bucket.at(time)?);
                    Some(Bucket { bound, count })
                });
                let buckets: Vec<Bucket> = buckets.collect();
                let value = (!buckets.is_empty()).then(|| compute(numbers, buckets))?;
                Some(Point { time, value })
            });
            self.keep(&mut columns, &labels.nameless(), points.collect())?;
        }
        Ok(columns)
    }

    /// What needs the elements of a step side by side.
    fn step_by_step(&self, expr: &Expr, times: Times) -> Result<Vec<Column>, EvalError> {
        let operands = expr.children().into_iter();
        let operands = operands.map(|operand| {
            Ok(match operand.kind() {
                ValueKind::Vector => Operand::Known(Known::new(self.columns(operand, times)?)),
                _ => Operand::Asked(operand),
            })
        });
        let mut operands = operands.collect::<Result<Vec<Operand<'_>>, EvalError>>()?;
        let mut gathered = Gathered::default();
        for time in times.iter() {
            self.go_on()?;
            let values = operands.iter_mut().map(|operand| match operand {
                Operand::Known(known) => Ok(Value::Vector(known.at(time))),
                Operand::Asked(expr) => self.value(expr, time),
            });
            let values = values.collect::<Result<_, _>>()?;
            let elements = match self.apply(expr, values, time)? {
                Value::Scalar(value) => vec![Element {
                    labels: Labels::empty(),
                    value,
                }],
                other => vector(other)?,
            };
            // One more, so that steps without any element are bounded too.
            self.spend(elements.len() + 1)?;
            gathered.add(time, elements);
        }
        Ok(gathered.columns)
    }

    /// Keeps the points of a series, if it has any.
    fn keep(&self, columns: &mut Vec<Column>, labels: &Labels, points: Vec<Point>) -> Result<(), EvalError> {
        self.go_on()?;
        self.spend(points.len() + 1)?;
        if !points.is_empty() {
            columns.push((labels.clone(), points));
        }
        Ok(())
    }
}

fn scalar(value: Value<'_>) -> Result<f64, EvalError> {
    match value {
        Value::Scalar(number) => Ok(number),
        other => Err(EvalError(format!("expected a scalar, got a {}", other.kind()))),
    }
}

/// The points of one series, taken step by step.
struct Cursor<'c> {
    rest: std::slice::Iter<'c, Point>,
}

impl<'c> Cursor<'c> {
    fn new(points: &'c [Point]) -> Self {
        Self { rest: points.iter() }
    }

    /// The value at this time, which is not before that of any call before.
    fn at(&mut self, time: Timestamp) -> Option<f64> {
        let next = self.rest.as_slice().first()?;
        if next.time != time {
            return None;
        }
        self.rest.next();
        Some(next.value)
    }
}

/// What an operand gives at each step.
enum Operand<'e> {
    /// A vector, of which everything is known.
    Known(Known),
    /// A number, a text or a range: evaluated at each step anew.
    Asked(&'e Expr),
}

/// The series of an operand, taken step by step.
struct Known {
    columns: Vec<Column>,
    /// How many points of each were taken.
    taken: Vec<usize>,
}

impl Known {
    fn new(columns: Vec<Column>) -> Self {
        Self {
            taken: vec![0; columns.len()],
            columns,
        }
    }

    /// The elements at this time, which is that of the step after the one before.
    fn at(&mut self, time: Timestamp) -> Vec<Element> {
        let columns = self.columns.iter().zip(&mut self.taken);
        let elements = columns.filter_map(|((labels, points), taken)| {
            let next = points.get(*taken).filter(|point| point.time == time)?;
            *taken += 1;
            Some(Element {
                labels: labels.clone(),
                value: next.value,
            })
        });
        elements.collect()
    }
}

/// Series that are put together step by step.
#[derive(Default)]
struct Gathered {
    columns: Vec<Column>,
    places: HashMap<Labels, usize>,
    /// The column of each element of the step before: mostly the same come again in the same order.
    before: Vec<usize>,
}

impl Gathered {
    fn add(&mut self, time: Timestamp, elements: Vec<Element>) {
        let mut before = std::mem::take(&mut self.before);
        before.resize(elements.len(), usize::MAX);
        for (Element { labels, value }, place) in elements.into_iter().zip(&mut before) {
            if self.columns.get(*place).is_none_or(|(known, _)| *known != labels) {
                *place = self.place(labels);
            }
            self.columns[*place].1.push(Point { time, value });
        }
        self.before = before;
    }

    fn place(&mut self, labels: Labels) -> usize {
        if let Some(place) = self.places.get(&labels) {
            return *place;
        }
        let place = self.columns.len();
        self.places.insert(labels.clone(), place);
        self.columns.push((labels, Vec::new()));
        place
    }
}
