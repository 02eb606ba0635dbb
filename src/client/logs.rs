//! Where a member's log is, and reading what was added to it: from a file or the journal. Blocks; whoever calls runs it
//! where that may be.

mod file;
mod journal;

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::proc::{LocalEtcd, unreadable};
use crate::model::{CollectError, Timestamp};

/// How far back a log is read when it is first seen: long enough for the last words of what broke just before, too short
/// to pass old trouble off as new.
pub const LOOK_BACK: std::time::Duration = std::time::Duration::from_secs(60);

/// The most that is read of one log in one cycle. A member logs a few KB a second even when it fails at everything.
pub const READ_AT_ONCE: usize = 1024 * 1024;

/// Where a log is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A file, or the newest of those that a pattern with `*`, `?` or `[…]` names.
    File(PathBuf),
    /// The journal's entries of a systemd unit.
    Journal(String),
}

/// Which logs of a cluster are read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Which {
    /// That of each member on this host, where its process tells it.
    #[default]
    Found,
    /// None.
    Off,
    /// This one, of the only member on this host.
    Here(Place),
    /// These, by the members' names; for others, what is found.
    Of(std::collections::BTreeMap<String, Place>),
}

/// What was added to a log since it was last read.
#[derive(Debug, Default)]
pub struct Added {
    /// The bytes, which may begin and end within a line.
    pub bytes: Vec<u8>,
    /// Whether they do not go on where the last ones ended.
    pub begins_anew: bool,
    /// Whether they begin somewhere within a line.
    pub mid_line: bool,
    /// Whether they may be older than the first look: then only lines that tell a time of `LOOK_BACK` count.
    pub look_back: bool,
    /// How many bytes before them were passed over, since the log grew faster than it is read.
    pub skipped: u64,
}

/// A log that is followed.
pub enum Log {
    /// A file.
    File(file::Follower),
    /// The journal.
    Journal(journal::Journal),
}

impl Log {
    /// Begins to follow a log at its end, with a look back. Reads nothing yet. `root` is where the host's root directory is.
    pub fn follow(place: &Place, root: &Path, now: Timestamp) -> Self {
        match place {
            Place::File(path) => Self::File(file::Follower::new(path.clone(), root.to_owned())),
            Place::Journal(unit) => Self::Journal(journal::Journal::new(unit, root, now.minus(LOOK_BACK))),
        }
    }

    /// Follows etcd to another place of the same kind, without losing what was last written to the old one. False
    /// when it is of another kind.
    pub fn moved_to(&mut self, place: &Place) -> bool {
        match (self, place) {
            (Self::File(follower), Place::File(path)) => {
                follower.moved_to(path);
                true
            }
            (Self::Journal(journal), Place::Journal(unit)) => journal.is_of(unit),
            _ => false,
        }
    }

    /// What was added since the last time, about [`READ_AT_ONCE`] at most. When etcd has `ended`, no file is looked for under its
    /// name any more: another process may have its number.
    ///
    /// # Errors
    /// When the log cannot be read, with what to do.
    pub fn read(&mut self, now: Timestamp, ended: bool) -> Result<Added, CollectError> {
        match self {
            Self::File(follower) => follower.read(ended),
            Self::Journal(journal) => journal.read(now),
        }
    }
}

/// Why it cannot be told where a log is.
#[derive(Debug)]
pub enum Nowhere {
    /// It is kept nowhere, or where etcd-doctor does not read.
    Unkept(String),
    /// What would tell could not be read.
    Failed(CollectError),
}

/// Where a process writes its log: the file that it was told, else where its standard error leads. A file of the process
/// is opened through `/proc/PID`, so that no other can be taken for it.
///
/// # Errors
/// In words, when it is nowhere that can be read.
pub fn of_process(process: &LocalEtcd, root: &Path) -> Result<Place, Nowhere> {
    let outputs = process.settings.get("log-outputs");
    let outputs: Vec<&str> = outputs.map_or_else(Vec::new, |list| list.split(',').map(str::trim).collect());
    let is_file =
        |output: &&&str| !matches!(**output, "default" | "stderr" | "stdout" | "systemd/journal" | "");
    if let Some(path) = outputs.iter().find(is_file) {
        let found = process
            .absolute(Path::new(path))
            .and_then(|path| process.on_host(&path));
        return found.map(Place::File).map_err(Nowhere::Failed);
    }
    let cgroup = || process.text("cgroup").map_err(Nowhere::Failed);
    if process.limited {
        let unseen = || "where its output goes may not be looked up with `host: limited`, and it is in no container whose log is found";
        return of_container(&cgroup()?, root).ok_or_else(|| Nowhere::Unkept(unseen().to_owned()));
    }
    let descriptor = if outputs == ["stdout"] { 1 } else { 2 };
    let link = process.dir.join("fd").join(descriptor.to_string());
    let failed = |error| Nowhere::Failed(unreadable(&link, "follow", &error));
    let kind = fs::metadata(&link).map_err(failed)?.file_type();
    if kind.is_file() {
        return Ok(Place::File(link));
    }
    let target = fs::read_link(&link).map_err(failed)?;
    if kind.is_char_device() {
        return Err(Nowhere::Unkept(format!("it goes to {}", target.display())));
    }
    let cgroup = cgroup()?;
    // journald gives its units a socket; what is at the other end of a pipe, only a container's id tells.
    let of_unit = || unit(&cgroup).filter(|_| kind.is_socket()).map(str::to_owned);
    of_container(&cgroup, root)
        .or_else(|| of_unit().map(Place::Journal))
        .ok_or_else(|| {
            Nowhere::Unkept(format!(
                "it goes to {}, and no container's log or systemd unit is known to belong to that",
                target.display()
            ))
        })
}

