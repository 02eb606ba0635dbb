//! `deploy/prometheus/`: each file as it is shipped, loaded and run by real Prometheus.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_doctor::rules::{self, builtin};
use serde_json::{Value, json};

use crate::support::{Authority, Doctor, EtcdCluster, Identity, Prometheus, Version, get, program, wait_for};

const PROMETHEUS: [&str; 2] = ["prometheus-2", "prometheus-3"];

/// Some scrapes and evaluations, and the time until an alert fires, on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy/prometheus")
        .join(name)
}

/// A shipped configuration in a folder, with what everybody has to change changed, and in a hurry.
fn adapted(folder: &Path, name: &str, changes: &[(&str, &str)]) -> PathBuf {
    let mut text = fs::read_to_string(shipped(name)).unwrap();
    let rules = folder.join("rules");
    fs::create_dir_all(&rules).unwrap();
    for (file, rule) in builtin::FILES {
        fs::write(rules.join(Path::new(file).file_name().unwrap()), rule).unwrap();
    }
    let rules = format!("{}/", rules.display());
    let hurry = [
        ("scrape_interval: 15s", "scrape_interval: 1s"),
        ("evaluation_interval: 15s", "evaluation_interval: 1s"),
        ("/etc/prometheus/etcd-doctor/", rules.as_str()),
    ];
    for (shipped, here) in hurry.iter().chain(changes) {
        assert!(text.contains(shipped), "{name} has no {shipped}");
        text = text.replace(shipped, here);
    }
    // Only some have it.
    text = text.replace("refresh_interval: 30s", "refresh_interval: 1s");
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// What promtool says of a configuration; nothing when it is well.
fn complaints(peer: &str, path: &Path) -> Option<String> {
    let output = std::process::Command::new(program(peer, "promtool"))
        .args(["check", "config", "--lint=all", "--lint-fatal"])
        .arg(path)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (!output.status.success()).then(|| format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

/// A configuration as JSON, which the support code starts Prometheus with.
fn parsed(path: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

async fn count(prometheus: &Prometheus, expr: &str) -> Result<f64, String> {
    let found = prometheus.query(expr).await?;
    let value = found.first().and_then(|sample| sample["value"][1].as_str());
    Ok(value.and_then(|text| text.parse().ok()).unwrap_or(0.0))
}

/// Waits until an expression gives this number.
async fn becomes(prometheus: &Prometheus, expr: &str, expected: f64) {
    wait_for(
        &format!("{expr} to be {expected}"),
        LIMIT,
        async || match count(prometheus, expr).await? {
            found if found == expected => Ok(()),
            found => Err(format!("it is {found}")),
        },
    )
    .await;
}

#[tokio::test]
async fn one_doctor_and_one_a_node_scraped_discovered_and_judged() {
    let mut cluster = EtcdCluster::builder(Version::V3_5).start().await;
    let [first, second, third] = [(); 3].map(|()| Doctor::watching(&cluster));
    let (first, second, third) = (first.await, second.await, third.await);
    let address = first.address();
    let folder = tempfile::tempdir().unwrap();
    let nobody = ("alertmanager.example.com:9093", "127.0.0.1:9");
    let one = adapted(
        folder.path(),
        "one-doctor.yaml",
        &[("etcd-doctor.example.com:9379", &address), nobody],
    );
    let per_node = adapted(
        folder.path(),
        "doctor-per-node.yaml",
        &[
            ("etcd-1.example.com:9379", &address),
            ("etcd-2.example.com:9379", &second.address()),
            ("etcd-3.example.com:9379", &third.address()),
            nobody,
        ],
    );
    for peer in PROMETHEUS {
        for path in [&one, &per_node] {
            assert_eq!(complaints(peer, path), None, "{peer} {}", path.display());
        }
    }
    let start = |peer, path: &Path| Prometheus::start_with(peer, parsed(path));
    let old = start("prometheus-2", &one).await;
    let new = start("prometheus-3", &one).await;
    let per_node = start("prometheus-3", &per_node).await;

    let groups = builtin::FILES
        .iter()
        .map(|(file, text)| rules::load(file, text).unwrap());
    let rules: usize = groups.flatten().map(|group| group.rules.len()).sum();
    for (prometheus, doctors) in [(&old, 1.0), (&new, 1.0), (&per_node, 3.0)] {
        prometheus.all_up(LIMIT).await;
        becomes(prometheus, r#"count(up{job="etcd-doctor"} == 1)"#, doctors).await;
        // Each member once, by its name, with series of its own.
        becomes(
            prometheus,
            r#"count(count by (cluster, member) (etcd_server_has_leader{job="etcd",cluster="etcd",member=~"etcd-[012]"}))"#,
            3.0,
        )
        .await;
        becomes(prometheus, r#"count(up{job="etcd"})"#, 3.0).await;
        let loaded = get(&format!("{}/api/v1/rules", prometheus.url()))
            .await
            .unwrap()
            .json();
        let groups = loaded["data"]["groups"].as_array().cloned().unwrap_or_default();
        let found: usize = groups
            .iter()
            .map(|group| group["rules"].as_array().map_or(0, Vec::len))
            .sum();
        assert_eq!(found, rules, "not all rules were loaded");
    }

    // A member that is down: still a target, and one alert of the shipped rules about it, however many etcd-doctors see it.
    cluster.kill(2);
    for prometheus in [&old, &new, &per_node] {
        becomes(
            prometheus,
            r#"count(ALERTS{alertname="EtcdMemberDown",alertstate="firing",cluster="etcd",member="etcd-2"})"#,
            1.0,
        )
        .await;
        becomes(prometheus, r#"count(up{job="etcd",member="etcd-2"} == 0)"#, 1.0).await;
        assert_eq!(count(prometheus, r#"count(up{job="etcd"})"#).await, Ok(3.0));
        let failing = prometheus
            .query(r#"sum(prometheus_rule_evaluation_failures_total) > 0"#)
            .await;
        assert_eq!(failing, Ok(Vec::new()));
    }
}

/// As `--web.config.file` of the etcd-doctors would have it.
fn protected(server: &Identity, authority: &Authority, password: &str) -> Value {
    json!({
        "tls_server_config": {
            "cert_file": server.cert,
            "key_file": server.key,
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": authority.ca(),
        },
        "basic_auth_users": { "prometheus": bcrypt::hash(password, 6).unwrap() },
    })
}

#[tokio::test]
async fn a_fleet_behind_certificates_and_users() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let authority = Authority::new(folder.path(), "ca");
    let server = authority.issue("server", &["127.0.0.1"]);
    let client = authority.issue("client", &[]);
    let web = at("web.yaml");
    fs::write(&web, protected(&server, &authority, "secret").to_string()).unwrap();
    fs::write(at("password"), "secret").unwrap();
    let doctor = async |name: &str| {
        let config = json!({
            "interval": "2s",
            // Nobody listens on the port of discard.
            "clusters": [{ "name": name, "endpoints": ["http://127.0.0.1:9"] }],
            "web": { "config_file": web },
        });
        Doctor::start_listening(&config.to_string()).await
    };
    let (eu, us) = (doctor("eu").await, doctor("us").await);

    let targets = fs::read_to_string(shipped("etcd-doctors.json")).unwrap();
    let targets = targets
        .replace("etcd-doctor.eu.example.com:9379", &eu.address())
        .replace("etcd-doctor.us.example.com:9379", &us.address());
    fs::write(at("targets.json"), targets).unwrap();
    let text = |path: &Path| path.display().to_string();
    let fleet = adapted(
        folder.path(),
        "fleet.yaml",
        &[
            ("/etc/prometheus/etcd-doctor.ca.crt", &text(authority.ca())),
            ("/etc/prometheus/client.crt", &text(&client.cert)),
            ("/etc/prometheus/client.key", &text(&client.key)),
            ("/etc/prometheus/etcd-doctor.password", &text(&at("password"))),
            ("/etc/prometheus/etcd-doctors.json", &text(&at("targets.json"))),
            ("alertmanager.example.com:9093", "127.0.0.1:9"),
        ],
    );
    for peer in PROMETHEUS {
        assert_eq!(complaints(peer, &fleet), None, "{peer}");
        let prometheus = Prometheus::start_with(peer, parsed(&fleet)).await;
        becomes(
            &prometheus,
            r#"count(up{job="etcd-doctor",site=~"eu|us"} == 1)"#,
            2.0,
        )
        .await;
        // The cluster's name is etcd-doctor's, the site Prometheus'.
        becomes(
            &prometheus,
            r#"count(etcd_doctor_cluster_status{cluster="eu",site="eu",status="unknown"} == 1)"#,
            1.0,
        )
        .await;
    }
}
