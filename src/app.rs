//! The running program: builds everything from a checked configuration, runs it, reloads it, drains it.

mod diagnose;
mod rules;

pub use diagnose::{Watcher, diagnose};
pub use rules::{Rules, load_rules, rules_of};

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::bundle::Secrets;
use crate::config::{self, Config};
use crate::cycle::{self, Cycle};
use crate::http;
use crate::model::Labels;
use crate::notify::Notifier;
use crate::rules::RuleSet;
use crate::snapshot::Snapshot;
use crate::store::SharedStore;
use crate::telemetry::LevelHandle;

/// How many reloads may wait for their turn. A further one waits in its HTTP request.
const RELOAD_QUEUE: usize = 4;

/// How many intervals may pass without a new snapshot before the last one says nothing of the present any more. One
/// slow cycle, or two, is no stall.
const STALE_AFTER_INTERVALS: u32 = 4;

/// A server that has its port and its settings, and does not run yet.
pub struct App {
    config: Config,
    rules: Rules,
    prepared: Vec<Prepared>,
    protection: Arc<http::Protection>,
    listener: TcpListener,
}

/// A cluster that is being watched. Dropping it ends its cycles.
struct Watched {
    settings: cycle::Settings,
    interval: Duration,
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    window: SharedStore,
    rules: watch::Sender<Arc<RuleSet>>,
    task: JoinHandle<()>,
    /// Sends the alerts of its snapshots.
    notifying: JoinHandle<()>,
}

/// A cluster that is going to be watched.
enum Prepared {
    /// By cycles that run already.
    Running(cycle::Settings),
    /// By new ones.
    New(cycle::Settings, Box<Cycle>),
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
        self.notifying.abort();
    }
}

impl App {
    /// Loads the rules, tries the endpoints, reads what protects the server and binds the port. Nothing runs yet.
    ///
    /// # Errors
    /// When a rule file, an endpoint, the web configuration or the port cannot be used; the message says which, and what
    /// to do.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let rules = load_rules(&config)?;
        let prepared = prepare_all(&config, &rules, &[])?;
        let protection = Arc::new(protection(&config)?);
        tell(&config, &protection);
        let listener = http::bind(&config.web.listen_address).await?;
        Ok(Self {
            config,
            rules,
            prepared,
            protection,
            listener,
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn addr(&self) -> anyhow::Result<SocketAddr> {
        self.listener
            .local_addr()
            .context("could not read the address of the listening socket")
    }

    /// How it is protected, in a few words.
    pub fn protection(&self) -> &'static str {
        self.protection.summary()
    }

    /// Watches the clusters and serves until `shutdown` ends, then lets requests under way finish and sends the alerts that
    /// still wait for an Alertmanager. Each value from
    /// `reload` reads the configuration anew, as `POST /-/reload` does; `level` follows what it then says.
    ///
    /// # Errors
    /// When the server cannot go on.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
        reload: mpsc::Receiver<()>,
        level: LevelHandle,
    ) -> anyhow::Result<()> {
        let Self {
            config,
            rules,
            prepared,
            protection,
            listener,
        } = self;
        let notifier = Notifier::start(config.alerting.clone());
        let watched = watch_all(&config, &rules, &notifier, prepared, Vec::new());
        let (publish, published) = watch::channel(for_http(&config, &rules, &watched));
        protection.enable_remote_reload(config.web.enable_remote_reload);
        let (ask, asked) = mpsc::channel(RELOAD_QUEUE);
        let state = http::State {
            watched: published,
            reload: ask,
            protection: Arc::clone(&protection),
            notifications: {
                let instruments = notifier.instruments();
                Arc::new(move || instruments.samples())
            },
            clock: cycle::now,
        };
        let reloader = tokio::spawn(
            Reloader {
                started: config,
                watched,
                protection: Arc::clone(&protection),
                notifier: notifier.clone(),
                publish,
                level,
            }
            .run(asked, reload),
        );
        http::serve(listener, http::router(state), protection, shutdown).await;
        reloader.abort();
        // The cycles end with it, so nothing more comes into the queues.
        let _ = reloader.await;
        notifier.drain().await;
        Ok(())
    }
}

/// The owner of the running clusters: the only one who starts and ends them.
struct Reloader {
    /// The configuration of the start. Some of it is in force until the end, whatever is read later.
    started: Config,
    watched: Vec<Watched>,
    protection: Arc<http::Protection>,
    notifier: Notifier,
    publish: watch::Sender<Arc<http::Watched>>,
    level: LevelHandle,
}

