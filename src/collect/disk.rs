//! The block devices under the members' data directory and write-ahead log.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use futures::FutureExt;
use futures::future::BoxFuture;
use procfs::DiskStat;

use super::local::{self, Local, labels};
use super::mounts::{self, Mount};
use super::{Collector, Failure, Reading, Scope, Settings, Spec, Subject};
use crate::client::proc::read_text;
use crate::model::{Desc, Labels, Sample};

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "disk",
    scope: Scope::Host,
    descs: &[
        &READS,
        &WRITES,
        &WRITTEN,
        &FLUSHES,
        &READ_TIME,
        &WRITE_TIME,
        &FLUSH_TIME,
        &IO_TIME,
        &IO_WEIGHTED_TIME,
        &IN_PROGRESS,
        &ROTATIONAL,
        &SHARED_WITH_ROOT,
    ],
    build: |settings| Box::new(Disk(settings.clone())),
};

/// `use` is `data` or `wal`: what of the member lies on the device.
const LABELS: &[&str] = &["member", "device", "use"];

/// The unit of `/proc/diskstats`, whatever the device's own sectors are.
const SECTOR: u64 = 512;

const SECONDS: Option<&str> = Some("seconds");

const fn counter(name: &'static str, unit: Option<&'static str>, help: &'static str) -> Desc {
    Desc::counter(name, unit, help).labels(LABELS)
}

const fn gauge(name: &'static str, help: &'static str) -> Desc {
    Desc::gauge(name, None, help).labels(LABELS)
}

static READS: Desc = counter(
    "etcd_doctor_disk_reads_completed_total",
    None,
    "Reads completed by the device under the member's data directory or WAL, from /proc/diskstats.",
);
static WRITES: Desc = counter(
    "etcd_doctor_disk_writes_completed_total",
    None,
    "Writes completed by that device, from /proc/diskstats.",
);
static WRITTEN: Desc = counter(
    "etcd_doctor_disk_written_bytes_total",
    Some("bytes"),
    "Bytes written to that device by everybody, from /proc/diskstats.",
);
static FLUSHES: Desc = counter(
    "etcd_doctor_disk_flushes_completed_total",
    None,
    "Flushes completed by that device, from /proc/diskstats since Linux 5.5; not counted for partitions.",
);
static READ_TIME: Desc = counter(
    "etcd_doctor_disk_read_time_seconds_total",
    SECONDS,
    "Time that reads from the device took, summed over reads, from /proc/diskstats.",
);
static WRITE_TIME: Desc = counter(
    "etcd_doctor_disk_write_time_seconds_total",
    SECONDS,
    "Time that writes to the device took, summed over writes, from /proc/diskstats.",
);
static FLUSH_TIME: Desc = counter(
    "etcd_doctor_disk_flush_time_seconds_total",
    SECONDS,
    "Time that flushes of the device took, summed over flushes, from /proc/diskstats since Linux 5.5; not counted for partitions.",
);
static IO_TIME: Desc = counter(
    "etcd_doctor_disk_io_time_seconds_total",
    SECONDS,
    "Time for which the device had something to do, from /proc/diskstats: its rate is the utilisation.",
);
static IO_WEIGHTED_TIME: Desc = counter(
    "etcd_doctor_disk_io_weighted_time_seconds_total",
    SECONDS,
    "Time for which requests were in progress on the device, summed over requests, from /proc/diskstats: its rate is the mean queue.",
);
static IN_PROGRESS: Desc = gauge(
    "etcd_doctor_disk_io_in_progress",
    "Requests in progress on the device, from /proc/diskstats.",
);
static ROTATIONAL: Desc = gauge(
    "etcd_doctor_disk_rotational",
    "1 when the kernel takes the device for a spinning disk, from queue/rotational in /sys. Virtual disks often say 1.",
);
static SHARED_WITH_ROOT: Desc = gauge(
    "etcd_doctor_disk_shared_with_root",
    "1 when the same whole disk also holds the host's root file system, from mountinfo and /sys.",
);

struct Disk(Settings);

