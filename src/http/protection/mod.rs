//! What protects the server, as the file of `--web.config.file` says: TLS, users, a rate, headers.
//!
//! The format is that of Prometheus' exporter-toolkit. The file, and the certificate files that it names, are looked at
//! for every connection and every request, and read again when one of them changed: nothing needs a restart. Files that
//! cannot be used leave the older settings in force; that is logged once and counted.

mod clients;
mod file;
mod gate;
mod names;
mod pace;
mod tls;
mod users;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::http::{HeaderName, HeaderValue};
use rustls::ServerConfig;

use self::pace::{Bucket, Rate};
use self::users::{Judge, Users};
use crate::model::{Desc, Labels, Sample};

pub(super) use self::gate::admit;
pub(super) use self::tls::is_http2;

/// How long changed files must have been left alone before they are taken: whoever writes a file in several pieces is
/// done by then, and half a file may lack just the lines that protect.
const SETTLE: Duration = Duration::from_secs(1);

static IN_FORCE: Desc = Desc::gauge(
    "etcd_doctor_web_config_last_reload_successful",
    None,
    "Whether the file of web.config_file is in force as it is now: 0 when it, or a certificate file that it names, was \
     refused and what was read before still holds. Absent without such a file.",
);

static REFUSALS: Desc = Desc::counter(
    "etcd_doctor_web_config_reload_failures_total",
    None,
    "How often a changed file of web.config_file, or a certificate file that it names, was refused. Absent without such \
     a file.",
);

static HANDSHAKE_FAILURES: Desc = Desc::counter(
    "etcd_doctor_tls_handshake_failures_total",
    None,
    "Connections that ended before the TLS handshake was done: a client that has no good certificate, that does not \
     trust the one it was shown, or that speaks no TLS. Absent without TLS.",
);

/// Metrics of this part.
pub(super) const DESCS: [&Desc; 3] = [&IN_FORCE, &REFUSALS, &HANDSHAKE_FAILURES];

/// Why a file cannot be used, each mistake with file, line, column and key.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ProtectionError(Vec<String>);

/// What is in force, and how it is kept up to date.
pub struct Protection {
    /// None: plain HTTP for everybody.
    path: Option<PathBuf>,
    live: Mutex<Live>,
    judge: Judge,
    bucket: Mutex<Option<Bucket>>,
    refusals: AtomicU64,
    handshake_failures: AtomicU64,
    /// Not of the file: each reload of the configuration says it anew.
    remote_reload: AtomicBool,
}

struct Live {
    settings: Arc<Settings>,
    stamps: Stamps,
    /// Whether the files as they are were taken.
    good: bool,
}

/// What one state of the files says.
#[derive(Default)]
pub(super) struct Settings {
    /// None: plain HTTP.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Whether clients must show a certificate.
    demands_certificates: bool,
    /// Whether the certificates that they show are verified.
    verifies_certificates: bool,
    /// Whether the certificates that they show must have one of certain names.
    limits_names: bool,
    /// None: everybody.
    users: Option<Arc<Users>>,
    rate: Option<Rate>,
    /// Set on every answer.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

/// What tells that files changed. One that was put in the place of another may have its time and length, so the inode
/// counts too.
type Stamp = (PathBuf, Option<(SystemTime, u64, u64)>);

/// Of the file, then of those that it names.
type Stamps = Vec<Stamp>;

impl Protection {
    /// No protection: plain HTTP.
    pub fn none() -> Self {
        Self::new(None, Settings::default(), Vec::new())
    }

    /// As a file says; without one, no protection.
    ///
    /// # Errors
    /// Everything that is wrong with the file, or why a certificate file that it names cannot be used.
    pub fn open(path: Option<&Path>) -> Result<Self, ProtectionError> {
        let Some(path) = path else {
            return Ok(Self::none());
        };
        let (stamps, settings) = read(path);
        Ok(Self::new(Some(path.to_owned()), settings?, stamps))
    }

    fn new(path: Option<PathBuf>, settings: Settings, stamps: Stamps) -> Self {
        Self {
            path,
            live: Mutex::new(Live {
                settings: Arc::new(settings),
                stamps,
                good: true,
            }),
            judge: Judge::default(),
            bucket: Mutex::default(),
            refusals: AtomicU64::default(),
            handshake_failures: AtomicU64::default(),
            remote_reload: AtomicBool::default(),
        }
    }

    /// Whether it is reached over TLS only.
    pub fn speaks_tls(&self) -> bool {
        self.locked().settings.tls.is_some()
    }

    /// In a few words, for the log.
    pub fn summary(&self) -> &'static str {
        let settings = self.locked().settings.clone();
        match (
            settings.tls.is_some(),
            settings.demands_certificates,
            settings.users.is_some(),
        ) {
            (false, _, false) => "plain HTTP",
            (false, _, true) => "plain HTTP, users",
            (true, false, false) => "TLS",
            (true, true, false) => "TLS, client certificates",
            (true, false, true) => "TLS, users",
            (true, true, true) => "TLS, client certificates, users",
        }
    }

    /// What is in force now.
    pub(super) fn current(&self) -> Arc<Settings> {
        let Some(path) = &self.path else {
            return self.locked().settings.clone();
        };
        let mut live = self.locked();
        let now = live.stamps.iter().map(|(file, _)| stamp(file.clone())).collect();
        if now != live.stamps
            && is_settled(&now)
            && let Err(error) = self.take(&mut live, path)
        {
            tracing::error!(%error, "the changed web configuration was refused, the old one stays in force");
        }
        live.settings.clone()
    }

