//! A member that was removed is started again and again: its peers refuse it.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "removed-member-refused",
    family: Family::Availability,
    about: "a follower is removed in good order, and started again five times, as systemd does",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let id = cluster.id(follower).await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    cluster.remove_member(follower, &id).await;
    cluster.ended(follower).await;
    watch.broken();
    for _ in 0..5 {
        cluster.launch_with(follower, &[]);
        cluster.ended(follower).await;
    }
    watch.found("EtcdRemovedMemberRefused", None).await;
}
