//! A control group of version 1 with a limit, for one process. What this machine does not allow is told in words.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A process in a control group of its own, until dropped.
pub struct Cgroup {
    dir: PathBuf,
    pids: Vec<u32>,
}

impl Cgroup {
    /// So much CPU time in each period, of at most a second, and no more.
    ///
    /// # Errors
    /// In words, where control groups may not be made here.
    pub fn cpu_limit(pid: u32, time: Duration, period: Duration) -> Result<Self, String> {
        let [time, period] = [time, period].map(|of| of.as_micros().to_string());
        Self::new(
            "cpu",
            pid,
            &[("cpu.cfs_period_us", &period), ("cpu.cfs_quota_us", &time)],
        )
    }

    /// The smallest share of the CPUs while others want them, too.
    ///
    /// # Errors
    /// In words, where control groups may not be made here.
    pub fn cpu_share_least(pid: u32) -> Result<Self, String> {
        Self::new("cpu", pid, &[("cpu.shares", "2")])
    }

    /// So many bytes of memory that it takes from now on. What it holds already is not counted, so that it goes on.
    ///
    /// # Errors
    /// In words, where control groups may not be made here.
    pub fn memory_limit(pid: u32, bytes: u64) -> Result<Self, String> {
        Self::new("memory", pid, &[("memory.limit_in_bytes", &bytes.to_string())])
    }

    /// So many writes a second to the device under a folder.
    ///
    /// # Errors
    /// In words, where control groups may not be made here, or nothing is known of the device.
    pub fn write_limit(pid: u32, folder: &Path, writes: u32) -> Result<Self, String> {
        let device = std::os::unix::fs::MetadataExt::dev(
            &folder
                .metadata()
                .map_err(|e| format!("{}: {e}", folder.display()))?,
        );
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let limit = format!("{major}:{minor} {writes}");
        Self::new("blkio", pid, &[("blkio.throttle.write_iops_device", &limit)])
    }

    fn new(controller: &str, pid: u32, settings: &[(&str, &str)]) -> Result<Self, String> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("etcd-doctor-test-{}-{number}", std::process::id());
        let dir = Path::new("/sys/fs/cgroup").join(controller).join(name);
        std::fs::create_dir(&dir).map_err(|e| format!("could not make {}: {e}", dir.display()))?;
        let mut group = Self {
            dir,
            pids: Vec::new(),
        };
        for (file, value) in settings {
            let file = group.dir.join(file);
            std::fs::write(&file, value).map_err(|e| format!("could not write {}: {e}", file.display()))?;
        }
        let procs = group.dir.join("cgroup.procs");
        std::fs::write(&procs, pid.to_string())
            .map_err(|e| format!("could not move process {pid} to {}: {e}", procs.display()))?;
        group.pids.push(pid);
        Ok(group)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let parent = self.dir.parent().expect("it is below its controller");
        for pid in &self.pids {
            // One that has ended is in no group any more.
            let _ = std::fs::write(parent.join("cgroup.procs"), pid.to_string());
        }
        if let Err(e) = std::fs::remove_dir(&self.dir) {
            eprintln!("{} is left behind: {e}", self.dir.display());
        }
    }
}
