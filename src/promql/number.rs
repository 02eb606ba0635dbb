//! Arithmetic as Prometheus does it: compensated sums, means that do not overflow, Go's order of numbers.

/// A sum with Kahan's compensation in Neumaier's form.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct KahanSum {
    sum: f64,
    compensation: f64,
}

impl KahanSum {
    pub(super) fn add(self, value: f64) -> Self {
        let sum = self.sum + value;
        let compensation = if sum.is_infinite() {
            0.0
        } else if self.sum.abs() >= value.abs() {
            self.compensation + ((self.sum - sum) + value)
        } else {
            self.compensation + ((value - sum) + self.sum)
        };
        Self { sum, compensation }
    }

    pub(super) fn value(self) -> f64 {
        self.sum + self.compensation
    }

    fn scaled(self, factor: f64) -> Self {
        Self {
            sum: self.sum * factor,
            compensation: self.compensation * factor,
        }
    }

    fn divided(self, by: f64) -> Self {
        Self {
            sum: self.sum / by,
            compensation: self.compensation / by,
        }
    }
}

pub(super) fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(KahanSum::default(), KahanSum::add).value()
}

/// The mean: the sum over the count, and where the sum would overflow, a running mean. NaN of no values.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let mut total = KahanSum::default();
    let mut running: Option<KahanSum> = None;
    let mut count = 0.0;
    for value in values {
        count += 1.0;
        let before = match running {
            Some(mean) => mean,
            None => {
                let next = total.add(value);
                if count == 1.0 || !next.sum.is_infinite() {
                    total = next;
                    continue;
                }
                total.divided(count - 1.0)
            }
        };
        // An infinite mean stays as it is unless the value is the other infinity or NaN.
        let kept = before.sum.is_infinite()
            && (value.is_finite() || (value.is_infinite() && value.signum() == before.sum.signum()));
        running = Some(if kept {
            before
        } else {
            before.scaled((count - 1.0) / count).add(value / count)
        });
    }
    match running {
        Some(mean) => mean.value(),
        None => {
            let mean = total.divided(count);
            mean.sum + mean.compensation
        }
    }
}

/// The population variance by Welford's method, without compensation, as aggregations do it.
pub(super) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        if count == 1.0 {
            mean = value;
            squares = if value.is_finite() { 0.0 } else { f64::NAN };
        } else {
            let delta: f64 = value - mean;
            mean += delta / count;
            squares += delta * (value - mean);
        }
    }
    squares / count
}

/// The population variance by Welford's method with compensated sums, as functions over time do it.
pub(super) fn compensated_variance(values: impl Iterator<Item = f64>) -> f64 {
    let mut count = 0.0;
    let (mut mean, mut squares) = (KahanSum::default(), KahanSum::default());
    for value in values {
        count += 1.0;
        let delta = value - mean.value();
        mean = mean.add(delta / count);
        squares = squares.add(delta * (value - mean.value()));
    }
    squares.value() / count
}

/// The `q` quantile with linear interpolation; NaN sorts first. NaN of no values.
pub(super) fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(nan_first);
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = (rank.floor() as usize).min(last);
    let upper = (lower + 1).min(last);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// Rising order with NaN before everything.
pub(super) fn nan_first(a: &f64, b: &f64) -> std::cmp::Ordering {
    a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// The larger; NaN only when both are.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if b > a || a.is_nan() { b } else { a }
}

/// The smaller; NaN only when both are.
pub(super) fn smaller(a: f64, b: f64) -> f64 {
    if b < a || a.is_nan() { b } else { a }
}

/// A number as Go's shortest `%f` prints it: no exponent, `+Inf`, `-Inf`, `NaN`.
pub(super) fn decimal(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        format!("{value}")
    }
}

/// A number as Go's shortest `%g` prints it: with an exponent, of at least two digits, below 1e-4 and from 1e6 on.
pub fn format_general(value: f64) -> String {
    if !value.is_finite() {
        return decimal(value);
    }
    // Rust's `{:e}` gives the shortest digits too, as in `-1.25e-7`.
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return decimal(value);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// A number with an exponent of at least two digits, as Go's shortest `%e` (or `%E`) prints it.
pub fn format_exponential(value: f64, letter: char) -> String {
    if !value.is_finite() {
        return decimal(value);
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{mantissa}{letter}{sign}{exponent:0>2}")
}

/// A histogram's bound as Prometheus 3 writes it into `le`, and a summary's into `quantile`: always a float.
pub fn format_bound(bound: f64) -> String {
    let mut text = format_general(bound);
    if bound.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_do_not_lose_small_terms() {
        assert_eq!(sum([1.0, 1e100, 1.0, -1e100].into_iter()), 2.0);
        assert_eq!(sum([f64::INFINITY, 1.0].into_iter()), f64::INFINITY);
    }

    #[test]
    fn means_do_not_overflow() {
        let big = f64::MAX;
        assert!((mean([big, big, big].into_iter()) / big - 1.0).abs() < 1e-15);
        assert_eq!(mean([f64::INFINITY, 1.0].into_iter()), f64::INFINITY);
        assert!(mean([f64::INFINITY, f64::NEG_INFINITY].into_iter()).is_nan());
        assert_eq!(mean([1.0, 2.0].into_iter()), 1.5);
    }

    #[test]
    fn quantiles_interpolate_and_put_nan_first() {
        assert_eq!(quantile(0.5, vec![3.0, 1.0]), 2.0);
        assert_eq!(quantile(1.0, vec![f64::NAN, 1.0]), 1.0);
        assert_eq!(quantile(-0.1, vec![1.0]), f64::NEG_INFINITY);
        assert!(quantile(0.5, Vec::new()).is_nan());
    }

    #[test]
    fn decimals_have_no_exponent() {
        assert_eq!(decimal(1e21), "1000000000000000000000");
        assert_eq!(decimal(0.000_001), "0.000001");
        assert_eq!(decimal(f64::INFINITY), "+Inf");
    }

    #[test]
    fn general_numbers_are_written_as_go_does() {
        for (value, text) in [
            (123_456.0, "123456"),
            (1_234_567.0, "1.234567e+06"),
            (1e8, "1e+08"),
            (1e-7, "1e-07"),
            (0.000_012_34, "1.234e-05"),
            (0.0001, "0.0001"),
            (0.0, "0"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(format_general(value), text);
        }
    }

    #[test]
    fn exponents_have_two_digits_at_least() {
        let shown = [6.0, 12.0, -0.25, 1e100, 0.0, f64::INFINITY].map(|value| format_exponential(value, 'E'));
        assert_eq!(shown, ["6E+00", "1.2E+01", "-2.5E-01", "1E+100", "0E+00", "+Inf"]);
    }

    #[test]
    fn bounds_are_floats() {
        assert_eq!(
            [1.0, 0.001, 1e6, f64::INFINITY].map(format_bound),
            ["1.0", "0.001", "1e+06", "+Inf"]
        );
    }
}
