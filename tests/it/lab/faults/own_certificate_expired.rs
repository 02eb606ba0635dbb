//! Our own client certificate has expired: every member refuses us, and the cluster is well.

use std::time::SystemTime;

use super::certificate_expiring::{DAY, until};
use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "own-certificate-expired",
    family: Family::Security,
    about: "the client certificate of etcd-doctor expired an hour ago",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).tls().start().await;
    let (authority, _) = cluster.tls().expect("it has TLS");
    let identity = until(authority, "doctor", SystemTime::now() - DAY / 24);
    let mut watch = lab
        .watch_with(&cluster, |config| {
            let tls = &mut config["clusters"][0]["tls"];
            tls["cert_file"] = identity.cert.to_string_lossy().into();
            tls["key_file"] = identity.key.to_string_lossy().into();
        })
        .await;
    watch.broken();
    let alert = "EtcdCertificateExpired";
    watch.found(alert, None).await;
    until(authority, "doctor", SystemTime::now() + 364 * DAY);
    watch.mended_by("new files in the place of the old");
    watch.gone(alert).await;
    watch.gone("EtcdClusterUnreachable").await;
}
