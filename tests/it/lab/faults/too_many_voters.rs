//! More voters than help: each write waits for five of nine.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "too-many-voters",
    family: Family::Configuration,
    about: "a cluster of nine voters",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().members(9).start().await;
    let mut watch = lab.watch(&cluster).await;
    watch.broken();
    watch.remarked("EtcdTooManyVoters", None).await;
}
