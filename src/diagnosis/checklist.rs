//! The seven steps of the guide's checklist, answered from what this cycle saw.

use std::collections::BTreeSet;

use super::{CheckItem, Problem, Severity, Status};
use crate::model::{ClusterFacts, MemberFacts, Quota, Timestamp};
use crate::promql::{Options, Query, QueryValue, Source};

/// Which categories the rules in force judge, and in which of them one sees nothing.
pub(super) struct Judges<'a> {
    pub(super) categories: BTreeSet<&'a str>,
    pub(super) blind: BTreeSet<&'a str>,
}

impl Judges<'_> {
    fn any_of(&self, categories: &[&str]) -> bool {
        categories
            .iter()
            .any(|category| self.categories.contains(category))
    }

    fn any_blind_of(&self, categories: &[&str]) -> bool {
        categories.iter().any(|category| self.blind.contains(category))
    }
}

/// Answers every step. A step's status is that of the worst problem in its categories; what was not read is unknown. `refused`
/// is why a member that answers told neither its status nor the members.
pub(super) fn answer(
    facts: &ClusterFacts,
    problems: &[Problem],
    judges: &Judges<'_>,
    refused: Option<&str>,
    source: &dyn Source,
    now: Timestamp,
) -> Vec<CheckItem> {
    let step = |step, title, categories: &[&str], read: Result<String, &str>| match read {
        Ok(detail) => {
            let (status, remark) = match worst_of(problems, categories) {
                Some(severity) => (status_of(severity), ""),
                None if !judges.any_of(categories) => (Status::Unknown, "; no rule judges it"),
                None if judges.any_blind_of(categories) => (Status::Unknown, "; a rule for it cannot see"),
                None => (Status::Pass, ""),
            };
            CheckItem {
                step,
                title,
                status,
                detail: detail + remark,
            }
        }
        Err(why) => CheckItem {
            step,
            title,
            status: Status::Unknown,
            detail: why.to_owned(),
        },
    };
    let health = health(facts, refused);
    vec![
        step(
            1,
            "etcd health",
            &["availability", "election"],
            health.as_deref().map(str::to_owned).map_err(String::as_str),
        ),
        step(
            2,
            "cluster status",
            &["election", "consistency"],
            cluster_status(facts),
        ),
        step(
            3,
            "member list",
            &["availability", "configuration"],
            member_list(facts),
        ),
        step(4, "database size", &["quota"], database_size(facts)),
        step(
            5,
            "etcd logs",
            &[],
            Err("not read here; see `journalctl -u etcd`"),
        ),
        step(6, "disk space", &["resources"], disk_space(source, now)),
        step(7, "disk I/O", &["disk"], disk_io(source, now)),
    ]
}

fn worst_of(problems: &[Problem], categories: &[&str]) -> Option<Severity> {
    let of = |problem: &Problem| {
        let own =
            (problem.firing && categories.contains(&problem.category.as_str())).then_some(problem.severity);
        own.max(worst_of(&problem.explains, categories))
    };
    problems.iter().filter_map(of).max()
}

fn status_of(severity: Severity) -> Status {
    match severity {
        Severity::Critical => Status::Fail,
        Severity::Warning => Status::Warn,
        Severity::Info => Status::Pass,
    }
}

/// Without a term nobody told whether there is a leader, which is no word of its absence.
fn health(facts: &ClusterFacts, refused: Option<&str>) -> Result<String, String> {
    let answering = facts.members.iter().filter(|member| member.reachable).count();
    let all = facts.members.len();
    let leader = match (facts.quorum.leader.as_deref(), facts.quorum.term) {
        _ if answering == 0 => return Err("no member answers".to_owned()),
        (Some(leader), _) => format!("leader {leader}"),
        (None, Some(_)) => "no leader".to_owned(),
        (None, None) => {
            let why = refused.unwrap_or("no member told its raft state");
            return Err(format!(
                "{answering} of {all} members answer, but whether there is a leader could not be read: {why}"
            ));
        }
    };
    Ok(format!("{answering} of {all} members answer, {leader}"))
}

fn cluster_status(facts: &ClusterFacts) -> Result<String, &'static str> {
    let unread = "no member told its raft state";
    let term = facts.quorum.term.ok_or(unread)?;
    let lags = facts
        .members
        .iter()
        .filter_map(|member| Some(member.raft_index?.saturating_sub(member.raft_applied_index?)));
    Ok(match lags.max().ok_or(unread)? {
        0 => format!("raft term {term}, every entry applied"),
        1 => format!("raft term {term}, 1 entry not yet applied"),
        lag => format!("raft term {term}, at most {lag} entries not yet applied"),
    })
}

fn member_list(facts: &ClusterFacts) -> Result<String, &'static str> {
    let voters = facts.quorum.voters;
    if voters == 0 {
        return Err("no member told its member list");
    }
    let learners = facts.members.iter().filter(|member| member.learner).count();
    let unstarted = facts.members.iter().filter(|member| !member.started).count();
    let mut text = format!("{voters} {}", if voters == 1 { "voter" } else { "voters" });
    if learners > 0 {
        text += &format!(
            ", {learners} {}",
            if learners == 1 { "learner" } else { "learners" }
        );
    }
    if unstarted > 0 {
        text += &format!(", {unstarted} never started");
    }
    Ok(text)
}

