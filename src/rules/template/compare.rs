//! Go's comparisons of two values in templates, NaN included.

use std::cmp::Ordering;

use gotmpl::Value;

/// `eq`: whether the first is equal to one of the others.
pub(super) fn equals_any(args: &[Value]) -> Result<bool, String> {
    let (first, others) = args
        .split_first()
        .ok_or("wrong number of args for eq: want at least 1 got 0")?;
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether two values are equal.
pub(super) fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(match (a, b) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        _ => order(a, b)? == Some(Ordering::Equal),
    })
}

/// Whether the first is the smaller.
pub(super) fn less(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(order(a, b)? == Some(Ordering::Less))
}

/// Whether the first is the smaller, or they are equal.
pub(super) fn less_or_equal(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(matches!(order(a, b)?, Some(Ordering::Less | Ordering::Equal)))
}

/// How two values of one kind are ordered; none when one is NaN.
fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    // Signed and unsigned numbers compare with each other.
    let whole = |value: &Value| match value {
        Value::Int(number) => Some(i128::from(*number)),
        Value::Uint(number) => Some(i128::from(*number)),
        _ => None,
    };
    if let (Some(a), Some(b)) = (whole(a), whole(b)) {
        return Ok(Some(a.cmp(&b)));
    }
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::String(a), Value::String(b)) => Ok(Some(a.cmp(b))),
        _ if [a, b].iter().all(|value| is_basic(value)) => {
            Err("incompatible types for comparison".to_owned())
        }
        _ => Err("invalid type for comparison".to_owned()),
    }
}

fn is_basic(value: &Value) -> bool {
    matches!(
        value,
        Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Float(_) | Value::String(_)
    )
}
