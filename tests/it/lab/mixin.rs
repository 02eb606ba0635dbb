//! etcd's own rule set in a real Prometheus, beside the doctor: when does it find what the doctor finds?

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::seconds;
use crate::support::{EtcdCluster, Prometheus, http};

/// What most sites scrape and evaluate at.
const INTERVAL: &str = "15s";
/// How long the fault is kept up for the mixin once the doctor has found it. Longer than two scrapes, two evaluations and
/// the time for a window of minutes to notice; what needs more is said to need more.
const PATIENCE: Duration = Duration::from_secs(90);

/// The rules, which are not part of this project.
#[derive(Clone)]
pub(super) struct Mixin(PathBuf);

impl Mixin {
    /// The file named by `ETCD_MIXIN_RULES`, or what lies beside the project. Says so when there is none.
    pub(super) fn find() -> Option<Self> {
        let set = std::env::var_os("ETCD_MIXIN_RULES").filter(|path| !path.is_empty());
        let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/etcd-mixin.rules.yaml");
        let file = set.map_or(beside, PathBuf::from);
        if !file.exists() {
            println!("without etcd's mixin: set ETCD_MIXIN_RULES to its rule file to have both times");
            return None;
        }
        Some(Self(file))
    }

    /// A Prometheus that scrapes the members and evaluates the mixin.
    pub(super) async fn watching(&self, cluster: &EtcdCluster) -> Prometheus {
        let targets: Vec<String> = (0..cluster.len()).map(|i| cluster.metrics_address(i)).collect();
        Prometheus::start_with(
            "prometheus-3",
            json!({
                "global": { "scrape_interval": INTERVAL, "evaluation_interval": INTERVAL },
                "rule_files": [self.0],
                "scrape_configs": [{ "job_name": "etcd", "static_configs": [{ "targets": targets }] }],
            }),
        )
        .await
    }
}

/// Waits until the mixin's alert is pending too, and says when that was and when it may fire at the earliest.
pub(super) async fn detection(prometheus: &Prometheus, alert: &str, broken: Instant) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(pending) = pending(prometheus, alert).await {
            let after = broken.elapsed();
            return format!(
                "{alert} pending after {}, fires after {} at the earliest",
                seconds(after),
                seconds(after + pending)
            );
        }
        if Instant::now() > until {
            return format!("{alert} not even pending after {}", seconds(broken.elapsed()));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// How long the alert still has to wait from now on, once it is pending.
async fn pending(prometheus: &Prometheus, alert: &str) -> Option<Duration> {
    let answer = http::get(&format!("{}/api/v1/rules?type=alert", prometheus.url()))
        .await
        .ok()?
        .json();
    let groups = answer["data"]["groups"].as_array()?.clone();
    let rules = groups
        .iter()
        .filter_map(|group| group["rules"].as_array())
        .flatten();
    let found = rules.filter(|rule| rule["name"] == alert && rule["state"] != "inactive");
    let waits = found.filter_map(|rule: &Value| rule["duration"].as_f64());
    waits.min_by(f64::total_cmp).map(Duration::from_secs_f64)
}
