//! Quantiles and fractions of classic histograms.

use std::collections::HashMap;

use super::functions::{Call, parse_number};
use super::value::{Value, distinct};
use super::{Element, EvalError};
use crate::model::Labels;

const BOUND: &str = "le";

/// Counts of neighbouring buckets that differ by less than this, relatively, are the same number after a sum of
/// floats in another order.
const SAME_COUNT: f64 = 1e-12;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    bound: f64,
    /// Observations at or under the bound.
    count: f64,
}

/// `histogram_quantile(q, buckets)`
pub(super) fn quantile<'a>(call: &Call<'a, '_>) -> Result<Value<'a>, EvalError> {
    let q = call.scalar(0)?;
    each(call.vector(1)?, |buckets| bucket_quantile(q, buckets))
}

/// `histogram_fraction(lower, upper, buckets)`
pub(super) fn fraction<'a>(call: &Call<'a, '_>) -> Result<Value<'a>, EvalError> {
    let (lower, upper) = (call.scalar(0)?, call.scalar(1)?);
    each(call.vector(2)?, |buckets| bucket_fraction(lower, upper, buckets))
}

/// Puts the buckets of each histogram together, sorted. Elements whose `le` is no number are left out.
fn each<'a>(elements: &[Element], compute: impl Fn(Vec<Bucket>) -> f64) -> Result<Value<'a>, EvalError> {
    let mut histograms: Vec<(Labels, Vec<Bucket>)> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for element in elements {
        let Some(bound) = parse_number(element.labels.get(BOUND)) else {
            continue;
        };
        // With the name: histograms of two names are two, and clash below.
        let labels = element.labels.without(&[BOUND]);
        let place = *places.entry(labels.clone()).or_insert(histograms.len());
        if place == histograms.len() {
            histograms.push((labels, Vec::new()));
        }
        histograms[place].1.push(Bucket {
            bound,
            count: element.value,
        });
    }
    let elements = histograms.into_iter().map(|(labels, mut buckets)| {
        buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
        Element {
            labels: labels.nameless(),
            value: compute(coalesced(buckets)),
        }
    });
    distinct(elements.collect()).map(Value::Vector)
}

/// Buckets of one bound, written differently (`1` and `1.0`), become one with the sum of their counts.
fn coalesced(buckets: Vec<Bucket>) -> Vec<Bucket> {
    let mut merged: Vec<Bucket> = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        match merged.last_mut() {
            Some(last) if last.bound == bucket.bound => last.count += bucket.count,
            _ => merged.push(bucket),
        }
    }
    merged
}

/// Counts never fall: scrapes and sums are not atomic.
fn make_monotonic(buckets: &mut [Bucket]) {
    let Some(mut highest) = buckets.first().map(|bucket| bucket.count) else {
        return;
    };
    for bucket in buckets {
        if bucket.count < highest || almost_equal(bucket.count, highest) {
            bucket.count = highest;
        } else {
            highest = bucket.count;
        }
    }
}

fn almost_equal(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() < SAME_COUNT * (a.abs() + b.abs())
}

fn ends_in_infinity(buckets: &[Bucket]) -> bool {
    buckets.last().is_some_and(|last| last.bound == f64::INFINITY)
}

fn bucket_quantile(q: f64, mut buckets: Vec<Bucket>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    make_monotonic(&mut buckets);
    let [finite @ .., top] = &*buckets else {
        return f64::NAN;
    };
    let (Some(highest), true) = (finite.last(), ends_in_infinity(&buckets)) else {
        return f64::NAN;
    };
    if top.count == 0.0 || top.count.is_nan() {
        return f64::NAN;
    }
    let rank = q * top.count;
    let at = finite.partition_point(|bucket| bucket.count < rank);
    match finite.get(at) {
        // Beyond the last finite bound nothing more is known.
        None => highest.bound,
        Some(first) if at == 0 && first.bound <= 0.0 => first.bound,
        Some(bucket) => {
            let below = at.checked_sub(1).map_or(
                Bucket {
                    bound: 0.0,
                    count: 0.0,
                },
                |before| finite[before],
            );
            let share = (rank - below.count) / (bucket.count - below.count);
            below.bound + (bucket.bound - below.bound) * share
        }
    }
}

fn bucket_fraction(lower: f64, upper: f64, buckets: Vec<Bucket>) -> f64 {
    let total = match buckets.last() {
        Some(last) if ends_in_infinity(&buckets) => last.count,
        _ => return f64::NAN,
    };
    if total == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, &buckets, total) - rank_of(lower, &buckets, total)) / total
}

/// How many observations are estimated to be at or under `value`.
fn rank_of(value: f64, buckets: &[Bucket], total: f64) -> f64 {
    let mut below = Bucket {
        bound: f64::NEG_INFINITY,
        count: 0.0,
    };
    // More than all there are it never is; NaN stays.
    let limited = |rank: f64| if rank > total { total } else { rank };
    for bucket in buckets {
        if below.bound >= value {
            return limited(below.count);
        }
        if bucket.bound > value {
            // The first bucket has no lower bound in Prometheus 3.5, unlike in later versions: NaN.
            let share = (value - below.bound) / (bucket.bound - below.bound);
            return limited(below.count + (bucket.count - below.count) * share);
        }
        below = *bucket;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs
            .iter()
            .map(|(bound, count)| Bucket {
                bound: *bound,
                count: *count,
            })
            .collect()
    }

    #[test]
    fn quantiles_interpolate_in_their_bucket() {
        let of = |q| bucket_quantile(q, buckets(&[(1.0, 5.0), (2.0, 10.0), (f64::INFINITY, 10.0)]));
        assert_eq!(of(0.25), 0.5);
        assert_eq!(of(0.75), 1.5);
        assert_eq!(of(1.0), 2.0);
    }

    #[test]
    fn beyond_the_last_finite_bound_is_that_bound() {
        assert_eq!(
            bucket_quantile(0.9, buckets(&[(1.0, 1.0), (f64::INFINITY, 10.0)])),
            1.0
        );
    }

    #[test]
    fn a_histogram_that_cannot_tell_gives_nan() {
        assert!(bucket_quantile(0.5, buckets(&[(1.0, 1.0), (2.0, 2.0)])).is_nan());
        assert!(bucket_quantile(0.5, buckets(&[(f64::INFINITY, 2.0)])).is_nan());
        assert!(bucket_quantile(0.5, buckets(&[(1.0, 0.0), (f64::INFINITY, 0.0)])).is_nan());
    }

    #[test]
    fn equal_bounds_add_up_and_counts_never_fall() {
        let merged = coalesced(buckets(&[(1.0, 2.0), (1.0, 3.0), (f64::INFINITY, 4.0)]));
        assert_eq!(merged.len(), 2);
        assert_eq!(bucket_quantile(0.5, merged), 0.5);
    }

    #[test]
    fn fractions_are_the_inverse_of_quantiles() {
        let all = || buckets(&[(1.0, 5.0), (2.0, 10.0), (f64::INFINITY, 10.0)]);
        assert_eq!(bucket_fraction(f64::NEG_INFINITY, 1.5, all()), 0.75);
        assert_eq!(bucket_fraction(1.0, 1.5, all()), 0.25);
        assert!(bucket_fraction(0.0, 1.5, all()).is_nan());
        assert_eq!(bucket_fraction(2.0, 1.0, all()), 0.0);
        assert!(bucket_fraction(f64::NAN, 1.0, all()).is_nan());
    }
}
