//! Clients read large ranges: applies are slow, and the disk is not.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, WriteLoad};

/// With 4 KiB each.
const KEYS: usize = 8000;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "large-reads",
    family: Family::SlowOperations,
    about: "30 MB are read as one range, again and again by three clients, through one member",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let client = WriteLoad::client(vec![cluster.endpoint(leader)], cluster.client_options()).await;
    for key in 0..KEYS {
        let mut kv = client.kv_client();
        kv.put(format!("wide/{key:05}"), vec![b'x'; 4096], None)
            .await
            .expect("it is accepted");
    }
    let mut watch = lab.watch(&cluster).await;
    let reading = async {
        let read = async || {
            let mut kv = client.kv_client();
            let all = etcd_client::GetOptions::new().with_prefix();
            loop {
                let _ = kv.get("wide/", Some(all.clone())).await;
            }
        };
        tokio::join!(read(), read(), read());
    };
    watch.broken();
    tokio::select! {
        _ = watch.found("EtcdLargeReads", Some(cluster.name(leader))) => {}
        () = reading => {}
    }
    watch.gone("EtcdLargeReads").await;
}
