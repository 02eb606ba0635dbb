//! One member has a smaller quota than the others.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "quota-differs",
    family: Family::Quota,
    about: "a follower is restarted with half of the others' quota",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).quota(1 << 30).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let mut watch = lab.watch(&cluster).await;
    cluster
        .restart_with(follower, &["--quota-backend-bytes=536870912"])
        .await;
    watch.broken();
    watch.found("EtcdQuotaDiffers", None).await;
    cluster
        .restart_with(follower, &["--quota-backend-bytes=1073741824"])
        .await;
    watch.gone("EtcdQuotaDiffers").await;
}