/// The log of the container that a process's cgroup names: Kubernetes', else docker's.
fn of_container(cgroup: &str, root: &Path) -> Option<Place> {
    let id = container(cgroup)?;
    let ending = format!("-{id}.log");
    let mut of_pods = fs::read_dir(root.join("var/log/containers"))
        .into_iter()
        .flatten()
        .flatten();
    let of_pod = of_pods.find(|entry| entry.file_name().to_string_lossy().ends_with(&ending));
    let docker = || {
        Some(root.join(format!("var/lib/docker/containers/{id}/{id}-json.log"))).filter(|path| path.exists())
    };
    of_pod.map(|entry| entry.path()).or_else(docker).map(Place::File)
}

/// The id in a cgroup's path: `…/cri-containerd-<64 hex digits>.scope`, `/docker/<64 hex digits>`.
fn container(cgroup: &str) -> Option<&str> {
    const ID: usize = 64;
    let parts = cgroup.lines().flat_map(|line| line.rsplit(['/', '-', ':', '.']));
    parts
        .into_iter()
        .find(|part| part.len() == ID && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The systemd service in a cgroup's path: `0::/system.slice/etcd.service`.
fn unit(cgroup: &str) -> Option<&str> {
    let mut parts = cgroup.lines().flat_map(|line| line.rsplit('/'));
    parts.find(|part| part.ends_with(".service") && !part.starts_with("user@"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_cgroup_names_container_or_unit() {
        for path in [
            format!(
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-{ID}.scope"
            ),
            format!("11:memory:/docker/{ID}\n0::/docker/{ID}\n"),
            format!("0::/../crio-{ID}.scope"),
        ] {
            assert_eq!(container(&path), Some(ID), "{path}");
        }
        assert_eq!(container("0::/system.slice/etcd.service\n"), None);
        assert_eq!(unit("0::/system.slice/etcd.service\n"), Some("etcd.service"));
        assert_eq!(
            unit("0::/system.slice/system-etcd.slice/etcd@a.service\n"),
            Some("etcd@a.service")
        );
        assert_eq!(unit("0::/user.slice/user-0.slice/session-1.scope\n"), None);
    }

    /// A process whose standard error is what `link` leads to.
    fn process(dir: &Path, link: &Path, outputs: Option<&str>, cgroup: &str) -> LocalEtcd {
        let dir = dir.join("7");
        fs::create_dir_all(dir.join("fd")).unwrap();
        let _ = fs::remove_file(dir.join("fd/2"));
        std::os::unix::fs::symlink(link, dir.join("fd/2")).unwrap();
        fs::write(dir.join("cgroup"), cgroup).unwrap();
        let outputs = outputs.map(|outputs| ("log-outputs", outputs.to_owned()));
        LocalEtcd {
            pid: 7,
            root: dir.join("root"),
            limited: false,
            dir,
            settings: outputs.into_iter().collect(),
            origins: std::collections::BTreeMap::new(),
            unreadable: None,
        }
    }

    #[test]
    fn the_log_is_where_the_process_writes_it() {
        let host = tempfile::tempdir().unwrap();
        let root = host.path();
        let file = root.join("etcd.log");
        fs::write(&file, "").unwrap();
        let place = |process: &LocalEtcd| match of_process(process, root) {
            Ok(Place::File(path)) => path.strip_prefix(root).unwrap().display().to_string(),
            Ok(Place::Journal(unit)) => format!("the journal of {unit}"),
            Err(Nowhere::Unkept(why)) => why,
            Err(Nowhere::Failed(error)) => panic!("{error}"),
        };
        assert_eq!(place(&process(root, &file, None, "")), "7/fd/2");
        let told = process(root, &file, Some("stderr,/var/log/etcd.log"), "");
        assert_eq!(place(&told), ["7", "root", "var/log/etcd.log"].join("/"));
        let null = process(root, Path::new("/dev/null"), None, "");
        assert_eq!(place(&null), "it goes to /dev/null");

        // journald's units have a socket, containers a pipe.
        let socket = root.join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let unit = "0::/system.slice/etcd.service\n";
        assert_eq!(
            place(&process(root, &socket, None, unit)),
            "the journal of etcd.service"
        );
        let pipe = root.join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        let of_container = process(root, &pipe, None, &format!("0::/docker/{ID}\n"));
        assert!(place(&of_container).ends_with("is known to belong to that"));
        let docker = root.join("var/lib/docker/containers").join(ID);
        fs::create_dir_all(&docker).unwrap();
        fs::write(docker.join(format!("{ID}-json.log")), "").unwrap();
        assert_eq!(
            place(&of_container),
            format!("var/lib/docker/containers/{ID}/{ID}-json.log")
        );
        let pods = root.join("var/log/containers");
        fs::create_dir_all(&pods).unwrap();
        fs::write(pods.join(format!("etcd-a_kube-system_etcd-{ID}.log")), "").unwrap();
        assert_eq!(
            place(&of_container),
            format!("var/log/containers/etcd-a_kube-system_etcd-{ID}.log")
        );
        assert!(
            place(&process(root, &pipe, None, unit)).starts_with("it goes to "),
            "a pipe of a unit is not the journal's"
        );

        // Where descriptors may not be looked at, a container's id is enough, and nothing else is.
        let limited = |process: LocalEtcd| LocalEtcd {
            limited: true,
            ..process
        };
        let of_container = process(root, Path::new("/nowhere"), None, &format!("0::/docker/{ID}\n"));
        assert_eq!(
            place(&limited(of_container)),
            format!("var/log/containers/etcd-a_kube-system_etcd-{ID}.log")
        );
        let of_unit = limited(process(root, &file, None, unit));
        assert!(place(&of_unit).contains("`host: limited`"));
    }
}
