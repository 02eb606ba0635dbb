//! Running a command: from the parsed line to an exit status.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use futures::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::ask::{self, Question, ask};
use super::explain::explain;
use super::{
    Cli, Command, ConfigCommand, Diagnose, Format, ListFormat, RulesCommand, UNKNOWN, bundle, terminal, unit,
    watch,
};
use crate::app::{self, App};
use crate::client::{self, Connection, TlsSettings, discover};
use crate::config::{self, Config, Found, Loader, Wanted};
use crate::diagnosis::Status;
use crate::model::Timestamp;
use crate::render::{self, Report};
use crate::rules::convention::{check_convention, imagined};
use crate::rules::rehearsal::check_templates;
use crate::rules::{self, AlertingRule, Group, RuleSet, builtin};
use crate::telemetry;

/// How often `diagnose --watch --server` asks: as often as servers with the shortest sensible interval know more.
const WATCH_INTERVAL: std::time::Duration = std::time::Duration::from_secs(2);

/// A command other than `diagnose` that failed.
const FAILED: u8 = 1;

/// Runs a command. Errors go to standard error, in one place.
pub async fn run(cli: Cli) -> ExitCode {
    let (outcome, on_failure) = match cli.command {
        Command::Serve { web, settings } => (serve(settings.into_flags(Some(web))).await, FAILED),
        Command::Diagnose(options) => (diagnose(*options).await, UNKNOWN),
        Command::Healthcheck { server } => (healthcheck(&server).await, FAILED),
        Command::Rules(RulesCommand::Check { files }) => (check_rules(&files), FAILED),
        Command::Rules(RulesCommand::Test {
            bundle: Some(bundle),
            files,
        }) => (test_rules(&bundle, &files), FAILED),
        Command::Rules(RulesCommand::Test { bundle: None, files }) => (
            unit::test(&files).map(|good| if good { 0 } else { FAILED }),
            FAILED,
        ),
        Command::Rules(RulesCommand::Explain(options)) => (explain(*options).await, FAILED),
        Command::Rules(RulesCommand::List { output, file }) => {
            (list_rules(output, file.config_file).await, FAILED)
        }
        Command::Config(ConfigCommand::Init { settings }) => {
            (init_config(settings.into_flags(None)).await, FAILED)
        }
        Command::Config(ConfigCommand::Check { web, settings }) => {
            (check_config(settings.into_flags(Some(web))).await, FAILED)
        }
        Command::Config(ConfigCommand::Show { web, settings }) => {
            (show_config(settings.into_flags(Some(web))).await, FAILED)
        }
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(on_failure)
        }
    }
}

/// Writes to standard error; nobody is left to be told when that is closed.
pub(super) fn complain(text: &str) {
    for line in text.lines() {
        // It may tell what a cluster or a process of this host said.
        eprintln!("etcd-doctor: {}", render::printable(line));
    }
}

async fn serve(flags: config::Flags) -> anyhow::Result<u8> {
    let config = load(flags).await?;
    let level = telemetry::start(config.log)?;
    for note in &config.notes {
        match note.warning {
            true => tracing::warn!("{}", note.text),
            false => tracing::info!("{}", note.text),
        }
    }
    // Before the port is bound: from then on somebody may want to stop it.
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("could not listen for SIGHUP")?;
    let (ask_reload, reload) = mpsc::channel(1);
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            if ask_reload.send(()).await.is_err() {
                return;
            }
        }
    });
    let app = App::build(config).await?;
    tracing::info!(address = %app.addr()?, version = env!("CARGO_PKG_VERSION"), "listening");
    let shutdown = async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping; requests under way may finish");
    };
    app.run(shutdown, reload, level).await?;
    Ok(0)
}

