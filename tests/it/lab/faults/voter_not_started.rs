//! A voter that never started costs the cluster a failure that it could survive.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "voter-not-started",
    family: Family::Availability,
    about: "a fourth voter is added and not started",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let mut watch = lab.watch(&cluster).await;
    let added = cluster.add_member(false).await;
    watch.broken();
    watch.found("EtcdMemberNotStarted", Some(&added.id)).await;
    watch.type_remedy(&cluster).await;
    watch.gone("EtcdMemberNotStarted").await;
}
