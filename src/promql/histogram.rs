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

/// What a histogram had counted at some time up to one of its bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    pub(super) bound: f64,
    /// Observations at or under the bound.
    pub(super) count: f64,
}

/// Computes one value of the buckets of one histogram, sorted by their bounds, with the numbers that come before them in the call.
pub(super) type Compute = fn(numbers: &[f64], buckets: Vec<Bucket>) -> f64;

/// What the functions on classic histograms compute: `histogram_quantile(q, buckets)`, `histogram_fraction(lower, upper,
/// buckets)`.
pub(super) fn computed(name: &str) -> Option<Compute> {
    match name {
        "histogram_quantile" => Some(|numbers, buckets| bucket_quantile(numbers[0], coalesced(buckets))),
        "histogram_fraction" => {
            Some(|numbers, buckets| bucket_fraction(numbers[0], numbers[1], coalesced(buckets)))
        }
        _ => None,
    }
}

/// Calls one of these functions.
pub(super) fn apply<'a>(call: &Call<'a, '_>) -> Result<Value<'a>, EvalError> {
    let compute = computed(call.name)
        .ok_or_else(|| EvalError(format!("the function {} is not supported", call.name)))?;
    let numbers = (0..call.args.len() - 1).map(|at| call.scalar(at));
    let numbers = numbers.collect::<Result<Vec<f64>, _>>()?;
    let elements = call.vector(numbers.len())?;
    let elements = elements.iter().map(|element| (&element.labels, element.value));
    let elements = histograms(elements).into_iter().map(|(labels, buckets)| {
        let bucket = |(bound, count)| Bucket { bound, count };
        Element {
            labels: labels.nameless(),
            value: compute(&numbers, buckets.into_iter().map(bucket).collect()),
        }
    });
    distinct(elements.collect()).map(Value::Vector)
}

/// Puts what belongs to the buckets of each histogram together, with their bounds and sorted by them. Series whose `le` is
/// no number are left out. The labels are with the name: histograms of two names are two.
pub(super) fn histograms<'l, T>(
    series: impl IntoIterator<Item = (&'l Labels, T)>,
) -> Vec<(Labels, Vec<(f64, T)>)> {
    let mut histograms: Vec<(Labels, Vec<(f64, T)>)> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for (labels, of) in series {
        let Some(bound) = parse_number(labels.get(BOUND)) else {
            continue;
        };
        let labels = labels.without(&[BOUND]);
        let place = *places.entry(labels.clone()).or_insert(histograms.len());
        if place == histograms.len() {
            histograms.push((labels, Vec::new()));
        }
        histograms[place].1.push((bound, of));
    }
    for (_, buckets) in &mut histograms {
        buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    }
    histograms
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
