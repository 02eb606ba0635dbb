//! Alerts sent to a real Alertmanager that runs the shipped configuration, with its waits shortened: who is paged, how often.

use std::path::Path;
use std::time::Duration;

use etcd_doctor::rules::builtin;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Alertmanager, Authority, Doctor, EtcdCluster, Version, Webhook, wait_for};

/// For what comes within a few cycles and a group's wait, on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Four of these are an alert's life in Alertmanager when nobody tells of it any more: a minute in use.
const RESEND_DELAY: &str = "2s";

/// Longer than such a life, and than several resends: as five minutes are with a delay of a minute.
const ABSENCE: Duration = Duration::from_secs(12);

/// Where no Alertmanager ever is.
const NOBODY: &str = "http://127.0.0.1:1";

/// The shipped configuration with a test's receivers and waits of seconds. A group waits for longer than two cycles, since
/// a cause may be seen a cycle after its symptom.
pub(crate) fn shipped(webhook: &Webhook) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/alertmanager/alertmanager.yaml");
    let mut text = std::fs::read_to_string(file).unwrap();
    for (written, instead) in [
        ("http://pager.example.com/etcd", webhook.url("pager")),
        ("http://tickets.example.com/etcd", webhook.url("ticket")),
        ("http://dead-man.example.com/etcd", webhook.url("dead-man")),
        ("group_wait: 30s", "group_wait: 8s".to_owned()),
        ("group_interval: 5m", "group_interval: 4s".to_owned()),
    ] {
        assert!(text.contains(written), "{written}");
        text = text.replace(written, &instead);
    }
    text
}

/// A configuration for one cluster, whose alerts go to these.
fn telling(cluster: &EtcdCluster, urls: &[&str]) -> Value {
    let mut config: Value = serde_json::from_str(&Doctor::config_for(cluster)).unwrap();
    config["alerting"] = json!({
        "resend_delay": RESEND_DELAY,
        "watchdog": true,
        "alertmanagers": [{ "urls": urls }],
    });
    config
}

/// The number of one metric for one Alertmanager. All begin at 0.
async fn counted(doctor: &Doctor, metric: &str, url: &str) -> f64 {
    let metric = format!("etcd_doctor_notifications_{metric}");
    let rows = doctor.metric(&metric).await;
    let of_url = rows.iter().find(|(labels, _)| labels.contains(url));
    of_url
        .unwrap_or_else(|| panic!("no {metric} for {url}: {rows:?}"))
        .1
}

/// Waits until so many pages came, and gives all of them.
async fn pages(webhook: &Webhook, count: usize) -> Vec<String> {
    wait_for(&format!("{count} pages"), LIMIT, async || {
        let told = webhook.told("pager");
        if told.len() >= count {
            Ok(told)
        } else {
            Err(format!("{told:?}"))
        }
    })
    .await
}

/// Checks that the page came once, and then once that it is over, and nothing after it; symptoms that were muted may end along
/// with it.
async fn ends(webhook: &Webhook, page: &str, name: &str) {
    /// Longer than the interval of a group.
    const NO_MORE: Duration = Duration::from_secs(6);
    pages(webhook, 2).await;
    tokio::time::sleep(NO_MORE).await;
    let told = webhook.told("pager");
    let (group, _) = page.strip_prefix("firing ").unwrap().split_once(':').unwrap();
    assert_eq!((told.len(), told[0].as_str()), (2, page), "{told:?}");
    assert!(
        told[1].starts_with(&format!("resolved {group}: ")) && told[1].contains(name),
        "{told:?}"
    );
}

/// Waits until Alertmanager has looked once more at an alert that fires, and so had the occasion to page again.
async fn looked_at(alertmanager: &Alertmanager, name: &str) {
    let before = alertmanager.looks_at(name);
    wait_for("Alertmanager to look at the alert", LIMIT, async || {
        let looks = alertmanager.looks_at(name);
        if looks > before { Ok(()) } else { Err(looks) }
    })
    .await;
}

