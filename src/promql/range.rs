//! Functions over a range of each series.

use super::functions::Call;
use super::number::{self, KahanSum};
use super::value::{Point, RangeVector, Value, distinct};
use super::{Element, EvalError};
use crate::model::Timestamp;

/// A gap at an edge of the window counts as a regular one up to this multiple of the average distance of two points.
const EXTRAPOLATION_LIMIT: f64 = 1.1;

/// Makes one value, or none, of a series' points in the window after the first time and through the second.
pub(super) type Compute = fn(points: &[Point], after: Timestamp, through: Timestamp) -> Option<f64>;

/// The functions that need the points of one series at a time, and nothing else.
const COMPUTED: &[(&str, Compute)] = &[
    ("rate", |points, after, through| {
        extrapolate(points, after, through, Change::Rate)
    }),
    ("increase", |points, after, through| {
        extrapolate(points, after, through, Change::Increase)
    }),
    ("delta", |points, after, through| {
        extrapolate(points, after, through, Change::Delta)
    }),
    ("irate", |points, _, _| instant_rate(points)),
    ("idelta", |points, _, _| instant_delta(points)),
    ("deriv", |points, _, _| derivative(points)),
    ("changes", |points, _, _| Some(changes(points))),
    ("resets", |points, _, _| Some(resets(points))),
    ("avg_over_time", |points, _, _| Some(number::mean(values(points)))),
    ("sum_over_time", |points, _, _| Some(number::sum(values(points)))),
    ("min_over_time", |points, _, _| {
        Some(values(points).fold(f64::NAN, number::smaller))
    }),
    ("max_over_time", |points, _, _| {
        Some(values(points).fold(f64::NAN, number::larger))
    }),
    ("count_over_time", |points, _, _| Some(points.len() as f64)),
    ("present_over_time", |_, _, _| Some(1.0)),
    ("stddev_over_time", |points, _, _| {
        Some(number::compensated_variance(values(points)).sqrt())
    }),
    ("stdvar_over_time", |points, _, _| {
        Some(number::compensated_variance(values(points)))
    }),
];

/// The names of these functions.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    COMPUTED.iter().map(|(name, _)| *name)
}

/// What one of these functions computes, if it is one.
pub(super) fn computed(name: &str) -> Option<Compute> {
    let found = COMPUTED.iter().find(|(known, _)| *known == name);
    found.map(|(_, compute)| *compute)
}

/// Calls one of these functions; the name of each series goes.
pub(super) fn apply<'a>(call: &Call<'a, '_>) -> Result<Value<'a>, EvalError> {
    let compute = computed(call.name)
        .ok_or_else(|| EvalError(format!("the function {} is not supported", call.name)))?;
    let matrix = call.matrix(0)?;
    each(matrix, |points| compute(points, matrix.after, matrix.through))
}

fn each<'a>(
    matrix: &RangeVector<'_>,
    compute: impl Fn(&[Point]) -> Option<f64>,
) -> Result<Value<'a>, EvalError> {
    let elements = matrix.series.iter().filter_map(|series| {
        let value = compute(&series.points)?;
        Some(Element {
            labels: series.labels.nameless(),
            value,
        })
    });
    let elements = elements.collect();
    if matrix.one_name {
        return Ok(Value::Vector(elements));
    }
    distinct(elements).map(Value::Vector)
}

fn values(points: &[Point]) -> impl Iterator<Item = f64> {
    points.iter().map(|point| point.value)
}

/// `last_over_time`: a sample as it is, so that the name stays.
pub(super) fn last<'a>(call: &Call<'a, '_>) -> Result<Value<'a>, EvalError> {
    let elements = call.matrix(0)?.series.iter().filter_map(|series| {
        Some(Element {
            labels: series.labels.clone(),
            value: series.points.last()?.value,
        })
    });
    Ok(Value::Vector(elements.collect()))
}

pub(super) fn quantile<'a>(call: &Call<'a, '_>) -> Result<Value<'a>, EvalError> {
    let q = call.scalar(0)?;
    each(call.matrix(1)?, |points| {
        Some(number::quantile(q, values(points).collect()))
    })
}

/// Neighbouring points.
fn pairs(points: &[Point]) -> impl Iterator<Item = (f64, f64)> {
    points.windows(2).map(|pair| (pair[0].value, pair[1].value))
}

fn changes(points: &[Point]) -> f64 {
    let changed = |(a, b): &(f64, f64)| a != b && !(a.is_nan() && b.is_nan());
    pairs(points).filter(changed).count() as f64
}

fn resets(points: &[Point]) -> f64 {
    pairs(points).filter(|(a, b)| b < a).count() as f64
}

/// What `rate`, `increase` and `delta` differ in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Per second, of a counter.
    Rate,
    /// Of a counter.
    Increase,
    /// Of a gauge.
    Delta,
}

