//! The newest snapshot is that of another, empty cluster.

use super::snapshots::{Folder, HOUR};
use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "backup-shrinking",
    family: Family::Backup,
    about: "three snapshots of a cluster with data are followed by one of before it had any",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).members(1).start().await;
    let folder = Folder::of(&cluster);
    folder.save("empty.db", HOUR).await;
    cluster.fill_to(8 << 20, usize::MAX).await;
    for (name, age) in [("a.db", 4), ("b.db", 3), ("c.db", 2)] {
        folder.save(name, HOUR * age).await;
    }
    let mut watch = lab.watch_with(&cluster, |config| folder.configure(config)).await;
    watch.broken();
    let found = watch.found("EtcdBackupShrinking", None).await;
    assert_eq!(found["clusters"][0]["problems"][0]["severity"], "warning");
    watch.type_remedy(&cluster).await;
    folder.save("full.db", HOUR / 2).await;
    watch.gone("EtcdBackupShrinking").await;
}
