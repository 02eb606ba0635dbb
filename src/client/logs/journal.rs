//! The journal, through a `journalctl` that follows one unit and is read without waiting for it.

use std::io::{ErrorKind, PipeReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::{Added, READ_AT_ONCE};
use crate::model::{CollectError, Reason, Timestamp};

/// How much of what `journalctl` complains of is kept: its first words say it.
const MOST_COMPLAINT: usize = 4096;
/// What `journalctl` says when it may not see a unit's entries, and goes on without them.
const NOT_ALLOWED: &str = "not seeing messages from other users";

/// A unit's entries, followed.
pub struct Journal {
    unit: String,
    program: PathBuf,
    root: PathBuf,
    /// From when on entries have not been read yet.
    since: Timestamp,
    running: Option<Running>,
}

/// A `journalctl` at work, ended with this.
struct Running {
    /// None once it is on its way to be reaped.
    child: Option<Child>,
    entries: PipeReader,
    complaints: PipeReader,
    complaint: String,
}

impl Journal {
    pub(super) fn new(unit: &str, root: &Path, since: Timestamp) -> Self {
        Self::by("journalctl".into(), unit, root, since)
    }

    fn by(program: PathBuf, unit: &str, root: &Path, since: Timestamp) -> Self {
        Self {
            unit: unit.to_owned(),
            program,
            root: root.to_owned(),
            since,
            running: None,
        }
    }

    pub(super) fn is_of(&self, unit: &str) -> bool {
        self.unit == unit
    }

    /// What was added. The first time it only sets `journalctl` going.
    pub(super) fn read(&mut self, now: Timestamp) -> Result<Added, CollectError> {
        let running = match &mut self.running {
            Some(running) => running,
            empty => empty.insert(
                Running::start(&self.program, &self.unit, &self.root, self.since)
                    .map_err(|error| self_error(&self.program, &error))?,
            ),
        };
        let failed = |error: std::io::Error| self_error(Path::new("journalctl"), &error);
        let mut added = Added::default();
        let entries = available(&mut running.entries, READ_AT_ONCE, &mut added.bytes).map_err(failed)?;
        running.complain().map_err(failed)?;
        if running.complaint.contains(NOT_ALLOWED) {
            return Err(CollectError {
                reason: Reason::PermissionDenied,
                message: format!("journalctl shows no entries of {} to this user", self.unit),
                fix: "add the user that etcd-doctor runs as to the group systemd-journal, or run it as root"
                    .into(),
            });
        }
        if entries == Available::Ended {
            let complaint = running.complaint.lines().next().unwrap_or_default().to_owned();
            // Begun anew the next time, from where this one was last heard of.
            self.running = None;
            if added.bytes.is_empty() {
                return Err(CollectError {
                    reason: Reason::Unreachable,
                    message: format!("journalctl for {} ended: {complaint}", self.unit),
                    fix: format!(
                        "try `journalctl --unit={} --follow` as the user that etcd-doctor runs as",
                        self.unit
                    ),
                });
            }
        }
        self.since = now;
        Ok(added)
    }
}

fn self_error(program: &Path, error: &std::io::Error) -> CollectError {
    CollectError {
        reason: match error.kind() {
            ErrorKind::PermissionDenied => Reason::PermissionDenied,
            _ => Reason::Unreachable,
        },
        message: format!("could not run {}: {error}", program.display()),
        fix: "install systemd's journalctl where etcd-doctor runs, or name another log with `logs` in the \
              configuration (`logs: off` reads none)"
            .into(),
    }
}

impl Running {
    fn start(program: &Path, unit: &str, root: &Path, since: Timestamp) -> std::io::Result<Self> {
        let (entries, out) = std::io::pipe()?;
        let (complaints, err) = std::io::pipe()?;
        for end in [&entries, &complaints] {
            fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
        }
        let mut command = Command::new(program);
        command
            // The message alone, whole, and nothing of what lies before `since`.
            .args(["--follow", "--no-tail", "--no-pager", "--output=cat", "--all"])
            .arg(format!("--unit={unit}"))
            .arg(format!("--since=@{}", since.millis().div_euclid(1000)));
        if root != Path::new("/") {
            command.arg(format!("--root={}", root.display()));
        }
        let child = command
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()?;
        Ok(Self {
            child: Some(child),
            entries,
            complaints,
            complaint: String::new(),
        })
    }

    /// Reads what it complains of. Kept up to the bound, read in full: else it would wait for its reader.
    fn complain(&mut self) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        available(&mut self.complaints, READ_AT_ONCE, &mut bytes)?;
        let room = MOST_COMPLAINT
            .saturating_sub(self.complaint.len())
            .min(bytes.len());
        self.complaint += &String::from_utf8_lossy(&bytes[..room]);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let _ = child.kill();
        // It ends at once, unless it hangs in a read of a disk: that must not hold up whoever drops it.
        std::thread::spawn(move || child.wait());
    }
}

