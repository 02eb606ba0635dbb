//! Two members of three stop: nothing can be written or elected.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "quorum-lost",
    family: Family::Availability,
    about: "two members of three are killed",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: Some("etcdInsufficientMembers"),
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let mut watch = lab.watch(&cluster).await;
    cluster.kill(0);
    cluster.kill(1);
    watch.broken();
    watch.found("EtcdQuorumLost", None).await;
    cluster.restart(0).await;
    cluster.restart(1).await;
    watch.gone("EtcdQuorumLost").await;
}
