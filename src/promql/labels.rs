//! Functions on labels: `label_replace`, `label_join`, `absent`.

use std::collections::HashSet;

use super::ast::{Expr, VectorSelector};
use super::functions::Call;
use super::regex::expand;
use super::value::{Value, distinct};
use super::{Element, EvalError, MatchOp};
use crate::model::Labels;

/// The longest value that a label may be given, in bytes: a replacement may name a long value thousands of times.
const MAX_VALUE: usize = 64 << 10;

/// `label_replace(v, dst, replacement, src, regex)`
pub(super) fn replace<'a>(call: &Call<'a, '_>) -> Result<Value<'a>, EvalError> {
    let (destination, replacement) = (call.string(1)?, call.string(2)?);
    let (source, written) = (call.string(3)?, call.string(4)?);
    let regex = call
        .patterns
        .get(written)
        .map_err(|error| EvalError(format!("invalid regular expression in label_replace(): {error}")))?;
    check_destination(call, destination)?;
    relabelled(call, |labels| {
        let Some(captures) = regex.captures(labels.get(source)) else {
            return Ok(labels.clone());
        };
        let value = expand(&captures, replacement, MAX_VALUE).ok_or_else(|| too_long(call))?;
        Ok(labels.with(destination, &value))
    })
}

/// `label_join(v, dst, separator, src…)`
pub(super) fn join<'a>(call: &Call<'a, '_>) -> Result<Value<'a>, EvalError> {
    let (destination, separator) = (call.string(1)?, call.string(2)?);
    check_destination(call, destination)?;
    let sources: Vec<&str> = (3..call.args.len())
        .map(|at| call.string(at))
        .collect::<Result<_, _>>()?;
    relabelled(call, |labels| {
        let values: Vec<&str> = sources.iter().map(|source| labels.get(source)).collect();
        let length = values
            .iter()
            .map(|value| value.len() + separator.len())
            .sum::<usize>();
        if length > MAX_VALUE {
            return Err(too_long(call));
        }
        Ok(labels.with(destination, &values.join(separator)))
    })
}

fn too_long(call: &Call<'_, '_>) -> EvalError {
    EvalError(format!(
        "{}() makes a value of more than {MAX_VALUE} bytes",
        call.name
    ))
}

fn check_destination(call: &Call<'_, '_>, destination: &str) -> Result<(), EvalError> {
    if destination.is_empty() {
        return Err(EvalError(format!(
            "invalid destination label name in {}(): it is empty",
            call.name
        )));
    }
    Ok(())
}

fn relabelled<'a>(
    call: &Call<'a, '_>,
    change: impl Fn(&Labels) -> Result<Labels, EvalError>,
) -> Result<Value<'a>, EvalError> {
    let elements = call.vector(0)?.iter().map(|element| {
        Ok(Element {
            labels: change(&element.labels)?,
            value: element.value,
        })
    });
    distinct(elements.collect::<Result<_, EvalError>>()?).map(Value::Vector)
}

/// `absent` and `absent_over_time`: 1 when there is nothing, with the labels that the selector asks for.
pub(super) fn absent<'a>(call: &Call<'a, '_>) -> Result<Value<'a>, EvalError> {
    let found = match call.args.first() {
        Some(Value::Matrix(matrix)) => !matrix.series.is_empty(),
        _ => !call.vector(0)?.is_empty(),
    };
    if found {
        return Ok(Value::Vector(Vec::new()));
    }
    let labels = match call.exprs.first().map(Expr::unwrapped) {
        Some(Expr::Vector(selector)) => asked_for(selector),
        Some(Expr::Matrix(selector)) => asked_for(&selector.vector),
        _ => Labels::empty(),
    };
    Ok(Value::Vector(vec![Element { labels, value: 1.0 }]))
}

/// The labels of `=` matchers, as Prometheus takes them: in the order written, another matcher of the label takes it
/// away again, and it does not come back unless the first `=` follows.
fn asked_for(selector: &VectorSelector) -> Labels {
    let mut wanted = Labels::empty();
    let mut taken = HashSet::new();
    for matcher in &selector.matchers {
        let equal = matcher.op == MatchOp::Equal && taken.insert(&*matcher.label);
        wanted = wanted.with(&matcher.label, if equal { &matcher.value } else { "" });
    }
    wanted.nameless()
}
