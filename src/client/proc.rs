//! `/proc`: which etcd processes run on this host, how they were started and where their files are.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::flags::{self, Origin};
use crate::model::{CollectError, Reason};

/// As many symbolic links as Linux itself follows in one path (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// How far this host is looked at for the members of a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HostAccess {
    /// Not at all.
    None,
    /// As far as every user sees other users' processes: what a container without capabilities can do, where `/proc/PID/root`,
    /// `environ`, `cwd`, `fd` and `io` are closed.
    Limited,
    /// All of it, which takes the user that etcd runs as, or root with CAP_SYS_PTRACE.
    #[default]
    Full,
}

/// An etcd server on this host.
#[derive(Clone, Debug)]
pub struct LocalEtcd {
    /// Its process id, as seen in this `/proc`.
    pub pid: i32,
    /// Its `/proc/PID`.
    pub dir: PathBuf,
    /// Where its root directory is to be found from here.
    pub root: PathBuf,
    /// Whether that is the host's instead of its own, where a path may lead to something else.
    pub limited: bool,
    /// What it was told, of a closed list of settings: from its command line, its environment or its file.
    pub settings: BTreeMap<&'static str, String>,
    /// Where each of them is from.
    pub origins: BTreeMap<&'static str, Origin>,
    /// Why the settings may be incomplete: the environment or the file could not be read.
    pub unreadable: Option<CollectError>,
}

/// Finds the etcd servers of a `/proc`, by rising process id. Processes that end meanwhile are passed over, and so are those
/// that this user may not see at all (`hidepid`). Where access is [`HostAccess::Limited`], `host_root` stands in for their own
/// root directory, and the environment of those that have flags is taken to set nothing.
pub fn local_etcds(proc: &Path, host_root: Option<&Path>) -> Result<Vec<LocalEtcd>, CollectError> {
    let entries = fs::read_dir(proc).map_err(|error| unreadable(proc, "list the processes in", &error))?;
    let mut pids: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    Ok(pids
        .into_iter()
        .filter_map(|pid| LocalEtcd::read(proc, pid, host_root))
        .collect())
}

impl LocalEtcd {
    /// Reads one process; none when it is no etcd server or has ended.
    fn read(proc: &Path, pid: i32, host_root: Option<&Path>) -> Option<Self> {
        let dir = proc.join(pid.to_string());
        let arguments = strings(&fs::read(dir.join("cmdline")).ok()?);
        if !is_etcd_server(&arguments) {
            return None;
        }
        let mut found = Self {
            pid,
            root: host_root.map_or_else(|| dir.join("root"), Path::to_owned),
            limited: host_root.is_some(),
            dir,
            settings: BTreeMap::new(),
            origins: BTreeMap::new(),
            unreadable: None,
        };
        let environ = found.dir.join("environ");
        let variables = fs::read(&environ).map(|bytes| strings(&bytes));
        found.take(
            Origin::Environment,
            flags::from_environment(variables.as_deref().unwrap_or_default()),
        );
        found.take(Origin::Flag, flags::from_arguments(&arguments));
        // Who sets no name by a flag sets it, and all else, otherwise.
        let has_flags = ["name", flags::CONFIG_FILE]
            .iter()
            .any(|name| found.settings.contains_key(name));
        if let Err(error) = variables
            && !(found.limited && has_flags)
        {
            found.unreadable = Some(found.may_not("read", &environ, &error));
        }
        if let Some(file) = found.settings.remove(flags::CONFIG_FILE) {
            // etcd ignores all flags and variables then.
            found.settings.clear();
            found.origins.clear();
            match found.file(&file).and_then(|path| flags::from_file(&path)) {
                Ok(settings) => found.take(Origin::File, settings),
                Err(error) => found.unreadable = Some(error),
            }
        }
        Some(found)
    }

    fn take(&mut self, origin: Origin, settings: BTreeMap<&'static str, String>) {
        self.origins.extend(settings.keys().map(|name| (*name, origin)));
        self.settings.extend(settings);
    }

    /// Its name, `default` as in etcd when it was given none; none when that is not known.
    pub fn name(&self) -> Option<&str> {
        match self.settings.get("name") {
            Some(name) => Some(name),
            None => self.unreadable.is_none().then_some("default"),
        }
    }

