//! A quota that etcd takes and advises against.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "quota-above-advised",
    family: Family::Quota,
    about: "every member is started with a quota of 9 GiB",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).quota(9 << 30).start().await;
    let mut watch = lab.watch(&cluster).await;
    watch.broken();
    watch.remarked("EtcdQuotaAboveAdvised", None).await;
    watch.type_remedy_of("EtcdQuotaAboveAdvised", &cluster).await;
    for member in 0..cluster.len() {
        cluster
            .restart_with(member, &["--quota-backend-bytes=8589934592"])
            .await;
    }
    watch.gone("EtcdQuotaAboveAdvised").await;
}
