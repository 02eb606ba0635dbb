//! An alert looked at closely, on literals.

use super::*;
use crate::model::stale_nan;
use crate::promql::{Matcher, Point, Series};
use crate::rules::{Evaluator, load};

const NOW: Timestamp = Timestamp::from_millis(600_000);

struct Literal(Vec<Series>);

impl Source for Literal {
    fn select(&self, matchers: &[Matcher], after: Timestamp, through: Timestamp) -> Vec<Series> {
        let fits = |series: &&Series| matchers.iter().all(|matcher| matcher.matches(&series.labels));
        let cut = |series: &Series| {
            let points = series
                .points
                .iter()
                .filter(|point| point.time > after && point.time <= through);
            Series {
                labels: series.labels.clone(),
                points: points.copied().collect(),
            }
        };
        self.0
            .iter()
            .filter(fits)
            .map(cut)
            .filter(|series| !series.points.is_empty())
            .collect()
    }
}

impl crate::promql::Window for Literal {
    fn record(&mut self, _: &str, _: Timestamp, _: Vec<(Labels, f64)>) {}
}

fn series(labels: &[(&str, &str)], points: &[(u64, f64)]) -> Series {
    let points = points.iter().map(|(before, value)| Point {
        time: NOW.minus(Duration::from_secs(*before)),
        value: *value,
    });
    Series {
        labels: Labels::new(labels.iter().copied()),
        points: points.collect(),
    }
}

fn size(member: &str, value: f64) -> Series {
    series(&[("__name__", "size"), ("member", member)], &[(0, value)])
}

const RULES: &str = r#"
groups:
  - name: g
    rules:
      - alert: Full
        expr: size > 10 unless on () down == 1
        for: 1m
        labels: {severity: critical, category: quota}
        annotations: {summary: "{{ $labels.member }} is full", explains: "Slow(member), Odd"}
      - alert: Slow
        expr: size > 5
        labels: {severity: warning, category: disk}
      - alert: Odd
        expr: absent(size)
"#;

fn inspected(alert: &str, series: Vec<Series>) -> Inspection {
    let rules = Arc::new(RuleSet::new(load("f.yaml", RULES).unwrap()));
    let mut window = Literal(series);
    let mut evaluator = Evaluator::new(rules.clone());
    evaluator.evaluate(&mut window, NOW.minus(Duration::from_secs(20)));
    let reports = evaluator.evaluate(&mut window, NOW);
    let sight = Sight {
        cluster: &"etcd".into(),
        time: NOW,
        rules: &rules,
        reports: &reports,
        gaps: &[],
        source: &window,
    };
    inspect(alert, &sight).expect("there is a rule of this name")
}

#[test]
fn a_silent_alert_tells_the_part_that_keeps_it_so_and_how_far_it_is() {
    let found = inspected("Full", vec![size("a", 4.0), size("b", 9.0)]);
    assert_eq!(found.activity(), Activity::Silent);
    let [size, down] = &*found.rules[0].parts else {
        panic!("{found:#?}")
    };
    assert_eq!((size.left, down.left), (Some(0), Some(0)));
    let told: Vec<_> = size
        .readings
        .iter()
        .map(|reading| {
            (
                reading.labels.get("member"),
                reading.value,
                reading.threshold,
                reading.distance(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("b", 9.0, Some(10.0), Some(1.0)),
            ("a", 4.0, Some(10.0), Some(6.0))
        ]
    );
    assert!(down.is_exception() && down.readings.is_empty() && down.passing == 0);
    assert_eq!(found.rules[0].summary, "<member> is full");
}

#[test]
fn what_an_exception_takes_away_is_seen_by_what_is_left() {
    let down = series(&[("__name__", "down")], &[(0, 1.0)]);
    let found = inspected("Full", vec![size("a", 11.0), down]);
    let [size, down] = &*found.rules[0].parts else {
        panic!("{found:#?}")
    };
    assert_eq!((size.left, size.passing), (Some(1), 1));
    assert_eq!((down.left, down.passing), (Some(0), 1));
    assert_eq!(found.activity(), Activity::Silent);
}

#[test]
fn a_pending_alert_tells_when_it_will_fire_and_relatives_what_they_are() {
    let value = |before| (before, 11.0);
    let size = series(&[("__name__", "size"), ("member", "a")], &[value(20), value(0)]);
    let found = inspected("Full", vec![size.clone()]);
    assert_eq!(found.activity(), Activity::Pending);
    let active = &found.rules[0].active[0];
    assert_eq!(active.since, NOW.minus(Duration::from_secs(20)));
    assert_eq!(active.fires_in, Duration::from_secs(40));
    assert_eq!(active.summary, "a is full");
    let relative = |alert: &str, same_member, activity| Relative {
        alert: alert.to_owned(),
        same_member,
        activity,
    };
    assert_eq!(
        found.explains,
        [
            relative("Slow", true, Activity::Firing),
            relative("Odd", false, Activity::Silent)
        ]
    );
    let slow = inspected("Slow", vec![size]);
    assert_eq!(slow.activity(), Activity::Firing);
    assert_eq!(slow.explained_by, [relative("Full", true, Activity::Pending)]);
}

#[test]
fn the_history_is_of_episodes_between_stale_markers() {
    let labels = |state| {
        [
            ("__name__", "ALERTS"),
            ("alertname", "Full"),
            ("alertstate", state),
            ("member", "a"),
        ]
    };
    let stale = stale_nan();
    let found = inspected(
        "Full",
        vec![
            series(
                &labels("pending"),
                &[(300, 1.0), (290, 1.0), (240, stale), (100, 1.0), (40, stale)],
            ),
            series(&labels("firing"), &[(40, 1.0), (0, 1.0)]),
            series(
                &[
                    ("__name__", "ALERTS"),
                    ("alertname", "Slow"),
                    ("alertstate", "firing"),
                ],
                &[(9, 1.0)],
            ),
        ],
    );
    let told: Vec<_> = found
        .history
        .episodes
        .iter()
        .map(|episode| {
            let ago = |time| NOW.since(time).as_secs();
            (
                episode.activity().as_str(),
                ago(episode.from),
                episode.to.map(ago),
                episode.labels.to_string(),
            )
        })
        .collect();
    let member = || "{member=\"a\"}".to_owned();
    assert_eq!(
        told,
        [
            ("pending", 300, Some(240), member()),
            ("pending", 100, Some(40), member()),
            ("firing", 40, None, member())
        ]
    );
}

#[test]
fn an_unknown_alert_is_none() {
    let rules = RuleSet::new(load("f.yaml", RULES).unwrap());
    let sight = Sight {
        cluster: &"etcd".into(),
        time: NOW,
        rules: &rules,
        reports: &[],
        gaps: &[],
        source: &Literal(Vec::new()),
    };
    assert!(inspect("Fool", &sight).is_none());
    assert_eq!(rules.near("Fool"), ["Full"]);
    assert_eq!(rules.near("slow"), ["Slow"]);
}
