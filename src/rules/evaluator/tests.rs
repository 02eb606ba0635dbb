//! Rules from cycle to cycle, over a window made of literals.

use std::collections::BTreeMap;

use super::*;
use crate::model::{is_stale, stale_nan};
use crate::promql::{Matcher, Patience, Point, Series, Source};
use crate::rules::load;

/// A window that tests fill by hand.
#[derive(Default)]
struct Samples {
    series: BTreeMap<Labels, Vec<Point>>,
    written: HashMap<String, BTreeSet<Labels>>,
}

impl Samples {
    fn push(&mut self, name: &str, labels: &[(&str, &str)], at: Timestamp, value: f64) {
        let labels = Labels::new(labels.iter().copied()).named(name);
        self.series
            .entry(labels)
            .or_default()
            .push(Point { time: at, value });
    }

    /// The newest points, of series that have not ended, as text.
    fn now(&self, name: &str) -> Vec<String> {
        let of_name = self
            .series
            .iter()
            .filter(|(labels, _)| labels.metric_name() == name);
        let newest = of_name.filter_map(|(labels, points)| Some((labels, points.last()?)));
        let live = newest.filter(|(_, point)| !is_stale(point.value));
        live.map(|(labels, point)| format!("{labels} {} @{}", point.value, point.time.millis() / 1000))
            .collect()
    }
}

impl Source for Samples {
    fn select(&self, matchers: &[Matcher], after: Timestamp, through: Timestamp) -> Vec<Series> {
        let matching = self
            .series
            .iter()
            .filter(|(labels, _)| matchers.iter().all(|matcher| matcher.matches(labels)));
        let series = matching.map(|(labels, points)| {
            let inside = points
                .iter()
                .filter(|point| after < point.time && point.time <= through);
            Series {
                labels: labels.clone(),
                points: inside.copied().collect(),
            }
        });
        series.collect()
    }
}

impl Window for Samples {
    fn record(&mut self, writer: &str, at: Timestamp, series: Vec<(Labels, f64)>) {
        let before = self.written.remove(writer).unwrap_or_default();
        let now: BTreeSet<Labels> = series.iter().map(|(labels, _)| labels.clone()).collect();
        let ended = before
            .difference(&now)
            .map(|labels| (labels.clone(), stale_nan()));
        for (labels, value) in ended.chain(series).collect::<Vec<_>>() {
            self.series
                .entry(labels)
                .or_default()
                .push(Point { time: at, value });
        }
        self.written.insert(writer.to_owned(), now);
    }
}

/// A stopwatch whose time is up when it was looked at so often.
fn looks(most: usize) -> Patience {
    Patience::new(move || {
        let left = std::cell::Cell::new(most);
        Box::new(move || {
            left.set(left.get().saturating_sub(1));
            left.get() == 0
        })
    })
}

#[test]
fn a_rule_whose_time_is_up_fails_and_leaves_its_alerts_as_they_were() {
    let rules = rules(
        "groups: [{name: g, rules: [\
         {alert: Slow, expr: 'max_over_time(vector(1)[1h:1s] @ 0) and on () up == 0'}, {alert: Quick, expr: up == 0},\
         {alert: Wordy, expr: up == 0, annotations: {a: '{{ query \"sum_over_time(vector(1)[1h:1s])\" }}'}}]}]",
    );
    let mut window = Samples::default();
    window.push("up", &[("member", "a")], at(0), 0.0);
    let mut evaluator = Evaluator::new(rules);
    let before = evaluator.evaluate(&mut window, at(0));
    assert!(before.iter().all(|report| report.error.is_none()), "{before:?}");
    // Each rule has its own time, and a template's is the rule's.
    evaluator.environment.patience = looks(100);
    window.push("up", &[("member", "a")], at(60), 0.0);
    let reports = evaluator.evaluate(&mut window, at(60));
    let told: Vec<_> = reports.iter().map(|report| report.error.as_deref()).collect();
    assert_eq!(told, [Some(TIMED_OUT), None, Some(TIMED_OUT)]);
    for (report, before) in reports.iter().zip(&before) {
        assert_eq!(report.alerts.len(), 1);
        assert_eq!(report.alerts[0].state, before.alerts[0].state);
    }
}

