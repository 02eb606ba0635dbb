//! The seven steps of the guide's checklist, answered from what this cycle saw.

use super::judges::{Judges, Sight, Topic};
use super::{CheckItem, Problem, Severity, Status};
use crate::model::{ClusterFacts, MemberFacts, Quota, Timestamp};
use crate::promql::{Options, Query, QueryValue, Source};

/// How many kinds of messages the step about logs names, the most frequent first.
const MOST_KINDS: usize = 4;

/// The section of the guide by which the rules about disk space are known.
const DISK_SPACE: &[&str] = &["Diagnostic Checklist: check disk space"];

/// The metric by which the rules about logs are known.
const LOGS: &str = "etcd_doctor_log_messages_total";

/// Answers every step. A step's status is that of the worst problem found by the rules that judge it; what was not read, or
/// what a rule should see and does not, is unknown. `refused` is why a member that answers told neither its status nor the members.
pub(super) fn answer(
    facts: &ClusterFacts,
    problems: &[Problem],
    judges: &Judges<'_>,
    refused: Option<&str>,
    source: &dyn Source,
    now: Timestamp,
) -> Vec<CheckItem> {
    let about = |categories| Topic {
        categories,
        ..Topic::default()
    };
    // More is among the resources than disk space: files, memory, CPU, the clock.
    let space = Topic {
        guides: DISK_SPACE,
        ..Topic::default()
    };
    let step = |step, title, topic: Topic, read: &dyn Fn(&Sight<'_>) -> Result<String, String>| {
        let sight = judges.of(&topic);
        let (status, detail) = match read(&sight) {
            Ok(detail) => {
                let firing = sight.found(problems).into_iter().filter(|problem| problem.firing);
                let (status, remark) = match firing.map(|problem| problem.severity).max() {
                    Some(severity) => (status_of(severity), ""),
                    None if sight.alerts.is_empty() => (Status::Unknown, "; no rule judges it"),
                    None if sight.failing.is_some() || !sight.any => {
                        (Status::Unknown, "; a rule for it cannot see")
                    }
                    None => (Status::Pass, ""),
                };
                (status, detail + remark)
            }
            Err(why) => (Status::Unknown, why),
        };
        CheckItem {
            step,
            title,
            status,
            detail,
        }
    };
    let logs_topic = Topic {
        metric: Some(LOGS),
        ..Topic::default()
    };
    vec![
        step(1, "etcd health", about(&["availability", "election"]), &|_| {
            health(facts, refused)
        }),
        step(2, "cluster status", about(&["election", "consistency"]), &|_| {
            cluster_status(facts).map_err(str::to_owned)
        }),
        step(3, "member list", about(&["availability"]), &|_| {
            member_list(facts).map_err(str::to_owned)
        }),
        step(4, "database size", about(&["quota"]), &|_| {
            database_size(facts).map_err(str::to_owned)
        }),
        step(5, "etcd logs", logs_topic, &|sight| logs(sight, source, now)),
        step(6, "disk space", space, &|_| {
            disk_space(source, now).map_err(str::to_owned)
        }),
        step(7, "disk I/O", about(&["disk"]), &|_| {
            disk_io(source, now).map_err(str::to_owned)
        }),
    ]
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
            let why = refused.unwrap_or("no member reported its raft state");
            return Err(format!(
                "{answering} of {all} members answer, but whether there is a leader could not be read: {why}"
            ));
        }
    };
    Ok(format!("{answering} of {all} members answer, {leader}"))
}

fn cluster_status(facts: &ClusterFacts) -> Result<String, &'static str> {
    let unread = "no member reported its raft state";
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
        return Err("no member reported its member list");
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
                .ok_or("no member reported its size and quota")
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

/// What the members' logs on this host said of late, by kind.
fn logs(sight: &Sight<'_>, source: &dyn Source, now: Timestamp) -> Result<String, String> {
    let Some(read) = number("count(etcd_doctor_log_lines_total)", source, now) else {
        let why = sight
            .failing
            .or(sight.inapplicable)
            .map_or("no log is read", |gap| &gap.reason);
        return Err(format!("not read here ({why}); see `journalctl -u etcd`"));
    };
    let lines = number("sum(etcd_doctor_log_lines_total)", source, now).unwrap_or(0.0);
    let kinds = "sum by (kind) (increase(etcd_doctor_log_messages_total[5m])) > 0";
    let kinds = by_kind(kinds, source, now);
    let named: Vec<String> = kinds
        .iter()
        .take(MOST_KINDS)
        .map(|(kind, count)| format!("{} {count}", kind.replace('_', " ")))
        .collect();
    let logs = format!(
        "{lines} {} of {read} {}",
        plural(lines as usize, "line"),
        plural(read as usize, "log")
    );
    let rest = sight
        .partial
        .map_or_else(String::new, |gap| format!("; {}", gap.reason));
    let said = match kinds.len() {
        0 => format!("{logs}, no known message in the last 5 min"),
        all if all > MOST_KINDS => format!(
            "{logs}; in 5 min: {}, and {} other {}",
            named.join(", "),
            all - MOST_KINDS,
            plural(all - MOST_KINDS, "kind")
        ),
        _ => format!("{logs}; in 5 min: {}", named.join(", ")),
    };
    Ok(said + &rest)
}

/// The whole numbers that `expr` gives by kind, the largest first. Equal ones stand in the order of their names: the
/// same samples make the same report, also when they were read back in another order.
fn by_kind(expr: &str, source: &dyn Source, now: Timestamp) -> Vec<(String, u64)> {
    let value = Query::parse(expr)
        .ok()
        .and_then(|query| query.instant(source, now, &Options::default()).ok());
    let Some(QueryValue::Vector(elements)) = value else {
        return Vec::new();
    };
    let mut kinds: Vec<_> = elements
        .iter()
        .map(|element| {
            (
                element.labels.get("kind").to_owned(),
                element.value.round() as u64,
            )
        })
        .collect();
    kinds.sort_by(|(a, most), (b, more)| more.cmp(most).then_with(|| a.cmp(b)));
    kinds
}

/// A noun for that many.
pub(super) fn plural(count: usize, noun: &str) -> String {
    match count {
        1 => noun.to_owned(),
        _ => format!("{noun}s"),
    }
}

pub(super) fn number(expr: &str, source: &dyn Source, now: Timestamp) -> Option<f64> {
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
mod tests;