#[derive(PartialEq, Debug)]
enum Available {
    SoFar,
    Ended,
}

/// Reads what is there, up to a bound.
fn available(pipe: &mut PipeReader, bound: usize, bytes: &mut Vec<u8>) -> std::io::Result<Available> {
    let mut part = [0; 16 * 1024];
    while bytes.len() < bound {
        match pipe.read(&mut part) {
            Ok(0) => return Ok(Available::Ended),
            Ok(length) => bytes.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Available::SoFar)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A `journalctl` of a test's own: no journal with etcd's entries is at hand where tests run.
    fn program(dir: &tempfile::TempDir, script: &str) -> PathBuf {
        let path = dir.path().join("journalctl");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    /// Reads until something comes, or fails.
    fn until_read(journal: &mut Journal) -> Result<String, CollectError> {
        loop {
            let added = journal.read(at(70))?;
            if !added.bytes.is_empty() {
                return Ok(String::from_utf8(added.bytes).unwrap());
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn follows_one_unit_from_a_time_on_and_never_waits() {
        let dir = tempfile::tempdir().unwrap();
        // It says what it was asked, and then waits for ever.
        let program = program(&dir, "echo \"$@\"\nexec sleep 1000");
        let mut journal = Journal::by(program, "etcd.service", Path::new("/"), at(10));
        let asked = until_read(&mut journal).unwrap();
        assert_eq!(
            asked,
            "--follow --no-tail --no-pager --output=cat --all --unit=etcd.service --since=@10\n"
        );
        assert!(journal.read(at(75)).unwrap().bytes.is_empty(), "nothing new");
        assert!(journal.is_of("etcd.service") && !journal.is_of("other.service"));
    }

    #[test]
    fn says_why_it_ended_and_begins_again_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let failing = program(&dir, "echo 'No journal files were found.' >&2; exit 1");
        let mut journal = Journal::by(failing, "etcd.service", Path::new("/host"), at(10));
        let error = until_read(&mut journal).unwrap_err();
        assert_eq!(
            error.message,
            "journalctl for etcd.service ended: No journal files were found."
        );
        program(&dir, "echo \"$@\"");
        let asked = until_read(&mut journal).unwrap();
        assert!(asked.contains("--root=/host"), "{asked}");
    }

    #[test]
    fn a_user_who_may_not_see_the_unit_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let hint = "echo 'Hint: You are currently not seeing messages from other users and the system.' >&2; exec sleep 1000";
        let mut journal = Journal::by(program(&dir, hint), "etcd.service", Path::new("/"), at(10));
        let error = until_read(&mut journal).unwrap_err();
        assert_eq!(error.reason, Reason::PermissionDenied);
        assert!(error.fix.contains("systemd-journal"), "{error}");
    }

    #[test]
    fn a_journalctl_that_is_not_there_is_no_empty_journal() {
        let mut journal = Journal::by(
            "/nowhere/journalctl".into(),
            "etcd.service",
            Path::new("/"),
            at(10),
        );
        let error = until_read(&mut journal).unwrap_err();
        assert!(
            error.message.starts_with("could not run /nowhere/journalctl: "),
            "{error}"
        );
    }
}
