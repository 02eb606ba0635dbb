//! A learner that does not catch up.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "learner-not-catching-up",
    family: Family::Availability,
    about: "a learner that was added is cut off from its peers, under write load",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).proxied().start().await;
    let added = cluster.add_member(true).await;
    cluster.start_added(added).await;
    let learner = cluster.len() - 1;
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    cluster.network().of(learner).stall();
    watch.broken();
    watch
        .found("EtcdLearnerNotCatchingUp", Some(cluster.name(learner)))
        .await;
    cluster.network().of(learner).mend();
    watch.gone("EtcdLearnerNotCatchingUp").await;
}
