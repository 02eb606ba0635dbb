//! What is known of the time that a rule takes: rules that take too long must not take the time of all others, again and
//! again.

/// A rule that takes too long again and again is left out for at most so many evaluations.
const MOST_LEFT_OUT: u32 = 63;

/// How a rule fared.
#[derive(Debug, Default)]
pub(super) enum Pace {
    /// It has not been evaluated yet.
    #[default]
    Unknown,
    /// It ended in time, with a result or an error.
    InTime,
    /// It took too long, so many times in a row, and is left out for so many more evaluations.
    TooLong { times: u32, left_out: u32 },
}

impl Pace {
    /// Whether the rule is evaluated now, or why not. What ended in time always is; everything else only while the rules
    /// before it have not taken all the time that there is.
    pub(super) fn admits(&mut self, is_over: &dyn Fn() -> bool) -> Result<(), String> {
        match self {
            Self::TooLong { left_out, .. } if *left_out > 0 => {
                *left_out -= 1;
                Err(format!(
                    "it took too long again and again, and is left out for {left_out} more evaluations"
                ))
            }
            Self::Unknown | Self::TooLong { .. } if is_over() => {
                Err("the rules before it took all the time of this evaluation".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Notes whether the rule took too long. Once may be the machine's fault, so it is tried again at once; from then on it is
    /// left out for 1, 3, 7 … evaluations.
    pub(super) fn note(&mut self, took_too_long: bool) {
        let times = match self {
            _ if !took_too_long => {
                *self = Self::InTime;
                return;
            }
            Self::TooLong { times, .. } => times.saturating_add(1),
            _ => 1,
        };
        let left_out = 1_u32
            .checked_shl(times - 1)
            .map_or(MOST_LEFT_OUT, |next| next - 1);
        *self = Self::TooLong {
            times,
            left_out: left_out.min(MOST_LEFT_OUT),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_takes_too_long_is_left_out_for_longer_and_longer() {
        let mut pace = Pace::default();
        let mut evaluated = Vec::new();
        for evaluation in 0..200 {
            if pace.admits(&|| false).is_ok() {
                evaluated.push(evaluation);
                pace.note(true);
            }
        }
        assert_eq!(evaluated, [0, 1, 3, 7, 15, 31, 63, 127, 191]);
        assert!(matches!(pace, Pace::TooLong { times: 9, .. }));
    }

    #[test]
    fn what_ended_in_time_is_evaluated_when_time_is_over_and_nothing_else() {
        let mut pace = Pace::default();
        assert!(pace.admits(&|| true).unwrap_err().contains("before it"));
        pace.note(false);
        assert_eq!(pace.admits(&|| true), Ok(()));
        pace.note(true);
        assert!(pace.admits(&|| true).is_err());
        assert_eq!(pace.admits(&|| false), Ok(()));
    }
}
