//! The quota is nearly reached, by old revisions of few keys.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "quota-low-history",
    family: Family::Quota,
    about: "eight keys are overwritten until 83 % of the quota are used",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).quota(64 << 20).start().await;
    let mut watch = lab.watch(&cluster).await;
    cluster.fill_to(53 << 20, 8).await;
    watch.broken();
    let found = watch.found("EtcdQuotaLowSpace", None).await;
    watch.named(&found, "most of it old revisions");
    watch.type_remedy(&cluster).await;
    watch.gone("EtcdQuotaLowSpace").await;
}

#[tokio::test]
async fn quick() {
    crate::lab::quick(&FAULT).await;
}
