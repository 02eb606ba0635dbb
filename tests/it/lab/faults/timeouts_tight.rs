//! Timeouts that are too tight for the way between the members, which is long and steady: no election comes of it yet.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "timeouts-tight",
    family: Family::Configuration,
    about: "round trips of 160 ms between the members, with the default timeouts of 100 ms and 1 s",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).proxied().start().await;
    let mut watch = lab.watch(&cluster).await;
    let way = Duration::from_millis(80);
    cluster.network().everywhere().delay(way, Duration::ZERO);
    watch.broken();
    watch.found("EtcdElectionTimeoutTight", None).await;
    cluster.network().everywhere().mend();
    watch.mended_by("the network quick again");
    watch.gone("EtcdElectionTimeoutTight").await;
}
