//! A real Prometheus.

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{Process, http, peers, ports, wait_for};

const START_LIMIT: Duration = Duration::from_secs(30);
const START_ATTEMPTS: usize = 5;

/// A running Prometheus.
pub struct Prometheus {
    // Before `_dir`: it ends before its data goes.
    process: Process,
    port: u16,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one of the peers `prometheus-2` and `prometheus-3`, which scrapes these targets (`host:port`) as the job
    /// `etcd-doctor` and evaluates these rule files. Ready, but it may not have scraped yet.
    pub async fn start(peer: &str, targets: &[String], rules: &[std::path::PathBuf]) -> Self {
        let config = serde_json::json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": rules,
            "scrape_configs": [{ "job_name": "etcd-doctor", "static_configs": [{ "targets": targets }] }],
        });
        Self::start_with(peer, config).await
    }

    /// Starts one of the peers with a configuration of the test's own. Ready, but it may not have scraped yet.
    pub async fn start_with(peer: &str, config: Value) -> Self {
        Self::launch(peer, &config, &[]).await
    }

    /// Starts one with a configuration of its own, and more flags.
    pub async fn launch(peer: &str, config: &Value, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // JSON is YAML.
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        for _ in 0..START_ATTEMPTS {
            let port = ports::free(1)[0];
            let mut args = vec![
                format!("--config.file={}", file.display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
                format!("--storage.tsdb.path={}", dir.path().join("data").display()),
            ];
            args.extend(flags.iter().map(|flag| (*flag).to_owned()));
            let program = peers::program(peer, "prometheus");
            let mut process = Process::spawn(peer, &program, &args, &dir.path().join("log"));
            let ready = format!("http://127.0.0.1:{port}/-/ready");
            let taken = wait_for("Prometheus to be ready", START_LIMIT, async || {
                if process.exited().is_some() {
                    let log = process.log();
                    assert!(
                        log.contains("address already in use"),
                        "Prometheus ended at its start: {log}"
                    );
                    return Ok(true);
                }
                match http::get(&ready).await {
                    Ok(answer) if answer.status == 200 => Ok(false),
                    Ok(answer) => Err(answer.body),
                    Err(e) => Err(e),
                }
            })
            .await;
            if !taken {
                return Self {
                    process,
                    port,
                    _dir: dir,
                };
            }
        }
        panic!("{START_ATTEMPTS} times in a row, another program took the port");
    }

    /// `http://127.0.0.1:port`, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// `127.0.0.1:port`, as a target.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The result of an instant query: the vector's elements. An error is what Prometheus says is wrong with it.
    pub async fn query(&self, expr: &str) -> Result<Vec<Value>, String> {
        let url = format!("{}/api/v1/query?query={}", self.url(), http::escape(expr));
        let answer = http::get(&url).await?.json();
        match answer["data"]["result"].as_array() {
            Some(result) => Ok(result.clone()),
            None => Err(format!("{expr}: {}", answer["error"])),
        }
    }

    /// Waits until a query gives something.
    pub async fn query_when_any(&self, expr: &str, limit: Duration) -> Vec<Value> {
        wait_for(&format!("a result of {expr}"), limit, async || {
            match self.query(expr).await {
                Ok(result) if !result.is_empty() => Ok(result),
                Ok(_) => Err("it gives nothing".to_owned()),
                Err(e) => Err(e),
            }
        })
        .await
    }

    /// Waits until every target has been scraped well at least once.
    pub async fn all_up(&self, limit: Duration) {
        wait_for("every target to be up", limit, async || {
            let targets = http::get(&format!("{}/api/v1/targets", self.url())).await?.json();
            let targets = targets["data"]["activeTargets"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            match targets.iter().find(|target| target["health"] != "up") {
                None if !targets.is_empty() => Ok(()),
                down => Err(format!("{down:#?}")),
            }
        })
        .await;
    }
}
