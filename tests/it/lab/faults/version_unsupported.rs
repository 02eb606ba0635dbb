//! A release that the etcd project no longer mends.

use crate::lab::{Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, Version};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "version-unsupported",
    family: Family::Configuration,
    about: "a cluster of 3.4, which is not mended any more",
    shown_by: ShownBy::Real,
    versions: &[Version::V3_4],
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let mut watch = lab.watch(&cluster).await;
    watch.broken();
    watch.remarked("EtcdVersionUnsupported", None).await;
    for member in 0..cluster.len() {
        cluster.upgrade(member, Version::V3_5).await;
        watch.cycles_more(2.0).await;
    }
    watch.mended_by("a rolling upgrade to 3.5");
    watch.gone("EtcdVersionUnsupported").await;
}
