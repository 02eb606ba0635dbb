//! Nothing is wrong, and the members' data are compared all the time, under writes and compaction.

use std::time::Duration;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "healthy-compared",
    family: Family::Silence,
    about: "three members under steady writes for 4 minutes, compacted every minute, and HashKV asked once a minute",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let _load = cluster.write_load().await;
    let mut watch = lab
        .watch_with(&cluster, |config| {
            config["clusters"][0]["hashkv_interval"] = "1m".into()
        })
        .await;
    watch.cycles_more(2.0).await;
    watch.broken();
    let mut compared = Vec::new();
    for _ in 0..4 {
        watch.silent_for(Duration::from_secs(60)).await;
        cluster.compact().await;
        compared.extend(watch.doctor.metric("etcd_doctor_data_compared_revision").await);
        let differing = watch.doctor.metric("etcd_doctor_member_data_differs").await;
        assert_eq!(differing.len(), cluster.len(), "all were compared: {differing:?}");
        assert!(
            differing.iter().all(|(_, differs)| *differs == 0.0),
            "{differing:?}"
        );
    }
    let revisions: Vec<f64> = compared.iter().map(|(_, revision)| *revision).collect();
    assert!(
        revisions.len() == 4 && revisions.first() < revisions.last() && revisions.is_sorted(),
        "it was compared again and again: {revisions:?}"
    );
}
