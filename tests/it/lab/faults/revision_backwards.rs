//! The revision of a cluster fell: its data were wiped or restored.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "revision-backwards",
    family: Family::Consistency,
    about: "the data of a single member are wiped",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).members(1).start().await;
    for value in ["1", "2", "3"] {
        cluster.etcdctl(&["put", "key", value]).await.unwrap();
    }
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    cluster.kill(0);
    cluster.wipe(0);
    cluster.restart(0).await;
    watch.broken();
    watch.found("EtcdRevisionWentBackwards", None).await;
}
