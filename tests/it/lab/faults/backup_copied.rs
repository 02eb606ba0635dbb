//! Somebody copies the database file in place of a snapshot.

use super::snapshots::{Folder, HOUR};
use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "backup-copied",
    family: Family::Backup,
    about: "the database file of the running member is copied into the folder",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).members(1).start().await;
    let folder = Folder::of(&cluster);
    let mut watch = lab.watch_with(&cluster, |config| folder.configure(config)).await;
    folder.save("copy.db", HOUR).await;
    folder.change("copy.db", HOUR, |bytes| {
        *bytes =
            std::fs::read(cluster.dir().join("etcd-0/member/snap/db")).expect("the member keeps it there");
    });
    watch.broken();
    watch.found("EtcdBackupUnverifiable", None).await;
    watch.type_remedy(&cluster).await;
    watch.gone("EtcdBackupUnverifiable").await;
}
