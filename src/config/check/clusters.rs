//! The clusters that are watched: the section `clusters`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::{Cluster, duration, raw, show};
use super::{Check, Note, is_world_readable};
use crate::client::logs::{Place, Which};
use crate::client::proc::HostAccess;
use crate::client::{Connection, Endpoint, TlsSettings};
use crate::collect::MAX_BACKUP_FOLDERS;

/// A cluster's name, as long as Prometheus servers commonly allow a label to be.
const MAX_NAME: usize = 128;

/// What distributions call etcd's unit.
const DEFAULT_UNIT: &str = "etcd.service";

/// Comparing the members' data more often would be a load of its own on a large database.
const SHORTEST_HASHKV_INTERVAL: Duration = Duration::from_secs(60);

impl Check<'_> {
    pub(super) fn clusters(&mut self, clusters: &[raw::Cluster]) -> Vec<Cluster> {
        if clusters.is_empty() {
            self.problem(&["clusters"], "at least one cluster is needed");
        }
        let checked: Vec<Cluster> = clusters
            .iter()
            .enumerate()
            .map(|(index, cluster)| self.cluster(&index.to_string(), cluster))
            .collect();
        self.unique(&checked);
        checked
    }

    fn cluster(&mut self, index: &str, raw: &raw::Cluster) -> Cluster {
        let at = |key| ["clusters", index, key];
        let name = raw.name.as_ref().map_or("etcd", |name| name.0.as_str());
        let of_name = |c: char| c.is_ascii_alphanumeric() || "._-:/@".contains(c);
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(of_name) {
            let what =
                format!("{name:?} is no name: expected 1 to {MAX_NAME} letters, digits and . _ - : / @");
            self.problem(&at("name"), what);
        }
        let tls = self.tls(&at("tls"), raw.tls.as_ref());
        let connection = Connection {
            endpoints: self.endpoints(index, raw, tls != TlsSettings::default()),
            tls,
            username: raw.username.as_ref().map(|name| name.0.clone()),
            password: raw.password.as_ref().map(|password| password.0.clone()),
            password_file: self.file(&at("password_file"), raw.password_file.as_ref()),
            metrics_urls: self.metrics_urls(index, raw),
        };
        self.credentials(index, &connection);
        let quota_bytes = raw.quota_bytes.as_ref().map(|quota| quota.0.0);
        if quota_bytes == Some(0) {
            self.problem(
                &at("quota_bytes"),
                "must be more than 0; leave it out when the quota is not known",
            );
        }
        let host = raw.host.as_ref().map(|host| host.0).unwrap_or_default();
        let logs = self.logs(index, raw.logs.as_ref());
        if host == HostAccess::None && matches!(logs, Which::Here(_) | Which::Of(_)) {
            self.problem(
                &at("logs"),
                "this host is not looked at, nor is a log on it: set host to true or limited, or leave this out",
            );
        }
        Cluster {
            name: name.to_owned(),
            connection,
            quota_bytes,
            host,
            backups: self.backups(index, raw),
            logs,
            peer_tls: self.peer_tls(index, raw),
            hashkv_interval: self.hashkv_interval(index, raw),
        }
    }

    fn logs(&mut self, index: &str, raw: Option<&raw::OneOrEach>) -> Which {
        let at = ["clusters", index, "logs"];
        match raw {
            None => Which::Found,
            Some(raw::OneOrEach::One(text)) => match text.to_ascii_lowercase().as_str() {
                "off" | "no" | "false" => Which::Off,
                "found" => Which::Found,
                _ => Which::Here(self.log(&at, text)),
            },
            Some(raw::OneOrEach::Each(each)) => {
                let place = |(name, text): (&String, &raw::Leaf<String>)| {
                    (
                        name.clone(),
                        self.log(&["clusters", index, "logs", name], &text.0),
                    )
                };
                Which::Of(each.iter().map(place).collect())
            }
        }
    }

    /// Where one log is: `journal`, `journal:UNIT`, or a file or pattern, which need not be there yet.
    fn log(&mut self, at: &[&str], text: &str) -> Place {
        let unit = match text.split_once(':') {
            _ if text == "journal" => Some(DEFAULT_UNIT),
            Some(("journal", unit)) => Some(unit),
            _ => None,
        };
        let is_unit = |unit: &str| {
            let of_unit = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
            !unit.is_empty() && unit.chars().all(of_unit)
        };
        match unit {
            Some(unit) if !is_unit(unit) => {
                self.problem(at, format!("{unit:?} is no name of a systemd unit"))
            }
            None if text.is_empty() => {
                self.problem(
                    at,
                    "expected found, off, journal, journal:UNIT, a file or a pattern",
                );
            }
            None if glob::Pattern::new(text).is_err() => self.problem(at, format!("{text:?} is no pattern")),
            _ => {}
        }
        match unit {
            Some(unit) => Place::Journal(unit.to_owned()),
            None => Place::File(self.path(at, Path::new(text))),
        }
    }

    /// Folders of backups. They need not be there: one that is mounted later, or not at all, is what is watched for.
    fn backups(&mut self, index: &str, raw: &raw::Cluster) -> Vec<PathBuf> {
        let written = raw.backups.as_ref().map_or(&[][..], |list| &list.0);
        if written.len() > MAX_BACKUP_FOLDERS {
            let what = format!(
                "{} folders, at most {MAX_BACKUP_FOLDERS} are watched; a pattern such as /backup/*/*.db names files of many",
                written.len()
            );
            self.problem(&["clusters", index, "backups"], what);
        }
        let mut places = Vec::new();
        for (position, place) in written.iter().enumerate() {
            let at = ["clusters", index, "backups", &position.to_string()];
            let place = self.path(&at, place);
            let pattern = place.to_str().map(glob::Pattern::new);
            match pattern {
                None => self.problem(&at, format!("{} is not UTF-8", place.display())),
                Some(Err(error)) => {
                    self.problem(&at, format!("{} is no pattern: {error}", place.display()));
                }
                Some(Ok(_)) if places.contains(&place) => {
                    self.problem(&at, format!("{} is named twice", place.display()));
                }
                Some(Ok(_)) => {}
            }
            places.push(place);
        }
        places
    }

    /// What the members' peer ports are asked with, where they are.
    fn peer_tls(&mut self, index: &str, raw: &raw::Cluster) -> Option<TlsSettings> {
        let tls = self.tls(&["clusters", index, "peer_tls"], raw.peer_tls.as_ref());
        let asked = raw.peer_ports.as_ref().is_some_and(|asked| asked.0);
        if !asked && raw.peer_tls.is_some() {
            self.problem(
                &["clusters", index, "peer_tls"],
                "the peer ports are not asked: set peer_ports to true, or leave this out",
            );
        }
        asked.then_some(tls)
    }

    fn hashkv_interval(&mut self, index: &str, raw: &raw::Cluster) -> Option<Duration> {
        let interval = raw.hashkv_interval.as_ref()?.0;
        if interval < SHORTEST_HASHKV_INTERVAL {
            let what = format!(
                "must be {} or more, since each member reads its whole database for it; 10m is a good one",
                duration::format(SHORTEST_HASHKV_INTERVAL)
            );
            self.problem(&["clusters", index, "hashkv_interval"], what);
        }
        Some(interval)
    }

    fn endpoints(&mut self, index: &str, raw: &raw::Cluster, secure: bool) -> Vec<String> {
        let written = raw
            .endpoints
            .as_ref()
            .map(|list| list.0.as_slice())
            .unwrap_or_default();
        if written.is_empty() {
            self.problem(
                &["clusters", index, "endpoints"],
                "at least one endpoint is needed, such as 127.0.0.1:2379",
            );
        }
        let mut endpoints = Vec::new();
        for (position, text) in written.iter().enumerate() {
            match endpoint(text, secure) {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(what) => self.problem(&["clusters", index, "endpoints", &position.to_string()], what),
            }
        }
        endpoints
    }

    fn metrics_urls(&mut self, index: &str, raw: &raw::Cluster) -> BTreeMap<String, String> {
        let mut urls = BTreeMap::new();
        for (of, url) in raw.metrics_urls.iter().flatten() {
            let parsed = url::Url::parse(&url.0);
            if !parsed.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
                let what = format!(
                    "expected a URL such as http://127.0.0.1:2381/metrics, found {:?}",
                    url.0
                );
                self.problem(&["clusters", index, "metrics_urls", of], what);
            }
            urls.insert(of.clone(), url.0.clone());
        }
        urls
    }

    fn credentials(&mut self, index: &str, connection: &Connection) {
        let at = |key| ["clusters", index, key];
        let Connection {
            username,
            password,
            password_file,
            ..
        } = connection;
        match (username, password, password_file) {
            (_, Some(_), Some(_)) => {
                self.problem(&at("password"), "password_file is set too; keep one of them")
            }
            (None, Some(_), _) => self.problem(&at("password"), "a password needs a username"),
            (None, _, Some(_)) => self.problem(&at("password_file"), "a password needs a username"),
            (Some(_), None, None) => self.problem(&at("username"), "a username needs a password_file"),
            _ => {}
        }
        if username.as_deref() == Some("") {
            self.problem(&at("username"), "must not be empty");
        }
        if password
            .as_ref()
            .is_some_and(|password| password.reveal() == show::HIDDEN)
        {
            let text = format!("cluster {index}: the password is what `config show` prints in place of one");
            self.notes.push(Note { warning: true, text });
        }
        if let Some(path) = password_file.as_deref().filter(|path| is_world_readable(path)) {
            let text = format!(
                "{}: everybody on this host can read this password file; chmod 0640",
                path.display()
            );
            self.notes.push(Note { warning: true, text });
        }
    }

    /// No name twice, no endpoint twice: the same members would be watched, and counted, as two clusters.
    fn unique(&mut self, clusters: &[Cluster]) {
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let mut endpoints: Vec<(Endpoint, &Cluster)> = Vec::new();
        for (index, cluster) in clusters.iter().enumerate() {
            let at = index.to_string();
            if let Some(first) = names.insert(&cluster.name, index) {
                let what = format!("the name {:?} is already that of clusters[{first}]", cluster.name);
                self.problem(&["clusters", &at, "name"], what);
            }
            for (position, text) in cluster.connection.endpoints.iter().enumerate() {
                let Ok(endpoint) = Endpoint::parse(text, false) else {
                    continue;
                };
                if let Some((_, other)) = endpoints.iter().find(|(other, _)| other.same_place(&endpoint)) {
                    let what = format!("{text} is already an endpoint of cluster {:?}", other.name);
                    self.problem(&["clusters", &at, "endpoints", &position.to_string()], what);
                } else {
                    endpoints.push((endpoint, cluster));
                }
            }
        }
    }
}

/// The endpoint as a URL. The error says what is wrong with it.
fn endpoint(text: &str, secure: bool) -> Result<String, String> {
    let endpoint = Endpoint::parse(text, secure)?;
    match text.contains('@') && !text.starts_with("unix") {
        true => Err("a user does not belong in an endpoint: use username and password_file".into()),
        false => Ok(endpoint.as_str().to_string()),
    }
}
