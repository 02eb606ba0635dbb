//! The collector `metrics`: each member's own `/metrics` page, whole for users' rules, and a literal list of its
//! metrics under etcd-doctor's prefix for the shipped ones.

use std::collections::HashMap;
use std::sync::LazyLock;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Collector, Failure, Member, MetricsReading, Reading, Scope, Settings, Spec, Subject};
use crate::client::exposition::{self, Line};
use crate::model::{CollectError, Desc, Histogram, Labels, METRIC_NAME, PageSeries, Reason, Sample, hex_id};

/// A metric of etcd that is passed on, and the one that it becomes.
struct Pass {
    from: &'static str,
    to: &'static Desc,
}

/// Declares the descriptions of what is passed on, and the table of them.
macro_rules! passed_on {
    ($($name:ident = $kind:ident($to:literal, $unit:expr, $help:literal) from $from:literal $(by $label:literal)? $(, $mark:ident)?;)*) => {
        $(static $name: Desc = Desc::$kind(
            concat!("etcd_doctor_", $to),
            $unit,
            concat!($help, " From the member's ", $from, "."),
        )$(.labels(&[$label]))?$(.$mark())?;)*

        const PASSED_ON: &[Pass] = &[$(Pass { from: $from, to: &$name }),*];
        const DESCS: &[&Desc] = &[$(&$name,)* &INVALID_WRITES];
    };
}

passed_on! {
    WAL_FSYNC = histogram("wal_fsync_duration_seconds", Some("seconds"), "Duration of the fsync calls by which the member makes its write-ahead log durable.")
        from "etcd_disk_wal_fsync_duration_seconds";
    BACKEND_COMMIT = histogram("backend_commit_duration_seconds", Some("seconds"), "Duration of the member's commits of its database to disk.")
        from "etcd_disk_backend_commit_duration_seconds";
    PEER_ROUND_TRIP = histogram("peer_round_trip_time_seconds", Some("seconds"), "Round-trip time to a current peer, by its name.")
        from "etcd_network_peer_round_trip_time_seconds" by "peer", sparse;
    PEER_SENT_FAILURES = counter("peer_sent_failures_total", None, "Raft messages to a current peer, by its name, that could not be sent.")
        from "etcd_network_peer_sent_failures_total" by "peer", sparse;
    PEER_DISCONNECTS = counter("peer_disconnects_total", None, "Connections to a current peer, by its name, that were lost.")
        from "etcd_network_disconnected_peers_total" by "peer", sparse;
    COMMITTED = gauge("proposals_committed", None, "Raft proposals committed: the index of the last committed entry.") from "etcd_server_proposals_committed_total";
    APPLIED = gauge("proposals_applied", None, "Raft proposals applied: the index of the last applied entry. Behind the committed one when applying is slow.") from "etcd_server_proposals_applied_total";
    PENDING = gauge("proposals_pending", None, "Raft proposals waiting to be committed.") from "etcd_server_proposals_pending";
    FAILED = counter("proposals_failed_total", None, "Raft proposals that failed, as during an election or without quorum.") from "etcd_server_proposals_failed_total";
    WAL_WRITTEN = counter("wal_written_bytes_total", Some("bytes"), "Bytes that the member wrote to its write-ahead log.")
        from "etcd_disk_wal_write_bytes_total";
    CLIENT_RECEIVED = counter("client_received_bytes_total", Some("bytes"), "Bytes that the member received from clients over gRPC.")
        from "etcd_network_client_grpc_received_bytes_total";
    CLIENT_SENT = counter("client_sent_bytes_total", Some("bytes"), "Bytes that the member sent to clients over gRPC.")
        from "etcd_network_client_grpc_sent_bytes_total";
    SLOW_APPLIES = counter("slow_applies_total", None, "Applies that took longer than etcd's own limit of 100 ms.")
        from "etcd_server_slow_apply_total";
    SLOW_READ_INDEXES = counter("slow_read_indexes_total", None, "Linearizable reads for which the leader confirmed its index late or not at all.")
        from "etcd_server_slow_read_indexes_total";
    LEADER_CHANGES = counter("leader_changes_total", None, "Leaders gained since the member started, also the same one again.")
        from "etcd_server_leader_changes_seen_total";
    HEARTBEAT_FAILURES = counter("heartbeat_send_failures_total", None, "Heartbeats that the leader sent late, from an overloaded disk or CPU.")
        from "etcd_server_heartbeat_send_failures_total";
    COMPACT_REVISION = gauge("compact_revision", None, "Revision up to which history is compacted, -1 for none.")
        from "etcd_debugging_mvcc_compact_revision";
    CURRENT_REVISION = gauge("current_revision", None, "Newest revision of the store.")
        from "etcd_debugging_mvcc_current_revision";
    AUTH_REVISION = gauge("auth_revision", None, "How often users and roles were changed, and 1: 1 when there never were any.")
        from "etcd_debugging_auth_revision";
    KEYS = gauge("keys", None, "Keys in the store, without their history.") from "etcd_debugging_mvcc_keys_total";
    DEFRAG_INFLIGHT = gauge("defrag_inflight", None, "Whether the member is defragmenting.") from "etcd_disk_defrag_inflight";
    DEFRAG = histogram("defrag_duration_seconds", Some("seconds"), "Duration of defragmentations.")
        from "etcd_disk_backend_defrag_duration_seconds";
    OPEN_FDS = gauge("member_open_fds", None, "File descriptors that the member's process has open.") from "process_open_fds";
    MAX_FDS = gauge("member_max_fds", None, "File descriptors that the member's process may have open.") from "process_max_fds";
    MEMORY = gauge("member_resident_memory_bytes", Some("bytes"), "Resident memory of the member's process.")
        from "process_resident_memory_bytes";
    CPU = counter("member_cpu_seconds_total", Some("seconds"), "CPU time that the member's process has used.")
        from "process_cpu_seconds_total";
    START_TIME = gauge("member_start_time_seconds", Some("seconds"), "When the member's process started, in seconds since the epoch.")
        from "process_start_time_seconds";
}