impl Collector for Disk {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        let (settings, members) = (self.0.clone(), subject.members.clone());
        let processes = subject.processes.clone();
        local::blocking(subject, SPEC.name, move || {
            let locals = local::members_on_this_host(&processes, &settings, &members)?;
            let stats = parse(&read_text(&settings.proc.join("diskstats")).map_err(Failure::Failed)?);
            let root = disks_of_root(&settings, &stats);
            let parts = local::of_each(&locals, |local| read(local, &settings.sys, &stats, &root))?;
            Ok(Reading {
                samples: parts.concat(),
                ..Reading::default()
            })
        })
        .boxed()
    }
}

fn read(
    local: &Local,
    sys: &Path,
    stats: &[DiskStat],
    root: &BTreeSet<String>,
) -> Result<Vec<Sample>, Failure> {
    let (mut samples, mut without) = (Vec::new(), Vec::new());
    for (used_for, mount) in mounts::of(&local.process)? {
        let Some(stat) = device(&mount, stats) else {
            without.push(format!("{} on {}", mount.fs_type, mount.point.display()));
            continue;
        };
        let labels = labels(
            &local.member,
            [("device", &stat.name), ("use", used_for.as_str())],
        );
        samples.extend(counted(stat, &labels));
        if let Some(rotational) = rotational(sys, &stat.name) {
            samples.push(Sample::number(
                &ROTATIONAL,
                labels.clone(),
                f64::from(u8::from(rotational)),
            ));
        }
        if !root.is_empty() {
            let shared = !root.is_disjoint(&whole_disks(sys, &stat.name));
            samples.push(Sample::number(
                &SHARED_WITH_ROOT,
                labels,
                f64::from(u8::from(shared)),
            ));
        }
    }
    if samples.is_empty() {
        without.dedup();
        let why = format!(
            "the kernel counts no block device under the data of {} ({})",
            local.member,
            without.join(", ")
        );
        return Err(Failure::NotApplicable(why));
    }
    Ok(samples)
}

/// Lines that cannot be understood are passed over: they are about other devices, or that device is then missing.
fn parse(diskstats: &str) -> Vec<DiskStat> {
    diskstats
        .lines()
        .filter_map(|line| DiskStat::from_line(line).ok())
        .collect()
}

fn device<'a>(mount: &Mount, stats: &'a [DiskStat]) -> Option<&'a DiskStat> {
    let (major, minor) = mount.device.split_once(':')?;
    let (major, minor) = (major.parse::<i32>().ok()?, minor.parse::<i32>().ok()?);
    stats
        .iter()
        .find(|stat| (stat.major, stat.minor) == (major, minor))
}

