//! The guide's eight best practices, audited as far as a program can see them. Whether one is kept, the rules say whose
//! `category` or `guide` is about it; what they saw stands beside it, and what nobody can see from here is unknown.

use std::collections::BTreeSet;
use std::time::Duration;

use super::checklist::{number, plural};
use super::judges::{Judges, Sight, Topic};
use super::{CheckItem, Problem, Status};
use crate::model::{ClusterFacts, Timestamp};
use crate::promql::Source;

/// How many problems a line names; the report has them all.
const MOST_NAMED: usize = 3;

/// What the audit looks at.
pub(super) struct Audit<'a> {
    pub facts: &'a ClusterFacts,
    pub problems: &'a [Problem],
    pub judges: &'a Judges<'a>,
    pub source: &'a dyn Source,
    pub now: Timestamp,
    /// Whether watching goes on, as in a server.
    pub goes_on: bool,
}

impl Audit<'_> {
    /// Every practice, in the guide's order.
    pub(super) fn answer(&self) -> Vec<CheckItem> {
        let items = [
            ("regular backups", self.judged(&["backup"], &["Backup Operations", "Best Practices: Regular Backups"], || self.backups())),
            (
                "test restores",
                (
                    Status::Unknown,
                    "no program can see whether restores are tried; try one: `etcdutl snapshot restore FILE --data-dir DIR` \
                     into an empty directory, and start etcd on it"
                        .to_owned(),
                ),
            ),
            ("monitor metrics", self.monitoring()),
            (
                "performance tuning",
                self.judged(&[], &["Performance Tuning: Performance Optimization", "Best Practices: Performance Tuning"], || self.disks()),
            ),
            ("maintenance windows", self.maintenance()),
            ("high availability", self.availability()),
            ("security", self.judged(&["security"], &["Best Practices: Security"], || self.encryption())),
            (
                "documentation",
                (
                    Status::Unknown,
                    "no program can see it; write down how to back up and restore this cluster, where whoever is on call finds it"
                        .to_owned(),
                ),
            ),
        ];
        let item = |(at, (title, (status, detail)))| CheckItem {
            step: at + 1,
            title,
            status,
            detail,
        };
        items.into_iter().enumerate().map(item).collect()
    }

    /// What rules of these categories or sections say. One that is blind leaves it unknown, whatever the reason.
    fn judged(
        &self,
        categories: &'static [&'static str],
        guides: &'static [&'static str],
        read: impl Fn() -> Option<String>,
    ) -> (Status, String) {
        let topic = Topic {
            categories,
            guides,
            metric: None,
        };
        let sight = self.judges.of(&topic);
        if let Some(found) = found(&sight, self.problems) {
            return (Status::Warn, found);
        }
        if sight.alerts.is_empty() {
            return (Status::Unknown, "no rule judges it".to_owned());
        }
        let read = read();
        if let Some(gap) = sight.failing.or(sight.inapplicable) {
            let read = read.map_or_else(String::new, |read| format!("{read}; "));
            let fix = if gap.fix.is_empty() {
                String::new()
            } else {
                format!(": {}", gap.fix)
            };
            return (
                Status::Unknown,
                format!("{read}{} cannot see: {}{fix}", gap.alert, gap.reason),
            );
        }
        let names: Vec<&str> = sight.alerts.iter().copied().collect();
        let read = read.map_or_else(String::new, |read| format!("{read}; "));
        let rest = sight
            .partial
            .map_or_else(String::new, |gap| format!("; {}", gap.reason));
        (
            Status::Pass,
            format!("{read}nothing found by {}{rest}", names.join(", ")),
        )
    }

    fn backups(&self) -> Option<String> {
        let newest = self.number("max(etcd_doctor_backup_newest_timestamp_seconds{state=\"good\"})")?;
        let age = Duration::try_from_secs_f64(self.now.seconds() - newest).unwrap_or_default();
        let age = match age.as_secs() {
            seconds @ 0..7200 => format!("{} min", seconds / 60),
            seconds => format!("{} h", seconds / 3600),
        };
        Some(format!("the newest good backup is {age} old"))
    }

    /// etcd-doctor itself watches what the guide names, while it runs.
    fn monitoring(&self) -> (Status, String) {
        let sight = self.judges.of(&Topic {
            categories: &["monitoring"],
            ..Topic::default()
        });
        if let Some(found) = found(&sight, self.problems) {
            return (Status::Warn, found);
        }
        let members = self.facts.members.len();
        let read = "count(count by (member) (etcd_doctor_member_db_size_bytes) \
                    and on (member) count by (member) (etcd_doctor_wal_fsync_duration_seconds_count))";
        let read = self.number(read).unwrap_or(0.0);
        let text = format!(
            "size, latency and health of {read} of {members} {} are read",
            plural(members, "member")
        );
        match self.goes_on {
            _ if read < members as f64 => (Status::Unknown, text),
            true => (Status::Pass, text),
            false => (
                Status::Unknown,
                format!(
                    "{text} in this run; whether something watches all the time cannot be seen: run `etcd-doctor serve`"
                ),
            ),
        }
    }

    fn disks(&self) -> Option<String> {
        let disks = self.number("count(etcd_doctor_disk_rotational)")?;
        Some(format!(
            "{disks} {} of members on this host looked at",
            plural(disks as usize, "disk")
        ))
    }

    /// That history is compacted can be seen, at what hours it may be cannot.
    fn maintenance(&self) -> (Status, String) {
        let compacted = || {
            let behind = self
                .number("max(etcd_doctor_compact_revision)")
                .filter(|revision| *revision > 0.0)?;
            Some(format!("history is compacted up to revision {behind}"))
        };
        let sections = &[
            "Performance Tuning: Database Compaction",
            "Best Practices: Maintenance Windows",
        ];
        match self.judged(&[], sections, compacted) {
            (Status::Pass, detail) => (
                Status::Unknown,
                format!(
                    "{detail}; whether compaction and defragmentation keep to quiet hours cannot be seen"
                ),
            ),
            other => other,
        }
    }

    fn availability(&self) -> (Status, String) {
        let quorum = &self.facts.quorum;
        if quorum.voters == 0 {
            return (Status::Unknown, "no member reported its member list".to_owned());
        }
        let spare = quorum.voters.saturating_sub(quorum.required);
        let voters = format!(
            "{} {}, of which {spare} may fail",
            quorum.voters,
            plural(quorum.voters, "voter")
        );
        if spare == 0 {
            return (Status::Warn, voters);
        }
        let endpoints = self.facts.members.iter().filter(|member| !member.learner);
        let hosts: BTreeSet<&str> = endpoints
            .filter_map(|member| host(member.endpoint.as_deref()?))
            .collect();
        if !hosts.is_empty() && hosts.len() < quorum.voters {
            return (
                Status::Warn,
                format!("{voters}, on {} {}", hosts.len(), plural(hosts.len(), "host")),
            );
        }
        let read = || {
            Some(format!(
                "{voters}; whether their hosts stand apart cannot be seen"
            ))
        };
        self.judged(&[], &["Best Practices: High Availability"], read)
    }

    fn encryption(&self) -> Option<String> {
        let endpoints: Vec<&str> = self
            .facts
            .members
            .iter()
            .filter_map(|member| member.endpoint.as_deref())
            .collect();
        let encrypted = endpoints
            .iter()
            .filter(|endpoint| endpoint.starts_with("https"))
            .count();
        let all = endpoints.len();
        (all > 0).then(|| format!("{encrypted} of {all} {} reached with TLS", plural(all, "member")))
    }

    fn number(&self, expr: &str) -> Option<f64> {
        number(expr, self.source, self.now)
    }
}

/// The problems of a subject in a line; none where there are none. What is not certain yet counts: how a cluster is set up
/// does not change by itself.
fn found(sight: &Sight<'_>, problems: &[Problem]) -> Option<String> {
    let found = sight.found(problems);
    let named: Vec<&str> = found
        .iter()
        .take(MOST_NAMED)
        .map(|problem| &*problem.summary)
        .collect();
    let more = found.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 {
        format!("; {more} more")
    } else {
        String::new()
    };
    (!named.is_empty()).then(|| named.join("; ") + &more)
}

/// The host in a URL or in `host:port`.
fn host(endpoint: &str) -> Option<&str> {
    let authority = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = authority
        .split('/')
        .next()
        .filter(|authority| !authority.is_empty())?;
    Some(authority.rsplit_once(':').map_or(authority, |(host, _)| host))
}

#[cfg(test)]
mod tests;