    /// The client URLs that it advertises; empty when that is not known.
    pub fn advertised_client_urls(&self) -> Vec<&str> {
        self.urls("advertise-client-urls")
    }

    /// The client URLs that it listens on; empty when that is not known.
    pub fn listen_client_urls(&self) -> Vec<&str> {
        self.urls("listen-client-urls")
    }

    /// The URLs that serve only `/metrics` and `/health`; mostly there are none.
    pub fn listen_metrics_urls(&self) -> Vec<&str> {
        list(self.settings.get("listen-metrics-urls").map(String::as_str))
    }

    fn urls(&self, setting: &str) -> Vec<&str> {
        let default = self.unreadable.is_none().then_some("http://localhost:2379");
        list(self.settings.get(setting).map(String::as_str).or(default))
    }

    /// Its data directory, absolute, as the process sees it.
    pub fn data_dir(&self) -> Result<PathBuf, CollectError> {
        let default = || self.name().map(|name| format!("{name}.etcd"));
        match self.settings.get("data-dir").cloned().or_else(default) {
            Some(dir) => self.absolute(Path::new(&dir)),
            None => Err(self.incomplete()),
        }
    }

    /// The directory of its write-ahead log, absolute, as the process sees it.
    pub fn wal_dir(&self) -> Result<PathBuf, CollectError> {
        match (self.settings.get("wal-dir"), &self.unreadable) {
            (Some(dir), _) => self.absolute(Path::new(dir)),
            (None, None) => Ok(self.data_dir()?.join("member/wal")),
            (None, Some(_)) => Err(self.incomplete()),
        }
    }

    /// Where a file that a setting names is to be found from here.
    pub fn file(&self, path: &str) -> Result<PathBuf, CollectError> {
        self.on_host(&self.absolute(Path::new(path))?)
    }

    /// Where a file of the process is to be found from here: below `/proc/PID/root`, which also leads into a container.
    /// Symbolic links are followed as the process would follow them. What does not exist is taken literally.
    pub fn on_host(&self, path: &Path) -> Result<PathBuf, CollectError> {
        Ok(below(&self.root, &self.resolve(path)?))
    }

    /// The same path without symbolic links, as the process sees it.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, CollectError> {
        resolve(&self.root, path).map_err(|(at, error)| self.may_not("follow", &at, &error))
    }

    /// Says that something of the process could not be read, and what to do about it.
    pub fn may_not(&self, attempt: &str, path: &Path, error: &io::Error) -> CollectError {
        let failed = unreadable(path, attempt, error);
        if !self.limited {
            return failed;
        }
        let fix = match path.starts_with(&self.dir) {
            true => {
                "set it by a flag of etcd, paths in full, or see all of the process: `host: true`, with CAP_SYS_PTRACE"
            }
            false => {
                "mount the folder or file of etcd at this place, read-only, where etcd-doctor's user may read it \
                 (CAP_DAC_READ_SEARCH where it is another user's)"
            }
        };
        CollectError {
            fix: fix.to_owned(),
            ..failed
        }
    }

    /// The text of one of the files below `/proc/PID`.
    pub fn text(&self, file: &str) -> Result<String, CollectError> {
        read_text(&self.dir.join(file))
    }

    pub(super) fn absolute(&self, path: &Path) -> Result<PathBuf, CollectError> {
        if path.is_absolute() {
            return Ok(path.to_owned());
        }
        let link = self.dir.join("cwd");
        let cwd = fs::read_link(&link).map_err(|error| self.may_not("read", &link, &error))?;
        Ok(cwd.join(path))
    }

    /// Why a setting is not known. Only asked for when reading failed.
    fn incomplete(&self) -> CollectError {
        self.unreadable.clone().unwrap_or_else(|| CollectError {
            reason: Reason::Malformed,
            message: format!("the settings of etcd process {} are incomplete", self.pid),
            fix: String::new(),
        })
    }
}

/// An absolute path as it is from here, where its root directory is `root`.
pub fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Reads a text file, with an error that names it.
pub fn read_text(path: &Path) -> Result<String, CollectError> {
    fs::read_to_string(path).map_err(|error| unreadable(path, "read", &error))
}

