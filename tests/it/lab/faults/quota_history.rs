//! Nobody compacts: far below the quota, old revisions are most of what there is.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "quota-history",
    family: Family::Quota,
    about: "eight keys are overwritten until a third of the quota is used, and writes go on",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).quota(64 << 20).start().await;
    let mut watch = lab.watch(&cluster).await;
    cluster.fill_to(21 << 20, 8).await;
    let load = cluster.write_load().await;
    watch.broken();
    watch.found("EtcdQuotaHistoryGrows", None).await;
    watch.type_remedy(&cluster).await;
    watch.gone("EtcdQuotaHistoryGrows").await;
    assert!(load.written() > 0);
}
