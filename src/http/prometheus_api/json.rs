//! The API's JSON as Prometheus writes it: times with three decimals or none, values as Go prints floats.
//!
//! Written by hand, since a range query gives a million numbers and no value tree is needed for them.

use std::fmt::Write;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::model::{Labels, Timestamp};

/// What is told when a limit of the client's own cut the answer off.
const TRUNCATED: &str = "results truncated due to limit";

/// A good answer: `write` writes its `data`.
pub(super) fn success(truncated: bool, write: impl FnOnce(&mut String)) -> Response {
    let mut body = String::from(r#"{"status":"success","data":"#);
    write(&mut body);
    if truncated {
        body.push_str(r#","warnings":["#);
        text(&mut body, TRUNCATED);
        body.push(']');
    }
    body.push('}');
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// A string.
pub(super) fn text(out: &mut String, text: &str) {
    // A string is never refused.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// `"name":` of a field that is not the first one.
pub(super) fn next(out: &mut String, name: &str) {
    let _ = write!(out, ",\"{name}\":");
}

/// Items between `open` and `close`, separated by commas.
pub(super) fn list<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    out.push(open);
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(close);
}

/// An array of strings.
pub(super) fn texts<'a>(out: &mut String, items: impl IntoIterator<Item = &'a str>) {
    list(out, ['[', ']'], items, text);
}

/// An object of strings.
pub(super) fn pairs<'a>(out: &mut String, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) {
    list(out, ['{', '}'], pairs, |out, (name, value)| {
        text(out, name);
        out.push(':');
        text(out, value);
    });
}

/// A label set.
pub(super) fn labels(out: &mut String, labels: &Labels) {
    pairs(out, labels.iter());
}

/// `[time,"value"]`
pub(super) fn point(out: &mut String, time: Timestamp, value: f64) {
    out.push('[');
    timestamp(out, time);
    out.push_str(",\"");
    number(out, value);
    out.push_str("\"]");
}

/// Seconds, with three decimals unless they are whole.
pub(super) fn timestamp(out: &mut String, time: Timestamp) {
    let millis = time.millis();
    if millis < 0 {
        out.push('-');
    }
    let millis = millis.unsigned_abs();
    let _ = write!(out, "{}", millis / 1000);
    if !millis.is_multiple_of(1000) {
        let _ = write!(out, ".{:03}", millis % 1000);
    }
}

/// A float as Go prints it: an exponent below 1e-6 and from 1e21 on.
pub(super) fn number(out: &mut String, value: f64) {
    let size = value.abs();
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value != 0.0 && !(1e-6..1e21).contains(&size) {
        scientific(out, value);
    } else {
        let _ = write!(out, "{value}");
    }
}

/// A float as Go's shortest `%e`: `1e+00`.
pub(super) fn scientific(out: &mut String, value: f64) {
    if !value.is_finite() {
        return number(out, value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    let _ = write!(out, "{mantissa}e{sign}{digits:0>2}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<T>(write: fn(&mut String, T), value: T) -> String {
        let mut out = String::new();
        write(&mut out, value);
        out
    }

    #[test]
    fn numbers_are_those_of_go() {
        for (value, fixed, exponent) in [
            (1.0, "1", "1e+00"),
            (0.0, "0", "0e+00"),
            (-0.0, "-0", "-0e+00"),
            (1234.5, "1234.5", "1.2345e+03"),
            (1e21, "1e+21", "1e+21"),
            (1e20, "100000000000000000000", "1e+20"),
            (1e-6, "0.000001", "1e-06"),
            (1.5e-7, "1.5e-07", "1.5e-07"),
            (-1e300, "-1e+300", "-1e+300"),
            (f64::NAN, "NaN", "NaN"),
            (f64::INFINITY, "+Inf", "+Inf"),
        ] {
            assert_eq!(written(number, value), fixed);
            assert_eq!(written(scientific, value), exponent);
        }
    }

    #[test]
    fn times_have_three_decimals_or_none() {
        for (millis, expected) in [
            (0, "0"),
            (1500, "1.500"),
            (1_795_628_572_744, "1795628572.744"),
            (7, "0.007"),
            (-1500, "-1.500"),
        ] {
            assert_eq!(written(timestamp, Timestamp::from_millis(millis)), expected);
        }
    }
}
