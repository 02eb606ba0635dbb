//! Growth that will fill the quota within hours: told long before it is reached.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, WriteLoad};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "quota-fills-soon",
    family: Family::Quota,
    about: "keys are added at 40 MiB an hour to a database that fills half of its 128 MiB",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: Some("etcdExcessiveDatabaseGrowth"),
    run: |lab| Box::pin(run(lab)),
};

const VALUE_BYTES: usize = 12 << 10;
const PAUSE: Duration = Duration::from_secs(1);

/// The rule looks back for 20 minutes and holds for 15: a forecast of hours is not made from less.
const LIMIT: Duration = Duration::from_secs(45 * 60);

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).quota(128 << 20).start().await;
    cluster.fill_to(67 << 20, usize::MAX).await;
    let mut watch = lab.watch(&cluster).await;
    let client = WriteLoad::client(cluster.endpoints(), cluster.client_options()).await;
    let growing = async {
        let mut kv = client.kv_client();
        for key in 0.. {
            // One that is refused is made up for by the next.
            let _ = kv
                .put(format!("grown/{key}"), vec![b'x'; VALUE_BYTES], None)
                .await;
            tokio::time::sleep(PAUSE).await;
        }
    };
    watch.broken();
    tokio::select! {
        _ = watch.found_within("EtcdQuotaFillsSoon", None, LIMIT) => {}
        () = growing => {}
    }
    watch.type_remedy(&cluster).await;
    for member in 0..cluster.len() {
        cluster
            .restart_with(member, &["--quota-backend-bytes=1073741824"])
            .await;
    }
    watch.gone("EtcdQuotaFillsSoon").await;
}
