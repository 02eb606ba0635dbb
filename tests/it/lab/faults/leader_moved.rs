//! A voluntary move of the leader: one election, and nothing that forced it.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "leader-moved",
    family: Family::LookAlikes,
    about: "the leadership is moved by hand with move-leader",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let mut watch = lab.watch(&cluster).await;
    let to = (leader + 1) % cluster.len();
    watch.broken();
    cluster.move_leader(leader, to).await;
    watch.remarked("EtcdLeaderMoved", None).await;
    watch.cycles_more(2.0).await;
    watch.never_fired(&["EtcdNoLeader", "EtcdFrequentElections", "EtcdMemberLostLeader"]);
}
