//! A slow device, and not a limit or a neighbour: what etcd waits for, the device takes.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{Busy, EtcdCluster, FakeHost, QUIET};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "slow-device",
    family: Family::SlowOperations,
    about: "each fsync of the leader takes 30 ms longer, and the disk under its data takes as long for a flush, under write load",
    shown_by: ShownBy::Fixture("a device cannot be made slow; what etcd waits for is real"),
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let host = FakeHost::of(&cluster);
    let _load = cluster.write_load().await;
    let mut watch = lab
        .watch_with(&cluster, |config| config["paths"] = host.paths())
        .await;
    watch.cycles_more(2.0).await;
    let each = Duration::from_millis(30);
    let slow = cluster.slow_disk(leader, each).await;
    host.disk(
        leader,
        Busy {
            operations: 30.0,
            each,
            utilization: 0.95,
            ..QUIET
        },
    );
    watch.broken();
    watch
        .found("EtcdDiskDeviceSlow", Some(cluster.name(leader)))
        .await;
    watch
        .firing_beneath("EtcdWalFsyncSlow", cluster.name(leader))
        .await;
    watch.never_fired(&["EtcdIoThrottled", "EtcdNoisyNeighbour", "EtcdShortOfCpu"]);
    drop(slow);
    host.disk(leader, QUIET);
    watch.gone("EtcdDiskDeviceSlow").await;
}
