//! What the leader sends is lost, and what it gets arrives: another leads soon, and the old one hangs on.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "one-way-cut",
    family: Family::Election,
    about: "everything that the leader sends to the other members is lost, what they send to it arrives",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).proxied().alone().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let mut watch = lab.watch(&cluster).await;
    for other in (0..cluster.len()).filter(|other| *other != leader) {
        cluster.network().one_way(leader, other).stall();
    }
    watch.broken();
    watch.found("EtcdNetworkCut", None).await;
    cluster.network().everywhere().mend();
    watch.gone("EtcdNetworkCut").await;
}
