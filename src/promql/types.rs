//! What functions take and give, and whether the operands of an expression fit.

use super::ValueKind::{self, Matrix, Scalar, String, Vector};
use super::ast::{Aggregation, Expr, Link, Many};

/// What a function takes and gives.
pub(super) struct Signature {
    pub(super) name: &'static str,
    /// The kinds of its arguments. Further ones are of the last kind.
    args: &'static [ValueKind],
    /// The fewest arguments, and the most, where there is a bound.
    least: usize,
    most: Option<usize>,
    returns: ValueKind,
}

const fn exactly(name: &'static str, args: &'static [ValueKind], returns: ValueKind) -> Signature {
    optional(name, args, 0, returns)
}

/// The last `count` arguments may be left out.
const fn optional(
    name: &'static str,
    args: &'static [ValueKind],
    count: usize,
    returns: ValueKind,
) -> Signature {
    Signature {
        name,
        args,
        least: args.len() - count,
        most: Some(args.len()),
        returns,
    }
}

/// Of `names`, a signature each.
macro_rules! signatures {
    ($($name:literal $args:expr => $returns:ident $(, optional $count:literal)?;)*) => {
        &[$(signatures!(@one $name, $args, $returns $(, $count)?)),*]
    };
    (@one $name:literal, $args:expr, $returns:ident) => { exactly($name, &$args, $returns) };
    (@one $name:literal, $args:expr, $returns:ident, $count:literal) => {
        optional($name, &$args, $count, $returns)
    };
}

/// The functions of Prometheus 3.5, but for `label_join`, which takes any number of labels.
const SIGNATURES: &[Signature] = signatures! {
    "abs" [Vector] => Vector;
    "absent" [Vector] => Vector;
    "absent_over_time" [Matrix] => Vector;
    "acos" [Vector] => Vector;
    "acosh" [Vector] => Vector;
    "asin" [Vector] => Vector;
    "asinh" [Vector] => Vector;
    "atan" [Vector] => Vector;
    "atanh" [Vector] => Vector;
    "avg_over_time" [Matrix] => Vector;
    "ceil" [Vector] => Vector;
    "changes" [Matrix] => Vector;
    "clamp" [Vector, Scalar, Scalar] => Vector;
    "clamp_max" [Vector, Scalar] => Vector;
    "clamp_min" [Vector, Scalar] => Vector;
    "cos" [Vector] => Vector;
    "cosh" [Vector] => Vector;
    "count_over_time" [Matrix] => Vector;
    "day_of_month" [Vector] => Vector, optional 1;
    "day_of_week" [Vector] => Vector, optional 1;
    "day_of_year" [Vector] => Vector, optional 1;
    "days_in_month" [Vector] => Vector, optional 1;
    "deg" [Vector] => Vector;
    "delta" [Matrix] => Vector;
    "deriv" [Matrix] => Vector;
    "exp" [Vector] => Vector;
    "floor" [Vector] => Vector;
    "histogram_fraction" [Scalar, Scalar, Vector] => Vector;
    "histogram_quantile" [Scalar, Vector] => Vector;
    "hour" [Vector] => Vector, optional 1;
    "idelta" [Matrix] => Vector;
    "increase" [Matrix] => Vector;
    "irate" [Matrix] => Vector;
    "label_replace" [Vector, String, String, String, String] => Vector;
    "last_over_time" [Matrix] => Vector;
    "ln" [Vector] => Vector;
    "log10" [Vector] => Vector;
    "log2" [Vector] => Vector;
    "max_over_time" [Matrix] => Vector;
    "min_over_time" [Matrix] => Vector;
    "minute" [Vector] => Vector, optional 1;
    "month" [Vector] => Vector, optional 1;
    "pi" [] => Scalar;
    "predict_linear" [Matrix, Scalar] => Vector;
    "present_over_time" [Matrix] => Vector;
    "quantile_over_time" [Scalar, Matrix] => Vector;
    "rad" [Vector] => Vector;
    "rate" [Matrix] => Vector;
    "resets" [Matrix] => Vector;
    "round" [Vector, Scalar] => Vector, optional 1;
    "scalar" [Vector] => Scalar;
    "sgn" [Vector] => Vector;
    "sin" [Vector] => Vector;
    "sinh" [Vector] => Vector;
    "sort" [Vector] => Vector;
    "sort_desc" [Vector] => Vector;
    "sqrt" [Vector] => Vector;
    "stddev_over_time" [Matrix] => Vector;
    "stdvar_over_time" [Matrix] => Vector;
    "sum_over_time" [Matrix] => Vector;
    "tan" [Vector] => Vector;
    "tanh" [Vector] => Vector;
    "time" [] => Scalar;
    "timestamp" [Vector] => Vector;
    "vector" [Scalar] => Vector;
    "year" [Vector] => Vector, optional 1;
};

const LABEL_JOIN: Signature = Signature {
    name: "label_join",
    args: &[Vector, String, String, String],
    least: 3,
    most: None,
    returns: Vector,
};

/// Functions and aggregations that Prometheus 3.5 has only behind a feature flag.
const EXPERIMENTAL: &[&str] = &[
    "double_exponential_smoothing",
    "info",
    "limit_ratio",
    "limitk",
    "mad_over_time",
    "sort_by_label",
    "sort_by_label_desc",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
];

