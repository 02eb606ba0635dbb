//! A `/proc` and a `/sys` with other disks than this machine has, under the real processes of a cluster.
//!
//! Of a process everything is the real one's, by links, but what is mounted: each member lies on a disk of its own, and the
//! root file system on another. How busy the disks are is as told, and goes on until dropped.

use std::fmt::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::EtcdCluster;

/// How often the counters go on: short beside a cycle.
const TICK: Duration = Duration::from_millis(200);

/// What one disk does.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    /// Writes a second, and flushes a second.
    pub operations: f64,
    /// How long each of them takes.
    pub each: Duration,
    /// Bytes written a second.
    pub bytes: f64,
    /// The share of time in which the disk has something to do.
    pub utilization: f64,
}

/// A quick disk with little to do.
pub const QUIET: Busy = Busy {
    operations: 50.0,
    each: Duration::from_micros(400),
    bytes: 200_000.0,
    utilization: 0.02,
};

/// The tree.
pub struct FakeHost {
    folder: TempDir,
    disks: Arc<Mutex<Vec<Busy>>>,
    task: JoinHandle<()>,
}

impl FakeHost {
    /// Of the processes that run now.
    pub fn of(cluster: &EtcdCluster) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let disks = Arc::new(Mutex::new(vec![QUIET; cluster.len()]));
        let proc = folder.path().join("proc");
        std::fs::create_dir_all(&proc).expect("the folder is ours");
        for entry in ["meminfo", "pressure", "stat", "uptime", "loadavg", "net"] {
            link(&Path::new("/proc").join(entry), &proc.join(entry));
        }
        write(&proc.join("1/mountinfo"), &mounted("8:240", "/dev/sdp", "/"));
        write(&proc.join("1/cmdline"), "init");
        for member in 0..cluster.len() {
            let pid = cluster.pid(member).to_string();
            let (real, fake) = (Path::new("/proc").join(&pid), proc.join(&pid));
            std::fs::create_dir_all(&fake).expect("the folder is ours");
            for entry in std::fs::read_dir(&real).expect("the process runs").flatten() {
                if entry.file_name() != "mountinfo" {
                    link(&entry.path(), &fake.join(entry.file_name()));
                }
            }
            let data = cluster.dir().join(cluster.name(member));
            let disk = mounted(
                &format!("8:{}", member * 16),
                &format!("/dev/{}", name(member)),
                &data.to_string_lossy(),
            );
            write(
                &fake.join("mountinfo"),
                &format!("{}{disk}", mounted("8:240", "/dev/sdp", "/")),
            );
        }
        for disk in (0..cluster.len()).map(name).chain(["sdp".to_owned()]) {
            let sys = folder.path().join("sys");
            write(&sys.join(format!("block/{disk}/queue/rotational")), "0\n");
        }
        link("/sys/fs".as_ref(), &folder.path().join("sys/fs"));
        let tree = proc.join("diskstats");
        write(&tree, &diskstats(&vec![Counted::default(); cluster.len()]));
        let task = tokio::spawn(go_on(tree, Arc::clone(&disks)));
        Self { folder, disks, task }
    }

    /// For the key `paths` of a configuration.
    pub fn paths(&self) -> Value {
        json!({ "proc": self.folder.path().join("proc"), "sys": self.folder.path().join("sys") })
    }

    /// From now on the disk of a member does this.
    pub fn disk(&self, member: usize, busy: Busy) {
        self.disks.lock().expect("nobody panics holding it")[member] = busy;
    }

    /// All disks of the members say that they spin.
    pub fn spinning(&self) {
        let members = self.disks.lock().expect("nobody panics holding it").len();
        for disk in (0..members).map(name) {
            let file = format!("sys/block/{disk}/queue/rotational");
            write(&self.folder.path().join(file), "1\n");
        }
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a disk did so far, as the kernel counts it.
#[derive(Clone, Copy, Default)]
struct Counted {
    operations: f64,
    milliseconds: f64,
    sectors: f64,
    busy: f64,
}

async fn go_on(file: PathBuf, disks: Arc<Mutex<Vec<Busy>>>) {
    let mut counted = vec![Counted::default(); disks.lock().expect("nobody panics holding it").len()];
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(TICK).await;
        let passed = last.elapsed().as_secs_f64();
        last = Instant::now();
        for (count, busy) in counted
            .iter_mut()
            .zip(&*disks.lock().expect("nobody panics holding it"))
        {
            count.operations += busy.operations * passed;
            count.milliseconds += busy.operations * passed * busy.each.as_secs_f64() * 1000.0;
            count.sectors += busy.bytes * passed / 512.0;
            count.busy += busy.utilization * passed * 1000.0;
        }
        // As a whole, since it may be read at any time.
        let new = file.with_extension("new");
        write(&new, &diskstats(&counted));
        std::fs::rename(&new, &file).expect("the folder is ours");
    }
}

/// The members' disks, then that of the operating system, which does nothing.
fn diskstats(counted: &[Counted]) -> String {
    let mut text = String::new();
    for (member, count) in counted.iter().enumerate() {
        let (operations, time) = (count.operations as u64, count.milliseconds as u64);
        // Reads, writes, in progress, busy and weighted time, discards, flushes.
        let _ = writeln!(
            text,
            "   8 {:7} {} 1 0 8 1 {operations} 0 {} {time} 0 {} {time} 0 0 0 0 {operations} {time}",
            member * 16,
            name(member),
            count.sectors as u64,
            count.busy as u64,
        );
    }
    text + "   8     240 sdp 1 0 8 1 1 0 8 1 0 1 2 0 0 0 0 1 1\n"
}

/// A line of `mountinfo`.
fn mounted(device: &str, source: &str, point: &str) -> String {
    format!("22 1 {device} / {point} rw,relatime shared:1 - ext4 {source} rw\n")
}

/// The disk of a member.
fn name(member: usize) -> String {
    format!("sd{}", char::from(b'a' + member as u8))
}

fn link(real: &Path, at: &Path) {
    if let Some(folder) = at.parent() {
        std::fs::create_dir_all(folder).expect("the folder is ours");
    }
    symlink(real, at).expect("the folder is ours");
}

fn write(file: &Path, text: &str) {
    std::fs::create_dir_all(file.parent().expect("a file is in a folder")).expect("the folder is ours");
    std::fs::write(file, text).expect("the folder is ours");
}
