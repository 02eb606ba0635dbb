//! From the raw shape to a checked configuration, or everything that is wrong with it.

mod alerting;
mod clusters;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::etcdctl::FOUND_HERE;
use super::load::{Loader, Merged};
use super::{Config, Error, Note, Paths, Problem, Rules, Sources, Web, duration, layer, raw, show};
use crate::client::TlsSettings;
use crate::model::Labels;
use crate::store;
use crate::telemetry;

/// Checks everything. `base` is the folder that relative paths of the file start at.
pub(super) fn check(
    merged: Merged,
    base: Option<&Path>,
    notes: Vec<Note>,
    loader: Loader,
) -> Result<Config, Error> {
    let mut check = Check {
        merged: &merged,
        base,
        notes,
        problems: Vec::new(),
    };
    let root = &merged.root;

    let timeout = check.timeout(root);
    check.times(root);
    let clusters = check.clusters(root.clusters.as_deref().unwrap_or_default());
    let rules = check.rules(&root.rules);
    let web = check.web(&root.web);
    let external_labels = Labels::new(rules.external_labels.clone());
    let alerting = check.alerting(&root.alerting, external_labels, web.reached_at());
    let store = check.store(root, &web);
    let paths = Paths {
        proc: check.path(&["paths", "proc"], &root.paths.proc.0),
        sys: check.path(&["paths", "sys"], &root.paths.sys.0),
        rootfs: check.path(&["paths", "rootfs"], &root.paths.rootfs.0),
    };
    let Check { notes, problems, .. } = check;
    if !problems.is_empty() {
        return Err(Error(problems));
    }
    Ok(Config {
        interval: root.interval.0,
        timeout,
        clusters,
        rules,
        alerting,
        web,
        store,
        log: telemetry::Settings {
            level: root.log.level.0,
            format: root.log.format.0,
        },
        paths,
        notes,
        sources: Sources {
            file: None,
            places: merged.places_outside_file(),
            origins: show::origins(&merged),
        },
        loader,
    })
}

/// Of an interval so short that the usual deadline does not fit, this share is the deadline: the rest is for judging.
const DEFAULT_TIMEOUT_SHARE: f64 = 0.8;

struct Check<'a> {
    merged: &'a Merged,
    base: Option<&'a Path>,
    notes: Vec<Note>,
    problems: Vec<Problem>,
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|key| (*key).to_owned()).collect()
}