async fn diagnose(options: Diagnose) -> anyhow::Result<u8> {
    let Diagnose {
        window,
        output,
        server,
        cluster,
        watch,
        save,
        bundle,
        settings,
    } = options;
    if let Some(file) = bundle {
        return diagnose_bundle(&file, cluster.as_deref(), output);
    }
    if let Some(server) = server {
        let connection = tls_of(settings);
        let question = || Question {
            server: &server,
            cluster: cluster.as_deref(),
            format: output,
            connection: connection.clone(),
        };
        if watch {
            let mut asked = false;
            let look = async || {
                if std::mem::replace(&mut asked, true) {
                    tokio::time::sleep(WATCH_INTERVAL).await;
                }
                ask(question()).await
            };
            return watched(watch::watch(look).await?);
        }
        let (status, text) = ask(question()).await?;
        terminal::print(&text)?;
        if let Some(file) = save {
            let bytes = ask::bundle(&server, cluster.as_deref(), &connection).await?;
            bundle::keep(&file, &bytes)?;
        }
        return Ok(exit_status(status));
    }
    let mut config = load_quietly(settings).await?;
    if let Some(name) = cluster {
        only(&mut config, &name)?;
    }
    let rules = app::load_rules(&config)?;
    if watch {
        let mut watcher = app::Watcher::new(&config, &rules)?;
        let look = async || {
            let diagnoses = watcher.look().await;
            let report = Report {
                tool: rules.tool.clone(),
                time: Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()),
                diagnoses: &diagnoses,
            };
            Ok((report.status(), rendered(&report, output)))
        };
        return watched(watch::watch(look).await?);
    }
    let found = terminal::with_progress(window, app::diagnose(&config, &rules, window)).await?;
    let (diagnoses, recordings): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let report = Report {
        tool: rules.tool.clone(),
        time: Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()),
        diagnoses: &diagnoses,
    };
    terminal::print(&rendered(&report, output))?;
    if let Some(file) = save {
        bundle::save(&file, &config, &rules, &report, recordings)?;
    }
    Ok(exit_status(report.status()))
}

/// The exit status after watching: that of the last report.
fn watched(last: Option<Status>) -> anyhow::Result<u8> {
    Ok(last.map_or(UNKNOWN, exit_status))
}

fn diagnose_bundle(file: &Path, cluster: Option<&str>, output: Format) -> anyhow::Result<u8> {
    let mut bundle = bundle::open(file)?;
    bundle::only(&mut bundle, cluster)?;
    let (rules, diagnoses) = bundle::diagnoses(&bundle)?;
    let report = Report {
        tool: rules.tool,
        time: bundle.created,
        diagnoses: &diagnoses,
    };
    terminal::print(&rendered(&report, output))?;
    Ok(exit_status(report.status()))
}

fn rendered(report: &Report<'_>, output: Format) -> String {
    match output {
        Format::Text => render::text::render(report, terminal::style()),
        Format::Json => render::json::render(report),
        Format::Markdown => render::markdown::render(report),
        Format::Nagios => render::nagios::render(report),
    }
}

fn test_rules(bundle: &Path, files: &[PathBuf]) -> anyhow::Result<u8> {
    let (report, good) = bundle::try_rules(bundle, files)?;
    terminal::print(&report)?;
    Ok(if good { 0 } else { FAILED })
}

async fn healthcheck(server: &str) -> anyhow::Result<u8> {
    let words = ask::health(server).await?;
    terminal::print(&format!("{words}\n"))?;
    Ok(0)
}

/// The exit status of monitoring plugins.
fn exit_status(status: Status) -> u8 {
    match status {
        Status::Pass => 0,
        Status::Warn => 1,
        Status::Fail => 2,
        Status::Unknown => UNKNOWN,
    }
}

/// Of the connection's flags, those that concern TLS towards a server of ours.
pub(super) fn tls_of(settings: super::SettingsFlags) -> Connection {
    let flags = settings.connection;
    let tls = TlsSettings {
        ca_file: flags.cacert.map(PathBuf::from),
        cert_file: flags.cert.map(PathBuf::from),
        key_file: flags.key.map(PathBuf::from),
        server_name: None,
        insecure_skip_verify: flags
            .insecure_skip_tls_verify
            .is_some_and(|text| !["false", "no", "off", "0"].contains(&&*text)),
    };
    Connection {
        tls,
        ..Connection::default()
    }
}

