//! A picture of each dashboard, from the answers to its own queries, for people to look at. `picture.html` draws it.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use serde_json::{Value, json};

use super::{MEMBER, dashboards, data, list};
use crate::support::{Browser, Doctor, EtcdCluster, Prometheus, Version, escape, get};

/// Of the picture, in pixels.
const WIDTH: u32 = 1400;

/// How long each part of the story lasts: until a rate over a minute is of that part alone.
const PART: Duration = Duration::from_secs(80);

/// Between two points of a line, in seconds: as often as the tests' etcd-doctor looks.
const STEP: u64 = 2;

/// A cluster that writes, loses a member and fills its quota, beside one that is idle. `PICTURES` is the folder.
#[tokio::test]
#[ignore = "makes pictures, in five minutes"]
async fn pictures_of_a_cluster_that_fills_up() {
    let folder = std::env::var_os("PICTURES").expect("PICTURES is the folder for them");
    let (mut cluster, mut config) = data::cluster().await;
    let idle = EtcdCluster::builder(Version::V3_5)
        .members(1)
        .beside(&cluster)
        .start()
        .await;
    config["clusters"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "idle", "endpoints": idle.endpoints()}));
    let doctor = Doctor::start(&config.to_string()).await;
    let prometheus = Prometheus::start("prometheus-3", &[doctor.address()], &data::rules()).await;
    let begin = now();

    let load = cluster.write_load().await;
    tokio::time::sleep(PART).await;
    cluster.move_leader(0, 1).await;
    cluster.kill(2);
    tokio::time::sleep(PART).await;
    drop(load);
    cluster.fill_quota().await;
    cluster.restart(2).await;
    tokio::time::sleep(PART).await;

    let mut browser = Browser::start().await;
    for (file, dashboard) in dashboards() {
        let end = now();
        let several = file == "overview.json";
        let filled = |expr: &str| {
            let cluster = if several { ".*" } else { "etcd" };
            let member = if file == "member.json" { MEMBER } else { ".*" };
            let variables = [
                ("$cluster", cluster),
                ("$member", member),
                ("$__rate_interval", "1m"),
            ];
            variables
                .into_iter()
                .fold(expr.to_owned(), |expr, (variable, value)| {
                    expr.replace(variable, value)
                })
        };
        let mut answers = json!({});
        for panel in list(&dashboard["panels"]).filter(|panel| panel["type"] != "row") {
            let mut results = json!({});
            for target in list(&panel["targets"]) {
                let expr = escape(&filled(target["expr"].as_str().unwrap()));
                let path = if target["range"] == true {
                    format!("query_range?query={expr}&start={begin}&end={end}&step={STEP}")
                } else {
                    format!("query?query={expr}")
                };
                results[target["refId"].as_str().unwrap()] = result(&prometheus, &path).await;
            }
            answers[panel["id"].to_string()] = results;
        }
        let mut marks = Vec::new();
        for annotation in list(&dashboard["annotations"]["list"]).filter(|of| of["enable"] == true) {
            let expr = escape(&filled(annotation["expr"].as_str().unwrap()));
            let path = format!("query_range?query={expr}&start={begin}&end={end}&step={STEP}");
            for series in list(&result(&prometheus, &path).await) {
                marks.push(json!([series["values"][0][0], annotation["iconColor"]]));
            }
        }
        let span = json!({"start": begin, "end": end, "step": STEP, "marks": marks});
        let chosen = match &*file {
            "overview.json" => "All clusters".to_owned(),
            "cluster.json" => "Cluster etcd, all members".to_owned(),
            _ => format!("Cluster etcd, member {MEMBER}"),
        };
        browser.look(WIDTH, false).await;
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/dashboards/picture.html");
        browser.open(&format!("file://{page}")).await;
        let height = browser
            .value(&format!(
                "draw({dashboard}, {answers}, {span}, {})",
                json!(chosen)
            ))
            .await;
        assert!(height.as_u64().is_some_and(|height| height > 500), "{height}");
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{file}");
        let picture = base64::engine::general_purpose::STANDARD
            .decode(browser.picture().await)
            .unwrap();
        let name = format!("grafana-{}", file.replace(".json", ".png"));
        std::fs::write(Path::new(&folder).join(name), picture).unwrap();
    }
}

async fn result(prometheus: &Prometheus, path: &str) -> Value {
    let answer = get(&format!("{}/api/v1/{path}", prometheus.url()))
        .await
        .unwrap()
        .json();
    assert_eq!(answer["status"], "success", "{path}: {answer}");
    answer["data"]["result"].clone()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
