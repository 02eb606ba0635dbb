//! The table of functions, and those that work on one element at a time.

use super::ast::Expr;
use super::number::{larger, smaller};
use super::regex::Patterns;
use super::value::{RangeVector, Value, distinct};
use super::{Element, EvalError, dates, histogram, labels, range};
use crate::model::{Labels, Timestamp};

/// A call with its arguments evaluated.
pub(super) struct Call<'a, 'e> {
    pub(super) name: &'static str,
    pub(super) args: Vec<Value<'a>>,
    /// The arguments as written, for `absent`, which reads their matchers.
    pub(super) exprs: &'e [Expr],
    /// The time of the evaluation.
    pub(super) at: Timestamp,
    /// The regular expressions of this evaluation.
    pub(super) patterns: &'e Patterns,
}

type Body = for<'a> fn(&Call<'a, '_>) -> Result<Value<'a>, EvalError>;

/// Every function that Prometheus 3.5 has with its default flags, but for those that read native histograms only.
const FUNCTIONS: &[(&str, Body)] = &[
    // Of each element.
    ("abs", |call| call.map(f64::abs)),
    ("ceil", |call| call.map(f64::ceil)),
    ("floor", |call| call.map(f64::floor)),
    ("exp", |call| call.map(f64::exp)),
    ("sqrt", |call| call.map(f64::sqrt)),
    ("ln", |call| call.map(f64::ln)),
    ("log2", |call| call.map(f64::log2)),
    ("log10", |call| call.map(f64::log10)),
    ("sgn", |call| call.map(sign)),
    ("round", round),
    ("clamp", clamp),
    ("clamp_min", |call| {
        let least = call.scalar(1)?;
        call.map(|value| go_max(least, value))
    }),
    ("clamp_max", |call| {
        let most = call.scalar(1)?;
        call.map(|value| go_min(most, value))
    }),
    ("sin", |call| call.map(f64::sin)),
    ("cos", |call| call.map(f64::cos)),
    ("tan", |call| call.map(f64::tan)),
    ("asin", |call| call.map(f64::asin)),
    ("acos", |call| call.map(f64::acos)),
    ("atan", |call| call.map(f64::atan)),
    ("sinh", |call| call.map(f64::sinh)),
    ("cosh", |call| call.map(f64::cosh)),
    ("tanh", |call| call.map(f64::tanh)),
    ("asinh", |call| call.map(f64::asinh)),
    ("acosh", |call| call.map(f64::acosh)),
    ("atanh", |call| call.map(f64::atanh)),
    ("deg", |call| {
        call.map(|value| value * 180.0 / std::f64::consts::PI)
    }),
    ("rad", |call| {
        call.map(|value| value * std::f64::consts::PI / 180.0)
    }),
    // Between kinds of values.
    ("pi", |_| Ok(Value::Scalar(std::f64::consts::PI))),
    ("time", |call| Ok(Value::Scalar(call.at.seconds()))),
    ("scalar", scalar),
    ("vector", |call| Ok(unlabelled(call.scalar(0)?))),
    ("sort", |call| sort(call, |a, b| a.partial_cmp(&b))),
    ("sort_desc", |call| sort(call, |a, b| b.partial_cmp(&a))),
    ("timestamp", |call| {
        let now = call.at.seconds();
        call.map(|_| now)
    }),
    // Dates, in UTC.
    ("year", |call| dates::apply(call, |date| date.year)),
    ("month", |call| dates::apply(call, |date| date.month)),
    ("day_of_month", |call| dates::apply(call, |date| date.day)),
    ("day_of_week", |call| dates::apply(call, |date| date.weekday)),
    ("day_of_year", |call| dates::apply(call, |date| date.day_of_year)),
    ("days_in_month", |call| {
        dates::apply(call, |date| date.days_in_month)
    }),
    ("hour", |call| dates::apply(call, |date| date.hour)),
    ("minute", |call| dates::apply(call, |date| date.minute)),
    // Labels.
    ("label_replace", labels::replace),
    ("label_join", labels::join),
    ("absent", labels::absent),
    ("absent_over_time", labels::absent),
    // Classic histograms.
    ("histogram_quantile", histogram::apply),
    ("histogram_fraction", histogram::apply),
    // Of a range of each series, beside those that `range` has a table of.
    ("predict_linear", range::predict_linear),
    ("quantile_over_time", range::quantile),
    ("last_over_time", range::last),
];

/// The names of all functions.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name).chain(range::names())
}

/// The function of this name.
pub(super) fn find(name: &str) -> Option<Body> {
    if range::computed(name).is_some() {
        return Some(range::apply);
    }
    let found = FUNCTIONS.iter().find(|(known, _)| *known == name);
    found.map(|(_, body)| *body)
}

