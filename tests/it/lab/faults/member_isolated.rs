//! A member that lost its peers, and not a cluster that lost its leader.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "member-isolated",
    family: Family::Availability,
    about: "a follower of five is cut off from its peers",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version)
        .members(5)
        .proxied()
        .start()
        .await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let mut watch = lab.watch(&cluster).await;
    cluster.network().of(follower).cut();
    watch.broken();
    watch
        .found("EtcdMemberIsolated", Some(cluster.name(follower)))
        .await;
    watch.never_fired(&["EtcdNoLeader", "EtcdMemberDown"]);
    cluster.network().of(follower).mend();
    watch.gone("EtcdMemberIsolated").await;
}
