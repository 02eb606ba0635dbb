//! The control groups of the members' processes: what limits their CPU, memory and I/O, and how often the CPU limit
//! stopped them. Both versions of control groups, at their usual places below `/sys/fs/cgroup`.

use std::fs;
use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::BoxFuture;
use procfs::{FromBufRead, ProcessCGroups};

use super::local::{self, Local, labels};
use super::{Collector, Failure, Reading, Scope, Settings, Spec, Subject};
use crate::client::proc::{malformed, read_text};
use crate::model::{Desc, Sample};

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "cgroup",
    scope: Scope::Host,
    descs: &[
        &CPU_LIMIT,
        &PERIODS,
        &THROTTLED,
        &THROTTLED_TIME,
        &MEMORY_LIMIT,
        &IO_LIMIT,
    ],
    build: |settings| Box::new(Cgroup(settings.clone())),
};

static CPU_LIMIT: Desc = Desc::gauge(
    "etcd_doctor_cgroup_cpu_limit_cores",
    None,
    "CPUs that the control groups of the member's process allow it, the smallest of them and their parents; absent without \
     a limit.",
)
.labels(&["member"])
.sparse();
static PERIODS: Desc = Desc::counter(
    "etcd_doctor_cgroup_cpu_periods_total",
    None,
    "Periods (100 ms by default) in which the control group with that limit ran, from nr_periods in cpu.stat; 0 without a \
     limit.",
)
.labels(&["member"]);
static THROTTLED: Desc = Desc::counter(
    "etcd_doctor_cgroup_cpu_throttled_periods_total",
    None,
    "Those of the periods in which it used its share up and was stopped, from nr_throttled in cpu.stat; 0 without a limit.",
)
.labels(&["member"]);
static THROTTLED_TIME: Desc = Desc::counter(
    "etcd_doctor_cgroup_cpu_throttled_seconds_total",
    Some("seconds"),
    "Time for which it was stopped, summed over CPUs, from throttled_usec or throttled_time in cpu.stat; 0 without a limit.",
)
.labels(&["member"]);
static MEMORY_LIMIT: Desc = Desc::gauge(
    "etcd_doctor_cgroup_memory_limit_bytes",
    Some("bytes"),
    "Memory that the control groups of the member's process allow it, the smallest of them and their parents; absent \
     without a limit.",
)
.labels(&["member"])
.sparse();
static IO_LIMIT: Desc = Desc::gauge(
    "etcd_doctor_cgroup_io_limit",
    None,
    "What the control groups of the member's process allow it on a device in a second, the smallest of them and their \
     parents, by what is counted: read_bytes, write_bytes, read_operations, write_operations; absent without a limit.",
)
.labels(&["member", "device", "what"])
.sparse();

/// How many I/O limits of one member are shown: all four of each of four devices.
const MAX_IO_LIMITS: usize = 16;

/// Version 1 writes "no limit" as the greatest number of whole pages.
const UNLIMITED_BYTES: u64 = 1 << 60;

struct Cgroup(Settings);

impl Collector for Cgroup {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        let (settings, members) = (self.0.clone(), subject.members.clone());
        let processes = subject.processes.clone();
        local::blocking(subject, SPEC.name, move || {
            let locals = local::members_on_this_host(&processes, &settings, &members)?;
            let parts = local::of_each(&locals, |local| read(local, &settings))?;
            Ok(Reading {
                samples: parts.concat(),
                ..Reading::default()
            })
        })
        .boxed()
    }
}

