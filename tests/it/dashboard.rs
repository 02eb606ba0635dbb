//! The Grafana dashboard: every query of it gives data from a real Prometheus that scrapes a real etcd-doctor.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Doctor, EtcdCluster, Prometheus, Version, wait_for};

const DASHBOARD: &str = include_str!("../../dashboards/etcd-doctor.json");

/// What Grafana puts in for the variables when a reader picks nothing, and the range that it chooses for a rate at the
/// tests' interval of one second, rounded up.
const VARIABLES: &[(&str, &str)] = &[("$cluster", ".*"), ("$member", ".*"), ("$__rate_interval", "1m")];

/// The panel that is empty while nothing is wrong.
const EMPTY_WHEN_WELL: &str = "Problems";

/// Until rates have two samples, and the doctor a cycle, or a few on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// One query of a panel, with the variables filled in.
struct Query {
    panel: String,
    expr: String,
}

#[tokio::test]
async fn every_query_gives_data() {
    let cluster = EtcdCluster::builder(Version::V3_5).quota(16 << 20).start().await;
    let doctor = Doctor::watching(&cluster).await;
    let prometheus = Prometheus::start("prometheus-3", &[doctor.address()], &[]).await;
    let load = cluster.write_load().await;
    let (when_broken, when_well): (Vec<_>, Vec<_>) = queries()
        .into_iter()
        .partition(|query| query.panel == EMPTY_WHEN_WELL);
    all_give_data(&prometheus, &when_well).await;

    drop(load);
    cluster.fill_quota().await;
    assert_eq!(when_broken.len(), 1);
    all_give_data(&prometheus, &when_broken).await;
}

/// Asks until every query has given something, and names those that never did.
async fn all_give_data(prometheus: &Prometheus, queries: &[Query]) {
    wait_for("every query of the dashboard to give data", LIMIT, async || {
        let mut without = Vec::new();
        for query in queries {
            match prometheus.query(&query.expr).await {
                Ok(result) if result.is_empty() => without.push(format!("{}: {}", query.panel, query.expr)),
                Ok(_) => {}
                Err(e) => panic!("{}: {e}", query.panel),
            }
        }
        if without.is_empty() {
            Ok(())
        } else {
            Err(format!("no data for\n{}", without.join("\n")))
        }
    })
    .await;
}

#[test]
fn it_is_a_dashboard_that_grafana_can_import() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "etcd-doctor", "links to it must not break");
    assert_eq!(dashboard["id"], Value::Null, "an id belongs to one Grafana");
    assert!(
        dashboard.get("__inputs").is_none(),
        "a data source variable takes their place"
    );

    let variables: Vec<_> = list(&dashboard["templating"]["list"])
        .map(|v| v["name"].as_str().unwrap())
        .collect();
    assert_eq!(variables, ["datasource", "cluster", "member"]);

    let mut ids = BTreeSet::new();
    for panel in list(&dashboard["panels"]) {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: its id is taken"
        );
        if panel["type"] == "row" {
            continue;
        }
        assert!(
            !panel["description"].as_str().unwrap().is_empty(),
            "{title}: no description"
        );
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let unit = &panel["fieldConfig"]["defaults"]["unit"];
        assert!(unit.is_string() || panel["type"] == "table", "{title}: no unit");
        assert!(list(&panel["targets"]).count() > 0, "{title}: no query");
    }
}

#[test]
fn every_query_is_on_our_own_metrics_by_cluster() {
    let name = regex::Regex::new(r"\b(etcd_[a-z_]+)\{([^}]*)\}").unwrap();
    for query in queries() {
        let mut selectors = 0;
        for selector in name.captures_iter(&query.expr) {
            selectors += 1;
            assert!(
                selector[1].starts_with("etcd_doctor_"),
                "{}: {}",
                query.panel,
                query.expr
            );
            assert!(
                selector[2].contains("cluster=~"),
                "{}: not by cluster: {}",
                query.panel,
                query.expr
            );
        }
        assert!(selectors > 0, "{}: selects nothing: {}", query.panel, query.expr);
        assert!(
            !query.expr.contains('$'),
            "{}: an unknown variable in {}",
            query.panel,
            query.expr
        );
    }
}

fn queries() -> Vec<Query> {
    let dashboard = dashboard();
    let mut found = Vec::new();
    for panel in list(&dashboard["panels"]) {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let mut expr = target["expr"]
                .as_str()
                .expect("a target has an expression")
                .to_owned();
            for (variable, value) in VARIABLES {
                expr = expr.replace(variable, value);
            }
            found.push(Query {
                panel: panel["title"].as_str().unwrap().to_owned(),
                expr,
            });
        }
    }
    assert!(found.len() > 30, "the dashboard has {} queries", found.len());
    found
}

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).unwrap()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}
