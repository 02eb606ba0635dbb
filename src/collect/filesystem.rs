//! The file systems under the members' data directory and write-ahead log: room for bytes and for files.
//!
//! A full disk ends etcd, and then nothing tells any more where its data was. So the places of a member that ran on this
//! host are remembered, and asked for as long as it is that member: one that moves to another host under its name gets another id.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::local::{self, Local, labels};
use super::mounts::{self, Mount};
use super::{Collector, Failure, Reading, Scope, Settings, Spec, Subject};
use crate::client::proc::{below, unreadable};
use crate::model::{Desc, Sample};

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "filesystem",
    scope: Scope::Host,
    descs: &[&SIZE, &AVAILABLE, &INODES, &INODES_FREE],
    build: |settings| {
        Box::new(Filesystem {
            settings: settings.clone(),
            places: Arc::default(),
        })
    },
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

struct Filesystem {
    settings: Settings,
    places: Arc<Mutex<Places>>,
}

/// Where each member's data lies, by its name.
type Places = HashMap<Arc<str>, Known>;

/// What is remembered of a member.
struct Known {
    id: Option<u64>,
    places: Vec<Place>,
}

/// A directory's file system.
#[derive(Clone)]
struct Place {
    used_for: &'static str,
    /// The mount point, as the process sees it.
    point: PathBuf,
    /// What is asked for, as the process sees it: the mount point, or the directory itself where the host's root directory,
    /// of which a container may have only that, stands in for the process's own.
    asked: PathBuf,
}

impl Collector for Filesystem {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        let (settings, members) = (self.settings.clone(), subject.members.clone());
        let (processes, places) = (subject.processes.clone(), Arc::clone(&self.places));
        local::blocking(subject, SPEC.name, move || {
            let found = local::members_on_this_host(&processes, &settings, &members);
            let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
            let other = |one: Option<u64>, id: Option<u64>| one.zip(id).is_some_and(|(one, id)| one != id);
            places.retain(|name, known| {
                let mut of_name = members.iter().filter(|member| member.name == *name);
                of_name.any(|member| !other(member.id, known.id))
            });
            let locals = match found {
                Ok(locals) => locals,
                Err(Failure::NotApplicable(_)) if !places.is_empty() => Vec::new(),
                Err(failure) => return Err(failure),
            };
            let mut samples = Vec::new();
            for (member, Known { places, .. }) in places.iter() {
                if !locals.iter().any(|local| local.member == *member) {
                    // Where its data was inside a container, there is nothing any more.
                    samples.extend(ask(member, places, &settings.rootfs).unwrap_or_default());
                }
            }
            if !locals.is_empty() {
                let parts = local::of_each(&locals, |local| read(local, &settings.rootfs, &mut places))?;
                samples.extend(parts.concat());
            }
            Ok(Reading {
                samples,
                ..Reading::default()
            })
        })
        .boxed()
    }
}

fn read(local: &Local, rootfs: &Path, places: &mut Places) -> Result<Vec<Sample>, Failure> {
    let found: Vec<Place> = mounts::of(&local.process)?
        .into_iter()
        .map(|(used_for, Mount { dir, point, .. })| Place {
            used_for: used_for.as_str(),
            asked: if local.process.limited { dir } else { point.clone() },
            point,
        })
        .collect();
    // The process's own root leads into a container. Where the tree has none, the host's is meant.
    let root = &local.process.root;
    let root = if root.exists() { root } else { rootfs };
    let samples = ask(&local.member, &found, root);
    // Without the process they can be asked only where the host has the same file system at the same place.
    let device = |root: &Path, place: &Place| Some(below(root, &place.asked).metadata().ok()?.dev());
    let of_host = |place: &Place| {
        let seen_from_host = device(rootfs, place);
        seen_from_host.is_some() && seen_from_host == device(root, place)
    };
    if found.iter().all(of_host) {
        let known = Known {
            id: local.id,
            places: found,
        };
        places.insert(Arc::clone(&local.member), known);
    } else {
        places.remove(&local.member);
    }
    samples
}

fn ask(member: &Arc<str>, places: &[Place], root: &Path) -> Result<Vec<Sample>, Failure> {
    let mut samples = Vec::new();
    for Place {
        used_for,
        point,
        asked,
    } in places
    {
        let path = below(root, asked);
        let stat = rustix::fs::statvfs(&path).map_err(|error| {
            Failure::Failed(unreadable(&path, "ask for the free space of", &error.into()))
        })?;

        let mountpoint = point.to_string_lossy();
        let labels = || labels(member, [("mountpoint", &*mountpoint), ("use", used_for)]);
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
    async fn a_member_that_ended_is_asked_for_where_it_was() {
        let root = tempfile::tempdir().unwrap();
        let (proc, rootfs) = (root.path().join("proc"), root.path().join("root"));
        let process = proc.join("4101");
        std::fs::create_dir_all(rootfs.join("srv")).unwrap();
        std::fs::create_dir_all(rootfs.join("var/lib/etcd-wal")).unwrap();
        std::fs::create_dir_all(&process).unwrap();
        for file in ["cmdline", "environ", "mountinfo"] {
            std::fs::copy(
                Path::new("tests/fixtures/proc/4101").join(file),
                process.join(file),
            )
            .unwrap();
        }
        std::os::unix::fs::symlink("/srv", process.join("cwd")).unwrap();
        let settings = Settings {
            proc,
            rootfs,
            ..fixture::settings()
        };
        let mut collector = (SPEC.build)(&settings);
        let running = collector
            .collect(&fixture::subject())
            .await
            .ok()
            .unwrap()
            .samples
            .len();
        assert!(running >= 4);
        std::fs::remove_dir_all(&process).unwrap();
        let ended = Subject {
            processes: Default::default(),
            ..fixture::subject()
        };
        assert_eq!(
            collector.collect(&ended).await.ok().unwrap().samples.len(),
            running,
            "the same series go on"
        );
        let left = Subject {
            members: std::sync::Arc::from([]),
            ..ended
        };
        assert!(matches!(
            collector.collect(&left).await,
            Err(Failure::NotApplicable(_))
        ));
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
