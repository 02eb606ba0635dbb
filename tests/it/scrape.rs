//! `/metrics` as scrapers see it: a real etcd-doctor over a real cluster, judged by real Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

use etcd_doctor::model::Kind;
use etcd_doctor::rules::{self, builtin};

use crate::docs;
use crate::support::{Doctor, EtcdCluster, Prometheus, Response, Version, program, send, wait_for};

const PROMETHEUS: [&str; 2] = ["prometheus-2", "prometheus-3"];
const LIMIT: Duration = Duration::from_secs(30);

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What may be said of a member that does not answer: that it does not, and what others or the past tell of it.
const OF_A_SILENT_MEMBER: &[&str] = &[
    "etcd_doctor_collector_duration_seconds",
    "etcd_doctor_collector_last_success_timestamp_seconds",
    "etcd_doctor_collector_success",
    // What ended it may be the file system.
    "etcd_doctor_filesystem_available_bytes",
    "etcd_doctor_filesystem_inodes",
    "etcd_doctor_filesystem_inodes_free",
    "etcd_doctor_filesystem_size_bytes",
    // Its log is read on: it tells why it ended.
    "etcd_doctor_log_lines_total",
    "etcd_doctor_log_messages_total",
    "etcd_doctor_log_skipped_bytes_total",
    "etcd_doctor_member_accepts_connections",
    "etcd_doctor_member_alarm",
    // What the member list and its peers tell of it.
    "etcd_doctor_member_has_vote",
    "etcd_doctor_member_heard_by_peers",
    "etcd_doctor_member_listed_info",
    "etcd_doctor_member_quota_bytes",
    "etcd_doctor_member_quota_enabled",
    "etcd_doctor_member_quota_info",
    "etcd_doctor_member_reachable",
    "etcd_doctor_member_restarts_total",
    "etcd_doctor_member_started",
    "etcd_doctor_member_urls",
    "etcd_doctor_probe_duration_seconds",
    "etcd_doctor_probe_success",
    "etcd_doctor_problem",
];

#[tokio::test]
async fn real_prometheus_takes_the_page_in_every_form() {
    let cluster = EtcdCluster::builder(Version::V3_5).start().await;
    let doctor = Doctor::watching(&cluster).await;
    negotiates(&doctor).await;

    let page = doctor.get("/metrics").await.body;
    for peer in PROMETHEUS {
        let (code, output) = promtool_check_metrics(peer, &page);
        assert_eq!((code, &*output), (Some(0), ""), "promtool of {peer}");
    }
    for peer in PROMETHEUS {
        let prometheus = Prometheus::start(peer, &[doctor.address()], &[]).await;
        prometheus.all_up(LIMIT).await;
        let up = prometheus.query_when_any("up", LIMIT).await;
        assert_eq!(up[0]["value"][1], "1", "{peer}: {up:?}");
        let target = target(&prometheus).await;
        assert_eq!(target["lastError"], "", "{peer}");
        // In OpenMetrics a counter's family is named without its end, which tells the formats apart.
        wait_for("the page's metadata", LIMIT, async || {
            let url = format!("{}/api/v1/targets/metadata", prometheus.url());
            let metadata = send("GET", &url, &[], LIMIT).await?.json();
            let known = |name: &str| {
                let mut all = metadata["data"].as_array().into_iter().flatten();
                all.any(|metric| metric["metric"] == name && metric["type"] == "counter")
            };
            if known("etcd_doctor_cycles") || known("etcd_doctor_cycles_total") {
                Ok(())
            } else {
                Err(metadata.to_string())
            }
        })
        .await;
        wait_for("every series of the page", LIMIT, async || {
            let counted = prometheus
                .query(r#"count({job="etcd-doctor",__name__=~"etcd_doctor_.+|process_.+"})"#)
                .await?;
            let counted = counted
                .first()
                .map_or("0", |count| count["value"][1].as_str().unwrap_or("0"));
            let page = doctor.get("/metrics").await.body;
            let lines = page.lines().filter(|line| !line.starts_with('#')).count();
            if counted == lines.to_string() {
                Ok(())
            } else {
                Err(format!("{peer} has {counted} series, the page {lines}"))
            }
        })
        .await;
    }
    let page = doctor.get("/metrics").await.body;
    documented(&page);
    shows_what_rules_select(&page);
}

/// Content types, compression and HEAD, over a real connection.
async fn negotiates(doctor: &Doctor) {
    let url = format!("{}/metrics", doctor.url());
    let ask = async |method: &str, headers: &[(&str, &str)]| -> Response {
        send(method, &url, headers, LIMIT)
            .await
            .unwrap_or_else(|e| panic!("{e}"))
    };
    for (accept, content_type) in [
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("application/openmetrics-text;version=1.0.0", OPENMETRICS),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OPENMETRICS,
        ),
    ] {
        let answer = ask("GET", &[("accept", accept)]).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, content_type),
            "{accept}"
        );
        assert_eq!(
            answer.body.ends_with("# EOF\n"),
            content_type == OPENMETRICS,
            "{accept}"
        );
        assert_eq!(answer.header("content-encoding"), "");

        let zipped = ask("GET", &[("accept", accept), ("accept-encoding", "gzip")]).await;
        assert_eq!(zipped.header("content-encoding"), "gzip", "{accept}");
        assert_eq!(zipped.header("content-type"), content_type);
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*zipped.bytes)
            .read_to_string(&mut text)
            .unwrap();
        let families = |page: &str| page.lines().filter(|line| line.starts_with("# TYPE")).count();
        assert_eq!(families(&text), families(&answer.body), "{accept}");
        assert!(
            zipped.bytes.len() * 4 < text.len(),
            "{} of {}",
            zipped.bytes.len(),
            text.len()
        );

        let head = ask("HEAD", &[("accept", accept)]).await;
        assert_eq!(
            (head.status, head.header("content-type")),
            (200, content_type),
            "{accept}"
        );
        assert!(head.bytes.is_empty());
    }
}

