//! A folder of backups, and nothing in it.

use super::snapshots::Folder;
use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "backup-missing",
    family: Family::Backup,
    about: "the configured folder is empty",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).members(1).start().await;
    let folder = Folder::of(&cluster);
    let mut watch = lab.watch_with(&cluster, |config| folder.configure(config)).await;
    watch.broken();
    watch.found("EtcdBackupMissing", None).await;
    watch.type_remedy(&cluster).await;
    watch.gone("EtcdBackupMissing").await;
}

#[tokio::test]
async fn quick() {
    crate::lab::quick(&FAULT).await;
}
