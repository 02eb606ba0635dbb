//! A member runs out of files for its clients' connections.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "descriptors",
    family: Family::Resources,
    about: "connections take 82 % of the files that a member may have open",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let mut watch = lab.watch(&cluster).await;
    // Above what it has open by itself, and 150 short of what its listener keeps back.
    let limit = format!("prlimit --pid {} --nofile=1000:1000", cluster.pid(0));
    cluster.shell(&limit).await.unwrap();
    let address = cluster.endpoint(0).trim_start_matches("http://").to_owned();
    let mut open = Vec::new();
    for _ in 0..800 {
        open.push(
            tokio::net::TcpStream::connect(&address)
                .await
                .expect("it takes connections"),
        );
    }
    watch.broken();
    watch.found("EtcdFileDescriptorsLow", Some(cluster.name(0))).await;
    drop(open);
    watch.gone("EtcdFileDescriptorsLow").await;
}

#[tokio::test]
async fn quick() {
    crate::lab::quick(&FAULT).await;
}
