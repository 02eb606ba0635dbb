//! Timeouts that are too tight for the way between the members, which has been long since they started: no election comes of it
//! yet. It takes three minutes: etcd smooths its round trips from 0 on, and shows an eighth of the first one.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "timeouts-tight",
    family: Family::Configuration,
    about: "round trips of 160 ms between the members since they started, with the default timeouts of 100 ms and 1 s",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).proxied().start().await;
    let mut watch = lab.watch(&cluster).await;
    let way = Duration::from_millis(80);
    cluster.network().everywhere().delay(way, Duration::ZERO);
    restart_each(&mut cluster, &[]).await;
    watch.broken();
    watch.found("EtcdElectionTimeoutTight", None).await;
    restart_each(
        &mut cluster,
        &["--heartbeat-interval=200", "--election-timeout=2000"],
    )
    .await;
    watch.mended_by("a restart of each member with timeouts for such a way");
    watch.gone("EtcdElectionTimeoutTight").await;
}

async fn restart_each(cluster: &mut EtcdCluster, flags: &[&str]) {
    for member in 0..cluster.len() {
        cluster.terminate(member).await;
        cluster.restart_with(member, flags).await;
    }
}
