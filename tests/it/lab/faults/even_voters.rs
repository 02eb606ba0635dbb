//! Four voters, which survive no more than three do.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "even-voters",
    family: Family::Configuration,
    about: "a cluster of four voters",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).members(4).start().await;
    let mut watch = lab.watch(&cluster).await;
    watch.broken();
    watch.remarked("EtcdEvenVoters", None).await;
}
