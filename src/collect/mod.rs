//! Observing: the collector trait, the literal table of collectors, and the runner that turns failures into data.

mod addresses;
mod alarms;
mod backlog;
mod backups;
mod certificate_files;
mod certificates;
mod cgroup;
mod collection;
mod disk;
mod elections;
mod endpoints;
mod expiry;
mod filesystem;
#[cfg(test)]
mod fixture;
mod hashkv;
mod hearing;
mod local;
mod logs;
mod members;
mod memory;
mod metrics;
mod mounts;
mod own_certificates;
mod peers;
mod pressure;
mod probe;
mod process;
mod process_io;
mod progress;
mod quota;
mod scheduling;
mod settings;
mod status;
mod topology;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::client::Origin;
use crate::client::proc::HostAccess;
use crate::model::{AlarmKind, CollectError, Desc, PageSeries, Reason, Sample, Timestamp, hex_id};

pub use backups::MAX_FOLDERS as MAX_BACKUP_FOLDERS;
pub use collection::Collection;
pub use expiry::CertificateReading;

/// Every collector, in the order of the report.
pub const COLLECTORS: &[Spec] = &[
    status::SPEC,
    probe::SPEC,
    metrics::SPEC,
    disk::SPEC,
    filesystem::SPEC,
    pressure::SPEC,
    process::SPEC,
    process_io::SPEC,
    scheduling::SPEC,
    cgroup::SPEC,
    memory::SPEC,
    certificates::SPEC,
    certificate_files::SPEC,
    own_certificates::SPEC,
    backups::SPEC,
    logs::SPEC,
    peers::SPEC,
    hashkv::SPEC,
];

/// What is worked out from the collectors' readings and the member list, with the metrics that come of it.
pub const DERIVATIONS: &[Derivation] = &[
    Derivation {
        name: "runner",
        from: &[],
        descs: collection::DESCS,
    },
    Derivation {
        name: members::NAME,
        from: &["status"],
        descs: members::DESCS,
    },
    Derivation {
        name: "addresses",
        from: addresses::FROM,
        descs: addresses::DESCS,
    },
    Derivation {
        name: "endpoints",
        from: &[members::NAME],
        descs: endpoints::DESCS,
    },
    Derivation {
        name: "hearing",
        from: &["metrics"],
        descs: hearing::DESCS,
    },
    Derivation {
        name: "progress",
        from: &["status", "metrics"],
        descs: progress::DESCS,
    },
    Derivation {
        name: "quota",
        from: &["status", "metrics"],
        descs: quota::DESCS,
    },
    Derivation {
        name: "expiry",
        from: &["certificates", "certificate_files", "own_certificates"],
        descs: expiry::DESCS,
    },
    Derivation {
        name: "settings",
        from: &["process"],
        descs: settings::DESCS,
    },
    Derivation {
        name: "alarms",
        from: &["status"],
        descs: alarms::DESCS,
    },
    Derivation {
        name: "elections",
        from: &["status", "metrics"],
        descs: elections::DESCS,
    },
];

/// A row of `DERIVATIONS`.
pub struct Derivation {
    /// Its name. `members` also has an [`Outcome`](crate::model::Outcome) of this name: that of `MemberList`.
    pub name: &'static str,
    /// The collectors that it needs.
    pub from: &'static [&'static str],
    /// Every metric that it may yield.
    pub descs: &'static [&'static Desc],
}

/// What a collector looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// One member over the network: built once a member, run for each that has an endpoint.
    Member,
    /// This host: built once a cluster; it says itself which members its samples belong to.
    Host,
    /// What etcd-doctor itself was given for the cluster, and what it was told to ask of all members together: built once a
    /// cluster, whether or not this host is searched for members.
    Own,
}

/// A row of `COLLECTORS`.
pub struct Spec {
    /// Its name: in `--help`, in `etcd_doctor_collector_success{collector}` and in coverage gaps.
    pub name: &'static str,
    /// What it looks at.
    pub scope: Scope,
    /// Every metric that it may yield. Coverage uses this to say why a rule cannot see.
    pub descs: &'static [&'static Desc],
    /// Makes one. Does no I/O.
    pub build: fn(&Settings) -> Box<dyn Collector>,
}

/// A collector: reads one subject once a cycle.
pub trait Collector: Send + Sync {
    /// Reads once. Gives all that it saw, or why it saw nothing; the runner adds `cluster` (and, for `Scope::Member`,
    /// `member`) to the labels, measures the time and enforces the deadline.
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>>;
}