#[tokio::test]
async fn a_full_quota_pages_once_whatever_befalls_alertmanager_and_resolves_once() {
    const FULL: &str = "EtcdQuotaAlarmFull";
    /// Critical as well, and muted by it.
    const LOW: &str = "EtcdQuotaLowSpace";
    let webhook = Webhook::start().await;
    let mut alertmanager = Alertmanager::start(&shipped(&webhook)).await;
    let url = alertmanager.url();
    let etcd = EtcdCluster::builder(Version::V3_5)
        .members(1)
        .quota(16 << 20)
        .start()
        .await;
    // Two that watch one cluster, and of their Alertmanagers one is down all the time.
    let config = telling(&etcd, &[NOBODY, &url]).to_string();
    let mut doctors = [Doctor::start(&config).await, Doctor::start(&config).await];

    etcd.fill_quota().await;
    let page = "firing {category=\"quota\", cluster=\"etcd\"}: EtcdQuotaAlarmFull";
    assert_eq!(pages(&webhook, 1).await, [page]);
    for doctor in &doctors {
        doctor
            .diagnosis_when("the full quota", LIMIT, |diagnosis| {
                diagnosis.to_string().contains(FULL)
            })
            .await;
        let before = counted(doctor, "latency_seconds_count", &url).await;
        wait_for("each to have told of it", LIMIT, async || {
            let now = counted(doctor, "latency_seconds_count", &url).await;
            if now >= before + 3.0 { Ok(()) } else { Err(now) }
        })
        .await;
        assert!(counted(doctor, "errors_total", NOBODY).await > 0.0);
        assert_eq!(counted(doctor, "errors_total", &url).await, 0.0);
    }
    let known = alertmanager.alerts(FULL).await.unwrap();
    assert_eq!(known.len(), 1, "both tell of one alert: {known:#?}");
    assert_eq!(
        known[0]["labels"],
        json!({"alertname": FULL, "category": "quota", "cluster": "etcd", "severity": "critical"})
    );
    let annotations = &known[0]["annotations"];
    assert!(
        ["summary", "description", "impact", "remedy", "runbook_url"]
            .iter()
            .all(|name| annotations[name].is_string()),
        "{annotations:#}"
    );

    // It restarts: what it looks at then is old, the critical symptom of the full quota too.
    for _ in 0..3 {
        alertmanager.stop().await;
        alertmanager.start_again().await;
        looked_at(&alertmanager, FULL).await;
        looked_at(&alertmanager, LOW).await;
        assert_eq!(webhook.told("pager"), [page]);
    }

    // It is away for longer than it would believe in an alert that nobody tells of.
    alertmanager.stop().await;
    tokio::time::sleep(ABSENCE).await;
    for doctor in &doctors {
        assert!(counted(doctor, "errors_total", &url).await > 0.0);
    }
    alertmanager.start_again().await;
    looked_at(&alertmanager, LOW).await;
    assert_eq!(webhook.told("pager"), [page]);

    // Mended while nobody looks: the alarm that is left when space was freed is another page, and not what this is about.
    for doctor in &mut doctors {
        doctor.process().signal(Signal::STOP);
    }
    etcd.compact().await;
    etcd.etcdctl(&["defrag"]).await.unwrap();
    etcd.etcdctl(&["alarm", "disarm"]).await.unwrap();
    for doctor in &mut doctors {
        doctor.process().signal(Signal::CONT);
    }
    ends(&webhook, page, FULL).await;
    assert!(!webhook.told("dead-man").is_empty());
}

