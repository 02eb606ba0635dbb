//! All disks are slow: one problem that names what they share, and not three.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "slow-disk-all",
    family: Family::SlowOperations,
    about: "each fsync of every member takes 80 ms longer, under write load",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: Some("etcdHighFsyncDurations"),
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    let mut slow = Vec::new();
    for member in 0..cluster.len() {
        slow.push(cluster.slow_disk(member, Duration::from_millis(80)).await);
    }
    watch.broken();
    watch.found("EtcdAllDisksSlow", None).await;
    drop(slow);
    watch.gone("EtcdAllDisksSlow").await;
}
