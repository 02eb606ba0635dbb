//! Writers that wait for each other: proposals that come faster than they are committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, FakePage};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "proposals-piling-up",
    family: Family::SlowOperations,
    about: "the leader's page of metrics tells of 60 proposals that wait, and of hardly any that is committed",
    shown_by: ShownBy::Fake(
        "a healthy cluster of three takes all that this machine can write; for real they pile up behind a slow disk or network, and stand beneath it",
    ),
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let piling = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&piling);
    let page = FakePage::of(cluster.metrics_url(leader), move |name, value| match name {
        "etcd_server_proposals_pending" if now.load(Ordering::Relaxed) => 60.0,
        _ => value,
    })
    .await;
    let name = cluster.name(leader).to_owned();
    let mut watch = lab
        .watch_with(&cluster, |config| {
            config["clusters"][0]["metrics_urls"] = serde_json::json!({ name: page.url() });
        })
        .await;
    watch.cycles_more(2.0).await;
    piling.store(true, Ordering::Relaxed);
    watch.broken();
    watch.found("EtcdProposalsPilingUp", None).await;
    piling.store(false, Ordering::Relaxed);
    watch.gone("EtcdProposalsPilingUp").await;
}
