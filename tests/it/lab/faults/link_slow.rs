//! One member's links are slow: it is named, and not the network as a whole.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "link-slow",
    family: Family::SlowOperations,
    about: "each link of the leader takes 30 ms longer in each direction, under write load",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: Some("etcdMemberCommunicationSlow"),
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).proxied().alone().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    let delay = Duration::from_millis(30);
    cluster.network().of(leader).delay(delay, Duration::ZERO);
    watch.broken();
    watch
        .found("EtcdMemberLinkSlow", Some(cluster.name(leader)))
        .await;
    watch.never_fired(&["EtcdNetworkSlow"]);
    cluster.network().of(leader).mend();
    watch.gone("EtcdMemberLinkSlow").await;
}
