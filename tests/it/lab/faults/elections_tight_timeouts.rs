//! Timeouts below what the round trip bears: ordinary jitter becomes elections.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

/// A delay that a timeout of a second would not notice.
const LATE: Duration = Duration::from_millis(400);
/// Between two changes of the delay.
const CALM: Duration = Duration::from_secs(4);

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "elections-tight-timeouts",
    family: Family::Election,
    about: "an election timeout of 300 ms, and a round trip of 80 ms that is 600 ms now and then",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version)
        .proxied()
        .alone()
        .flag("--heartbeat-interval=50")
        .flag("--election-timeout=300")
        .start()
        .await;
    let mut watch = lab.watch(&cluster).await;
    let network = cluster.network();
    let short = Duration::from_millis(40);
    network.everywhere().delay(short, Duration::ZERO);
    watch.broken();
    let jitter = async {
        loop {
            network.everywhere().delay(short, Duration::ZERO);
            tokio::time::sleep(CALM).await;
            network.everywhere().delay(LATE, Duration::ZERO);
            tokio::time::sleep(CALM).await;
        }
    };
    tokio::select! {
        _ = watch.found("EtcdElectionTimeoutTight", None) => {}
        () = jitter => {}
    }
    network.everywhere().mend();
}
