//! A leader without CPU loses the leadership, and logs that the disk is slow.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{Cgroup, EtcdCluster};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "elections-cpu",
    family: Family::Election,
    about: "a control group allows the leader 2 ms of a CPU in each second, under write load: another one is elected",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

/// Of what is left of the period nothing is done: longer than the election timeout. Members that follow are let be: without
/// CPU their own clocks would stand still as well, and nobody would call for an election.
const TIME: Duration = Duration::from_millis(2);
const PERIOD: Duration = Duration::from_secs(1);

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let limit = match Cgroup::cpu_limit(cluster.pid(leader), TIME, PERIOD) {
        Ok(group) => group,
        Err(why) => return watch.skipped(&why),
    };
    watch.broken();
    cluster.new_leader(leader).await;
    watch.found("EtcdCpuThrottled", Some(cluster.name(leader))).await;
    watch.beneath("EtcdLeaderChanged").await;
    watch.never_fired(&[
        "EtcdSlowDiskCausesElections",
        "EtcdNetworkCausesElections",
        "EtcdAllDisksSlow",
    ]);
    drop(limit);
    watch.gone("EtcdCpuThrottled").await;
}
