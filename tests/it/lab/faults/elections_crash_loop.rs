//! A leader that crashes again and again: elections, and the crashes are the cause.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, wait_for};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "elections-crash-loop",
    family: Family::Election,
    about: "the leader is killed, started again and given the leadership back, again and again",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

/// The leadership goes back to a member that has just joined, as soon as it may have it.
async fn move_back(cluster: &EtcdCluster, from: usize, to: usize) {
    let id = cluster.id(to).await;
    wait_for("the leadership to move", Duration::from_secs(30), async || {
        let moved = cluster
            .etcdctl_at(&cluster.endpoint(from), &["move-leader", &id])
            .await;
        if moved.success || cluster.leader().await == Some(to) {
            Ok(())
        } else {
            Err(moved.stderr)
        }
    })
    .await;
}

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    let victim = cluster.leader().await.expect("a healthy cluster has a leader");
    let name = cluster.name(victim).to_owned();
    watch.broken();
    // Each life is seen by one cycle: with five, one of them may be missed.
    for _ in 0..5 {
        cluster.kill(victim);
        let leader = cluster.new_leader(victim).await;
        cluster.restart(victim).await;
        watch.cycles_more(1.0).await;
        move_back(&cluster, leader, victim).await;
    }
    watch.found("EtcdMemberCrashLooping", Some(&name)).await;
    watch.never_fired(&["EtcdRollingRestart", "EtcdSlowDiskCausesElections"]);
}
