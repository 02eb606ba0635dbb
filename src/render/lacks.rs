//! What rules could not see, and what could not be read, in words: each thing once, with all that lack it.

use std::collections::BTreeSet;

use super::{member_fixes, units};
use crate::diagnosis::{Coverage, Diagnosis, Gap, SourceError};

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixture;
    use super::*;

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
}
