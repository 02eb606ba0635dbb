//! A CPU limit stops the leader: late heartbeats and slow fsyncs, and no slow disk.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{Cgroup, EtcdCluster};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "cpu-throttled-leader",
    family: Family::LookAlikes,
    about: "a CPU limit of 5 % stops the leader in most periods, under write load: it logs \"likely from slow disk\"",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

/// 5 % of the period that Kubernetes and systemd have.
const TIME: Duration = Duration::from_millis(5);
const PERIOD: Duration = Duration::from_millis(100);

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    let limit = match Cgroup::cpu_limit(cluster.pid(leader), TIME, PERIOD) {
        Ok(group) => group,
        Err(why) => return watch.skipped(&why),
    };
    watch.broken();
    watch.found("EtcdCpuThrottled", Some(cluster.name(leader))).await;
    watch.cycles_more(6.0).await;
    watch.never_fired(&["EtcdSlowDiskCausesElections", "EtcdIoThrottled"]);
    drop(limit);
    watch.gone("EtcdCpuThrottled").await;
}