/// The change over the window, extrapolated from the first and last point to its edges.
fn extrapolate(points: &[Point], after: Timestamp, through: Timestamp, change: Change) -> Option<f64> {
    let [first, .., last] = points else {
        return None;
    };
    let counter = change != Change::Delta;
    let mut difference = last.value - first.value;
    if counter {
        // A counter that fell began anew from zero: what it had counted before is added.
        difference += pairs(points).filter(|(a, b)| b < a).map(|(a, _)| a).sum::<f64>();
    }
    let between = |from: Timestamp, to: Timestamp| to.millis().saturating_sub(from.millis()) as f64 / 1000.0;
    let mut to_start = between(after, first.time);
    let mut to_end = between(last.time, through);
    let sampled = between(first.time, last.time);
    let average = sampled / (points.len() - 1) as f64;
    let limit = average * EXTRAPOLATION_LIMIT;
    if to_start >= limit {
        to_start = average / 2.0;
    }
    if counter && difference > 0.0 && first.value >= 0.0 {
        // A counter is never extrapolated to below zero.
        to_start = to_start.min(sampled * (first.value / difference));
    }
    if to_end >= limit {
        to_end = average / 2.0;
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if change == Change::Rate {
        factor /= between(after, through);
    }
    Some(difference * factor)
}

/// The last two points and the seconds between them, or none.
fn last_two(points: &[Point]) -> Option<(f64, f64, f64)> {
    let [.., before, last] = points else {
        return None;
    };
    let millis = last.time.millis() - before.time.millis();
    (millis > 0).then(|| (before.value, last.value, millis as f64 / 1000.0))
}

fn instant_rate(points: &[Point]) -> Option<f64> {
    let (before, last, seconds) = last_two(points)?;
    let counted = if last < before { last } else { last - before };
    Some(counted / seconds)
}

fn instant_delta(points: &[Point]) -> Option<f64> {
    let (before, last, _) = last_two(points)?;
    Some(last - before)
}

fn derivative(points: &[Point]) -> Option<f64> {
    Some(regression(points, points.first()?.time)?.0)
}

pub(super) fn predict_linear<'a>(call: &Call<'a, '_>) -> Result<Value<'a>, EvalError> {
    let seconds = call.scalar(1)?;
    each(call.matrix(0)?, |points| {
        let (slope, intercept) = regression(points, call.at)?;
        Some(slope * seconds + intercept)
    })
}

/// Slope per second, and value at `at`, of the least squares line. None of fewer than two points.
fn regression(points: &[Point], at: Timestamp) -> Option<(f64, f64)> {
    let [first, _, ..] = points else {
        return None;
    };
    if points.iter().all(|point| point.value == first.value) {
        return Some(if first.value.is_infinite() {
            (f64::NAN, f64::NAN)
        } else {
            (0.0, first.value)
        });
    }
    let total = |of: fn(f64, f64) -> f64| {
        let terms = points.iter().map(|point| {
            let seconds = point.time.millis().saturating_sub(at.millis()) as f64 / 1000.0;
            of(seconds, point.value)
        });
        terms.fold(KahanSum::default(), KahanSum::add).value()
    };
    let n = points.len() as f64;
    let (sum_x, sum_y) = (total(|x, _| x), total(|_, y| y));
    let covariance = total(|x, y| x * y) - sum_x * sum_y / n;
    let variance = total(|x, _| x * x) - sum_x * sum_x / n;
    let slope = covariance / variance;
    Some((slope, sum_y / n - slope * sum_x / n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(pairs: &[(i64, f64)]) -> Vec<Point> {
        let point = |(seconds, value): &(i64, f64)| Point {
            time: Timestamp::from_millis(seconds * 1000),
            value: *value,
        };
        pairs.iter().map(point).collect()
    }

    fn increase(pairs: &[(i64, f64)], seconds: i64) -> Option<f64> {
        let through = Timestamp::from_millis(seconds * 1000);
        extrapolate(
            &points(pairs),
            Timestamp::from_millis(0),
            through,
            Change::Increase,
        )
    }

    #[test]
    fn increases_reach_the_edges_of_the_window() {
        assert_eq!(increase(&[(15, 100.0), (30, 110.0), (45, 120.0)], 60), Some(40.0));
        assert_eq!(increase(&[(15, 100.0)], 60), None);
    }

    #[test]
    fn a_counter_reset_never_makes_an_increase_negative() {
        assert_eq!(increase(&[(0, 10.0), (30, 1.0), (60, 3.0)], 60), Some(3.0));
    }

    #[test]
    fn a_counter_is_not_extrapolated_below_zero() {
        assert_eq!(increase(&[(15, 0.0), (30, 10.0), (45, 20.0)], 60), Some(30.0));
    }

    #[test]
    fn a_line_through_two_points() {
        let (slope, intercept) =
            regression(&points(&[(0, 1.0), (10, 21.0)]), Timestamp::from_millis(10_000)).unwrap();
        assert_eq!((slope, intercept), (2.0, 21.0));
        assert_eq!(regression(&points(&[(0, 1.0)]), Timestamp::from_millis(0)), None);
    }

    #[test]
    fn changes_and_resets() {
        let points = points(&[(0, 1.0), (1, f64::NAN), (2, f64::NAN), (3, 1.0), (4, 0.0)]);
        assert_eq!(changes(&points), 3.0);
        assert_eq!(resets(&points), 1.0);
    }
}
