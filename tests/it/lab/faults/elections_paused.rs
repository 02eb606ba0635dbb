//! Leaders that stand still again and again, as a host does that is suspended or migrated.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "elections-paused",
    family: Family::Election,
    about: "the leader is stopped by SIGSTOP for 4 s, let go on, and the next one after it, again and again",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

/// Longer than an election timeout.
const PAUSE: Duration = Duration::from_secs(4);

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    watch.broken();
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let stall = async {
        loop {
            if let Some(leader) = cluster.leader().await {
                cluster.pause(leader);
                tokio::time::sleep(PAUSE).await;
                cluster.resume(leader);
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        _ = watch.found("EtcdStallsCauseElections", None) => {}
        () = stall => {}
    }
    for member in 0..cluster.len() {
        cluster.resume(member);
    }
    let _ = leader;
    watch.never_fired(&["EtcdSlowDiskCausesElections", "EtcdNetworkCausesElections"]);
}
