//! A full disk ends a member, without any alarm: the disk is the cause, not the member, and not the quota.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, SmallDisk};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "disk-full",
    family: Family::Resources,
    about: "a member has a small data disk of its own, something fills it, and writes go on until etcd ends",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).quota(64 << 20).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let member = (leader + 1) % cluster.len();
    cluster.kill(member);
    let data = cluster.dir().join(cluster.name(member));
    let mut disk = match SmallDisk::under(&data, 512) {
        Ok(disk) => disk,
        Err(why) => return lab.skipped(&why),
    };
    cluster.restart(member).await;
    let _load = cluster.write_load().await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    disk.fill();
    watch.broken();
    watch.found("EtcdDiskSpaceLow", Some(cluster.name(member))).await;
    cluster.ended(member).await;
    watch.firing_beneath("EtcdMemberDown", cluster.name(member)).await;
    watch.never_fired(&["EtcdQuotaAlarmFull"]);
    disk.empty();
    cluster.restart(member).await;
    watch.gone("EtcdDiskSpaceLow").await;
    watch.gone("EtcdMemberDown").await;
    cluster.kill(member);
}
