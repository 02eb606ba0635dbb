//! Two clusters under one name.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "two-clusters",
    family: Family::Availability,
    about: "the endpoints of two clusters are configured as one",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let other = EtcdCluster::builder(lab.version)
        .members(2)
        .beside(&cluster)
        .start()
        .await;
    let more = other.endpoints();
    let mut watch = lab
        .watch_with(&cluster, |config| {
            let endpoints = config["clusters"][0]["endpoints"].as_array_mut();
            endpoints
                .expect("it is a list")
                .extend(more.into_iter().map(Into::into));
        })
        .await;
    watch.broken();
    watch.found("EtcdTwoClusters", None).await;
}