/// Functions of native histograms, which are not supported here.
const NATIVE: &[&str] = &[
    "histogram_avg",
    "histogram_count",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
];

/// Whether a function or an aggregation is experimental in Prometheus.
pub(super) fn is_experimental(name: &str) -> bool {
    EXPERIMENTAL.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The function of this name.
///
/// # Errors
/// Why it cannot be used.
pub(super) fn signature(name: &str) -> Result<&'static Signature, std::string::String> {
    let mut known = SIGNATURES.iter().chain([&LABEL_JOIN]);
    if let Some(signature) = known.find(|signature| signature.name == name) {
        return Ok(signature);
    }
    Err(if is_experimental(name) {
        format!("function {name:?} is not enabled: it is experimental in Prometheus 3.5")
    } else if NATIVE.contains(&name) {
        format!("function {name:?} is for native histograms, which are not supported")
    } else {
        format!("unknown function with name {name:?}")
    })
}

/// What a function gives.
pub(super) fn returns(name: &str) -> ValueKind {
    signature(name).map_or(Vector, |signature| signature.returns)
}

/// The word for a kind of value in Prometheus' messages.
pub(super) const fn word(kind: ValueKind) -> &'static str {
    match kind {
        Scalar => "scalar",
        String => "string",
        Vector => "instant vector",
        Matrix => "range vector",
    }
}

/// Whether a call's arguments fit.
///
/// # Errors
/// In words, and which argument is to blame; none for their number.
pub(super) fn check_call(
    signature: &Signature,
    args: &[Expr],
) -> Result<(), (Option<usize>, std::string::String)> {
    let Signature {
        name, least, most, ..
    } = signature;
    let given = args.len();
    let expected = match most {
        Some(most) if least == most && given != *most => Some(format!("{most}")),
        _ if given < *least => Some(format!("at least {least}")),
        Some(most) if given > *most => Some(format!("at most {most}")),
        _ => None,
    };
    if let Some(expected) = expected {
        let message = format!("expected {expected} argument(s) in call to {name:?}, got {given}");
        return Err((None, message));
    }
    let last = signature.args.last();
    for (at, arg) in args.iter().enumerate() {
        let (got, due) = (arg.kind(), signature.args.get(at).or(last));
        if let Some(due) = due.filter(|due| **due != got) {
            let (due, got) = (word(*due), word(got));
            let message = format!("expected type {due} in call to function {name:?}, got {got}");
            return Err((Some(at), message));
        }
    }
    Ok(())
}

/// The kind of an aggregation's parameter, when it has one.
pub(super) const fn parameter(op: Aggregation) -> Option<ValueKind> {
    match op {
        Aggregation::Topk | Aggregation::Bottomk | Aggregation::Quantile => Some(Scalar),
        Aggregation::CountValues => Some(String),
        _ => None,
    }
}

/// What an operator gives of operands of these kinds.
pub(super) const fn combined(left: ValueKind, right: ValueKind) -> ValueKind {
    match (left, right) {
        (Scalar, Scalar) => Scalar,
        _ => Vector,
    }
}

/// Whether the operands of an operator fit it and its modifiers.
///
/// # Errors
/// In words, and whether the operator is to blame and not the whole expression.
pub(super) fn check_link(left: ValueKind, link: &Link) -> Result<(), (bool, std::string::String)> {
    let Link { op, matching, .. } = link;
    let kinds = [left, link.right.kind()];
    let scalars = kinds == [Scalar, Scalar];
    let name = op.text();
    let operator = |message: &str| Err((true, message.to_owned()));
    let whole = |message: std::string::String| Err((false, message));
    if link.bool && !op.is_comparison() {
        return operator("bool modifier can only be used on comparison operators");
    }
    if op.is_comparison() && !link.bool && scalars {
        return operator("comparisons between scalars must use BOOL modifier");
    }
    if op.is_set() && matching.many != Many::Neither {
        return whole(format!("no grouping allowed for {name:?} operation"));
    }
    if matching.on
        && let Some(label) = matching
            .include
            .iter()
            .find(|label| matching.labels.contains(label))
    {
        return operator(&format!(
            "label {label:?} must not occur in ON and GROUP clause at once"
        ));
    }
    if kinds.iter().any(|kind| !matches!(kind, Scalar | Vector)) {
        return whole("binary expression must contain only scalar and instant vector types".to_owned());
    }
    if kinds.contains(&Scalar) {
        if !matching.labels.is_empty() {
            return whole("vector matching only allowed between instant vectors".to_owned());
        }
        if op.is_set() {
            return whole(format!(
                "set operator {name:?} not allowed in binary scalar expression"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::functions;
    use super::*;

    #[test]
    fn every_function_has_a_signature_and_a_body() {
        let mut signed: Vec<&str> = SIGNATURES
            .iter()
            .chain([&LABEL_JOIN])
            .map(|signature| signature.name)
            .collect();
        signed.sort_unstable();
        let mut known: Vec<&str> = functions::names().collect();
        known.sort_unstable();
        assert_eq!(signed, known);
    }
}
