//! What is observed and how it is named: descriptions, labels, samples, the batch of one cycle, cluster facts.

mod batch;
mod desc;
mod facts;
mod labels;
mod time;

pub use batch::{
    Batch, CollectError, Histogram, Outcome, PageSeries, Reason, Sample, TargetPage, Value, Verdict,
};
pub use desc::{Desc, Kind};
pub use facts::{Access, AlarmKind, ClusterFacts, MemberFacts, Quorum, Quota, QuotaSource};
pub use labels::{Labels, METRIC_NAME};
pub use time::Timestamp;

/// The bit pattern by which Prometheus marks the end of a series. Any other NaN is an ordinary value.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// A stale marker: the series ended here.
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether a value is the stale marker, told by its bits and not by `is_nan`.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// An etcd id as etcdctl prints it: lower-case hex without leading zeros.
pub fn hex_id(id: u64) -> String {
    format!("{id:x}")
}
