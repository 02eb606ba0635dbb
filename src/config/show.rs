//! The effective configuration as a YAML file, with the place of each value beside it.

mod alerting;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::load::Merged;
use super::{Cluster, Config, duration};
use crate::client::TlsSettings;
use crate::client::logs::{Place, Which};
use crate::client::proc::HostAccess;

/// What stands in place of a password.
pub(super) const HIDDEN: &str = "<hidden>";

/// The place that set each key; defaults are left out.
pub(super) fn origins(merged: &Merged) -> BTreeMap<Vec<String>, String> {
    let mut origins: BTreeMap<_, _> = merged
        .paths()
        .into_iter()
        .map(|path| (path.clone(), merged.place(&path)))
        .collect();
    origins.retain(|_, place| !place.is_empty() && place != "default");
    origins
}

/// The whole configuration.
pub(super) fn yaml(config: &Config) -> String {
    let mut page = Page {
        origins: &config.sources.origins,
        text: String::new(),
        path: Vec::new(),
    };
    page.value("interval", &duration::format(config.interval));
    page.value("timeout", &duration::format(config.timeout));
    page.value("window", &duration::format(config.store.window));
    page.text += "clusters:\n";
    page.path.push("clusters".into());
    for (index, cluster) in config.clusters.iter().enumerate() {
        page.item(index, |page| page.cluster(cluster));
    }
    page.path.clear();
    page.section("rules", |page| {
        page.value("builtin", &config.rules.builtin.to_string());
        page.list(
            "files",
            config
                .rules
                .patterns
                .iter()
                .map(|path| path.display().to_string()),
        );
        page.map("external_labels", &config.rules.external_labels);
        page.path_value("state_dir", config.rules.state_dir.as_deref());
    });
    alerting::section(&mut page, &config.alerting);
    page.section("web", |page| {
        page.value("external_url", &quoted(&config.web.reached_at()));
        page.value("listen_address", &quoted(&config.web.listen_address));
        page.value(
            "enable_remote_reload",
            &config.web.enable_remote_reload.to_string(),
        );
        page.path_value("config_file", config.web.config_file.as_deref());
    });
    page.section("store", |page| {
        page.value("max_series", &config.store.max_series.to_string());
        page.value("etcd_job", &quoted(&config.store.etcd_job));
    });
    page.section("log", |page| {
        page.value("level", &config.log.level.to_string());
        page.value("format", config.log.format.as_str());
    });
    page.section("paths", |page| {
        page.path_value("proc", Some(&config.paths.proc));
        page.path_value("sys", Some(&config.paths.sys));
        page.path_value("rootfs", Some(&config.paths.rootfs));
    });
    page.text
}

/// A text in double quotes. JSON's strings are YAML's, too.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Page<'a> {
    origins: &'a BTreeMap<Vec<String>, String>,
    text: String,
    path: Vec<String>,
}

impl Page<'_> {
    /// The indent of keys at the present depth: a list's item stands two columns in, like the keys of a map.
    fn indent(&self) -> String {
        "  ".repeat(self.path.len())
    }

    fn line(&mut self, key: &str, value: &str) {
        let indent = self.indent();
        self.path.push(key.to_owned());
        let origin = self
            .origins
            .get(&self.path)
            .map(|place| format!("  # {place}"))
            .unwrap_or_default();
        self.path.pop();
        let space = if value.is_empty() { "" } else { " " };
        let _ = writeln!(self.text, "{indent}{key}:{space}{value}{origin}");
    }

    fn value(&mut self, key: &str, value: &str) {
        self.line(key, value);
    }

    fn path_value(&mut self, key: &str, path: Option<&Path>) {
        if let Some(path) = path {
            self.line(key, &quoted(&path.display().to_string()));
        }
    }

    fn section(&mut self, key: &str, body: impl FnOnce(&mut Self)) {
        self.line(key, "");
        self.path.push(key.to_owned());
        body(self);
        self.path.pop();
    }

    fn list(&mut self, key: &str, items: impl Iterator<Item = String>) {
        let items: Vec<String> = items.map(|item| quoted(&item)).collect();
        self.line(key, &format!("[{}]", items.join(", ")));
    }

    fn map(&mut self, key: &str, map: &BTreeMap<String, String>) {
        if map.is_empty() {
            return self.line(key, "{}");
        }
        self.section(key, |page| {
            for (name, value) in map {
                let indent = page.indent();
                let _ = writeln!(page.text, "{indent}{}: {}", quoted(name), quoted(value));
            }
        });
    }

    fn tls(&mut self, key: &str, tls: &TlsSettings) {
        self.section(key, |page| {
            page.path_value("ca_file", tls.ca_file.as_deref());
            page.path_value("cert_file", tls.cert_file.as_deref());
            page.path_value("key_file", tls.key_file.as_deref());
            if let Some(name) = &tls.server_name {
                page.value("server_name", &quoted(name));
            }
            page.value("insecure_skip_verify", &tls.insecure_skip_verify.to_string());
        });
    }

    /// One of a list's items. The dash takes the place of its first key's last two columns of indent.
    fn item(&mut self, index: usize, body: impl FnOnce(&mut Self)) {
        self.path.push(index.to_string());
        let (start, dash) = (self.text.len(), self.indent().len() - 2);
        body(self);
        self.path.pop();
        self.text.replace_range(start + dash..start + dash + 2, "- ");
    }

    fn cluster(&mut self, cluster: &Cluster) {
        let connection = &cluster.connection;
        self.line("name", &quoted(&cluster.name));
        self.list("endpoints", connection.endpoints.iter().cloned());
        self.tls("tls", &connection.tls);
        if let Some(name) = &connection.username {
            self.value("username", &quoted(name));
        }
        if connection.password.is_some() {
            self.value("password", &quoted(HIDDEN));
        }
        self.path_value("password_file", connection.password_file.as_deref());
        self.map("metrics_urls", &connection.metrics_urls);
        if let Some(quota) = cluster.quota_bytes {
            self.value("quota_bytes", &quota.to_string());
        }
        let host = match cluster.host {
            HostAccess::None => "false",
            HostAccess::Limited => "limited",
            HostAccess::Full => "true",
        };
        self.value("host", host);
        self.value("peer_ports", &cluster.peer_tls.is_some().to_string());
        if let Some(tls) = &cluster.peer_tls {
            self.tls("peer_tls", tls);
        }
        if let Some(interval) = cluster.hashkv_interval {
            self.value("hashkv_interval", &duration::format(interval));
        }
        if !cluster.backups.is_empty() {
            let backups = cluster.backups.iter();
            self.list("backups", backups.map(|place| place.display().to_string()));
        }
        self.logs(&cluster.logs);
    }

    fn logs(&mut self, logs: &Which) {
        let text = |place: &Place| match place {
            Place::File(path) => path.display().to_string(),
            Place::Journal(unit) => format!("journal:{unit}"),
        };
        match logs {
            Which::Found => self.value("logs", "found"),
            Which::Off => self.value("logs", "off"),
            Which::Here(place) => self.value("logs", &quoted(&text(place))),
            Which::Of(places) => {
                let places = places.iter().map(|(name, place)| (name.clone(), text(place)));
                self.map("logs", &places.collect());
            }
        }
    }
}
