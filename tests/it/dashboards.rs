//! The Grafana dashboards: made from one source, and held against the rules, Grafana's schema, a real Prometheus and
//! etcd-doctor itself.

mod checks;
mod data;
mod grafana;
mod panel;
mod pictures;
mod source;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::docs;

/// What Grafana puts in for the variables on the tests' cluster: what a reader picks, and the range that it chooses for
/// rates of a Prometheus that scrapes every 15 s.
const VARIABLES: [(&str, &str); 3] = [
    ("$cluster", "etcd"),
    ("$member", MEMBER),
    ("$__rate_interval", "1m"),
];

/// The member that is looked at.
const MEMBER: &str = "etcd-0";

#[test]
fn the_files_are_what_the_source_says() {
    let mut files = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        let text = serde_json::to_string_pretty(&dashboard).unwrap() + "\n";
        docs::must_be(&format!("dashboards/{file}"), &text);
        files.insert(file);
    }
    let there = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards")).unwrap();
    let there: BTreeSet<_> = there
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    assert_eq!(there, files, "a provisioned folder has all of its files imported");
}

/// The dashboards as Grafana reads them, with their names.
fn dashboards() -> Vec<(String, Value)> {
    let (sources, panels) = source::read();
    let made = |of: source::Dashboard| {
        let dashboard = grafana::dashboard(&of, &panels);
        (of.file, dashboard)
    };
    sources.into_iter().map(made).collect()
}

/// One expression of a dashboard.
struct Asked {
    /// The dashboard's file, the panel and the query's letter.
    place: String,
    written: String,
    /// With the variables filled in.
    filled: String,
    /// Whether a panel draws it over time.
    range: bool,
    /// Why it gives nothing on a healthy cluster.
    empty: Option<String>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.written)
    }
}

/// Every expression of every dashboard, those of the annotations included.
fn questions() -> Vec<Asked> {
    let (sources, panels) = source::read();
    let mut all = Vec::new();
    for (of, (file, dashboard)) in sources.iter().zip(dashboards()) {
        for annotation in list(&dashboard["annotations"]["list"]) {
            let why = "nothing fires".to_owned();
            let place = format!("{file}, annotation {}", annotation["name"]);
            all.push(asked(place, &annotation["expr"], true, Some(why)));
        }
        let names = of.rows.iter().flat_map(|row| &row.panels);
        let drawn = list(&dashboard["panels"]).filter(|panel| panel["type"] != "row");
        for (panel, name) in drawn.zip(names) {
            let written = &panels[name];
            let queries = written.queries.iter().map(|query| &query.empty);
            let reasons = queries.chain(written.columns.iter().map(|column| &column.empty));
            for (target, empty) in list(&panel["targets"]).zip(reasons) {
                let place = format!("{file}, {}, {}", panel["title"], target["refId"]);
                let range = target["range"] == true;
                all.push(asked(place, &target["expr"], range, empty.clone()));
            }
        }
    }
    assert!(all.len() > 150, "the dashboards have {} queries", all.len());
    all
}

fn asked(place: String, expr: &Value, range: bool, empty: Option<String>) -> Asked {
    let written = expr.as_str().expect("an expression").to_owned();
    let mut filled = written.clone();
    for (variable, value) in VARIABLES {
        filled = filled.replace(variable, value);
    }
    assert!(
        !filled.contains(['$', '@']),
        "{place}: an unknown variable in {filled}"
    );
    Asked {
        place,
        written,
        filled,
        range,
        empty,
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}
