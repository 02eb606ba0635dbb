//! The collector `backups`: the snapshots in configured folders. It reads no file itself: `watch` does, in the background.

mod listing;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::time::timeout;

use super::{Collector, Failure, Reading, Scope, Spec, Subject};
use crate::client::snapshot::{Contents, Finding};
use crate::model::{CollectError, Desc, Labels, Reason, Sample};
use listing::Candidate;
use watch::{Judged, View, Watch};

/// How many folders a cluster may have: each has a thread.
pub const MAX_FOLDERS: usize = 16;

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "backups",
    scope: Scope::Own,
    descs: &[&READABLE, &FILES, &NEWEST, &SIZE, &EARLIER_SIZE, &REVISION, &KEYS],
    build: |settings| {
        Box::new(Backups {
            places: settings.backups.clone(),
            watches: Vec::new(),
        })
    },
};

const FOLDER: &[&str] = &["folder"];

static READABLE: Desc = Desc::gauge(
    "etcd_doctor_backup_folder_readable",
    None,
    "Whether the folder of backups could be listed; `folder` is the folder or pattern as it is configured.",
)
.labels(FOLDER);
static FILES: Desc = Desc::gauge(
    "etcd_doctor_backup_files",
    None,
    "Files in the folder by what they are: good (checksum and structure are right), no_checksum (a copy of a database \
     file), unsupported (compressed or encrypted), broken, unreadable, waiting (to be looked at), writing, partial \
     (called .part), older (than six good ones: not looked at).",
)
.labels(&["folder", "state"]);
static NEWEST: Desc = Desc::gauge(
    "etcd_doctor_backup_newest_timestamp_seconds",
    Some("seconds"),
    "When the newest file of each state was modified, in seconds since the epoch, with its name and, where it is not \
     good, why.",
)
.labels(&["folder", "state", "file", "reason"]);
static SIZE: Desc = Desc::gauge(
    "etcd_doctor_backup_size_bytes",
    Some("bytes"),
    "Size of the newest good snapshot's database: the file without its checksum.",
)
.labels(FOLDER);
static EARLIER_SIZE: Desc = Desc::gauge(
    "etcd_doctor_backup_earlier_size_bytes",
    Some("bytes"),
    "Median size of up to five good snapshots before the newest; absent where there is none.",
)
.labels(FOLDER);
static REVISION: Desc = Desc::gauge(
    "etcd_doctor_backup_revision",
    None,
    "The newest good snapshot's revision, as `etcdctl snapshot status` prints it.",
)
.labels(FOLDER);
static KEYS: Desc = Desc::gauge(
    "etcd_doctor_backup_keys",
    None,
    "The newest good snapshot's total of keys, as `etcdctl snapshot status` prints it: every revision of every key counts.",
)
.labels(FOLDER);

/// The states of files, as in the label `state`.
const STATES: [&str; 9] = [
    "good",
    "no_checksum",
    "unsupported",
    "broken",
    "unreadable",
    "waiting",
    "writing",
    "partial",
    "older",
];

struct Backups {
    places: Arc<[PathBuf]>,
    /// Empty before the first cycle.
    watches: Vec<Watch>,
}

impl Backups {
    /// Begins to watch, and gives folders that answer the time to do so: the first report should not be without them.
    async fn start(&mut self, subject: &Subject) -> Result<(), Failure> {
        let places = self.places.iter().cloned().map(Watch::start);
        let started: Result<Vec<Watch>, std::io::Error> = places.collect();
        self.watches = started.map_err(|error| {
            Failure::Failed(CollectError {
                reason: Reason::Refused,
                message: format!("could not start a thread to read backups: {error}"),
                fix: "raise the limit of threads of etcd-doctor's service".into(),
            })
        })?;
        let listed = join_all(self.watches.iter_mut().map(Watch::listed));
        // Those that are not done are asked again in the next cycle.
        let _ = timeout(subject.timeout / 2, listed).await;
        Ok(())
    }
}

