//! A member lost its data and was started as if it had not: it panics.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "member-wiped",
    family: Family::Availability,
    about: "a follower's data directory is emptied, and it is started as the member that it was",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    cluster.revisions(50).await;
    let mut watch = lab.watch(&cluster).await;
    // Its log is followed from the first cycle on.
    watch.cycles_more(2.0).await;
    cluster.wipe(follower);
    cluster.launch_with(follower, &["--initial-cluster-state=existing"]);
    watch.broken();
    watch.found("EtcdBrokeOff", Some(cluster.name(follower))).await;
    watch
        .firing_beneath("EtcdMemberDown", cluster.name(follower))
        .await;
}
