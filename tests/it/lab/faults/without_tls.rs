//! Plain text, where others may listen.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "without-tls",
    family: Family::Security,
    about: "a cluster in plain text whose members advertise an address that other hosts reach",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

/// The address by which this host would talk to others; nothing is sent.
fn own_address() -> Option<String> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then(|| address.to_string())
}

async fn run(lab: &mut Lab) {
    let Some(address) = own_address() else {
        return lab.skipped("this host has no address besides loopback");
    };
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let mut watch = lab.watch(&cluster).await;
    // On loopback alone it is a remark.
    watch.remarked("EtcdWithoutTls", None).await;
    watch.never_fired(&["EtcdMemberDown"]);
    for member in 0..cluster.len() {
        let local = cluster.endpoint(member);
        let reached = local.replace("127.0.0.1", &address);
        let listen = format!("--listen-client-urls={local},{reached}");
        let advertise = format!("--advertise-client-urls={reached}");
        cluster.restart_with(member, &[&listen, &advertise]).await;
    }
    watch.broken();
    watch.found("EtcdWithoutTls", None).await;
}
