//! Where alerts go: the section `alerting`.

use std::time::Duration;

use super::super::raw;
use super::{Check, Note, is_world_readable};
use crate::client::TlsSettings;
use crate::client::alertmanager::{self, Credentials};
use crate::model::Labels;
use crate::notify::relabel::{Relabel, Written};
use crate::notify::{Group, Settings};

/// What Prometheus allows a request.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Resending more often would be a load on Alertmanager for nothing: it groups and repeats at its own pace.
const SHORTEST_RESEND_DELAY: Duration = Duration::from_secs(1);

/// Each Alertmanager has a queue and a task of its own. Clusters of them have two or three members.
const MAX_ALERTMANAGERS: usize = 32;

impl Check<'_> {
    pub(super) fn alerting(
        &mut self,
        raw: &raw::Alerting,
        external_labels: Labels,
        external_url: String,
    ) -> Settings {
        if raw.resend_delay.0 < SHORTEST_RESEND_DELAY {
            self.problem(&["alerting", "resend_delay"], "must be 1s or more");
        }
        let relabel = self.relabel(&["alerting"], raw.alert_relabel_configs.as_deref());
        let written = raw.alertmanagers.as_deref().unwrap_or_default();
        let mut alertmanagers: Vec<Group> = Vec::new();
        for (index, group) in written.iter().enumerate() {
            let group = self.alertmanagers(&index.to_string(), group, &alertmanagers);
            alertmanagers.push(group);
        }
        let count = alertmanagers
            .iter()
            .map(|group| group.targets.len())
            .sum::<usize>();
        if count > MAX_ALERTMANAGERS {
            let what = format!("{count} Alertmanagers, at most {MAX_ALERTMANAGERS} are told");
            self.problem(&["alerting", "alertmanagers"], what);
        }
        Settings {
            resend_delay: raw.resend_delay.0,
            watchdog: raw.watchdog.0,
            external_labels,
            external_url,
            relabel,
            alertmanagers,
        }
    }

    fn alertmanagers(&mut self, index: &str, raw: &raw::Alertmanagers, before: &[Group]) -> Group {
        let at = |key| ["alerting", "alertmanagers", index, key];
        let tls = self.tls(&at("tls"), raw.tls.as_ref());
        let credentials = self.credentials_of_alertmanagers(index, raw);
        let timeout = raw.timeout.as_ref().map_or(DEFAULT_TIMEOUT, |timeout| timeout.0);
        if timeout.is_zero() {
            self.problem(&at("timeout"), "must be more than 0");
        }
        let written = raw.urls.as_ref().map_or(&[][..], |list| &list.0);
        if written.is_empty() {
            self.problem(
                &at("urls"),
                "at least one URL is needed, such as http://127.0.0.1:9093",
            );
        }
        let mut targets: Vec<alertmanager::Settings> = Vec::new();
        for (position, text) in written.iter().enumerate() {
            let url = alertmanager::Url::parse(text, tls != TlsSettings::default());
            let known = before.iter().flat_map(|group| &group.targets).chain(&targets);
            let position = position.to_string();
            let path = [&at("urls")[..], &[&position]].concat();
            match url {
                Err(what) => self.problem(&path, what),
                // It would be told everything twice.
                Ok(url) if known.clone().any(|target| target.url == url) => {
                    self.problem(&path, format!("{} is named twice", url.base()));
                }
                Ok(url) => targets.push(alertmanager::Settings {
                    url,
                    tls: tls.clone(),
                    credentials: credentials.clone(),
                    timeout,
                }),
            }
        }
        Group {
            targets,
            relabel: self.relabel(&at("")[..3], raw.alert_relabel_configs.as_deref()),
        }
    }

    fn credentials_of_alertmanagers(&mut self, index: &str, raw: &raw::Alertmanagers) -> Credentials {
        let at = |key| ["alerting", "alertmanagers", index, key];
        let password_file = self.file(&at("password_file"), raw.password_file.as_ref());
        let token_file = self.file(&at("bearer_token_file"), raw.bearer_token_file.as_ref());
        for path in [&password_file, &token_file].into_iter().flatten() {
            if is_world_readable(path) {
                let text = format!(
                    "{}: everybody on this host can read this secret; chmod 0640",
                    path.display()
                );
                self.notes.push(Note { warning: true, text });
            }
        }
        let username = raw.username.as_ref().map(|name| name.0.clone());
        match (username, password_file, token_file) {
            (None, None, None) => Credentials::None,
            (Some(username), Some(password_file), None) => {
                if username.is_empty() || username.contains(':') {
                    self.problem(&at("username"), "must not be empty, and must be without a colon");
                }
                Credentials::Basic {
                    username,
                    password_file,
                }
            }
            (None, None, Some(token_file)) => Credentials::Bearer { token_file },
            (_, _, Some(_)) => {
                let what = "username and password_file are set too; keep one of the two ways";
                self.problem(&at("bearer_token_file"), what);
                Credentials::None
            }
            (Some(_), None, None) => {
                self.problem(&at("username"), "a username needs a password_file");
                Credentials::None
            }
            (None, Some(_), None) => {
                self.problem(&at("password_file"), "a password needs a username");
                Credentials::None
            }
        }
    }

    fn relabel(&mut self, section: &[&str], raw: Option<&[raw::Relabel]>) -> Vec<Relabel> {
        let mut steps = Vec::new();
        for (position, raw) in raw.unwrap_or_default().iter().enumerate() {
            match Relabel::new(written(raw)) {
                Ok(step) => steps.push(step),
                Err((key, what)) => {
                    let step = position.to_string();
                    let path = [section, &["alert_relabel_configs", &step, key]].concat();
                    self.problem(&path, what);
                }
            }
        }
        steps
    }
}

fn written(raw: &raw::Relabel) -> Written {
    let text = |leaf: &Option<raw::Leaf<String>>| leaf.as_ref().map(|text| text.0.clone());
    Written {
        source_labels: raw
            .source_labels
            .as_ref()
            .map_or(Vec::new(), |list| list.0.clone()),
        separator: text(&raw.separator),
        regex: text(&raw.regex),
        target_label: text(&raw.target_label),
        replacement: text(&raw.replacement),
        // `modulus` goes with one action only, which is refused by name.
        action: text(&raw.action).or_else(|| raw.modulus.as_ref().map(|_| "hashmod".to_owned())),
    }
}
