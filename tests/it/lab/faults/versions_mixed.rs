//! An upgrade that stops after one member.

use crate::lab::{Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, Version};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "versions-mixed",
    family: Family::Configuration,
    about: "one member of a 3.4 cluster is upgraded to 3.5, later the others",
    shown_by: ShownBy::Real,
    // What is upgraded is the older one.
    versions: &[Version::V3_4],
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let mut watch = lab.watch(&cluster).await;
    let followers: Vec<usize> = (0..cluster.len()).filter(|i| *i != leader).collect();
    cluster.upgrade(followers[0], Version::V3_5).await;
    watch.broken();
    watch.remarked("EtcdVersionsMixed", None).await;
    cluster.upgrade(followers[1], Version::V3_5).await;
    cluster.upgrade(leader, Version::V3_5).await;
    watch.mended_by("the upgrade of the others");
    // The rule that warns of it after two hours looks back 5 minutes, and is pending for as long.
    watch.cycles_more(30.0).await;
    watch.gone("EtcdVersionsMixed").await;
    watch.gone("EtcdVersionUnsupported").await;
}
