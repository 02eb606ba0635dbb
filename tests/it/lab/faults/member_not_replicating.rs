//! The grey failure: a member names a leader and has silently stopped to follow.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "member-not-replicating",
    family: Family::LookAlikes,
    about: "under write load, nothing that a follower sends to the leader arrives",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).proxied().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    cluster.network().one_way(follower, leader).stall();
    watch.broken();
    // It names a leader all the time, and follows none. Why, the probes between the members tell.
    watch.found("EtcdNetworkCut", None).await;
    cluster.network().one_way(follower, leader).mend();
    watch.gone("EtcdNetworkCut").await;
}
