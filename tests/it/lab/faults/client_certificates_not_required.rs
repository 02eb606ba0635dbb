//! Encrypted, and open to everybody.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "client-certificates-not-required",
    family: Family::Security,
    about: "members show a certificate and ask clients for none; no user was ever made",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version)
        .tls()
        .flag("--client-cert-auth=false")
        .flag("--trusted-ca-file=")
        .start()
        .await;
    let mut watch = lab.watch(&cluster).await;
    watch.broken();
    watch.remarked("EtcdClientCertificatesNotRequired", None).await;
}
