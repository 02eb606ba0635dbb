//! A member that defragments against a slow disk and against one that is down: wait.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "defrag",
    family: Family::LookAlikes,
    about: "a follower with a slow disk (4 s a flush) defragments: Status hangs, its metrics are quick",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let mut watch = lab.watch(&cluster).await;
    let slow = cluster.slow_disk(follower, Duration::from_secs(4)).await;
    watch.broken();
    let endpoint = cluster.endpoint(follower);
    let defrag = cluster.etcdctl_at(&endpoint, &["--command-timeout=120s", "defrag"]);
    let found = watch.found("EtcdDefragInProgress", Some(cluster.name(follower)));
    let (defrag, _) = tokio::join!(defrag, found);
    defrag.unwrap();
    watch.never_fired(&[
        "EtcdMemberDown",
        "EtcdWalFsyncSlow",
        "EtcdBackendCommitSlow",
        "EtcdNoFailureTolerance",
    ]);
    drop(slow);
    watch.gone("EtcdDefragInProgress").await;
}
