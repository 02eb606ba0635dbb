//! A member that takes part in consensus and is late with applying.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, FakePage};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "apply-lag",
    family: Family::SlowOperations,
    about: "a follower's page of metrics tells of 2000 committed entries that it has not applied",
    shown_by: ShownBy::Fake("for real it comes with a disk so slow that this stands beneath it"),
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    let late = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&late);
    let page = FakePage::of(cluster.metrics_url(follower), move |name, value| match name {
        "etcd_server_proposals_committed_total" if now.load(Ordering::Relaxed) => value + 2000.0,
        _ => value,
    })
    .await;
    let name = cluster.name(follower).to_owned();
    let mut watch = lab
        .watch_with(&cluster, |config| {
            config["clusters"][0]["metrics_urls"] = serde_json::json!({ name: page.url() });
        })
        .await;
    watch.cycles_more(2.0).await;
    late.store(true, Ordering::Relaxed);
    watch.broken();
    watch.found("EtcdApplyLag", Some(cluster.name(follower))).await;
    late.store(false, Ordering::Relaxed);
    watch.gone("EtcdApplyLag").await;
}
