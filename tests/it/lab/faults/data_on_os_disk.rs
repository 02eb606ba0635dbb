//! Data on the disk that the operating system uses, too.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "data-on-os-disk",
    family: Family::Configuration,
    about: "the data of all members lie on the disk of the operating system, as they do on a machine with one",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let mut watch = lab.watch(&cluster).await;
    watch.broken();
    watch.remarked("EtcdDataOnOsDisk", None).await;
}
