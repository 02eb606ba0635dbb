//! A member that cannot be reached from here is healthy to its peers.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "member-unreachable-from-here",
    family: Family::LookAlikes,
    about: "a member advertises a client address that does not lead to it",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let nowhere = "--advertise-client-urls=http://127.0.0.1:1";
    let cluster = EtcdCluster::builder(lab.version).flag(nowhere).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let hidden = (leader + 1) % cluster.len();
    let mut endpoints = cluster.endpoints();
    endpoints.remove(hidden);
    let mut watch = lab
        .watch_with(&cluster, |config| {
            config["clusters"][0]["endpoints"] = endpoints.into()
        })
        .await;
    watch.broken();
    watch
        .found("EtcdMemberUnreachableFromHere", Some(cluster.name(hidden)))
        .await;
}
