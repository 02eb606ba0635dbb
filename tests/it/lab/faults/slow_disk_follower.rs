//! Each flush of one follower's disk takes 300 ms: its own clients wait, the cluster does not.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "slow-disk-follower",
    family: Family::SlowOperations,
    about: "each fsync of a follower takes 300 ms longer, under write load",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: Some("etcdHighFsyncDurations"),
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    let slow = cluster.slow_disk(follower, Duration::from_millis(300)).await;
    watch.broken();
    watch
        .found("EtcdWalFsyncSlow", Some(cluster.name(follower)))
        .await;
    watch.never_fired(&[
        "EtcdAllDisksSlow",
        "EtcdIoThrottled",
        "EtcdShortOfCpu",
        "EtcdMemberDown",
    ]);
    drop(slow);
    watch.gone("EtcdWalFsyncSlow").await;
}
