//! An I/O limit of etcd's control group against a slow device.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{Cgroup, EtcdCluster};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "io-throttled",
    family: Family::LookAlikes,
    about: "a control group allows the leader 30 writes a second, under write load; the device is quick",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).alone().start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    let limit = match Cgroup::write_limit(cluster.pid(leader), cluster.dir(), 30) {
        Ok(group) => group,
        Err(why) => return watch.skipped(&why),
    };
    watch.broken();
    watch.found("EtcdIoThrottled", Some(cluster.name(leader))).await;
    watch.never_fired(&["EtcdShortOfCpu", "EtcdCpuThrottled"]);
    drop(limit);
    watch.gone("EtcdIoThrottled").await;
}
