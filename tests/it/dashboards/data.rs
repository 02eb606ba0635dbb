//! Every query gives data: from a real Prometheus that scrapes a real etcd-doctor, and from etcd-doctor itself.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use regex::Regex;
use serde_json::Value;

use super::{Asked, MEMBER, dashboards, list, questions};
use crate::support::{Doctor, EtcdCluster, Prometheus, Version, escape, get, wait_for};

/// Until rates have two samples and rules have held, on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// A cluster, and a configuration to watch it: certificates, a backup and clocks are there to be seen, and the quota is soon
/// full.
pub async fn cluster() -> (EtcdCluster, Value) {
    let cluster = EtcdCluster::builder(Version::V3_5)
        .quota(16 << 20)
        .tls()
        .start()
        .await;
    assert_eq!(cluster.name(0), MEMBER);
    let leader = cluster
        .leader()
        .await
        .expect("a cluster that has started has one");
    if leader != 0 {
        // Only a leader sends to a member that is down.
        cluster.move_leader(leader, 0).await;
    }
    let backups = cluster.dir().join("backups");
    std::fs::create_dir(&backups).unwrap();
    let snapshot = backups.join("snapshot.db");
    cluster
        .etcdctl_at(
            &cluster.endpoint(0),
            &["snapshot", "save", snapshot.to_str().unwrap()],
        )
        .await
        .unwrap();
    let mut config: Value = serde_json::from_str(&Doctor::config_for(&cluster)).unwrap();
    config["clusters"][0]["peer_ports"] = true.into();
    config["clusters"][0]["backups"] = vec![backups.to_str().unwrap()].into();
    (cluster, config)
}

/// The shipped rules, as a Prometheus loads them.
pub fn rules() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|of| of == "yaml"))
        .collect()
}

#[tokio::test]
async fn every_query_gives_data_from_prometheus_and_from_etcd_doctor() {
    let (mut cluster, config) = cluster().await;
    let doctor = Doctor::start(&config.to_string()).await;
    let prometheus = Prometheus::start("prometheus-3", &[doctor.address()], &rules()).await;
    let sources = [prometheus.url(), doctor.url()];
    let load = cluster.write_load().await;
    let (when_well, when_broken): (Vec<_>, Vec<_>) =
        questions().into_iter().partition(|of| of.empty.is_none());
    all_give_data(&sources, &when_well).await;
    for source in &sources {
        the_variables_have_values(source).await;
    }

    drop(load);
    cluster.fill_quota().await;
    cluster.kill(2);
    assert!(!when_broken.is_empty());
    all_give_data(&sources, &when_broken).await;
}

/// Asks every source until every query has given something, and names those that never did.
async fn all_give_data(sources: &[String], asked: &[Asked]) {
    let mut waiting: Vec<(&String, &Asked)> = sources
        .iter()
        .flat_map(|source| asked.iter().map(move |of| (source, of)))
        .collect();
    wait_for("every query to give data", LIMIT, async || {
        let (mut without, mut seen) = (Vec::new(), String::new());
        for (source, of) in std::mem::take(&mut waiting) {
            let instead = match series(source, of).await {
                Ok(found) if found.iter().any(has_a_number) => continue,
                Ok(_) => "no data".to_owned(),
                Err(e) => e,
            };
            // Writing to a String cannot fail.
            let _ = writeln!(seen, "{instead} from {source} for {of}");
            without.push((source, of));
        }
        waiting = without;
        if waiting.is_empty() { Ok(()) } else { Err(seen) }
    })
    .await;
}

/// What a query gives as its panel asks it: now, or over the last five minutes.
async fn series(source: &str, of: &Asked) -> Result<Vec<Value>, String> {
    let expr = escape(&of.filled);
    let url = if of.range {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        format!(
            "{source}/api/v1/query_range?query={expr}&start={}&end={now}&step=15",
            now - 300
        )
    } else {
        format!("{source}/api/v1/query?query={expr}")
    };
    let answer = get(&url).await?.json();
    match answer["data"]["result"].as_array() {
        Some(result) => Ok(result.clone()),
        None => Err(answer["error"].to_string()),
    }
}

/// Whether a series has a number: NaN is drawn as a gap.
fn has_a_number(series: &Value) -> bool {
    let is_number = |point: &Value| {
        point[1]
            .as_str()
            .and_then(|text| text.parse().ok())
            .is_some_and(f64::is_finite)
    };
    let points = series["values"].as_array();
    points.map_or_else(
        || is_number(&series["value"]),
        |points| points.iter().any(is_number),
    )
}

/// Asks for the values of the variables as Grafana does, and as its older releases did.
async fn the_variables_have_values(source: &str) {
    let label_values = Regex::new(r"^label_values\((.+), (\w+)\)$").unwrap();
    for (file, dashboard) in dashboards() {
        for variable in list(&dashboard["templating"]["list"]).filter(|of| of["type"] == "query") {
            let query = variable["query"]["query"]
                .as_str()
                .unwrap()
                .replace("$cluster", "etcd");
            let [selector, label] = label_values
                .captures(&query)
                .expect("a query for values")
                .extract()
                .1;
            let expected = if label == "cluster" {
                vec!["etcd"]
            } else {
                vec![MEMBER, "etcd-1", "etcd-2"]
            };
            let selector = escape(selector);
            let url = format!("{source}/api/v1/label/{label}/values?match[]={selector}");
            let values = get(&url).await.unwrap().json();
            assert_eq!(values["data"], serde_json::json!(expected), "{file}: {url}");
            let url = format!("{source}/api/v1/series?match[]={selector}");
            let series = get(&url).await.unwrap().json();
            let mut values: Vec<_> = list(&series["data"])
                .filter_map(|of| of[label].as_str())
                .collect();
            values.sort_unstable();
            values.dedup();
            assert_eq!(values, expected, "{file}: {url}");
        }
    }
}
