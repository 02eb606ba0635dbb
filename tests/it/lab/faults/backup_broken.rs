//! A bit of the newest snapshot flipped, which etcdctl does not notice.

use super::snapshots::{Folder, HOUR};
use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "backup-broken",
    family: Family::Backup,
    about: "a bit in the middle of the newest snapshot is flipped",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).members(1).start().await;
    cluster.fill_to(4 << 20, usize::MAX).await;
    let folder = Folder::of(&cluster);
    let mut watch = lab.watch_with(&cluster, |config| folder.configure(config)).await;
    folder.save("good.db", HOUR * 30).await;
    folder.save("broken.db", HOUR * 2).await;
    folder.change("broken.db", HOUR, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    watch.broken();
    let found = watch.found("EtcdBackupBroken", None).await;
    assert_eq!(
        found["clusters"][0]["problems"][0]["explains"][0]["alert"],
        "EtcdBackupTooOld"
    );
    watch.type_remedy(&cluster).await;
    watch.gone("EtcdBackupBroken").await;
}
