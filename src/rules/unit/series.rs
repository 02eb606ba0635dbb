//! The notation of made-up series: `1+2x3` is 1, 3, 5, 7; `_x2` two gaps; `stale` the end of a series.

use crate::model::stale_nan;

/// The most samples and gaps that one series may have: 11 days at an interval of a second.
const MAX_ITEMS: usize = 1_000_000;

/// The values, `None` for a gap.
///
/// # Errors
/// In words, naming the item that cannot be read.
pub(super) fn values(text: &str) -> Result<Vec<Option<f64>>, String> {
    let mut values = Vec::new();
    for item in text.split_whitespace() {
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
        "stale" => {
            return Some((
                Some(stale_nan()),
                None,
                times.map_or(1, |times| times.checked_add(1).unwrap_or(times)),
            ));
        }
        _ => {}
    }
    let copies = times.map_or(1, |times| times.saturating_add(1));
    if let Some(value) = number(what) {
        return Some((Some(value), None, copies));
    }
    // The sign between the two numbers is not the first one, and none of an exponent.
    let (at, _) = what
        .char_indices()
        .skip(1)
        .find(|(at, c)| matches!(c, '+' | '-') && !what[..*at].ends_with(['e', 'E']))?;
    times?;
    Some((Some(number(&what[..at])?), Some(number(&what[at..])?), copies))
}

/// A decimal number with or without a sign, `Inf` or `NaN`.
fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let special = ["inf", "nan"]
        .iter()
        .any(|word| unsigned.eq_ignore_ascii_case(word));
    if !special && !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    text.replace('_', "").parse().ok()
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
            ("stalex1", "stale stale"),
            ("NaN -Inf +inf", "NaN -inf inf"),
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
        ] {
            let why = values(text).unwrap_err();
            assert!(
                why.contains(text.split_whitespace().next().unwrap()),
                "{text}: {why}"
            );
        }
    }
}
