//! A member of another cluster stands among the peers, and nobody can ask it: only the logs of its peers tell.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "cluster-id-mismatch",
    family: Family::Availability,
    about: "a follower is wiped and started as a cluster of its own, with another address for clients",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

/// Removes a member by its name and adds it anew, as the remedy says.
async fn replace(cluster: &EtcdCluster, member: usize) {
    let list = cluster.etcdctl(&["member", "list", "-w", "json"]).await.unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).expect("etcdctl prints JSON when asked to");
    let members = list["members"].as_array().expect("a cluster has members");
    let id = members
        .iter()
        .find(|listed| listed["name"] == cluster.name(member))
        .and_then(|listed| listed["ID"].as_u64())
        .expect("it is listed");
    cluster.remove_member(member, &format!("{id:x}")).await;
    let peer_url = format!("--peer-urls={}", cluster.peer_url(member));
    let others = cluster.endpoint((member + 1) % cluster.len());
    cluster
        .etcdctl_at(&others, &["member", "add", cluster.name(member), &peer_url])
        .await
        .unwrap();
}

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let name = cluster.name(follower).to_owned();
    let mut watch = lab.watch(&cluster).await;
    // The logs are followed from the first cycle on.
    watch.cycles_more(2.0).await;
    cluster.wipe(follower);
    let alone = format!("--initial-cluster={name}={}", cluster.peer_url(follower));
    let elsewhere = "http://127.0.0.1:0";
    cluster
        .restart_with(
            follower,
            &[
                &alone,
                "--initial-cluster-token=other",
                &format!("--listen-client-urls={elsewhere}"),
                &format!("--advertise-client-urls={elsewhere}"),
            ],
        )
        .await;
    watch.broken();
    watch.found("EtcdClusterIdMismatch", None).await;
    watch.firing_beneath("EtcdMemberDown", &name).await;
    watch.never_fired(&["EtcdForeignMember"]);
    cluster.wipe(follower);
    replace(&cluster, follower).await;
    cluster.rejoin(follower).await;
    watch.mended_by("stopped, removed, emptied, added and started again");
    watch.gone("EtcdClusterIdMismatch").await;
}
