//! The evidence of a problem, with present values.

use super::Evidence;
use crate::model::Timestamp;
use crate::promql::{Query, QueryValue, Source};
use crate::rules::{self, convention::parse_evidence};

/// Reads an `evidence` annotation and evaluates each line at `now`.
///
/// A line that does not parse is kept with its text and no value, so that nothing that the rule's author wrote is lost;
/// `rules check` refuses such lines in the first place.
pub(super) fn evaluate(annotation: &str, source: &dyn Source, now: Timestamp) -> Vec<Evidence> {
    let lines = annotation.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.flat_map(|line| of_line(line, source, now)).collect()
}

fn of_line(line: &str, source: &dyn Source, now: Timestamp) -> Vec<Evidence> {
    let Ok(parsed) = parse_evidence(line) else {
        let (expr, unit, reference) = (String::new(), String::new(), String::new());
        return vec![Evidence {
            text: line.to_owned(),
            expr,
            value: None,
            unit,
            reference,
        }];
    };
    let evidence = parsed.into_iter().map(|line| Evidence {
        value: value_of(&line.expr, source, now),
        text: line.text,
        expr: line.expr,
        unit: line.unit,
        reference: line.reference,
    });
    evidence.collect()
}

/// The single number that an expression gives, if it gives one.
fn value_of(expr: &str, source: &dyn Source, now: Timestamp) -> Option<f64> {
    let query = Query::parse(expr).ok()?;
    match query.instant(source, now, &rules::OPTIONS).ok()? {
        QueryValue::Scalar(value) => Some(value),
        QueryValue::Vector(elements) => match elements.as_slice() {
            [only] => Some(only.value),
            _ => None,
        },
        QueryValue::String(_) | QueryValue::Matrix(_) => None,
    }
}