impl Reloader {
    async fn run(
        mut self,
        mut asked: mpsc::Receiver<http::ReloadRequest>,
        mut signalled: mpsc::Receiver<()>,
    ) {
        loop {
            let answer = tokio::select! {
                Some(answer) = asked.recv() => Some(answer),
                Some(()) = signalled.recv() => None,
                else => return,
            };
            let outcome = self.reload().await;
            match &outcome {
                Ok(()) => tracing::info!(clusters = self.watched.len(), "configuration reloaded"),
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the new configuration was refused, the old one stays in force"
                ),
            }
            if let Some(answer) = answer {
                // The asker may have gone away meanwhile; the reload is done all the same.
                let _ = answer.send(outcome.map_err(|error| format!("{error:#}")));
            }
        }
    }

    /// Does all that may fail first; only then is anything changed.
    async fn reload(&mut self) -> anyhow::Result<()> {
        let config = self.started.reload().await?;
        let rules = load_rules(&config)?;
        let prepared = prepare_all(&config, &rules, &self.watched)?;
        if config.web.config_file == self.started.web.config_file {
            self.protection.reload().map_err(in_words)?;
        } else {
            // Only checked, so that the next start does not fail for it. The file of the start may be gone already.
            protection(&config)?;
        }
        for key in waiting_for_a_start(&self.started, &config) {
            tracing::warn!("the new {key} takes effect at the next start; until then the old one holds");
        }
        self.notifier.reload(config.alerting.clone());
        let running = std::mem::take(&mut self.watched);
        self.watched = watch_all(&config, &rules, &self.notifier, prepared, running);
        self.publish
            .send_replace(for_http(&config, &rules, &self.watched));
        self.protection
            .enable_remote_reload(config.web.enable_remote_reload);
        self.level.set(config.log.level);
        tell(&config, &self.protection);
        Ok(())
    }
}

/// Logs what there is to say of a configuration that works.
fn tell(config: &Config, protection: &http::Protection) {
    for note in &config.notes {
        match note.warning {
            true => tracing::warn!("{}", note.text),
            false => tracing::info!("{}", note.text),
        }
    }
    if protection.speaks_tls() && config.web.external_url.is_none() {
        tracing::warn!(
            "links in alerts begin with {} while this server speaks TLS: set web.external_url",
            config.web.reached_at()
        );
    }
}

/// The keys of which a running server has the value that it started with, where another was read since.
fn waiting_for_a_start(started: &Config, read: &Config) -> Vec<&'static str> {
    let differs = [
        (
            "web.listen_address",
            started.web.listen_address != read.web.listen_address,
        ),
        ("web.config_file", started.web.config_file != read.web.config_file),
        ("log.format", started.log.format != read.log.format),
    ];
    differs
        .iter()
        .filter_map(|(key, differs)| differs.then_some(*key))
        .collect()
}

/// What protects the server, as the file says that the configuration names.
///
/// # Errors
/// Everything that is wrong with that file, or with a certificate file that it names.
pub fn protection(config: &Config) -> anyhow::Result<http::Protection> {
    http::Protection::open(config.web.config_file.as_deref()).map_err(in_words)
}

fn in_words(error: http::ProtectionError) -> anyhow::Error {
    anyhow::Error::new(error).context("the web configuration cannot be used")
}

/// Makes the cycles of every cluster that is not watched already with the very same settings.
fn prepare_all(config: &Config, rules: &Rules, running: &[Watched]) -> anyhow::Result<Vec<Prepared>> {
    let clusters = config.clusters.iter();
    clusters
        .map(|cluster| {
            let settings = settings(config, cluster);
            let same = |watched: &Watched| {
                watched.settings == settings
                    && watched.interval == config.interval
                    && !watched.task.is_finished()
            };
            if running.iter().any(same) {
                return Ok(Prepared::Running(settings));
            }
            let cycle = Box::new(cycle(settings.clone(), rules.set.clone(), config.interval)?);
            Ok(Prepared::New(settings, cycle))
        })
        .collect()
}

/// Starts what is new, hands the rules to what goes on, and ends the rest.
fn watch_all(
    config: &Config,
    rules: &Rules,
    notifier: &Notifier,
    prepared: Vec<Prepared>,
    mut running: Vec<Watched>,
) -> Vec<Watched> {
    let mut watched = Vec::new();
    for cluster in prepared {
        match cluster {
            Prepared::New(settings, cycle) => {
                watched.push(watch_one(config, settings, *cycle, rules, notifier));
            }
            Prepared::Running(settings) => {
                let at = running.iter().position(|watched| watched.settings == settings);
                // It was found among these when it was prepared.
                let Some(at) = at else { continue };
                let same = running.swap_remove(at);
                same.rules.send_replace(rules.set.clone());
                watched.push(same);
            }
        }
    }
    watched
}

