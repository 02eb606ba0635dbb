//! A diagnosis as text, JSON, Markdown or a Nagios line, and one alert looked at closely. Pure: the caller knows the terminal, the clock and the exit code.

pub mod alert;
pub mod json;
pub mod markdown;
pub mod nagios;
pub mod text;

mod page;
pub(crate) mod remedy;
pub(crate) mod units;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod hostile;

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::diagnosis::{Coverage, Diagnosis, Gap, Problem, SourceError, Status};
use crate::model::{MemberFacts, Quorum, Quota, QuotaSource, Timestamp};

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

/// The lines to type before a problem's commands work; none where there is no command for etcdctl, or they work as they are.
/// A password is never among them: etcdctl asks for it.
pub(crate) fn exports(diagnosis: &Diagnosis) -> Vec<String> {
    let is_etcdctl = |command: &String| command.split_whitespace().any(|word| word == "etcdctl");
    if !diagnosis
        .problems
        .iter()
        .any(|problem| problem.commands.iter().any(is_etcdctl))
    {
        return Vec::new();
    }
    let variables = diagnosis.facts.access.variables();
    variables
        .into_iter()
        .map(|(name, value)| format!("export {name}={}", shell_word(value)))
        .collect()
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

/// Something that rules could not see.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Lack {
    /// What, and which alerts judge how without it.
    pub text: String,
    /// How to mend it; may be empty.
    pub fix: String,
}

/// What rules could not see and should, without the remedies that stand beside the members already.
pub(crate) fn lacks_beside_members(diagnosis: &Diagnosis) -> Vec<Lack> {
    let told: BTreeSet<&str> = member_fixes(diagnosis).into_iter().map(|(_, fix)| fix).collect();
    let all = told.iter().copied().collect::<Vec<_>>().join("; ");
    let mut lacks = kinds(&diagnosis.coverage, usize::MAX, |gap| gap.applies);
    for lack in &mut lacks {
        if lack.fix == all || told.contains(&*lack.fix) {
            lack.fix.clear();
        }
    }
    lacks
}

/// What rules could not see, each thing once with the alerts that lack it, of which at most `named` are named. Windows
/// that are still filling come last, all as one.
pub(crate) fn lacks(coverage: &Coverage, named: usize) -> Vec<Lack> {
    let mut lacks = kinds(coverage, named, |_| true);
    lacks.extend(still_filling(coverage, named).map(|text| Lack {
        text,
        fix: String::new(),
    }));
    lacks
}

/// The gaps of some kind, but for windows that are still filling.
fn kinds(coverage: &Coverage, named: usize, of_kind: impl Fn(&Gap) -> bool) -> Vec<Lack> {
    let gaps = coverage.gaps.iter().filter(|gap| gap.looks_back.is_none());
    let gaps: Vec<Gap> = gaps.filter(|gap| of_kind(gap)).cloned().collect();
    let lack = |group: Group<'_>| Lack {
        text: format!("{} ({})", group.reason, group.alerts_in_words(named)),
        fix: group.fix.to_owned(),
    };
    grouped(&gaps).into_iter().map(lack).collect()
}

/// In one sentence, how many alerts are about what is not looked at here: of another host, or not configured.
pub(crate) fn not_looked_at(coverage: &Coverage) -> Option<String> {
    let elsewhere = coverage
        .gaps
        .iter()
        .filter(|gap| gap.looks_back.is_none() && !gap.applies);
    let alerts: BTreeSet<&str> = elsewhere.map(|gap| &*gap.alert).collect();
    let (are, alerts) = match alerts.len() {
        0 => return None,
        1 => ("is", "1 alert".to_owned()),
        more => ("are", format!("{more} alerts")),
    };
    Some(format!(
        "{alerts} {are} about what is not looked at here, being of another host or not configured (in full with -o \
         markdown)"
    ))
}

/// In one sentence, which alerts look back further than the cluster has been watched.
pub(crate) fn still_filling(coverage: &Coverage, named: usize) -> Option<String> {
    let filling = coverage
        .gaps
        .iter()
        .filter_map(|gap| Some((gap.looks_back?, &*gap.alert)));
    let mut alerts: Vec<&str> = Vec::new();
    let mut furthest = None;
    for (looks_back, alert) in filling {
        furthest = furthest.max(Some(looks_back));
        if !alerts.contains(&alert) {
            alerts.push(alert);
        }
    }
    let furthest = units::age(furthest?);
    let watched = match coverage.watched_for.as_secs() {
        0 => "judge by this one look".to_owned(),
        _ => format!("judge by the {} watched so far", units::age(coverage.watched_for)),
    };
    let alert = if alerts.len() == 1 { "alert" } else { "alerts" };
    Some(format!(
        "{} {alert} would look back further (at most {furthest}) and {watched}: {}",
        alerts.len(),
        some_of(&alerts, named)
    ))
}