impl Check<'_> {
    fn problem(&mut self, path: &[&str], what: impl Into<String>) {
        let path = owned(path);
        let place = self.merged.place(&path);
        self.problems.push(Problem {
            place,
            path: layer::dotted(&path),
            what: what.into(),
        });
    }

    /// A path as the process should open it: relative ones of the file start at the file's folder.
    fn path(&self, key: &[&str], path: &Path) -> PathBuf {
        match self.base {
            Some(base) if self.merged.is_from_file(&owned(key)) => base.join(path),
            _ => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        }
    }

    /// The same, of a file that must be there and be readable.
    fn file(&mut self, key: &[&str], path: Option<&raw::Leaf<PathBuf>>) -> Option<PathBuf> {
        let path = self.path(key, &path?.0);
        let opened = fs::File::open(&path).and_then(|file| file.metadata());
        match opened {
            Ok(metadata) if metadata.is_dir() => self.problem(key, format!("{} is a folder", path.display())),
            Ok(_) => {}
            Err(error) => {
                let advice = self.advice(key, &error);
                self.problem(key, format!("could not open {}: {error}{advice}", path.display()));
            }
        }
        Some(path)
    }

    /// What to do about a file that cannot be opened, as far as that is not plain.
    fn advice(&self, key: &[&str], error: &std::io::Error) -> String {
        let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let permission = denied.then(|| "run as a user who may read it, such as root".to_owned());
        let flag = match key.last() {
            Some(&"ca_file") => Some("--cacert"),
            Some(&"cert_file") => Some("--cert"),
            Some(&"key_file") => Some("--key"),
            _ => None,
        };
        let flag = flag.filter(|_| self.merged.place(&owned(key)) == FOUND_HERE);
        let other = flag.map(|flag| format!("name another file with {flag}"));
        let advice: Vec<String> = permission.into_iter().chain(other).collect();
        match advice.is_empty() {
            true => String::new(),
            false => format!("; {}", advice.join(", or ")),
        }
    }

    /// The deadline of a call. Where nothing sets it and the interval is short, it follows the interval; one that was
    /// set to as much as the interval or more is refused, since a cycle has to end before the next.
    fn timeout(&mut self, root: &raw::Root) -> Duration {
        let (timeout, interval) = (root.timeout.0, root.interval.0);
        if timeout < interval {
            return timeout;
        }
        if self.merged.place(&owned(&["timeout"])) == "default" {
            return interval.mul_f64(DEFAULT_TIMEOUT_SHARE);
        }
        let other = self.merged.place(&owned(&["interval"]));
        let (longer, shorter) = (duration::format(timeout), duration::format(interval));
        self.problem(
            &["timeout"],
            format!("{longer} is not shorter than the interval of {shorter} ({other}): a cycle has to end before the next"),
        );
        timeout
    }

    fn times(&mut self, root: &raw::Root) {
        for (key, value) in [
            ("interval", &root.interval),
            ("timeout", &root.timeout),
            ("window", &root.window),
        ] {
            if value.0.is_zero() {
                self.problem(&[key], "must be more than 0");
            }
        }
        if root.window.0 < root.interval.0 {
            let what = format!(
                "must not be shorter than the interval of {}",
                duration::format(root.interval.0)
            );
            self.problem(&["window"], what);
        }
    }

    fn tls(&mut self, section: &[&str], raw: Option<&raw::Tls>) -> TlsSettings {
        let Some(raw) = raw else {
            return TlsSettings::default();
        };
        let at = |key| [section, &[key]].concat();
        let tls = TlsSettings {
            ca_file: self.file(&at("ca_file"), raw.ca_file.as_ref()),
            cert_file: self.file(&at("cert_file"), raw.cert_file.as_ref()),
            key_file: self.file(&at("key_file"), raw.key_file.as_ref()),
            server_name: raw.server_name.as_ref().map(|name| name.0.clone()),
            insecure_skip_verify: raw.insecure_skip_verify.as_ref().is_some_and(|skip| skip.0),
        };
        match (&tls.cert_file, &tls.key_file) {
            (Some(_), None) => self.problem(
                &at("cert_file"),
                "a client certificate needs its key: set key_file too",
            ),
            (None, Some(_)) => self.problem(
                &at("key_file"),
                "a key needs its client certificate: set cert_file too",
            ),
            _ => {}
        }
        if tls.insecure_skip_verify {
            let place = self.merged.place(&owned(&at("insecure_skip_verify")));
            let text = format!(
                "{place}: certificates of servers are not verified; passwords may be read by anyone between"
            );
            self.notes.push(Note { warning: true, text });
        }
        tls
    }

    fn rules(&mut self, raw: &raw::Rules) -> Rules {
        let written = raw
            .files
            .as_ref()
            .map(|list| list.0.as_slice())
            .unwrap_or_default();
        let (mut patterns, mut files) = (Vec::new(), Vec::new());
        for (position, pattern) in written.iter().enumerate() {
            let at = ["rules", "files", &position.to_string()];
            let pattern = self.path(&at, pattern);
            match expand(&pattern) {
                Ok(found) => {
                    if found.is_empty() {
                        let text = format!("{}: no rule file is called like this", pattern.display());
                        self.notes.push(Note { warning: true, text });
                    }
                    files.extend(
                        found
                            .into_iter()
                            .filter(|file| !files.contains(file))
                            .collect::<Vec<_>>(),
                    );
                }
                Err(what) => self.problem(&at, what),
            }
            patterns.push(pattern);
        }
        let mut external_labels = BTreeMap::new();
        for (name, value) in raw.external_labels.iter().flatten() {
            let good = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && !name.starts_with("__")
                && !name.is_empty();
            if !good {
                let what = "is no label name: expected letters, digits and _, not a digit or __ at the start";
                self.problem(&["rules", "external_labels", name], what);
            }
            external_labels.insert(name.clone(), value.0.clone());
        }
        if !raw.builtin.0 && files.is_empty() {
            self.notes.push(Note {
                warning: true,
                text: "there are no rules, so no problem can be found".into(),
            });
        }
        Rules {
            builtin: raw.builtin.0,
            files,
            external_labels,
            state_dir: raw
                .state_dir
                .as_ref()
                .map(|folder| self.path(&["rules", "state_dir"], &folder.0)),
            patterns,
        }
    }

    fn web(&mut self, raw: &raw::Web) -> Web {
        let address = &raw.listen_address.0;
        let good = address.rsplit_once(':').is_some_and(|(host, port)| {
            let host_is_good = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
                Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
                None => !host.contains([':', '/', '[', ']', '@', ' ']),
            };
            host_is_good && port.parse::<u16>().is_ok()
        });
        if !good {
            let what =
                format!("expected host:port or :port, such as :9379 or 127.0.0.1:9379, found {address:?}");
            self.problem(&["web", "listen_address"], what);
        }
        let external_url = raw.external_url.as_ref().map(|url| url.0.trim_end_matches('/'));
        let is_url = |text: &str| {
            url::Url::parse(text).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && url.query().is_none()
                    && url.fragment().is_none()
            })
        };
        if let Some(text) = external_url.filter(|text| !is_url(text)) {
            let what = format!("expected a URL such as https://etcd-doctor.example.org, found {text:?}");
            self.problem(&["web", "external_url"], what);
        }
        Web {
            external_url: external_url.map(str::to_owned),
            listen_address: address.clone(),
            enable_remote_reload: raw.enable_remote_reload.0,
            config_file: raw
                .config_file
                .as_ref()
                .map(|file| self.path(&["web", "config_file"], &file.0)),
        }
    }

    fn store(&mut self, root: &raw::Root, web: &Web) -> store::Settings {
        if root.store.max_series.0 == 0 {
            self.problem(&["store", "max_series"], "must be more than 0");
        }
        if root.store.etcd_job.0.is_empty() {
            self.problem(&["store", "etcd_job"], "must not be empty");
        }
        store::Settings {
            window: root.window.0,
            max_series: root.store.max_series.0,
            etcd_job: root.store.etcd_job.0.clone(),
            instance: web.instance(),
        }
    }
}

/// The files that a pattern names, sorted. A path without `*`, `?` and `[` must exist.
fn expand(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let text = pattern
        .to_str()
        .ok_or_else(|| format!("{} is not UTF-8", pattern.display()))?;
    if !text.contains(['*', '?', '[']) || pattern.is_file() {
        return match fs::File::open(pattern) {
            Ok(_) => Ok(vec![pattern.to_owned()]),
            Err(error) => Err(format!("could not open {text}: {error}")),
        };
    }
    let paths = glob::glob(text).map_err(|error| format!("{text} is no pattern: {error}"))?;
    paths
        .filter(|path| !path.as_ref().is_ok_and(|path| path.is_dir()))
        .map(|path| path.map_err(|error| format!("could not look for {text}: {error}")))
        .collect()
}

/// Whether everybody may read a file.
fn is_world_readable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
