//! The memory of this host, which a member's process shares with all others.

use futures::FutureExt;
use futures::future::BoxFuture;
use procfs::{FromBufRead, Meminfo};

use super::{Collector, Failure, Reading, Scope, Settings, Spec, Subject, local};
use crate::client::proc::{malformed, read_text};
use crate::model::{Desc, Labels, Sample};

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "memory",
    scope: Scope::Host,
    descs: &[&TOTAL, &AVAILABLE],
    build: |settings| Box::new(Memory(settings.clone())),
};

static TOTAL: Desc = Desc::gauge(
    "etcd_doctor_host_memory_bytes",
    Some("bytes"),
    "Memory of a member's host, MemTotal in /proc/meminfo.",
);
static AVAILABLE: Desc = Desc::gauge(
    "etcd_doctor_host_memory_available_bytes",
    Some("bytes"),
    "Memory that processes of a member's host may still take without swapping, MemAvailable in /proc/meminfo.",
);

struct Memory(Settings);

impl Collector for Memory {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        let (settings, members) = (self.0.clone(), subject.members.clone());
        let processes = subject.processes.clone();
        local::blocking(subject, SPEC.name, move || {
            local::members_on_this_host(&processes, &settings, &members)?;
            let path = settings.proc.join("meminfo");
            let text = read_text(&path).map_err(Failure::Failed)?;
            let memory = Meminfo::from_buf_read(text.as_bytes())
                .map_err(|error| Failure::Failed(malformed(&path, error)))?;
            let number = |desc, bytes: u64| Sample::number(desc, Labels::empty(), bytes as f64);
            let mut samples = vec![number(&TOTAL, memory.mem_total)];
            samples.extend(memory.mem_available.map(|bytes| number(&AVAILABLE, bytes)));
            Ok(Reading {
                samples,
                ..Reading::default()
            })
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::fixture;

    #[tokio::test]
    async fn reads_the_fixture_tree() {
        assert_eq!(
            fixture::collect(&SPEC).await,
            [
                "host_memory_bytes{} 4194304000",
                "host_memory_available_bytes{} 1048576000"
            ]
        );
    }
}
