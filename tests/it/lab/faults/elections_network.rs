//! Packets between all members are lost: heartbeats come late by retransmissions, and elections follow.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "elections-network",
    family: Family::Election,
    about: "one packet in three between the members is lost, under write load",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).proxied().alone().start().await;
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    cluster.network().everywhere().lose(0.35);
    watch.broken();
    watch.found("EtcdNetworkCausesElections", None).await;
    watch.never_fired(&["EtcdSlowDiskCausesElections", "EtcdShortOfCpu"]);
    cluster.network().everywhere().mend();
}