impl Collector for Backups {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        async move {
            if self.places.is_empty() {
                return Err(Failure::NotApplicable(
                    "no folder of backups is configured: name it in clusters[].backups".into(),
                ));
            }
            if self.watches.is_empty() {
                self.start(subject).await?;
            }
            let samples = self
                .watches
                .iter()
                .map(|watch| samples_of(&watch.place, watch.known()));
            Ok(Reading {
                samples: samples.collect::<Vec<_>>().concat(),
                ..Reading::default()
            })
        }
        .boxed()
    }
}

/// The samples of one folder; none before it was listed.
fn samples_of(place: &Path, known: watch::Known) -> Vec<Sample> {
    let folder = Labels::new([("folder", &*place.to_string_lossy())]);
    match known {
        None => Vec::new(),
        Some(Err(_)) => vec![Sample::number(&READABLE, folder, 0.0)],
        Some(Ok(view)) => {
            let mut samples = vec![Sample::number(&READABLE, folder.clone(), 1.0)];
            samples.extend(counts(&folder, &view));
            samples.extend(newest(&folder, &view));
            samples.extend(trend(&folder, &view));
            samples
        }
    }
}

fn counts<'a>(folder: &'a Labels, view: &'a View) -> impl Iterator<Item = Sample> + 'a {
    STATES.into_iter().map(move |state| {
        let of_state = view
            .files
            .iter()
            .filter(|(_, judged)| state_of(judged).0 == state);
        let beyond = if state == "older" { view.beyond } else { 0 };
        let count = of_state.count() + beyond;
        Sample::number(&FILES, folder.with("state", state), count as f64)
    })
}

fn newest<'a>(folder: &'a Labels, view: &'a View) -> impl Iterator<Item = Sample> + 'a {
    STATES.into_iter().filter_map(move |state| {
        let mut files = view.files.iter();
        let (file, judged) = files.find(|(_, judged)| state_of(judged).0 == state)?;
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let labels = folder
            .with("state", state)
            .with("file", &name)
            .with("reason", state_of(judged).1);
        Some(Sample::number(&NEWEST, labels, modified(file)))
    })
}

fn trend(folder: &Labels, view: &View) -> Vec<Sample> {
    let good: Vec<&Contents> = view
        .files
        .iter()
        .filter_map(|(_, judged)| match judged {
            Judged::Found(Finding::Good(contents)) => Some(contents),
            _ => None,
        })
        .collect();
    let Some((newest, earlier)) = good.split_first() else {
        return Vec::new();
    };
    let number = |desc, value| Sample::number(desc, folder.clone(), value);
    let mut samples = vec![
        number(&SIZE, newest.size as f64),
        number(&REVISION, newest.revision as f64),
        number(&KEYS, newest.keys as f64),
    ];
    let mut sizes: Vec<u64> = earlier.iter().map(|contents| contents.size).collect();
    sizes.sort_unstable();
    if let Some(median) = sizes.get(sizes.len() / 2) {
        samples.push(number(&EARLIER_SIZE, *median as f64));
    }
    samples
}

/// A file's state, and the reason where it is not good, of a closed list.
fn state_of(judged: &Judged) -> (&'static str, &'static str) {
    match judged {
        Judged::Found(Finding::Good(_)) => ("good", ""),
        Judged::Found(Finding::NoChecksum(_)) => ("no_checksum", "has no checksum"),
        Judged::Found(Finding::Unsupported(format)) => ("unsupported", format),
        Judged::Found(Finding::Broken(damage)) => ("broken", damage.reason),
        Judged::Unreadable(_) => ("unreadable", "cannot be read"),
        Judged::Waiting => ("waiting", ""),
        Judged::Writing => ("writing", ""),
        Judged::Partial => ("partial", "was never finished"),
        Judged::Older => ("older", ""),
    }
}

fn modified(file: &Candidate) -> f64 {
    let since_epoch = file.identity.modified.duration_since(SystemTime::UNIX_EPOCH);
    since_epoch.unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests;
