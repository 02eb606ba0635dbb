//! A member near the limit of its memory.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{Cgroup, EtcdCluster};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "memory-high",
    family: Family::Resources,
    about: "the control group of a member is given a limit a seventh above the memory that it holds",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

/// The memory that a process holds beside what is in files, in bytes.
fn anonymous(pid: u32) -> u64 {
    let status = procfs::process::Process::new(pid as i32).and_then(|process| process.status());
    status.expect("it runs").rssanon.expect("the kernel tells it") * 1024
}

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    let limit = match Cgroup::memory_limit(cluster.pid(0), anonymous(cluster.pid(0)) * 8 / 7) {
        Ok(group) => group,
        Err(why) => return watch.skipped(&why),
    };
    watch.broken();
    watch.found("EtcdMemoryHigh", Some(cluster.name(0))).await;
    drop(limit);
    watch.mended_by("a higher limit");
    watch.gone("EtcdMemoryHigh").await;
}
