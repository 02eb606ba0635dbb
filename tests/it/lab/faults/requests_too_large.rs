//! Writes above etcd's limit: the client has an error, etcd logs nothing.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, WriteLoad};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "requests-too-large",
    family: Family::SlowOperations,
    about: "ten values of 1.6 MiB are written, and refused",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let mut watch = lab.watch(&cluster).await;
    let client = WriteLoad::client(cluster.endpoints(), cluster.client_options()).await;
    watch.broken();
    for _ in 0..10 {
        let mut kv = client.kv_client();
        let refused = kv.put("too-large", vec![b'x'; 1_600_000], None).await;
        let refused = refused.expect_err("it is too large").to_string();
        assert!(refused.contains("too large"), "{refused}");
    }
    watch.found("EtcdInvalidWrites", None).await;
}

#[tokio::test]
async fn quick() {
    crate::lab::quick(&FAULT).await;
}
