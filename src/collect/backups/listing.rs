//! Which files a folder or a pattern names, as far as they may be backups.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How many files are told apart, the newest: a month of daily backups. Those beyond are counted.
const KEPT: usize = 32;

/// How many entries are looked at in one go. A folder with more is no folder of backups, and a network share takes
/// minutes for them.
const MOST: usize = 20_000;

/// For how long a file must not have changed: who writes one writes more often than this.
const SETTLED: Duration = Duration::from_secs(10);

/// What `etcdctl snapshot save` calls a file until it is whole.
const PARTIAL: &str = "part";

/// What stands beside backups and is none: checksums, signatures, notes and logs.
const BESIDE: [&str; 18] = [
    "asc",
    "conf",
    "err",
    "json",
    "lock",
    "log",
    "md",
    "md5",
    "out",
    "sh",
    "sha1",
    "sha256",
    "sha256sum",
    "sha512",
    "sig",
    "txt",
    "yaml",
    "yml",
];

/// A file that may be a backup, as of one look at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    pub(super) stage: Stage,
}

/// What is another file, or has other contents, when any of it differs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// When its contents changed last.
    pub(super) modified: SystemTime,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }
}

/// How far the writing of a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// It was not written for a while.
    Whole,
    /// It was written just now.
    Fresh,
    /// Its name says that it is not whole.
    Partial,
}

/// What there is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Listing {
    /// The newest, newest first.
    pub(super) newest: Vec<Candidate>,
    /// How many there are beyond.
    pub(super) beyond: usize,
}

/// Lists a folder, without the folders in it, or what a pattern names. `go_on` is asked after each entry.
///
/// # Errors
/// In words of the system, or when there are too many.
pub(super) fn list(place: &Path, now: SystemTime, go_on: &dyn Fn() -> bool) -> io::Result<Listing> {
    let mut found = Found::default();
    // What is there as written is meant so, whatever stands in its name.
    match is_pattern(place) && !place.exists() {
        true => {
            let pattern = place
                .to_str()
                .ok_or_else(|| invalid("the pattern is not UTF-8"))?;
            let paths = glob::glob(pattern).map_err(|error| invalid(&error.to_string()))?;
            for path in paths {
                found.take(&path.map_err(io::Error::from)?, now, false, go_on)?;
            }
        }
        false if fs::metadata(place)?.is_file() => found.take(place, now, false, go_on)?,
        false => {
            for entry in fs::read_dir(place)? {
                found.take(&entry?.path(), now, true, go_on)?;
            }
        }
    }
    Ok(found.newest())
}

/// Whether a path has signs in it that stand for others.
pub(super) fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

#[derive(Default)]
struct Found {
    files: Vec<Candidate>,
    seen: HashSet<(u64, u64)>,
    looked_at: usize,
    dropped: usize,
}

impl Found {
    /// Takes a file. Of those that lie in a folder and were not asked for by name, only what may be a backup.
    fn take(
        &mut self,
        path: &Path,
        now: SystemTime,
        choose: bool,
        go_on: &dyn Fn() -> bool,
    ) -> io::Result<()> {
        if !go_on() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.looked_at += 1;
        if self.looked_at > MOST {
            return Err(invalid(&format!(
                "it has more than {MOST} entries; name a pattern that fits only the backups"
            )));
        }
        if choose && !may_be_backup(path) {
            return Ok(());
        }
        // Follows links, such as `latest`: the same file then counts once. One that went away meanwhile is none.
        let Ok(metadata) = fs::metadata(path) else {
            return Ok(());
        };
        let identity = Identity::of(&metadata);
        if !metadata.is_file() || !self.seen.insert((identity.device, identity.inode)) {
            return Ok(());
        }
        let age = now.duration_since(identity.modified);
        let stage = match age {
            _ if has_extension(path, &[PARTIAL]) => Stage::Partial,
            Ok(age) if age < SETTLED => Stage::Fresh,
            _ => Stage::Whole,
        };
        self.files.push(Candidate {
            path: path.to_owned(),
            identity,
            stage,
        });
        // Sorting now and then keeps this small without a heap.
        if self.files.len() >= 4 * KEPT {
            self.prune();
        }
        Ok(())
    }