static INVALID_WRITES: Desc = Desc::counter(
    "etcd_doctor_invalid_writes_total",
    None,
    "Puts and transactions that the member refused as invalid: too large, too many operations, no key. From the member's \
     grpc_server_handled_total with the code InvalidArgument.",
);

/// The calls that write.
const WRITES: [&str; 2] = ["Put", "Txn"];

pub(super) const SPEC: Spec = Spec {
    name: "metrics",
    scope: Scope::Member,
    descs: DESCS,
    build: |settings: &Settings| {
        Box::new(MetricsCollector {
            settings: settings.clone(),
        })
    },
};

/// The table by the name on the page.
static BY_NAME: LazyLock<HashMap<&'static str, &'static Pass>> =
    LazyLock::new(|| PASSED_ON.iter().map(|pass| (pass.from, pass)).collect());

struct MetricsCollector {
    settings: Settings,
}

impl Collector for MetricsCollector {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        async move {
            let Some(link) = &subject.link else {
                return Err(Failure::NotApplicable("no endpoint is known".into()));
            };
            let page = link.scraper().metrics().await.map_err(Failure::Failed)?;
            let own = subject.member.as_ref().and_then(|member| member.id);
            let keep = |name: &str| {
                self.settings
                    .page_metrics
                    .as_ref()
                    .is_none_or(|names| names.contains(name))
            };
            let (samples, mut reading) = read(&page, own, &subject.members, keep).map_err(|error| {
                Failure::Failed(CollectError {
                    reason: Reason::Malformed,
                    message: format!(
                        "the metrics page of {} cannot be read: {error}",
                        link.scraper().instance()
                    ),
                    fix: "check that the URL is that of etcd's own metrics".into(),
                })
            })?;
            subject.believe(reading.member_id.unwrap_or(0), 0)?;
            reading.instance = link.scraper().instance();
            Ok(Reading {
                samples,
                metrics: Some(reading),
                ..Reading::default()
            })
        }
        .boxed()
    }
}

