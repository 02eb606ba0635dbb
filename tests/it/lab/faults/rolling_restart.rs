//! A rolling restart in the right way: elections that are expected, and news rather than a fault.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "rolling-restart",
    family: Family::Silence,
    about: "all members are restarted one after the other, each in good order",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let mut watch = lab.watch(&cluster).await;
    watch.broken();
    for member in 0..cluster.len() {
        cluster.terminate(member).await;
        cluster.restart(member).await;
        // As one does by hand: the next when this one is back, and seen to be.
        watch.cycles_more(2.0).await;
    }
    watch.found("EtcdRollingRestart", None).await;
    watch.cycles_more(3.0).await;
    watch.never_fired(&[
        "EtcdFrequentElections",
        "EtcdNoLeader",
        "EtcdQuorumLost",
        "EtcdMemberDown",
        "EtcdMemberLostLeader",
    ]);
}
