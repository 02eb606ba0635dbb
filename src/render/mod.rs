//! A diagnosis as text, JSON, Markdown or a Nagios line, and one alert looked at closely. Pure: the caller knows the
//! terminal, the clock and the exit code.

pub mod alert;
pub mod json;
pub mod markdown;
pub mod nagios;
pub mod text;

mod lacks;
mod page;
pub(crate) mod remedy;
pub(crate) mod units;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod hostile;

use std::borrow::Cow;

use crate::diagnosis::{Diagnosis, Problem, Status};
use crate::model::{MemberFacts, Quorum, Quota, QuotaSource, Timestamp};

pub(crate) use lacks::{failures, lacks, lacks_beside_members, not_looked_at, still_filling};
pub use page::TextStyle;

/// What is rendered: one or several clusters' diagnoses.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// What made it.
    pub tool: ToolInfo,
    /// When it was made.
    pub time: Timestamp,
    /// The clusters, in the order of the configuration.
    pub diagnoses: &'a [Diagnosis],
}

/// What made a report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolInfo {
    /// etcd-doctor's version.
    pub version: String,
    /// A digest of the rules in force: two reports of one digest were judged alike.
    pub rules_digest: String,
}

impl Report<'_> {
    /// The worst status of its clusters; unknown when there is none.
    pub fn status(&self) -> Status {
        self.diagnoses
            .iter()
            .map(|diagnosis| diagnosis.status)
            .max_by_key(badness)
            .unwrap_or(Status::Unknown)
    }
}

/// A text from elsewhere, harmless for a terminal: what one would obey is shown as an escape.
pub fn printable(text: &str) -> Cow<'_, str> {
    page::clean(text, false)
}

/// A cluster that cannot be judged is worse than a warning: it may well have failed.
fn badness(status: &Status) -> u8 {
    match status {
        Status::Pass => 0,
        Status::Warn => 1,
        Status::Unknown => 2,
        Status::Fail => 3,
    }
}

/// The verdict with the cluster's name, which most rules name in their summary already.
pub(crate) fn headline(diagnosis: &Diagnosis) -> Cow<'_, str> {
    let Diagnosis { cluster, summary, .. } = diagnosis;
    let rest = summary
        .split_once(&format!("cluster {cluster}"))
        .map(|(_, rest)| rest);
    // Not `cluster prod-2` for `prod`.
    let part_of_a_name = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || "._-:/@".contains(c));
    match rest {
        Some(rest) if !part_of_a_name(rest) => Cow::Borrowed(summary),
        _ => Cow::Owned(format!("{cluster}: {summary}")),
    }
}

/// The quorum in one sentence.
pub(crate) fn quorum_in_words(quorum: &Quorum) -> String {
    if quorum.voters == 0 {
        return "The member list could not be read: neither the members nor their quorum are known.".into();
    }
    let Quorum {
        voters,
        reachable,
        required,
        ..
    } = quorum;
    let margin = match quorum.failure_tolerance() {
        ..0 => "quorum is lost".to_owned(),
        0 => "none more may fail".to_owned(),
        more => format!("{more} more may fail"),
    };
    let leader = match (quorum.leader.as_deref(), quorum.term) {
        (Some(name), _) => format!("leader {name}"),
        (None, Some(_)) => "no leader".to_owned(),
        // Nobody told of a term, and so nobody told that there is no leader.
        (None, None) if quorum.reachable > 0 => "the leader is not known".to_owned(),
        (None, None) => "no leader".to_owned(),
    };
    let term = quorum
        .term
        .map_or_else(String::new, |term| format!(", term {term}"));
    format!("{reachable} of {voters} voters reachable, {required} needed: {margin}; {leader}{term}.")
}

/// What a member is in the cluster.
pub(crate) fn role(member: &MemberFacts) -> &'static str {
    match member {
        MemberFacts { leader: true, .. } => "leader",
        MemberFacts { learner: true, .. } => "learner",
        MemberFacts { started: false, .. } => "unstarted",
        MemberFacts { reachable: true, .. } => "follower",
        // Only a configured endpoint, of which no member list told.
        MemberFacts { id: None, .. } => "unknown",
        _ => "voter",
    }
}