/// Reads a page in one pass. `own` is the id of the member whose page it is; `members` gives peers their names.
fn read(
    page: &str,
    own: Option<u64>,
    members: &[Member],
    keep: impl Fn(&str) -> bool,
) -> Result<(Vec<Sample>, MetricsReading), exposition::ParseError> {
    let mut reading = MetricsReading::default();
    let mut samples = Vec::new();
    let mut invalid_writes = None;
    let mut histograms = Histograms::default();
    exposition::parse(page, |line| {
        if keep(line.name) {
            let pairs = line.labels.iter().map(|(name, value)| (*name, &**value));
            reading.page.push(PageSeries {
                labels: Labels::new(pairs.chain([(METRIC_NAME, line.name)])),
                value: line.value,
            });
        }
        note(&mut reading, line);
        if let Some(pass) = BY_NAME.get(line.name) {
            let labels = labels_of(peer_of(line), own, members);
            samples.extend(labels.map(|labels| Sample::number(pass.to, labels, line.value)));
        } else if line.name == "grpc_server_handled_total" {
            if is_invalid_write(line) {
                *invalid_writes.get_or_insert(0.0) += line.value;
            }
        } else {
            histograms.take(line, own, members);
        }
    })?;
    samples.extend(invalid_writes.map(|count| Sample::number(&INVALID_WRITES, Labels::empty(), count)));
    samples.extend(histograms.finish());
    let peers = members
        .iter()
        .filter(|member| member.started && member.id.is_some_and(|id| Some(id) != own));
    samples.extend(
        peers
            .flat_map(|peer| none_yet(&samples, peer))
            .collect::<Vec<_>>(),
    );
    Ok((samples, reading))
}

/// Zero for what etcd only shows of a peer from the first event on: of a counter that begins with its first event, that
/// event would never be seen.
fn none_yet(samples: &[Sample], peer: &Member) -> Vec<Sample> {
    let labels = Labels::new([("peer", &*peer.name)]);
    let counters = [&PEER_SENT_FAILURES, &PEER_DISCONNECTS].into_iter();
    let absent = counters.filter(|desc| {
        !samples
            .iter()
            .any(|sample| std::ptr::eq(sample.desc, *desc) && sample.labels == labels)
    });
    absent
        .map(|desc| Sample::number(desc, labels.clone(), 0.0))
        .collect()
}

/// Keeps what the derived metrics need.
fn note(reading: &mut MetricsReading, line: &Line<'_>) {
    let value = line.value;
    match line.name {
        "etcd_server_leader_changes_seen_total" => reading.leader_changes = Some(value),
        "process_start_time_seconds" => reading.start_time = Some(value),
        "etcd_server_quota_backend_bytes" => reading.quota = Some(value),
        "etcd_server_has_leader" => reading.has_leader = Some(value == 1.0),
        "etcd_server_is_leader" => reading.is_leader = Some(value == 1.0),
        "etcd_server_is_learner" => reading.is_learner = Some(value == 1.0),
        "etcd_mvcc_db_total_size_in_bytes" => reading.db_size = Some(value),
        "etcd_mvcc_db_total_size_in_use_in_bytes" => reading.db_in_use = Some(value),
        "etcd_debugging_mvcc_current_revision" => reading.revision = Some(value),
        "etcd_server_proposals_committed_total" => reading.committed = Some(value),
        "etcd_network_peer_received_bytes_total" => {
            let sender = label(line, "From").and_then(|id| u64::from_str_radix(id, 16).ok());
            reading.received.extend(sender.map(|id| (id, value)));
        }
        "etcd_server_version" => reading.version = label(line, "server_version").map(str::to_owned),
        "etcd_server_id" => {
            reading.member_id = label(line, "server_id").and_then(|id| u64::from_str_radix(id, 16).ok());
        }
        _ => {}
    }
}

