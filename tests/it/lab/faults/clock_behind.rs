//! A member whose clock is wrong.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "clock-behind",
    family: Family::Resources,
    about: "whoever asks the peer port of a follower for the time is told that it is 5 s earlier",
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
    let mut watch = lab
        .watch_with(&cluster, |config| {
            config["clusters"][0]["peer_ports"] = true.into();
        })
        .await;
    watch.cycles_more(2.0).await;
    cluster.network().clock_behind(follower, 5);
    watch.broken();
    watch.found("EtcdClockDrift", Some(cluster.name(follower))).await;
    // Its peers write so, too, twice a minute.
    watch.beneath("EtcdClockDifference").await;
    cluster.network().clock_behind(follower, 0);
    watch.mended_by("the right time");
    watch.gone("EtcdClockDrift").await;
}
