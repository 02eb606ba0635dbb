//! The configuration for Alertmanager that is shipped: judged by amtool, and run by a real Alertmanager.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::notify::shipped;
use crate::support::{Alertmanager, Webhook, post_bytes, program, wait_for};

const LIMIT: Duration = Duration::from_secs(60);

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/alertmanager/alertmanager.yaml")
}

/// Whether amtool is content, and what it says.
fn amtool(args: &[&str]) -> (bool, String) {
    let output = Command::new(program("alertmanager", "amtool"))
        .args(args)
        .output()
        .expect("it can be started");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn amtool_takes_it() {
    let (good, words) = amtool(&["check-config", file().to_str().unwrap()]);
    assert!(good && words.contains("SUCCESS"), "{words}");
    for found in ["inhibit rules", "4 receivers"] {
        assert!(words.contains(found), "{words}");
    }
}

#[test]
fn alerts_go_where_they_belong() {
    let route = |receiver: &str, labels: &[&str]| {
        let config = format!("--config.file={}", file().display());
        let receiver = format!("--verify.receivers={receiver}");
        let args = [&["config", "routes", "test", &config, &receiver], labels].concat();
        amtool(&args)
    };
    for (receiver, labels) in [
        (
            "pager",
            &[
                "alertname=EtcdQuotaAlarmFull",
                "severity=critical",
                "category=quota",
                "cluster=prod",
            ][..],
        ),
        (
            "pager",
            &[
                "alertname=EtcdStallsCauseElections",
                "severity=critical",
                "category=election",
                "cluster=prod",
            ],
        ),
        (
            "pager",
            &[
                "alertname=EtcdQuorumLost",
                "severity=critical",
                "category=availability",
                "cluster=prod",
            ],
        ),
        (
            "ticket",
            &[
                "alertname=EtcdFrequentElections",
                "severity=warning",
                "category=election",
                "cluster=prod",
            ],
        ),
        (
            "nobody",
            &[
                "alertname=EtcdLeaderChanged",
                "severity=info",
                "category=election",
            ],
        ),
        (
            "dead-man",
            &["alertname=EtcdDoctorWatchdog", "severity=none", "cluster=prod"],
        ),
        ("dead-man", &["alertname=Watchdog", "severity=none"]),
        // What nobody thought of is not lost.
        ("ticket", &["alertname=Unknown"]),
    ] {
        let (good, words) = route(receiver, labels);
        assert!(good, "{labels:?}: {words}");
    }
    // The check itself can fail.
    let (good, words) = route("ticket", &["severity=critical"]);
    assert!(!good, "{words}");
}

#[test]
fn promtool_takes_the_watchdog() {
    let rules = file().with_file_name("watchdog.yaml");
    for prometheus in ["prometheus-2", "prometheus-3"] {
        let output = Command::new(program(prometheus, "promtool"))
            .args(["check", "rules", "--lint-fatal"])
            .arg(&rules)
            .output()
            .expect("it can be started");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn alert(name: &str, severity: &str, cluster: &str, member: &str) -> Value {
    json!({
        "labels": {
            "alertname": name, "severity": severity, "cluster": cluster, "member": member, "category": "disk",
        },
    })
}

#[tokio::test]
async fn causes_mute_symptoms_and_no_page_is_lost_to_a_warning() {
    let webhook = Webhook::start().await;
    let alertmanager = Alertmanager::start(&shipped(&webhook)).await;
    let alerts = json!([
        alert("EtcdQuotaAlarmFull", "critical", "a", ""),
        alert("EtcdQuotaLowSpace", "critical", "a", ""),
        alert("EtcdQuotaFillsSoon", "warning", "a", ""),
        alert("EtcdQuotaLowSpace", "critical", "b", ""),
        // A warning explains these: the warning among them is muted.
        alert("EtcdNetworkCut", "warning", "c", ""),
        alert("EtcdNetworkCausesElections", "critical", "c", ""),
        alert("EtcdNetworkSlow", "warning", "c", ""),
        // Only on the same member.
        alert("EtcdSlowDiskCausesElections", "critical", "d", "m0"),
        alert("EtcdWalFsyncSlow", "critical", "d", "m0"),
        alert("EtcdWalFsyncSlow", "critical", "d", "m1"),
        // The same alert at two severities.
        alert("EtcdDiskSpaceLow", "critical", "e", "m0"),
        alert("EtcdDiskSpaceLow", "warning", "e", "m0"),
        alert("EtcdDiskSpaceLow", "warning", "e", "m1"),
    ]);
    let url = format!("{}/api/v2/alerts", alertmanager.url());
    let headers = [("content-type", "application/json")];
    let answer = post_bytes(&url, &headers, alerts.to_string().into_bytes())
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let expected = [
        "EtcdDiskSpaceLow warning e m0",
        "EtcdNetworkSlow warning c ",
        "EtcdQuotaFillsSoon warning a ",
        "EtcdQuotaLowSpace critical a ",
        "EtcdWalFsyncSlow critical d m0",
    ];
    // It learns of the alerts one after the other.
    wait_for("causes to mute their symptoms", LIMIT, async || {
        let muted = muted(&url).await?;
        if muted == expected {
            Ok(())
        } else {
            Err(format!("{muted:?}"))
        }
    })
    .await;
}

/// The alerts that are muted, sorted.
async fn muted(url: &str) -> Result<Vec<String>, String> {
    let alerts = crate::support::get(url).await?.json();
    let text = |alert: &Value, label: &str| alert["labels"][label].as_str().unwrap_or_default().to_owned();
    let alerts = alerts.as_array().into_iter().flatten();
    let muted = alerts.filter(|alert| alert["status"]["state"] == "suppressed");
    let mut muted: Vec<String> = muted
        .map(|alert| {
            ["alertname", "severity", "cluster", "member"]
                .map(|label| text(alert, label))
                .join(" ")
        })
        .collect();
    muted.sort();
    Ok(muted)
}
