//! Other work takes the CPU away from the leader: late heartbeats and slow fsyncs, and no slow disk.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{Cgroup, EtcdCluster, Process};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "cpu-short-leader",
    family: Family::LookAlikes,
    about: "the leader has the least share of the CPUs, and four busy loops want the rest, under write load",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    let share = match Cgroup::cpu_share_least(cluster.pid(leader)) {
        Ok(group) => group,
        Err(why) => return watch.skipped(&why),
    };
    let loops: Vec<Process> = (0..4)
        .map(|i| {
            let args = ["-c".to_owned(), "while :; do :; done".to_owned()];
            Process::spawn(
                "busy",
                "/bin/sh".as_ref(),
                &args,
                &cluster.dir().join(format!("busy-{i}.log")),
            )
        })
        .collect();
    watch.broken();
    watch.found("EtcdShortOfCpu", Some(cluster.name(leader))).await;
    watch.never_fired(&["EtcdSlowDiskCausesElections", "EtcdCpuThrottled"]);
    drop((loops, share));
    watch.gone("EtcdShortOfCpu").await;
}
