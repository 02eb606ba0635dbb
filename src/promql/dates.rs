//! Functions that read a number as a date in UTC.

use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::EvalError;
use super::functions::{Call, unlabelled};
use super::value::Value;

/// Reads each element of the argument, or the time of the evaluation when there is none, as whole seconds since the
/// epoch. NaN for what is no date.
pub(super) fn apply<'a>(call: &Call<'a, '_>, part: impl Fn(DateTime) -> f64) -> Result<Value<'a>, EvalError> {
    let of = |seconds: f64| date(seconds).map_or(f64::NAN, &part);
    if call.args.is_empty() {
        return Ok(unlabelled(of(call.at.seconds())));
    }
    call.map(of)
}

fn date(seconds: f64) -> Option<DateTime> {
    if seconds.is_nan() {
        return None;
    }
    // Out of range saturates and is refused by jiff.
    let time = jiff::Timestamp::from_second(seconds as i64).ok()?;
    Some(Offset::UTC.to_datetime(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_truncated_and_nonsense_is_none() {
        let leap = date(951_782_400.9).unwrap();
        assert_eq!((leap.year(), leap.month(), leap.day()), (2000, 2, 29));
        assert_eq!(date(f64::NAN), None);
        assert_eq!(date(1e300), None);
    }
}
