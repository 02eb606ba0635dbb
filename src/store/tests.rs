//! The window over a few cycles.

use super::*;
use crate::model::{ClusterFacts, Desc, Histogram, is_stale};
use crate::promql::{Options, Query, QueryValue};

static TERM: Desc = Desc::gauge("etcd_doctor_cluster_raft_term", None, "The term.");
static PROBE: Desc = Desc::histogram("etcd_doctor_probe_duration_seconds", None, "Probes.");

const MINUTE: i64 = 60_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn store(max_series: usize, rules: &[&str]) -> Store {
    let selectors: Vec<Selector> = rules
        .iter()
        .flat_map(|rule| Query::parse(rule).unwrap().selectors())
        .collect();
    let settings = Settings {
        window: Duration::from_secs(3600),
        max_series,
        etcd_job: "etcd".to_owned(),
        instance: "doctor:9379".to_owned(),
    };
    Store::new(settings, &selectors)
}

fn batch(millis: i64, samples: Vec<Sample>, pages: Vec<TargetPage>) -> Batch {
    Batch {
        cluster: "prod".into(),
        time: at(millis),
        samples,
        pages,
        facts: ClusterFacts::default(),
        outcomes: Vec::new(),
    }
}

fn term(value: f64) -> Sample {
    Sample::number(&TERM, Labels::new([("cluster", "prod")]), value)
}

fn page(member: &str, series: Option<&[(&str, &str, f64)]>) -> TargetPage {
    let line = |(name, peer, value): &(&str, &str, f64)| PageSeries {
        labels: Labels::new([("__name__", *name), ("cluster", *peer)]),
        value: *value,
    };
    TargetPage {
        member: member.into(),
        instance: format!("{member}:2379").into(),
        series: series.map(|lines| lines.iter().map(line).collect()),
    }
}

fn points(store: &Store, selector: &str) -> Vec<(String, Vec<(i64, f64)>)> {
    let query = Query::parse(selector).unwrap();
    let found = store.select(query.plain_selector().unwrap(), at(i64::MIN), at(i64::MAX));
    let mut series: Vec<_> = found
        .into_iter()
        .map(|series| {
            let points = series
                .points
                .iter()
                .map(|point| (point.time.millis(), point.value));
            (series.labels.to_string(), points.collect::<Vec<_>>())
        })
        .collect();
    series.sort_by(|a, b| a.0.cmp(&b.0));
    series
}

/// The values of the only series, a stale marker as infinity.
fn values(store: &Store, selector: &str) -> Vec<f64> {
    let mut found = points(store, selector);
    assert_eq!(found.len(), 1, "{selector}: {found:?}");
    let values = found.remove(0).1.into_iter().map(|(_, value)| value);
    values
        .map(|value| if is_stale(value) { f64::INFINITY } else { value })
        .collect()
}

#[test]
fn own_samples_get_job_and_instance() {
    let mut store = store(100, &[]);
    store.append(&batch(MINUTE, vec![term(3.0)], vec![]));
    let labels =
        r#"etcd_doctor_cluster_raft_term{cluster="prod", instance="doctor:9379", job="etcd-doctor"}"#;
    assert_eq!(
        points(&store, "etcd_doctor_cluster_raft_term"),
        [(labels.to_owned(), vec![(MINUTE, 3.0)])]
    );
}

#[test]
fn histograms_become_buckets_sum_and_count() {
    let mut store = store(100, &[]);
    let mut histogram = Histogram::with_bounds(&[0.001, 1.0]);
    histogram.observe(0.5);
    store.append(&batch(
        0,
        vec![Sample::histogram(&PROBE, Labels::empty(), histogram)],
        vec![],
    ));
    for (le, count) in [("0.001", 0.0), ("1.0", 1.0), ("+Inf", 1.0)] {
        let selector = format!("etcd_doctor_probe_duration_seconds_bucket{{le={le:?}}}");
        assert_eq!(values(&store, &selector), [count]);
    }
    assert_eq!(values(&store, "etcd_doctor_probe_duration_seconds_sum"), [0.5]);
    assert_eq!(values(&store, "etcd_doctor_probe_duration_seconds_count"), [1.0]);
    assert_eq!(store.series(), 5);
}

#[test]
fn a_series_that_is_not_yielded_again_ends() {
    let mut store = store(100, &[]);
    store.append(&batch(0, vec![term(1.0)], vec![]));
    store.append(&batch(MINUTE, vec![], vec![]));
    store.append(&batch(2 * MINUTE, vec![], vec![]));
    store.append(&batch(3 * MINUTE, vec![term(2.0)], vec![]));
    assert_eq!(
        values(&store, "etcd_doctor_cluster_raft_term"),
        [1.0, f64::INFINITY, 2.0]
    );
}

