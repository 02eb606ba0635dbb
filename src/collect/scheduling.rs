//! How long the threads of the members' processes waited for a CPU: what tells a member short of CPU from one with a
//! slow disk, whichever of load, limits or neighbours takes the CPU away.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::local::{self, Local, labels};
use super::{Collector, Failure, Reading, Scope, Settings, Spec, Subject};
use crate::client::proc::{LocalEtcd, unreadable};
use crate::model::{Desc, Sample};

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "scheduling",
    scope: Scope::Host,
    descs: &[&WAITED],
    build: |settings| {
        Box::new(Scheduling {
            settings: settings.clone(),
            waits: Arc::default(),
        })
    },
};

static WAITED: Desc = Desc::counter(
    "etcd_doctor_process_cpu_wait_seconds_total",
    Some("seconds"),
    "Time for which threads of the member's process were ready to run and had no CPU, summed over threads, from \
     /proc/PID/task/*/schedstat.",
)
.labels(&["member"]);

/// How many threads of one process are read: several times what etcd has. Further ones are left out, which makes the
/// wait smaller than it is.
const MAX_THREADS: usize = 512;

struct Scheduling {
    settings: Settings,
    waits: Arc<Mutex<HashMap<Arc<str>, Waited>>>,
}

/// The wait of one process so far. Summed here, since a thread takes its own with it when it ends.
#[derive(Debug, Default)]
struct Waited {
    pid: i32,
    total: Duration,
    threads: HashMap<String, Duration>,
}

impl Waited {
    fn take(&mut self, pid: i32, threads: HashMap<String, Duration>) -> Duration {
        if self.pid != pid {
            *self = Self {
                pid,
                ..Self::default()
            };
        }
        for (thread, waited) in &threads {
            let before = self.threads.get(thread).copied().unwrap_or_default();
            // Less than before is another thread of the same number.
            self.total += waited.checked_sub(before).unwrap_or(*waited);
        }
        self.threads = threads;
        self.total
    }
}

impl Collector for Scheduling {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        let (settings, members) = (self.settings.clone(), subject.members.clone());
        let (processes, waits) = (subject.processes.clone(), Arc::clone(&self.waits));
        local::blocking(subject, SPEC.name, move || {
            let locals = local::members_on_this_host(&processes, &settings, &members)?;
            let read = |local: &Local| {
                Ok((
                    Arc::clone(&local.member),
                    local.process.pid,
                    threads(&local.process)?,
                ))
            };
            let parts = local::of_each(&locals, read)?;
            let mut waits = waits.lock().unwrap_or_else(PoisonError::into_inner);
            waits.retain(|known, _| members.iter().any(|member| member.name == *known));
            let samples = parts.into_iter().map(|(member, pid, threads)| {
                let labels = labels(&member, []);
                let total = waits.entry(member).or_default().take(pid, threads);
                Sample::number(&WAITED, labels, total.as_secs_f64())
            });
            Ok(Reading {
                samples: samples.collect(),
                ..Reading::default()
            })
        })
        .boxed()
    }
}

/// The wait of each thread since it began, by its number.
fn threads(process: &LocalEtcd) -> Result<HashMap<String, Duration>, Failure> {
    let path = process.dir.join("task");
    let tasks = fs::read_dir(&path)
        .map_err(|error| Failure::Failed(unreadable(&path, "list the threads in", &error)))?;
    let mut threads = HashMap::new();
    for task in tasks.flatten().take(MAX_THREADS) {
        // One that ended meanwhile has none.
        if let Some(waited) = waited(&task.path().join("schedstat")) {
            threads.insert(task.file_name().to_string_lossy().into_owned(), waited);
        }
    }
    if threads.is_empty() {
        let why = "this kernel does not tell how long threads wait for a CPU (it needs CONFIG_SCHED_INFO)";
        return Err(Failure::NotApplicable(why.into()));
    }
    Ok(threads)
}

/// The second of the three numbers in `schedstat`: nanoseconds on a run queue.
fn waited(schedstat: &Path) -> Option<Duration> {
    let text = fs::read_to_string(schedstat).ok()?;
    text.split_whitespace()
        .nth(1)?
        .parse()
        .ok()
        .map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::fixture;

    #[tokio::test]
    async fn sums_the_threads_of_each_process() {
        assert_eq!(
            fixture::collect(&SPEC).await,
            [r#"process_cpu_wait_seconds_total{member="etcd-0"} 2.5"#]
        );
    }

    #[test]
    fn a_thread_that_ended_keeps_what_it_waited_and_a_new_one_adds_its_own() {
        let threads = |list: &[(&str, u64)]| {
            let of = |(thread, seconds): &(&str, u64)| ((*thread).to_owned(), Duration::from_secs(*seconds));
            list.iter().map(of).collect::<HashMap<_, _>>()
        };
        let mut waited = Waited::default();
        let mut take = |pid, list| waited.take(pid, threads(list)).as_secs();
        assert_eq!(take(1, &[("1", 10), ("2", 5)]), 15);
        assert_eq!(take(1, &[("1", 12)]), 17);
        assert_eq!(take(1, &[("1", 12), ("3", 4)]), 21);
        assert_eq!(take(1, &[("1", 12), ("3", 1)]), 22, "another thread 3");
        assert_eq!(take(2, &[("9", 2)]), 2, "another process begins anew");
    }
}