/// The shipped rules, in a folder, those of elections looking back for a minute only: what resolves after five minutes and
/// more in use then does so in one.
fn quick_rules(folder: &Path) -> String {
    std::fs::create_dir(folder).unwrap();
    for (name, text) in builtin::FILES {
        let mut text = (*text).to_owned();
        if name.contains("election") {
            for (written, instead) in [
                ("[5m]", "[1m]"),
                ("[15m]", "[1m]"),
                ("keep_firing_for: 2m", "keep_firing_for: 20s"),
            ] {
                assert!(text.contains(written), "{written}");
                text = text.replace(written, instead);
            }
        }
        let name = Path::new(name).file_name().unwrap();
        std::fs::write(folder.join(name), text).unwrap();
    }
    folder.join("*.yaml").to_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_election_storm_pages_once_and_resolves_once() {
    /// Longer than an election timeout.
    const PAUSE: Duration = Duration::from_secs(4);
    let webhook = Webhook::start().await;
    let alertmanager = Alertmanager::start(&shipped(&webhook)).await;
    let etcd = EtcdCluster::builder(Version::V3_5).alone().start().await;
    let mut config = telling(&etcd, &[&alertmanager.url()]);
    config["rules"] = json!({"builtin": false, "files": [quick_rules(&etcd.dir().join("rules"))]});
    // A busy machine may have problems of its own.
    config["alerting"]["alert_relabel_configs"] =
        json!([{"source_labels": ["category"], "regex": "election", "action": "keep"}]);
    let doctor = Doctor::start(&config.to_string()).await;

    let storm = async {
        loop {
            if let Some(leader) = etcd.leader().await {
                etcd.pause(leader);
                tokio::time::sleep(PAUSE).await;
                etcd.resume(leader);
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let page = "firing {category=\"election\", cluster=\"etcd\"}: EtcdStallsCauseElections";
    tokio::select! {
        told = pages(&webhook, 1) => assert_eq!(told, [page]),
        () = storm => {}
    }
    for member in 0..etcd.len() {
        etcd.resume(member);
    }
    ends(&webhook, page, "EtcdStallsCauseElections").await;
    assert_eq!(counted(&doctor, "errors_total", &alertmanager.url()).await, 0.0);
}

#[tokio::test]
async fn certificates_passwords_and_a_reload_lead_to_an_alertmanager_that_asks_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let authority = Authority::new(folder.path(), "ca");
    let server = authority.issue("alertmanager", &["am.example.org"]);
    let client = authority.issue("doctor", &[]);
    // bcrypt of `one-secret`.
    let access = json!({
        "tls_server_config": {
            "cert_file": server.cert, "key_file": server.key,
            "client_ca_file": authority.ca(), "client_auth_type": "RequireAndVerifyClientCert",
        },
        "basic_auth_users": {"doctor": "$2b$04$rw3XCFrBE4HwAfnyvVIBg.kEr5a9yyHqVkSLvS6sgrp/3MMBQfHwW"},
    });
    std::fs::write(path("web.yaml"), access.to_string()).unwrap();
    let webhook = Webhook::start().await;
    let flags = [format!("--web.config.file={}", path("web.yaml").display())];
    let alertmanager = Alertmanager::launch(&shipped(&webhook), &flags).await;
    let url = alertmanager.url().replace("http://", "https://");

    // No etcd is needed for this: the alert that always fires tells that nothing is in the way.
    let mut config = json!({"interval": "2s", "clusters": [{"endpoints": ["127.0.0.1:1"]}]});
    let mut doctor = Doctor::start(&config.to_string()).await;
    std::fs::write(path("password"), "another-secret\n").unwrap();
    config["alerting"] = json!({
        "resend_delay": "1s",
        "watchdog": true,
        "alertmanagers": [{
            "urls": [url],
            "tls": {
                "ca_file": authority.ca(), "cert_file": client.cert, "key_file": client.key,
                "server_name": "am.example.org",
            },
            "username": "doctor",
            "password_file": path("password"),
        }],
    });
    doctor.write_config(&config.to_string());
    doctor.process().signal(Signal::HUP);
    wait_for("the wrong password to be refused", LIMIT, async || {
        let log = doctor.process().log();
        if log.contains("401 Unauthorized") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert!(webhook.told("dead-man").is_empty());

    std::fs::write(path("password"), "one-secret\n").unwrap();
    let told = wait_for("the dead man's switch to be held", LIMIT, async || {
        let told = webhook.told("dead-man");
        if told.is_empty() {
            Err(doctor.process().log())
        } else {
            Ok(told)
        }
    })
    .await;
    assert_eq!(
        told[0],
        "firing {alertname=\"EtcdDoctorWatchdog\", cluster=\"etcd\"}: EtcdDoctorWatchdog"
    );
}
