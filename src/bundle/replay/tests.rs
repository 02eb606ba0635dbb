//! Recordings judged again: as they were, and by other rules.

use super::*;
use crate::bundle::RecordedSeries;
use crate::diagnosis::Severity;
use crate::model::{Access, ClusterFacts, Desc, MemberFacts, Quorum, Verdict};
use crate::promql::Patience;
use crate::rules;
use crate::snapshot::Snapshot;

static SIZE: Desc = Desc::gauge("size", None, "A size.");
static AFTER: Desc = Desc::gauge("after", None, "Written when the rules have been evaluated.");

static AFTERWARDS: &[&Desc] = &[&AFTER];
static DESCS: &[&Desc] = &[&SIZE, &AFTER];

const RULES: &str = "
groups:
- name: g
  rules:
  - record: double
    expr: size * 2
  - alert: Large
    expr: double > 4
    for: 10s
    labels: {severity: critical, category: quota}
    annotations: {summary: 'it is {{ $value }}', evidence: 'size = size'}
  - alert: After
    expr: after > 5
";

fn rules(text: &str) -> Arc<RuleSet> {
    Arc::new(RuleSet::new(rules::load("f", text).unwrap()))
}

fn providers() -> Vec<Provider> {
    vec![Provider {
        collectors: vec!["status"],
        descs: DESCS,
        host: false,
    }]
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// Cycles at 0, 5, 10 and 15 s in which the size grows from 1 to 4, recorded at the end.
fn watched() -> (Diagnosis, Recording) {
    let rules = rules(RULES);
    let mut evaluator = Evaluator::new(rules.clone());
    let mut window = Played {
        metrics: HashMap::new(),
        yielded: HashMap::new(),
    };
    let outcomes = vec![Outcome {
        collector: "status",
        member: None,
        duration: Duration::from_millis(3),
        verdict: Verdict::Read,
    }];
    let mut batch = Batch {
        cluster: "c".into(),
        time: at(0),
        samples: Vec::new(),
        pages: Vec::new(),
        facts: ClusterFacts {
            access: Access::default(),
            members: vec![MemberFacts {
                name: "a".into(),
                reachable: true,
                ..MemberFacts::default()
            }],
            quorum: Quorum::default(),
            cluster_id: None,
        },
        outcomes: outcomes.clone(),
    };
    let mut last = None;
    for (cycle, time) in [0, 5, 10, 15].into_iter().enumerate() {
        let value = cycle as f64 + 1.0;
        batch.time = at(time);
        window.push(&Labels::empty().named("size"), at(time), value);
        let reports = evaluator.evaluate(&mut window, at(time));
        let diagnosis = diagnosis::diagnose(&Inputs {
            rules: &rules,
            reports: &reports,
            batch: &batch,
            source: &window,
            patience: &Patience::default(),
            providers: &providers(),
            watched_for: at(time).since(at(0)),
            ends_after: None,
        });
        // The last value, 10, is too late for the rules.
        let late = if time == 15 { 10.0 } else { 1.0 };
        window.push(&Labels::empty().named("after"), at(time), late);
        last = Some((diagnosis, reports));
    }
    let (diagnosis, reports) = last.unwrap();
    let snapshot = Snapshot {
        cluster: "c".into(),
        time: at(15),
        took: Duration::ZERO,
        cycle: 4,
        samples: Vec::new(),
        diagnosis: diagnosis.clone(),
        reports,
        rules,
        outcomes,
        afterwards: AFTERWARDS,
    };
    let recording = Recording::of(&snapshot, None, &window);
    (diagnosis, recording)
}

fn shown(diagnosis: &Diagnosis) -> String {
    format!("{diagnosis:#?}")
}

#[test]
fn the_same_rules_give_the_same_diagnosis() {
    let (then, recording) = watched();
    // At 10 s the double was 6; at 15 s that had not yet held for 10 s.
    let [large] = then.problems.as_slice() else {
        panic!("{then:#?}")
    };
    assert_eq!(
        (large.firing, large.since, &*large.summary),
        (false, at(10), "it is 8")
    );
    let providers = providers();
    let again = Replay::new(&recording, &providers).diagnosis(&rules(RULES));
    assert_eq!(shown(&again), shown(&then));
}

#[test]
fn an_alert_that_is_older_than_the_window_keeps_its_age() {
    let (_, mut recording) = watched();
    recording.alerts[0].alert.active_at = at(-1000);
    recording.alerts[0].alert.fired_at = Some(at(-990));
    recording.alerts[0].alert.state = AlertState::Firing;
    let providers = providers();
    let again = Replay::new(&recording, &providers).diagnosis(&rules(RULES));
    let large = &again.problems[0];
    assert_eq!(
        (large.firing, large.since, large.severity),
        (true, at(-1000), Severity::Critical)
    );
    assert_eq!(large.evidence[0].value, Some(4.0));
}

#[test]
fn other_rules_are_judged_from_the_first_cycle_on() {
    let (_, recording) = watched();
    let providers = providers();
    let replay = Replay::new(&recording, &providers);
    let sooner = replay.retrial(&rules(&RULES.replace("for: 10s", "for: 5s")));
    let told = |change: &Change| {
        (
            change.time,
            change.labels.get("alertname").to_owned(),
            change.state,
        )
    };
    assert_eq!(
        sooner.changes.iter().map(told).collect::<Vec<_>>(),
        [
            (at(10), "Large".to_owned(), Some(AlertState::Pending)),
            (at(15), "Large".to_owned(), Some(AlertState::Firing)),
        ]
    );
    assert_eq!(sooner.cycles, 4);
    assert!(sooner.diagnosis.problems[0].firing);

    let narrow = replay.retrial(&rules(&RULES.replace("double > 4", "double == 6")));
    assert_eq!(
        narrow.changes.last().map(told),
        Some((at(15), "Large".to_owned(), None))
    );
    assert!(narrow.diagnosis.problems.is_empty());

    let without = replay.retrial(&rules(
        "groups: [{name: g, rules: [{alert: A, expr: double > 4}]}]",
    ));
    assert!(
        without.changes.is_empty(),
        "what rules recorded is not there for others"
    );
}

#[test]
fn collectors_of_other_versions_are_named() {
    let (_, mut recording) = watched();
    recording.outcomes[0].collector = "crystal_ball".into();
    recording.series.push(RecordedSeries {
        by_rule: false,
        labels: Labels::empty().named("future"),
        points: Vec::new(),
    });
    let providers = providers();
    let replay = Replay::new(&recording, &providers);
    assert_eq!(replay.unknown_collectors(), BTreeSet::from(["crystal_ball"]));
    replay.diagnosis(&rules(RULES));
}
