//! One etcd cluster, watched by etcd-doctor and by a real Prometheus, which scrapes its members and etcd-doctor. Both
//! evaluate the shipped rules and, where it is present, etcd's own mixin; through every fault they come to the same
//! alerts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use etcd_doctor::rules::builtin;
use regex::Regex;
use serde_json::{Value, json};

use crate::support::alerts::{Alert, agreement, texts};
use crate::support::{Doctor, EtcdCluster, Prometheus, Version, escape, get, wait_for};

/// Beyond the windows of the rates that have to fill and to empty, on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// Both look and evaluate so often.
const INTERVAL: &str = "2s";

/// To each member, once the quota is full.
const REFUSED_WRITES: usize = 60;

/// A rule's `for`, which in the copies for this test is shortened.
static HOLD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?m)^( *)(for|keep_firing_for): .*$").unwrap());

/// A measured number in a text. The two look at the members some hundred milliseconds apart, and so see other rates.
static MEASURED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?").unwrap());

/// Rules over series of each kind, so that the window keeps them: counters, histograms, summaries.
const KEEPING: &str = "groups:
- name: keeping
  rules:
  - {record: kept, labels: {of: grpc_server_handled_total}, expr: count(grpc_server_handled_total)}
  - {record: kept, labels: {of: etcd_disk_wal_fsync_duration_seconds_bucket}, expr: count(etcd_disk_wal_fsync_duration_seconds_bucket)}
  - {record: kept, labels: {of: etcd_network_peer_round_trip_time_seconds_bucket}, expr: count(etcd_network_peer_round_trip_time_seconds_bucket)}
  - {record: kept, labels: {of: go_gc_duration_seconds}, expr: count(go_gc_duration_seconds)}
  - {record: kept, labels: {of: etcd_server_version}, expr: count(etcd_server_version)}
";

const KEPT: &[&str] = &[
    "up{job=\"etcd\"}",
    "grpc_server_handled_total",
    "etcd_disk_wal_fsync_duration_seconds_bucket",
    "etcd_network_peer_round_trip_time_seconds_bucket",
    "go_gc_duration_seconds{job=\"etcd\"}",
    "etcd_server_version",
    "kept",
];

#[tokio::test]
#[ignore = "make conformance"]
async fn through_every_fault_both_come_to_the_same_alerts() {
    let mut cluster = EtcdCluster::builder(Version::V3_5).quota(16 << 20).start().await;
    let mixin = std::env::var_os("MIXIN_RULES").map(PathBuf::from);
    if mixin.is_none() {
        eprintln!("etcd's own mixin is not compared: MIXIN_RULES names no file");
    }
    let rules = rules(cluster.dir(), mixin.as_deref());
    let mut config: Value = serde_json::from_str(&Doctor::config_for(&cluster)).unwrap();
    config["interval"] = INTERVAL.into();
    config["rules"] = json!({"builtin": false, "files": rules});
    let doctor = Doctor::start(&config.to_string()).await;
    // Where etcd-doctor reads the members' pages.
    let endpoints = cluster.endpoints();
    let members = endpoints
        .iter()
        .map(|url| url.trim_start_matches("http://").to_owned());
    let members: Vec<String> = members.collect();
    let config = json!({
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": rules,
        "scrape_configs": [
            {"job_name": "etcd-doctor", "static_configs": [{"targets": [doctor.address()]}]},
            {"job_name": "etcd", "static_configs": [{"targets": members, "labels": {"cluster": "etcd"}}]},
        ],
    });
    let prometheus = Prometheus::launch("prometheus-3", &config, &[]).await;
    prometheus.all_up(LIMIT).await;
    let pair = Pair {
        doctor,
        prometheus,
        mixin: mixin.is_some(),
    };
    pair.same_series(members.len()).await;

    pair.agree("all is well", &[], &["EtcdMemberDown", "etcdMembersDown"])
        .await;

    let leader = cluster.leader().await.expect("a healthy cluster has a leader");
    let follower = (leader + 1) % cluster.len();
    cluster.kill(follower);
    pair.agree(
        "a follower is down",
        &["EtcdMemberDown", "etcdMembersDown"],
        &["EtcdQuorumLost"],
    )
    .await;
    pair.same_series(members.len() - 1).await;
    cluster.restart(follower).await;
    pair.agree("it is back", &[], &["EtcdMemberDown", "etcdMembersDown"])
        .await;

    cluster.kill(leader);
    let next = cluster.new_leader(leader).await;
    pair.agree("the leader died", &["EtcdMemberDown", "etcdMembersDown"], &[])
        .await;
    let other = 3 - leader - next;
    cluster.kill(other);
    let lost = ["EtcdQuorumLost", "etcdInsufficientMembers", "etcdNoLeader"];
    pair.agree("the quorum is lost", &lost, &[]).await;
    cluster.restart(leader).await;
    cluster.restart(other).await;
    pair.agree(
        "all members are back",
        &[],
        &["EtcdMemberDown", "etcdMembersDown", "etcdNoLeader"],
    )
    .await;

    cluster.fill_quota().await;
    // Of a short burst of refused writes the one may see the beginning and the other only the end, and so only the one
    // a growth: these go on over some intervals of both.
    for _ in 0..REFUSED_WRITES {
        for endpoint in cluster.endpoints() {
            let put = cluster.etcdctl_at(&endpoint, &["put", "key", "value"]).await;
            assert!(!put.success, "the quota is full: {}", put.stdout);
        }
    }
    pair.agree(
        "the quota is full",
        &["EtcdQuotaAlarmFull", "etcdDatabaseQuotaLowSpace"],
        &[],
    )
    .await;
    cluster.compact().await;
    for endpoint in cluster.endpoints() {
        cluster.etcdctl_at(&endpoint, &["defrag"]).await.unwrap();
    }
    pair.agree(
        "space is free again",
        &["EtcdQuotaAlarmSpaceFreed"],
        &["etcdDatabaseQuotaLowSpace"],
    )
    .await;
    cluster.etcdctl(&["alarm", "disarm"]).await.unwrap();
    pair.agree(
        "the alarm is disarmed",
        &[],
        &["EtcdQuotaAlarmFull", "EtcdQuotaAlarmSpaceFreed"],
    )
    .await;
}