fn read(local: &Local, settings: &Settings) -> Result<Vec<Sample>, Failure> {
    let path = local.process.dir.join("cgroup");
    let text = read_text(&path).map_err(Failure::Failed)?;
    let groups = ProcessCGroups::from_buf_read(text.as_bytes())
        .map_err(|error| Failure::Failed(malformed(&path, error)))?;
    let of = |controller| Group::of(&groups, controller, &settings.sys);
    let (cpu, memory, io) = (of("cpu"), of("memory"), of("blkio"));
    if cpu.is_none() && memory.is_none() {
        let why = "the control groups of etcd's process are not to be seen below /sys/fs/cgroup";
        return Err(Failure::NotApplicable(why.into()));
    }
    let mut samples = Vec::new();
    let mut number = |desc, value| samples.push(Sample::number(desc, labels(&local.member, []), value));
    if let Some(cpu) = cpu {
        let (limit, level) = cpu.tightest_cpu();
        if let Some(limit) = limit {
            number(&CPU_LIMIT, limit);
        }
        let stat = fs::read_to_string(level.join("cpu.stat")).unwrap_or_default();
        let stat = |key| value_of(&stat, key).unwrap_or(0.0);
        number(&PERIODS, stat("nr_periods"));
        number(&THROTTLED, stat("nr_throttled"));
        let micros = stat("throttled_usec") / 1e6;
        number(&THROTTLED_TIME, micros + stat("throttled_time") / 1e9);
    }
    if let Some(limit) = memory.and_then(|memory| memory.memory_limit()) {
        number(&MEMORY_LIMIT, limit as f64);
    }
    let limits = io.map(|io| io.io_limits()).unwrap_or_default();
    for IoLimit { device, what, limit } in limits.into_iter().take(MAX_IO_LIMITS) {
        let device = name(&settings.proc, &device);
        let labels = labels(&local.member, [("device", &*device), ("what", what)]);
        samples.push(Sample::number(&IO_LIMIT, labels, limit as f64));
    }
    Ok(samples)
}

/// A process's group of one controller: its folder and those of its parents, itself first.
struct Group {
    levels: Vec<PathBuf>,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

struct IoLimit {
    /// `major:minor`
    device: String,
    what: &'static str,
    limit: u64,
}

impl Group {
    /// Where the controller has a hierarchy of its own (version 1) that one counts, else the common one.
    fn of(groups: &ProcessCGroups, controller: &str, sys: &Path) -> Option<Self> {
        let top = sys.join("fs/cgroup");
        let own = groups
            .0
            .iter()
            .find(|group| group.controllers.iter().any(|known| known == controller));
        let (root, path, version) = match own {
            Some(group) => {
                let roots = [top.join(group.controllers.join(",")), top.join(controller)];
                let root = roots.into_iter().find(|root| root.is_dir())?;
                (root, &group.pathname, Version::One)
            }
            None => {
                let group = groups.0.iter().find(|group| group.hierarchy == 0)?;
                let unified = top.join("unified");
                let root = if unified.is_dir() { unified } else { top };
                (root, &group.pathname, Version::Two)
            }
        };
        // A group outside of what this process may see is written with `..`.
        let path = Path::new(path.trim_start_matches('/'));
        let inside = path
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        let leaf = root.join(path);
        (inside && leaf.is_dir()).then(|| Self {
            levels: leaf
                .ancestors()
                .take_while(|level| level.starts_with(&root))
                .map(Path::to_owned)
                .collect(),
            version,
        })
    }

    /// The smallest limit in CPUs, and the level that it is of: without one the process's own.
    fn tightest_cpu(&self) -> (Option<f64>, &Path) {
        let limit = |level: &Path| -> Option<f64> {
            let (quota, period) = match self.version {
                Version::One => (
                    number(&level.join("cpu.cfs_quota_us"))?,
                    number(&level.join("cpu.cfs_period_us"))?,
                ),
                Version::Two => {
                    let max = fs::read_to_string(level.join("cpu.max")).ok()?;
                    let (quota, period) = max.trim().split_once(' ')?;
                    (quota.parse().ok()?, period.parse().ok()?)
                }
            };
            (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
        };
        let limits = self
            .levels
            .iter()
            .filter_map(|level| Some((limit(level)?, &**level)));
        match limits.min_by(|one, other| one.0.total_cmp(&other.0)) {
            Some((limit, level)) => (Some(limit), level),
            None => (None, &self.levels[0]),
        }
    }

    fn memory_limit(&self) -> Option<u64> {
        let file = match self.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        let limits = self.levels.iter().filter_map(|level| number(&level.join(file)));
        let limits = limits.filter_map(|limit| u64::try_from(limit).ok());
        limits.filter(|limit| *limit < UNLIMITED_BYTES).min()
    }

    /// The smallest limit of each kind and device, sorted.
    fn io_limits(&self) -> Vec<IoLimit> {
        let of_level = |level: &PathBuf| match self.version {
            Version::One => [
                ("blkio.throttle.read_bps_device", "read_bytes"),
                ("blkio.throttle.write_bps_device", "write_bytes"),
                ("blkio.throttle.read_iops_device", "read_operations"),
                ("blkio.throttle.write_iops_device", "write_operations"),
            ]
            .into_iter()
            .flat_map(|(file, what)| {
                let text = fs::read_to_string(level.join(file)).unwrap_or_default();
                limits_of_one(&text, what)
            })
            .collect(),
            Version::Two => limits_of_two(&fs::read_to_string(level.join("io.max")).unwrap_or_default()),
        };
        let mut limits: Vec<IoLimit> = self.levels.iter().flat_map(of_level).collect();
        limits.sort_by(|one, other| {
            let key = |limit: &IoLimit| (limit.device.clone(), limit.what, limit.limit);
            key(one).cmp(&key(other))
        });
        limits.dedup_by(|later, first| (&later.device, later.what) == (&first.device, first.what));
        limits
    }
}

/// Lines such as `8:0 60`.
fn limits_of_one(text: &str, what: &'static str) -> Vec<IoLimit> {
    let limit = |line: &str| {
        let (device, limit) = line.split_once(' ')?;
        Some(IoLimit {
            device: device.to_owned(),
            what,
            limit: limit.trim().parse().ok()?,
        })
    };
    text.lines().filter_map(limit).collect()
}

/// Lines such as `8:0 rbps=max wbps=1048576 riops=max wiops=60`.
fn limits_of_two(text: &str) -> Vec<IoLimit> {
    let mut limits = Vec::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some(device) = words.next() else { continue };
        limits.extend(words.filter_map(|word| {
            let (key, limit) = word.split_once('=')?;
            let what = match key {
                "rbps" => "read_bytes",
                "wbps" => "write_bytes",
                "riops" => "read_operations",
                "wiops" => "write_operations",
                _ => return None,
            };
            Some(IoLimit {
                device: device.to_owned(),
                what,
                limit: limit.parse().ok()?,
            })
        }));
    }
    limits
}

/// The name of a device by its number, from `/proc/diskstats`, or its number.
fn name(proc: &Path, device: &str) -> String {
    let stats = fs::read_to_string(proc.join("diskstats")).unwrap_or_default();
    let mut names = stats.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let number = format!("{}:{}", words.next()?, words.next()?);
        (number == device).then(|| words.next().map(str::to_owned))?
    });
    names.next().unwrap_or_else(|| device.to_owned())
}

