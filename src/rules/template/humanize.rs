//! The `humanize…` functions of Prometheus' templates.

use super::gofmt::float;

/// Four significant digits, as all of these functions print.
fn short(value: f64) -> String {
    float(value, 'g', Some(4))
}

/// `humanize`: metric prefixes (`1.5k`, `20m`).
pub(super) fn metric(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return short(value);
    }
    if value.abs() >= 1.0 {
        scaled_down(value, 1000.0, &["k", "M", "G", "T", "P", "E", "Z", "Y"])
    } else {
        scaled_up(value)
    }
}

/// `humanize1024`: binary prefixes (`2Gi`).
pub(super) fn binary(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return short(value);
    }
    scaled_down(value, 1024.0, &["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"])
}

fn scaled_down(mut value: f64, base: f64, prefixes: &[&str]) -> String {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < base {
            break;
        }
        prefix = next;
        value /= base;
    }
    short(value) + prefix
}

fn scaled_up(mut value: f64) -> String {
    let mut prefix = "";
    for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    short(value) + prefix
}

/// `humanizePercentage`: a ratio as a percentage (`0.123` is `12.3%`).
pub(super) fn percentage(value: f64) -> String {
    short(value * 100.0) + "%"
}

/// `humanizeDuration`: seconds as days, hours, minutes and seconds (`1d 2h 3m 4s`), or with a metric prefix (`20ms`).
pub(super) fn duration(value: f64) -> String {
    if !value.is_finite() {
        return short(value);
    }
    if value == 0.0 {
        return short(value) + "s";
    }
    if value.abs() < 1.0 {
        return scaled_up(value) + "s";
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    // Whole seconds. What does not fit becomes the least number, as in Go.
    let whole = if value < i64::MAX as f64 {
        value as i64
    } else {
        i64::MIN
    };
    let (days, hours) = (whole / 86_400, whole / 3600 % 24);
    let (minutes, seconds) = (whole / 60 % 60, whole % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", short(value))
    }
}

/// `toTime`: as [`timestamp`], of a number only.
///
/// # Errors
/// Of infinities and NaN, too.
pub(super) fn time(value: f64) -> Result<String, String> {
    if value.is_finite() {
        timestamp(value)
    } else {
        Err("value is NaN or Inf".to_owned())
    }
}

/// `humanizeTimestamp`: seconds since the epoch as Go prints a time in UTC.
///
/// # Errors
/// When the time is outside the years that can be told.
pub(super) fn timestamp(value: f64) -> Result<String, String> {
    if !value.is_finite() {
        return Ok(short(value));
    }
    let refused = || format!("{} cannot be represented as a timestamp", short(value));
    // Prometheus goes over whole nanoseconds, which must fit, to whole milliseconds.
    let nanos = value * 1e9;
    if nanos.abs() > i64::MAX as f64 {
        return Err(refused());
    }
    let time = jiff::Timestamp::from_millisecond(nanos as i64 / 1_000_000).map_err(|_| refused())?;
    let millis = time.as_millisecond();
    let whole = jiff::Timestamp::from_second(millis.div_euclid(1000)).map_err(|_| refused())?;
    let seconds = whole.strftime("%Y-%m-%d %H:%M:%S");
    let fraction = format!(".{:03}", millis.rem_euclid(1000));
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    Ok(format!("{seconds}{fraction} +0000 UTC"))
}
