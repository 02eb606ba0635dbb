//! A series' values as text, in the notation of promtool's unit tests: `1 1x3 _ stale`.
//!
//! One value for each point in time from the first on; `_` is none, `stale` the end of the series, and `1x3` a 1 and
//! three more. Numbers are the shortest that read back as the same.

use std::fmt::Write as _;

use crate::model::{is_stale, stale_nan};

/// Writes values. The first and the last are some.
pub(super) fn write(values: &[Option<f64>]) -> String {
    let mut text = String::new();
    let mut rest = values;
    while let [first, ..] = rest {
        let same = rest.iter().take_while(|other| is_same(**other, *first)).count();
        if !text.is_empty() {
            text.push(' ');
        }
        // Writing to a String cannot fail.
        let _ = match first {
            None => write!(text, "_"),
            Some(value) if is_stale(*value) => write!(text, "stale"),
            // Whichever NaN it is, it is one to PromQL.
            Some(value) if value.is_nan() => write!(text, "NaN"),
            Some(value) => write!(text, "{value}"),
        };
        if same > 1 {
            let _ = write!(text, "x{}", same - 1);
        }
        rest = &rest[same..];
    }
    text
}

fn is_same(one: Option<f64>, other: Option<f64>) -> bool {
    one.map(f64::to_bits) == other.map(f64::to_bits)
}

/// Reads values, at most `most` of them.
///
/// # Errors
/// In words, naming what is no value.
pub(super) fn read(text: &str, most: usize) -> Result<Vec<Option<f64>>, String> {
    let mut values = Vec::new();
    for word in text.split_ascii_whitespace() {
        let (value, times) = match word.split_once('x') {
            Some((value, more)) => (
                value,
                more.parse::<usize>().ok().and_then(|more| more.checked_add(1)),
            ),
            None => (word, Some(1)),
        };
        let (Some(value), Some(times)) = (number(value), times) else {
            return Err(format!("{word:?} is no value"));
        };
        if times > most - values.len() {
            return Err(format!("there are more than {most} values"));
        }
        values.resize(values.len() + times, value);
    }
    Ok(values)
}

/// A value, or that there is none.
fn number(word: &str) -> Option<Option<f64>> {
    match word {
        "_" => Some(None),
        "stale" => Some(Some(stale_nan())),
        _ => word.parse().ok().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let values = [
            Some(1.0),
            Some(1.0),
            Some(1.0),
            None,
            None,
            Some(0.1 + 0.2),
            Some(-0.0),
            Some(0.0),
            Some(f64::INFINITY),
            Some(f64::NEG_INFINITY),
            Some(1e300),
            Some(5e-324),
            Some(f64::NAN),
            Some(stale_nan()),
        ];
        let text = write(&values);
        assert!(
            text.starts_with("1x2 _x1 0.30000000000000004 -0 0 inf -inf 1"),
            "{text}"
        );
        assert!(text.ends_with(" NaN stale"), "{text}");
        let read = read(&text, values.len()).unwrap();
        let bits = |values: &[Option<f64>]| {
            values
                .iter()
                .map(|value| value.map(f64::to_bits))
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(&read), bits(&values));
    }

    #[test]
    fn what_is_too_much_or_no_value_is_refused_before_it_costs_memory() {
        assert_eq!(read("1x2", 3).unwrap().len(), 3);
        for (text, words) in [
            ("1x3", "more than 3 values"),
            ("1 1x18446744073709551615", "is no value"),
            ("1x18446744073709551614", "more than 3 values"),
            ("1x", "is no value"),
            ("x1", "is no value"),
            ("1 one", "\"one\" is no value"),
        ] {
            let error = read(text, 3).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