/// Failures to read, each message once with all that it befell. That a member does not answer, and why, is told where
/// the members are, and what makes rules blind, where that is.
pub(crate) fn failures(diagnosis: &Diagnosis) -> Vec<(Vec<&str>, &str)> {
    let members = &diagnosis.facts.members;
    let told = |error: &SourceError| {
        members
            .iter()
            .any(|member| !member.reachable && member.unreachable_because == error.message)
            || diagnosis.coverage.gaps.iter().any(|gap| {
                let rest = gap.reason.strip_suffix(&error.message);
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(": "))
            })
    };
    let mut failures: Vec<(Vec<&str>, &str)> = Vec::new();
    for error in diagnosis.errors.iter().filter(|error| !told(error)) {
        match failures.iter_mut().find(|(_, message)| *message == error.message) {
            Some((sources, _)) => sources.push(&error.source),
            None => failures.push((vec![&error.source], &error.message)),
        }
    }
    failures
}

/// Gaps of one reason and one remedy.
pub(crate) struct Group<'a> {
    /// The reason, after all of whom it is said.
    reason: String,
    fix: &'a str,
    /// The alerts that lack it, each once, and whether it is blind for that.
    alerts: Vec<(&'a str, bool)>,
}

impl Group<'_> {
    fn alerts_in_words(&self, named: usize) -> String {
        let of = |how: &str, blind: bool| {
            let alerts = self.alerts.iter().filter(|alert| alert.1 == blind);
            let alerts: Vec<&str> = alerts.map(|alert| alert.0).collect();
            (!alerts.is_empty()).then(|| format!("{how}: {}", some_of(&alerts, named)))
        };
        let parts = [of("blind", true), of("judged by the rest", false)];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// Gaps of one reason and one remedy together, in the order of the first of each. What is the same for several members is
/// said once, after their names.
fn grouped(gaps: &[Gap]) -> Vec<Group<'_>> {
    let mut reasons: Vec<(&str, &str)> = Vec::new();
    for gap in gaps {
        if !reasons.contains(&(&*gap.reason, &*gap.fix)) {
            reasons.push((&gap.reason, &gap.fix));
        }
    }
    let core = |reason, fix| core(reason, fix, &reasons);
    let mut groups: Vec<(&str, Vec<&str>, Group<'_>)> = Vec::new();
    for gap in gaps {
        let (whose, core) = core(&*gap.reason, &*gap.fix);
        let found = groups
            .iter()
            .position(|(other, _, group)| *other == core && group.fix == gap.fix);
        let at = found.unwrap_or_else(|| {
            let group = Group {
                reason: String::new(),
                fix: &gap.fix,
                alerts: Vec::new(),
            };
            groups.push((core, Vec::new(), group));
            groups.len() - 1
        });
        let (_, names, group) = &mut groups[at];
        if !names.contains(&whose) {
            names.push(whose);
        }
        match group.alerts.iter_mut().find(|(alert, _)| *alert == gap.alert) {
            Some((_, blind)) => *blind |= gap.blind,
            None => group.alerts.push((&gap.alert, gap.blind)),
        }
    }
    let finish = |(core, names, group): (&str, Vec<&str>, _)| Group {
        // Said of the cluster as a whole, too: then it is everybody's.
        reason: match names.contains(&"") {
            true => core.to_owned(),
            false => format!("{}: {core}", names.join(", ")),
        },
        ..group
    };
    groups.into_iter().map(finish).collect()
}

/// Splits a reason `member: words` where another one has the same words and the same remedy; nobody's name without.
fn core<'a>(reason: &'a str, fix: &str, reasons: &[(&str, &str)]) -> (&'a str, &'a str) {
    let Some((whose, words)) = reason.split_once(": ") else {
        return ("", reason);
    };
    let shared = reasons.iter().any(|(other, other_fix)| {
        let same = *other == words || other.split_once(": ").is_some_and(|(_, other)| other == words);
        *other != reason && *other_fix == fix && same
    });
    if shared { (whose, words) } else { ("", reason) }
}

