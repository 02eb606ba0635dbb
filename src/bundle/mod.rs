//! The support bundle: what a diagnosis was made from, in one file, so that it can be made again elsewhere.
//!
//! | file | subject |
//! |---|---|
//! | `recording` | what is kept of one cluster |
//! | `shape` | the lines of the file, version 1 |
//! | `notation` | a series' values as text |
//! | `write`, `read` | the file, whole and within bounds |
//! | `redact` | what must not be in it |
//! | `replay` | a recording judged anew |
//!
//! `docs/bundle.md` describes the format. Nothing here opens a file: callers give bytes and get bytes.

mod notation;
mod read;
mod recording;
mod redact;
mod replay;
mod shape;
mod write;

pub use read::{ReadError, read};
pub use recording::{RecordedAlert, RecordedOutcome, RecordedSeries, Recording};
pub use redact::Secrets;
pub use replay::{Change, Replay, Retrial};
pub use write::{WriteError, write};

use serde_json::Value;

use crate::model::Timestamp;

/// The version of the format. Fields may be added within one; anything else makes the next.
pub const VERSION: u64 = 1;

/// The most bytes that a bundle may have as it is, compressed: what an attachment may have in most places.
pub const MAX_COMPRESSED: usize = 64 << 20;

/// The most bytes that it may have unpacked. A thousand series over an hour at the default interval are about 2 MB.
const MAX_UNPACKED: usize = 512 << 20;

/// The most bytes of one line. The longest are reports of many clusters and rule files, some hundred kilobytes.
const MAX_LINE: usize = 32 << 20;

/// The most series of one bundle: five times what a window holds by default.
const MAX_SERIES: usize = 100_000;

/// The most points of one bundle: 20,000 series, an hour at every 5 s. A point takes 16 bytes of memory.
const MAX_POINTS: usize = 16_000_000;

/// The most points in time of one recording: a day at every second.
const MAX_TIMES: usize = 90_000;

/// The most clusters of one bundle: as many as one etcd-doctor is meant for.
const MAX_CLUSTERS: usize = 1_000;

/// A bundle, as it is written and as it is read.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// When it was made: the report's own time.
    pub created: Timestamp,
    /// The version of etcd-doctor that made it.
    pub version: String,
    /// The digest of the rules that judged.
    pub rules_digest: String,
    /// The configuration in force as YAML, without secrets.
    pub config: String,
    /// The rule files in force, names and texts, in the order of evaluation.
    pub rules: Vec<(String, String)>,
    /// The report as JSON, as it was when the bundle was made.
    pub report: Value,
    /// The clusters.
    pub recordings: Vec<Recording>,
}
