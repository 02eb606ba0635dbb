//! A slow disk, as one process sees it, and a small one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::{Process, peers, wait_for};

/// Delays every flush of a process, until dropped.
pub struct SlowDisk(#[allow(dead_code, reason = "held for its end")] Tampering);

impl SlowDisk {
    /// Attaches to all threads of `pid`. Needs to be allowed to trace it: the same user, or root.
    pub async fn on(pid: u32, delay: Duration, log: &Path) -> Self {
        let delay = format!("delay_enter={}", delay.as_micros());
        Self(Tampering::with(pid, "fdatasync,fsync", &delay, log).await)
    }
}

/// Lets every write to the database fail as on a full disk, until dropped. What is appended, such as the log, goes on.
pub struct FullDisk(#[allow(dead_code, reason = "held for its end")] Tampering);

impl FullDisk {
    /// The same.
    pub async fn on(pid: u32, log: &Path) -> Self {
        Self(Tampering::with(pid, "pwrite64", "error=ENOSPC", log).await)
    }
}

/// A strace that changes some system calls of a process, until dropped.
struct Tampering(Process);

impl Tampering {
    async fn with(pid: u32, calls: &str, how: &str, log: &Path) -> Self {
        let args = [
            "-f".to_owned(),
            format!("--attach={pid}"),
            format!("--trace={calls}"),
            format!("--inject={calls}:{how}"),
        ];
        let mut strace = Process::spawn("strace", &strace(), &args, log);
        wait_for("strace to attach", Duration::from_secs(10), async || {
            assert!(strace.exited().is_none(), "strace ended: {}", strace.log());
            let log = strace.log();
            if log.contains("attached") {
                Ok(())
            } else {
                Err(log)
            }
        })
        .await;
        Self(strace)
    }
}

impl Drop for Tampering {
    fn drop(&mut self) {
        // Asked, and not killed, it lets go of the threads that it holds. It waits at most for one delay.
        self.0.signal(Signal::TERM);
        self.0.wait();
    }
}

fn strace() -> PathBuf {
    peers::program("strace", "strace")
}

/// A file system of its own under a folder, in a file beside it, until dropped.
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Of so many MiB, with what the folder holds. Nothing may use the folder meanwhile.
    ///
    /// # Errors
    /// In words, where file systems may not be mounted here.
    pub fn under(folder: &Path, mib: u64) -> Result<Self, String> {
        Self::made(folder, mib, "")
    }

    /// The same, with room for so many files.
    ///
    /// # Errors
    /// The same.
    pub fn with_inodes(folder: &Path, mib: u64, inodes: u64) -> Result<Self, String> {
        Self::made(folder, mib, &format!("-N {inodes}"))
    }

    fn made(folder: &Path, mib: u64, options: &str) -> Result<Self, String> {
        let image = folder.with_extension("img");
        let before = folder.with_extension("before");
        std::fs::rename(folder, &before).map_err(|e| e.to_string())?;
        let script = format!(
            "set -e; truncate -s {mib}M {image}; mkfs.ext4 -q -F -m 0 {options} {image}; mkdir -m 700 {at}; mount -o loop {image} {at}; \
             cp -a {before}/. {at}; chmod 700 {at}",
            image = image.display(),
            at = folder.display(),
            before = before.display(),
        );
        shell(&script)?;
        Ok(Self {
            at: folder.to_owned(),
        })
    }

    /// Leaves a megabyte free.
    pub fn fill(&mut self) {
        let stat = rustix::fs::statvfs(&self.at).expect("it is mounted");
        let size = (stat.f_bavail * stat.f_frsize).saturating_sub(1 << 20);
        shell(&format!("fallocate -l {size} {}", self.junk().display())).expect("there is room");
    }

    /// Undoes [`Self::fill`].
    pub fn empty(&mut self) {
        std::fs::remove_file(self.junk()).expect("it was filled");
    }

    /// Makes empty files in a folder until no more than a handful can be made. Gives the folder.
    pub fn use_up_inodes(&self) -> PathBuf {
        let folder = self.at.join("many");
        std::fs::create_dir(&folder).expect("there is an inode");
        let free = rustix::fs::statvfs(&self.at).expect("it is mounted").f_ffree;
        for file in 5..free {
            std::fs::write(folder.join(file.to_string()), "").expect("there is an inode");
        }
        folder
    }

    fn junk(&self) -> PathBuf {
        self.at.join("junk")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a member may still have files open on it.
        let _ = shell(&format!("umount -l {}", self.at.display()));
    }
}

/// Runs a script that takes moments, blocking the test.
fn shell(script: &str) -> Result<(), String> {
    let output = std::process::Command::new("sh").args(["-c", script]).output();
    let output = output.map_err(|e| format!("could not start sh: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