/// A list that names at most `limit` and counts the rest.
fn some_of(names: &[&str], limit: usize) -> String {
    let shown = names[..names.len().min(limit)].join(", ");
    match names.len().saturating_sub(limit) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
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
        assert_eq!(exports(&diagnosis), Vec::<String>::new());
        diagnosis.facts.access = fixture::access();
        assert_eq!(
            exports(&diagnosis),
            [
                "export ETCDCTL_CACERT=/etc/etcd/ca.crt",
                "export ETCDCTL_CERT='/etc/etcd/my client.crt'",
                "export ETCDCTL_KEY='/etc/etcd/my client.key'",
                "export ETCDCTL_USER=doctor",
            ]
        );
        diagnosis.problems[0].commands = vec!["journalctl -u etcd".into()];
        assert_eq!(exports(&diagnosis), Vec::<String>::new());
    }

    #[test]
    fn gaps_of_one_reason_stand_together() {
        let gap = |alert: &str, reason: &str| Gap {
            alert: alert.into(),
            reason: reason.into(),
            fix: String::new(),
            blind: false,
            applies: true,
            looks_back: None,
        };
        let gaps = [gap("A", "x"), gap("B", "y"), gap("C", "x"), gap("C", "x")];
        let groups: Vec<_> = grouped(&gaps)
            .into_iter()
            .map(|group| (group.reason.clone(), group.alerts_in_words(9)))
            .collect();
        let rest = |reason: &str, alerts: &str| (reason.to_owned(), format!("judged by the rest: {alerts}"));
        assert_eq!(groups, [rest("x", "A, C"), rest("y", "B")]);
        assert_eq!(some_of(&["A", "B", "C"], 2), "A, B and 1 more");
    }

    #[test]
    fn a_reason_is_said_once_whoever_it_befell() {
        let gap = |alert: &str, reason: &str, blind| Gap {
            alert: alert.into(),
            reason: reason.into(),
            fix: "mend".into(),
            blind,
            applies: true,
            looks_back: None,
        };
        let texts = |gaps: &[Gap]| -> Vec<String> {
            let coverage = Coverage {
                gaps: gaps.to_vec(),
                ..Coverage::default()
            };
            lacks(&coverage, 9).into_iter().map(|lack| lack.text).collect()
        };
        let ofs = [
            gap("A", "a: Status at x: refused", false),
            gap("A", "Status at x: refused", true),
            gap("B", "a: Status at x: refused", false),
        ];
        assert_eq!(
            texts(&ofs),
            ["Status at x: refused (blind: A; judged by the rest: B)"]
        );
        let members = [gap("A", "a: refused", true), gap("B", "b: refused", true)];
        assert_eq!(texts(&members), ["a, b: refused (blind: A, B)"]);
        assert_eq!(texts(&members[..1]), ["a: refused (blind: A)"]);
    }

    #[test]
    fn windows_that_fill_are_one_lack_after_all_others() {
        let gap = |alert: &str, blind, looks_back: Option<u64>| Gap {
            alert: alert.into(),
            reason: "r".into(),
            fix: String::new(),
            blind,
            applies: true,
            looks_back: looks_back.map(Duration::from_secs),
        };
        let coverage = Coverage {
            gaps: vec![
                gap("A", false, Some(900)),
                gap("B", true, None),
                gap("C", false, None),
                gap("D", false, Some(1800)),
            ],
            watched_for: Duration::from_secs(4),
            ..Coverage::default()
        };
        let texts: Vec<String> = lacks(&coverage, 9).into_iter().map(|lack| lack.text).collect();
        let filling =
            "2 alerts would look back further (at most 30 min) and judge by the 4 s watched so far: A, D";
        assert_eq!(texts, ["r (blind: B; judged by the rest: C)", filling]);
        assert_eq!(still_filling(&Coverage::default(), 9), None);
    }

    #[test]
    fn a_failure_is_told_once_and_not_where_the_member_told_it() {
        let mut diagnosis = fixture::healthy();
        let error = |source: &str, message: &str| SourceError {
            source: source.into(),
            message: message.into(),
        };
        diagnosis.facts.members[0].reachable = false;
        diagnosis.facts.members[0].unreachable_because = "refused".into();
        diagnosis.errors = vec![
            error("status of a", "refused"),
            error("x", "m"),
            error("y", "n"),
            error("z", "m"),
        ];
        assert_eq!(failures(&diagnosis), [(vec!["x", "z"], "m"), (vec!["y"], "n")]);
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
