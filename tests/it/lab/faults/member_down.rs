//! One member of three stops: no further one may.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "member-down",
    family: Family::Availability,
    about: "a follower is killed",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: Some("etcdMembersDown"),
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let mut watch = lab.watch(&cluster).await;
    cluster.kill(follower);
    watch.broken();
    watch.found("EtcdMemberDown", Some(cluster.name(follower))).await;
    cluster.restart(follower).await;
    watch.gone("EtcdMemberDown").await;
}

#[tokio::test]
async fn quick() {
    crate::lab::quick(&FAULT).await;
}
