//! The closed list of messages that are counted, with etcd's words for each. Text, never values: what stands in a request
//! is a client's, and must not count as etcd's word.

use super::entry::{Entry, Level};

/// A message of etcd's: what it begins with, and what else it holds.
struct Known {
    kind: &'static str,
    begins: &'static str,
    holds: &'static str,
}

const fn begins(kind: &'static str, begins: &'static str) -> Known {
    Known {
        kind,
        begins,
        holds: "",
    }
}

/// For what begins with a member's id.
const fn holds(kind: &'static str, holds: &'static str) -> Known {
    Known {
        kind,
        begins: "",
        holds,
    }
}

/// etcd ended by its own decision.
pub(super) const FATAL: &str = "fatal";
/// etcd's code broke off.
pub(super) const PANIC: &str = "panic";
/// It ended because the disk under its data was full.
pub(super) const DISK_FULL: &str = "disk_full";

/// Who connected hung up without a word of TLS, as a load balancer's health check does every few seconds.
const HANDSHAKE_UNFINISHED: &str = "handshake_unfinished";

/// Whether a rejected connection was closed by the other side.
fn hung_up(entry: &Entry<'_>) -> bool {
    entry.error == "EOF" || entry.message.contains(" (error \"EOF\"")
}

const NO_SPACE: &str = "no space left on device";

/// The first that fits counts. The words are those of 3.5 and of 3.4 with zap, then those of 3.4 as it comes. What a client's words may
/// follow stands first.
const KNOWN: &[Known] = &[
    begins("apply_slow", "apply request took too long"),
    begins("apply_slow", "read-only range request \""),
    begins("apply_slow", "request \""),
    begins("apply_failed", "failed to apply request"),
    begins("fsync_slow", "slow fdatasync"),
    begins("fsync_slow", "sync duration of "),
    begins("heartbeat_late", "leader failed to send out heartbeat on time"),
    begins("heartbeat_late", "failed to send out heartbeat on time"),
    begins("read_index_slow", "waiting for ReadIndex response took too long"),
    Known {
        kind: "leader_lost",
        begins: "raft.node: ",
        holds: " lost leader ",
    },
    Known {
        kind: "leader_elected",
        begins: "raft.node: ",
        holds: " elected leader ",
    },
    Known {
        kind: "leader_changed",
        begins: "raft.node: ",
        holds: " changed leader from ",
    },
    holds(
        "quorum_inactive",
        " stepped down to follower since quorum is not active",
    ),
    holds("election_started", " is starting a new election at term "),
    begins(
        "client_connection_rejected",
        "rejected connection on client endpoint",
    ),
    begins("peer_connection_rejected", "rejected connection on peer endpoint"),
    begins("connection_rejected", "rejected connection"),
    begins("connection_rejected", "http: TLS handshake error from "),
    begins("cluster_id_mismatch", "request cluster ID mismatch"),
    Known {
        kind: "cluster_id_mismatch",
        begins: "request sent was ignored",
        holds: "cluster ID mismatch",
    },
    begins("peer_unreachable", "prober detected unhealthy status"),
    Known {
        kind: "peer_unreachable",
        begins: "health check for peer ",
        holds: " could not connect",
    },
    begins("peer_unreachable", "failed to reach the peer URL"),
    begins("peer_unreachable", "failed to reach the peerURL("),
    begins("peer_inactive", "peer became inactive"),
    Known {
        kind: "peer_inactive",
        begins: "peer ",
        holds: " became inactive",
    },
    begins(
        "raft_message_dropped",
        "dropped internal Raft message since sending buffer is full",
    ),
    begins(
        "raft_message_dropped",
        "dropped Raft message since sending buffer is full",
    ),
    Known {
        kind: "raft_message_dropped",
        begins: "dropped ",
        holds: "sending buffer is full",
    },
    begins("quota_exceeded", "message exceeded backend quota"),
    begins("quota_exceeded", "applying raft message exceeded backend quota"),
    begins("alarm_raised", "alarm raised"),
    Known {
        kind: "alarm_raised",
        begins: "alarm ",
        holds: " raised by peer ",
    },
    begins("alarm_disarmed", "alarm disarmed"),
    begins("clock_difference", "prober found high clock drift"),
    begins("clock_difference", "the clock difference against peer "),
    begins("compaction_finished", "finished scheduled compaction"),
    begins("defrag_started", "starting defragment"),
    begins("defrag_started", "starting to defragment the storage backend"),
    begins("defrag_finished", "finished defragmenting directory"),
    begins("defrag_finished", "finished defragmenting the storage backend"),
    begins("snapshot_sent_to_member", "sent merged snapshot"),
    Known {
        kind: "snapshot_sent_to_member",
        begins: "database snapshot [index: ",
        holds: " was sent",
    },
    begins(
        "snapshot_sent_to_client",
        "successfully sent database snapshot to client",
    ),
    begins("member_removed", "data-dir used by this member must be removed"),
    begins(
        "member_removed",
        "the data-dir used by this member must be removed",
    ),
    begins(
        "removed_member_rejected",
        "rejected stream from remote peer because it was removed",
    ),
    Known {
        kind: "removed_member_rejected",
        begins: "rejected the stream from peer ",
        holds: " since it was removed",
    },
    begins("publish_failed", "failed to publish local member to cluster"),
    begins("publish_failed", "publish error: "),
    begins("corruption", "same compact revision then hashes must match"),
    begins("corruption", "failed compaction hash check"),
    begins("corruption", "found hash mismatch"),
    Known {
        kind: "corruption",
        begins: "",
        holds: " found data inconsistency with peers",
    },
    begins(DISK_FULL, "write error: write /dev/std"),
];

/// Every kind, each once, in a stable order.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    let known = KNOWN.iter().map(|known| known.kind);
    let mut seen = std::collections::BTreeSet::new();
    known
        .chain([HANDSHAKE_UNFINISHED, FATAL, PANIC])
        .filter(move |kind| seen.insert(*kind))
}

/// What kind of message a line is; none for all that is not on the list.
pub(super) fn of(entry: &Entry<'_>) -> Option<&'static str> {
    if entry.message.starts_with("rejected connection") && hung_up(entry) {
        return Some(HANDSHAKE_UNFINISHED);
    }
    let full = || entry.message.contains(NO_SPACE) || entry.error.contains(NO_SPACE);
    match entry.level {
        Level::Fatal | Level::Panic if full() => return Some(DISK_FULL),
        Level::Panic => return Some(PANIC),
        _ => {}
    }
    let fits =
        |known: &&Known| entry.message.starts_with(known.begins) && entry.message.contains(known.holds);
    let known = KNOWN.iter().find(fits).map(|known| known.kind);
    known.or((entry.level == Level::Fatal).then_some(FATAL))
}
