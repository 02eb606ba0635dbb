//! etcd-doctor itself, as its users run it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{EtcdCluster, Output, Process, Response, http, ports, wait_for};

/// From its start to the first complete snapshot it takes less than a second; this is for a busy machine.
const START_LIMIT: Duration = Duration::from_secs(20);
const START_ATTEMPTS: usize = 5;
const CONFIG: &str = "etcd-doctor.yaml";

/// A running server.
pub struct Doctor {
    process: Process,
    port: u16,
    dir: TempDir,
}

impl Doctor {
    /// The program under test.
    pub fn program() -> PathBuf {
        PathBuf::from(env!("CARGO_BIN_EXE_etcd-doctor"))
    }

    /// A server that watches one cluster every two seconds.
    pub async fn watching(cluster: &EtcdCluster) -> Self {
        Self::start(&Self::config_for(cluster)).await
    }

    /// A configuration with one cluster, named `etcd`, and an interval of two seconds.
    pub fn config_for(cluster: &EtcdCluster) -> String {
        let mut config = serde_json::json!({
            "interval": "2s",
            "clusters": [{ "name": "etcd", "endpoints": cluster.endpoints() }],
        });
        if let Some((authority, client)) = cluster.tls() {
            config["clusters"][0]["tls"] = serde_json::json!({
                "ca_file": authority.ca(),
                "cert_file": client.cert,
                "key_file": client.key,
            });
        }
        // JSON is YAML.
        config.to_string()
    }

    /// A server with this configuration, on a free port, once it is ready.
    pub async fn start(config: &str) -> Self {
        Self::start_until(config, async |port, _| {
            match http::get(&format!("http://127.0.0.1:{port}/-/ready")).await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.body),
                Err(e) => Err(e),
            }
        })
        .await
    }

    /// The same, once it listens: for one that does not answer everybody.
    pub async fn start_listening(config: &str) -> Self {
        Self::start_until(config, async |_, log| match log.contains(" msg=listening ") {
            true => Ok(()),
            false => Err(log),
        })
        .await
    }

    /// A server once something is so, given its port and its log.
    async fn start_until(config: &str, is_so: impl AsyncFn(u16, String) -> Result<(), String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(CONFIG);
        std::fs::write(&file, config).unwrap();
        for _ in 0..START_ATTEMPTS {
            let port = ports::free(1)[0];
            let args = [
                "serve".to_owned(),
                format!("--config.file={}", file.display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
            ];
            let mut process = Process::spawn("etcd-doctor", &Self::program(), &args, &dir.path().join("log"));
            let taken = wait_for("etcd-doctor to be ready", START_LIMIT, async || {
                if process.exited().is_some() {
                    let log = process.log();
                    assert!(log.contains("in use"), "etcd-doctor ended at its start: {log}");
                    return Ok(true);
                }
                is_so(port, process.log()).await.map(|()| false)
            })
            .await;
            if !taken {
                return Self { process, port, dir };
            }
        }
        panic!("{START_ATTEMPTS} times in a row, another program took the port");
    }

    /// Runs any command of it to its end.
    pub async fn run(args: &[&str]) -> (i32, Output) {
        Self::run_with(args, &[]).await
    }

    /// The same, with variables.
    pub async fn run_with(args: &[&str], variables: &[(&str, &str)]) -> (i32, Output) {
        Self::run_command(std::process::Command::new(Self::program()), args, variables).await
    }

    /// The same, as a container without any runs it; as another user than root, who has none, just so.
    pub async fn run_without_capabilities(args: &[&str]) -> (i32, Output) {
        let mut command = std::process::Command::new(Self::program());
        if rustix::process::geteuid().is_root() {
            command = std::process::Command::new("setpriv");
            let sets = ["bounding-set", "inh-caps", "ambient-caps"];
            command.args(sets.map(|set| format!("--{set}=-all")));
            command.arg(Self::program());
        }
        Self::run_command(command, args, &[]).await
    }

    async fn run_command(
        mut command: std::process::Command,
        args: &[&str],
        variables: &[(&str, &str)],
    ) -> (i32, Output) {
        command.args(args);
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("ETCD")) {
            command.env_remove(key);
        }
        command.envs(variables.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .expect("it does not panic");
        let output = output.expect("the program can be started");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let code = output.status.code().expect("it was not killed");
        let success = output.status.success();
        let stdout = text(output.stdout);
        // Nothing is printed there where there is nothing to judge.
        if asks_for_a_diagnosis(args) && !stdout.is_empty() {
            super::validate(&serde_json::from_str(&stdout).expect("a diagnosis as JSON"));
        }
        (
            code,
            Output {
                success,
                stdout,
                stderr: text(output.stderr),
            },
        )
    }

    /// Writes a new configuration into its file. It is read at the next reload.
    pub fn write_config(&self, config: &str) {
        std::fs::write(self.dir.path().join(CONFIG), config).unwrap();
    }

    /// `http://127.0.0.1:port`, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The process, to signal it and to read its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Gets a path that must be answered.
    pub async fn get(&self, path: &str) -> Response {
        http::get(&format!("{}{path}", self.url()))
            .await
            .unwrap_or_else(|e| panic!("{e}"))
    }

    /// Posts nothing to a path that must be answered.
    pub async fn post(&self, path: &str) -> Response {
        http::post(&format!("{}{path}", self.url()))
            .await
            .unwrap_or_else(|e| panic!("{e}"))
    }

    /// The diagnosis of all clusters.
    pub async fn diagnosis(&self) -> Value {
        let answer = self.get("/api/v1/diagnosis").await;
        let diagnosis = answer.json();
        if answer.status == 200 {
            super::validate(&diagnosis);
        }
        diagnosis
    }

    /// Waits until the diagnosis is as asked, and gives that one. The panic shows the last one.
    pub async fn diagnosis_when(&self, what: &str, limit: Duration, is: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("a diagnosis with {what}"), limit, async || {
            let diagnosis = self.diagnosis().await;
            if is(&diagnosis) {
                Ok(diagnosis)
            } else {
                Err(format!("{diagnosis:#}"))
            }
        })
        .await
    }

    /// The values of one metric with the labels as on the page, `(labels, value)`.
    pub async fn metric(&self, name: &str) -> Vec<(String, f64)> {
        let page = self.get("/metrics").await.body;
        page.lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with(['{', ' ']))
            .filter_map(|rest| {
                let (labels, value) = rest.rsplit_once(' ')?;
                Some((labels.to_owned(), value.parse().ok()?))
            })
            .collect()
    }
}

/// The problems of a diagnosis, symptoms included, as `alert` or `alert/member`.
pub fn problems(diagnosis: &Value) -> Vec<String> {
    fn collect(list: &Value, into: &mut Vec<String>) {
        for problem in list.as_array().into_iter().flatten() {
            let alert = problem["alert"].as_str().unwrap_or_default();
            into.push(match problem["member"].as_str() {
                Some(member) if !member.is_empty() => format!("{alert}/{member}"),
                _ => alert.to_owned(),
            });
            collect(&problem["explains"], into);
        }
    }
    let mut found = Vec::new();
    for cluster in diagnosis["clusters"].as_array().into_iter().flatten() {
        collect(&cluster["problems"], &mut found);
    }
    found
}

/// Whether these arguments are for a report that has a schema.
fn asks_for_a_diagnosis(args: &[&str]) -> bool {
    let as_json = args.contains(&"-o=json") || args.windows(2).any(|pair| pair == ["-o", "json"]);
    args.first() == Some(&"diagnose") && as_json
}

/// Whether a file exists and is not empty: for what a test expects a command to leave.
pub fn written(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.len() > 0)
}