/// Why a member is not to be seen; none when it answered.
pub(crate) fn absence(member: &MemberFacts) -> Option<String> {
    let why = &member.unreachable_because;
    match (member.reachable, why.is_empty()) {
        (true, _) => None,
        (false, true) if !member.started => Some("added, but never started".into()),
        (false, true) => Some("unreachable".into()),
        (false, false) => Some(format!("unreachable: {why}")),
    }
}

/// How to bring back the members that do not answer: each remedy once, beside the first member that it is for.
pub(crate) fn member_fixes(diagnosis: &Diagnosis) -> Vec<(&str, &str)> {
    let mut fixes: Vec<(&str, &str)> = Vec::new();
    for member in diagnosis.facts.members.iter().filter(|member| !member.reachable) {
        let fix = diagnosis.coverage.fixes.get(&member.unreachable_because);
        if let Some(fix) = fix.filter(|fix| fixes.iter().all(|(_, other)| other != fix)) {
            fixes.push((&member.name, fix));
        }
    }
    fixes
}

/// The database's size and, where the quota is known, the share of it; `*`
/// marks a quota that is only assumed.
pub(crate) fn database_size(member: &MemberFacts) -> String {
    let Some(size) = member.db_size_bytes else {
        return "?".into();
    };
    let in_words = units::bytes(size as f64);
    match member.quota {
        Quota::Unknown => in_words,
        Quota::Disabled(_) => format!("{in_words}, no quota"),
        Quota::Bytes(quota, source) => {
            let mark = if source == QuotaSource::Assumed { "*" } else { "" };
            format!("{in_words} {}%{mark}", percent(size as f64 / quota as f64))
        }
    }
}

/// The lines to type before the commands of what is shown work; none where none is for etcdctl, or they work as they are.
/// A password is never among them: etcdctl asks for it. A comment says what is to be known of the user.
pub(crate) fn exports<'a>(
    diagnosis: &Diagnosis,
    shown: impl IntoIterator<Item = &'a Problem>,
) -> Vec<String> {
    let is_etcdctl = |command: &String| command.split_whitespace().any(|word| word == "etcdctl");
    if !shown
        .into_iter()
        .any(|problem| problem.commands.iter().any(is_etcdctl))
    {
        return Vec::new();
    }
    let access = &diagnosis.facts.access;
    let export = |(name, value)| format!("export {name}={}", shell_word(value));
    let mut lines: Vec<String> = access.variables().into_iter().map(export).collect();
    if let Some(comment) = access.about_the_user() {
        lines.push(format!("# {comment}"));
    }
    lines
}

/// Whether etcdctl will ask for a password.
pub(crate) fn needs_password(diagnosis: &Diagnosis) -> bool {
    diagnosis.facts.access.user.is_some()
}

/// A text as one word for a shell, whatever is in it.
fn shell_word(text: &str) -> Cow<'_, str> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:@%+=,".contains(letter);
    match !text.is_empty() && text.chars().all(plain) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("'{}'", text.replace('\'', r"'\''"))),
    }
}

/// The share of its quota that a database takes, where both are known.
pub(crate) fn quota_share(member: &MemberFacts) -> Option<f64> {
    match member.quota {
        Quota::Bytes(quota, _) => Some(member.db_size_bytes? as f64 / quota as f64),
        Quota::Disabled(_) | Quota::Unknown => None,
    }
}

/// A share in whole percent. What is nearly full is not said to be full.
pub(crate) fn percent(share: f64) -> f64 {
    let rounded = (share * 100.0).round();
    if share < 1.0 { rounded.min(99.0) } else { rounded }
}

/// How long a member took to answer, in words.
pub(crate) fn latency(member: &MemberFacts) -> Option<String> {
    Some(units::quantity(member.latency?.as_secs_f64(), "seconds"))
}

/// How many raft entries a member has yet to apply, against the newest index that any member reported.
pub(crate) fn raft_lag(member: &MemberFacts, members: &[MemberFacts]) -> Option<u64> {
    let newest = members.iter().filter_map(|member| member.raft_index).max()?;
    Some(newest.saturating_sub(member.raft_applied_index?))
}

/// The same in words: `2 entries`.
fn behind(lag: u64) -> String {
    units::quantity(lag as f64, "entries")
}

