//! The verdict on a cluster, and the line that says it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::coverage::Judged;
use super::{Coverage, Gap, Problem, Severity, Status};
use crate::model::ClusterFacts;
use crate::rules::{AlertState, RuleReport, RuleSet};

/// The categories without which nothing can be said of a cluster: when a rule of one of them is blind, the verdict
/// is at best unknown.
const VITAL: &[&str] = &["availability", "quota", "election"];

/// The worst of what cannot fire before watching ends, one step milder than its severity: it was seen, and not for long
/// enough to be certain.
pub(super) fn suspected(rules: &RuleSet, reports: &[RuleReport], window: Duration) -> Option<Severity> {
    let pending = reports.iter().filter(|report| {
        let rule = rules.alerting().find(|(at, ..)| *at == report.rule);
        rule.is_some_and(|(_, _, rule)| rule.hold > window)
    });
    let alerts = pending.flat_map(|report| &report.alerts);
    let alerts = alerts.filter(|alert| alert.state == AlertState::Pending);
    let severities = alerts.map(|alert| Severity::from_label(alert.labels.get("severity")).milder());
    severities.max()
}

/// The status of a cluster.
pub(super) fn status(
    problems: &[Problem],
    suspected: Option<Severity>,
    facts: &ClusterFacts,
    blind: bool,
) -> Status {
    if facts.members.iter().all(|member| !member.reachable) {
        return Status::Unknown;
    }
    match worst_firing(problems).max(suspected) {
        Some(Severity::Critical) => Status::Fail,
        Some(Severity::Warning) => Status::Warn,
        Some(Severity::Info) | None if blind => Status::Unknown,
        Some(Severity::Info) | None => Status::Pass,
    }
}

/// The worst that fires, symptoms included.
pub(super) fn worst_firing(problems: &[Problem]) -> Option<Severity> {
    let of = |problem: &Problem| {
        problem
            .firing
            .then_some(problem.severity)
            .max(worst_firing(&problem.explains))
    };
    problems.iter().filter_map(of).max()
}

/// The first gap that blinds a rule of a vital category.
pub(super) fn vital_gap<'a>(judged: &[Judged<'_>], coverage: &'a Coverage) -> Option<&'a Gap> {
    coverage
        .gaps
        .iter()
        .filter(|gap| gap.blind && gap.applies)
        .find(|gap| {
            judged.iter().any(|judged| {
                judged.rule.alert == gap.alert && VITAL.contains(&judged.rule.label("category"))
            })
        })
}

/// The verdict in one line.
pub(super) fn summary(
    status: Status,
    problems: &[Problem],
    facts: &ClusterFacts,
    blind: Option<(&Gap, &Coverage)>,
) -> String {
    let known = facts.members.len();
    let answering = facts.members.iter().filter(|member| member.reachable).count();
    match (answering, known) {
        (0, 1) => return "its only known member does not answer".to_owned(),
        (0, _) => return format!("none of {known} members answers"),
        _ => {}
    }
    let (remarks, firing): (Vec<&Problem>, Vec<&Problem>) = problems
        .iter()
        .filter(|problem| worst_firing(std::slice::from_ref(problem)).is_some())
        .partition(|problem| problem.is_remark());
    let remarks = match remarks.len() {
        0 => String::new(),
        1 => "; 1 remark".to_owned(),
        more => format!("; {more} remarks"),
    };
    let worse_than_info =
        |problem: &&&Problem| worst_firing(std::slice::from_ref(**problem)) > Some(Severity::Info);
    let pending = problems.iter().find(|problem| problem.severity > Severity::Info);
    match (firing.as_slice(), blind, pending) {
        ([], Some((gap, coverage)), _) if status == Status::Unknown => blindness(gap, coverage, facts),
        ([], _, Some(pending)) => format!("not certain yet: {}", pending.summary),
        ([], _, None) if known == 1 => format!("no problem found, its one member answers{remarks}"),
        ([], _, None) => format!("no problem found, {answering} of {known} members answer{remarks}"),
        ([only], ..) => only.summary.clone(),
        ([first, rest @ ..], ..) => match rest.iter().filter(worse_than_info).count() {
            0 => first.summary.clone(),
            1 => format!("{}; 1 more problem", first.summary),
            more => format!("{}; {more} more problems", first.summary),
        },
    }
}

/// The cause first, for the reader can mend that; then how much it hides.
fn blindness(gap: &Gap, coverage: &Coverage, facts: &ClusterFacts) -> String {
    let of_member = facts
        .members
        .iter()
        .find_map(|member| gap.reason.strip_prefix(&*member.name)?.strip_prefix(": "));
    let reason = of_member.unwrap_or(&gap.reason);
    let blind = coverage.gaps.iter().filter(|gap| gap.blind);
    let blind: BTreeSet<&str> = blind.map(|gap| &*gap.alert).collect();
    match (blind.len(), coverage.evaluated) {
        (_, 0) => format!("{reason}, so nothing can be judged"),
        (0 | 1, _) => format!("{reason}, so {} cannot see", gap.alert),
        (2, _) => format!("{reason}, so {} and 1 more alert cannot see", gap.alert),
        (all, _) => format!(
            "{reason}, so {} and {} more alerts cannot see",
            gap.alert,
            all - 1
        ),
    }
}