#[test]
fn pages_are_kept_as_rules_need_them() {
    let mut store = store(100, &["rate(wanted[10m])", r#"{__name__=~"also.*"} > 1"#]);
    let lines = [
        ("wanted", "", 1.0),
        ("also_wanted", "", 2.0),
        ("unwanted", "", 3.0),
    ];
    for minute in 0..20 {
        store.append(&batch(minute * MINUTE, vec![], vec![page("m1", Some(&lines))]));
    }
    // Ten minutes and the margin of one.
    assert_eq!(values(&store, "wanted").len(), 11);
    assert_eq!(values(&store, "also_wanted").len(), 6);
    assert_eq!(points(&store, "unwanted"), []);
    assert_eq!(values(&store, "up").len(), 20);
}

#[test]
fn page_labels_do_not_hide_those_of_the_target() {
    let mut store = store(100, &["x"]);
    store.append(&batch(0, vec![], vec![page("m1", Some(&[("x", "theirs", 1.0)]))]));
    let labels = r#"x{cluster="prod", exported_cluster="theirs", instance="m1:2379", job="etcd"}"#;
    assert_eq!(points(&store, "x")[0].0, labels);
}

#[test]
fn a_failed_scrape_ends_the_page_and_leaves_up() {
    let mut store = store(100, &["x"]);
    store.append(&batch(0, vec![], vec![page("m1", Some(&[("x", "", 1.0)]))]));
    store.append(&batch(MINUTE, vec![], vec![page("m1", None)]));
    assert_eq!(values(&store, "x"), [1.0, f64::INFINITY]);
    assert_eq!(values(&store, "up"), [1.0, 0.0]);
}

#[test]
fn a_target_that_is_gone_ends_with_its_up() {
    let mut store = store(100, &["x"]);
    let line: &[(&str, &str, f64)] = &[("x", "", 1.0)];
    store.append(&batch(
        0,
        vec![],
        vec![page("m1", Some(line)), page("m2", Some(line))],
    ));
    store.append(&batch(MINUTE, vec![], vec![page("m2", Some(line))]));
    assert_eq!(values(&store, r#"x{instance="m1:2379"}"#), [1.0, f64::INFINITY]);
    assert_eq!(values(&store, r#"up{instance="m1:2379"}"#), [1.0, f64::INFINITY]);
    assert_eq!(values(&store, r#"up{instance="m2:2379"}"#), [1.0, 1.0]);
}

#[test]
fn old_points_and_empty_series_are_forgotten() {
    let mut store = store(100, &[]);
    store.append(&batch(0, vec![term(1.0)], vec![]));
    store.append(&batch(MINUTE, vec![], vec![]));
    assert_eq!(store.series(), 1);
    store.append(&batch(200 * MINUTE, vec![], vec![]));
    assert_eq!(store.series(), 0);
}

#[test]
fn a_rule_that_looks_back_further_than_the_window_is_served() {
    let mut store = store(100, &["max_over_time(etcd_doctor_cluster_raft_term[4h])"]);
    for hour in 0..10 {
        store.append(&batch(hour * 60 * MINUTE, vec![term(hour as f64)], vec![]));
    }
    assert_eq!(
        values(&store, "etcd_doctor_cluster_raft_term"),
        [5.0, 6.0, 7.0, 8.0, 9.0]
    );
}

#[test]
fn a_full_window_drops_new_series_and_counts() {
    let mut store = store(2, &["x"]);
    let lines: &[(&str, &str, f64)] = &[("x", "a", 1.0), ("x", "b", 1.0)];
    store.append(&batch(0, vec![term(1.0)], vec![page("m1", Some(lines))]));
    // Only `up` found room beside it.
    assert_eq!((store.series(), dropped(&store)), (2, vec![("x", 2)]));
    store.append(&batch(MINUTE, vec![term(1.0)], vec![page("m1", Some(lines))]));
    assert_eq!((store.series(), dropped(&store)), (2, vec![("x", 4)]));
    assert_eq!(values(&store, "etcd_doctor_cluster_raft_term"), [1.0, 1.0]);
}

fn dropped(store: &Store) -> Vec<(&str, u64)> {
    store.dropped_samples().collect()
}

#[test]
fn one_member_cannot_take_the_room_of_the_others() {
    let mut store = store(100, &["x", "y"]);
    store.bounds.series = 2;
    let many: &[(&str, &str, f64)] = &[("x", "a", 1.0), ("x", "b", 1.0), ("y", "a", 1.0)];
    let one: &[(&str, &str, f64)] = &[("y", "b", 1.0)];
    let pages = || vec![page("m1", Some(many)), page("m2", Some(one))];
    store.append(&batch(0, vec![], pages()));
    // `up` is one of the two.
    assert_eq!(points(&store, r#"{instance="m1:2379"}"#).len(), 2);
    assert_eq!(points(&store, r#"{instance="m2:2379"}"#).len(), 2);
    assert_eq!(dropped(&store), [("x", 1), ("y", 1)]);
}

#[test]
fn a_member_with_as_many_samples_as_it_may_have_gets_room_as_old_ones_go() {
    let mut store = store(100, &["x"]);
    store.bounds.samples = 8;
    let lines: &[(&str, &str, f64)] = &[("x", "a", 1.0), ("x", "b", 1.0)];
    for minute in 0..30 {
        store.append(&batch(minute * MINUTE, vec![], vec![page("m1", Some(lines))]));
    }
    let held: usize = points(&store, r#"{instance="m1:2379"}"#)
        .iter()
        .map(|(_, points)| points.len())
        .sum();
    assert!(held >= 30, "{held}");
    let b = points(&store, r#"x{exported_cluster="b"}"#);
    assert!(dropped(&store)[0].1 > 0 && b.len() <= 1, "{b:?}");
}

#[test]
fn matchers_find_series_by_any_label() {
    let mut store = store(100, &[r#"{__name__=~"x|y"}"#]);
    let lines: &[(&str, &str, f64)] = &[("x", "a", 1.0), ("x", "b", 1.0), ("x", "", 1.0), ("y", "a", 1.0)];
    store.append(&batch(0, vec![], vec![page("m1", Some(lines))]));
    for (selector, count) in [
        ("x", 3),
        (r#"{__name__=~"x|y"}"#, 4),
        (r#"{__name__=~"x|y", __name__!="y"}"#, 3),
        (r#"x{exported_cluster="a"}"#, 1),
        (r#"x{exported_cluster=""}"#, 1),
        (r#"x{exported_cluster!="a"}"#, 2),
        (r#"x{exported_cluster=~"a|b"}"#, 2),
        (r#"x{exported_cluster=~"a|"}"#, 2),
        (r#"x{exported_cluster!~"a|"}"#, 1),
        (r#"x{exported_cluster!~"a|c"}"#, 2),
        (r#"x{none="", job="etcd"}"#, 3),
        (r#"x{none!=""}"#, 0),
        (r#"x{exported_cluster=~".+", exported_cluster!="a"}"#, 1),
        (r#"{exported_cluster="a", instance="m1:2379"}"#, 2),
    ] {
        assert_eq!(points(&store, selector).len(), count, "{selector}");
    }
}

#[test]
fn what_a_reader_took_stays_as_it_was() {
    let mut store = store(100, &[]);
    store.append(&batch(0, vec![term(1.0)], vec![]));
    let query = Query::parse("etcd_doctor_cluster_raft_term").unwrap();
    let matchers = query.plain_selector().unwrap();
    let taken = store.select(matchers, at(i64::MIN), at(i64::MAX));
    for minute in 1..200 {
        store.append(&batch(minute * MINUTE, vec![term(2.0)], vec![]));
    }
    assert_eq!(
        taken[0]
            .points
            .iter()
            .map(|point| point.value)
            .collect::<Vec<_>>(),
        [1.0]
    );
    assert_eq!(values(&store, "etcd_doctor_cluster_raft_term").len(), 60);
}

/// The windows of these clusters with `x`, and with a series that a rule recorded without any label.
fn view(clusters: &[&str]) -> View {
    let windows = clusters.iter().map(|cluster| {
        let mut store = store(100, &["x"]);
        let batch = Batch {
            cluster: (*cluster).into(),
            ..batch(MINUTE, vec![], vec![page("m1", Some(&[("x", "", 1.0)]))])
        };
        store.append(&batch);
        store.record("rule", at(MINUTE), vec![(Labels::empty().named("recorded"), 1.0)]);
        (Arc::from(*cluster), SharedStore::new(store))
    });
    View::new(windows, None)
}

#[test]
fn a_view_shows_the_clusters_side_by_side() {
    for (clusters, selector, found) in [
        (&["a"][..], "recorded", &["recorded"][..]),
        (
            &["a", "b"],
            "recorded",
            &[r#"recorded{cluster="a"}"#, r#"recorded{cluster="b"}"#],
        ),
        (
            &["a", "b"],
            r#"recorded{cluster="b"}"#,
            &[r#"recorded{cluster="b"}"#],
        ),
        (&["a", "b"], r#"recorded{cluster=""}"#, &[]),
        (
            &["a", "b"],
            r#"x{cluster!="b"}"#,
            &[r#"x{cluster="a", instance="m1:2379", job="etcd"}"#],
        ),
        (&[], "x", &[]),
    ] {
        let view = view(clusters);
        let query = Query::parse(selector).unwrap();
        let series = view.select(query.plain_selector().unwrap(), at(0), at(MINUTE));
        let labels: Vec<String> = series.iter().map(|series| series.labels.to_string()).collect();
        assert_eq!(labels, found, "{selector} of {clusters:?}");
    }
}

#[test]
fn a_view_does_not_move_on_with_the_window() {
    let shared = SharedStore::new(store(100, &[]));
    shared.write().append(&batch(0, vec![term(1.0)], vec![]));
    let view = View::new([("prod".into(), shared.clone())], None);
    shared.write().append(&batch(MINUTE, vec![term(2.0)], vec![]));
    let query = Query::parse("etcd_doctor_cluster_raft_term").unwrap();
    let series = view.select(query.plain_selector().unwrap(), at(-1), at(MINUTE));
    assert_eq!(series[0].points.len(), 1);
}

#[test]
fn late_samples_are_ignored_and_counted() {
    let mut store = store(100, &[]);
    store.append(&batch(MINUTE, vec![term(1.0)], vec![]));
    store.append(&batch(MINUTE, vec![term(2.0)], vec![]));
    assert_eq!(values(&store, "etcd_doctor_cluster_raft_term"), [1.0]);
    assert_eq!(store.late_samples(), 1);
}

#[test]
fn a_clock_that_was_set_back_starts_the_window_anew() {
    let mut store = store(100, &[]);
    store.append(&batch(9 * MINUTE, vec![term(1.0)], vec![]));
    store.append(&batch(MINUTE, vec![term(2.0)], vec![]));
    store.append(&batch(2 * MINUTE, vec![term(3.0)], vec![]));
    assert_eq!(values(&store, "etcd_doctor_cluster_raft_term"), [2.0, 3.0]);
    assert_eq!((store.series(), store.late_samples()), (1, 0));
}

#[test]
fn the_verdict_has_the_labels_of_all_own_series() {
    let mut store = store(100, &[]);
    store.append(&batch(0, vec![], vec![]));
    store.append_verdict(&[term(1.0)], at(0));
    let labels =
        r#"etcd_doctor_cluster_raft_term{cluster="prod", instance="doctor:9379", job="etcd-doctor"}"#;
    assert_eq!(points(&store, "etcd_doctor_cluster_raft_term")[0].0, labels);
}

#[test]
fn what_a_rule_no_longer_yields_ends_at_once() {
    let mut store = store(100, &[]);
    let alert = |state| Labels::new([("__name__", "ALERTS"), ("alertstate", state)]);
    store.record("a", at(0), vec![(alert("pending"), 1.0)]);
    store.record("b", at(0), vec![(Labels::empty().named("other"), 5.0)]);
    store.record("a", at(MINUTE), vec![(alert("firing"), 1.0)]);
    assert_eq!(
        values(&store, r#"ALERTS{alertstate="pending"}"#),
        [1.0, f64::INFINITY]
    );
    assert_eq!(values(&store, r#"ALERTS{alertstate="firing"}"#), [1.0]);
    assert_eq!(values(&store, "other"), [5.0]);
}

#[test]
fn other_rules_change_what_is_kept() {
    let mut store = store(100, &["x[1h]"]);
    let lines: &[(&str, &str, f64)] = &[("x", "", 1.0), ("y", "", 2.0)];
    for minute in 0..10 {
        store.append(&batch(minute * MINUTE, vec![], vec![page("m1", Some(lines))]));
    }
    store.reselect(&Query::parse("y").unwrap().selectors());
    for minute in 10..12 {
        store.append(&batch(minute * MINUTE, vec![], vec![page("m1", Some(lines))]));
    }
    assert_eq!(values(&store, "y"), [2.0, 2.0]);
    assert_eq!(values(&store, "up").len(), 12);
    store.append(&batch(13 * MINUTE, vec![], vec![]));
    assert_eq!(points(&store, "x"), []);
}

/// etcd's own rule for a lost quorum tells members apart by `instance` alone. With one more label that does, each would
/// be a cluster of its own, and one dead member a lost quorum.
#[test]
fn rules_written_for_etcd_s_own_series_see_one_cluster() {
    let rule = r#"sum(up{job=~".*etcd.*"} == bool 1) without (instance) < ((count(up{job=~".*etcd.*"}) without (instance) + 1) / 2)"#;
    let query = Query::parse(rule).unwrap();
    let mut store = store(100, &[rule]);
    let found = |store: &Store, at| match query.instant(store, at, &Options::default()).unwrap() {
        QueryValue::Vector(elements) => elements.len(),
        other => panic!("{other:?}"),
    };
    let (alive, dead) = (Some(&[][..]), None);
    store.append(&batch(
        0,
        vec![],
        vec![page("a", alive), page("b", alive), page("c", dead)],
    ));
    assert_eq!(found(&store, at(0)), 0);
    store.append(&batch(
        MINUTE,
        vec![],
        vec![page("a", alive), page("b", dead), page("c", dead)],
    ));
    assert_eq!(found(&store, at(MINUTE)), 1);
}
