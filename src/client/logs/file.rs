//! Following a file that a log is written to: through renaming and through truncation, never waiting for it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::{Added, READ_AT_ONCE};
use crate::client::proc::{resolve, unreadable};
use crate::model::{CollectError, Reason};

/// How much of the end is looked at when a log is first seen: far more than a member writes in the time that counts.
const LOOK_BACK_BYTES: u64 = 256 * 1024;
/// How far reading may fall behind before the rest is passed over, and counted.
const MOST_BEHIND: u64 = 16 * READ_AT_ONCE as u64;
/// What a pattern does not choose: old files that log rotation has packed.
const PACKED: [&str; 5] = ["gz", "xz", "zst", "bz2", "lz4"];

/// A file that is followed.
pub struct Follower {
    path: PathBuf,
    root: PathBuf,
    open: Option<Open>,
}

struct Open {
    file: File,
    /// Device and inode.
    id: (u64, u64),
    /// Up to where it was read.
    at: u64,
}

impl Follower {
    pub(super) const fn new(path: PathBuf, root: PathBuf) -> Self {
        Self {
            path,
            root,
            open: None,
        }
    }

    pub(super) fn moved_to(&mut self, path: &Path) {
        path.clone_into(&mut self.path);
    }

    /// What was added. A file that is no longer there under its name is read to its end first; then the new one is from its
    /// beginning.
    pub(super) fn read(&mut self, ended: bool) -> Result<Added, CollectError> {
        let there = if ended { None } else { Some(self.there()) };
        let Some(open) = &mut self.open else {
            return self.first_look(there);
        };
        let mut added = open.more(&self.path)?;
        let other = match there {
            Some(Ok(path)) => open_log(&path)?.filter(|other| other.id != open.id),
            // Between the renaming and the making of the new one, or etcd has ended: nothing is wrong with what is open.
            Some(Err(_)) | None => None,
        };
        if let Some(other) = other
            && added.bytes.len() < READ_AT_ONCE
        {
            // Once more, for what was written before the name changed.
            added.bytes.extend(open.more(&self.path)?.bytes);
            if !added.bytes.ends_with(b"\n") {
                added.bytes.push(b'\n');
            }
            *open = other;
        }
        Ok(added)
    }

    /// The end of the log, and a little before it.
    fn first_look(&mut self, there: Option<Result<PathBuf, CollectError>>) -> Result<Added, CollectError> {
        let gone = |path: &Path| unreadable(path, "open", &ErrorKind::NotFound.into());
        let path = there.unwrap_or_else(|| Err(gone(&self.path)))?;
        let mut open = open_log(&path)?.ok_or_else(|| gone(&path))?;
        open.at = open.size(&path)?.saturating_sub(LOOK_BACK_BYTES);
        let added = Added {
            look_back: true,
            mid_line: open.at > 0,
            ..open.more(&path)?
        };
        self.open = Some(open);
        Ok(added)
    }

    /// The file that the path or pattern means now.
    fn there(&self) -> Result<PathBuf, CollectError> {
        let text = self.path.to_string_lossy();
        if !text.contains(['*', '?', '[']) || self.path.exists() {
            return Ok(self.on_host(&self.path));
        }
        let malformed = |error: glob::PatternError| CollectError {
            reason: Reason::Malformed,
            message: format!("{text} is no pattern: {error}"),
            fix: "correct `logs` in the configuration".into(),
        };
        let newest = glob::glob(&text)
            .map_err(malformed)?
            .flatten()
            .map(|path| self.on_host(&path))
            .filter(|path| {
                !path
                    .extension()
                    .is_some_and(|ending| PACKED.iter().any(|packed| ending == *packed))
            })
            .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
            .max();
        newest.map(|(_, path)| path).ok_or_else(|| CollectError {
            reason: Reason::Unreachable,
            message: format!("no file is called like {text}"),
            fix: "correct `logs` in the configuration, or leave it out to have the log found".into(),
        })
    }

    /// Links below another root directory are followed as the host would.
    fn on_host(&self, path: &Path) -> PathBuf {
        let below = path
            .strip_prefix(&self.root)
            .ok()
            .filter(|_| self.root != Path::new("/"));
        let resolved = below.and_then(|below| resolve(&self.root, &Path::new("/").join(below)).ok());
        match resolved {
            Some(resolved) => self.root.join(resolved.strip_prefix("/").unwrap_or(&resolved)),
            None => path.to_owned(),
        }
    }
}

impl Open {
    fn size(&self, path: &Path) -> Result<u64, CollectError> {
        let metadata = self.file.metadata();
        Ok(metadata
            .map_err(|error| unreadable(path, "look at", &error))?
            .len())
    }

    /// Reads on, up to the bound.
    fn more(&mut self, path: &Path) -> Result<Added, CollectError> {
        let size = self.size(path)?;
        let mut added = Added::default();
        if size < self.at {
            // It was copied and emptied.
            self.at = 0;
            added.begins_anew = true;
        }
        if size - self.at > MOST_BEHIND {
            let to = size - READ_AT_ONCE as u64;
            added.skipped = to - self.at;
            added.begins_anew = true;
            added.mid_line = true;
            self.at = to;
        }
        let from = SeekFrom::Start(self.at);
        let seek = self.file.seek(from);
        let read = seek.and_then(|_| {
            (&self.file)
                .take(READ_AT_ONCE as u64)
                .read_to_end(&mut added.bytes)
        });
        read.map_err(|error| unreadable(path, "read", &error))?;
        self.at += added.bytes.len() as u64;
        Ok(added)
    }
}

/// Opens a log without waiting for anything; none when it is not there. What is no regular file (a pipe, whose reader would
/// take the log away from its owner) is refused.
fn open_log(path: &Path) -> Result<Option<Open>, CollectError> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, "open", &error)),
    };
    let metadata = file
        .metadata()
        .map_err(|error| unreadable(path, "look at", &error))?;
    if !metadata.is_file() {
        return Err(CollectError {
            reason: Reason::Malformed,
            message: format!("{} is no regular file", path.display()),
            fix: "name the file that the log is written to with `logs` in the configuration".into(),
        });
    }
    Ok(Some(Open {
        id: (metadata.dev(), metadata.ino()),
        file,
        at: 0,
    }))
}
