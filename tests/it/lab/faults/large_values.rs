//! Clients write large values: every write waits behind them, and the disk is not to blame.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, WriteLoad};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "large-values",
    family: Family::SlowOperations,
    about: "--max-request-bytes is raised to 16 MiB, and values of 8 MiB are written all the time",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

/// Eight times what etcd takes by default: it has to be told to, as people do who keep files in it.
const VALUE_BYTES: usize = 8 << 20;

/// Between two of them: etcd keeps the last thousands of requests in memory, each on every member.
const PAUSE: Duration = Duration::from_millis(500);

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version)
        .alone()
        .quota(8 << 30)
        .flag("--max-request-bytes=16777216")
        .start()
        .await;
    let mut watch = lab.watch(&cluster).await;
    let writing = async {
        let client = WriteLoad::client(cluster.endpoints(), cluster.client_options()).await;
        let mut kv = client.kv_client();
        loop {
            // Some time out: they are the load, and not the test.
            let _ = kv.put("large", vec![b'x'; VALUE_BYTES], None).await;
            tokio::time::sleep(PAUSE).await;
        }
    };
    watch.broken();
    tokio::select! {
        _ = watch.found("EtcdLargeRequests", None) => {}
        () = writing => {}
    }
    watch.gone("EtcdLargeRequests").await;
}
