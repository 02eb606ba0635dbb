//! The members' own processes: what they use, what limits them and the flags that they run with, as far as every user sees
//! them.

use std::fs;
use std::path::Path;

use futures::FutureExt;
use futures::future::BoxFuture;
use procfs::FromRead;
use procfs::process::{LimitValue, Limits, Stat};

use super::local::{self, Local, labels};
use super::{Collector, Failure, ProcessReading, Reading, Scope, Settings, Spec, Subject, Unset, backlog};
use crate::client::proc::{malformed, read_text};
use crate::model::{Desc, Sample};

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "process",
    scope: Scope::Host,
    descs: &[
        &CPU,
        &MEMORY,
        &ANONYMOUS,
        &STOPPED,
        &BACKLOG,
        &MAX_FDS,
        &THREADS,
        &START_TIME,
        &FLAG,
    ],
    build: |settings| Box::new(Process(settings.clone())),
};

static CPU: Desc = Desc::counter(
    "etcd_doctor_process_cpu_seconds_total",
    Some("seconds"),
    "CPU time of the member's process, from utime and stime in /proc/PID/stat.",
)
.labels(&["member"]);
static MEMORY: Desc = Desc::gauge(
    "etcd_doctor_process_resident_memory_bytes",
    Some("bytes"),
    "Resident memory of the member's process, from rss in /proc/PID/stat.",
)
.labels(&["member"]);
static ANONYMOUS: Desc = Desc::gauge(
    "etcd_doctor_process_anonymous_memory_bytes",
    Some("bytes"),
    "Memory of the member's process without its files, so without the database that it maps, from RssAnon in \
     /proc/PID/status.",
)
.labels(&["member"]);
static STOPPED: Desc = Desc::gauge(
    "etcd_doctor_process_stopped",
    None,
    "Whether the member's process is stopped by a signal, state T in /proc/PID/stat: it does nothing at all until it is \
     continued.",
)
.labels(&["member"]);
static MAX_FDS: Desc = Desc::gauge(
    "etcd_doctor_process_max_fds",
    None,
    "Limit of open file descriptors of the member's process, the soft limit in /proc/PID/limits.",
)
.labels(&["member"]);
static THREADS: Desc = Desc::gauge(
    "etcd_doctor_process_threads",
    None,
    "Threads of the member's process, from num_threads in /proc/PID/stat.",
)
.labels(&["member"]);
static START_TIME: Desc = Desc::gauge(
    "etcd_doctor_process_start_time_seconds",
    Some("seconds"),
    "When the member's process started, from starttime in /proc/PID/stat and btime in /proc/stat.",
)
.labels(&["member"]);
static BACKLOG: Desc = Desc::gauge(
    "etcd_doctor_process_accept_queue",
    None,
    "Connections to the member's client port that wait to be accepted, from /proc/PID/net/tcp; absent where it has no port.",
)
.labels(&["member"])
.sparse();
static FLAG: Desc = Desc::gauge(
    "etcd_doctor_process_flag_info",
    None,
    "1 for each flag of a closed list that the member's process was given, from its command line, environment or file.",
)
.labels(&["member", "flag", "value"]);

/// The flags that are shown: those that decide about space, elections, snapshots and who may connect.
const FLAGS: &[&str] = &[
    "quota-backend-bytes",
    "heartbeat-interval",
    "election-timeout",
    "snapshot-count",
    "auto-compaction-mode",
    "auto-compaction-retention",
    "data-dir",
    "wal-dir",
    "max-request-bytes",
    "pre-vote",
    "listen-client-urls",
    "listen-peer-urls",
    "listen-metrics-urls",
    "cert-file",
    "trusted-ca-file",
    "client-cert-auth",
    "auto-tls",
    "peer-cert-file",
    "peer-trusted-ca-file",
    "peer-client-cert-auth",
    "peer-auto-tls",
    "initial-corrupt-check",
    "corrupt-check-time",
    "compact-hash-check-enabled",
    "feature-gates",
];

struct Process(Settings);

impl Collector for Process {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        let (settings, members) = (self.0.clone(), subject.members.clone());
        let processes = subject.processes.clone();
        local::blocking(subject, SPEC.name, move || {
            let locals = local::members_on_this_host(&processes, &settings, &members)?;
            let path = settings.proc.join("stat");
            let boot_time = boot_time(&path, &read_text(&path).map_err(Failure::Failed)?)?;
            let parts = local::of_each(&locals, |local| read(local, boot_time))?;
            let mut reading = Reading::default();
            for (local, (samples, process)) in parts {
                reading.samples.extend(samples);
                reading.processes.push((local, process));
            }
            Ok(reading)
        })
        .boxed()
    }
}

type Part = (std::sync::Arc<str>, (Vec<Sample>, ProcessReading));

