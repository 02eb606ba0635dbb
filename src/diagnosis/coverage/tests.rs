//! What is seen, what is not, and the words for it.

use super::*;
use crate::model::Timestamp;
use crate::model::{ClusterFacts, CollectError, Labels, MemberFacts, Reason};
use crate::promql::{Matcher, Point, Series};
use crate::rules::RuleSet;

#[test]
fn durations_read_as_people_say_them() {
    let words = [15, 119, 120, 3600, 14_400, 13_800].map(|seconds| in_words(Duration::from_secs(seconds)));
    assert_eq!(words, ["15 s", "119 s", "2 min", "60 min", "4 h", "3 h 50 min"]);
}

#[test]
fn a_histograms_series_belong_to_its_collector() {
    static FSYNC: Desc = Desc::histogram("etcd_doctor_x_seconds", Some("seconds"), "x");
    static DESCS: &[&Desc] = &[&FSYNC];
    let providers = [Provider {
        collectors: vec!["metrics"],
        descs: DESCS,
        host: false,
    }];
    let of = |metric| provider_of(metric, &providers).map(|(provider, _)| provider.collectors[0]);
    assert_eq!(of("etcd_doctor_x_seconds_bucket"), Some("metrics"));
    assert_eq!(of("etcd_doctor_y_bucket"), None);
}

/// A window that holds one point of each series, of this cycle.
struct Seen(Vec<Labels>);

impl Source for Seen {
    fn select(&self, matchers: &[Matcher], _: Timestamp, to: Timestamp) -> Vec<Series> {
        let found = self
            .0
            .iter()
            .filter(|labels| matchers.iter().all(|matcher| matcher.matches(labels)));
        let point = Point { time: to, value: 1.0 };
        found
            .map(|labels| Series {
                labels: labels.clone(),
                points: vec![point].into(),
            })
            .collect()
    }
}

static SIZE: Desc = Desc::gauge("size", None, "x");
static TOLERANCE: Desc = Desc::gauge("tolerance", None, "x");
static ROUND_TRIPS: Desc = Desc::histogram("round_trips", None, "x").sparse();
static WRITES: Desc = Desc::counter("writes_total", None, "x");
static LOSSES: Desc = Desc::gauge("losses", None, "x").sparse();
static DESCS: &[&Desc] = &[&SIZE, &TOLERANCE, &ROUND_TRIPS, &LOSSES];
static HOST_DESCS: &[&Desc] = &[&WRITES];

/// The gaps of a rule over a cluster of `a` and `b`, of which `status` failed on those that `failed` names.
fn gaps(expr: &str, seen: &[(&str, &str)], down: &[&str], failed: &[&str]) -> Vec<Gap> {
    survey_of(expr, seen, down, failed, Duration::from_secs(4))
}

fn survey_of(
    expr: &str,
    seen: &[(&str, &str)],
    down: &[&str],
    failed: &[&str],
    watched_for: Duration,
) -> Vec<Gap> {
    let member = |name: &str| MemberFacts {
        name: name.into(),
        reachable: !down.contains(&name),
        ..MemberFacts::default()
    };
    let outcome = |name: &&str| Outcome {
        collector: "status",
        member: Some((*name).into()),
        duration: Duration::ZERO,
        verdict: Verdict::Failed(CollectError {
            reason: Reason::Refused,
            message: "refused".into(),
            fix: format!("mend {name}"),
        }),
    };
    let batch = Batch {
        cluster: "c".into(),
        time: Timestamp::from_millis(0),
        samples: Vec::new(),
        pages: Vec::new(),
        facts: ClusterFacts {
            members: vec![member("a"), member("b")],
            ..ClusterFacts::default()
        },
        outcomes: failed.iter().map(outcome).collect(),
    };
    let text = format!("groups: [{{name: g, rules: [{{alert: A, expr: '{expr}'}}]}}]");
    let rules = RuleSet::new(crate::rules::load("f", &text).expect("test data"));
    let judged: Vec<Judged<'_>> = rules
        .alerting()
        .map(|(_, _, rule)| Judged {
            rule,
            report: None,
            history: rules.history(&rule.query),
        })
        .collect();
    let seen = seen
        .iter()
        .map(|(metric, member)| Labels::new([("__name__", *metric), ("member", *member)]));
    let providers = [
        Provider {
            collectors: vec!["status"],
            descs: DESCS,
            host: false,
        },
        Provider {
            collectors: vec!["disk"],
            descs: HOST_DESCS,
            host: true,
        },
    ];
    survey(&judged, &providers, &batch, &Seen(seen.collect()), watched_for).gaps
}

fn gap(reason: &str, fix: &str, blind: bool) -> Gap {
    Gap {
        alert: "A".into(),
        reason: reason.into(),
        fix: fix.into(),
        blind,
        applies: true,
        looks_back: None,
    }
}

