//! A member whose data were wiped runs as its own healthy cluster.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "foreign-member",
    family: Family::Availability,
    about: "a follower is wiped and started as a cluster of its own",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    cluster.etcdctl(&["put", "key", "value"]).await.unwrap();
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let name = cluster.name(follower).to_owned();
    let mut watch = lab.watch(&cluster).await;
    cluster.wipe(follower);
    let alone = format!("--initial-cluster={name}={}", cluster.peer_url(follower));
    cluster
        .restart_with(follower, &[&alone, "--initial-cluster-token=other"])
        .await;
    watch.broken();
    watch.found("EtcdForeignMember", Some(&name)).await;
    // It is stopped by hand, as the remedy says, once it has told what it holds.
    watch.type_remedy(&cluster).await;
    cluster.wipe(follower);
    cluster.rejoin(follower).await;
    watch.gone("EtcdForeignMember").await;
}

#[tokio::test]
async fn quick() {
    crate::lab::quick(&FAULT).await;
}
