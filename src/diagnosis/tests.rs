//! Verdict and summary on literals.

use super::*;
use crate::model::MemberFacts;
use crate::model::{ClusterFacts, Labels};

/// A firing problem for tests of this module and its parts.
pub(super) fn problem(alert: &str, severity: Severity, member: &str) -> Problem {
    let labels = Labels::new([
        ("alertname", alert),
        ("cluster", "c"),
        ("member", member),
        ("severity", severity.as_str()),
    ]);
    Problem {
        rank: 0,
        alert: alert.to_owned(),
        severity,
        category: "other".to_owned(),
        firing: true,
        since: Timestamp::from_millis(0),
        member: (!member.is_empty()).then(|| member.to_owned()),
        fingerprint: labels.fingerprint(),
        labels,
        summary: format!("{alert} happened"),
        description: String::new(),
        impact: String::new(),
        remedy: String::new(),
        commands: Vec::new(),
        evidence: Vec::new(),
        runbook_url: String::new(),
        guide: String::new(),
        explains: Vec::new(),
    }
}

fn facts(reachable: bool) -> ClusterFacts {
    ClusterFacts {
        members: vec![MemberFacts {
            reachable,
            ..MemberFacts::default()
        }],
        ..ClusterFacts::default()
    }
}

#[test]
fn the_verdict_is_the_worst_that_fires_even_beneath_a_milder_cause() {
    let mut cause = problem("Disk", Severity::Warning, "a");
    assert_eq!(
        verdict::status(std::slice::from_ref(&cause), None, &facts(true), false),
        Status::Warn
    );
    cause.explains = vec![problem("NoLeader", Severity::Critical, "")];
    assert_eq!(verdict::status(&[cause], None, &facts(true), false), Status::Fail);
}

#[test]
fn what_is_pending_does_not_count_and_information_passes() {
    let pending = Problem {
        firing: false,
        ..problem("Disk", Severity::Critical, "a")
    };
    let info = problem("Moved", Severity::Info, "");
    assert_eq!(
        verdict::status(&[pending, info], None, &facts(true), false),
        Status::Pass
    );
}

#[test]
fn blindness_is_unknown_but_hides_no_finding() {
    assert_eq!(verdict::status(&[], None, &facts(true), true), Status::Unknown);
    assert_eq!(
        verdict::status(
            &[problem("Disk", Severity::Warning, "a")],
            None,
            &facts(true),
            true
        ),
        Status::Warn
    );
    assert_eq!(
        verdict::status(
            &[problem("Down", Severity::Critical, "a")],
            None,
            &facts(false),
            false
        ),
        Status::Unknown
    );
}

#[test]
fn the_summary_names_the_first_problem_and_counts_the_rest() {
    let problems = [
        problem("A", Severity::Critical, ""),
        problem("B", Severity::Warning, ""),
    ];
    assert_eq!(
        verdict::summary(Status::Fail, &problems, &facts(true), None),
        "A happened; 1 more problem"
    );
    let beside_news = [problems[0].clone(), problem("C", Severity::Info, "")];
    assert_eq!(
        verdict::summary(Status::Fail, &beside_news, &facts(true), None),
        "A happened",
        "information is no problem"
    );
    assert_eq!(
        verdict::summary(Status::Pass, &[], &facts(true), None),
        "no problem found, its one member answers"
    );
    let mut remark = problem("R", Severity::Info, "");
    remark.category = "security".into();
    assert_eq!(
        verdict::summary(
            Status::Pass,
            &[remark.clone(), remark.clone()],
            &facts(true),
            None
        ),
        "no problem found, its one member answers; 2 remarks"
    );
    assert_eq!(
        verdict::summary(
            Status::Pass,
            &[remark, beside_news[1].clone()],
            &facts(true),
            None
        ),
        "C happened",
        "a remark is no headline"
    );
    assert_eq!(
        verdict::summary(Status::Unknown, &[], &facts(false), None),
        "its only known member does not answer"
    );
}

#[test]
fn what_cannot_fire_before_watching_ends_counts_one_step_milder() {
    let text =
        "groups: [{name: g, rules: [{alert: Fast, expr: up, for: 5s}, {alert: Slow, expr: up, for: 1m}]}]";
    let rules = RuleSet::new(crate::rules::load("f", text).expect("test data"));
    let pending = |severity: &str| Alert {
        labels: Labels::new([("severity", severity)]),
        annotations: Vec::new(),
        state: AlertState::Pending,
        value: 1.0,
        active_at: Timestamp::from_millis(0),
        fired_at: None,
        resolved_at: None,
    };
    let report = |at, severity| RuleReport {
        rule: (0, at),
        error: None,
        alerts: vec![pending(severity)],
    };
    let window = Duration::from_secs(15);
    let suspected = |reports: &[RuleReport]| verdict::suspected(&rules, reports, window);
    assert_eq!(suspected(&[report(0, "critical")]), None);
    let slow = suspected(&[report(0, "critical"), report(1, "critical")]);
    assert_eq!(slow, Some(Severity::Warning));
    assert_eq!(verdict::status(&[], slow, &facts(true), false), Status::Warn);
    assert_eq!(suspected(&[report(1, "warning")]), Some(Severity::Info));
}

#[test]
fn what_is_only_seen_yet_is_said_before_all_is_said_to_be_well() {
    let pending = Problem {
        firing: false,
        ..problem("Down", Severity::Warning, "a")
    };
    assert_eq!(
        verdict::summary(Status::Pass, &[pending], &facts(true), None),
        "not certain yet: Down happened"
    );
}
