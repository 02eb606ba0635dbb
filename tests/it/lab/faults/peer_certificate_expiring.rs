//! The certificate of a member for its peers nears its end, which no client ever sees.

use std::time::SystemTime;

use super::certificate_expiring::{DAY, peer_flags, until};
use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "peer-certificate-expiring",
    family: Family::Security,
    about: "a follower is started with a certificate for its peers that has 10 days left of a year",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).tls_everywhere().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let member = (leader + 1) % cluster.len();
    let mut watch = lab.watch(&cluster).await;
    let (authority, _) = cluster.tls().expect("it has TLS");
    let identity = until(authority, "ending", SystemTime::now() + 10 * DAY);
    let [cert, key] = peer_flags(&identity);
    cluster.restart_with(member, &[&cert, &key]).await;
    watch.broken();
    let alert = "EtcdCertificateExpiresSoon";
    watch.found(alert, Some(cluster.name(member))).await;
    let (authority, _) = cluster.tls().expect("it has TLS");
    until(authority, "ending", SystemTime::now() + 364 * DAY);
    watch.mended_by("new files in the place of the old");
    watch.gone(alert).await;
}
