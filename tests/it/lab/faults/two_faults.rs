//! Two independent faults at once are two problems.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "two-faults",
    family: Family::LookAlikes,
    about: "the quota is full and the disk of a follower slow, at once",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version)
        .alone()
        .quota(16 << 20)
        .start()
        .await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let mut watch = lab.watch(&cluster).await;
    cluster.fill_quota().await;
    let slow = cluster.slow_disk(follower, Duration::from_millis(300)).await;
    watch.broken();
    // A full cluster still deletes, which is written to the log as a put is.
    let deleting = async {
        loop {
            let _ = cluster
                .etcdctl_at(&cluster.endpoint(leader), &["del", "nothing"])
                .await;
        }
    };
    let both = async {
        watch.found("EtcdQuotaAlarmFull", None).await;
        watch.beside("EtcdWalFsyncSlow", cluster.name(follower)).await;
    };
    tokio::select! {
        () = both => {}
        () = deleting => {}
    }
    drop(slow);
}
