//! Which mount lies under a member's data directory and its write-ahead log.

use std::path::{Path, PathBuf};

use procfs::process::MountInfo;

use super::Failure;
use crate::client::proc::LocalEtcd;
use crate::model::{CollectError, Reason};

/// What a directory is used for: the label `use`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    /// The database and the snapshots.
    Data,
    /// The write-ahead log, which each commit waits for.
    Wal,
}

/// A mounted file system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mount {
    /// Its mount point, as the process sees it.
    pub point: PathBuf,
    /// Its device number as `major:minor`; major is 0 when no block device is behind it.
    pub device: String,
    /// `ext4`, `overlay`, …
    pub fs_type: String,
}

impl Use {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Wal => "wal",
        }
    }
}

/// The mounts under the two directories of a process.
pub(super) fn of(process: &LocalEtcd) -> Result<[(Use, Mount); 2], Failure> {
    let found = || -> Result<_, CollectError> {
        let data = process.resolve(&process.data_dir()?)?;
        let wal = process.resolve(&process.wal_dir()?)?;
        let mountinfo = process.text("mountinfo")?;
        Ok([
            (Use::Data, under_or_fail(&mountinfo, &data)?),
            (Use::Wal, under_or_fail(&mountinfo, &wal)?),
        ])
    };
    found().map_err(Failure::Failed)
}

fn under_or_fail(mountinfo: &str, path: &Path) -> Result<Mount, CollectError> {
    under(mountinfo, path).ok_or_else(|| CollectError {
        reason: Reason::Malformed,
        message: format!(
            "no line of etcd's mountinfo says what is mounted under {}",
            path.display()
        ),
        fix: String::new(),
    })
}

/// Finds the mount that a path without links lies on: the deepest one, and of several at one point the last, which hides the
/// others. Lines that cannot be understood are passed over, since they are about other mounts.
pub(super) fn under(mountinfo: &str, path: &Path) -> Option<Mount> {
    let mounts = mountinfo
        .lines()
        .filter_map(|line| MountInfo::from_line(line).ok())
        .map(|info| Mount {
            point: unescape(&info.mount_point.to_string_lossy()).into(),
            device: info.majmin,
            fs_type: info.fs_type,
        });
    mounts
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.components().count())
}

/// The kernel writes a blank, a tab, a line feed and a backslash in octal.
fn unescape(text: &str) -> String {
    // The backslash last: it might otherwise make an escape of what follows it.
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, meant)| {
            text.replace(escape, meant)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_and_last_mount_counts() {
        let mountinfo = std::fs::read_to_string("tests/fixtures/proc/1/mountinfo").unwrap();
        let under = |path: &str| under(&mountinfo, Path::new(path)).unwrap();
        assert_eq!(under("/srv/etcd").device, "253:0");
        assert_eq!(under("/srv-other").device, "8:1");
        assert_eq!(under("/var/lib/etcd-wal/x").fs_type, "xfs");
        assert_eq!(under("/mnt/with blank/x").point, Path::new("/mnt/with blank"));
    }

    #[test]
    fn no_mount_is_no_answer() {
        assert_eq!(under("nonsense\n", Path::new("/srv")), None);
    }
}
