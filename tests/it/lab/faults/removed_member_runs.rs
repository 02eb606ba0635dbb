//! A member that was removed and did not hear of it: it goes on, and its clients read what is old.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "removed-member-runs",
    family: Family::Availability,
    about: "a follower is removed while it is cut off, and never hears of it",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).proxied().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let id = cluster.id(follower).await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    cluster.network().of(follower).stall();
    // What it was told of the removal is held back, and lost with the connections.
    cluster.remove_member(follower, &id).await;
    cluster.network().of(follower).cut();
    watch.broken();
    watch.found("EtcdRemovedMemberRuns", None).await;
}
