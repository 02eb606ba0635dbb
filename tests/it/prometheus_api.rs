//! Prometheus' HTTP API as its own tool and Grafana use it, over the window of a real cluster.

use std::process::Command;
use std::time::Duration;

use crate::support::{Doctor, EtcdCluster, Version, get, program, wait_for};

const LIMIT: Duration = Duration::from_secs(60);

/// What `promtool query …` prints; an error is what it complains of.
async fn promtool(args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program("prometheus-3", "promtool"));
    command.arg("query").args(args);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("it does not panic");
    let output = output.expect("promtool can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

#[tokio::test]
async fn promtool_and_grafana_can_ask_it() {
    let cluster = EtcdCluster::builder(Version::V3_5).start().await;
    let doctor = Doctor::watching(&cluster).await;
    let url = doctor.url();
    let metric = "etcd_doctor_cluster_has_leader";

    // Two cycles, so that a range has more than one point.
    let found = wait_for("two points of a range", LIMIT, async || {
        let found = promtool(&["instant", &url, &format!("count_over_time({metric}[1m]) > 1")]).await?;
        if found.trim().is_empty() {
            Err("no result yet".to_owned())
        } else {
            Ok(found)
        }
    })
    .await;
    assert!(found.contains(r#"cluster="etcd""#), "{found}");
    let range = promtool(&["range", "--step=1s", &url, metric]).await.unwrap();
    assert!(range.contains(metric) && range.lines().count() > 2, "{range}");
    let series = promtool(&["series", &format!("--match={metric}"), &url])
        .await
        .unwrap();
    assert!(series.contains(metric), "{series}");
    let labels = promtool(&["labels", &url, "member"]).await.unwrap();
    assert_eq!(labels.lines().count(), 3, "{labels}");
    let refused = promtool(&["instant", &url, "sum("]).await.unwrap_err();
    assert!(refused.contains("bad_data"), "{refused}");

    // What Grafana's data source asks when it is saved, and for its completions.
    for path in [
        "status/buildinfo",
        "labels",
        "label/__name__/values",
        "metadata",
        "rules?type=alert",
        "query?query=1%2B1",
        "query_range?query=vector(1)&start=1&end=2&step=1",
        "series?match[]=up",
    ] {
        let answer = get(&format!("{url}/api/v1/{path}")).await.unwrap();
        assert_eq!(
            (answer.status, &answer.json()["status"]),
            (200, &"success".into()),
            "{path}"
        );
    }
    let metadata = doctor
        .get(&format!("/api/v1/metadata?metric={metric}"))
        .await
        .json();
    assert_eq!(metadata["data"][metric][0]["type"], "gauge", "{metadata}");
}
