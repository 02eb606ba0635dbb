//! What the dashboards keep to, whoever writes the next panel.

use std::collections::{BTreeMap, BTreeSet};

use etcd_doctor::promql::Query;
use etcd_doctor::rules::builtin;
use regex::Regex;
use serde_json::Value;

use super::{dashboards, list, panel, questions, source};
use crate::support::{program, violations};
use crate::{docs, promtool};

/// Grafana's own types as a JSON Schema: see `tests/vendor/README.md`.
const SCHEMA: &str = include_str!("../../vendor/grafana-dashboard.schema.json");

/// What Prometheus' data source adds to an annotation; the schema knows what all data sources share.
const OF_PROMETHEUS: [&str; 6] = [
    "expr",
    "step",
    "titleFormat",
    "textFormat",
    "tagKeys",
    "useValueForTime",
];

/// The units of Grafana that panels have here.
const UNITS: [&str; 8] = ["short", "none", "percentunit", "bytes", "Bps", "s", "ops", "wps"];

/// Series that are not etcd-doctor's own: Prometheus makes them of the rules.
const OF_RULES: &str = "ALERTS";

#[test]
fn they_are_what_grafanas_schema_says() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    for (file, mut dashboard) in dashboards() {
        for annotation in dashboard["annotations"]["list"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            for key in OF_PROMETHEUS {
                assert!(
                    annotation.as_object_mut().and_then(|of| of.remove(key)).is_some(),
                    "{file}: {key}"
                );
            }
        }
        assert_eq!(
            violations(&dashboard, &schema, "Dashboard"),
            Vec::<String>::new(),
            "{file}"
        );
        for panel in list(&dashboard["panels"]).filter(|panel| panel["type"] != "row") {
            let kind = panel["type"].as_str().unwrap().replace('-', "");
            let custom = &panel["fieldConfig"]["defaults"]["custom"];
            for (part, value) in [("options", &panel["options"]), ("custom", custom)] {
                if value.is_null() && kind == "stat" {
                    continue;
                }
                let wrong = violations(value, &schema, &format!("{kind}.{part}"));
                assert_eq!(wrong, Vec::<String>::new(), "{file}: {}: {part}", panel["title"]);
            }
        }
    }
}

/// The rules of Grafana's dashboard-linter, but for two: nothing is chosen by `job` and `instance`, which differ between
/// etcd-doctors that watch the same cluster; and they may be edited, since an imported one is its importer's.
#[test]
fn they_keep_to_the_linters_rules() {
    let places = Regex::new(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)").unwrap();
    for (file, dashboard) in dashboards() {
        assert_eq!(
            dashboard["id"],
            Value::Null,
            "{file}: an id belongs to one Grafana"
        );
        assert!(
            dashboard.get("__inputs").is_none(),
            "{file}: a variable takes their place"
        );
        let variables: Vec<_> = list(&dashboard["templating"]["list"]).collect();
        assert_eq!(
            (
                &variables[0]["name"],
                &variables[0]["type"],
                &variables[0]["query"]
            ),
            (&"datasource".into(), &"datasource".into(), &"prometheus".into()),
            "{file}"
        );
        for variable in variables.iter().filter(|variable| variable["type"] == "query") {
            assert_eq!(
                variable["refresh"], 2,
                "{file}: a new member shows up when the time changes"
            );
        }
        let mut known: BTreeSet<_> = variables.iter().filter_map(|of| of["name"].as_str()).collect();
        known.extend([
            "__all",
            "__rate_interval",
            "__data",
            "__value",
            "__url_time_range",
        ]);
        every_text(&dashboard, &mut |text| {
            for found in places.captures_iter(text) {
                let name = found.get(1).or(found.get(2)).unwrap().as_str();
                let name = name.split('.').next().unwrap_or_default();
                assert!(known.contains(name), "{file}: nothing is called {name} in {text}");
            }
        });
        every_datasource(&dashboard, &mut |uid| assert_eq!(uid, "${datasource}", "{file}"));

        let mut titles = BTreeSet::new();
        for panel in list(&dashboard["panels"]).filter(|panel| panel["type"] != "row") {
            let title = panel["title"].as_str().unwrap();
            let of = format!("{file}: {title}");
            assert!(
                !title.is_empty() && titles.insert(title),
                "{of}: another has this title"
            );
            assert!(
                panel["description"].as_str().is_some_and(|text| text.len() > 40),
                "{of}: no description"
            );
            assert!(panel["datasource"].is_object(), "{of}: no data source");
            assert!(list(&panel["targets"]).count() > 0, "{of}: no query");
            let overrides = list(&panel["fieldConfig"]["overrides"]).flat_map(|of| list(&of["properties"]));
            let units = overrides
                .filter(|property| property["id"] == "unit")
                .map(|property| &property["value"]);
            for unit in units.chain([&panel["fieldConfig"]["defaults"]["unit"]]) {
                assert!(
                    unit.as_str().is_some_and(|unit| UNITS.contains(&unit)),
                    "{of}: the unit {unit}"
                );
            }
        }
    }
}