struct Pair {
    doctor: Doctor,
    prometheus: Prometheus,
    mixin: bool,
}

impl Pair {
    /// Waits until both fire the same, with these among them and without those.
    async fn agree(&self, when: &str, with: &[&str], without: &[&str]) {
        // The mixin's names begin with a small letter.
        let loaded = |name: &str| self.mixin || name.starts_with('E');
        let with: Vec<&str> = with.iter().copied().filter(|name| loaded(name)).collect();
        wait_for(&format!("both to say the same when {when}"), LIMIT, async || {
            let ours = firing(&self.doctor.url()).await?;
            let theirs = firing(&self.prometheus.url()).await?;
            agreement(&ours, &theirs, &with, without)
        })
        .await;
        eprintln!("both agree when {when}");
    }

    /// The members' own series have the same labels in both: those of their targets, `le` and `quantile` as they are
    /// written by Prometheus 3, and no series of a member that is gone.
    async fn same_series(&self, members: usize) {
        for selector in KEPT {
            let labels = async |url: String| -> Result<BTreeSet<String>, String> {
                let url = format!("{url}/api/v1/query?query={}", escape(selector));
                let answer = get(&url).await?.json();
                let result = answer["data"]["result"].as_array().cloned().unwrap_or_default();
                Ok(result
                    .iter()
                    .map(|element| format!("{:?}", texts(&element["metric"])))
                    .collect())
            };
            wait_for(&format!("the same series of {selector}"), LIMIT, async || {
                let (ours, theirs) = (
                    labels(self.doctor.url()).await?,
                    labels(self.prometheus.url()).await?,
                );
                if ours == theirs && (ours.len() >= members || *selector == "kept") {
                    return Ok(());
                }
                let differing: Vec<&String> = ours.symmetric_difference(&theirs).take(4).collect();
                Err(format!(
                    "{} and {} series: {differing:#?}",
                    ours.len(),
                    theirs.len()
                ))
            })
            .await;
        }
    }
}

/// The alerts that fire, with the numbers taken out of their texts.
async fn firing(url: &str) -> Result<BTreeSet<Alert>, String> {
    let answer = get(&format!("{url}/api/v1/alerts")).await?.json();
    let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
    let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
    let shown = firing.map(|alert| {
        let annotations = texts(&alert["annotations"]).into_iter();
        let annotations =
            annotations.map(|(name, text)| (name, MEASURED.replace_all(&text, "#").into_owned()));
        (texts(&alert["labels"]), annotations.collect())
    });
    Ok(shown.collect())
}

/// Copies of the rule files in which nothing has to hold for long.
fn rules(folder: &Path, mixin: Option<&Path>) -> Vec<PathBuf> {
    let shipped = builtin::FILES
        .iter()
        .map(|(name, text)| (name.replace('/', "-"), (*text).to_owned()));
    let mixin = mixin.map(|file| {
        let text =
            std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        ("etcd-mixin.yaml".to_owned(), text)
    });
    let write = |(name, text): (String, String)| {
        let path = folder.join(name);
        std::fs::write(&path, HOLD.replace_all(&text, "$1$2: 1s").as_ref()).unwrap();
        path
    };
    let keeping = ("keeping.yaml".to_owned(), KEEPING.to_owned());
    shipped.chain(mixin).chain([keeping]).map(write).collect()
}
