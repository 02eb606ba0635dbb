//! The audit on literals.

use super::*;
use crate::diagnosis::judges::tests::{Rule, gap, with_judges};
use crate::diagnosis::tests::problem;
use crate::diagnosis::{Gap, Severity};
use crate::model::{MemberFacts, Quorum};
use crate::promql::{Matcher, Series};

struct Nothing;

impl Source for Nothing {
    fn select(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Vec<Series> {
        Vec::new()
    }
}

fn facts(endpoints: &[&'static str]) -> ClusterFacts {
    let member = |endpoint: &&'static str| MemberFacts {
        endpoint: Some((*endpoint).into()),
        ..MemberFacts::default()
    };
    ClusterFacts {
        members: endpoints.iter().map(member).collect(),
        quorum: Quorum {
            voters: endpoints.len(),
            required: endpoints.len() / 2 + 1,
            ..Quorum::default()
        },
        ..ClusterFacts::default()
    }
}

const RULES: [(&str, &str); 4] = [
    ("backup", "Backup Operations"),
    ("security", "Best Practices: Security"),
    ("configuration", "Performance Tuning: Performance Optimization"),
    ("availability", "Best Practices: High Availability"),
];

/// The practices' statuses and details, by their place in the guide, from 1.
fn audit(endpoints: &[&'static str], problems: &[Problem], gaps: Vec<Gap>) -> Vec<(&'static str, String)> {
    let rules = RULES.map(|(category, guide)| Rule {
        guide,
        ..Rule::of(category)
    });
    let facts = facts(endpoints);
    let items = with_judges(&rules, gaps, |judges| {
        Audit {
            facts: &facts,
            problems,
            judges,
            source: &Nothing,
            now: Timestamp::from_millis(0),
            goes_on: true,
        }
        .answer()
    });
    assert!(items.iter().zip(1..).all(|(item, number)| item.step == number));
    items
        .into_iter()
        .map(|item| (item.status.as_str(), item.detail))
        .collect()
}

const APART: [&str; 3] = ["https://a:2379", "https://b:2379", "https://c:2379"];

#[test]
fn what_rules_see_and_do_not_complain_of_is_kept() {
    let items = audit(&APART, &[], vec![]);
    let statuses: Vec<&str> = items.iter().map(|(status, _)| *status).collect();
    let expected = [
        "pass", "unknown", "unknown", "pass", "unknown", "pass", "pass", "unknown",
    ];
    assert_eq!(statuses, expected);
    assert_eq!(
        items[6].1,
        "3 of 3 members reached with TLS; nothing found by A_security"
    );
    assert_eq!(items[4].1, "no rule judges it");
    assert!(items[1].1.contains("etcdutl snapshot restore"), "{}", items[1].1);
}

#[test]
fn what_a_rule_complains_of_is_not_kept_also_as_information_and_as_a_symptom() {
    let info = problem("A_security", Severity::Info, "");
    let mut cause = problem("Other", Severity::Critical, "");
    cause.explains = vec![problem("A_configuration", Severity::Warning, "")];
    let items = audit(&APART, &[info, cause], vec![]);
    assert_eq!(items[6], ("warn", "A_security happened".to_owned()));
    assert_eq!(items[3], ("warn", "A_configuration happened".to_owned()));
    assert_eq!(items[0].0, "pass");
}

#[test]
fn what_a_rule_cannot_see_is_unknown_with_the_reason() {
    let items = audit(&APART, &[], vec![gap("backup", false)]);
    assert_eq!(
        items[0],
        ("unknown", "A_backup cannot see: not here: mend it".to_owned())
    );
}

#[test]
fn a_cluster_that_survives_nothing_or_stands_on_one_host_is_not_available() {
    assert_eq!(
        audit(&["http://a:1"], &[], vec![])[5],
        ("warn", "1 voter, of which 0 may fail".to_owned())
    );
    let together = ["http://a:1", "http://a:2", "http://b:1"];
    assert_eq!(
        audit(&together, &[], vec![])[5],
        ("warn", "3 voters, of which 1 may fail, on 2 hosts".to_owned())
    );
    assert_eq!(audit(&[], &[], vec![])[5].0, "unknown");
}

#[test]
fn the_host_of_an_endpoint() {
    for (endpoint, expected) in [
        ("http://a:2379", Some("a")),
        ("a:2379", Some("a")),
        ("https://[::1]:2379", Some("[::1]")),
        ("unix:///run/etcd", None),
    ] {
        assert_eq!(host(endpoint), expected);
    }
}
