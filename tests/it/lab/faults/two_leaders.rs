//! A leader that lost its peers says for a moment that it leads, while another was elected.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "two-leaders",
    family: Family::Availability,
    about: "of five members the leader is cut off from its peers without a word",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version)
        .members(5)
        .proxied()
        .alone()
        .start()
        .await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    cluster.network().of(leader).stall();
    watch.broken();
    watch
        .found("EtcdMemberIsolated", Some(cluster.name(leader)))
        .await;
    // It steps down within two election timeouts: nobody has two leaders for long.
    watch.never_fired(&[
        "EtcdNoLeader",
        "EtcdMemberDown",
        "EtcdQuorumLost",
        "EtcdTwoLeaders",
    ]);
    cluster.network().of(leader).mend();
    watch.gone("EtcdMemberIsolated").await;
}