/// How long a problem has been there, in words, as of `now`.
pub(crate) fn state_in_words(problem: &Problem, now: Timestamp) -> String {
    let age = now.since(problem.since);
    match (problem.firing, age.as_secs()) {
        (true, 0) => "just now".to_owned(),
        (true, _) => format!("for {}", units::age(age)),
        (false, 0) => "pending, just seen".to_owned(),
        (false, _) => format!("pending for {}", units::age(age)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_cluster_that_cannot_be_judged_is_worse_than_a_warning() {
        let mut diagnoses = [fixture::healthy(), fixture::healthy()];
        let status = |diagnoses: &[Diagnosis]| fixture::report(diagnoses).status();
        assert_eq!(status(&[]), Status::Unknown);
        assert_eq!(status(&diagnoses), Status::Pass);
        diagnoses[0].status = Status::Warn;
        assert_eq!(status(&diagnoses), Status::Warn);
        diagnoses[1].status = Status::Unknown;
        assert_eq!(status(&diagnoses), Status::Unknown);
        diagnoses[0].status = Status::Fail;
        assert_eq!(status(&diagnoses), Status::Fail);
    }

    #[test]
    fn the_size_tells_an_assumed_quota_from_a_known_one() {
        let mut member = MemberFacts {
            db_size_bytes: Some(1 << 30),
            ..MemberFacts::default()
        };
        assert_eq!(database_size(&member), "1 GiB");
        member.quota = Quota::Bytes(2 << 30, QuotaSource::Metrics);
        assert_eq!(database_size(&member), "1 GiB 50%");
        member.quota = Quota::Bytes(2 << 30, QuotaSource::Assumed);
        assert_eq!(database_size(&member), "1 GiB 50%*");
        member.quota = Quota::Disabled(QuotaSource::Metrics);
        assert_eq!(database_size(&member), "1 GiB, no quota");
    }

    #[test]
    fn a_word_for_a_shell_is_one_word() {
        for (text, word) in [
            (
                "/etc/kubernetes/pki/etcd/ca.crt",
                "/etc/kubernetes/pki/etcd/ca.crt",
            ),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(reboot);'", r"'$(reboot);'\'''"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }

    #[test]
    fn exports_are_for_commands_of_etcdctl() {
        let mut diagnosis = fixture::quota();
        assert_eq!(exports(&diagnosis, &diagnosis.problems), Vec::<String>::new());
        diagnosis.facts.access = fixture::access();
        assert_eq!(
            exports(&diagnosis, &diagnosis.problems),
            [
                "export ETCDCTL_CACERT=/etc/etcd/ca.crt",
                "export ETCDCTL_CERT='/etc/etcd/my client.crt'",
                "export ETCDCTL_KEY='/etc/etcd/my client.key'",
                "export ETCDCTL_USER=root",
                "# root: etcd-doctor's own user may not do what follows",
            ]
        );
        diagnosis.facts.access.user = Some("root".into());
        assert_eq!(
            exports(&diagnosis, &diagnosis.problems).last().unwrap(),
            "export ETCDCTL_USER=root"
        );
        diagnosis.facts.access.user = None;
        assert_eq!(
            exports(&diagnosis, &diagnosis.problems).last().unwrap(),
            "# if etcd asks for users: export ETCDCTL_USER=root"
        );
        diagnosis.problems[0].commands = vec!["journalctl -u etcd".into()];
        assert_eq!(exports(&diagnosis, &diagnosis.problems), Vec::<String>::new());
    }

    #[test]
    fn the_headline_names_the_cluster_once() {
        let mut diagnosis = fixture::healthy();
        for (summary, expected) in [
            ("etcd cluster prod is full", "etcd cluster prod is full"),
            ("etcd cluster prod-2 is full", "prod: etcd cluster prod-2 is full"),
            ("a is down", "prod: a is down"),
        ] {
            diagnosis.summary = summary.into();
            assert_eq!(headline(&diagnosis), expected);
        }
    }

    #[test]
    fn what_has_just_begun_has_no_age() {
        let mut problem = fixture::quota().problems.remove(0);
        let at = |problem: &Problem, seconds| {
            state_in_words(problem, problem.since.plus(Duration::from_secs(seconds)))
        };
        assert_eq!([at(&problem, 0), at(&problem, 9)], ["just now", "for 9 s"]);
        problem.firing = false;
        assert_eq!(
            [at(&problem, 0), at(&problem, 9)],
            ["pending, just seen", "pending for 9 s"]
        );
    }
}
