//! Numbers for people: bytes, durations, shares.

use std::time::Duration;

/// A value of an evidence in its unit: `1.95 GiB`, `93 ms`, `42.1%`, `12 entries`.
///
/// No number, as of a mean where nothing happened, is `nothing measured`.
pub(crate) fn quantity(value: f64, unit: &str) -> String {
    match unit {
        _ if value.is_nan() => "nothing measured".to_owned(),
        _ if value.is_infinite() => if value > 0.0 { "infinite" } else { "minus infinite" }.to_owned(),
        "bytes" => bytes(value),
        "bytes/s" | "bytes/second" | "bytes per second" => format!("{}/s", bytes(value)),
        "seconds" => seconds(value),
        "ratio" => format!("{}%", number(value * 100.0)),
        "0 or 1" if value == 0.0 => "no".to_owned(),
        "0 or 1" if value == 1.0 => "yes".to_owned(),
        "" => number(value),
        other if value == 1.0 => format!("1 {}", singular(other)),
        other => format!("{} {other}", number(value)),
    }
}

/// `members` → `member`, `entries` → `entry`.
fn singular(unit: &str) -> String {
    match (unit.strip_suffix("ies"), unit.strip_suffix('s')) {
        (Some(stem), _) => format!("{stem}y"),
        (None, Some(stem)) => stem.to_owned(),
        (None, None) => unit.to_owned(),
    }
}

/// A reference such as `>= 0.99` in the unit of its evidence; what is no comparison with one number stays as it is.
pub(crate) fn reference(reference: &str, unit: &str) -> String {
    let digits = reference.trim_start_matches(['<', '>', '=', '!', ' ']);
    let operator = reference[..reference.len() - digits.len()].trim();
    match digits.trim().parse::<f64>() {
        Ok(value) => format!("{operator} {}", quantity(value, unit))
            .trim_start()
            .to_owned(),
        Err(_) => reference.to_owned(),
    }
}

/// A size in binary units.
pub(super) fn bytes(value: f64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut scaled = value;
    let mut at = 0;
    while scaled.abs() >= 1024.0 && at + 1 < UNITS.len() {
        scaled /= 1024.0;
        at += 1;
    }
    format!("{} {}", number(scaled), UNITS[at])
}

/// How long something has lasted, in the one unit that matters: `42 s`, `3 min`, `5 h`, `12 days`.
pub(crate) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn seconds(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        0.0 => (0.0, "s"),
        size if size < 0.001 => (value * 1e6, "µs"),
        size if size < 1.0 => (value * 1e3, "ms"),
        size if size < 120.0 => (value, "s"),
        size if size < 7200.0 => (value / 60.0, "min"),
        size if size < 172_800.0 => (value / 3600.0, "h"),
        _ => (value / 86_400.0, "days"),
    };
    format!("{} {unit}", number(scaled))
}

/// Three significant digits, but never fewer than the whole part has: `0.0123`, `1.95`, `95.3`, `21450`.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    // f64 has less than 309 places before and 324 after the point.
    let magnitude = value.abs().log10().floor() as i32;
    let places = usize::try_from(2 - magnitude).unwrap_or(0).min(12);
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_in_the_unit_that_a_person_would_choose() {
        let cases = [
            (2_147_483_648.0, "bytes", "2 GiB"),
            (2_093_796_557.0, "bytes", "1.95 GiB"),
            (512.0, "bytes", "512 B"),
            (1_536_000.0, "bytes/s", "1.46 MiB/s"),
            (0.000_25, "seconds", "250 µs"),
            (0.0931, "seconds", "93.1 ms"),
            (1.5, "seconds", "1.5 s"),
            (5400.0, "seconds", "90 min"),
            (259_200.0, "seconds", "3 days"),
            (0.0, "seconds", "0 s"),
            (0.4213, "ratio", "42.1%"),
            (1.0, "ratio", "100%"),
            (21_450.0, "entries", "21450 entries"),
            (1.0, "entries", "1 entry"),
            (1.0, "members", "1 member"),
            (-2.0, "", "-2"),
            (0.012_345, "", "0.0123"),
            (0.0, "0 or 1", "no"),
            (1.0, "0 or 1", "yes"),
            (f64::NAN, "seconds", "nothing measured"),
            (f64::INFINITY, "bytes", "infinite"),
        ];
        for (value, unit, expected) in cases {
            assert_eq!(quantity(value, unit), expected, "{value} {unit}");
        }
    }

    #[test]
    fn a_reference_is_read_as_a_comparison_where_it_is_one() {
        assert_eq!(reference(">= 0.99", "ratio"), ">= 99%");
        assert_eq!(reference("<0.01", "seconds"), "< 10 ms");
        assert_eq!(reference("2147483648", "bytes"), "2 GiB");
        assert_eq!(reference("the leader's", "bytes"), "the leader's");
        assert_eq!(reference("1", "0 or 1"), "yes");
        assert_eq!(reference("", "bytes"), "");
    }

    #[test]
    fn ages_have_one_unit() {
        let ages = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(|s| age(Duration::from_secs(s)));
        assert_eq!(
            ages,
            ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days"]
        );
    }
}
