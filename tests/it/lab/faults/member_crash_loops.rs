//! A member ends and starts again and again.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "member-crash-loops",
    family: Family::Availability,
    about: "a follower is killed and started again until it is found",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let name = cluster.name(follower).to_owned();
    let mut watch = lab.watch(&cluster).await;
    watch.broken();
    // Each life is seen by one cycle: with five, one of them may be missed.
    for _ in 0..5 {
        cluster.kill(follower);
        cluster.restart(follower).await;
        watch.cycles_more(1.0).await;
    }
    watch.found("EtcdMemberCrashLooping", Some(&name)).await;
}