fn counted(stat: &DiskStat, labels: &Labels) -> Vec<Sample> {
    let seconds = |milliseconds: u64| milliseconds as f64 / 1000.0;
    let values = [
        (&READS, Some(stat.reads as f64)),
        (&WRITES, Some(stat.writes as f64)),
        (&WRITTEN, Some((stat.sectors_written * SECTOR) as f64)),
        (&FLUSHES, stat.flushes.map(|flushes| flushes as f64)),
        (&READ_TIME, Some(seconds(stat.time_reading))),
        (&WRITE_TIME, Some(seconds(stat.time_writing))),
        (&FLUSH_TIME, stat.time_flushing.map(seconds)),
        (&IO_TIME, Some(seconds(stat.time_in_progress))),
        (&IO_WEIGHTED_TIME, Some(seconds(stat.weighted_time_in_progress))),
        (&IN_PROGRESS, Some(stat.in_progress as f64)),
    ];
    let sample =
        |(desc, value): (&'static Desc, Option<f64>)| Some(Sample::number(desc, labels.clone(), value?));
    values.into_iter().filter_map(sample).collect()
}

/// The whole disks under the host's root file system; none where that cannot be told (no right to see it, or no disk).
fn disks_of_root(settings: &Settings, stats: &[DiskStat]) -> BTreeSet<String> {
    let mountinfo = read_text(&settings.proc.join("1/mountinfo")).unwrap_or_default();
    let root = mounts::under(&mountinfo, Path::new("/"));
    let root = root.as_ref().and_then(|mount| device(mount, stats));
    root.map_or_else(BTreeSet::new, |root| whole_disks(&settings.sys, &root.name))
}

/// The disk that a partition belongs to, or the device itself. `/sys` writes `!` for a `/` in a device's name.
fn parent(sys: &Path, device: &str) -> String {
    let (block, device) = (sys.join("block"), device.replace('/', "!"));
    if block.join(&device).exists() {
        return device;
    }
    let disks = fs::read_dir(&block).into_iter().flatten().flatten();
    let parent = disks
        .map(|disk| disk.path())
        .find(|disk| disk.join(&device).join("partition").exists());
    parent
        .and_then(|disk| Some(disk.file_name()?.to_string_lossy().into_owned()))
        .unwrap_or(device)
}

/// The physical disks under a device: of a partition its disk, of a mapped device (LVM, RAID, encryption) all that it lies on.
fn whole_disks(sys: &Path, device: &str) -> BTreeSet<String> {
    let (mut disks, mut todo, mut seen) = (BTreeSet::new(), vec![device.to_owned()], BTreeSet::new());
    while let Some(device) = todo.pop() {
        let disk = parent(sys, &device);
        if !seen.insert(disk.clone()) {
            continue;
        }
        let slaves = fs::read_dir(sys.join("block").join(&disk).join("slaves"))
            .into_iter()
            .flatten()
            .flatten();
        let before = todo.len();
        todo.extend(slaves.map(|slave| slave.file_name().to_string_lossy().into_owned()));
        if todo.len() == before {
            disks.insert(disk);
        }
    }
    disks
}

fn rotational(sys: &Path, device: &str) -> Option<bool> {
    let path = sys
        .join("block")
        .join(parent(sys, device))
        .join("queue/rotational");
    match fs::read_to_string(path).ok()?.trim() {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::fixture;

    #[tokio::test]
    async fn reads_the_fixture_tree() {
        let lines = fixture::collect(&SPEC).await;
        let wal = r#"{device="nvme0n1", member="etcd-0", use="wal"}"#;
        let of_wal: Vec<_> = lines
            .iter()
            .filter(|line| line.contains(wal))
            .map(|line| line.replace(wal, ""))
            .collect();
        assert_eq!(
            of_wal,
            [
                "disk_reads_completed_total 500",
                "disk_writes_completed_total 60000",
                "disk_written_bytes_total 358400000",
                "disk_flushes_completed_total 2500",
                "disk_read_time_seconds_total 0.25",
                "disk_write_time_seconds_total 12",
                "disk_flush_time_seconds_total 1.25",
                "disk_io_time_seconds_total 9",
                "disk_io_weighted_time_seconds_total 13.5",
                "disk_io_in_progress 3",
                "disk_rotational 0",
                "disk_shared_with_root 0",
            ]
        );
        for expected in [
            // LVM on a partition of the disk that holds the root.
            r#"disk_shared_with_root{device="dm-0", member="etcd-0", use="data"} 1"#,
            r#"disk_writes_completed_total{device="dm-0", member="etcd-0", use="data"} 11000"#,
            // A container's bind mount: the partition's own row, its disk's queue.
            r#"disk_writes_completed_total{device="sda1", member="etcd-1", use="wal"} 8000"#,
            r#"disk_rotational{device="sda1", member="etcd-1", use="data"} 1"#,
        ] {
            assert!(
                lines.iter().any(|line| line == expected),
                "{expected} is missing in {lines:#?}"
            );
        }
    }

    #[test]
    fn says_what_has_no_device() {
        let members = fixture::subject().members;
        let mut local = local::members_on_this_host(&Default::default(), &fixture::settings(), &members)
            .ok()
            .unwrap()
            .remove(1);
        local.process.settings.insert("data-dir", "/elsewhere".into());
        let Err(Failure::NotApplicable(why)) = read(&local, Path::new("/nowhere"), &[], &BTreeSet::new())
        else {
            panic!("no gap");
        };
        assert_eq!(
            why,
            "the kernel counts no block device under the data of etcd-1 (overlay on /)"
        );
    }

    #[test]
    fn a_device_that_sys_does_not_know_is_its_own_disk() {
        let sys = Path::new("tests/fixtures/sys");
        assert_eq!(whole_disks(sys, "vdz"), ["vdz".to_owned()].into());
        assert_eq!(rotational(sys, "vdz"), None);
        assert_eq!(parent(sys, "sda2"), "sda");
    }
}