    fn prune(&mut self) {
        let by_age = |file: &Candidate| std::cmp::Reverse((file.identity.modified, file.path.clone()));
        self.files.sort_by_cached_key(by_age);
        self.dropped += self.files.len().saturating_sub(KEPT);
        self.files.truncate(KEPT);
    }

    fn newest(mut self) -> Listing {
        self.prune();
        Listing {
            newest: self.files,
            beyond: self.dropped,
        }
    }
}

fn may_be_backup(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && !has_extension(path, &BESIDE)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| extensions.contains(&extension.to_ascii_lowercase().as_str()))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(place: &Path, now: SystemTime) -> Vec<(String, Stage)> {
        let listing = list(place, now, &|| true).unwrap();
        let name = |file: Candidate| {
            (
                file.path.file_name().unwrap().to_str().unwrap().to_owned(),
                file.stage,
            )
        };
        listing.newest.into_iter().map(name).collect()
    }

    /// Files written so many seconds before now.
    fn folder(files: &[(&str, u64)]) -> (tempfile::TempDir, SystemTime) {
        let (dir, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
        for (name, age) in files {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(now - Duration::from_secs(*age)).unwrap();
        }
        (dir, now)
    }

    #[test]
    fn a_folder_is_listed_newest_first_without_what_is_no_backup() {
        let (dir, now) = folder(&[
            ("old.db", 3600),
            ("new.db", 60),
            ("fresh.db", 1),
            ("torn.db.part", 7200),
            ("new.db.sha256", 1),
            (".new.db.xY2", 1),
            ("no-extension", 120),
        ]);
        fs::create_dir(dir.path().join("folder.db")).unwrap();
        std::os::unix::fs::symlink("new.db", dir.path().join("latest.db")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("broken.db")).unwrap();
        let mut listed = names(dir.path(), now);
        // Which of the two names of one file comes first is the file system's affair.
        for (name, _) in &mut listed {
            *name = name.replace("latest", "new");
        }
        let expected = [
            ("fresh.db", Stage::Fresh),
            ("new.db", Stage::Whole),
            ("no-extension", Stage::Whole),
            ("old.db", Stage::Whole),
            ("torn.db.part", Stage::Partial),
        ];
        assert_eq!(listed, expected.map(|(name, stage)| (name.to_owned(), stage)));
    }

    #[test]
    fn a_pattern_names_what_it_names() {
        let (dir, now) = folder(&[("a.db", 60), ("b.json", 70), ("c.db", 80)]);
        let listed = names(&dir.path().join("*.db"), now);
        assert_eq!(
            listed.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
            ["a.db", "c.db"]
        );
        assert_eq!(
            names(&dir.path().join("*.json"), now).len(),
            1,
            "asked for by name"
        );
        assert_eq!(names(&dir.path().join("x*"), now), []);
        assert_eq!(names(&dir.path().join("b.json"), now).len(), 1);
    }

    #[test]
    fn of_many_files_the_newest_are_told_apart_and_all_are_counted() {
        let files: Vec<(String, u64)> = (0..200).map(|at| (format!("{at}.db"), 60 + at)).collect();
        let files: Vec<(&str, u64)> = files.iter().map(|(name, age)| (&**name, *age)).collect();
        let (dir, now) = folder(&files);
        let listing = list(dir.path(), now, &|| true).unwrap();
        assert_eq!((listing.newest.len(), listing.beyond), (KEPT, 200 - KEPT));
        let oldest = listing
            .newest
            .last()
            .unwrap()
            .path
            .file_name()
            .unwrap()
            .to_owned();
        assert_eq!(oldest, format!("{}.db", KEPT - 1).as_str());
    }

    #[test]
    fn what_is_not_there_is_an_error_and_one_may_stop() {
        let (dir, now) = folder(&[("a.db", 60)]);
        let error = list(&dir.path().join("none"), now, &|| true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = list(dir.path(), now, &|| false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