#[test]
fn every_counter_is_asked_for_its_rate_over_a_range_that_prometheus_fills() {
    let range = Regex::new(r"\[([^\]]+)\]").unwrap();
    let counter = Regex::new(r"(\w*)\(?\s*\b(\w+_(?:total|count|sum|bucket))\b\{").unwrap();
    for asked in questions() {
        for found in range.captures_iter(&asked.written) {
            let of = &found[1];
            let long_enough = of == "$__rate_interval" || of.ends_with('m') || of.ends_with('h');
            assert!(
                long_enough,
                "{asked}: a Prometheus that scrapes every 15 s has too little in {of}"
            );
        }
        for found in counter.captures_iter(&asked.written) {
            assert!(
                ["rate", "increase"].contains(&&found[1]),
                "{asked}: {} is a counter, and {} is asked of it",
                &found[2],
                &found[1]
            );
        }
    }
}

#[test]
fn panels_lie_beside_each_other_and_each_is_somewhere() {
    let (sources, panels) = source::read();
    let shown: BTreeSet<_> = sources
        .iter()
        .flat_map(|of| &of.rows)
        .flat_map(|row| &row.panels)
        .collect();
    let forgotten: Vec<_> = panels.keys().filter(|name| !shown.contains(name)).collect();
    assert!(forgotten.is_empty(), "no dashboard shows {forgotten:?}");
    for (file, dashboard) in dashboards() {
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in list(&dashboard["panels"]) {
            assert!(
                ids.insert(panel["id"].as_u64()),
                "{file}: {} has another's id",
                panel["title"]
            );
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            assert!(x + w <= 24, "{file}: {} is too wide", panel["title"]);
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(cells.insert(cell), "{file}: {} lies on another", panel["title"]);
            }
        }
    }
}

#[test]
fn every_expression_is_one_for_us_and_for_promtool() {
    let asked = questions();
    for of in &asked {
        Query::parse(&of.filled).unwrap_or_else(|e| panic!("{of}: {e}"));
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("queries.yaml");
    let all: Vec<_> = asked.iter().map(|of| of.filled.clone()).collect();
    std::fs::write(&file, promtool::rules_of(&all)).unwrap();
    for peer in ["prometheus-2", "prometheus-3"] {
        let ran = promtool::run(
            &program(peer, "promtool"),
            &["check", "rules"],
            std::slice::from_ref(&file),
        );
        assert!(ran.good, "{peer}: {}{}", ran.out, ran.err);
        assert!(
            ran.out.contains(&format!("{} rules found", all.len())),
            "{}",
            ran.out
        );
    }
}

#[test]
fn every_series_and_label_is_in_the_list_of_metrics_and_asked_by_cluster() {
    let listed: BTreeMap<_, _> = docs::metrics()
        .into_values()
        .flatten()
        .map(|(desc, labels)| (desc.name, labels))
        .collect();
    let suffix = Regex::new("_(bucket|sum|count)$").unwrap();
    for asked in questions() {
        let query = Query::parse(&asked.filled).unwrap();
        assert!(!query.selectors().is_empty(), "{asked} asks for nothing");
        for selector in query.selectors() {
            let name = selector
                .metric
                .as_deref()
                .unwrap_or_else(|| panic!("{asked}: a selector without a name"));
            let labels: Vec<_> = selector.matchers.iter().map(|matcher| &*matcher.label).collect();
            assert!(
                labels.contains(&"cluster"),
                "{asked}: {name} is not asked by cluster"
            );
            if name == OF_RULES {
                continue;
            }
            let known = listed
                .get(name)
                .or_else(|| listed.get(&*suffix.replace(name, "")))
                .unwrap_or_else(|| panic!("{asked}: docs/metrics.md has no {name}"));
            for label in labels.iter().filter(|label| !["__name__", "le"].contains(label)) {
                assert!(known.contains(label), "{asked}: {name} has no label {label}");
            }
        }
    }
}

/// The shipped alerts by name: each severity with its expression.
fn rules() -> BTreeMap<String, Vec<(String, String)>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (file, text) in builtin::FILES {
        let rules: Value = serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{file}: {e}"));
        for rule in list(&rules["groups"]).flat_map(|group| list(&group["rules"])) {
            if let (Some(alert), Some(expr)) = (rule["alert"].as_str(), rule["expr"].as_str()) {
                let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
                all.entry(alert.to_owned())
                    .or_default()
                    .push((severity.to_owned(), expr.to_owned()));
            }
        }
    }
    all
}

