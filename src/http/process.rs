//! etcd-doctor's own process, under the names that every Prometheus client uses.

use std::sync::{Mutex, PoisonError};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::model::{Desc, Labels, Sample};

static CPU: Desc = Desc::counter(
    "process_cpu_seconds_total",
    Some("seconds"),
    "User and system CPU time that etcd-doctor has used.",
);
static MEMORY: Desc = Desc::gauge(
    "process_resident_memory_bytes",
    Some("bytes"),
    "Resident memory of etcd-doctor.",
);
static OPEN_FDS: Desc = Desc::gauge(
    "process_open_fds",
    None,
    "File descriptors that etcd-doctor has open.",
);
static MAX_FDS: Desc = Desc::gauge(
    "process_max_fds",
    None,
    "The most file descriptors that etcd-doctor may have open.",
);
static START_TIME: Desc = Desc::gauge(
    "process_start_time_seconds",
    Some("seconds"),
    "When etcd-doctor started, in seconds since the epoch.",
);

pub(super) const DESCS: &[&Desc] = &[&CPU, &MEMORY, &OPEN_FDS, &MAX_FDS, &START_TIME];

/// Reads this process. Where the platform does not tell, its series are absent.
pub(super) struct Process {
    pid: Option<Pid>,
    system: Option<Mutex<System>>,
}

impl Process {
    pub(super) fn this() -> Self {
        Self {
            pid: sysinfo::get_current_pid().ok(),
            system: System::new().ok().map(Mutex::new),
        }
    }

    /// What it uses now. Reads a few small files of `/proc`, some tens of microseconds.
    pub(super) fn samples(&self) -> Vec<Sample> {
        self.read().unwrap_or_default()
    }

    fn read(&self) -> Option<Vec<Sample>> {
        let pid = self.pid?;
        let mut system = self
            .system
            .as_ref()?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let kind = ProcessRefreshKind::nothing()
            .with_cpu()
            .with_memory()
            .without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, kind);
        let process = system.process(pid)?;
        let number = |desc, value| Sample::number(desc, Labels::empty(), value);
        let mut samples = vec![
            number(&CPU, process.accumulated_cpu_time() as f64 / 1000.0),
            number(&MEMORY, process.memory() as f64),
            number(&START_TIME, process.start_time() as f64),
        ];
        samples.extend(process.open_files().map(|count| number(&OPEN_FDS, count as f64)));
        samples.extend(
            process
                .open_files_limit()
                .map(|limit| number(&MAX_FDS, limit as f64)),
        );
        Some(samples)
    }
}
