//! A member's data differ and every check of etcd's is green: only the hashes tell.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "data-differs",
    family: Family::Consistency,
    about: "a byte is flipped in a follower's database, and etcd does not check",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let mut cluster = EtcdCluster::builder(lab.version).start().await;
    let wrong = cluster.corrupt_follower().await;
    let name = cluster.name(wrong).to_owned();
    let mut watch = lab
        .watch_with(&cluster, |config| {
            config["clusters"][0]["hashkv_interval"] = "1m".into()
        })
        .await;
    watch.broken();
    watch.found("EtcdMemberDataDiffers", Some(&name)).await;
    watch.never_fired(&["EtcdCorruptAlarm"]);
    // etcd changes no members before the leadership was stable for some seconds, and this was found sooner.
    watch.cycles_more(2.0).await;
    watch.type_remedy(&cluster).await;
    cluster.wipe(wrong);
    cluster.rejoin(wrong).await;
    watch.gone("EtcdMemberDataDiffers").await;
}
