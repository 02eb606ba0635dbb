//! The server certificate of one member nears its end. It is renewed by new files, which etcd takes without a restart.

use std::time::{Duration, SystemTime};

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{Authority, EtcdCluster, Identity};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "certificate-expiring",
    family: Family::Security,
    about: "a member shows a certificate of a year that has 10 days left",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// A certificate for a server, issued a year before a time at which it expires.
pub(super) fn until(authority: &Authority, name: &str, end: SystemTime) -> Identity {
    authority.issue_with(name, &["localhost", "127.0.0.1"], |params| {
        params.not_before = (end - 365 * DAY).into();
        params.not_after = end.into();
    })
}

/// Has a member show a certificate of its own from its next start on.
pub(super) fn flags(identity: &Identity) -> [String; 2] {
    [
        format!("--cert-file={}", identity.cert.display()),
        format!("--key-file={}", identity.key.display()),
    ]
}

/// The same for its peers.
pub(super) fn peer_flags(identity: &Identity) -> [String; 2] {
    [
        format!("--peer-cert-file={}", identity.cert.display()),
        format!("--peer-key-file={}", identity.key.display()),
    ]
}

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).tls().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let member = (leader + 1) % cluster.len();
    let mut watch = lab.watch(&cluster).await;
    let (authority, _) = cluster.tls().expect("it has TLS");
    let identity = until(authority, "ending", SystemTime::now() + 10 * DAY);
    let [cert, key] = flags(&identity);
    cluster.restart_with(member, &[&cert, &key]).await;
    watch.broken();
    let alert = "EtcdCertificateExpiresSoon";
    watch.found(alert, Some(cluster.name(member))).await;
    let (authority, _) = cluster.tls().expect("it has TLS");
    until(authority, "ending", SystemTime::now() + 364 * DAY);
    watch.mended_by("new files in the place of the old");
    watch.gone(alert).await;
}

#[tokio::test]
async fn quick() {
    crate::lab::quick(&FAULT).await;
}
