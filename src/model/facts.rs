//! What the report says of a cluster and its members, beside the series that rules see.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

/// A cluster as it was seen in one cycle.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ClusterFacts {
    /// The id that the members report, when they agree and one answered.
    pub cluster_id: Option<u64>,
    /// Quorum arithmetic, over the last known membership.
    pub quorum: Quorum,
    /// Every known member, reachable or not, in the order of their names.
    pub members: Vec<MemberFacts>,
    /// What etcdctl needs to be let in.
    pub access: Access,
}

/// etcd's user who may do everything; no cluster has authentication on without it.
const ROOT: &str = "root";

/// What lets etcd-doctor in besides an endpoint: certificates and a user, by name. Never a password.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Access {
    /// Whom to trust: a file.
    pub ca_file: Option<String>,
    /// The client certificate: a file.
    pub cert_file: Option<String>,
    /// Its key: a file.
    pub key_file: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// Whether servers' certificates are taken unverified.
    pub insecure_skip_verify: bool,
}

impl Access {
    /// etcdctl's variables with their values, in the order of its help. Where etcd-doctor has a user, that is etcd's root:
    /// etcd-doctor's own needs no role, and without one may do next to nothing of what a report lets be typed.
    pub fn variables(&self) -> Vec<(&'static str, &str)> {
        let skip = self.insecure_skip_verify.then_some("true");
        let all = [
            ("ETCDCTL_CACERT", self.ca_file.as_deref()),
            ("ETCDCTL_CERT", self.cert_file.as_deref()),
            ("ETCDCTL_KEY", self.key_file.as_deref()),
            ("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", skip),
            ("ETCDCTL_USER", self.user.as_ref().map(|_| ROOT)),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// What is to be known of the user of these variables; none where there is nothing that asks for one.
    pub fn about_the_user(&self) -> Option<&'static str> {
        match (self.user.as_deref(), &self.cert_file) {
            (Some(ROOT), _) => None,
            (Some(_), _) => Some("root: etcd-doctor's own user may not do what follows"),
            (None, Some(_)) => Some("if etcd asks for users: export ETCDCTL_USER=root"),
            (None, None) => None,
        }
    }
}

/// Quorum arithmetic. Learners do not count; voters that never started do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Quorum {
    /// Members with a vote.
    pub voters: usize,
    /// Voters that answered in this cycle.
    pub reachable: usize,
    /// Votes needed to elect a leader and to commit: more than half.
    pub required: usize,
    /// The leader's name, when a reachable member knows one.
    pub leader: Option<Arc<str>>,
    /// The highest raft term seen.
    pub term: Option<u64>,
}

impl Quorum {
    /// How many more voters may fail before writes stop. Negative when quorum is lost already.
    pub fn failure_tolerance(&self) -> i64 {
        self.reachable as i64 - self.required as i64
    }
}

/// A member as it was seen in one cycle. What could not be read is `None`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MemberFacts {
    /// The name used in the label `member`: the member's name, its hex id where it has none, or `host:port`.
    pub name: Arc<str>,
    /// The member's id.
    pub id: Option<u64>,
    /// Where it is asked: a configured endpoint, or else the first of the client URLs that it advertises.
    pub endpoint: Option<Arc<str>>,
    /// Where its own `/metrics` is, as a URL without a query; none where no network leads there.
    pub metrics_url: Option<Arc<str>>,
    /// Whether it answered in this cycle.
    pub reachable: bool,
    /// Why it did not answer, in words; empty when it did.
    pub unreachable_because: String,
    /// How long it took to answer `Maintenance.Status`, which it answers by itself.
    pub latency: Option<Duration>,
    /// Whether it ever started (a member added and never started has no name).
    pub started: bool,
    /// Whether it says that it leads.
    pub leader: bool,
    /// Whether it has no vote.
    pub learner: bool,
    /// Its etcd version.
    pub version: Option<String>,
    /// Allocated size of the database, in bytes: what the quota is compared with.
    pub db_size_bytes: Option<u64>,
    /// Size of the database without free pages, in bytes.
    pub db_in_use_bytes: Option<u64>,
    /// Its quota and where that was read.
    pub quota: Quota,
    /// The store's revision.
    pub revision: Option<u64>,
    /// Index of the last raft entry that it has committed.
    pub raft_index: Option<u64>,
    /// Index of the last raft entry that it has applied.
    pub raft_applied_index: Option<u64>,
    /// Its raft term.
    pub raft_term: Option<u64>,
    /// Alarms raised for this member.
    pub alarms: Vec<AlarmKind>,
}

/// The kinds of etcd's alarms.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AlarmKind {
    /// A member's database reached its quota: writes are refused.
    NoSpace,
    /// The members' data differ.
    Corrupt,
    /// A kind that this version does not know, as etcd printed it.
    Other(String),
}

impl AlarmKind {
    /// As etcd prints it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::NoSpace => "NOSPACE",
            Self::Corrupt => "CORRUPT",
            Self::Other(kind) => kind,
        }
    }
}

/// A member's backend quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Quota {
    /// Nothing told it.
    #[default]
    Unknown,
    /// Switched off with a negative number: no quota rule applies.
    Disabled(QuotaSource),
    /// In bytes, never 0.
    Bytes(u64, QuotaSource),
}

/// Where a quota was read, best first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
pub enum QuotaSource {
    /// `StatusResponse.dbSizeQuota`, etcd 3.6 and newer.
    Status,
    /// `etcd_server_quota_backend_bytes` of the member's `/metrics`.
    Metrics,
    /// The flag or environment variable of the local process.
    Process,
    /// The configuration of etcd-doctor.
    Configured,
    /// etcd's default of 2 GiB, because nothing else told it.
    Assumed,
}

impl QuotaSource {
    /// The word for labels and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Metrics => "metrics",
            Self::Process => "process",
            Self::Configured => "configured",
            Self::Assumed => "assumed",
        }
    }
}
