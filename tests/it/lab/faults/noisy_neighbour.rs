//! Another program keeps the disk busy: etcd writes little of what is written.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{Busy, EtcdCluster, FakeHost, QUIET};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "noisy-neighbour",
    family: Family::LookAlikes,
    about: "each fsync of the leader takes 80 ms longer; the disk under its data is busy all the time with what others write, under write load",
    shown_by: ShownBy::Fixture(
        "the disk of this machine is too quick to be kept busy; what etcd waits for is real",
    ),
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
    let each = Duration::from_millis(80);
    let slow = cluster.slow_disk(leader, each).await;
    // Many writes at once: each takes its time, and the disk is never idle.
    host.disk(
        leader,
        Busy {
            operations: 400.0,
            each: Duration::from_millis(30),
            bytes: 80e6,
            utilization: 0.99,
        },
    );
    watch.broken();
    watch
        .found("EtcdNoisyNeighbour", Some(cluster.name(leader)))
        .await;
    watch
        .firing_beneath("EtcdWalFsyncSlow", cluster.name(leader))
        .await;
    watch.never_fired(&["EtcdIoThrottled", "EtcdShortOfCpu"]);
    drop(slow);
    host.disk(leader, QUIET);
    watch.gone("EtcdNoisyNeighbour").await;
}
