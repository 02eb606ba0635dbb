//! A real Alertmanager, and who is paged by it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::post;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{Process, http, peers, ports, wait_for};

const START_LIMIT: Duration = Duration::from_secs(30);
const START_ATTEMPTS: usize = 5;

/// A running Alertmanager.
pub struct Alertmanager {
    // Before `dir`: it ends before its data goes.
    process: Process,
    port: u16,
    args: Vec<String>,
    dir: TempDir,
}

impl Alertmanager {
    /// Starts it with a configuration, in YAML. It logs each time that it looks at a group of alerts.
    pub async fn start(config: &str) -> Self {
        Self::launch(config, &[]).await
    }

    /// The same with more flags. Those that make it speak TLS let it be taken for ready when it listens.
    pub async fn launch(config: &str, flags: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("alertmanager.yaml");
        std::fs::write(&file, config).unwrap();
        for _ in 0..START_ATTEMPTS {
            let port = ports::free(1)[0];
            let mut args = vec![
                format!("--config.file={}", file.display()),
                format!("--storage.path={}", dir.path().join("data").display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
                "--cluster.listen-address=".to_owned(),
                "--log.level=debug".to_owned(),
            ];
            args.extend(flags.iter().cloned());
            let mut process = spawn(&args, dir.path());
            if listens(&mut process, port).await {
                return Self {
                    process,
                    port,
                    args,
                    dir,
                };
            }
        }
        panic!("{START_ATTEMPTS} times in a row, another program took the port");
    }

    /// Ends it in good order: it keeps whom it has told of what.
    pub async fn stop(&mut self) {
        self.process.terminate(START_LIMIT).await;
    }

    /// Starts it again on its port and data.
    pub async fn start_again(&mut self) {
        self.process = spawn(&self.args, self.dir.path());
        assert!(listens(&mut self.process, self.port).await, "its port is free");
    }

    /// `http://127.0.0.1:port`, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The alerts that it knows, of one name.
    pub async fn alerts(&self, name: &str) -> Result<Vec<Value>, String> {
        let filter = http::escape(&format!("alertname=\"{name}\""));
        let answer = http::get(&format!("{}/api/v2/alerts?filter={filter}", self.url())).await?;
        Ok(answer.json().as_array().cloned().unwrap_or_default())
    }

    /// How often it has looked at a group, since its first start, in which an alert of this name fired.
    pub fn looks_at(&self, name: &str) -> usize {
        let log = self.process.log();
        let looks = log.lines().filter(|line| line.contains("msg=flushing"));
        let named = format!("{name}[");
        let fires = |line: &&str| {
            let mut alerts = line.split(&named).skip(1);
            alerts.any(|rest| {
                rest.split_once(']')
                    .is_some_and(|(_, state)| state.starts_with("[active]"))
            })
        };
        looks.filter(fires).count()
    }
}

fn spawn(args: &[String], dir: &Path) -> Process {
    let program = peers::program("alertmanager", "alertmanager");
    Process::spawn("alertmanager", &program, args, &dir.join("log"))
}

/// Waits until it listens; false when its port was taken.
async fn listens(process: &mut Process, port: u16) -> bool {
    wait_for("Alertmanager to listen", START_LIMIT, async || {
        if process.exited().is_some() {
            let log = process.log();
            assert!(
                log.contains("address already in use"),
                "Alertmanager ended at its start: {log}"
            );
            return Ok(false);
        }
        match tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
            Ok(_) => Ok(true),
            Err(error) => Err(error),
        }
    })
    .await
}

/// Takes what Alertmanager sends, by the path that it sends it to.
pub struct Webhook {
    port: u16,
    received: Arc<Mutex<Vec<(String, Value)>>>,
    task: JoinHandle<()>,
}

type Received = Arc<Mutex<Vec<(String, Value)>>>;

impl Webhook {
    pub async fn start() -> Self {
        async fn take(State(received): State<Received>, uri: Uri, Json(message): Json<Value>) {
            let path = uri.path().trim_start_matches('/').to_owned();
            received.lock().unwrap().push((path, message));
        }
        let received = Received::default();
        let router = axum::Router::new()
            .route("/{receiver}", post(take))
            .with_state(Arc::clone(&received));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("it serves until dropped");
        });
        Self { port, received, task }
    }

    /// Where messages for a receiver go.
    pub fn url(&self, receiver: &str) -> String {
        format!("http://127.0.0.1:{}/{receiver}", self.port)
    }

    /// Every message to a receiver so far.
    pub fn messages(&self, receiver: &str) -> Vec<Value> {
        let received = self.received.lock().unwrap();
        let of_receiver = received.iter().filter(|(path, _)| path == receiver);
        of_receiver.map(|(_, message)| message.clone()).collect()
    }

    /// The same in short: `firing {category="quota", cluster="etcd"}: EtcdQuotaAlarmFull`.
    pub fn told(&self, receiver: &str) -> Vec<String> {
        self.messages(receiver).iter().map(in_short).collect()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn in_short(message: &Value) -> String {
    let texts = |object: &Value| super::alerts::texts(object);
    let group: Vec<String> = texts(&message["groupLabels"])
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    let alerts = message["alerts"].as_array().into_iter().flatten();
    let mut names: Vec<String> = alerts
        .map(|alert| texts(&alert["labels"])["alertname"].clone())
        .collect();
    names.sort();
    let status = message["status"].as_str().unwrap_or_default();
    format!("{status} {{{}}}: {}", group.join(", "), names.join(" "))
}