#[tokio::test]
async fn a_member_that_is_gone_leaves_no_series() {
    let mut cluster = EtcdCluster::builder(Version::V3_5).start().await;
    let doctor = Doctor::watching(&cluster).await;
    let (stopped, removed) = (cluster.name(1).to_owned(), cluster.name(2).to_owned());
    assert!(
        families_of(&doctor, &removed)
            .await
            .contains("etcd_doctor_member_db_size_bytes")
    );

    // Removed while all is well: it ends itself then.
    let members = cluster.etcdctl(&["member", "list"]).await.unwrap();
    let line = members.lines().find(|line| line.contains(&removed)).unwrap();
    let id = line.split(',').next().unwrap();
    wait_for("etcd to let a member go", LIMIT, async || {
        // Within 5 s of its start it calls itself unhealthy and refuses.
        let answer = cluster
            .etcdctl_at(&cluster.endpoint(0), &["member", "remove", id])
            .await;
        if answer.success {
            Ok(())
        } else {
            Err(answer.stderr)
        }
    })
    .await;
    wait_for("the removed member's series to end", LIMIT, async || {
        let page = doctor.get("/metrics").await.body;
        let left: Vec<&str> = page
            .lines()
            .filter(|line| line.contains(&format!("\"{removed}\"")))
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(left.join("\n"))
        }
    })
    .await;

    cluster.kill(1);
    wait_for("the stopped member's series to end", LIMIT, async || {
        let left = families_of(&doctor, &stopped).await;
        let stale: Vec<&String> = left
            .iter()
            .filter(|family| !OF_A_SILENT_MEMBER.contains(&family.as_str()))
            .collect();
        if stale.is_empty() {
            Ok(())
        } else {
            Err(format!("{stale:?}"))
        }
    })
    .await;
    let reachable = doctor.metric("etcd_doctor_member_reachable").await;
    let of = |name: &str| {
        reachable
            .iter()
            .find(|(labels, _)| labels.contains(name))
            .map(|(_, value)| *value)
    };
    assert_eq!(
        (of(&stopped), of(&removed), of(cluster.name(0))),
        (Some(0.0), None, Some(1.0))
    );
    documented(&doctor.get("/metrics").await.body);
}

/// The metrics with a series of this member.
async fn families_of(doctor: &Doctor, member: &str) -> BTreeSet<String> {
    let page = doctor.get("/metrics").await.body;
    let label = format!("member=\"{member}\"");
    let histograms = histograms();
    let lines = page
        .lines()
        .filter(|line| !line.starts_with('#') && line.contains(&label));
    lines.map(|line| family(line, &histograms)).collect()
}

