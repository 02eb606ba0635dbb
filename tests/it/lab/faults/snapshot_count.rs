//! A snapshot count that writes the whole state again and again.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "snapshot-count",
    family: Family::Configuration,
    about: "every member is started with a snapshot count of 500",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let flag = "--snapshot-count=500";
    let cluster = EtcdCluster::builder(lab.version).flag(flag).start().await;
    let mut watch = lab.watch(&cluster).await;
    watch.broken();
    watch.remarked("EtcdSnapshotCountUnusual", None).await;
}