fn database_size(facts: &ClusterFacts) -> Result<String, &'static str> {
    let used = facts.members.iter().filter_map(|member| match member.quota {
        Quota::Bytes(quota, _) => Some((member.db_size_bytes? as f64 / quota as f64, &member.name)),
        Quota::Disabled(_) | Quota::Unknown => None,
    });
    let fullest = used.max_by(|a, b| a.0.total_cmp(&b.0));
    match fullest {
        Some((share, _)) if share < 0.01 => Ok("less than 1% of the quota".to_owned()),
        Some((share, name)) => Ok(format!("at most {:.0}% of the quota ({name})", share * 100.0)),
        None => {
            let off = |member: &MemberFacts| matches!(member.quota, Quota::Disabled(_));
            let off = facts.members.iter().any(off);
            off.then(|| "the quota is switched off".to_owned())
                .ok_or("no member told its size and quota")
        }
    }
}

fn disk_space(source: &dyn Source, now: Timestamp) -> Result<String, &'static str> {
    let free = "min(etcd_doctor_filesystem_available_bytes / etcd_doctor_filesystem_size_bytes)";
    let share = number(free, source, now).ok_or("no member runs on this host")?;
    Ok(format!(
        "at least {:.0}% of the data file system is free",
        share * 100.0
    ))
}

fn disk_io(source: &dyn Source, now: Timestamp) -> Result<String, &'static str> {
    let mean = "max(rate(etcd_doctor_wal_fsync_duration_seconds_sum[5m]) \
                / rate(etcd_doctor_wal_fsync_duration_seconds_count[5m]))";
    let seen = "count(etcd_doctor_wal_fsync_duration_seconds_count)";
    number(seen, source, now).ok_or("no member's metrics could be read")?;
    let mean = number(mean, source, now).filter(|mean| mean.is_finite());
    Ok(match mean {
        Some(mean) => format!(
            "a WAL fsync takes {:.1} ms on average on the slowest member",
            mean * 1000.0
        ),
        None => "nothing was written while watching".to_owned(),
    })
}

fn number(expr: &str, source: &dyn Source, now: Timestamp) -> Option<f64> {
    match Query::parse(expr)
        .ok()?
        .instant(source, now, &Options::default())
        .ok()?
    {
        QueryValue::Vector(elements) => elements.first().map(|element| element.value),
        QueryValue::Scalar(value) => Some(value),
        QueryValue::String(_) | QueryValue::Matrix(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::tests::problem;
    use crate::model::Quorum;
    use crate::promql::{Matcher, Series};

    struct Nothing;

    impl Source for Nothing {
        fn select(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Vec<Series> {
            Vec::new()
        }
    }

    /// The statuses of the first three steps on a cluster of one member that answers.
    fn first_three(problems: &[Problem], categories: &[&str], blind: &[&str]) -> [&'static str; 3] {
        let member = MemberFacts {
            reachable: true,
            started: true,
            raft_index: Some(1),
            raft_applied_index: Some(1),
            ..MemberFacts::default()
        };
        let quorum = Quorum {
            voters: 1,
            reachable: 1,
            required: 1,
            leader: Some("a".into()),
            term: Some(2),
        };
        let facts = ClusterFacts {
            members: vec![member],
            quorum,
            cluster_id: None,
        };
        let judges = Judges {
            categories: categories.iter().copied().collect(),
            blind: blind.iter().copied().collect(),
        };
        let items = answer(
            &facts,
            problems,
            &judges,
            None,
            &Nothing,
            Timestamp::from_millis(0),
        );
        [0, 1, 2].map(|at| items[at].status.as_str())
    }

    #[test]
    fn a_step_passes_only_where_a_rule_judges_and_sees() {
        assert_eq!(
            first_three(&[], &["availability", "election"], &[]),
            ["pass", "pass", "pass"]
        );
        assert_eq!(
            first_three(&[], &["availability"], &[]),
            ["pass", "unknown", "pass"]
        );
        assert_eq!(
            first_three(&[], &["availability", "election"], &["election"]),
            ["unknown", "unknown", "pass"]
        );
        assert_eq!(first_three(&[], &[], &[]), ["unknown", "unknown", "unknown"]);
    }

    #[test]
    fn a_leader_that_could_not_be_read_is_not_missing() {
        let mut facts = ClusterFacts {
            members: vec![MemberFacts {
                reachable: true,
                ..MemberFacts::default()
            }],
            ..ClusterFacts::default()
        };
        let why = health(&facts, Some("the password is wrong")).unwrap_err();
        assert!(why.ends_with("could not be read: the password is wrong"), "{why}");
        facts.quorum.term = Some(2);
        assert_eq!(health(&facts, None).unwrap(), "1 of 1 members answer, no leader");
    }

    #[test]
    fn a_problem_counts_even_where_another_rule_is_blind() {
        let down = Problem {
            category: "availability".to_owned(),
            ..problem("Down", Severity::Warning, "a")
        };
        assert_eq!(
            first_three(&[down], &["availability"], &["availability"]),
            ["warn", "unknown", "warn"]
        );
    }
}
