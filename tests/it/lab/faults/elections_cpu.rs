//! Members without CPU lose their leader again and again, and log that the disk is slow.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{Cgroup, EtcdCluster};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "elections-cpu",
    family: Family::Election,
    about: "a control group allows each member 5 ms of a CPU in each second, under write load",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

/// Of what is left of the period nothing is done: longer than the election timeout, now and then.
const TIME: Duration = Duration::from_millis(5);
const PERIOD: Duration = Duration::from_secs(1);

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    let mut limits = Vec::new();
    for member in 0..cluster.len() {
        match Cgroup::cpu_limit(cluster.pid(member), TIME, PERIOD) {
            Ok(group) => limits.push(group),
            Err(why) => return watch.skipped(&why),
        }
    }
    watch.broken();
    watch.found("EtcdCpuThrottled", None).await;
    watch.beneath("EtcdLeaderChanged").await;
    watch.never_fired(&["EtcdSlowDiskCausesElections", "EtcdNetworkCausesElections"]);
    drop(limits);
    watch.gone("EtcdCpuThrottled").await;
}