/// Everything on a page is in docs/metrics.md, with the labels that stand there.
fn documented(page: &str) {
    let listed: BTreeMap<&str, Vec<&str>> = docs::metrics()
        .into_values()
        .flatten()
        .map(|(desc, labels)| (desc.name, labels))
        .collect();
    let histograms = histograms();
    let label = regex::Regex::new(r#"([a-z_]+)=""#).unwrap();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let family = family(line, &histograms);
        let labels = listed
            .get(&*family)
            .unwrap_or_else(|| panic!("{family} is in no list of metrics"));
        let found: BTreeSet<&str> = label
            .captures_iter(line)
            .map(|found| found.get(1).unwrap().as_str())
            .filter(|label| *label != "le")
            .collect();
        let mut expected: BTreeSet<&str> = labels.iter().copied().collect();
        // These two are also of the whole cluster or of this host.
        if family.starts_with("etcd_doctor_collector_") || family == "etcd_doctor_problem" {
            expected.retain(|label| *label != "member" || found.contains(label));
        }
        assert_eq!(found, expected, "{line}");
    }
}

/// Every metric of a shipped rule is there when nothing is wrong, so that a rule that is silent has looked. What a
/// collector cannot have on this machine it says by not being there itself.
fn shows_what_rules_select(page: &str) {
    let histograms = histograms();
    let there: BTreeSet<String> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| family(line, &histograms))
        .collect();
    let collectors: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with("etcd_doctor_collector_success{") && line.ends_with(" 1"))
        .filter_map(|line| line.split_once("collector=\"")?.1.split('"').next())
        .collect();
    assert!(
        collectors.contains("process"),
        "the members are processes of this host: {collectors:?}"
    );
    let section_of: BTreeMap<&str, (&str, &str)> = docs::metrics()
        .into_iter()
        .flat_map(|(section, rows)| {
            rows.into_iter()
                .map(move |(desc, _)| (desc.name, (section, desc.help)))
        })
        .collect();
    for (file, text) in builtin::FILES {
        let rules = rules::RuleSet::new(rules::load(file, text).expect("the shipped rules are well formed"));
        for (_, _, rule) in rules.alerting() {
            for selector in rule.query.selectors() {
                let metric = selector.metric.expect("the shipped rules name their metrics");
                let family = family(&metric, &histograms);
                let (section, help) = section_of
                    .get(&*family)
                    .unwrap_or_else(|| panic!("{}: there is no {family}", rule.alert));
                // Of the host where the machine does not tell, or not configured here.
                let not_read = [
                    "disk",
                    "filesystem",
                    "pressure",
                    "scheduling",
                    "cgroup",
                    "peers",
                    "hashkv",
                    "backups",
                ]
                .contains(section)
                    && !collectors.contains(section);
                assert!(
                    there.contains(&family) || help.contains("absent") || not_read,
                    "{}: {family} is not on the page of a healthy cluster, and its help does not say when it is absent",
                    rule.alert
                );
            }
        }
    }
}

fn histograms() -> BTreeSet<&'static str> {
    let all = docs::metrics().into_values().flatten();
    all.filter(|(desc, _)| desc.kind == Kind::Histogram)
        .map(|(desc, _)| desc.name)
        .collect()
}

/// The metric that a line or a series name belongs to.
fn family(line: &str, histograms: &BTreeSet<&str>) -> String {
    let name = line.split(['{', ' ']).next().unwrap_or_default();
    let stem = name.rsplit_once('_').map_or(name, |(stem, _)| stem);
    if histograms.contains(stem) { stem } else { name }.to_owned()
}

/// The only target.
async fn target(prometheus: &Prometheus) -> serde_json::Value {
    let url = format!("{}/api/v1/targets", prometheus.url());
    let targets = send("GET", &url, &[], LIMIT)
        .await
        .unwrap_or_else(|e| panic!("{e}"))
        .json();
    targets["data"]["activeTargets"][0].clone()
}

/// Its exit code and all that it says.
fn promtool_check_metrics(peer: &str, page: &str) -> (Option<i32>, String) {
    let mut promtool = std::process::Command::new(program(peer, "promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool can be started");
    // Dropped at the end of the statement, which closes it.
    promtool
        .stdin
        .take()
        .expect("it is piped")
        .write_all(page.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}
