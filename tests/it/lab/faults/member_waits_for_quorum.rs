//! A member that was started without a quorum takes connections and answers nothing.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "member-waits-for-quorum",
    family: Family::LookAlikes,
    about: "all members are killed and one is started again",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let mut watch = lab
        .watch_with(&cluster, |config| {
            config["clusters"][0]["peer_ports"] = true.into()
        })
        .await;
    for member in 0..3 {
        cluster.kill(member);
    }
    cluster.restart(0).await;
    watch.broken();
    watch
        .found("EtcdMemberWaitsForQuorum", Some(cluster.name(0)))
        .await;
    watch.never_fired(&["EtcdMemberPaused", "EtcdMemberUnreachableFromHere"]);
    cluster.restart(1).await;
    watch.gone("EtcdMemberWaitsForQuorum").await;
}
