//! How long an evaluation may take, told by who has a clock.

use std::fmt;
use std::sync::Arc;

use super::{Matcher, Series, Source};
use crate::model::Timestamp;

/// Tells whether the time is up that began when it was made.
pub type Stopwatch = Box<dyn Fn() -> bool>;

/// How long each of several evaluations may take. There is no clock here: who has one gives what starts a stopwatch. The
/// default waits for ever.
#[derive(Clone, Default)]
pub struct Patience(Option<Arc<dyn Fn() -> Stopwatch + Send + Sync>>);

impl Patience {
    /// That of a stopwatch, which `start` starts anew for each evaluation.
    pub fn new(start: impl Fn() -> Stopwatch + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(start)))
    }

    /// The stopwatch of the time that begins now.
    pub fn start(&self) -> Stopwatch {
        match &self.0 {
            Some(start) => start(),
            None => Box::new(|| false),
        }
    }

    /// The source for one evaluation: given up when the time is up that begins now.
    pub fn with<'a>(&self, source: &'a dyn Source) -> Patient<'a> {
        Patient {
            source,
            is_over: self.start(),
        }
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Patience"
        } else {
            "Patience(endless)"
        })
    }
}

/// A source that is given up at some time.
pub struct Patient<'a> {
    source: &'a dyn Source,
    is_over: Stopwatch,
}

impl Source for Patient<'_> {
    fn select(&self, matchers: &[Matcher], after: Timestamp, through: Timestamp) -> Vec<Series> {
        self.source.select(matchers, after, through)
    }

    fn given_up(&self) -> bool {
        self.source.given_up() || (self.is_over)()
    }
}
