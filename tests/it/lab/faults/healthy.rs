//! Nothing is wrong: steady writes, compaction now and then, on a machine that does other things too.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "healthy",
    family: Family::Silence,
    about: "three members under steady writes for 30 minutes, compacted every 5 minutes as Kubernetes does",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    watch.broken();
    for _ in 0..6 {
        watch.silent_for(Duration::from_secs(300)).await;
        cluster.compact().await;
    }
    watch.silent_for(Duration::from_secs(10)).await;
}
