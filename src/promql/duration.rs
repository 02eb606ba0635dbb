//! Prometheus' durations: `1h30m`, `15s`, `0`.

use std::time::Duration;

/// The units, longest first, in milliseconds. Each may occur once, in this order.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads a duration.
///
/// # Errors
/// In words, with the grammar.
pub fn parse(text: &str) -> Result<Duration, String> {
    let refused = || {
        format!(
            "{text:?} is not a duration; expected whole numbers with the units y, w, d, h, m, s, ms in that order, \
             such as 5m or 1h30m"
        )
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(refused());
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest
            .find(|letter: char| !letter.is_ascii_digit())
            .ok_or_else(refused)?;
        let letters = rest[digits..].find(|letter: char| letter.is_ascii_digit());
        let end = letters.map_or(rest.len(), |letters| digits + letters);
        let (_, millis) = units
            .find(|(unit, _)| *unit == &rest[digits..end])
            .ok_or_else(refused)?;
        if digits == 0 {
            return Err(refused());
        }
        let too_long = || format!("the duration {text:?} is too long");
        let number: u64 = rest[..digits].parse().map_err(|_| too_long())?;
        let part = number.checked_mul(*millis).ok_or_else(too_long)?;
        total = total.checked_add(part).ok_or_else(too_long)?;
        rest = &rest[end..];
    }
    // Prometheus counts in nanoseconds in an i64.
    if total > i64::MAX as u64 / 1_000_000 {
        return Err(format!("the duration {text:?} is too long"));
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration as Prometheus does: `1h30m`, `15s`, `0s`. Years and weeks only where nothing is left over.
pub fn format(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, length) in UNITS {
        let exact_only = matches!(unit, "y" | "w");
        if millis < length || (exact_only && millis % length != 0) {
            continue;
        }
        text += &format!("{}{unit}", millis / length);
        millis %= length;
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_prometheus_reads() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("2w", 1_209_600_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_what_prometheus_refuses() {
        for text in [
            "",
            "5",
            "m",
            "1.5h",
            "-1m",
            "30m1h",
            "1m1m",
            "1 m",
            "5min",
            "300y",
            "99999999999999999999s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn writes_as_prometheus_does() {
        for (seconds, text) in [
            (0, "0s"),
            (90, "1m30s"),
            (86_400, "1d"),
            (90_000, "1d1h"),
            (1_209_600, "2w"),
        ] {
            assert_eq!(format(Duration::from_secs(seconds)), text);
        }
    }
}
