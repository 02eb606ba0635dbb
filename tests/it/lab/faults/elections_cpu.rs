//! Leaders without CPU lose the leadership, and log that the disk is slow.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{Cgroup, EtcdCluster};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "elections-cpu",
    family: Family::Election,
    about: "a control group allows the leader 2 ms of a CPU in each second, then the next one after it, again and again, under write load",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

/// Of what is left of the period nothing is done: longer than the election timeout. Members that follow are let be: without
/// CPU their own clocks would stand still as well.
const TIME: Duration = Duration::from_millis(2);
const PERIOD: Duration = Duration::from_secs(1);

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    let first = cluster.leader().await.expect("a healthy cluster has a leader");
    if let Err(why) = Cgroup::cpu_limit(cluster.pid(first), TIME, PERIOD) {
        return watch.skipped(&why);
    }
    let starving = async {
        let mut leader = first;
        loop {
            let limit = Cgroup::cpu_limit(cluster.pid(leader), TIME, PERIOD);
            leader = cluster.new_leader(leader).await;
            drop(limit);
        }
    };
    watch.broken();
    let seen = async {
        watch.found("EtcdCpuThrottled", None).await;
        watch.beneath("EtcdLeaderChanged").await;
    };
    tokio::select! {
        () = seen => {}
        () = starving => {}
    }
    watch.never_fired(&["EtcdSlowDiskCausesElections", "EtcdNetworkCausesElections"]);
    watch.gone("EtcdCpuThrottled").await;
}