#[test]
fn many_slow_rules_do_not_add_up_in_one_evaluation() {
    let slow = r#"{alert: Slow, expr: 'max_over_time(vector(1)[1h:1s] @ 0)'}"#;
    let rules = rules(&format!(
        "groups: [{{name: g, rules: [{{alert: First, expr: '1'}}, {slow}, {slow}, {slow}, {{alert: Last, expr: '1'}}]}}]"
    ));
    let mut evaluator = Evaluator::new(rules);
    evaluator.environment.patience = looks(100);
    evaluator.environment.together = looks(4);
    let mut evaluated = |second| {
        let reports = evaluator.evaluate(&mut Samples::default(), at(second));
        let told = reports.iter().map(|report| match report.error.as_deref() {
            None => "fine",
            Some(TIMED_OUT) => "timed out",
            Some(error) if error.contains("before it") => "waits",
            Some(error) if error.contains("left out") => "left out",
            Some(error) => panic!("{error}"),
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(evaluated(0), ["fine", "timed out", "timed out", "waits", "waits"]);
    assert_eq!(
        evaluated(5),
        ["fine", "timed out", "timed out", "timed out", "waits"]
    );
    assert_eq!(
        evaluated(10),
        ["fine", "left out", "left out", "timed out", "fine"]
    );
    assert_eq!(
        evaluated(15),
        ["fine", "timed out", "timed out", "left out", "fine"]
    );
}

#[test]
fn a_rule_may_make_only_so_many_samples() {
    let rules =
        rules("groups: [{name: g, rules: [{alert: A, expr: 'sum_over_time(vector(1)[6000s:1ms])'}]}]");
    let reports = Evaluator::new(rules).evaluate(&mut Samples::default(), at(0));
    assert!(
        reports[0]
            .error
            .as_ref()
            .unwrap()
            .contains("more than 5000000 samples"),
        "{reports:?}"
    );
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn rules(text: &str) -> Arc<RuleSet> {
    Arc::new(RuleSet::new(load("r.yaml", text).unwrap()))
}

/// The states of all alerts of one rule.
fn states(reports: &[RuleReport], rule: (usize, usize)) -> Vec<AlertState> {
    let report = reports.iter().find(|report| report.rule == rule).unwrap();
    assert_eq!(report.error, None);
    report.alerts.iter().map(|alert| alert.state).collect()
}

const CHAIN: &str = r#"
groups:
  - name: g
    rules:
      - record: members:down
        expr: count by (cluster) (up == 0)
        labels: {origin: '{{ not a template }}'}
      - alert: MembersDown
        expr: members:down > 1
        for: 1m
        labels:
          severity: '{{ if gt $value 2.0 }}critical{{ else }}warning{{ end }}'
        annotations:
          summary: '{{ $labels.__name__ }} of {{ $labels.cluster }}: {{ $value }}{{ $labels.gone }}'
      - alert: Meta
        expr: ALERTS{alertname="MembersDown", alertstate="pending"}
"#;

#[test]
fn rules_see_what_the_ones_before_them_wrote_at_the_same_time() {
    let mut window = Samples::default();
    for member in ["m0", "m1"] {
        window.push("up", &[("cluster", "c"), ("member", member)], at(60), 0.0);
    }
    let mut evaluator = Evaluator::new(rules(CHAIN));
    let reports = evaluator.evaluate(&mut window, at(60));
    let alert = &reports[1].alerts[0];
    assert_eq!(
        alert.labels.to_string(),
        r#"{alertname="MembersDown", cluster="c", origin="{{ not a template }}", severity="warning"}"#
    );
    assert_eq!(alert.annotations[0].1, "members:down of c: 2");
    assert_eq!(states(&reports, (0, 1)), [AlertState::Pending]);
    assert_eq!(states(&reports, (0, 2)), [AlertState::Firing]);
    assert_eq!(
        window.now("members:down"),
        [r#"members:down{cluster="c", origin="{{ not a template }}"} 2 @60"#]
    );
}

#[test]
fn alerts_series_follow_the_state_and_end_with_the_alert() {
    let mut window = Samples::default();
    let text = "groups: [{name: g, rules: [{alert: Down, expr: up == 0, for: 1m}]}]";
    let mut evaluator = Evaluator::new(rules(text));
    window.push("up", &[], at(0), 0.0);
    evaluator.evaluate(&mut window, at(0));
    assert_eq!(
        window.now("ALERTS"),
        [r#"ALERTS{alertname="Down", alertstate="pending"} 1 @0"#]
    );
    evaluator.evaluate(&mut window, at(60));
    assert_eq!(
        window.now("ALERTS"),
        [r#"ALERTS{alertname="Down", alertstate="firing"} 1 @60"#]
    );
    assert_eq!(
        window.now("ALERTS_FOR_STATE"),
        [r#"ALERTS_FOR_STATE{alertname="Down"} 0 @60"#]
    );
    window.push("up", &[], at(120), 1.0);
    let reports = evaluator.evaluate(&mut window, at(120));
    assert_eq!(states(&reports, (0, 0)), [AlertState::Inactive]);
    assert_eq!(
        (window.now("ALERTS"), window.now("ALERTS_FOR_STATE")),
        (vec![], vec![])
    );
}

#[test]
fn a_failed_query_leaves_alerts_as_they_are_and_writes_nothing() {
    let text = "groups: [{name: g, rules: [{alert: A, expr: a * on () group_left b > 0, for: 1m}]}]";
    let mut window = Samples::default();
    let mut evaluator = Evaluator::new(rules(text));
    window.push("a", &[], at(0), 1.0);
    window.push("b", &[("x", "1")], at(0), 1.0);
    evaluator.evaluate(&mut window, at(0));
    window.push("b", &[("x", "2")], at(60), 1.0);
    let reports = evaluator.evaluate(&mut window, at(60));
    assert!(
        reports[0].error.as_ref().unwrap().contains("many-to-many"),
        "{:?}",
        reports[0].error
    );
    assert_eq!(reports[0].alerts[0].state, AlertState::Pending);
    let pending = r#"ALERTS{alertname="A", alertstate="pending"} 1 @0"#;
    assert_eq!(
        window.now("ALERTS"),
        [pending],
        "neither a sample nor a stale marker"
    );
    window.push("b", &[("x", "2")], at(90), stale_nan());
    let reports = evaluator.evaluate(&mut window, at(90));
    assert_eq!(
        states(&reports, (0, 0)),
        [AlertState::Firing],
        "it held all the time"
    );
}

#[test]
fn alerts_with_the_same_labels_are_an_error() {
    let text = "groups: [{name: g, rules: [{alert: A, expr: up == 0, labels: {member: ''}}]}]";
    let mut window = Samples::default();
    for member in ["m0", "m1"] {
        window.push("up", &[("member", member)], at(0), 0.0);
    }
    let reports = Evaluator::new(rules(text)).evaluate(&mut window, at(0));
    assert!(
        reports[0]
            .error
            .as_ref()
            .unwrap()
            .contains("same labelset after applying alert labels")
    );
    assert!(reports[0].alerts.is_empty() && window.now("ALERTS").is_empty());
}

#[test]
fn a_number_is_an_element_and_a_range_is_an_error() {
    let text = "groups: [{name: g, rules: [{record: a, expr: 1 + 1}, {record: b, expr: 'up[5m]'}]}]";
    let mut window = Samples::default();
    let reports = Evaluator::new(rules(text)).evaluate(&mut window, at(5));
    assert_eq!(window.now("a"), ["a 2 @5"]);
    assert_eq!(
        reports[1].error.as_deref(),
        Some("rule result is not a vector or scalar")
    );
}

#[test]
fn query_offset_looks_back_and_dates_back() {
    let text = "groups: [{name: g, query_offset: 1m, rules: [{record: a, expr: m}, {alert: B, expr: m}]}]";
    let mut window = Samples::default();
    window.push("m", &[], at(0), 7.0);
    window.push("m", &[], at(30), 8.0);
    let reports = Evaluator::new(rules(text)).evaluate(&mut window, at(70));
    assert_eq!(window.now("a"), ["a 7 @10"]);
    assert_eq!(
        window.now("ALERTS"),
        [r#"ALERTS{alertname="B", alertstate="firing"} 1 @10"#]
    );
    assert_eq!(reports[1].alerts[0].active_at, at(70));
}

#[test]
fn past_its_limit_a_rule_fails_and_its_alerts_are_forgotten() {
    let text = "groups: [{name: g, limit: 1, rules: [{record: a, expr: m}, {alert: B, expr: m}]}]";
    let mut window = Samples::default();
    let mut evaluator = Evaluator::new(rules(text));
    window.push("m", &[("x", "1")], at(0), 1.0);
    let reports = evaluator.evaluate(&mut window, at(0));
    assert_eq!(states(&reports, (0, 1)), [AlertState::Firing]);
    window.push("m", &[("x", "2")], at(5), 1.0);
    let reports = evaluator.evaluate(&mut window, at(5));
    assert_eq!(
        reports[0].error.as_deref(),
        Some("exceeded limit of 1 with 2 series")
    );
    assert_eq!(
        reports[1].error.as_deref(),
        Some("exceeded limit of 1 with 2 alerts")
    );
    assert!(reports[1].alerts.is_empty());
}

#[test]
fn a_group_with_an_interval_runs_when_it_is_due_and_its_reports_stand_in_between() {
    let text = "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: m > 0}]}]";
    let mut window = Samples::default();
    let mut evaluator = Evaluator::new(rules(text));
    let mut ran = Vec::new();
    for cycle in 0..40 {
        // Cycles of 15 s that come a little early or late.
        let now = Timestamp::from_millis(cycle * 15_000 + [0, 40, -40][usize::try_from(cycle % 3).unwrap()]);
        window.push("m", &[], now, 1.0);
        let reports = evaluator.evaluate(&mut window, now);
        assert_eq!(states(&reports, (0, 0)), [AlertState::Firing]);
        if window.series.iter().any(|(labels, points)| {
            labels.metric_name() == "ALERTS" && points.last().is_some_and(|point| point.time == now)
        }) {
            ran.push(cycle);
        }
    }
    assert_eq!(ran, [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]);
    // Slots that passed unused are skipped, and a clock that was set back does not stop the group.
    for (seconds, runs) in [
        (1230, true),
        (1245, false),
        (1260, true),
        (100, true),
        (115, false),
        (160, true),
    ] {
        let before = window.written.clone();
        window.written.clear();
        evaluator.evaluate(&mut window, at(seconds));
        assert_eq!(!window.written.is_empty(), runs, "at {seconds} s");
        window.written = before;
    }
}

#[test]
fn a_reload_keeps_alerts_by_name_and_labels_and_ends_the_series_of_the_rest() {
    let text = "groups: [{name: g, rules: [{alert: A, expr: up == 0, for: 5m}, {alert: A, expr: up == 0, labels: {x: y}}, \
                {record: r, expr: up}]}]";
    let mut window = Samples::default();
    window.push("up", &[], at(0), 0.0);
    let mut evaluator = Evaluator::new(rules(text));
    evaluator.evaluate(&mut window, at(0));
    assert_eq!((window.now("ALERTS").len(), window.now("r").len()), (2, 1));
    // The first rule stands elsewhere in the group now and waits for less long; the others are gone.
    let text = "groups: [{name: g, rules: [{alert: B, expr: up == 0}, {alert: A, expr: up < 1, for: 1m}]}]";
    evaluator.reload(rules(text));
    let reports = evaluator.evaluate(&mut window, at(60));
    assert_eq!(states(&reports, (0, 1)), [AlertState::Firing]);
    assert_eq!(reports[1].alerts[0].active_at, at(0));
    assert_eq!(
        window.now("ALERTS"),
        [
            r#"ALERTS{alertname="A", alertstate="firing"} 1 @60"#,
            r#"ALERTS{alertname="B", alertstate="firing"} 1 @60"#,
        ]
    );
    assert_eq!(window.now("r"), [""; 0]);
}

#[test]
fn rules_that_are_alike_do_not_end_each_others_series() {
    let text = "groups: [{name: g, rules: [{record: r, expr: a}, {record: r, expr: b}]}]";
    let mut window = Samples::default();
    let mut evaluator = Evaluator::new(rules(text));
    window.push("a", &[("x", "1")], at(0), 1.0);
    window.push("b", &[("x", "2")], at(0), 2.0);
    for seconds in [0, 15] {
        let reports = evaluator.evaluate(&mut window, at(seconds));
        assert!(reports.iter().all(|report| report.error.is_none()));
        assert_eq!(window.now("r").len(), 2);
    }
}

#[test]
fn templates_query_the_window_at_the_time_of_the_evaluation() {
    let text = r#"
groups:
  - name: g
    rules:
      - alert: A
        expr: m > 0
        annotations:
          a: '{{ with query "m * 2" }}{{ . | first | value }}{{ end }} of {{ $externalLabels.site }} {{ externalURL }}'
          b: '{{ query "m{" | first }}'
"#;
    let environment = Environment {
        external_labels: Labels::new([("site", "lab")]),
        external_url: "http://doctor:9379/x".to_owned(),
        ..Environment::default()
    };
    let mut window = Samples::default();
    window.push("m", &[], at(90), 21.0);
    let reports = Evaluator::with_environment(rules(text), environment).evaluate(&mut window, at(90));
    let alert = &reports[0].alerts[0];
    assert_eq!(alert.annotations[0].1, "42 of lab http://doctor:9379/x");
    assert!(
        alert.annotations[1]
            .1
            .starts_with("<error expanding template: error calling query: ")
    );
    assert_eq!(alert.state, AlertState::Firing);
}

/// A rule that fires after 10 minutes on a rate over 5, with a member that is away all the time.
const LASTING: &str = r#"
groups:
  - name: g
    rules:
      - {record: m:away, expr: 'm == 0'}
      - {alert: Away, expr: 'max_over_time(m:away[5m]) == 0', for: 10m}
"#;

/// Runs [`LASTING`] every 15 s, from one time to another.
fn watch_away(evaluator: &mut Evaluator, window: &mut Samples, from: i64, to: i64) {
    for seconds in (from..=to).step_by(15) {
        window.push("m", &[("member", "m0")], at(seconds), 0.0);
        evaluator.evaluate(window, at(seconds));
    }
}

fn only_alert(evaluator: &Evaluator) -> Alert {
    let alerts = evaluator.reports().into_iter().flat_map(|report| report.alerts);
    alerts.last().unwrap()
}

#[test]
fn an_alert_that_fired_before_a_restart_fires_on_at_once() {
    let mut evaluator = Evaluator::new(rules(LASTING));
    watch_away(&mut evaluator, &mut Samples::default(), 0, 900);
    assert_eq!(only_alert(&evaluator).fired_at, Some(at(600)));
    let (text, _) = evaluator.remember(at(900)).to_text("c");
    let states = States::parse(&text, "c").unwrap();
    let mut evaluator = Evaluator::new(rules(LASTING));
    evaluator.restore(states, at(930));
    watch_away(&mut evaluator, &mut Samples::default(), 930, 930);
    let alert = only_alert(&evaluator);
    assert_eq!(
        (alert.state, alert.active_at, alert.fired_at),
        (AlertState::Firing, at(0), Some(at(600)))
    );
}

#[test]
fn a_pending_alert_goes_on_waiting_and_the_outage_does_not_count() {
    let mut evaluator = Evaluator::new(rules(LASTING));
    watch_away(&mut evaluator, &mut Samples::default(), 0, 300);
    let states = evaluator.remember(at(300));
    let mut evaluator = Evaluator::new(rules(LASTING));
    evaluator.restore(states.clone(), at(420));
    // A second restart before anything is seen loses nothing.
    let states = evaluator.remember(at(450));
    let mut evaluator = Evaluator::new(rules(LASTING));
    evaluator.restore(states, at(480));
    let mut window = Samples::default();
    watch_away(&mut evaluator, &mut window, 480, 480);
    let alert = only_alert(&evaluator);
    assert_eq!((alert.state, alert.active_at), (AlertState::Pending, at(180)));
    watch_away(&mut evaluator, &mut window, 495, 780);
    assert_eq!(only_alert(&evaluator).fired_at, Some(at(780)));
}

#[test]
fn what_is_seen_only_after_the_window_has_filled_is_new() {
    let mut evaluator = Evaluator::new(rules(LASTING));
    watch_away(&mut evaluator, &mut Samples::default(), 0, 900);
    let states = evaluator.remember(at(900));
    let mut evaluator = Evaluator::new(rules(LASTING));
    evaluator.restore(states, at(915));
    let mut window = Samples::default();
    // The range of five minutes and a minute more.
    for seconds in (915..=1290).step_by(15) {
        evaluator.evaluate(&mut window, at(seconds));
    }
    assert_eq!(
        evaluator
            .remember(at(1290))
            .to_text("c")
            .0
            .matches("Away")
            .count(),
        0
    );
    watch_away(&mut evaluator, &mut window, 1305, 1305);
    assert_eq!(only_alert(&evaluator).state, AlertState::Pending);
}

#[test]
fn an_hour_later_and_for_another_rule_nothing_is_taken_up() {
    let mut evaluator = Evaluator::new(rules(LASTING));
    watch_away(&mut evaluator, &mut Samples::default(), 0, 900);
    let states = evaluator.remember(at(900));
    for (text, now) in [
        (LASTING.to_owned(), 900 + 3615),
        (LASTING.replace("for: 10m", "for: 10m, labels: {a: b}"), 915),
    ] {
        let mut evaluator = Evaluator::new(rules(&text));
        evaluator.restore(states.clone(), at(now));
        watch_away(&mut evaluator, &mut Samples::default(), now, now);
        assert_eq!(only_alert(&evaluator).state, AlertState::Pending);
    }
}

#[test]
fn history_goes_through_recording_rules() {
    let text = r#"
groups:
  - name: g
    rules:
      - {record: a:rate, expr: 'rate(a[1h])'}
      - {record: b:max, expr: 'max_over_time(a:rate[30m]) + loop'}
      - {record: loop, expr: 'b:max offset 1m'}
      - {alert: A, expr: 'b:max offset 10m > c'}
"#;
    let rules = rules(text);
    let (_, _, rule) = rules.alerting().next().unwrap();
    let mut reaches: Vec<(String, u64)> = rules
        .history(&rule.query)
        .into_iter()
        .map(|selector| (selector.metric.unwrap(), selector.reach.as_secs() / 60))
        .collect();
    reaches.sort();
    assert_eq!(
        reaches,
        [
            ("a".to_owned(), 100),
            ("a:rate".to_owned(), 40),
            ("c".to_owned(), 5)
        ]
    );
}
