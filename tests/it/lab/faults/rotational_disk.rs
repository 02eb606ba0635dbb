//! Disks that say that they spin, under the members' data.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::{EtcdCluster, FakeHost};

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "rotational-disk",
    family: Family::Configuration,
    about: "the data of all members lie on disks that say that they spin",
    shown_by: ShownBy::Fixture("what disks a machine has cannot be changed"),
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let host = FakeHost::of(&cluster);
    let mut watch = lab
        .watch_with(&cluster, |config| config["paths"] = host.paths())
        .await;
    watch.cycles_more(2.0).await;
    // Nothing is said of disks of their own that do not spin.
    watch.never_fired(&["EtcdDataOnOsDisk", "EtcdDataOnRotationalDisk"]);
    host.spinning();
    watch.broken();
    watch.remarked("EtcdDataOnRotationalDisk", None).await;
}
