//! Runs the rules of etcd's own mixin, which are not part of this project: the file named by `ETCD_MIXIN_RULES` (or
//! `../shared/corpus/etcd-mixin.rules.yaml`), where it is present.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use etcd_doctor::model::{Labels, Timestamp, stale_nan};
use etcd_doctor::promql::{Matcher, Point, Series, Source, Window};
use etcd_doctor::rules::convention::check_convention;
use serde_json::Value;

use crate::support::{Doctor, wait_for};
use etcd_doctor::rules::{AlertState, Evaluator, Rule, RuleReport, RuleSet, load};

/// A window that keeps everything.
#[derive(Default)]
struct Storage {
    series: BTreeMap<Labels, Vec<Point>>,
    written: HashMap<String, BTreeSet<Labels>>,
}

impl Source for Storage {
    fn select(&self, matchers: &[Matcher], after: Timestamp, through: Timestamp) -> Vec<Series> {
        let matching = self
            .series
            .iter()
            .filter(|(labels, _)| matchers.iter().all(|matcher| matcher.matches(labels)));
        let series = matching.map(|(labels, points)| Series {
            labels: labels.clone(),
            points: points
                .iter()
                .filter(|point| after < point.time && point.time <= through)
                .copied()
                .collect(),
        });
        series.collect()
    }
}

impl Window for Storage {
    fn record(&mut self, writer: &str, at: Timestamp, series: Vec<(Labels, f64)>) {
        let now: BTreeSet<Labels> = series.iter().map(|(labels, _)| labels.clone()).collect();
        let before = self
            .written
            .insert(writer.to_owned(), now.clone())
            .unwrap_or_default();
        let ended = before
            .difference(&now)
            .map(|labels| (labels.clone(), stale_nan()));
        for (labels, value) in ended.chain(series) {
            self.push(labels, at, value);
        }
    }
}

impl Storage {
    fn push(&mut self, labels: Labels, time: Timestamp, value: f64) {
        self.series.entry(labels).or_default().push(Point { time, value });
    }
}

fn mixin() -> Option<Arc<RuleSet>> {
    let named = std::env::var_os("ETCD_MIXIN_RULES").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/etcd-mixin.rules.yaml");
    let path = named.unwrap_or_else(beside);
    if !path.exists() {
        eprintln!("etcd's mixin is not here, so its rules were not run: set ETCD_MIXIN_RULES");
        return None;
    }
    let text = std::fs::read_to_string(&path).unwrap();
    Some(Arc::new(RuleSet::new(
        load("etcd-mixin.rules.yaml", &text).unwrap(),
    )))
}

/// The alerts of a name in a state, each as its labels and its description.
fn alerts(rules: &RuleSet, reports: &[RuleReport], name: &str, state: AlertState) -> Vec<(String, String)> {
    let of_name = reports
        .iter()
        .filter(|report| rules.rule(report.rule).map(Rule::name) == Some(name));
    of_name
        .flat_map(|report| {
            assert_eq!(report.error, None);
            &report.alerts
        })
        .filter(|alert| alert.state == state)
        .map(|alert| {
            let description = alert.annotations.iter().find(|(name, _)| name == "description");
            (alert.labels.to_string(), description.unwrap().1.clone())
        })
        .collect()
}

#[test]
fn the_mixin_loads_and_has_no_convention_to_keep() {
    let Some(rules) = mixin() else { return };
    assert_eq!(rules.alerting().count(), 15);
    assert_eq!(check_convention(&rules), []);
    let four_hours = 4 * 3600;
    assert!(
        rules
            .selectors()
            .iter()
            .any(|selector| selector.reach.as_secs() >= four_hours)
    );
}

/// The first case of the mixin's own unit tests: three members go down one after the other.
#[test]
fn the_mixin_finds_members_that_go_down() {
    let Some(rules) = mixin() else { return };
    let down_from = [("10.10.10.0", 12), ("10.10.10.1", 8), ("10.10.10.2", 4)];
    let mut window = Storage::default();
    let mut evaluator = Evaluator::new(Arc::clone(&rules));
    let firing = |reports: &[RuleReport], name| alerts(&rules, reports, name, AlertState::Firing);
    for minute in 0..=25_i64 {
        let now = Timestamp::from_millis(minute * 60_000);
        for (instance, from) in down_from {
            let labels = Labels::new([("__name__", "up"), ("job", "etcd"), ("instance", instance)]);
            window.push(labels, now, if minute < from { 1.0 } else { 0.0 });
        }
        let reports = evaluator.evaluate(&mut window, now);
        let members_down = firing(&reports, "etcdMembersDown");
        let insufficient = firing(&reports, "etcdInsufficientMembers");
        match minute {
            3 | 5 | 7 => assert_eq!(insufficient, []),
            11 | 15 => assert_eq!(
                insufficient,
                [(
                    r#"{alertname="etcdInsufficientMembers", job="etcd", severity="critical"}"#.to_owned(),
                    format!(
                        r#"etcd cluster "etcd": insufficient members ({})."#,
                        if minute == 11 { 1 } else { 0 }
                    ),
                )]
            ),
            22 => assert_eq!(members_down, []),
            24 => assert_eq!(
                members_down,
                [(
                    r#"{alertname="etcdMembersDown", job="etcd", severity="warning"}"#.to_owned(),
                    r#"etcd cluster "etcd": members are down (3)."#.to_owned(),
                )]
            ),
            _ => {}
        }
    }
}

/// The alerts of a server, once there is one.
async fn active(doctor: &Doctor) -> Value {
    wait_for("an alert", Duration::from_secs(30), async || {
        let alerts: Value = serde_json::from_str(&doctor.get("/api/v1/alerts").await.body).unwrap();
        let alerts = alerts["data"]["alerts"].clone();
        match alerts.as_array().map(Vec::len) {
            Some(1) => Ok(alerts[0].clone()),
            _ => Err(alerts.to_string()),
        }
    })
    .await
}

#[tokio::test]
async fn alerts_outlive_a_restart_and_a_damaged_file_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.yaml");
    std::fs::write(
        &rules,
        "groups: [{name: g, rules: [{alert: Always, expr: vector(1)}]}]",
    )
    .unwrap();
    let state = dir.path().join("state");
    let config = serde_json::json!({
        "interval": "1s",
        "timeout": "500ms",
        "rules": {"builtin": false, "files": [rules], "state_dir": state},
        // Nobody answers there, which the rule does not mind.
        "clusters": [{"name": "lab", "endpoints": ["http://127.0.0.1:9"], "host": false}],
    })
    .to_string();
    let file = state.join("lab.alerts.json");
    let written = async || {
        wait_for("the state file", Duration::from_secs(30), async || {
            std::fs::read_to_string(&file)
        })
        .await
    };
    let doctor = Doctor::start(&config).await;
    let before = active(&doctor).await;
    written().await;
    drop(doctor);

    let doctor = Doctor::start(&config).await;
    let after = active(&doctor).await;
    assert_eq!(after["activeAt"], before["activeAt"]);
    assert_eq!(after["state"], "firing");
    drop(doctor);

    std::fs::write(&file, "{\"kind\"").unwrap();
    let doctor = Doctor::start(&config).await;
    let anew = active(&doctor).await;
    assert_ne!(anew["activeAt"], before["activeAt"]);
    let aside = state.join("lab.alerts.json.unusable");
    assert_eq!(std::fs::read_to_string(aside).unwrap(), "{\"kind\"");
    assert!(written().await.contains("Always"));
}
