//! The outside world, one file a wire: etcd's gRPC, HTTP pages, and beneath both the dialling and TLS.

pub mod alertmanager;
mod certificate;
mod dial;
pub mod discover;
mod endpoint;
pub mod etcd;
pub mod exposition;
mod flags;
pub mod logs;
pub mod peer_port;
pub mod proc;
pub mod scrape;
pub mod snapshot;
mod text_file;
mod tls;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

pub use certificate::Validity;
pub use dial::Shown;
pub use endpoint::Endpoint;
pub use flags::Origin;
pub use text_file::read_text;
pub use tls::TlsSettings;

use crate::model::{Access, CollectError, Reason};
use etcd::Etcd;
use scrape::Scraper;
use tls::TlsFiles;

/// How one cluster is reached: the part of a cluster's configuration that this layer reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connection {
    /// Where members are asked first: `host:port`, `http://…`, `https://…` or `unix:///path`. The other members are
    /// found from these. Without a scheme it is TLS when `tls` says anything, as in etcdctl.
    pub endpoints: Vec<String>,
    /// Certificates.
    pub tls: TlsSettings,
    /// The user, when the cluster authenticates by name and password.
    pub username: Option<String>,
    /// The user's password. Prefer `password_file`.
    pub password: Option<Secret>,
    /// A file with the user's password; one line break at its end is not part of it.
    pub password_file: Option<PathBuf>,
    /// Where a member's own `/metrics` is, by the member's name, its hex id or its endpoint, when it is not
    /// `<endpoint>/metrics` (kubeadm: `http://127.0.0.1:2381/metrics`).
    pub metrics_urls: BTreeMap<String, String>,
}

impl Connection {
    /// What a person needs to go the same way with etcdctl.
    pub fn access(&self) -> Access {
        let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        Access {
            ca_file: text(&self.tls.ca_file),
            cert_file: text(&self.tls.cert_file),
            key_file: text(&self.tls.key_file),
            user: self.username.clone(),
            insecure_skip_verify: self.tls.insecure_skip_verify,
        }
    }
}

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What all links of one cluster share: certificates, credentials and the deadline.
#[derive(Clone)]
pub struct Network {
    tls: Arc<TlsFiles>,
    login: Option<Login>,
    timeout: Duration,
}

/// Name and password.
#[derive(Clone, Debug)]
struct Login {
    username: String,
    source: PasswordSource,
}

#[derive(Clone, Debug)]
enum PasswordSource {
    Text(Secret),
    File(PathBuf),
}

impl Login {
    /// The password as of now: a file is read each time, so that a changed one counts.
    fn password(&self) -> Result<Secret, CollectError> {
        match &self.source {
            PasswordSource::Text(secret) => Ok(secret.clone()),
            PasswordSource::File(path) => read_secret(path, "password_file"),
        }
    }
}

/// The secret in a file, without one line break at its end. `key` is the setting that names the file.
fn read_secret(path: &Path, key: &str) -> Result<Secret, CollectError> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
        }
        Err(error) => Err(CollectError {
            reason: Reason::PermissionDenied,
            message: format!(
                "cannot read the {} {}: {error}",
                key.replace('_', " "),
                path.display()
            ),
            fix: format!("make the file readable to etcd-doctor, or correct {key}"),
        }),
    }
}

impl Network {
    /// Prepares what links share. Reads no file yet: each connection reads its certificates when they changed.
    pub fn new(connection: &Connection, timeout: Duration) -> Self {
        let source = match (&connection.password_file, &connection.password) {
            (Some(path), _) => PasswordSource::File(path.clone()),
            (None, secret) => PasswordSource::Text(secret.clone().unwrap_or_default()),
        };
        Self {
            tls: Arc::new(TlsFiles::new(connection.tls.clone())),
            login: connection
                .username
                .clone()
                .map(|username| Login { username, source }),
            timeout,
        }
    }

