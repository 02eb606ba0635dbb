//! A paused process: neither dead, nor slow, nor waiting for a quorum.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "member-paused",
    family: Family::LookAlikes,
    about: "the process of a follower is stopped by SIGSTOP",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let mut watch = lab.watch(&cluster).await;
    cluster.pause(follower);
    watch.broken();
    watch
        .found("EtcdMemberPaused", Some(cluster.name(follower)))
        .await;
    watch.never_fired(&["EtcdMemberUnreachableFromHere", "EtcdMemberWaitsForQuorum"]);
    cluster.resume(follower);
    watch.gone("EtcdMemberPaused").await;
}

#[tokio::test]
async fn quick() {
    crate::lab::quick(&FAULT).await;
}
