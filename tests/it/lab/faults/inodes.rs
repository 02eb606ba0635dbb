//! A file system without inodes, with space left.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, SmallDisk};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "inodes",
    family: Family::Resources,
    about: "a member has a data disk of its own with few inodes, and something makes very many small files on it",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let member = (leader + 1) % cluster.len();
    cluster.kill(member);
    let data = cluster.dir().join(cluster.name(member));
    // A file system of 1 GiB for a database of its quota would have 65,536.
    let disk = match SmallDisk::with_inodes(&data, 3072, 512) {
        Ok(disk) => disk,
        Err(why) => return lab.skipped(&why),
    };
    cluster.restart(member).await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    let files = disk.use_up_inodes();
    watch.broken();
    watch.found("EtcdInodesLow", Some(cluster.name(member))).await;
    watch.never_fired(&["EtcdDiskSpaceLow"]);
    std::fs::remove_dir_all(files).expect("it was made");
    watch.mended_by("the files removed");
    watch.gone("EtcdInodesLow").await;
    cluster.kill(member);
}