#[test]
fn members_on_other_hosts_are_named_where_only_this_one_is_read() {
    let elsewhere = Gap {
        fix: "run etcd-doctor on their hosts as well".into(),
        ..gap("not on this host: b", "", false)
    };
    assert_eq!(
        gaps("writes_total > 1", &[("writes_total", "a")], &[], &[]),
        [elsewhere]
    );
    assert_eq!(
        gaps(
            "writes_total > 1",
            &[("writes_total", "a"), ("writes_total", "b")],
            &[],
            &[]
        ),
        []
    );
}

#[test]
fn what_is_absent_for_want_of_anything_to_tell_is_no_gap() {
    assert_eq!(gaps("round_trips_sum > 1", &[], &[], &[]), []);
    let missing = gap("there is no series size", "", true);
    assert_eq!(gaps("size > 1", &[], &[], &[]), [missing]);
    assert_eq!(
        gaps("round_trips_sum > 1", &[], &[], &["a"]),
        [gap("a: refused", "mend a", true)],
        "a page that could not be read is one"
    );
}

#[test]
fn one_look_gives_no_rate() {
    let both = [
        ("writes_total", "a"),
        ("writes_total", "b"),
        ("size", "a"),
        ("size", "b"),
    ];
    let at_once = |expr| survey_of(expr, &both, &[], &[], Duration::ZERO);
    let looks_back: Vec<_> = at_once("rate(writes_total[1m]) > 1")
        .iter()
        .map(|gap| gap.looks_back)
        .collect();
    assert_eq!(looks_back, [Some(Duration::from_secs(60))]);
    assert_eq!(
        at_once("max_over_time(size[1m]) > 1"),
        [],
        "of a gauge one look is enough"
    );
    assert_eq!(
        gaps("rate(writes_total[1m]) > 1", &both, &[], &[]),
        [],
        "and two looks are"
    );
}

#[test]
fn a_member_that_is_down_is_no_gap_of_what_is_said_of_the_cluster() {
    assert_eq!(gaps("tolerance == 0", &[("tolerance", "")], &["b"], &["b"]), []);
    assert_eq!(
        gaps("size > 1", &[("size", "a")], &["b"], &["b"]),
        [gap("b does not answer", "mend b", false)]
    );
}

#[test]
fn a_member_that_answers_and_cannot_be_read_is_named_with_the_reason() {
    assert_eq!(
        gaps("size > 1", &[("size", "a")], &[], &["b"]),
        [gap("b: refused", "mend b", false)]
    );
    assert_eq!(
        gaps("size > 1", &[], &[], &["b"]),
        [gap("b: refused", "mend b", true)]
    );
}

#[test]
fn when_no_member_answers_rules_are_blind_whatever_is_left_in_the_window() {
    let both = ["a", "b"];
    let expected = [gap("no member answers", "mend a; mend b", true)];
    assert_eq!(gaps("size > 1", &[], &both, &both), expected);
    let only_b = [gap("no member answers", "mend b", true)];
    assert_eq!(gaps("size > 1", &[("size", "a")], &both, &both), only_b);
}

#[test]
fn what_is_not_there_without_a_failure_blinds() {
    assert_eq!(
        gaps("other > 1", &[], &[], &[]),
        [gap("there is no series other", "", true)]
    );
    assert_eq!(
        gaps("size > 1", &[], &[], &[]),
        [gap("there is no series size", "", true)]
    );
    assert_eq!(gaps("losses > 1", &[], &[], &[]), [], "there is nothing to tell");
    assert_eq!(
        gaps("losses > 1", &[], &[], &["b"]),
        [gap("b: refused", "mend b", true)]
    );
}

#[test]
fn a_window_that_fills_blinds_nothing_and_tells_how_far_back_the_rule_looks() {
    let filling = gaps("rate(size[30m]) > 1", &[("size", "a")], &[], &[]);
    let [only] = filling.as_slice() else {
        panic!("{filling:?}")
    };
    assert_eq!(
        (only.blind, only.looks_back),
        (false, Some(Duration::from_secs(1800)))
    );
}

#[test]
fn a_long_window_warms_up_and_tells_the_time_left() {
    let both = [("size", "a"), ("size", "b")];
    let gaps = survey_of(
        "predict_linear(size[4h], 3600) > 1",
        &both,
        &[],
        &[],
        Duration::from_secs(600),
    );
    let [only] = gaps.as_slice() else {
        panic!("{gaps:?}")
    };
    assert_eq!(only.reason, "warming up: looks back 4 h and has seen 10 min");
    assert_eq!(only.fix, "the window fills by itself in 3 h 50 min");
}
