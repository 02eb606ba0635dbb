//! The quota is nearly reached, and most of the file is free.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "quota-low-fragmented",
    family: Family::Quota,
    about: "83 % of the quota are filled with old revisions and compacted, and nobody defragments",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).quota(64 << 20).start().await;
    let mut watch = lab.watch(&cluster).await;
    cluster.fill_to(53 << 20, 8).await;
    cluster.compact().await;
    // Pages that a compaction freed are counted as free with the writes that follow.
    let load = cluster.write_load().await;
    watch.broken();
    let found = watch.found("EtcdQuotaLowSpace", None).await;
    watch.named(&found, "most of it free pages");
    watch.type_remedy(&cluster).await;
    watch.gone("EtcdQuotaLowSpace").await;
    assert!(load.written() > 0);
}
