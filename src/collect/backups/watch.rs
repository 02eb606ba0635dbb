//! A folder of backups, looked at by a thread of its own: a share that hangs holds up that thread and nothing else.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::listing::{Candidate, Identity, Listing, Stage, list};
use crate::client::snapshot::{self, Fault, Finding};

/// How often a folder is listed: as soon as a file has settled it is seen, and a listing costs one look at each entry.
const EVERY: Duration = Duration::from_secs(10);

/// How many good files are looked for, newest first: the newest, and five to compare its size with.
const ENOUGH_GOOD: usize = 6;

/// After how long a file that could not be read is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// How long a single read or look may take before the folder is said to hang.
const HANGS: Duration = Duration::from_secs(60);

/// What is known of a folder: nothing before it was listed once.
pub(super) type Known = Option<Result<View, Unseen>>;

/// Why a folder is not seen, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Unseen(pub(super) String);

/// A folder's files with what they are, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct View {
    pub(super) files: Vec<(Candidate, Judged)>,
    /// How many older ones there are.
    pub(super) beyond: usize,
}

/// What is known of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Judged {
    /// What it is.
    Found(Finding),
    /// It could not be read, and why.
    Unreadable(String),
    /// It is whole and will be looked at.
    Waiting,
    /// It is being written.
    Writing,
    /// It is called `.part`: being written, or left over.
    Partial,
    /// It is older than enough good ones, and is not looked at.
    Older,
}

/// A place that is watched until this is dropped.
pub(super) struct Watch {
    pub(super) place: PathBuf,
    leash: Arc<Leash>,
    thread: Thread,
    known: watch::Receiver<Known>,
}

