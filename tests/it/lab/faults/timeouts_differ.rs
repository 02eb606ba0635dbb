//! One member is given other timeouts than the rest.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "timeouts-differ",
    family: Family::Configuration,
    about: "a follower is started with an election timeout of 3 s, the others have 1 s",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let mut watch = lab.watch(&cluster).await;
    cluster.restart_with(follower, &["--election-timeout=3000"]).await;
    watch.broken();
    watch.found("EtcdTimeoutsDiffer", None).await;
    cluster.restart_with(follower, &["--election-timeout=1000"]).await;
    watch.mended_by("a restart with equal timeouts");
    watch.gone("EtcdTimeoutsDiffer").await;
}
