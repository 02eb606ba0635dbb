//! etcd has found that its members hold different data, and refuses writes.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "corrupt-alarm",
    family: Family::Consistency,
    about: "a byte is flipped in a follower's database, and etcd checks every 5 s",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let flag = "--experimental-corrupt-check-time=5s";
    let mut cluster = EtcdCluster::builder(lab.version).flag(flag).start().await;
    let mut watch = lab.watch(&cluster).await;
    cluster.corrupt_follower().await;
    watch.broken();
    watch.found("EtcdCorruptAlarm", None).await;
}