fn read(local: &Local, boot_time: u64) -> Result<Part, Failure> {
    let Local { member, process, .. } = local;
    let stat: Stat = parsed(&process.dir.join("stat"))?;
    let ticks = procfs::ticks_per_second() as f64;
    let start_time = boot_time as f64 + stat.starttime as f64 / ticks;

    let of_process = || labels(member, []);
    let mut samples = vec![
        Sample::number(&CPU, of_process(), (stat.utime + stat.stime) as f64 / ticks),
        Sample::number(&MEMORY, of_process(), (stat.rss * procfs::page_size()) as f64),
        Sample::number(&THREADS, of_process(), stat.num_threads as f64),
        Sample::number(&START_TIME, of_process(), start_time),
    ];
    let stopped = f64::from(u8::from(stat.state == 'T'));
    samples.push(Sample::number(&STOPPED, of_process(), stopped));
    if let Some(bytes) = anonymous(&process.dir.join("status")) {
        samples.push(Sample::number(&ANONYMOUS, of_process(), bytes as f64));
    }
    let ports: Vec<u16> = process
        .listen_client_urls()
        .into_iter()
        .filter_map(local::port)
        .collect();
    if let Some(waiting) = backlog::longest(&process.dir.join("net"), &ports) {
        samples.push(Sample::number(&BACKLOG, of_process(), waiting as f64));
    }
    let limits: Limits = parsed(&process.dir.join("limits"))?;
    if let LimitValue::Value(limit) = limits.max_open_files.soft_limit {
        samples.push(Sample::number(&MAX_FDS, of_process(), limit as f64));
    }
    for flag in FLAGS.iter().copied() {
        if let Some(value) = process.settings.get(flag) {
            samples.push(Sample::number(
                &FLAG,
                labels(member, [("flag", flag), ("value", value)]),
                1.0,
            ));
        }
    }
    let quota = process
        .settings
        .get("quota-backend-bytes")
        .and_then(|quota| quota.parse().ok());
    let given = |(name, value): (&&'static str, &String)| {
        let origin = process.origins.get(name).copied()?;
        Some((*name, (value.clone(), origin)))
    };
    let process = ProcessReading {
        pid: process.pid,
        quota,
        start_time: Some(start_time),
        settings: process.settings.iter().filter_map(given).collect(),
        unset: match (&process.unreadable, process.limited) {
            (Some(_), _) => Unset::Unknown,
            (None, true) => Unset::Assumed,
            (None, false) => Unset::Default,
        },
    };
    Ok((member.clone(), (samples, process)))
}

fn parsed<T: FromRead>(path: &Path) -> Result<T, Failure> {
    let text = read_text(path).map_err(Failure::Failed)?;
    T::from_read(text.as_bytes()).map_err(|error| Failure::Failed(malformed(path, error)))
}

/// Resident memory without files, in bytes; none on kernels before 4.5.
fn anonymous(status: &Path) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(kib.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// When the host started, in seconds since the epoch: the line `btime` of `/proc/stat`.
fn boot_time(path: &Path, text: &str) -> Result<u64, Failure> {
    let line = text.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|time| time.trim().parse().ok())
        .ok_or_else(|| Failure::Failed(malformed(path, "no line gives btime")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::fixture;

    #[tokio::test]
    async fn reads_the_fixture_tree() {
        let ticks = procfs::ticks_per_second() as f64;
        let memory = 9000 * procfs::page_size();
        let first = format!(
            r#"process_cpu_seconds_total{{member="etcd-0"}} {}"#,
            1800.0 / ticks
        );
        assert_eq!(
            fixture::collect(&SPEC).await[..11],
            [
                first,
                format!(r#"process_resident_memory_bytes{{member="etcd-0"}} {memory}"#),
                r#"process_threads{member="etcd-0"} 12"#.to_owned(),
                format!(
                    r#"process_start_time_seconds{{member="etcd-0"}} {}"#,
                    1.7e9 + 36000.0 / ticks
                ),
                r#"process_stopped{member="etcd-0"} 0"#.to_owned(),
                r#"process_anonymous_memory_bytes{member="etcd-0"} 20971520"#.to_owned(),
                r#"process_accept_queue{member="etcd-0"} 3"#.to_owned(),
                r#"process_max_fds{member="etcd-0"} 65536"#.to_owned(),
                r#"process_flag_info{flag="quota-backend-bytes", member="etcd-0", value="4294967296"} 1"#
                    .to_owned(),
                r#"process_flag_info{flag="heartbeat-interval", member="etcd-0", value="200"} 1"#.to_owned(),
                r#"process_flag_info{flag="wal-dir", member="etcd-0", value="/var/lib/etcd-wal"} 1"#
                    .to_owned(),
            ]
        );
    }

    #[tokio::test]
    async fn tells_the_quota_and_the_start_time() {
        let mut collector = (SPEC.build)(&fixture::settings());
        let Ok(reading) = collector.collect(&fixture::subject()).await else {
            panic!("no reading")
        };
        let quotas: Vec<_> = reading
            .processes
            .iter()
            .map(|(member, read)| (&**member, read.pid, read.quota))
            .collect();
        assert_eq!(quotas, [("etcd-0", 4101, Some(1 << 32)), ("etcd-1", 4102, None)]);
    }
}
