//! Each flush of the leader's disk takes 80 ms: every write of the cluster waits for it.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "slow-disk-leader",
    family: Family::SlowOperations,
    about: "each fsync of the leader takes 80 ms longer, under write load",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: Some("etcdHighFsyncDurations"),
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    let slow = cluster.slow_disk(leader, Duration::from_millis(80)).await;
    watch.broken();
    watch.found("EtcdWalFsyncSlow", Some(cluster.name(leader))).await;
    drop(slow);
    watch.gone("EtcdWalFsyncSlow").await;
}
