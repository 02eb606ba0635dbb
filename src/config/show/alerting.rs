//! The section `alerting`, as it is in force.

use super::{Page, duration, quoted};
use crate::client::alertmanager::{Credentials, Settings as Target};
use crate::notify::relabel::Relabel;
use crate::notify::{Group, Settings};

pub(super) fn section(page: &mut Page<'_>, settings: &Settings) {
    page.section("alerting", |page| {
        page.value("resend_delay", &duration::format(settings.resend_delay));
        page.value("watchdog", &settings.watchdog.to_string());
        relabel(page, &settings.relabel);
        if settings.alertmanagers.is_empty() {
            return page.value("alertmanagers", "[]");
        }
        page.section("alertmanagers", |page| {
            for (index, alertmanagers) in settings.alertmanagers.iter().enumerate() {
                page.item(index, |page| group(page, alertmanagers));
            }
        });
    });
}

fn group(page: &mut Page<'_>, group: &Group) {
    page.list("urls", group.targets.iter().map(|target| target.url.base()));
    // All of a group are reached alike.
    if let Some(Target {
        tls,
        credentials,
        timeout,
        ..
    }) = group.targets.first()
    {
        page.tls("tls", tls);
        match credentials {
            Credentials::None => {}
            Credentials::Basic {
                username,
                password_file,
            } => {
                page.value("username", &quoted(username));
                page.path_value("password_file", Some(password_file));
            }
            Credentials::Bearer { token_file } => page.path_value("bearer_token_file", Some(token_file)),
        }
        page.value("timeout", &duration::format(*timeout));
    }
    relabel(page, &group.relabel);
}

fn relabel(page: &mut Page<'_>, steps: &[Relabel]) {
    if steps.is_empty() {
        return;
    }
    page.section("alert_relabel_configs", |page| {
        for (index, step) in steps.iter().enumerate() {
            let written = step.written();
            page.item(index, |page| {
                page.list("source_labels", written.source_labels.iter().cloned());
                for (key, value) in [
                    ("separator", &written.separator),
                    ("regex", &written.regex),
                    ("target_label", &written.target_label),
                    ("replacement", &written.replacement),
                    ("action", &written.action),
                ] {
                    if let Some(value) = value {
                        page.value(key, &quoted(value));
                    }
                }
            });
        }
    });
}
