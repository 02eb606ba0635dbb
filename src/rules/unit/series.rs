//! The notation of made-up series: `1+2x3` is 1, 3, 5, 7; `_x2` two gaps; `stale` the end of a series.

use crate::model::stale_nan;
use crate::promql;

/// The most samples and gaps that one series may have: 11 days at an interval of a second.
const MAX_ITEMS: usize = 1_000_000;

/// The values, `None` for a gap.
///
/// # Errors
/// In words, naming the item that cannot be read.
pub(super) fn values(text: &str) -> Result<Vec<Option<f64>>, String> {
    let mut values = Vec::new();
    let items = text
        .trim_end()
        .split([' ', '\t', '\r'])
        .filter(|item| !item.is_empty());
    for item in items {
        if item.starts_with("{{") {
            return Err(format!("{item:?}: native histograms are not supported"));
        }
        let (first, step, count) = parts(item).ok_or_else(|| {
            format!("{item:?} is no item of a series, such as 1, 1x5, 1+2x5, _, _x5 or stale")
        })?;
        if count > MAX_ITEMS - values.len() {
            return Err(format!("{item:?}: a series has at most {MAX_ITEMS} samples"));
        }
        let mut next = first;
        for _ in 0..count {
            values.push(next);
            // A stale marker is told by its bits, which an addition might not keep.
            next = next.map(|value| step.map_or(value, |step| value + step));
        }
    }
    Ok(values)
}

/// The first value, what is added each time, and how many there are.
fn parts(item: &str) -> Option<(Option<f64>, Option<f64>, usize)> {
    // `x` occurs in no number, since these are never hexadecimal here.
    let (what, times) = match item.split_once('x') {
        None => (item, None),
        Some((what, times)) if times.bytes().all(|byte| byte.is_ascii_digit()) => {
            (what, Some(times.parse::<usize>().ok()?))
        }
        Some(_) => return None,
    };
    match what {
        "_" => return Some((None, None, times.unwrap_or(1))),
        "stale" if times.is_none() => return Some((Some(stale_nan()), None, 1)),
        _ => {}
    }
    let copies = times.map_or(1, |times| times.saturating_add(1));
    // As words `inf` and `nan` would take the x for one of their letters.
    let repeatable = |value: &f64| times.is_none() || value.is_finite();
    if let Some(value) = number(what) {
        repeatable(&value).then_some(())?;
        return Some((Some(value), None, copies));
    }
    // The sign between the two numbers is not the first one, and none of an exponent.
    let (at, _) = what
        .char_indices()
        .skip(1)
        .find(|(at, c)| matches!(c, '+' | '-') && !what[..*at].ends_with(['e', 'E']))?;
    times?;
    let step = number(&what[at..]).filter(repeatable)?;
    Some((Some(number(&what[..at])?), Some(step), copies))
}

/// A number that is not hexadecimal, with or without a sign, `Inf` or `NaN`.
fn number(text: &str) -> Option<f64> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (-1.0, unsigned),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match &*unsigned.to_ascii_lowercase() {
        "inf" => f64::INFINITY,
        "nan" => f64::NAN,
        other if other.starts_with("0x") => return None,
        _ => promql::number(unsigned)?,
    };
    Some(sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::is_stale;

    fn shown(text: &str) -> String {
        let shown = |value: &Option<f64>| match value {
            None => "_".to_owned(),
            Some(value) if is_stale(*value) => "stale".to_owned(),
            Some(value) => value.to_string(),
        };
        let values: Vec<String> = values(text).unwrap().iter().map(shown).collect();
        values.join(" ")
    }

    #[test]
    fn items_are_expanded() {
        for (text, expected) in [
            ("1 2.5 -3", "1 2.5 -3"),
            ("1x2", "1 1 1"),
            ("1+2x3", "1 3 5 7"),
            ("10-5x2", "10 5 0"),
            ("-2+1x2", "-2 -1 0"),
            ("1e2-1e1x1", "100 90"),
            ("_ 1 _x2 stale", "_ 1 _ _ stale"),
            ("NaN -Inf +inf", "NaN -inf inf"),
            ("Inf+1x1 1\t2\r3\n", "inf inf 1 2 3"),
            ("010 08 1_000", "8 8 1000"),
            ("", ""),
            // A hexadecimal number it is not.
            ("0+0x10", "0 0 0 0 0 0 0 0 0 0 0"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_item_is_named() {
        for text in [
            "a",
            "1y5",
            "1x",
            "1+2",
            "x5",
            "1x5x5",
            "1+x5",
            "{{schema:0}}",
            "1x99999999999",
            "--1",
            "0xg",
            "stalex2",
            "infx2",
            "NaNx2",
            "1+Infx2",
            "1__0",
            "_1",
            "0X10",
            "1_x2",
            "1e400",
            "1\n2",
            "1\u{a0}2",
        ] {
            let why = values(text).unwrap_err();
            assert!(
                ["is no item of a series", "native", "at most"]
                    .iter()
                    .any(|words| why.contains(words)),
                "{text}: {why}"
            );
        }
    }
}