pub(super) fn only(config: &mut Config, name: &str) -> anyhow::Result<()> {
    let names: Vec<String> = config
        .clusters
        .iter()
        .map(|cluster| cluster.name.clone())
        .collect();
    config.clusters.retain(|cluster| cluster.name == name);
    if config.clusters.is_empty() {
        bail!(
            "--cluster: there is no cluster {name:?}; there are: {}",
            names.join(", ")
        );
    }
    Ok(())
}

fn check_rules(files: &[PathBuf]) -> anyhow::Result<u8> {
    let files: Vec<(String, Loaded)> = files
        .iter()
        .map(|file| (file.display().to_string(), load_rule_file(file)))
        .collect();
    let (report, good) = judged(files);
    terminal::print(&report)?;
    Ok(if good { 0 } else { FAILED })
}

/// The groups of a rule file, or all that is wrong with it.
type Loaded = Result<Vec<Group>, Vec<String>>;

fn load_rule_file(path: &Path) -> Loaded {
    let name = path.display().to_string();
    let text = client::read_text(path).map_err(|why| vec![why])?;
    rules::load(&name, &text).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// What is to be said of each file, and whether all are good. Both checks look at all files and the shipped
/// rules at once, since a rule may explain alerts of another file.
fn judged(files: Vec<(String, Loaded)>) -> (String, bool) {
    let (mut groups, mut verdicts) = (Vec::new(), Vec::new());
    for (name, outcome) in files {
        match outcome {
            Ok(loaded) => {
                verdicts.push((
                    name,
                    loaded.iter().map(|group| group.rules.len()).sum::<usize>(),
                    Vec::new(),
                ));
                groups.extend(loaded);
            }
            Err(errors) => verdicts.push((name, 0, errors)),
        }
    }
    let shipped = builtin::FILES.iter();
    groups.extend(shipped.flat_map(|(name, text)| rules::load(name, text).unwrap_or_default()));
    let mut beside = Vec::new();
    let rules = RuleSet::new(groups);
    for error in check_convention(&rules)
        .into_iter()
        .chain(check_templates(&rules))
    {
        match verdicts.iter_mut().find(|(name, ..)| *name == error.file) {
            Some((_, _, errors)) => errors.push(error.to_string()),
            // A shipped rule that one of the files makes part of a circle.
            None => beside.push(error.to_string()),
        }
    }
    let good = beside.is_empty() && verdicts.iter().all(|(_, _, errors)| errors.is_empty());
    let mut report = String::new();
    for (name, count, errors) in verdicts {
        match errors.as_slice() {
            [] => {
                let rules = if count == 1 { "rule" } else { "rules" };
                report += &format!("{name}: {count} {rules}, ok\n");
            }
            _ => report += &(errors.join("\n") + "\n"),
        }
    }
    for error in beside {
        report += &(error + "\n");
    }
    (report, good)
}

/// Stands for the endpoints of a command that asks no cluster.
const NOWHERE: &str = "127.0.0.1:2379";

async fn list_rules(output: ListFormat, config_file: Option<PathBuf>) -> anyhow::Result<u8> {
    let flags = config::Flags {
        config_file,
        given: Vec::new(),
    };
    // No cluster is asked: none is looked for where the configuration names none.
    let nowhere = |_, _| {
        async {
            Ok(vec![Found {
                assumed: true,
                endpoints: vec![NOWHERE.to_owned()],
                ..Found::default()
            }])
        }
        .boxed()
    };
    let config = Loader::new(flags, variables().collect(), Arc::new(nowhere))
        .load()
        .await?;
    let set = app::load_rules(&config)?.set;
    let alerts: Vec<&AlertingRule> = set.alerting().map(|(_, _, rule)| rule).collect();
    let text = match output {
        ListFormat::Text => table(&alerts),
        ListFormat::Json => {
            let list: Vec<serde_json::Value> = alerts.iter().map(|rule| {
                let [alert, severity, category, hold, summary] = row(rule);
                serde_json::json!({"alert": alert, "severity": severity, "category": category, "for": hold, "summary": summary})
            }).collect();
            format!("{:#}\n", serde_json::Value::from(list))
        }
    };
    terminal::print(&text)?;
    Ok(0)
}

fn row(rule: &AlertingRule) -> [String; 5] {
    [
        rule.alert.clone(),
        rule.label("severity").to_owned(),
        rule.label("category").to_owned(),
        config::format_duration(rule.hold),
        // A template may be written on several lines.
        rule.annotation("summary")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
    ]
}

/// Columns as wide as their widest cell. The last, the summary, may be as long as it likes.
fn table(alerts: &[&AlertingRule]) -> String {
    let head = ["ALERT", "SEVERITY", "CATEGORY", "FOR", "SUMMARY"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(head)
        .chain(alerts.iter().map(|rule| row(rule)))
        .collect();
    let widths: [usize; 4] = std::array::from_fn(|column| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        line += &imagined(&row[4]);
        text += line.trim_end();
        text.push('\n');
    }
    text
}

async fn check_config(flags: config::Flags) -> anyhow::Result<u8> {
    let config = load(flags).await?;
    let wrong: Vec<String> = config.clusters.iter().flat_map(unusable_files).collect();
    if !wrong.is_empty() {
        anyhow::bail!(wrong.join("\n"));
    }
    let rules = app::load_rules(&config)?.set;
    for note in &config.notes {
        complain(&note.text);
    }
    let mut report = match &config.sources.file {
        Some(file) => format!("{}: ok\n", file.display()),
        None => "ok, without a configuration file\n".to_owned(),
    };
    if !config.sources.places.is_empty() {
        let _ = writeln!(report, "also read: {}", config.sources.places.join(", "));
    }
    for cluster in &config.clusters {
        let _ = writeln!(
            report,
            "cluster {}: {}",
            render::printable(&cluster.name),
            render::printable(&cluster.connection.endpoints.join(", "))
        );
    }
    let endpoints: usize = config
        .clusters
        .iter()
        .map(|cluster| cluster.connection.endpoints.len())
        .sum();
    let _ = writeln!(
        report,
        "clusters: {}, endpoints: {endpoints}, rule files: {}, rules: {}",
        config.clusters.len(),
        config.rules.files.len(),
        rules.rules().count(),
    );
    terminal::print(&report)?;
    Ok(0)
}

/// What is wrong inside the files that a cluster's connections will read. It is not asked when a server starts: files may
/// be mended while it runs.
fn unusable_files(cluster: &config::Cluster) -> Vec<String> {
    let connection = &cluster.connection;
    let password = connection.password_file.as_deref().and_then(|path| {
        let words = match std::fs::read_to_string(path) {
            Ok(text) if text.trim_end_matches(['\r', '\n']).is_empty() => "is empty".to_owned(),
            Ok(_) => return None,
            Err(error) => format!("could not be read: {error}"),
        };
        Some(format!("the password file {} {words}", path.display()))
    });
    let wrong = discover::usable(&connection.tls)
        .err()
        .into_iter()
        .chain(password);
    wrong
        .map(|words| format!("cluster {}: {words}", cluster.name))
        .collect()
}

async fn init_config(flags: config::Flags) -> anyhow::Result<u8> {
    let config = load(flags).await?;
    terminal::print(&config.to_first_file())?;
    Ok(0)
}

async fn show_config(flags: config::Flags) -> anyhow::Result<u8> {
    let config = load(flags).await?;
    for note in &config.notes {
        complain(&note.text);
    }
    terminal::print(&config.to_yaml())?;
    Ok(0)
}

/// The configuration for a command that ends by itself: only warnings are logged, unless something else is asked for.
pub(super) async fn load_quietly(settings: super::SettingsFlags) -> anyhow::Result<Config> {
    let mut config = load(settings.into_flags(None)).await?;
    if !config.sources.sets(&["log", "level"]) {
        config.log.level = tracing::level_filters::LevelFilter::WARN;
    }
    telemetry::start(config.log)?;
    for note in &config.notes {
        complain(&note.text);
    }
    Ok(config)
}

async fn load(flags: config::Flags) -> anyhow::Result<Config> {
    Ok(Loader::new(
        flags,
        variables().collect(),
        Arc::new(|wanted, paths| find(wanted, paths).boxed()),
    )
    .load()
    .await?)
}

/// The environment. A variable that is not UTF-8 is none of ours.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Looks for endpoints for a configuration that names none.
async fn find(wanted: Wanted, paths: config::Paths) -> Result<Vec<Found>, String> {
    match wanted {
        Wanted::Local => {
            let found = discover::local(&paths.proc, &paths.rootfs).into_iter();
            let found = found.map(|found| Found {
                name: found.name,
                endpoints: found.endpoints,
                ca_file: found.ca_file,
                cert_file: found.cert_file,
                key_file: found.key_file,
                server_name: None,
                assumed: found.assumed,
                notes: found.notes,
            });
            Ok(found.collect())
        }
        Wanted::Srv {
            domain,
            service,
            insecure,
        } => {
            let all = discover::srv(&domain, &service).await?;
            let (endpoints, left_out): (Vec<String>, Vec<String>) = all
                .into_iter()
                .partition(|endpoint| insecure || endpoint.starts_with("https"));
            let mut notes = vec![format!(
                "DNS names these endpoints of {domain}: {}",
                endpoints.join(", ")
            )];
            if !left_out.is_empty() {
                notes.push(format!("left out, being without TLS: {}", left_out.join(", ")));
            }
            // As etcdctl does: with secure discovery the certificates must be of the domain that was asked.
            Ok(vec![Found {
                endpoints,
                server_name: (!insecure).then_some(domain),
                notes,
                ..Found::default()
            }])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_those_of_monitoring_plugins() {
        let statuses = [Status::Pass, Status::Warn, Status::Fail, Status::Unknown].map(exit_status);
        assert_eq!(statuses, [0, 1, 2, 3]);
    }

    #[test]
    fn files_that_cannot_work_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let mut cluster = config::Cluster {
            name: "prod".into(),
            connection: crate::client::Connection::default(),
            quota_bytes: None,
            host: true,
            backups: Vec::new(),
            logs: crate::client::logs::Which::Off,
            peer_tls: None,
            hashkv_interval: None,
        };
        assert_eq!(unusable_files(&cluster), Vec::<String>::new());
        cluster.connection.password_file = Some(path("password", "\n"));
        cluster.connection.tls.ca_file = Some(path("ca.crt", key));
        let wrong = unusable_files(&cluster);
        assert!(
            wrong[0].starts_with("cluster prod: ") && wrong[0].contains("ca.crt"),
            "{wrong:?}"
        );
        assert!(wrong[1].ends_with("password is empty"), "{wrong:?}");
    }

    #[test]
    fn rule_files_are_counted_or_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, rules: &str| {
            std::fs::write(path(name), format!("groups: [{{name: g, rules: [{rules}]}}]")).unwrap();
        };
        write(
            "good.yaml",
            "{alert: A, expr: up == 0}, {record: 'a:b', expr: up}",
        );
        write("bad.yaml", "{alert: A, expr: 'up =='}");
        let judge = |names: &[&str]| {
            let (report, good) = judged(
                names
                    .iter()
                    .map(|name| (path(name).display().to_string(), load_rule_file(&path(name))))
                    .collect(),
            );
            (report.replace(&format!("{}/", folder.path().display()), ""), good)
        };
        assert_eq!(judge(&["good.yaml"]), ("good.yaml: 2 rules, ok\n".into(), true));
        let (report, good) = judge(&["bad.yaml", "good.yaml", "none.yaml"]);
        assert!(!good);
        let lines: Vec<&str> = report.lines().collect();
        assert!(lines[0].starts_with("bad.yaml:1:"), "{report}");
        assert_eq!(lines[1], "good.yaml: 2 rules, ok");
        assert!(lines[2].starts_with("none.yaml: could not read it: "), "{report}");
    }

    #[test]
    fn the_list_is_a_table() {
        let text = "groups: [{name: g, rules: [{alert: Etcd, expr: up, for: 90s, labels: {severity: info}, annotations: {summary: s}}]}]";
        let set = RuleSet::new(rules::load("f", text).unwrap());
        let alerts: Vec<&AlertingRule> = set.alerting().map(|(_, _, rule)| rule).collect();
        assert_eq!(
            table(&alerts),
            "ALERT  SEVERITY  CATEGORY  FOR    SUMMARY\nEtcd   info                1m30s  s\n"
        );
    }
}