impl<'a> Call<'a, '_> {
    pub(super) fn scalar(&self, at: usize) -> Result<f64, EvalError> {
        match self.args.get(at) {
            Some(Value::Scalar(number)) => Ok(*number),
            other => Err(self.unexpected(at, "scalar", other)),
        }
    }

    pub(super) fn string(&self, at: usize) -> Result<&str, EvalError> {
        match self.args.get(at) {
            Some(Value::String(text)) => Ok(text),
            other => Err(self.unexpected(at, "string", other)),
        }
    }

    pub(super) fn vector(&self, at: usize) -> Result<&[Element], EvalError> {
        match self.args.get(at) {
            Some(Value::Vector(elements)) => Ok(elements),
            other => Err(self.unexpected(at, "instant vector", other)),
        }
    }

    pub(super) fn matrix(&self, at: usize) -> Result<&RangeVector<'a>, EvalError> {
        match self.args.get(at) {
            Some(Value::Matrix(matrix)) => Ok(matrix),
            other => Err(self.unexpected(at, "range vector", other)),
        }
    }

    /// Computes a new value for each element of the first argument; the name goes.
    pub(super) fn map(&self, compute: impl Fn(f64) -> f64) -> Result<Value<'a>, EvalError> {
        let elements = self.vector(0)?.iter().map(|element| Element {
            labels: element.labels.nameless(),
            value: compute(element.value),
        });
        distinct(elements.collect()).map(Value::Vector)
    }

    fn unexpected(&self, at: usize, expected: &str, got: Option<&Value<'_>>) -> EvalError {
        EvalError(format!(
            "argument {} of {} must be a {expected}, it is {}",
            at + 1,
            self.name,
            got.map_or("missing", Value::kind)
        ))
    }
}

/// A vector of one element without labels.
pub(super) fn unlabelled<'a>(value: f64) -> Value<'a> {
    Value::Vector(vec![Element {
        labels: Labels::empty(),
        value,
    }])
}

/// -1, 0 or 1; zeros and NaN stay as they are.
fn sign(value: f64) -> f64 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        value
    }
}

/// The larger; NaN when either is, unless the other is infinite and so the larger of any two.
fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        larger(a, b)
    }
}

/// The smaller; NaN when either is, unless the other is infinite and so the smaller of any two.
fn go_min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        smaller(a, b)
    }
}

fn round<'a>(call: &Call<'a, '_>) -> Result<Value<'a>, EvalError> {
    let to = if call.args.len() > 1 { call.scalar(1)? } else { 1.0 };
    // Multiplying by the inverse, as Prometheus does, keeps results such as 0.1 exact.
    let inverse = 1.0 / to;
    call.map(|value| (value * inverse + 0.5).floor() / inverse)
}

fn clamp<'a>(call: &Call<'a, '_>) -> Result<Value<'a>, EvalError> {
    let (least, most) = (call.scalar(1)?, call.scalar(2)?);
    if most < least {
        return Ok(Value::Vector(Vec::new()));
    }
    call.map(|value| go_max(least, go_min(most, value)))
}

fn scalar<'a>(call: &Call<'a, '_>) -> Result<Value<'a>, EvalError> {
    Ok(Value::Scalar(match call.vector(0)? {
        [only] => only.value,
        _ => f64::NAN,
    }))
}

/// NaN comes last in either order.
fn sort<'a>(
    call: &Call<'a, '_>,
    order: fn(f64, f64) -> Option<std::cmp::Ordering>,
) -> Result<Value<'a>, EvalError> {
    let mut elements = call.vector(0)?.to_vec();
    elements.sort_by(|a, b| {
        let by_value = || order(a.value, b.value).unwrap_or(std::cmp::Ordering::Equal);
        a.value.is_nan().cmp(&b.value.is_nan()).then_with(by_value)
    });
    Ok(Value::Vector(elements))
}

/// The bound of a histogram's bucket, or anything else that Go's `ParseFloat` reads.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_function_is_listed_twice() {
        let mut names: Vec<_> = names().collect();
        let listed = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), listed);
    }

    #[test]
    fn signs_keep_zero_and_nan() {
        assert_eq!(sign(-3.0), -1.0);
        assert!(sign(-0.0).is_sign_negative());
        assert!(sign(f64::NAN).is_nan());
        assert!(go_max(1.0, f64::NAN).is_nan() && go_max(f64::NEG_INFINITY, f64::NAN).is_nan());
        assert_eq!(go_max(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert_eq!(go_min(f64::NEG_INFINITY, f64::NAN), f64::NEG_INFINITY);
    }
}