/// Says that a file could not be read, and what to do about it.
pub fn unreadable(path: &Path, attempt: &str, error: &io::Error) -> CollectError {
    let (reason, fix) = match error.kind() {
        io::ErrorKind::PermissionDenied => (
            Reason::PermissionDenied,
            "run etcd-doctor as the user that etcd runs as, or as root (in a container also with CAP_SYS_PTRACE, or say \
             `host: limited`)",
        ),
        io::ErrorKind::NotFound => (
            Reason::Unreachable,
            "check the paths given for /proc, /sys and the root file system",
        ),
        _ => (Reason::Malformed, ""),
    };
    let message = format!("could not {attempt} {}: {error}", path.display());
    CollectError {
        reason,
        message,
        fix: fix.to_owned(),
    }
}

/// Says that a file was read and is not what it should be.
pub fn malformed(path: &Path, why: impl std::fmt::Display) -> CollectError {
    CollectError {
        reason: Reason::Malformed,
        message: format!("could not understand {}: {why}", path.display()),
        fix: String::new(),
    }
}

/// Splits what the kernel separates with NUL. Bytes that are no UTF-8 are replaced: none of the settings has any.
fn strings(bytes: &[u8]) -> Vec<String> {
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

/// Whether a command line starts an etcd server, also one with its version in its name (`etcd-3.5.16`, `etcd-v3.6`).
fn is_etcd_server(arguments: &[String]) -> bool {
    let program = arguments
        .first()
        .map_or("", |path| path.rsplit('/').next().unwrap_or(path));
    let versioned = || {
        let version = program.strip_prefix("etcd-")?;
        version.strip_prefix('v').unwrap_or(version).chars().next()
    };
    let proxy = matches!(
        arguments.get(1).map(String::as_str),
        Some("gateway" | "grpc-proxy")
    );
    !proxy && (program == "etcd" || versioned().is_some_and(|first| first.is_ascii_digit()))
}

fn list(text: Option<&str>) -> Vec<&str> {
    text.map_or_else(Vec::new, |text| {
        text.split(',')
            .map(str::trim)
            .filter(|url| !url.is_empty())
            .collect()
    })
}

/// Follows symbolic links as a process with that root directory would. `canonicalize` cannot be used: an absolute link in a
/// container would lead it out into the host. A part that does not exist ends the search; the rest is taken literally.
pub(super) fn resolve(root: &Path, path: &Path) -> Result<PathBuf, (PathBuf, io::Error)> {
    let mut done = PathBuf::from("/");
    let mut todo: Vec<PathBuf> = parts(path);
    let mut links = 0;
    while let Some(part) = todo.pop() {
        if part == Path::new("..") {
            done.pop();
            continue;
        }
        let next = done.join(&part);
        let on_host = below(root, &next);
        match fs::read_link(&on_host) {
            Ok(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err((on_host, io::Error::other("too many symbolic links")));
                }
                if target.is_absolute() {
                    done = PathBuf::from("/");
                }
                todo.extend(parts(&target));
            }
            // Not a link, or not there (any more).
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
                ) =>
            {
                done = next
            }
            Err(error) => return Err((on_host, error)),
        }
    }
    Ok(done)
}