fn is_invalid_write(line: &Line<'_>) -> bool {
    label(line, "grpc_code") == Some("InvalidArgument")
        && label(line, "grpc_method").is_some_and(|method| WRITES.contains(&method))
}

fn label<'a>(line: &'a Line<'_>, name: &str) -> Option<&'a str> {
    line.labels
        .iter()
        .find(|(label, _)| *label == name)
        .map(|(_, value)| &**value)
}

/// The peer that a series is about, by etcd's two names for it.
fn peer_of(line: &Line<'_>) -> Option<u64> {
    let peer = label(line, "To").or_else(|| label(line, "Remote"));
    peer.and_then(|id| u64::from_str_radix(id, 16).ok())
}

/// Histograms in the making, by what they become and their peer.
#[derive(Default)]
struct Histograms(Vec<(&'static Desc, Option<u64>, Labels, Histogram)>);

impl Histograms {
    fn take(&mut self, line: &Line<'_>, own: Option<u64>, members: &[Member]) {
        let Some((name, part)) = line.name.rsplit_once('_') else {
            return;
        };
        if !matches!(part, "bucket" | "sum" | "count") {
            return;
        }
        let Some(pass) = BY_NAME.get(name) else { return };
        let peer = peer_of(line);
        let known = self
            .0
            .iter()
            .position(|(desc, other, ..)| std::ptr::eq(*desc, pass.to) && *other == peer);
        let at = match known {
            Some(at) => at,
            None => {
                let Some(labels) = labels_of(peer, own, members) else {
                    return;
                };
                self.0.push((pass.to, peer, labels, Histogram::default()));
                self.0.len() - 1
            }
        };
        let histogram = &mut self.0[at].3;
        match part {
            "sum" => histogram.sum = line.value,
            "count" => histogram.count = line.value,
            _ => {
                if let Some(bound) = label(line, "le").and_then(|bound| bound.parse().ok()) {
                    histogram.buckets.push((bound, line.value));
                }
            }
        }
    }

    fn finish(self) -> impl Iterator<Item = Sample> {
        self.0.into_iter().map(|(desc, _, labels, mut histogram)| {
            histogram
                .buckets
                .sort_by(|(one, _), (other, _)| one.total_cmp(other));
            Sample::histogram(desc, labels, histogram)
        })
    }
}

/// The labels of a series: none without a peer, else the peer's name, or its id where it has none. A peer that is no
/// member has no labels, and its series is left out: etcd keeps series of removed peers until it restarts.
fn labels_of(peer: Option<u64>, own: Option<u64>, members: &[Member]) -> Option<Labels> {
    let Some(peer) = peer else {
        return Some(Labels::empty());
    };
    if own == Some(peer) {
        return None;
    }
    let member = members.iter().find(|member| member.id == Some(peer));
    let membership_known = members
        .iter()
        .any(|member| member.id.is_some_and(|id| Some(id) != own));
    match member {
        Some(member) => Some(Labels::new([("peer", &*member.name)])),
        None if membership_known => None,
        None => Some(Labels::new([("peer", hex_id(peer).as_str())])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    fn page(zipped: &[u8]) -> String {
        let mut page = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(zipped), &mut page).unwrap();
        page
    }

    fn member(name: &str, id: u64) -> Member {
        Member {
            name: name.into(),
            id: Some(id),
            endpoint: None,
            learner: false,
            started: true,
            client_urls: Vec::new(),
            peer_urls: Vec::new(),
        }
    }

    #[test]
    fn recorded_pages_give_every_metric_of_the_list() {
        for zipped in [
            &include_bytes!("../../tests/fixtures/etcd/metrics-3.4.23.txt.gz")[..],
            &include_bytes!("../../tests/fixtures/etcd/metrics-3.5.30.txt.gz")[..],
        ] {
            let (samples, reading) = read(&page(zipped), None, &[], |_| true).unwrap();
            for pass in PASSED_ON {
                let found = samples.iter().any(|sample| std::ptr::eq(sample.desc, pass.to));
                // A member that has no peer yet has no round trips: the 3.4 page is of one that has. Failures to reach
                // one are not on a page before the first.
                assert!(
                    found || pass.from.starts_with("etcd_network_"),
                    "{} is missing",
                    pass.to.name
                );
            }
            assert!(
                samples
                    .iter()
                    .any(|sample| std::ptr::eq(sample.desc, &INVALID_WRITES))
            );
            assert!(reading.page.len() > 1000);
            assert!(
                reading.leader_changes.is_some()
                    && reading.start_time.is_some()
                    && reading.member_id.is_some()
            );
            assert_eq!(reading.quota, Some(2_147_483_648.0));
        }
    }

    #[test]
    fn a_histogram_comes_whole() {
        let zipped = &include_bytes!("../../tests/fixtures/etcd/metrics-3.4.23.txt.gz")[..];
        let (samples, _) = read(&page(zipped), None, &[], |_| false).unwrap();
        let fsync = samples
            .iter()
            .find(|sample| std::ptr::eq(sample.desc, &WAL_FSYNC))
            .unwrap();
        let Value::Histogram(histogram) = &fsync.value else {
            panic!()
        };
        assert_eq!(histogram.buckets.len(), 15);
        assert_eq!(histogram.buckets[14], (f64::INFINITY, histogram.count));
        assert!(histogram.buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        assert!(histogram.sum > 0.0);
    }

    #[test]
    fn peers_have_their_names_and_removed_ones_are_left_out() {
        let page = "etcd_network_peer_round_trip_time_seconds_count{To=\"b\"} 1\n\
                    etcd_network_peer_round_trip_time_seconds_count{To=\"c\"} 1\n";
        let peers = |members: &[Member]| -> Vec<String> {
            let (samples, _) = read(page, Some(10), members, |_| true).unwrap();
            let round_trips = samples
                .iter()
                .filter(|sample| std::ptr::eq(sample.desc, &PEER_ROUND_TRIP));
            round_trips.map(|sample| sample.labels.to_string()).collect()
        };
        assert_eq!(
            peers(&[member("a", 10), member("beta", 11)]),
            [r#"{peer="beta"}"#]
        );
        assert_eq!(peers(&[]), [r#"{peer="b"}"#, r#"{peer="c"}"#]);
    }

    #[test]
    fn what_failed_between_peers_has_their_names() {
        let page = "etcd_network_peer_sent_failures_total{To=\"b\"} 3\n\
                    etcd_network_peer_sent_failures_total{To=\"c\"} 4\n\
                    etcd_network_disconnected_peers_total{Local=\"a\",Remote=\"b\"} 2\n\
                    etcd_network_peer_received_bytes_total{From=\"0\"} 9\n\
                    etcd_network_peer_received_bytes_total{From=\"b\"} 7\n";
        let members = [member("a", 10), member("beta", 11), member("gamma", 13)];
        let (samples, reading) = read(page, Some(10), &members, |_| true).unwrap();
        let shown: Vec<String> = samples
            .iter()
            .map(|sample| format!("{} {:?}", sample.labels.named(sample.desc.name), sample.value))
            .collect();
        assert_eq!(
            shown,
            [
                r#"etcd_doctor_peer_sent_failures_total{peer="beta"} Number(3.0)"#,
                r#"etcd_doctor_peer_disconnects_total{peer="beta"} Number(2.0)"#,
                r#"etcd_doctor_peer_sent_failures_total{peer="gamma"} Number(0.0)"#,
                r#"etcd_doctor_peer_disconnects_total{peer="gamma"} Number(0.0)"#,
            ]
        );
        assert_eq!(reading.received, [(0, 9.0), (11, 7.0)]);
    }

    #[test]
    fn only_the_metrics_that_rules_use_are_kept() {
        let (_, reading) = read("a 1\nb{x=\"1\"} 2\n", None, &[], |name| name == "b").unwrap();
        let kept: Vec<String> = reading
            .page
            .iter()
            .map(|series| series.labels.to_string())
            .collect();
        assert_eq!(kept, [r#"b{x="1"}"#]);
    }
}
