//! A large file, most of which is free, far below the quota.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "quota-fragmented",
    family: Family::Quota,
    about: "a third of the quota is filled with old revisions and compacted; then etcd-doctor is started, which else waits for 10 min",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).quota(64 << 20).start().await;
    cluster.fill_to(21 << 20, 8).await;
    cluster.compact().await;
    // Pages that a compaction freed are counted as free with the writes that follow.
    let load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    watch.broken();
    watch.found("EtcdQuotaFragmented", None).await;
    watch.type_remedy(&cluster).await;
    watch.gone("EtcdQuotaFragmented").await;
    assert!(load.written() > 0);
}
