//! The server certificate of a member has its time to come: clients refuse it, and etcd starts and says nothing.

use std::time::SystemTime;

use super::certificate_expiring::{DAY, flags, until};
use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "certificate-not-yet-valid",
    family: Family::Security,
    about: "a member shows a certificate that is valid from tomorrow on",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).tls().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let member = (leader + 1) % cluster.len();
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    let (authority, _) = cluster.tls().expect("it has TLS");
    let identity = until(authority, "early", SystemTime::now() + 366 * DAY);
    let [cert, key] = flags(&identity);
    cluster.restart_with(member, &[&cert, &key]).await;
    watch.broken();
    let alert = "EtcdCertificateNotYetValid";
    watch.found(alert, Some(cluster.name(member))).await;
    watch.firing_beneath("EtcdMemberDown", cluster.name(member)).await;
    let (authority, _) = cluster.tls().expect("it has TLS");
    until(authority, "early", SystemTime::now() + 364 * DAY);
    watch.mended_by("new files in the place of the old");
    watch.gone(alert).await;
    watch.gone("EtcdMemberDown").await;
}
