//! The quota is nearly reached, by data that is in use: neither compaction nor defragmentation would help.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "quota-low-live",
    family: Family::Quota,
    about: "keys are added until 83 % of the quota are used",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).quota(64 << 20).start().await;
    let mut watch = lab.watch(&cluster).await;
    cluster.fill_to(53 << 20, usize::MAX).await;
    watch.broken();
    let found = watch.found("EtcdQuotaLowSpace", None).await;
    watch.named(&found, "most of it live data");
    // The remedy leaves to its reader what may be deleted. The rest of it is then what another report says.
    cluster.etcdctl(&["del", "--prefix", "fill/"]).await.unwrap();
    cluster.compact().await;
    for endpoint in cluster.endpoints() {
        cluster.etcdctl_at(&endpoint, &["defrag"]).await.unwrap();
    }
    watch.gone("EtcdQuotaLowSpace").await;
}
