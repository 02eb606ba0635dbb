//! Settings: defaults, then a YAML file, then `ETCD_DOCTOR_…` variables, then flags; checked whole before anything is bound.
//!
//! Each source becomes a `layer` of text with a place for every value. figment merges the layers, `raw` gives each key
//! its type, `check` makes a [`Config`] of it or says everything that is wrong, naming file and line, variable or flag.
//! etcdctl's flags and variables (`etcdctl`) describe one cluster, for use without a file that names clusters.

mod check;
mod duration;
mod env;
mod etcdctl;
mod file;
mod init;
mod layer;
mod load;
mod raw;
mod show;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::alertmanager::Credentials;
use crate::collect;
use crate::telemetry;

pub use duration::{format as format_duration, parse as parse_duration};
pub use env::CONFIG_FILE;
pub use etcdctl::Wanted;
pub use load::{Discover, Flags, Found, Loader};

/// The effective configuration. Whoever has one need not check it again.
#[derive(Clone, Debug)]
pub struct Config {
    /// How often each cluster is looked at.
    pub interval: Duration,
    /// The deadline of one call to a member; shorter than `interval`.
    pub timeout: Duration,
    /// The clusters, at least one, with unique names.
    pub clusters: Vec<Cluster>,
    /// Which rules are evaluated.
    pub rules: Rules,
    /// Where alerts go.
    pub alerting: crate::notify::Settings,
    /// The HTTP server.
    pub web: Web,
    /// Bounds of the window.
    pub store: crate::store::Settings,
    /// Logging.
    pub log: telemetry::Settings,
    /// Where the host is seen.
    pub paths: Paths,
    /// What the operator should know of how this came about, to be logged once: what was found, what is ignored.
    pub notes: Vec<Note>,
    /// Where it was read from.
    pub sources: Sources,
    loader: Loader,
}

/// One cluster.
#[derive(Clone, PartialEq, Debug)]
pub struct Cluster {
    /// Its name: the label `cluster`.
    pub name: String,
    /// How its members are reached.
    pub connection: crate::client::Connection,
    /// The backend quota in bytes, for when nothing better tells it.
    pub quota_bytes: Option<u64>,
    /// How far this host is looked at for its members.
    pub host: crate::client::proc::HostAccess,
    /// Folders and patterns of its backups.
    pub backups: Vec<PathBuf>,
    /// Which of its members' logs are read.
    pub logs: crate::client::logs::Which,
    /// What the members' peer ports are asked with; not at all when `None`.
    pub peer_tls: Option<crate::client::TlsSettings>,
    /// How often the members' data are compared; not at all when `None`.
    pub hashkv_interval: Option<Duration>,
}

/// Which rules are evaluated.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Those in the binary.
    pub builtin: bool,
    /// Further files, patterns already expanded, in the order to load them.
    pub files: Vec<PathBuf>,
    /// Labels that alerts get when they leave this process.
    pub external_labels: BTreeMap<String, String>,
    /// The folder with the files in which alerts outlive a restart.
    pub state_dir: Option<PathBuf>,
    /// As written, for `config show`.
    patterns: Vec<PathBuf>,
}

/// The HTTP server.
#[derive(Clone, Debug)]
pub struct Web {
    /// Where readers of links reach this server, without a slash at the end; worked out when `None`.
    pub external_url: Option<String>,
    /// `host:port`; an empty host means all interfaces.
    pub listen_address: String,
    /// Whether `POST /-/reload` is allowed from elsewhere than this host.
    pub enable_remote_reload: bool,
    /// The file that says what protects the server, in the format of Prometheus' exporter-toolkit.
    pub config_file: Option<PathBuf>,
}

/// Where the host is seen: elsewhere than usual when its folders are mounted into a container.
#[derive(Clone, Debug)]
pub struct Paths {
    /// `/proc`
    pub proc: PathBuf,
    /// `/sys`
    pub sys: PathBuf,
    /// The root file system, for `statvfs` of mount points.
    pub rootfs: PathBuf,
}

/// Something to log about the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Whether it deserves attention.
    pub warning: bool,
    /// In words.
    pub text: String,
}

/// Where a configuration was read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file.
    pub file: Option<PathBuf>,
    /// Every other place that set something: variables, flags, what was discovered.
    pub places: Vec<String>,
    /// Which place set each key, by the key's path.
    origins: BTreeMap<Vec<String>, String>,
}

