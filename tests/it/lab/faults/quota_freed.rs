//! Space was freed by hand, and the alarm was forgotten: every write is still refused.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "quota-freed",
    family: Family::Quota,
    about: "a full cluster is compacted and defragmented, and the alarm is left armed",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).quota(16 << 20).start().await;
    let mut watch = lab.watch(&cluster).await;
    cluster.fill_quota().await;
    cluster.compact().await;
    for endpoint in cluster.endpoints() {
        cluster.etcdctl_at(&endpoint, &["defrag"]).await.unwrap();
    }
    watch.broken();
    watch.found("EtcdQuotaAlarmSpaceFreed", None).await;
    let refused = cluster.etcdctl(&["put", "still", "refused"]).await;
    assert!(refused.stderr.contains("space exceeded"), "{refused:?}");
    watch.type_remedy(&cluster).await;
    watch.gone("EtcdQuotaAlarmSpaceFreed").await;
    cluster.etcdctl(&["put", "accepted", "again"]).await.unwrap();
}
