//! Ten thousand revisions are written, and nobody compacts.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "nobody-compacts",
    family: Family::Configuration,
    about: "12000 revisions are written, auto-compaction is off and nobody compacts",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let mut watch = lab.watch(&cluster).await;
    cluster.revisions(12_000).await;
    watch.broken();
    watch.remarked("EtcdNobodyCompacts", None).await;
    watch.type_remedy_of("EtcdNobodyCompacts", &cluster).await;
    watch.gone("EtcdNobodyCompacts").await;
}
