//! Members are far apart: slow writes, quick disks.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "network-slow",
    family: Family::SlowOperations,
    about: "each link between the members takes 30 ms longer in each direction, under write load",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: Some("etcdMemberCommunicationSlow"),
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).proxied().alone().start().await;
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    let delay = Duration::from_millis(30);
    cluster.network().everywhere().delay(delay, Duration::ZERO);
    watch.broken();
    watch.found("EtcdNetworkSlow", None).await;
    cluster.network().everywhere().mend();
    watch.gone("EtcdNetworkSlow").await;
}