/// What a collector is told about the cycle.
#[derive(Clone)]
pub struct Subject {
    /// The cycle's time.
    pub now: Timestamp,
    /// When that was.
    pub begun: tokio::time::Instant,
    /// The deadline of one call.
    pub timeout: Duration,
    /// The member to read, for `Scope::Member`.
    pub member: Option<Member>,
    /// All members known at the start of the cycle.
    pub members: Arc<[Member]>,
    /// How to reach the member, for `Scope::Member`: see `client`.
    pub link: Option<Arc<crate::client::Link>>,
    /// The cluster's id, once known.
    pub cluster_id: Option<u64>,
    /// What the collectors of this host share, for `Scope::Host`.
    pub processes: local::Processes,
    /// What the cluster is reached with, for `Scope::Own`.
    pub network: Option<crate::client::Network>,
}

impl Subject {
    /// The time now, in seconds since the epoch.
    pub fn time(&self) -> f64 {
        self.now.seconds() + self.begun.elapsed().as_secs_f64()
    }

    /// Refuses an answer of another member or another cluster than the one asked. Ids that are 0 were not told.
    ///
    /// # Errors
    /// Names the endpoint, who was expected there and who answered.
    pub fn believe(&self, member_id: u64, cluster_id: u64) -> Result<(), Failure> {
        let (what, expected, found) =
            match (self.cluster_id, self.member.as_ref().and_then(|member| member.id)) {
                (Some(expected), _) if cluster_id != 0 && cluster_id != expected => {
                    ("cluster", expected, cluster_id)
                }
                (_, Some(expected)) if member_id != 0 && member_id != expected => {
                    ("member", expected, member_id)
                }
                _ => return Ok(()),
            };
        let endpoint = self.member.as_ref().and_then(|member| member.endpoint.as_deref());
        Err(Failure::Failed(CollectError {
            reason: Reason::WrongMember,
            message: format!(
                "{} was expected to be {what} {}, but {what} {} answers there",
                endpoint.unwrap_or("the endpoint"),
                hex_id(expected),
                hex_id(found)
            ),
            fix: "correct the endpoint, or the client URL that the member advertises (--advertise-client-urls); an \
                  address shared by several members, such as a load balancer's, cannot stand for one"
                .into(),
        }))
    }
}

/// Who a member is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The label `member`.
    pub name: Arc<str>,
    /// Its id, once known.
    pub id: Option<u64>,
    /// Where it is asked.
    pub endpoint: Option<Arc<str>>,
    /// Whether it has a vote.
    pub learner: bool,
    /// Whether it ever started.
    pub started: bool,
    /// The client URLs that it advertises.
    pub client_urls: Vec<String>,
    /// The peer URLs that it advertises.
    pub peer_urls: Vec<String>,
}

/// Why there is no reading.
#[derive(Debug)]
pub enum Failure {
    /// It does not apply here, and why.
    NotApplicable(String),
    /// What it reads does not exist, and why: nobody misses it.
    Nothing(String),
    /// It failed.
    Failed(CollectError),
}

/// What a collector saw.
#[derive(Debug, Default)]
pub struct Reading {
    /// Samples. For `Scope::Host` with the label `member` where they belong to one.
    pub samples: Vec<Sample>,
    /// What could not be read beside the samples: it counts as a failure of the collector, and they stay.
    pub lacking: Option<CollectError>,
    /// From the collectors of certificates.
    pub certificates: Vec<CertificateReading>,
    /// From `status`.
    pub status: Option<StatusReading>,
    /// From `metrics`.
    pub metrics: Option<MetricsReading>,
    /// From `probe`: whether the member answered at least one read, if only with a refusal.
    pub answered: bool,
    /// From `process`: by the member's name.
    pub processes: Vec<(Arc<str>, ProcessReading)>,
}

/// What `Maintenance.Status` says. Ids are 0 when unknown.
#[derive(Clone, Debug, Default)]
pub struct StatusReading {
    /// Who answered.
    pub member_id: u64,
    /// Of which cluster.
    pub cluster_id: u64,
    /// etcd's version.
    pub version: String,
    /// Allocated database size, bytes.
    pub db_size: u64,
    /// Database size without free pages, bytes; 0 where the version does not tell.
    pub db_in_use: u64,
    /// The quota, from etcd 3.6; 0 is unknown.
    pub quota: i64,
    /// The leader's id, 0 for none.
    pub leader: u64,
    /// Whether it is a learner.
    pub learner: bool,
    /// Its raft term.
    pub term: u64,
    /// Its raft index.
    pub index: u64,
    /// Its applied index.
    pub applied: u64,
    /// The store's revision.
    pub revision: u64,
    /// Whether `errors` says that there is no leader.
    pub no_leader: bool,
    /// Alarms of the whole cluster: member id (none where etcd names none) and kind, sorted.
    pub alarms: Vec<(Option<u64>, AlarmKind)>,
}