/// The names in a path, last first, without the root and `.`.
fn parts(path: &Path) -> Vec<PathBuf> {
    let names = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    names.map(|part| PathBuf::from(part.as_os_str())).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn tells_etcd_servers_from_other_programs() {
        for line in [
            "etcd",
            "/usr/bin/etcd --name a",
            "./etcd-3.5.16 -name=a",
            "bin/etcd-v3.6.14",
        ] {
            assert!(is_etcd_server(&words(line)), "{line}");
        }
        for line in [
            "etcdctl get x",
            "/bin/etcd-doctor serve",
            "etcd grpc-proxy start",
            "etcd gateway start",
            "sh etcd",
        ] {
            assert!(!is_etcd_server(&words(line)), "{line}");
        }
        assert!(!is_etcd_server(&[]));
    }

    #[test]
    fn finds_the_processes_of_the_fixture_tree() {
        let found = local_etcds(Path::new("tests/fixtures/proc"), None).unwrap();
        let seen: Vec<_> = found.iter().map(|etcd| (etcd.pid, etcd.name())).collect();
        assert_eq!(seen, [(4101, Some("etcd-0")), (4102, Some("etcd-1"))]);
        assert_eq!(found[0].data_dir().unwrap(), Path::new("/srv/etcd/etcd-0.etcd"));
        assert_eq!(found[0].wal_dir().unwrap(), Path::new("/var/lib/etcd-wal"));
        assert_eq!(found[0].advertised_client_urls(), ["http://10.0.0.5:2379"]);
        assert_eq!(found[1].wal_dir().unwrap(), Path::new("/var/lib/etcd/member/wal"));
        assert_eq!(found[1].listen_client_urls(), ["http://localhost:2379"]);
    }

    #[test]
    fn names_a_process_directory_that_is_not_there() {
        let error = local_etcds(Path::new("tests/fixtures/no-such"), None).unwrap_err();
        assert!(
            error
                .message
                .starts_with("could not list the processes in tests/fixtures/no-such: "),
            "{error}"
        );
    }

    #[test]
    fn an_unreadable_environment_leaves_the_name_open_unless_the_flags_tell() {
        let dir = tempfile::tempdir().unwrap();
        let process = dir.path().join("7");
        fs::create_dir(&process).unwrap();
        fs::write(process.join("cmdline"), b"etcd\0--data-dir=/d\0").unwrap();
        // A directory cannot be read as a file, whoever runs the test.
        fs::create_dir(process.join("environ")).unwrap();
        let found = local_etcds(dir.path(), None).unwrap();
        assert_eq!(found[0].name(), None);
        assert_eq!(found[0].data_dir().unwrap(), Path::new("/d"));
        let message = found[0].wal_dir().unwrap_err().message;
        assert!(message.contains("/7/environ"), "{message}");
    }

    #[test]
    fn limited_access_takes_flags_for_all_and_the_hosts_files_for_those_of_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let (process, host) = (dir.path().join("proc/7"), dir.path().join("host"));
        fs::create_dir_all(&process).unwrap();
        fs::create_dir_all(host.join("disk/etcd")).unwrap();
        std::os::unix::fs::symlink("/disk", host.join("srv")).unwrap();
        let found = |cmdline: &[u8]| {
            fs::write(process.join("cmdline"), cmdline).unwrap();
            local_etcds(&dir.path().join("proc"), Some(&host))
                .unwrap()
                .remove(0)
        };
        fs::create_dir(process.join("environ")).unwrap();
        let told = found(b"etcd\0--name=a\0--data-dir=/srv/etcd\0");
        assert_eq!((told.name(), told.unreadable.is_none()), (Some("a"), true));
        assert_eq!(
            told.on_host(&told.data_dir().unwrap()).unwrap(),
            host.join("disk/etcd")
        );
        // What its environment says is not known, and that it says all is likely.
        let by_environment = found(b"etcd\0");
        assert_eq!(by_environment.name(), None);
        assert!(
            by_environment
                .unreadable
                .unwrap()
                .fix
                .starts_with("set it by a flag of etcd")
        );
    }

    #[test]
    fn follows_links_within_the_root_of_the_process() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("disk/etcd")).unwrap();
        fs::create_dir_all(root.path().join("var/lib")).unwrap();
        std::os::unix::fs::symlink("/disk/etcd", root.path().join("var/lib/etcd")).unwrap();
        std::os::unix::fs::symlink("../var/lib/etcd", root.path().join("disk/again")).unwrap();
        let resolved = |path: &str| resolve(root.path(), Path::new(path)).unwrap();
        assert_eq!(
            resolved("/var/lib/etcd/member/wal"),
            Path::new("/disk/etcd/member/wal")
        );
        assert_eq!(resolved("/disk/again/x"), Path::new("/disk/etcd/x"));
        assert_eq!(resolved("/../../not/there"), Path::new("/not/there"));

        std::os::unix::fs::symlink("loop", root.path().join("loop")).unwrap();
        assert!(resolve(root.path(), Path::new("/loop")).is_err());
    }
}
