//! Durations in text, as Prometheus and Go write them.

use std::time::Duration;

/// Nanoseconds of each unit, longest first: the order in which a duration is written.
const UNITS: [(&str, f64); 9] = [
    ("y", 365.0 * 86_400e9),
    ("w", 7.0 * 86_400e9),
    ("d", 86_400e9),
    ("h", 3_600e9),
    ("m", 60e9),
    ("s", 1e9),
    ("ms", 1e6),
    ("us", 1e3),
    ("ns", 1.0),
];

/// Reads `5s`, `1m30s`, `1h`, and, as etcdctl's variables may hold them, `1.5s`. A number needs its unit, except 0.
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut nanos) = (text, 0.0);
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_ends);
        let unit_ends = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_ends);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        nanos += number.parse::<f64>().ok()? * scale;
        rest = after;
    }
    // Above 2^53 ns (104 days) the sum is off by some nanoseconds, which no setting can notice.
    (!text.is_empty() && nanos < u64::MAX as f64).then(|| Duration::from_nanos(nanos.round() as u64))
}

/// Writes a duration so that Prometheus and `parse` read it: `1m30s`. Below a millisecond it is cut.
pub fn format(duration: Duration) -> String {
    let mut millis = duration.as_millis();
    let mut text = String::new();
    for (unit, length) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ] {
        if millis >= length {
            text += &format!("{}{unit}", millis / length);
            millis %= length;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, millis, written) in [
            ("5s", 5000, "5s"),
            ("1m30s", 90_000, "1m30s"),
            ("90s", 90_000, "1m30s"),
            ("1h", 3_600_000, "1h"),
            ("1.5s", 1500, "1s500ms"),
            ("2m0s", 120_000, "2m"),
            ("1w", 604_800_000, "7d"),
            ("250ms", 250, "250ms"),
            ("0", 0, "0s"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(format(duration), written, "{text}");
            assert_eq!(parse(written), Some(duration));
        }
    }

    #[test]
    fn refuses_what_is_not_a_duration() {
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "5sec",
            "1..5s",
            "abc",
            "99999999999y",
            "5s ",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
