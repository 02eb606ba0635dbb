//! A slow disk, as one process sees it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::{Process, peers, wait_for};

/// Delays every flush of a process, until dropped.
pub struct SlowDisk(Process);

impl SlowDisk {
    /// Attaches to all threads of `pid`. Needs to be allowed to trace it: the same user, or root.
    pub async fn on(pid: u32, delay: Duration, log: &Path) -> Self {
        let args = [
            "-f".to_owned(),
            format!("--attach={pid}"),
            "--trace=fdatasync,fsync".to_owned(),
            format!("--inject=fdatasync,fsync:delay_enter={}", delay.as_micros()),
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

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // Asked, and not killed, it lets go of the threads that it holds. It waits at most for one delay.
        self.0.signal(Signal::TERM);
        self.0.wait();
    }
}

fn strace() -> PathBuf {
    peers::program("strace", "strace")
}
