//! The file systems under the members' data directory and write-ahead log: room for bytes and for files.

use std::path::Path;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::local::{self, Local, labels};
use super::mounts::{self, Mount};
use super::{Collector, Failure, Reading, Scope, Settings, Spec, Subject};
use crate::client::proc::unreadable;
use crate::model::{Desc, Sample};

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "filesystem",
    scope: Scope::Host,
    descs: &[&SIZE, &AVAILABLE, &INODES, &INODES_FREE],
    build: |settings| Box::new(Filesystem(settings.clone())),
};

const LABELS: &[&str] = &["member", "mountpoint", "use"];

static SIZE: Desc = Desc::gauge(
    "etcd_doctor_filesystem_size_bytes",
    Some("bytes"),
    "Size of the file system under the member's data directory or WAL, from statvfs.",
)
.labels(LABELS);
static AVAILABLE: Desc = Desc::gauge(
    "etcd_doctor_filesystem_available_bytes",
    Some("bytes"),
    "Bytes that a process without privileges may still write to that file system, from statvfs.",
)
.labels(LABELS);
static INODES: Desc = Desc::gauge(
    "etcd_doctor_filesystem_inodes",
    None,
    "Inodes of that file system, from statvfs; absent where it has no fixed number.",
)
.labels(LABELS);
static INODES_FREE: Desc = Desc::gauge(
    "etcd_doctor_filesystem_inodes_free",
    None,
    "Free inodes of that file system, from statvfs; absent where it has no fixed number.",
)
.labels(LABELS);

struct Filesystem(Settings);

impl Collector for Filesystem {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        let (settings, members) = (self.0.clone(), subject.members.clone());
        let processes = subject.processes.clone();
        local::blocking(subject, SPEC.name, move || {
            let locals = local::members_on_this_host(&processes, &settings.proc, &members)?;
            let parts = local::of_each(&locals, |local| read(local, &settings.rootfs))?;
            Ok(Reading {
                samples: parts.concat(),
                ..Reading::default()
            })
        })
        .boxed()
    }
}

fn read(local: &Local, rootfs: &Path) -> Result<Vec<Sample>, Failure> {
    let mut samples = Vec::new();
    for (used_for, Mount { point, .. }) in mounts::of(&local.process)? {
        // The process's own root leads into a container. Where the tree has none, the host's is meant.
        let root = local.process.dir.join("root");
        let root = if root.exists() { &root } else { rootfs };
        let path = root.join(point.strip_prefix("/").unwrap_or(&point));
        let stat = rustix::fs::statvfs(&path).map_err(|error| {
            Failure::Failed(unreadable(&path, "ask for the free space of", &error.into()))
        })?;

        let mountpoint = point.to_string_lossy();
        let labels = || {
            labels(
                &local.member,
                [("mountpoint", &mountpoint), ("use", used_for.as_str())],
            )
        };
        let bytes = |blocks: u64| (blocks * stat.f_frsize) as f64;
        samples.push(Sample::number(&SIZE, labels(), bytes(stat.f_blocks)));
        samples.push(Sample::number(&AVAILABLE, labels(), bytes(stat.f_bavail)));
        if stat.f_files > 0 {
            samples.push(Sample::number(&INODES, labels(), stat.f_files as f64));
            samples.push(Sample::number(&INODES_FREE, labels(), stat.f_ffree as f64));
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::fixture;

    #[tokio::test]
    async fn asks_for_the_mount_points_under_the_root_file_system() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("srv")).unwrap();
        std::fs::create_dir_all(root.path().join("var/lib/etcd-wal")).unwrap();
        let settings = Settings {
            rootfs: root.path().into(),
            ..fixture::settings()
        };
        let lines = fixture::collect_with(&SPEC, &settings).await;
        let (mut sizes, mut available) = (Vec::new(), Vec::new());
        for line in &lines {
            let (series, value) = line.rsplit_once(' ').unwrap();
            if let Some(labels) = series.strip_prefix("filesystem_size_bytes") {
                sizes.push((labels, value.parse::<f64>().unwrap()));
            } else if let Some(labels) = series.strip_prefix("filesystem_available_bytes") {
                available.push((labels, value.parse::<f64>().unwrap()));
            }
        }
        let labels: Vec<_> = sizes.iter().map(|(labels, _)| *labels).collect();
        let expected = [
            r#"{member="etcd-0", mountpoint="/srv", use="data"}"#,
            r#"{member="etcd-0", mountpoint="/var/lib/etcd-wal", use="wal"}"#,
        ];
        // /var/lib/etcd, the mount point of the second process, is not there: the first is read all the same.
        assert_eq!(labels, expected);
        assert!(
            sizes
                .iter()
                .zip(&available)
                .all(|((_, size), (_, free))| free <= size && *size > 0.0)
        );
    }

    #[tokio::test]
    async fn names_the_path_that_it_could_not_ask() {
        let settings = Settings {
            rootfs: "tests/fixtures/no-such".into(),
            ..fixture::settings()
        };
        let mut collector = (SPEC.build)(&settings);
        let Err(Failure::Failed(error)) = collector.collect(&fixture::subject()).await else {
            panic!("no failure")
        };
        let expected = "could not ask for the free space of tests/fixtures/no-such/srv: ";
        assert!(error.message.starts_with(expected), "{error}");
    }
}
