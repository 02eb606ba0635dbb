//! Members and quorum: who is there, who answers, how many more may fail.

use std::sync::Arc;

use crate::model::{Desc, Labels, Quorum, Sample, hex_id};

/// The name of this subject in outcomes: there it stands for `Cluster.MemberList`.
pub(super) const NAME: &str = "members";

static REACHABLE: Desc = Desc::gauge(
    "etcd_doctor_member_reachable",
    None,
    "Whether the member answered anything in this cycle: Maintenance.Status (a refusal is an answer), a read, or its /metrics.",
)
.labels(&["member"]);
static STARTED: Desc = Desc::gauge(
    "etcd_doctor_member_started",
    None,
    "Whether the member ever started; one that was added and never started still counts for the quorum. From Cluster.MemberList.",
)
.labels(&["member"]);
static HAS_VOTE: Desc = Desc::gauge(
    "etcd_doctor_member_has_vote",
    None,
    "Whether the member has a vote; a learner has none. From Cluster.MemberList, so also of a member that does not answer.",
)
.labels(&["member"]);
static LISTED: Desc = Desc::gauge(
    "etcd_doctor_member_listed_info",
    None,
    "The member's id in hex and the first of its peer URLs, from Cluster.MemberList, so also of a member that does not \
     answer. Always 1.",
)
.labels(&["member", "member_id", "peer_url"]);
static ACCEPTS: Desc = Desc::gauge(
    "etcd_doctor_member_accepts_connections",
    None,
    "Whether a TCP connection to where the member is asked was made, whatever came of it: 1 for a member that answers and for \
     one that hangs, 0 where nothing listens or packets are dropped.",
)
.labels(&["member"]);
static VOTERS: Desc = Desc::gauge(
    "etcd_doctor_cluster_voters",
    None,
    "Members with a vote, started or not. From the last Cluster.MemberList.",
);
static LEARNERS: Desc = Desc::gauge(
    "etcd_doctor_cluster_learners",
    None,
    "Members without a vote. From the last Cluster.MemberList.",
);
static UNSTARTED: Desc = Desc::gauge(
    "etcd_doctor_cluster_unstarted_members",
    None,
    "Members that were added and never started. From the last Cluster.MemberList.",
);
static REACHABLE_VOTERS: Desc = Desc::gauge(
    "etcd_doctor_cluster_reachable_voters",
    None,
    "Members with a vote that answered in this cycle.",
);
static REACHABLE_MEMBERS: Desc = Desc::gauge(
    "etcd_doctor_cluster_reachable_members",
    None,
    "Members that answered in this cycle.",
);
static QUORUM_SIZE: Desc = Desc::gauge(
    "etcd_doctor_cluster_quorum_size",
    None,
    "Votes needed to elect a leader and to commit: more than half of the voters.",
);
static FAILURE_TOLERANCE: Desc = Desc::gauge(
    "etcd_doctor_cluster_failure_tolerance",
    None,
    "How many more voters may fail before writes stop: reachable voters less quorum size; negative when quorum is lost.",
);
static HAS_LEADER: Desc = Desc::gauge(
    "etcd_doctor_cluster_has_leader",
    None,
    "Whether a voter that answered knows a leader; absent when none answered.",
);
static TERM: Desc = Desc::gauge(
    "etcd_doctor_cluster_raft_term",
    None,
    "The highest raft term that a member reported in this cycle.",
);

pub(super) const DESCS: &[&Desc] = &[
    &REACHABLE,
    &STARTED,
    &HAS_VOTE,
    &LISTED,
    &ACCEPTS,
    &VOTERS,
    &LEARNERS,
    &UNSTARTED,
    &REACHABLE_VOTERS,
    &REACHABLE_MEMBERS,
    &QUORUM_SIZE,
    &FAILURE_TOLERANCE,
    &HAS_LEADER,
    &TERM,
];

/// A member as this cycle saw it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The label `member`.
    pub(super) name: Arc<str>,
    pub(super) id: Option<u64>,
    pub(super) learner: bool,
    pub(super) started: bool,
    pub(super) reachable: bool,
    /// Whether a TCP connection to it was made.
    pub(super) accepts: bool,
    /// The first of its peer URLs, may be empty.
    pub(super) peer_url: Arc<str>,
    /// The leader's id that it names, 0 for none; absent when it did not say.
    pub(super) leader: Option<u64>,
    pub(super) term: Option<u64>,
}

/// Quorum arithmetic over the last known membership. While no member ever told it, the number of voters is 0, which
/// stands for unknown.
pub(super) fn quorum(members: &[Seen], membership_known: bool) -> Quorum {
    let voters = members.iter().filter(|member| !member.learner);
    let count = if membership_known {
        voters.clone().count()
    } else {
        0
    };
    // Who leads is best known where the term is highest: a member that was cut off may still name the leader before.
    let newest = members
        .iter()
        .filter(|member| member.reachable && member.leader.is_some_and(|leader| leader != 0))
        .max_by_key(|member| member.term);
    let leader = newest.and_then(|member| member.leader).map(|leader| {
        let known = members.iter().find(|member| member.id == Some(leader));
        known.map_or_else(|| hex_id(leader).into(), |member| Arc::clone(&member.name))
    });
    Quorum {
        voters: count,
        reachable: voters.filter(|member| member.reachable).count(),
        required: if membership_known { count / 2 + 1 } else { 0 },
        leader,
        term: members.iter().filter_map(|member| member.term).max(),
    }
}

