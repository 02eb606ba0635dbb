//! The configuration of a command: where it comes from, and `config check`, `config show` and `config init`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use futures::FutureExt;

use super::run::complain;
use super::{ServerFlags, SettingsFlags, terminal};
use crate::client::alertmanager::{self, Credentials};
use crate::client::{Connection, Secret, TlsSettings, discover};
use crate::config::{self, Config, Found, Loader, Wanted};
use crate::{app, render, telemetry};

/// Where a password may be instead of on the command line, which other users of the host can read.
const PASSWORD: &str = "ETCDCTL_PASSWORD";

pub(super) async fn check(flags: config::Flags) -> anyhow::Result<u8> {
    let config = load(flags).await?;
    let mut wrong: Vec<String> = config.clusters.iter().flat_map(unusable_files).collect();
    wrong.extend(unusable_files_of_alertmanagers(&config));
    if !wrong.is_empty() {
        anyhow::bail!(wrong.join("\n"));
    }
    let rules = app::load_rules(&config)?.set;
    let protection = app::protection(&config)?;
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
    if let Some(file) = &config.web.config_file {
        let _ = writeln!(report, "{}: {}", file.display(), protection.summary());
    }
    for target in targets(&config) {
        let _ = writeln!(report, "Alertmanager: {}", render::printable(&target.url.base()));
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
    let password = connection.password_file.as_deref();
    let password = password.and_then(|path| unusable_secret("password", path));
    let wrong = discover::usable(&connection.tls)
        .err()
        .into_iter()
        .chain(password);
    wrong
        .map(|words| format!("cluster {}: {words}", cluster.name))
        .collect()
}

/// The same of Alertmanagers. Those of a group share their files.
fn unusable_files_of_alertmanagers(config: &Config) -> Vec<String> {
    let mut wrong = Vec::new();
    for target in targets(config) {
        let secret = match &target.credentials {
            Credentials::None => None,
            Credentials::Basic { password_file, .. } => unusable_secret("password", password_file),
            Credentials::Bearer { token_file } => unusable_secret("bearer token", token_file),
        };
        let tls = discover::usable(&target.tls).err();
        let words = tls.into_iter().chain(secret);
        wrong.extend(words.map(|words| format!("Alertmanager {}: {words}", target.url.base())));
    }
    wrong
}

fn targets(config: &Config) -> impl Iterator<Item = &alertmanager::Settings> {
    let groups = config.alerting.alertmanagers.iter();
    groups.flat_map(|group| &group.targets)
}

fn unusable_secret(what: &str, path: &Path) -> Option<String> {
    let words = match std::fs::read_to_string(path) {
        Ok(text) if text.trim_end_matches(['\r', '\n']).is_empty() => "is empty".to_owned(),
        Ok(_) => return None,
        Err(error) => format!("could not be read: {error}"),
    };
    Some(format!("the {what} file {} {words}", path.display()))
}

pub(super) async fn init(flags: config::Flags) -> anyhow::Result<u8> {
    let config = load(flags).await?;
    terminal::print(&config.to_first_file())?;
    Ok(0)
}

pub(super) async fn show(flags: config::Flags) -> anyhow::Result<u8> {
    let config = load(flags).await?;
    for note in &config.notes {
        complain(&note.text);
    }
    terminal::print(&config.to_yaml())?;
    Ok(0)
}

/// The configuration for a command that ends by itself: only warnings are logged, unless something else is asked for.
pub(super) async fn load_quietly(settings: SettingsFlags) -> anyhow::Result<Config> {
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

pub(super) async fn load(flags: config::Flags) -> anyhow::Result<Config> {
    Ok(Loader::new(
        flags,
        variables().collect(),
        Arc::new(|wanted, paths| find(wanted, paths).boxed()),
    )
    .load()
    .await?)
}

/// The environment. A variable that is not UTF-8 is none of ours.
pub(super) fn variables() -> impl Iterator<Item = (String, String)> {
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

/// Of the connection's flags, those that concern a server of ours: TLS, and the user of its web configuration.
///
/// # Errors
/// When a user is given without a password.
pub(super) fn towards_server(flags: ServerFlags) -> anyhow::Result<Connection> {
    let (user, password) = match flags.user.as_deref().map(|user| user.split_once(':')) {
        Some(Some((user, password))) => (Some(user.to_owned()), Some(password.to_owned())),
        _ => (
            flags.user,
            flags.password.or_else(|| std::env::var(PASSWORD).ok()),
        ),
    };
    if user.is_some() && password.is_none() {
        bail!("--user needs a password: give it as name:password, with --password or in {PASSWORD}");
    }
    let tls = TlsSettings {
        ca_file: flags.cacert.map(PathBuf::from),
        cert_file: flags.cert.map(PathBuf::from),
        key_file: flags.key.map(PathBuf::from),
        server_name: None,
        insecure_skip_verify: flags
            .insecure_skip_tls_verify
            .is_some_and(|text| !["false", "no", "off", "0"].contains(&&*text)),
    };
    Ok(Connection {
        tls,
        password: user.as_ref().and(password).map(Secret::new),
        username: user,
        ..Connection::default()
    })
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

#[cfg(test)]
mod tests {
    use super::*;

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
            host: Default::default(),
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
}
