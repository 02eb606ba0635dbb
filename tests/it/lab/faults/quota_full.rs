//! One database reaches its quota, and every write is refused.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "quota-full",
    family: Family::Quota,
    about: "large values are written until etcd refuses more",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: Some("etcdDatabaseQuotaLowSpace"),
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).quota(16 << 20).start().await;
    let mut watch = lab.watch(&cluster).await;
    cluster.fill_quota().await;
    watch.broken();
    watch.found("EtcdQuotaAlarmFull", None).await;
    watch.type_remedy(&cluster).await;
    watch.gone("EtcdQuotaAlarmFull").await;
    watch.gone("EtcdQuotaAlarmSpaceFreed").await;
    cluster.etcdctl(&["put", "accepted", "again"]).await.unwrap();
}

#[tokio::test]
async fn quick() {
    crate::lab::quick(&FAULT).await;
}
