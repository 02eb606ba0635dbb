//! Functions that read a number as a date in UTC.
//!
//! Any number is one: Prometheus gives the year 31,690,708 for 1e15 seconds, and for what is no number of seconds the
//! date that Go makes of the smallest integer. No calendar library reaches so far.

use super::EvalError;
use super::functions::{Call, unlabelled};
use super::value::Value;

const DAY: i64 = 86_400;

/// A date and the time of its day. Months and days count from 1, weekdays from Sunday, which is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Date {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) weekday: i64,
    pub(super) day_of_year: i64,
    pub(super) days_in_month: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
}

/// What Prometheus takes for the date of NaN, of infinities and of what 64 bits do not hold, on the processors that it
/// is mostly run on.
const NONSENSE: Date = Date {
    year: 292_277_026_596,
    month: 12,
    day: 4,
    weekday: 0,
    day_of_year: 339,
    days_in_month: 31,
    hour: 15,
    minute: 30,
};

/// Reads each element of the argument, or the time of the evaluation when there is none, as whole seconds since the
/// epoch.
pub(super) fn apply<'a>(call: &Call<'a, '_>, part: impl Fn(Date) -> i64) -> Result<Value<'a>, EvalError> {
    let of = |seconds: f64| part(date(seconds)) as f64;
    if call.args.is_empty() {
        return Ok(unlabelled(of(call.at.seconds())));
    }
    call.map(of)
}

fn date(seconds: f64) -> Date {
    // The smallest integer itself counts as out of range.
    if !(seconds > i64::MIN as f64 && seconds < i64::MAX as f64) {
        return NONSENSE;
    }
    let seconds = seconds as i64;
    let (days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    // Years begin with March here, so that the leap day is the last one; 400 years have 146,097 days.
    let since_march = days + 719_468;
    let (era, day_of_era) = (since_march.div_euclid(146_097), since_march.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let march_day = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * march_day + 2) / 153;
    let day = march_day - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let leap = i64::from(year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0));
    let day_of_year = if month <= 2 {
        march_day - 305
    } else {
        march_day + 60 + leap
    };
    Date {
        year,
        month,
        day,
        // The epoch was a Thursday.
        weekday: (days + 4).rem_euclid(7),
        day_of_year,
        days_in_month: match month {
            2 => 28 + leap,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        },
        hour: second / 3600,
        minute: second % 3600 / 60,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Prometheus 3.5 gives them.
    #[test]
    fn dates_are_those_of_prometheus_however_far_away() {
        for (
            seconds,
            [
                year,
                month,
                day,
                weekday,
                day_of_year,
                days_in_month,
                hour,
                minute,
            ],
        ) in [
            (951_782_400.9, [2000, 2, 29, 2, 60, 29, 0, 0]),
            (-1.0, [1969, 12, 31, 3, 365, 31, 23, 59]),
            (1e12, [33_658, 9, 27, 5, 270, 30, 1, 46]),
            (1e15, [31_690_708, 7, 5, 0, 187, 31, 1, 46]),
            (-1e15, [-31_686_769, 6, 29, 0, 180, 30, 22, 13]),
            (1e18, [31_688_740_476, 10, 23, 5, 297, 31, 1, 46]),
            (-9.2e18, [-291_536_392_293, 5, 3, 2, 123, 31, 12, 26]),
            (253_402_300_800.0, [10_000, 1, 1, 6, 1, 31, 0, 0]),
            (f64::NAN, [292_277_026_596, 12, 4, 0, 339, 31, 15, 30]),
            (f64::INFINITY, [292_277_026_596, 12, 4, 0, 339, 31, 15, 30]),
            (1e300, [292_277_026_596, 12, 4, 0, 339, 31, 15, 30]),
        ] {
            let expected = Date {
                year,
                month,
                day,
                weekday,
                day_of_year,
                days_in_month,
                hour,
                minute,
            };
            assert_eq!(date(seconds), expected, "{seconds}");
        }
    }
}