/// What a rule compares with: the numbers behind its comparisons with these signs, and the time of a forecast.
fn compared(expr: &str, signs: &[&str]) -> Vec<f64> {
    let comparison = Regex::new(
        r"(==|[<>]=?)\s*(?:on \([^)]*\)\s*(?:group_left\s*(?:\(\))?\s*)?)?([0-9.]+)(?:\s*\*\s*([0-9.]+))?(?:\s|\)|$)",
    )
    .unwrap();
    let forecast = Regex::new(r"predict_linear\([^,]*,\s*([0-9.]+)\)").unwrap();
    let number = |text: &str| text.parse::<f64>().unwrap();
    let mut found: Vec<f64> = comparison
        .captures_iter(expr)
        .filter(|found| signs.contains(&&found[1]))
        .map(|found| number(&found[2]) * found.get(3).map_or(1.0, |times| number(times.as_str())))
        .collect();
    found.extend(forecast.captures_iter(expr).map(|found| number(&found[1])));
    found
}

#[test]
fn every_bound_is_that_of_a_shipped_rule() {
    let rules = rules();
    let (_, panels) = source::read();
    for (name, panel) in &panels {
        let columns = panel.columns.iter().map(|column| (&*column.name, &column.judged));
        for (part, judged) in columns.chain([("", &panel.judged)]) {
            let of = format!("{name} {part}");
            let signs = match judged.worse {
                source::Worse::Above => ["==", ">", ">="],
                source::Worse::Below => ["==", "<", "<="],
            };
            for bound in &judged.bounds {
                let Some(alert) = bound.alert() else { continue };
                let severity = bound.beyond().0.severity();
                let of_alert = rules
                    .get(alert)
                    .unwrap_or_else(|| panic!("{of}: no rule is called {alert}"));
                let mut with = of_alert
                    .iter()
                    .filter(|(of, _)| of == severity)
                    .flat_map(|(_, expr)| compared(expr, &signs));
                assert!(
                    with.any(|value| value == bound.at),
                    "{of}: {alert} of severity {severity} does not compare with {}",
                    bound.at
                );
            }
            let edges: Vec<_> = judged
                .bounds
                .iter()
                .map(|bound| bound.from.unwrap_or(bound.at))
                .collect();
            assert!(
                edges.is_sorted_by(|a, b| a < b),
                "{of}: bounds begin with the smallest"
            );
        }
        for alert in panel::alerts(panel) {
            assert!(rules.contains_key(alert), "{name}: no rule is called {alert}");
        }
    }
}

#[test]
fn every_value_is_judged_or_says_that_none_does() {
    let (_, panels) = source::read();
    for (name, panel) in &panels {
        let whole = (&panel.judged, panel.columns.is_empty());
        for (judged, needed) in panel
            .columns
            .iter()
            .map(|of| (&of.judged, !of.hidden))
            .chain([whole])
        {
            let somehow = !judged.bounds.is_empty() || !judged.states.is_empty() || !judged.alerts.is_empty();
            assert_eq!(
                somehow != judged.unjudged,
                needed,
                "{name}: bounds, states, alerts or unjudged"
            );
        }
    }
}

/// An alert that is about one series and has no panel is one that a reader of the dashboards cannot follow.
#[test]
fn every_alert_that_pages_has_its_panel() {
    let (_, panels) = source::read();
    let shown: BTreeSet<_> = panels.values().flat_map(panel::alerts).collect();
    let pages = |of: &Vec<(String, String)>| of.iter().any(|(severity, _)| severity == "critical");
    let without: Vec<_> = rules()
        .into_iter()
        .filter(|(alert, of)| pages(of) && !shown.contains(&**alert))
        .map(|(alert, _)| alert)
        .collect();
    assert_eq!(without, Vec::<String>::new());
}

#[test]
fn numbers_that_a_rule_compares_with_are_found() {
    let expr = r#"max by (cluster) (a{le="0.064"}[1m]) < 0.97
        and b offset 9m > on (cluster) group_left () 4 * c
        or predict_linear(d[30m], 14400) > e
        or f < 30 * 86400 or g == 0"#;
    assert_eq!(
        compared(expr, &["<", "<=", "=="]),
        [0.97, 2_592_000.0, 0.0, 14400.0]
    );
}

fn every_text(of: &Value, look: &mut dyn FnMut(&str)) {
    match of {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().for_each(|item| every_text(item, look)),
        Value::Object(fields) => fields.values().for_each(|field| every_text(field, look)),
        _ => {}
    }
}

fn every_datasource(of: &Value, look: &mut dyn FnMut(&Value)) {
    match of {
        Value::Array(items) => items.iter().for_each(|item| every_datasource(item, look)),
        Value::Object(fields) => {
            if let Some(datasource) = fields.get("datasource") {
                look(&datasource["uid"]);
            }
            fields.values().for_each(|field| every_datasource(field, look));
        }
        _ => {}
    }
}