/// A file of one number; none where it says `max`.
fn number(path: &Path) -> Option<i64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The value of a line `key value`.
fn value_of(text: &str, key: &str) -> Option<f64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::fixture;

    #[tokio::test]
    async fn reads_both_versions_and_takes_the_tightest_level() {
        assert_eq!(
            fixture::collect(&SPEC).await,
            [
                // Version 2: the slice allows less than the service.
                r#"cgroup_cpu_limit_cores{member="etcd-0"} 0.5"#,
                r#"cgroup_cpu_periods_total{member="etcd-0"} 900"#,
                r#"cgroup_cpu_throttled_periods_total{member="etcd-0"} 300"#,
                r#"cgroup_cpu_throttled_seconds_total{member="etcd-0"} 12.5"#,
                r#"cgroup_memory_limit_bytes{member="etcd-0"} 536870912"#,
                r#"cgroup_io_limit{device="dm-0", member="etcd-0", what="write_operations"} 60"#,
                // Version 1, without a limit of the CPU.
                r#"cgroup_cpu_periods_total{member="etcd-1"} 0"#,
                r#"cgroup_cpu_throttled_periods_total{member="etcd-1"} 0"#,
                r#"cgroup_cpu_throttled_seconds_total{member="etcd-1"} 0"#,
                r#"cgroup_io_limit{device="sda", member="etcd-1", what="write_bytes"} 1048576"#,
            ]
        );
    }

    #[test]
    fn what_it_may_not_see_is_no_failure() {
        let groups = ProcessCGroups::from_buf_read("0::/../elsewhere\n".as_bytes()).unwrap();
        assert!(Group::of(&groups, "cpu", Path::new("tests/fixtures/sys")).is_none());
        let groups = ProcessCGroups::from_buf_read("0::/gone.slice\n".as_bytes()).unwrap();
        assert!(Group::of(&groups, "cpu", Path::new("tests/fixtures/sys")).is_none());
    }

    #[test]
    fn of_a_limit_at_two_levels_the_smaller_counts() {
        let mut two = limits_of_two("8:0 rbps=max wbps=2000 riops=max wiops=60\n");
        two.extend(limits_of_two("8:0 rbps=max wbps=1000 riops=max wiops=max\n"));
        let shown: Vec<_> = two.iter().map(|limit| (limit.what, limit.limit)).collect();
        assert_eq!(
            shown,
            [
                ("write_bytes", 2000),
                ("write_operations", 60),
                ("write_bytes", 1000)
            ]
        );
    }
}
