//! The job that makes backups stopped more than a day ago.

use super::snapshots::{Folder, HOUR};
use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "backup-old",
    family: Family::Backup,
    about: "the newest snapshot is given the time of 27 hours ago",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).members(1).start().await;
    let folder = Folder::of(&cluster);
    let mut watch = lab.watch_with(&cluster, |config| folder.configure(config)).await;
    folder.save("old.db", HOUR * 27).await;
    watch.broken();
    watch.found("EtcdBackupTooOld", None).await;
    watch.type_remedy(&cluster).await;
    watch.gone("EtcdBackupTooOld").await;
}