    /// Reads the files now, whether or not they seem to have changed.
    ///
    /// # Errors
    /// As [`Self::open`]; also when less would be protected than before, which needs a restart.
    pub fn reload(&self) -> Result<(), ProtectionError> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        self.take(&mut self.locked(), path)
    }

    fn take(&self, live: &mut Live, path: &Path) -> Result<(), ProtectionError> {
        let (stamps, outcome) = read(path);
        live.stamps = stamps;
        let outcome = outcome.and_then(|new| match lost(&live.settings, &new) {
            None => Ok(new),
            Some(what) => Err(ProtectionError(vec![format!(
                "{}: {what}, and that is done at a start only: restart etcd-doctor if it is meant",
                path.display()
            )])),
        });
        live.good = outcome.is_ok();
        match outcome {
            Ok(new) => {
                live.settings = Arc::new(new);
                tracing::info!(file = %path.display(), "web configuration read again");
                Ok(())
            }
            Err(error) => {
                self.refusals.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Says whether a reload may be asked for from other hosts from now on. Not until this was said.
    pub fn enable_remote_reload(&self, enabled: bool) {
        self.remote_reload.store(enabled, Ordering::Relaxed);
    }

    /// Whether a reload may be asked for from other hosts.
    pub fn remote_reload_is_enabled(&self) -> bool {
        self.remote_reload.load(Ordering::Relaxed)
    }

    /// Notes a connection that ended before it was one.
    pub(super) fn count_handshake_failure(&self) {
        self.handshake_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Its series on `/metrics`.
    pub(super) fn samples(&self) -> Vec<Sample> {
        if self.path.is_none() {
            return Vec::new();
        }
        let (good, tls) = {
            let live = self.locked();
            (live.good, live.settings.tls.is_some())
        };
        let number = |desc, value| Sample::number(desc, Labels::default(), value);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let mut samples = vec![
            number(&IN_FORCE, f64::from(u8::from(good))),
            number(&REFUSALS, count(&self.refusals)),
        ];
        if tls {
            samples.push(number(&HANDSHAKE_FAILURES, count(&self.handshake_failures)));
        }
        samples
    }

    /// What is behind the lock is replaced whole, so a panic elsewhere cannot have left it half done.
    fn locked(&self) -> std::sync::MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the files. The stamps are older than what is read: a change meanwhile is seen the next time.
fn read(path: &Path) -> (Stamps, Result<Settings, ProtectionError>) {
    let mut stamps = vec![stamp(path.to_owned())];
    let name = path.display().to_string();
    let text = file::read_limited(path).map_err(|why| vec![format!("{name}: {why}")]);
    let folder = path.parent().unwrap_or(Path::new(""));
    let file = match text.and_then(|text| file::parse(&name, &text, folder)) {
        Ok(file) => file,
        Err(errors) => return (stamps, Err(ProtectionError(errors))),
    };
    let tls = file.tls.as_ref();
    let files = tls.map(file::Tls::files).unwrap_or_default();
    stamps.extend(files.into_iter().map(stamp));
    let built = tls.map(|tls| tls::build(tls, file.http2)).transpose();
    let settings = built.map(|built| Settings {
        tls: built,
        demands_certificates: tls.is_some_and(|tls| tls.auth.demands()),
        verifies_certificates: tls.is_some_and(|tls| tls.auth.verifies()),
        limits_names: tls.is_some_and(|tls| !tls.allowed_sans.is_empty()),
        users: Users::new(file.users).map(Arc::new),
        rate: file.rate,
        headers: file.headers,
    });
    let refused = |why| ProtectionError(vec![format!("{name}: tls_server_config: {why}")]);
    (stamps, settings.map_err(refused))
}

/// What the new settings would protect less than the old. An emptied file is valid and protects nothing: a full disk or
/// a slip of the keyboard must not open a server that runs.
fn lost(old: &Settings, new: &Settings) -> Option<&'static str> {
    let was_and_is = [
        (old.tls.is_some(), new.tls.is_some(), "TLS would be switched off"),
        (
            old.users.is_some(),
            new.users.is_some(),
            "authentication by users would be switched off",
        ),
        (
            old.demands_certificates,
            new.demands_certificates,
            "client certificates would no longer be asked for",
        ),
        (
            old.verifies_certificates,
            new.verifies_certificates,
            "client certificates would no longer be verified",
        ),
        (
            old.limits_names,
            new.limits_names,
            "client certificates of any name would be let in",
        ),
    ];
    let mut lost = was_and_is.into_iter().filter(|(was, is, _)| *was && !*is);
    lost.next().map(|(_, _, words)| words)
}

fn stamp(file: PathBuf) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(&file).and_then(|found| {
        let changed = found.modified()?;
        Ok((changed, found.len(), found.ino()))
    });
    (file, found.ok())
}

/// Whether nobody seems to be writing any more. A time to come is that of a clock which was set, or of a copy.
fn is_settled(stamps: &Stamps) -> bool {
    let now = SystemTime::now();
    let changes = stamps.iter().filter_map(|(_, stamp)| stamp.as_ref());
    changes
        .filter_map(|(changed, _, _)| now.duration_since(*changed).ok())
        .all(|age| age >= SETTLE)
}

#[cfg(test)]
mod handshakes;
#[cfg(test)]
mod tests;
