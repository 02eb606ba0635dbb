//! The promise "one rule file, two evaluators": a real Prometheus that scrapes etcd-doctor and evaluates the shipped
//! rules comes to the same alerts, in the same words, as etcd-doctor itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_doctor::rules::builtin;
use serde_json::Value;

use crate::support::alerts::{Alert, agreement, texts};
use crate::support::{Doctor, EtcdCluster, Prometheus, Version, get, wait_for};

/// Past the longest `for` and `keep_firing_for` of what is looked at, on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

/// The annotations that a diagnosis shows.
const SHOWN: [&str; 6] = [
    "summary",
    "description",
    "impact",
    "remedy",
    "runbook_url",
    "guide",
];

#[tokio::test]
async fn a_real_prometheus_fires_the_same_alerts_in_the_same_words() {
    let mut cluster = EtcdCluster::builder(Version::V3_5).quota(16 << 20).start().await;
    let doctor = Doctor::watching(&cluster).await;
    let rules = write_rules(cluster.dir());
    let prometheus = Prometheus::start("prometheus-3", &[doctor.address()], &rules).await;
    prometheus.all_up(LIMIT).await;

    cluster.fill_quota().await;
    agree(
        &doctor,
        &prometheus,
        "the quota is full",
        &["EtcdQuotaAlarmFull"],
        &[],
    )
    .await;

    // A follower, so that there is no election, which the two may have begun to watch at different times.
    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    cluster.kill(follower);
    let down = ["EtcdQuotaAlarmFull", "EtcdMemberDown", "EtcdNoFailureTolerance"];
    agree(&doctor, &prometheus, "a member is down", &down, &[]).await;

    let other = (leader + 2) % cluster.len();
    cluster.kill(other);
    agree(
        &doctor,
        &prometheus,
        "the quorum is lost",
        &["EtcdMemberDown", "EtcdQuorumLost"],
        &[],
    )
    .await;

    cluster.restart(follower).await;
    cluster.restart(other).await;
    agree(
        &doctor,
        &prometheus,
        "the members are back",
        &["EtcdQuotaAlarmFull"],
        &["EtcdMemberDown", "EtcdQuorumLost"],
    )
    .await;

    let revision = cluster
        .etcdctl(&["get", "none", "--write-out=json"])
        .await
        .unwrap();
    let revision = serde_json::from_str::<Value>(&revision).unwrap()["header"]["revision"].to_string();
    cluster
        .etcdctl(&["compact", "--physical", &revision])
        .await
        .unwrap();
    for endpoint in cluster.endpoints() {
        cluster.etcdctl_at(&endpoint, &["defrag"]).await.unwrap();
    }
    agree(
        &doctor,
        &prometheus,
        "space is free again",
        &["EtcdQuotaAlarmSpaceFreed"],
        &["EtcdQuotaAlarmFull"],
    )
    .await;

    cluster.etcdctl(&["alarm", "disarm"]).await.unwrap();
    agree(
        &doctor,
        &prometheus,
        "all is well",
        &[],
        &["EtcdQuotaAlarmSpaceFreed", "EtcdQuotaLowSpace"],
    )
    .await;
}

/// Waits until both fire the same, with these among them and without those, and shows the difference when they do not.
async fn agree(doctor: &Doctor, prometheus: &Prometheus, when: &str, with: &[&str], without: &[&str]) {
    wait_for(&format!("both to say the same when {when}"), LIMIT, async || {
        let theirs = of_prometheus(prometheus).await?;
        let ours = of_doctor(doctor).await;
        agreement(&ours, &theirs, with, without)
    })
    .await;
}

async fn of_prometheus(prometheus: &Prometheus) -> Result<BTreeSet<Alert>, String> {
    let answer = get(&format!("{}/api/v1/alerts", prometheus.url())).await?.json();
    let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
    let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
    Ok(worst(firing.map(|alert| {
        (texts(&alert["labels"]), shown(&alert["annotations"], |name| name))
    })))
}

/// Of alerts that differ only in their severity a diagnosis shows the worst, as Alertmanager does with the usual
/// inhibition.
fn worst(alerts: impl Iterator<Item = Alert>) -> BTreeSet<Alert> {
    let mut worst = BTreeMap::<_, Alert>::new();
    for alert in alerts {
        let mut labels = alert.0.clone();
        let severity = labels.remove("severity");
        let known = worst.entry(labels).or_insert_with(|| alert.clone());
        // No shipped alert is more than both warning and critical.
        if severity.as_deref() == Some("critical") {
            *known = alert;
        }
    }
    worst.into_values().collect()
}

async fn of_doctor(doctor: &Doctor) -> BTreeSet<Alert> {
    fn collect(problems: &Value, into: &mut BTreeSet<Alert>) {
        for problem in problems.as_array().into_iter().flatten() {
            if problem["state"] == "firing" {
                let annotations = shown(
                    problem,
                    |name| if name == "runbook_url" { "runbookUrl" } else { name },
                );
                into.insert((texts(&problem["labels"]), annotations));
            }
            collect(&problem["explains"], into);
        }
    }
    let mut found = BTreeSet::new();
    collect(&doctor.diagnosis().await["clusters"][0]["problems"], &mut found);
    found
}

/// The annotations that a diagnosis shows, as it shows them: without blanks around.
fn shown(object: &Value, key: impl Fn(&'static str) -> &'static str) -> BTreeMap<String, String> {
    let text = |name| object[key(name)].as_str().unwrap_or_default().trim().to_owned();
    SHOWN
        .iter()
        .map(|name| ((*name).to_owned(), text(*name)))
        .collect()
}

/// The shipped rules as files.
fn write_rules(folder: &Path) -> Vec<PathBuf> {
    let write = |(name, text): &(&str, &str)| {
        let path = folder.join(name.replace('/', "-"));
        std::fs::write(&path, text).unwrap();
        path
    };
    builtin::FILES.iter().map(write).collect()
}
