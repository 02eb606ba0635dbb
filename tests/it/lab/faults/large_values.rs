//! Clients write large values: every write waits behind them, and the disk is not to blame.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, WriteLoad};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "large-values",
    family: Family::SlowOperations,
    about: "values of 1 MiB are written without pause",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version)
        .alone()
        .quota(8 << 30)
        .start()
        .await;
    let mut watch = lab.watch(&cluster).await;
    let writing = async {
        let client = WriteLoad::client(cluster.endpoints(), cluster.client_options()).await;
        let put = async |key: usize| {
            let mut kv = client.kv_client();
            loop {
                // Some time out: they are the load, and not the test.
                let _ = kv.put(format!("large/{key}"), vec![b'x'; 1 << 20], None).await;
            }
        };
        tokio::join!(put(0), put(1), put(2), put(3));
    };
    watch.broken();
    tokio::select! {
        _ = watch.found("EtcdLargeRequests", None) => {}
        () = writing => {}
    }
    watch.gone("EtcdLargeRequests").await;
}
