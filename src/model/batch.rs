//! What one cycle brings home for one cluster.

use std::sync::Arc;
use std::time::Duration;

use super::{ClusterFacts, Desc, Labels, Timestamp};

/// Everything that one cycle observed of one cluster, at one time.
///
/// The window, the rules, `/metrics` and the report are all made from this one value, so that they cannot disagree.
#[derive(Debug)]
pub struct Batch {
    /// The cluster's name, as in the label `cluster`.
    pub cluster: Arc<str>,
    /// When the cycle ran: the time of every sample in it.
    pub time: Timestamp,
    /// etcd-doctor's own series, with the labels `cluster` and `member` already set.
    pub samples: Vec<Sample>,
    /// etcd's own pages, for users' rules such as the etcd-mixin. They go into the window and not to `/metrics`.
    pub pages: Vec<TargetPage>,
    /// What the report says of members and quorum.
    pub facts: ClusterFacts,
    /// How each collector fared.
    pub outcomes: Vec<Outcome>,
}

/// One observation of one of etcd-doctor's own metrics.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The metric.
    pub desc: &'static Desc,
    /// Its labels, without the metric name.
    pub labels: Labels,
    /// What was observed.
    pub value: Value,
}

/// The value of a sample.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Of a gauge or a counter.
    Number(f64),
    /// Of a histogram.
    Histogram(Histogram),
}

/// A classic histogram, cumulative as on a `/metrics` page.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Histogram {
    /// Upper bound and number of observations at or under it, by rising bound; the last bound is +Inf.
    pub buckets: Vec<(f64, f64)>,
    /// The sum of all observations, in the metric's unit.
    pub sum: f64,
    /// The number of observations.
    pub count: f64,
}

impl Histogram {
    /// A histogram with no observations yet. `bounds` rise and leave out +Inf, which is added.
    pub fn with_bounds(bounds: &[f64]) -> Self {
        let buckets = bounds
            .iter()
            .chain(&[f64::INFINITY])
            .map(|bound| (*bound, 0.0))
            .collect();
        Self {
            buckets,
            sum: 0.0,
            count: 0.0,
        }
    }

    /// Counts one observation.
    pub fn observe(&mut self, value: f64) {
        for (_, count) in self.buckets.iter_mut().filter(|(bound, _)| value <= *bound) {
            *count += 1.0;
        }
        self.sum += value;
        self.count += 1.0;
    }
}

/// A member's own `/metrics` page as a Prometheus would have scraped it.
#[derive(Clone, Debug)]
pub struct TargetPage {
    /// The member's name.
    pub member: Arc<str>,
    /// `host:port` of the page, for the label `instance`.
    pub instance: Arc<str>,
    /// The page's series, or none when the scrape failed (`up` is 0 then and its series end).
    pub series: Option<Vec<PageSeries>>,
}

/// One line of a member's page.
#[derive(Clone, Debug)]
pub struct PageSeries {
    /// Labels with `__name__`, as on the page, with `le` and `quantile` normalised as Prometheus 3 does.
    pub labels: Labels,
    /// The value.
    pub value: f64,
}

/// How one collector fared in one cycle.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The collector's name in `COLLECTORS`.
    pub collector: &'static str,
    /// The member it read, or none for one that reads the host or the cluster.
    pub member: Option<Arc<str>>,
    /// How long it took.
    pub duration: Duration,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a collector's run.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Its samples are in the batch.
    Read,
    /// It does not apply here, with the reason in words (no local etcd, say). Not an error, but a gap in coverage.
    NotApplicable(String),
    /// What it reads does not exist (the certificate of a member that serves plain text, say), with the reason in words:
    /// rules about it have nothing to judge, which is neither an error nor a gap.
    Nothing(String),
    /// It failed: its samples are missing from the batch.
    Failed(CollectError),
}

/// Why a collector brought nothing home.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct CollectError {
    /// The kind of failure, for labels and for the report's advice.
    pub reason: Reason,
    /// What was attempted on what, and why it failed, in words: names the endpoint or the file.
    pub message: String,
    /// What to do about it, in words; empty when there is nothing more to say than the message.
    pub fix: String,
}

/// A closed set of reasons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Nothing listens there, or the name does not resolve.
    Unreachable,
    /// No answer within the deadline.
    Timeout,
    /// The TLS handshake failed: certificate, name or protocol.
    Tls,
    /// User or password were refused, or none was given where one is needed.
    Unauthenticated,
    /// The user is known and may not do this; a file may not be read.
    PermissionDenied,
    /// The other side answered with an error of its own.
    Refused,
    /// The answer could not be understood.
    Malformed,
    /// Another member, or another cluster, answered at this endpoint.
    WrongMember,
}

impl Reason {
    /// The word for labels and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::WrongMember => "wrong_member",
        }
    }
}

impl Sample {
    /// A sample of a gauge or counter.
    pub fn number(desc: &'static Desc, labels: Labels, value: f64) -> Self {
        Self {
            desc,
            labels,
            value: Value::Number(value),
        }
    }

    /// A sample of a histogram.
    pub fn histogram(desc: &'static Desc, labels: Labels, value: Histogram) -> Self {
        Self {
            desc,
            labels,
            value: Value::Histogram(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_cumulatively() {
        let mut histogram = Histogram::with_bounds(&[0.1, 1.0]);
        histogram.observe(0.1);
        histogram.observe(3.0);
        assert_eq!(histogram.buckets, [(0.1, 1.0), (1.0, 1.0), (f64::INFINITY, 2.0)]);
        assert_eq!((histogram.sum, histogram.count), (3.1, 2.0));
    }
}