/// The samples of members and cluster.
pub(super) fn samples(members: &[Seen], membership_known: bool, quorum: &Quorum) -> Vec<Sample> {
    let mut samples = Vec::new();
    let flag = |value: bool| f64::from(u8::from(value));
    for member in members {
        let labels = Labels::new([("member", Arc::clone(&member.name))]);
        samples.push(Sample::number(&REACHABLE, labels.clone(), flag(member.reachable)));
        if membership_known {
            let id = member.id.map(hex_id).unwrap_or_default();
            let listed = labels.with("member_id", &id).with("peer_url", &member.peer_url);
            samples.push(Sample::number(&STARTED, labels.clone(), flag(member.started)));
            samples.push(Sample::number(&HAS_VOTE, labels.clone(), flag(!member.learner)));
            samples.push(Sample::number(&LISTED, listed, 1.0));
        }
        let accepts = member.reachable || member.accepts;
        samples.push(Sample::number(&ACCEPTS, labels, flag(accepts)));
    }
    let mut cluster = |desc, value: f64| samples.push(Sample::number(desc, Labels::empty(), value));
    let count = |which: &dyn Fn(&Seen) -> bool| members.iter().filter(|member| which(member)).count() as f64;
    if membership_known {
        cluster(&VOTERS, quorum.voters as f64);
        cluster(&LEARNERS, count(&|member| member.learner));
        cluster(&UNSTARTED, count(&|member| !member.started));
        cluster(&QUORUM_SIZE, quorum.required as f64);
        cluster(&REACHABLE_VOTERS, quorum.reachable as f64);
        cluster(&FAILURE_TOLERANCE, quorum.failure_tolerance() as f64);
    }
    cluster(&REACHABLE_MEMBERS, count(&|member| member.reachable));
    let told: Vec<u64> = members
        .iter()
        .filter(|member| member.reachable && !member.learner)
        .filter_map(|member| member.leader)
        .collect();
    if !told.is_empty() {
        cluster(&HAS_LEADER, flag(told.iter().any(|leader| *leader != 0)));
    }
    if let Some(term) = quorum.term {
        cluster(&TERM, term as f64);
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    fn seen(id: u64, reachable: bool) -> Seen {
        Seen {
            name: format!("m{id}").into(),
            id: Some(id),
            started: true,
            reachable,
            leader: reachable.then_some(1),
            term: reachable.then_some(2),
            ..Seen::default()
        }
    }

    fn value(samples: &[Sample], desc: &Desc) -> Option<f64> {
        samples
            .iter()
            .find(|sample| std::ptr::eq(sample.desc, desc))
            .map(|sample| match sample.value {
                Value::Number(number) => number,
                Value::Histogram(_) => panic!(),
            })
    }

    #[test]
    fn tolerance_counts_unstarted_voters_and_not_learners() {
        let unstarted = Seen {
            started: false,
            ..seen(4, false)
        };
        let learner = Seen {
            learner: true,
            ..seen(5, true)
        };
        for (members, voters, required, tolerance) in [
            (vec![seen(1, true), seen(2, true), seen(3, true)], 3, 2, 1),
            (vec![seen(1, true), seen(2, true), seen(3, false)], 3, 2, 0),
            (vec![seen(1, true), seen(2, false), seen(3, false)], 3, 2, -1),
            (
                vec![seen(1, true), seen(2, true), seen(3, true), unstarted],
                4,
                3,
                0,
            ),
            (
                vec![seen(1, true), seen(2, true), seen(3, true), learner],
                3,
                2,
                1,
            ),
            (vec![seen(1, true)], 1, 1, 0),
            (vec![seen(1, false), seen(2, false), seen(3, false)], 3, 2, -2),
        ] {
            let quorum = quorum(&members, true);
            assert_eq!(
                (quorum.voters, quorum.required, quorum.failure_tolerance()),
                (voters, required, tolerance)
            );
        }
    }

    #[test]
    fn an_unknown_membership_gives_no_arithmetic() {
        let members = [seen(1, false), seen(2, false)];
        let quorum = quorum(&members, false);
        let samples = samples(&members, false, &quorum);
        assert_eq!((quorum.voters, quorum.required), (0, 0));
        assert_eq!(value(&samples, &VOTERS), None);
        assert_eq!(value(&samples, &FAILURE_TOLERANCE), None);
        assert_eq!(value(&samples, &HAS_LEADER), None);
        assert_eq!(value(&samples, &REACHABLE), Some(0.0));
    }

    #[test]
    fn the_leader_is_the_one_of_the_highest_term() {
        let paused = Seen {
            leader: Some(1),
            term: Some(2),
            ..seen(1, true)
        };
        let other = Seen {
            leader: Some(2),
            term: Some(3),
            ..seen(2, true)
        };
        let quorum = quorum(&[paused, other], true);
        assert_eq!((quorum.leader.as_deref(), quorum.term), (Some("m2"), Some(3)));
    }

    #[test]
    fn a_learner_s_word_on_the_leader_does_not_count() {
        let learner = Seen {
            learner: true,
            ..seen(1, true)
        };
        let lost = Seen {
            leader: Some(0),
            ..seen(2, true)
        };
        let members = [learner, lost];
        assert_eq!(
            value(&samples(&members, true, &quorum(&members, true)), &HAS_LEADER),
            Some(0.0)
        );
    }
}