impl Watch {
    /// Begins to watch.
    pub(super) fn start(place: PathBuf) -> io::Result<Self> {
        let leash = Arc::new(Leash {
            stop: AtomicBool::new(false),
            started: Instant::now(),
            last_sign: AtomicU64::new(0),
        });
        let (publish, known) = watch::channel(None);
        let worker = Worker {
            place: place.clone(),
            leash: Arc::clone(&leash),
            publish,
            findings: HashMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("backups".into())
            .spawn(move || worker.run())?
            .thread()
            .clone();
        Ok(Self {
            place,
            leash,
            thread,
            known,
        })
    }

    /// Waits until the place was listed once.
    pub(super) async fn listed(&mut self) {
        // It fails when the thread ended, which `known` then tells.
        let _ = self.known.wait_for(Option::is_some).await;
    }

    /// What is known now.
    pub(super) fn known(&self) -> Known {
        let silent = self.leash.silent_for();
        if self.known.has_changed().is_err() {
            return Some(Err(Unseen("what looks at it broke off".into())));
        }
        if silent >= HANGS {
            let text = format!(
                "it has not answered for {} s: look for a mount that hangs",
                silent.as_secs()
            );
            return Some(Err(Unseen(text)));
        }
        self.known.borrow().clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.leash.stop.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

/// What the thread is held by.
struct Leash {
    stop: AtomicBool,
    started: Instant,
    /// When the thread was last seen to go on, in seconds after `started`.
    last_sign: AtomicU64,
}

impl Leash {
    /// A sign of life; whether to go on.
    fn go_on(&self) -> bool {
        self.last_sign
            .store(self.started.elapsed().as_secs(), Ordering::Relaxed);
        !self.stop.load(Ordering::Relaxed)
    }

    fn silent_for(&self) -> Duration {
        let last_sign = Duration::from_secs(self.last_sign.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(last_sign)
    }
}

struct Worker {
    place: PathBuf,
    leash: Arc<Leash>,
    publish: watch::Sender<Known>,
    /// What is known of the files of the last listing, each with when it was looked at.
    findings: HashMap<Identity, (Judged, Instant)>,
}

impl Worker {
    fn run(mut self) {
        while self.leash.go_on() {
            // After a file was read it is looked again at once, since that may have taken a while.
            if !self.round() {
                std::thread::park_timeout(EVERY);
            }
        }
    }

    /// Lists once, and looks into one file. Whether there may be more to do at once.
    fn round(&mut self) -> bool {
        let listing = match list(&self.place, SystemTime::now(), &|| self.leash.go_on()) {
            Ok(listing) => listing,
            Err(error) => {
                self.tell(Err(Unseen(error.to_string())));
                return false;
            }
        };
        let retry = |(judged, at): &(Judged, Instant)| {
            matches!(judged, Judged::Unreadable(_)) && at.elapsed() >= TRY_AGAIN
        };
        let files = &listing.newest;
        self.findings
            .retain(|identity, found| files.iter().any(|file| file.identity == *identity) && !retry(found));
        let view = judge(listing, |identity| {
            self.findings.get(identity).map(|(judged, _)| judged.clone())
        });
        let next = view.files.iter().find(|(_, judged)| *judged == Judged::Waiting);
        let next = next.map(|(file, _)| file.clone());
        self.tell(Ok(view));
        let Some(file) = next else { return false };
        let Some(judged) = self.look_into(&file) else {
            return false;
        };
        report(&file.path, &judged);
        self.findings.insert(file.identity, (judged, Instant::now()));
        true
    }

    fn tell(&self, known: Result<View, Unseen>) {
        if let Err(Unseen(error)) = &known {
            let before = self.publish.borrow();
            if !matches!(&*before, Some(Err(before)) if before.0 == *error) {
                tracing::warn!(place = %self.place.display(), error, "backups cannot be listed");
            }
        }
        self.publish.send_replace(Some(known));
    }

    /// None when the file changed meanwhile, or there is nobody any more who wants to know.
    fn look_into(&self, file: &Candidate) -> Option<Judged> {
        let go_on = || self.leash.go_on();
        let examined = open(&file.path).and_then(|opened| {
            let identity = Identity::of(&opened.metadata()?);
            if identity != file.identity {
                return Ok(None);
            }
            let finding = match snapshot::examine(&opened, identity.size, &go_on) {
                Ok(finding) => finding,
                Err(Fault::Stopped) => return Ok(None),
                Err(Fault::Io(error)) => return Err(error),
                Err(Fault::Structure(what)) => return Err(io::Error::other(what)),
            };
            // The bytes are not needed again soon: they make room for etcd's.
            let _ = rustix::fs::fadvise(&opened, 0, None, rustix::fs::Advice::DontNeed);
            let unchanged = Identity::of(&opened.metadata()?) == identity;
            Ok(unchanged.then_some(finding))
        });
        match examined {
            Ok(finding) => finding.map(Judged::Found),
            Err(error) => Some(Judged::Unreadable(error.to_string())),
        }
    }
}

/// Opens a file, and waits for no writer should it have become a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags).unwrap_or_default())
        .open(path)
}

/// Tells what is known of each file, and which are still to be looked at.
fn judge(listing: Listing, known: impl Fn(&Identity) -> Option<Judged>) -> View {
    let mut good = 0;
    let files = listing.newest.into_iter().map(|file| {
        let judged = match file.stage {
            Stage::Partial => Judged::Partial,
            Stage::Fresh => Judged::Writing,
            Stage::Whole => match known(&file.identity) {
                Some(known) => known,
                None if good < ENOUGH_GOOD => Judged::Waiting,
                None => Judged::Older,
            },
        };
        // One that waits may turn out good: it is counted so that few are read too many.
        good += usize::from(matches!(
            judged,
            Judged::Found(Finding::Good(_)) | Judged::Waiting
        ));
        (file, judged)
    });
    View {
        files: files.collect(),
        beyond: listing.beyond,
    }
}

fn report(path: &Path, judged: &Judged) {
    let file = path.display();
    match judged {
        Judged::Found(Finding::Good(contents) | Finding::NoChecksum(contents)) => {
            let snapshot::Contents {
                size,
                revision,
                keys,
                hash,
            } = contents;
            let checksum = matches!(judged, Judged::Found(Finding::Good(_)));
            // The hash as `etcdctl snapshot status` prints it in its table.
            tracing::info!(%file, checksum, size, revision, keys, hash = format!("{hash:x}"), "looked into a backup");
        }
        Judged::Found(Finding::Unsupported(format)) => {
            tracing::info!(%file, format, "a backup is in a format that is not looked into");
        }
        Judged::Found(Finding::Broken(damage)) => {
            tracing::warn!(%file, reason = damage.reason, detail = damage.detail, "a backup is broken");
        }
        Judged::Unreadable(error) => tracing::warn!(%file, error, "a backup cannot be read"),
        Judged::Waiting | Judged::Writing | Judged::Partial | Judged::Older => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::snapshot::{Contents, Damage};

    fn listing(stages: &[Stage]) -> Listing {
        let file = |(at, stage): (usize, &Stage)| Candidate {
            path: format!("{at}.db").into(),
            identity: Identity {
                device: 1,
                inode: at as u64,
                size: 1,
                modified: SystemTime::UNIX_EPOCH,
            },
            stage: *stage,
        };
        Listing {
            newest: stages.iter().enumerate().map(file).collect(),
            beyond: 3,
        }
    }

    fn judged(view: View) -> Vec<Judged> {
        view.files.into_iter().map(|(_, judged)| judged).collect()
    }

    #[test]
    fn only_as_many_are_looked_at_as_give_enough_good_ones() {
        let stages = [&[Stage::Fresh, Stage::Partial][..], &[Stage::Whole; 8]].concat();
        let new = judged(judge(listing(&stages), |_| None));
        let expected = [
            vec![Judged::Writing, Judged::Partial],
            vec![Judged::Waiting; 6],
            vec![Judged::Older; 2],
        ];
        assert_eq!(new, expected.concat());

        let damage = Damage {
            reason: "is empty",
            detail: String::new(),
        };
        let broken = Judged::Found(Finding::Broken(damage));
        let one_broken = judged(judge(listing(&stages), |identity| {
            (identity.inode == 2).then(|| broken.clone())
        }));
        let waiting = one_broken.iter().filter(|judged| **judged == Judged::Waiting);
        assert_eq!(
            (&one_broken[2], waiting.count()),
            (&broken, 6),
            "one more, in place of the broken one"
        );

        let good = Judged::Found(Finding::Good(Contents {
            size: 1,
            revision: 1,
            keys: 1,
            hash: 1,
        }));
        let all_good = judged(judge(listing(&stages), |identity| {
            (identity.inode < 8).then(|| good.clone())
        }));
        assert_eq!(all_good[8..], [Judged::Older, Judged::Older]);
    }

    #[tokio::test]
    async fn a_folder_that_hangs_is_said_to() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::start(dir.path().to_owned()).unwrap();
        watch.listed().await;
        assert_eq!(watch.known(), Some(Ok(View::default())));
        // As if the thread had begun long ago and had not come back from a call.
        watch.leash = Arc::new(Leash {
            stop: AtomicBool::new(false),
            started: Instant::now().checked_sub(HANGS * 2).unwrap(),
            last_sign: AtomicU64::new(0),
        });
        let Some(Err(Unseen(why))) = watch.known() else {
            panic!("{:?}", watch.known())
        };
        assert_eq!(why, "it has not answered for 120 s: look for a mount that hangs");
    }

    #[tokio::test]
    async fn a_thread_ends_with_its_watch() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::start(dir.path().to_owned()).unwrap();
        watch.listed().await;
        let mut known = watch.known.clone();
        // The test's own watch is replaced, so that only its drop can end the thread.
        drop(watch);
        while known.changed().await.is_ok() {}
    }
}