fn watch_one(
    config: &Config,
    settings: cycle::Settings,
    cycle: Cycle,
    rules: &Rules,
    notifier: &Notifier,
) -> Watched {
    let (rules, new_rules) = watch::channel(rules.set.clone());
    let (publish, snapshots) = watch::channel(None);
    let window = cycle.window();
    let task = tokio::spawn(cycle.run(new_rules, publish));
    let notifying = tokio::spawn(notifier.clone().follow(config.interval, snapshots.clone()));
    Watched {
        settings,
        interval: config.interval,
        snapshots,
        window,
        rules,
        task,
        notifying,
    }
}

fn settings(config: &Config, cluster: &config::Cluster) -> cycle::Settings {
    cycle::Settings {
        cluster: cluster.name.as_str().into(),
        connection: cluster.connection.clone(),
        collect: config.collect_settings(cluster),
        store: config.store.clone(),
        external_labels: Labels::new(config.rules.external_labels.clone()),
        external_url: config.web.reached_at(),
        state_dir: config.rules.state_dir.clone(),
    }
}

fn cycle(settings: cycle::Settings, rules: Arc<RuleSet>, interval: Duration) -> anyhow::Result<Cycle> {
    let name = settings.cluster.clone();
    Cycle::new(settings, rules, interval).with_context(|| format!("cluster {name:?} cannot be watched"))
}

fn for_http(config: &Config, rules: &Rules, watched: &[Watched]) -> Arc<http::Watched> {
    let clusters = watched.iter().map(|watched| http::Cluster {
        name: watched.settings.cluster.clone(),
        snapshots: watched.snapshots.clone(),
        window: watched.window.clone(),
        interval: watched.interval,
        stale_after: config.interval * STALE_AFTER_INTERVALS,
    });
    Arc::new(http::Watched {
        clusters: clusters.collect(),
        rules_digest: rules.tool.rules_digest.clone(),
        support: Arc::new(http::Support {
            config: config.to_yaml(),
            secrets: Secrets::new(config.secrets()),
            rules: rules.texts.clone(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use futures::FutureExt as _;

    use super::*;
    use crate::config::{Discover, Flags, Found, Loader};
    use crate::telemetry;

    /// The configuration of a file with one more section.
    async fn config(file: &Path, section: &str) -> Config {
        let clusters = "clusters: [{name: etcd, endpoints: 'http://127.0.0.1:9'}]";
        fs::write(file, format!("{clusters}\n{section}\n")).unwrap();
        let flags = Flags {
            config_file: Some(file.to_owned()),
            ..Flags::default()
        };
        let discover: Discover = Arc::new(|_, _| async { Ok(vec![Found::default()]) }.boxed());
        Loader::new(flags, Vec::new(), discover).load().await.unwrap()
    }

    #[tokio::test]
    async fn what_only_a_start_applies_is_named_at_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("etcd-doctor.yaml");
        let started = config(&file, "").await;
        for (section, waiting) in [
            (
                "web: {listen_address: '127.0.0.1:1'}",
                &["web.listen_address"][..],
            ),
            ("web: {config_file: web.yaml}", &["web.config_file"]),
            ("log: {format: json, level: debug}", &["log.format"]),
            ("web: {enable_remote_reload: true}", &[]),
        ] {
            let read = config(&file, section).await;
            assert_eq!(waiting_for_a_start(&started, &read), waiting);
            assert_eq!(waiting_for_a_start(&read, &started), waiting);
            assert!(waiting_for_a_start(&read, &read).is_empty(), "{section}");
        }
    }

    #[tokio::test]
    async fn each_reload_says_anew_whether_other_hosts_may_ask_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("etcd-doctor.yaml");
        let section = |enabled| format!("web: {{enable_remote_reload: {enabled}}}\nlog: {{level: off}}");
        let started = config(&file, &section(true)).await;
        let rules = load_rules(&started).unwrap();
        let protection = Arc::new(http::Protection::none());
        let mut reloader = Reloader {
            watched: Vec::new(),
            protection: Arc::clone(&protection),
            notifier: Notifier::start(started.alerting.clone()),
            publish: watch::channel(for_http(&started, &rules, &[])).0,
            level: telemetry::start(started.log).unwrap(),
            started,
        };
        for enabled in [true, false, true] {
            config(&file, &section(enabled)).await;
            reloader.reload().await.unwrap();
            assert_eq!(protection.remote_reload_is_enabled(), enabled);
        }
    }
}
