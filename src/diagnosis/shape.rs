//! What a diagnosis consists of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::verdict;
use crate::model::{ClusterFacts, Labels, Timestamp};

/// What is wrong with one cluster.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// When it was observed.
    pub time: Timestamp,
    /// The verdict.
    pub status: Status,
    /// The verdict in one line.
    pub summary: String,
    /// Members and quorum.
    pub facts: ClusterFacts,
    /// Problems, worst first; symptoms stand inside their cause.
    pub problems: Vec<Problem>,
    /// The guide's checklist.
    pub checklist: Vec<CheckItem>,
    /// The guide's best practices: pass, warn or unknown. They do not count for the verdict.
    pub best_practices: Vec<CheckItem>,
    /// What the rules could and could not see.
    pub coverage: Coverage,
    /// Failures of etcd-doctor's own making or of its reading, not findings about the cluster.
    pub errors: Vec<SourceError>,
}

/// The verdict: that of the worst firing alert, or unknown when it cannot be said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "status"))]
pub enum Status {
    /// Nothing worse than information.
    Pass,
    /// A warning fires.
    Warn,
    /// Something critical fires.
    Fail,
    /// It cannot be said.
    Unknown,
}

/// How bad a problem is, best first, so that the greatest is the worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
pub enum Severity {
    /// Good to know.
    Info,
    /// A ticket.
    Warning,
    /// A page.
    Critical,
}

/// A problem: an active alert, its evidence and the symptoms that it accounts for.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The place in the ranking, from 1. Symptoms have the rank that they have within their cause.
    pub rank: usize,
    /// The alert's name.
    pub alert: String,
    /// How bad.
    pub severity: Severity,
    /// The label `category`, `other` where a rule has none.
    pub category: String,
    /// Whether it fires already.
    pub firing: bool,
    /// Since when the condition has held.
    pub since: Timestamp,
    /// The member, where it is about one.
    pub member: Option<String>,
    /// All labels.
    pub labels: Labels,
    /// One line.
    pub summary: String,
    /// What is seen.
    pub description: String,
    /// What it leads to.
    pub impact: String,
    /// What to do: a Markdown list.
    pub remedy: String,
    /// The commands in the remedy, in order.
    pub commands: Vec<String>,
    /// What it is judged by.
    pub evidence: Vec<Evidence>,
    /// The page about it.
    pub runbook_url: String,
    /// The section of the guide that it automates.
    pub guide: String,
    /// Alertmanager's fingerprint of the labels.
    pub fingerprint: u64,
    /// Its symptoms.
    pub explains: Vec<Problem>,
}

impl Problem {
    /// Whether it is a remark on how the cluster is set up, rather than something that happens to it: worth a line after
    /// the problems, and no headline.
    pub fn is_remark(&self) -> bool {
        self.severity == Severity::Info && REMARKS.contains(&&*self.category) && self.explains.is_empty()
    }
}

/// The categories of remarks.
const REMARKS: [&str; 2] = ["configuration", "security"];

/// One value that a problem is judged by.
#[derive(Clone, PartialEq, Debug)]
pub struct Evidence {
    /// What it is, in words.
    pub text: String,
    /// The expression, ready to paste into Prometheus.
    pub expr: String,
    /// Its present value; none when it gives no single value now.
    pub value: Option<f64>,
    /// Its unit (`bytes`, `seconds`, `ratio`, …), may be empty.
    pub unit: String,
    /// What it is compared with (`>= 0.99`), may be empty.
    pub reference: String,
}

/// An item of the guide's checklist, or one of its best practices.
#[derive(Clone, PartialEq, Debug)]
pub struct CheckItem {
    /// Its number in the guide, from 1.
    pub step: usize,
    /// What is checked.
    pub title: &'static str,
    /// The result.
    pub status: Status,
    /// What was read.
    pub detail: String,
}

/// What the rules could see.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Coverage {
    /// Alerting rules in force.
    pub rules: usize,
    /// Those that had all their data.
    pub evaluated: usize,
    /// The rest, and what each lacks.
    pub gaps: Vec<Gap>,
    /// How long the cluster has been watched: what rules that look further back judge by.
    pub watched_for: Duration,
    /// How to mend each failure to read, by its words; those of which that is not known are not in it.
    pub fixes: BTreeMap<String, String>,
}

/// A rule that cannot see.
#[derive(Clone, PartialEq, Debug)]
pub struct Gap {
    /// The alert.
    pub alert: String,
    /// Why it cannot see, in words, naming the member where it is about one.
    pub reason: String,
    /// How to mend that, in words; may be empty.
    pub fix: String,
    /// Whether the rule sees nothing of the cluster at all. A single member that it cannot see, or a window that is
    /// still filling, does not make it blind.
    pub blind: bool,
    /// False where a collector does not apply here, as those of the host where no member runs on it: that is said, and it is no
    /// failure that leaves the verdict open.
    pub applies: bool,
    /// How far back the rule looks, where all that it lacks is history: the window is still filling.
    pub looks_back: Option<Duration>,
}

/// A failure to read.
#[derive(Clone, PartialEq, Debug)]
pub struct SourceError {
    /// Collector and member, or the rule.
    pub source: String,
    /// Why, in words.
    pub message: String,
}

impl Severity {
    /// The word for JSON and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// From the label `severity`; what is not one of our words (`page`, `none`, or nothing) counts as a warning,
    /// so that an unknown word neither pages nor hides.
    pub(super) fn from_label(label: &str) -> Self {
        match label {
            "critical" => Self::Critical,
            "info" => Self::Info,
            _ => Self::Warning,
        }
    }

    /// One step less.
    pub(super) const fn milder(self) -> Self {
        match self {
            Self::Critical => Self::Warning,
            Self::Warning | Self::Info => Self::Info,
        }
    }
}

impl Diagnosis {
    /// One of a cluster of which nothing is known.
    pub fn unknown(cluster: Arc<str>, time: Timestamp) -> Self {
        Self {
            cluster,
            time,
            status: Status::Unknown,
            summary: String::new(),
            facts: ClusterFacts::default(),
            problems: Vec::new(),
            checklist: Vec::new(),
            best_practices: Vec::new(),
            coverage: Coverage::default(),
            errors: Vec::new(),
        }
    }

    /// The worst that fires, symptoms included; more than the status tells when no member answered.
    pub fn worst(&self) -> Option<Severity> {
        verdict::worst_firing(&self.problems)
    }
}

impl Status {
    /// The word for JSON and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
        }
    }
}
