//! The rate of requests: one bucket of tokens for all of them, as the toolkit has it.

use std::time::{Duration, Instant};

/// How many requests are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rate {
    /// One more after each of these.
    pub(super) interval: Duration,
    /// And as many at once.
    pub(super) burst: u32,
}

/// Tokens that are left.
pub(super) struct Bucket {
    rate: Rate,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            tokens: f64::from(rate.burst),
            filled: now,
        }
    }

    /// The rate that it is of.
    pub(super) const fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes a token; or says after how long there is one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.filled);
        let grown = since.as_secs_f64() / self.rate.interval.as_secs_f64();
        self.tokens = (self.tokens + grown).min(f64::from(self.rate.burst));
        self.filled = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(self.rate.interval.mul_f64(1.0 - self.tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_each_interval() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let rate = Rate {
            interval: Duration::from_secs(10),
            burst: 2,
        };
        let mut bucket = Bucket::new(rate, begin);
        assert_eq!(bucket.take(at(0)), Ok(()));
        assert_eq!(bucket.take(at(0)), Ok(()));
        assert_eq!(bucket.take(at(5)), Err(Duration::from_secs(5)));
        assert_eq!(bucket.take(at(10)), Ok(()));
        assert!(bucket.take(at(11)).is_err());
        // However long nobody came, there are no more than the burst.
        assert_eq!(bucket.take(at(1000)), Ok(()));
        assert_eq!(bucket.take(at(1000)), Ok(()));
        assert!(bucket.take(at(1000)).is_err());
    }
}
