//! Whether two answers of the API say the same.

use std::collections::BTreeMap;

use serde_json::Value;

use super::pair::Answer;

/// Relative.
const TOLERANCE: f64 = 1e-9;

/// What differs between the answers to an expression. Errors are the same when their kinds are: their texts name the
/// series that a map happened to give first.
pub fn difference(expr: &str, theirs: &Answer, ours: &Answer) -> Option<String> {
    let kind = |answer: &Answer| (answer.status, answer.body["errorType"].clone());
    if kind(theirs) != kind(ours) {
        return Some(format!("theirs: {}\n  ours:   {}", told(theirs), told(ours)));
    }
    if theirs.status != 200 {
        return None;
    }
    let (theirs, ours) = (&theirs.body["data"], &ours.body["data"]);
    if theirs["resultType"] != ours["resultType"] {
        return Some(format!(
            "theirs is a {}, ours a {}",
            theirs["resultType"], ours["resultType"]
        ));
    }
    if !matches!(theirs["resultType"].as_str(), Some("vector" | "matrix")) {
        return points(&theirs["result"], &ours["result"]);
    }
    let ordered = ["sort(", "sort_desc("].iter().any(|sort| expr.starts_with(sort));
    if ordered && theirs["resultType"] == "vector" {
        let values = |data: &Value| -> Vec<Value> {
            data["result"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|element| element["value"].clone())
                .collect()
        };
        for (theirs, ours) in values(theirs).iter().zip(values(ours)) {
            if let Some(why) = points(theirs, &ours) {
                return Some(format!("in another order: {why}"));
            }
        }
    }
    series(&theirs["result"], &ours["result"])
}

/// What differs between the answers of another route: the texts of errors count, but for those of the parser.
pub fn page(theirs: &Answer, ours: &Answer) -> Option<String> {
    let mut bodies = [theirs.body.clone(), ours.body.clone()];
    for body in &mut bodies {
        let error = body["error"].as_str().unwrap_or_default();
        if error.contains("parse error") || error.contains("cannot parse the expression") {
            let parameter = error.split_once(": ").map(|(parameter, _)| parameter.to_owned());
            body["error"] = parameter.into();
        }
        if let Some(body) = body.as_object_mut() {
            body.remove("infos");
            // Series come in no particular order.
            if let Some(list) = body.get_mut("data").and_then(Value::as_array_mut) {
                list.sort_by_key(Value::to_string);
            }
        }
    }
    if theirs.status == ours.status && bodies[0] == bodies[1] {
        return None;
    }
    Some(format!(
        "theirs: {} {}\n  ours:   {} {}",
        theirs.status, theirs.body, ours.status, ours.body
    ))
}

fn told(answer: &Answer) -> String {
    match answer.body["error"].as_str() {
        Some(error) => format!("{} {error}", answer.status),
        None => format!("{} {}", answer.status, answer.body["data"]),
    }
}

fn series(theirs: &Value, ours: &Value) -> Option<String> {
    let by_labels = |result: &Value| -> BTreeMap<String, Value> {
        let series = result.as_array().cloned().unwrap_or_default().into_iter();
        let labels = |metric: &Value| {
            let pairs: BTreeMap<&String, &Value> = metric.as_object().into_iter().flatten().collect();
            format!("{pairs:?}")
        };
        series.map(|series| (labels(&series["metric"]), series)).collect()
    };
    let (theirs, ours) = (by_labels(theirs), by_labels(ours));
    for (labels, series) in &theirs {
        let Some(other) = ours.get(labels) else {
            return Some(format!("only theirs: {series}"));
        };
        for key in ["value", "values"] {
            if let Some(why) = points(&series[key], &other[key]) {
                return Some(format!("{labels}: {why}"));
            }
        }
    }
    let added = ours.iter().find(|(labels, _)| !theirs.contains_key(*labels));
    added.map(|(_, series)| format!("only ours: {series}"))
}

/// One point `[time,"value"]`, or a list of them.
fn points(theirs: &Value, ours: &Value) -> Option<String> {
    match (theirs, ours) {
        (Value::Array(one), Value::Array(other)) => {
            if one.len() != other.len() {
                return Some(format!(
                    "{} and {} points: theirs {theirs}, ours {ours}",
                    one.len(),
                    other.len()
                ));
            }
            one.iter().zip(other).find_map(|(one, other)| points(one, other))
        }
        (Value::String(one), Value::String(other)) => {
            let same = match (one.parse(), other.parse()) {
                (Ok(one), Ok(other)) => close(one, other),
                _ => one == other,
            };
            (!same).then(|| format!("theirs {one}, ours {other}"))
        }
        _ => (theirs != ours).then(|| format!("theirs {theirs}, ours {ours}")),
    }
}

fn close(one: f64, other: f64) -> bool {
    one == other
        || (one.is_nan() && other.is_nan())
        || (one.is_finite()
            && other.is_finite()
            && (one - other).abs() <= TOLERANCE * one.abs().max(other.abs()))
}

#[test]
fn close_numbers_are_the_same_and_others_are_not() {
    assert!(close(1.0, 1.0 + 1e-12) && close(f64::NAN, f64::NAN) && close(f64::INFINITY, f64::INFINITY));
    assert!(!close(1.0, 1.0 + 1e-6) && !close(1.0, f64::NAN) && !close(f64::INFINITY, f64::NEG_INFINITY));
}
