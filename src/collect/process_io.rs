//! What only whoever may look into a member's process sees of it: what it reads and writes, and how many files it has open.

use std::fs;
use std::io;

use futures::FutureExt;
use futures::future::BoxFuture;
use procfs::FromRead;
use procfs::process::Io;

use super::local::{self, Local, labels};
use super::{Collector, Failure, Reading, Scope, Settings, Spec, Subject};
use crate::client::proc::{HostAccess, malformed, unreadable};
use crate::model::{Desc, Sample};

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "process_io",
    scope: Scope::Host,
    descs: &[&READ, &WRITTEN, &OPEN_FDS],
    build: |settings| Box::new(ProcessIo(settings.clone())),
};

static READ: Desc = Desc::counter(
    "etcd_doctor_process_read_bytes_total",
    Some("bytes"),
    "Bytes that the member's process had read from devices, from read_bytes in /proc/PID/io.",
)
.labels(&["member"]);
static WRITTEN: Desc = Desc::counter(
    "etcd_doctor_process_written_bytes_total",
    Some("bytes"),
    "Bytes that the member's process had written to devices, without what the file system adds, from write_bytes in \
     /proc/PID/io.",
)
.labels(&["member"]);
static OPEN_FDS: Desc = Desc::gauge(
    "etcd_doctor_process_open_fds",
    None,
    "Open file descriptors of the member's process, counted in /proc/PID/fd.",
)
.labels(&["member"]);

struct ProcessIo(Settings);

impl Collector for ProcessIo {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        let (settings, members) = (self.0.clone(), subject.members.clone());
        let processes = subject.processes.clone();
        local::blocking(subject, SPEC.name, move || {
            let locals = local::members_on_this_host(&processes, &settings, &members)?;
            if settings.host == HostAccess::Limited {
                return Err(Failure::NotApplicable(
                    "what a process reads, writes and has open is not looked at: the configuration says `host: limited`"
                        .into(),
                ));
            }
            Ok(Reading {
                samples: local::of_each(&locals, read)?.concat(),
                ..Reading::default()
            })
        })
        .boxed()
    }
}

fn read(local: &Local) -> Result<Vec<Sample>, Failure> {
    let labels = || labels(&local.member, []);
    let path = local.process.dir.join("fd");
    let open = fs::read_dir(&path).map_err(|error| Failure::Failed(unreadable(&path, "list", &error)))?;
    let mut samples = vec![Sample::number(&OPEN_FDS, labels(), open.count() as f64)];
    let path = local.process.dir.join("io");
    match fs::read(&path) {
        Ok(text) => {
            let io = Io::from_read(&*text).map_err(|error| Failure::Failed(malformed(&path, error)))?;
            samples.push(Sample::number(&READ, labels(), io.read_bytes as f64));
            samples.push(Sample::number(&WRITTEN, labels(), io.write_bytes as f64));
        }
        // A kernel built without accounting of I/O.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::Failed(unreadable(&path, "read", &error))),
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::fixture;

    #[tokio::test]
    async fn reads_what_the_processes_of_the_fixture_tree_do() {
        let lines = fixture::collect(&SPEC).await;
        for expected in [
            r#"process_read_bytes_total{member="etcd-0"} 4096"#,
            r#"process_written_bytes_total{member="etcd-0"} 81920"#,
            r#"process_open_fds{member="etcd-0"} 5"#,
        ] {
            assert!(
                lines.iter().any(|line| line == expected),
                "{expected} is missing in {lines:#?}"
            );
        }
    }

    #[tokio::test]
    async fn limited_access_is_no_failure() {
        let settings = Settings {
            host: HostAccess::Limited,
            ..fixture::settings()
        };
        let mut collector = (SPEC.build)(&settings);
        let Err(Failure::NotApplicable(why)) = collector.collect(&fixture::subject()).await else {
            panic!("it looks")
        };
        assert!(why.ends_with("`host: limited`"), "{why}");
    }
}
