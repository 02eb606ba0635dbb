//! The leader is killed and comes back: an election, and news rather than a fault once it is back.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "leader-killed",
    family: Family::Silence,
    about: "the leader is killed and started again at once",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let mut watch = lab.watch(&cluster).await;
    cluster.kill(leader);
    cluster.restart(leader).await;
    watch.broken();
    watch.found("EtcdLeaderChanged", None).await;
    watch.cycles_more(3.0).await;
    watch.never_fired(&["EtcdNoLeader", "EtcdQuorumLost", "EtcdFrequentElections"]);
}