    /// For how long our own certificate files are valid, by what they are for: `client` or `ca`. Reads them each time.
    pub fn own_certificates(&self) -> Vec<(&'static str, Result<Validity, CollectError>)> {
        let files = self.tls.certificate_files();
        files
            .map(|(used_for, path)| (used_for, Validity::of_file(path)))
            .collect()
    }

    /// The same with another deadline, for calls that take their time.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            timeout,
            ..self.clone()
        }
    }

    /// Parses an endpoint; without a scheme it is TLS when certificates are configured.
    ///
    /// # Errors
    /// In words, naming the endpoint.
    pub fn endpoint(&self, text: &str) -> Result<Endpoint, String> {
        Endpoint::parse(text, self.tls.configured())
    }
}

/// How to reach one member: its gRPC client and its `/metrics` page, never balanced over others.
pub struct Link {
    network: Network,
    endpoint: Endpoint,
    etcd: Etcd,
    scraper: Scraper,
    /// What a connection showed that was made to look at it.
    looked: Mutex<Option<Shown>>,
}

/// What etcd serves to anybody who may connect, from memory.
const VERSION: &str = "/version";

impl Link {
    /// A link to one member. Connects with the first call. `metrics_url` is where its page is, when it is not at
    /// the endpoint.
    ///
    /// # Errors
    /// In words, when the metrics URL is not one.
    pub fn new(network: &Network, endpoint: Endpoint, metrics_url: Option<&str>) -> Result<Self, String> {
        let scraper = match metrics_url {
            Some(url) => Scraper::at_url(network, url)?,
            None => Scraper::new(network, endpoint.clone(), "/metrics".into()),
        };
        Ok(Self {
            network: network.clone(),
            etcd: Etcd::new(network, endpoint.clone()),
            scraper,
            endpoint,
            looked: Mutex::default(),
        })
    }

    /// The same, with a user and a password for its pages, for where they ask for them.
    #[must_use]
    pub fn authorized(mut self, user: &str, password: &Secret) -> Self {
        self.scraper.authorize(user, password);
        self
    }

    /// Where the member is asked.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What the member showed in the newest TLS handshake: of the connection that the calls use, or of one that was made
    /// to look again. None before the first, and in plain text.
    ///
    /// # Errors
    /// Why the member cannot be connected to now.
    pub fn shown(&self) -> Result<Option<Shown>, CollectError> {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let shown = self.etcd.shown()?;
        Ok(shown.into_iter().chain(looked).max_by_key(|shown| shown.at))
    }

    /// Looks again at what the member shows: connections are kept for days, and etcd shows a renewed certificate only to
    /// new ones. Asks for the version, since a member logs a connection that ends without a request as a rejected one.
    ///
    /// # Errors
    /// Names the endpoint and the reason.
    pub async fn look_again(&self) -> Result<(), CollectError> {
        let scraper = Scraper::new(&self.network, self.endpoint.clone(), VERSION.into());
        let answer = scraper.get(VERSION).await;
        // A handshake that failed for what it showed counts, too.
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = scraper.shown();
        answer.map(drop)
    }

    /// Its gRPC calls.
    pub fn etcd(&self) -> &Etcd {
        &self.etcd
    }

    /// Its pages.
    pub fn scraper(&self) -> &Scraper {
        &self.scraper
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let connection = Connection {
            password: Some(Secret::new("hunter2")),
            ..Connection::default()
        };
        assert!(!format!("{connection:?}").contains("hunter2"));
    }

    #[test]
    fn a_password_file_loses_one_line_break_and_is_read_anew() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let login = Login {
            username: "doctor".into(),
            source: PasswordSource::File(file.path().into()),
        };
        for (written, read) in [("one\n", "one"), ("two\r\n", "two"), ("three \n\n", "three \n")] {
            std::fs::write(file.path(), written).unwrap();
            assert_eq!(login.password().unwrap().reveal(), read);
        }
        file.close().unwrap();
        assert!(login.password().unwrap_err().message.contains("password file"));
    }
}