/// What a member's `/metrics` page says beside the samples: used where Status is refused, and for elections and quota.
#[derive(Clone, Debug, Default)]
pub struct MetricsReading {
    /// `host:port` of the page.
    pub instance: String,
    /// The whole page.
    pub page: Vec<PageSeries>,
    /// `etcd_server_leader_changes_seen_total`
    pub leader_changes: Option<f64>,
    /// `process_start_time_seconds`
    pub start_time: Option<f64>,
    /// `etcd_server_quota_backend_bytes`: negative when disabled.
    pub quota: Option<f64>,
    /// `etcd_server_has_leader`
    pub has_leader: Option<bool>,
    /// `etcd_server_is_leader`
    pub is_leader: Option<bool>,
    /// `etcd_mvcc_db_total_size_in_bytes`
    pub db_size: Option<f64>,
    /// `etcd_mvcc_db_total_size_in_use_in_bytes`
    pub db_in_use: Option<f64>,
    /// `etcd_server_version`
    pub version: Option<String>,
    /// `etcd_server_id`
    pub member_id: Option<u64>,
    /// `etcd_server_is_learner`
    pub is_learner: Option<bool>,
    /// `etcd_debugging_mvcc_current_revision`
    pub revision: Option<f64>,
    /// `etcd_server_proposals_committed_total`
    pub committed: Option<f64>,
    /// `etcd_network_peer_received_bytes_total`, by the id of the sender.
    pub received: Vec<(u64, f64)>,
}

/// What holds for a setting that nothing gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unset {
    /// It has etcd's default.
    Default,
    /// It is taken to have etcd's default: the environment, which may say otherwise, is not seen.
    Assumed,
    /// Nothing: not all could be read that should be.
    #[default]
    Unknown,
}

/// What the local process of a member tells.
#[derive(Clone, Debug, Default)]
pub struct ProcessReading {
    /// Its process id.
    pub pid: i32,
    /// `--quota-backend-bytes` or its environment variable, when given.
    pub quota: Option<i64>,
    /// When it started, in seconds since the epoch.
    pub start_time: Option<f64>,
    /// What it was given of a closed list of settings, and from where.
    pub settings: BTreeMap<&'static str, (String, Origin)>,
    /// What is known of those that are not among them.
    pub unset: Unset,
}

/// Settings of the collectors.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// The deadline of one call to a member.
    pub timeout: Duration,
    /// The members' quota in bytes, for where no member tells it.
    pub quota_bytes: Option<u64>,
    /// Which metrics of the members' own pages go into the batch, by name as on the page; all of them when `None`.
    pub page_metrics: Option<Arc<BTreeSet<String>>>,
    /// How far this host is looked at for members of the cluster.
    pub host: HostAccess,
    /// Folders and patterns of the cluster's backups, as they are opened from here.
    pub backups: Arc<[std::path::PathBuf]>,
    /// Which of the members' logs are read.
    pub logs: crate::client::logs::Which,
    /// What the members' peer ports are asked with; not at all when `None`.
    pub peer_tls: Option<crate::client::TlsSettings>,
    /// How often the members' data are compared; not at all when `None`.
    pub hashkv_interval: Option<Duration>,
    /// Where `/proc` is.
    pub proc: std::path::PathBuf,
    /// Where `/sys` is.
    pub sys: std::path::PathBuf,
    /// Where the host's root file system is, for `statvfs` of mount points and for files where access is limited.
    pub rootfs: std::path::PathBuf,
}

/// The deadline of one call when none is configured: ten times what a loaded member needs, and short enough that a
/// cycle with dead members still fits a polling interval of 5 s.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: DEFAULT_TIMEOUT,
            quota_bytes: None,
            page_metrics: None,
            host: HostAccess::Full,
            backups: Arc::default(),
            logs: crate::client::logs::Which::Found,
            peer_tls: None,
            hashkv_interval: None,
            proc: "/proc".into(),
            sys: "/sys".into(),
            rootfs: "/".into(),
        }
    }
}
