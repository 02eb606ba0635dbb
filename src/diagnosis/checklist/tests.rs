//! The checklist on literals.

use super::*;
use crate::diagnosis::Gap;
use crate::diagnosis::judges::tests::{Rule, gap, with_judges};
use crate::diagnosis::tests::problem;
use crate::model::Quorum;
use crate::promql::{Matcher, Series};

struct Nothing;

/// Whatever is asked is 1.
struct One;

impl Source for One {
    fn select(&self, _: &[Matcher], _: Timestamp, to: Timestamp) -> Vec<Series> {
        let point = crate::promql::Point { time: to, value: 1.0 };
        vec![Series {
            labels: crate::model::Labels::empty(),
            points: vec![point].into(),
        }]
    }
}

impl Source for Nothing {
    fn select(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Vec<Series> {
        Vec::new()
    }
}

/// The statuses of the first three steps on a cluster of one member that answers.
fn first_three(problems: &[Problem], categories: &[&'static str], blind: &[&str]) -> [&'static str; 3] {
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
        access: crate::model::Access::default(),
    };
    let rules: Vec<Rule> = categories.iter().map(|category| Rule::of(category)).collect();
    let gaps: Vec<Gap> = blind.iter().map(|category| gap(category, true)).collect();
    let items = with_judges(&rules, gaps, |judges| {
        answer(
            &facts,
            problems,
            judges,
            None,
            &Nothing,
            Timestamp::from_millis(0),
        )
    });
    [0, 1, 2].map(|at| items[at].status.as_str())
}

/// The step about logs, of what is in a window and what the one rule about them lacks.
fn of_logs(source: &dyn Source, gaps: Vec<Gap>) -> (&'static str, String) {
    let rule = Rule {
        expr: "etcd_doctor_log_messages_total > 0",
        ..Rule::of("security")
    };
    let facts = ClusterFacts::default();
    let mut items = with_judges(&[rule], gaps, |judges| {
        answer(&facts, &[], judges, None, source, Timestamp::from_millis(0))
    });
    let item = items.remove(4);
    (item.status.as_str(), item.detail)
}

#[test]
fn the_step_about_logs_tells_what_they_said_or_why_they_are_not_read() {
    let (status, detail) = of_logs(&Nothing, vec![gap("security", false)]);
    assert_eq!(
        (status, &*detail),
        ("unknown", "not read here (not here); see `journalctl -u etcd`")
    );
    let read = "etcd_doctor_log_lines_total";
    let two = Logs(vec![(read, "", &[40.0]), (read, "", &[2.0])]);
    let (status, detail) = of_logs(&two, vec![]);
    assert_eq!(
        (status, &*detail),
        ("pass", "42 lines of 2 logs, no known message in the last 5 min")
    );
    let metric = "etcd_doctor_log_messages_total";
    let said = Logs(vec![
        ("etcd_doctor_log_lines_total", "", &[9.0]),
        (metric, "alarm_raised", &[0.0, 0.0]),
        (metric, "leader_lost", &[0.0, 2.0]),
        (metric, "apply_slow", &[1.0, 8.0]),
    ]);
    let (_, detail) = of_logs(&said, vec![]);
    assert_eq!(detail, "9 lines of 1 log; in 5 min: apply slow 8, leader lost 2");
    let other = Gap {
        blind: false,
        reason: "the log of b is not read: could not open b.log".to_owned(),
        ..gap("security", true)
    };
    let (_, detail) = of_logs(&said, vec![other]);
    assert!(
        detail.ends_with("; the log of b is not read: could not open b.log"),
        "{detail}"
    );
}

/// Series by metric and kind, whose values lie 150 s apart, the last at time 0.
struct Logs(Vec<(&'static str, &'static str, &'static [f64])>);

impl Source for Logs {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series> {
        let mut found = Vec::new();
        for (at, (metric, kind, values)) in self.0.iter().enumerate() {
            let labels = crate::model::Labels::new([
                ("__name__", *metric),
                ("kind", kind),
                ("member", &at.to_string()),
            ]);
            if !matchers.iter().all(|matcher| matcher.matches(&labels)) {
                continue;
            }
            let points: Vec<crate::promql::Point> = values
                .iter()
                .rev()
                .zip(0..)
                .map(|(value, back)| crate::promql::Point {
                    time: Timestamp::from_millis(-150_000 * back),
                    value: *value,
                })
                .filter(|point| point.time >= from && point.time <= to)
                .collect();
            let points = points.into_iter().rev().collect::<Vec<_>>();
            found.push(Series {
                labels,
                points: points.into(),
            });
        }
        found
    }
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
        first_three(&[], &["availability", "election", "consistency"], &["election"]),
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
    let down = problem("A_availability", Severity::Warning, "a");
    assert_eq!(
        first_three(&[down], &["availability"], &["availability"]),
        ["warn", "unknown", "warn"]
    );
}

#[test]
fn the_step_about_disk_space_is_judged_by_the_rules_about_it_and_no_other_resource() {
    let rules = [
        Rule {
            guide: "Diagnostic Checklist: check disk space",
            ..Rule::of("space")
        },
        Rule::of("resources"),
    ];
    let of = |found: &str| {
        let found = problem(found, Severity::Warning, "a");
        let facts = ClusterFacts::default();
        let items = with_judges(&rules, vec![], |judges| {
            answer(&facts, &[found], judges, None, &One, Timestamp::from_millis(0))
        });
        items[5].status.as_str()
    };
    assert_eq!(of("A_space"), "warn");
    assert_eq!(of("A_resources"), "pass", "such as memory");
}
