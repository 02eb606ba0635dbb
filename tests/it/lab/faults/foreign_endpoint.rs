//! One endpoint in the configuration is that of another cluster.

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "foreign-endpoint",
    family: Family::Availability,
    about: "an endpoint of another cluster is configured",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).start().await;
    let other = EtcdCluster::builder(lab.version)
        .members(1)
        .beside(&cluster)
        .start()
        .await;
    let endpoint = other.endpoint(0);
    let mut watch = lab
        .watch_with(&cluster, |config| {
            let endpoints = config["clusters"][0]["endpoints"].as_array_mut();
            endpoints.expect("it is a list").push(endpoint.into());
        })
        .await;
    watch.broken();
    watch.found("EtcdForeignEndpoint", None).await;
    watch.never_fired(&["EtcdTwoClusters", "EtcdForeignMember"]);
}
