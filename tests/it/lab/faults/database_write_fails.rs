//! A disk that is full for etcd alone, by a quota of the file system: nothing but the last words in its log tells.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "database-write-fails",
    family: Family::Resources,
    about: "every write of a follower to its database fails with ENOSPC, as by a limit of its own on a disk that has room",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let mut watch = lab.watch(&cluster).await;
    // Its log is followed from the first cycle on.
    watch.cycles_more(2.0).await;
    let full = cluster.full_disk(follower).await;
    watch.broken();
    cluster
        .etcdctl_at(&cluster.endpoint(leader), &["put", "one", "more"])
        .await
        .unwrap();
    watch
        .found("EtcdStoppedByFullDisk", Some(cluster.name(follower)))
        .await;
    watch
        .firing_beneath("EtcdMemberDown", cluster.name(follower))
        .await;
    watch.never_fired(&["EtcdQuotaAlarmFull", "EtcdBrokeOff", "EtcdDiskSpaceLow"]);
    drop(full);
    cluster.restart(follower).await;
    watch.mended_by("space again, and started");
    watch.gone("EtcdStoppedByFullDisk").await;
}
