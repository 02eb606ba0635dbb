//! What a cycle publishes: everything that readers may know of a cluster, at one time.

use std::sync::Arc;
use std::time::Duration;

use crate::diagnosis::Diagnosis;
use crate::model::{Desc, Outcome, Sample, Timestamp};
use crate::rules::{RuleReport, RuleSet};

/// The published state of one cluster after one cycle. Readers get it whole and never see half a cycle.
#[derive(Debug)]
pub struct Snapshot {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// When the cycle ran.
    pub time: Timestamp,
    /// How long the cycle took.
    pub took: Duration,
    /// The number of this cycle since the start, from 1.
    pub cycle: u64,
    /// Every series of `/metrics` about this cluster: the batch and the verdict.
    pub samples: Vec<Sample>,
    /// The diagnosis.
    pub diagnosis: Diagnosis,
    /// The rules' results, in the order of the rule set.
    pub reports: Vec<RuleReport>,
    /// The rules that were evaluated.
    pub rules: Arc<RuleSet>,
    /// How the collectors fared.
    pub outcomes: Vec<Outcome>,
    /// Metrics that were written into the window when the rules had been evaluated: no rule has seen their last value.
    pub afterwards: &'static [&'static Desc],
}
