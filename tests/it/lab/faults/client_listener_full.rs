//! A member that takes no more connections goes on for those that it has.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "client-listener-full",
    family: Family::LookAlikes,
    about: "more connections are opened to a member than its limit of open files allows",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    cluster.restart_under(0, &["prlimit", "--nofile=200"]).await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    let address = cluster.endpoint(0).replace("http://", "");
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(
            tokio::net::TcpStream::connect(&address)
                .await
                .expect("the kernel takes it"),
        );
    }
    watch.broken();
    watch.found("EtcdClientListenerFull", Some(cluster.name(0))).await;
    drop(held);
    watch.gone("EtcdClientListenerFull").await;
}
