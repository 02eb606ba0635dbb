//! A member's own stall against an election. Without pre-vote, as in 3.4, it would depose the leader and be an election.

use std::time::Duration;

use crate::lab::{Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, Version};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "own-stall",
    family: Family::LookAlikes,
    about: "all links of a follower are cut for 4 s: it loses the leader and finds the same one again",
    shown_by: ShownBy::Real,
    versions: &[Version::V3_5],
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).proxied().alone().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let mut watch = lab.watch(&cluster).await;
    let other = (leader + 1) % cluster.len();
    watch.broken();
    cluster.network().of(other).stall();
    // The length of the stall is the fault, not a wait for something.
    tokio::time::sleep(Duration::from_secs(4)).await;
    cluster.network().of(other).mend();
    watch
        .remarked("EtcdMemberLostLeader", Some(cluster.name(other)))
        .await;
    watch.never_fired(&["EtcdLeaderChanged", "EtcdNoLeader", "EtcdFrequentElections"]);
}
