//! A member that is added in the right way is no fault.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "learner-promoted",
    family: Family::Silence,
    about: "a learner is added, started and promoted",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    watch.broken();
    let added = cluster.add_member(true).await;
    let id = added.id.clone();
    cluster.start_added(added).await;
    watch.cycles_more(2.0).await;
    cluster.promote(&id).await;
    watch.silent_for(Duration::from_secs(60)).await;
}
