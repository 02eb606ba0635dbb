//! A member whose clock is wrong, told only by the logs of its peers.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "clock-difference",
    family: Family::Resources,
    about: "a follower's peers are told that its clock is 5 s behind, and etcd-doctor does not ask the peer ports",
    shown_by: ShownBy::Fake(
        "the clock of one process cannot be changed: the proxy between the peers rewrites the answer",
    ),
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).proxied().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    cluster.network().clock_behind(follower, 5);
    watch.broken();
    watch.found("EtcdClockDifference", None).await;
    cluster.network().clock_behind(follower, 0);
    watch.mended_by("the right time");
    watch.gone("EtcdClockDifference").await;
}