/// Why a configuration is refused: everything that is wrong with it, as far as it could be read.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Error(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where it stands: `etcd-doctor.yaml:3:5`, `variable ETCD_DOCTOR_INTERVAL`, `--endpoints`; may be empty.
    pub place: String,
    /// The key: `clusters[0].endpoints[1]`; may be empty.
    pub path: String,
    /// What is wrong and what was expected.
    pub what: String,
}

impl Config {
    /// Reads everything again: the same file, variables and flags. The present configuration stays as it is.
    pub async fn reload(&self) -> Result<Self, Error> {
        self.loader.load().await
    }

    /// What the collectors of a cluster need to know. All metrics of the members' pages are kept; who knows the rules can
    /// narrow `page_metrics`.
    pub fn collect_settings(&self, cluster: &Cluster) -> collect::Settings {
        let Paths { proc, sys, rootfs } = self.paths.clone();
        let Cluster {
            quota_bytes,
            host,
            hashkv_interval,
            ..
        } = *cluster;
        let backups = cluster.backups.clone().into();
        collect::Settings {
            timeout: self.timeout,
            quota_bytes,
            page_metrics: None,
            host,
            backups,
            logs: cluster.logs.clone(),
            peer_tls: cluster.peer_tls.clone(),
            hashkv_interval,
            proc,
            sys,
            rootfs,
        }
    }

    /// Texts that nobody else is to read: passwords, those in files too, and what stands behind the `?` of a URL. A
    /// password file that cannot be read has none.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = Vec::new();
        for cluster in &self.clusters {
            let connection = &cluster.connection;
            secrets.extend(
                connection
                    .password
                    .iter()
                    .map(|secret| secret.reveal().to_owned()),
            );
            secrets.extend(connection.password_file.as_deref().and_then(secret_in));
            for url in connection.metrics_urls.values() {
                let Some((_, query)) = url.split_once('?') else {
                    continue;
                };
                let values = query.split('&').filter_map(|pair| pair.split_once('='));
                secrets.extend(values.map(|(_, value)| value.to_owned()));
                secrets.push(query.to_owned());
            }
        }
        let targets = self
            .alerting
            .alertmanagers
            .iter()
            .flat_map(|group| &group.targets);
        secrets.extend(targets.filter_map(|target| match &target.credentials {
            Credentials::None => None,
            Credentials::Basic { password_file, .. } => secret_in(password_file),
            Credentials::Bearer { token_file } => secret_in(token_file),
        }));
        secrets
    }

    /// As a commented YAML file to begin with: what was found, and what one may want to say besides. No password is in it.
    pub fn to_first_file(&self) -> String {
        init::yaml(self)
    }

    /// As a YAML file that gives the same configuration, with the place of each value beside it; passwords are hidden.
    pub fn to_yaml(&self) -> String {
        show::yaml(self)
    }
}

/// What stands in a file of one line.
fn secret_in(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(text.trim_end_matches(['\r', '\n']).to_owned())
}

impl Sources {
    /// Whether anything but the defaults set a key.
    pub fn sets(&self, path: &[&str]) -> bool {
        let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
        self.origins.contains_key(&path)
    }
}

impl Web {
    /// Where readers of links reach this server, without a slash at the end.
    pub fn reached_at(&self) -> String {
        if let Some(url) = &self.external_url {
            return url.clone();
        }
        let address = match self.listen_address.rsplit_once(':') {
            Some(("0.0.0.0" | "[::]", port)) => {
                let every = Self {
                    listen_address: format!(":{port}"),
                    ..self.clone()
                };
                every.instance()
            }
            _ => self.instance(),
        };
        format!("http://{address}")
    }

    /// What the label `instance` of etcd-doctor's own series is: the address with this host's name for all interfaces.
    fn instance(&self) -> String {
        match self.listen_address.strip_prefix(':') {
            Some(port) => format!(
                "{}:{port}",
                sysinfo::System::host_name().unwrap_or_else(|_| "localhost".into())
            ),
            None => self.listen_address.clone(),
        }
    }

    /// The addresses to bind, in the order to try them: a host without IPv6 refuses the first of `:9379`.
    pub fn bind_addresses(&self) -> Vec<String> {
        match self.listen_address.strip_prefix(':') {
            Some(port) => vec![format!("[::]:{port}"), format!("0.0.0.0:{port}")],
            None => vec![self.listen_address.clone()],
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for before in [&self.place, &self.path] {
            if !before.is_empty() {
                write!(f, "{before}: ")?;
            }
        }
        f.write_str(&self.what)
    }
}

#[cfg(test)]
mod tests;
