//! Which mount lies under a member's data directory and its write-ahead log.

use std::path::{Path, PathBuf};

use procfs::process::MountInfo;

use super::Failure;
use crate::client::proc::{LocalEtcd, below, read_text};
use crate::model::{CollectError, Reason};

/// What etcd-doctor itself sees mounted.
const OWN_MOUNTS: &str = "/proc/self/mountinfo";

/// What a directory is used for: the label `use`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    /// The database and the snapshots.
    Data,
    /// The write-ahead log, which each commit waits for.
    Wal,
}

/// A directory and the mounted file system that it lies on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mount {
    /// The directory, without links, as the process sees it.
    pub dir: PathBuf,
    /// The mount point, as the process sees it.
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
            (Use::Data, of_dir(process, &mountinfo, &data)?),
            (Use::Wal, of_dir(process, &mountinfo, &wal)?),
        ])
    };
    found().map_err(Failure::Failed)
}

fn of_dir(process: &LocalEtcd, mountinfo: &str, dir: &Path) -> Result<Mount, CollectError> {
    let mount = under(mountinfo, dir).ok_or_else(|| CollectError {
        reason: Reason::Malformed,
        message: format!(
            "no line of etcd's mountinfo says what is mounted under {}",
            dir.display()
        ),
        fix: String::new(),
    })?;
    if process.limited {
        same_device(process, &mount, &below(&process.root, dir))?;
    }
    Ok(mount)
}

/// Checks that a directory of the process is what is found at its path on the host, by the device: a link that is not seen
/// from here, or another folder in a container, would have another disk blamed. Both devices are those of mounts, since some
/// file systems (btrfs) number their files' devices otherwise.
fn same_device(process: &LocalEtcd, mount: &Mount, on_host: &Path) -> Result<(), CollectError> {
    let found = on_host
        .canonicalize()
        .map_err(|error| process.may_not("find", on_host, &error))?;
    let own = under(&read_text(Path::new(OWN_MOUNTS))?, &found);
    let device = own.map_or_else(|| "none".to_owned(), |own| own.device);
    if device == mount.device {
        return Ok(());
    }
    Err(CollectError {
        reason: Reason::Malformed,
        message: format!(
            "{} is on device {device}, and {} of etcd's process on {}: they are not the same",
            on_host.display(),
            mount.dir.display(),
            mount.device
        ),
        fix: "mount the host's folder at that place below `paths.rootfs`, read-only".to_owned(),
    })
}

/// Finds the mount that a path without links lies on: the deepest one, and of several at one point the last, which hides the
/// others. Lines that cannot be understood are passed over, since they are about other mounts.
pub(super) fn under(mountinfo: &str, path: &Path) -> Option<Mount> {
    let mounts = mountinfo
        .lines()
        .filter_map(|line| MountInfo::from_line(line).ok())
        .map(|info| Mount {
            dir: path.to_owned(),
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
    use crate::collect::fixture;

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
    fn what_lies_at_the_same_path_has_to_be_on_the_same_device() {
        let folder = tempfile::tempdir().unwrap();
        let process = LocalEtcd {
            root: folder.path().into(),
            limited: true,
            ..fixture::process(&[])
        };
        let mount = |device: String| Mount {
            dir: "/var/lib/etcd".into(),
            point: "/var/lib/etcd".into(),
            device,
            fs_type: "ext4".into(),
        };
        let own = std::fs::read_to_string(OWN_MOUNTS).unwrap();
        let own = under(&own, &folder.path().canonicalize().unwrap())
            .unwrap()
            .device;
        assert!(same_device(&process, &mount(own), folder.path()).is_ok());
        let other = mount("4095:7".into());
        let error = same_device(&process, &other, folder.path()).unwrap_err();
        assert!(
            error.message.ends_with("on 4095:7: they are not the same"),
            "{error}"
        );
        let error = same_device(&process, &other, &folder.path().join("none")).unwrap_err();
        assert!(error.message.starts_with("could not find "), "{error}");
        assert!(error.fix.starts_with("mount the folder"), "{error}");
    }

    #[test]
    fn no_mount_is_no_answer() {
        assert_eq!(under("nonsense\n", Path::new("/srv")), None);
    }
}
