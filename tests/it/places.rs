//! The files in `deploy/`, given to the program as the places where it runs give them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Authority, Doctor, EtcdCluster, Version};

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(deploy(file)).unwrap()
}

/// Accepted by `config check` with these arguments. Where no cluster is named, it must not look for the etcds of this host:
/// those of other tests come and go.
async fn assert_accepted(args: &[&str]) {
    let args = [&["config", "check"], args].concat();
    let (code, output) = Doctor::run_with(&args, &[("ETCDCTL_ENDPOINTS", "http://127.0.0.1:2379")]).await;
    assert_eq!(code, 0, "{args:?}\n{}", output.stderr);
}

/// A configuration with its certificates beside it is accepted.
async fn assert_good(configuration: &str) {
    let folder = tempfile::tempdir().unwrap();
    Authority::new(folder.path(), "ca").issue("client", &[]);
    let file = folder.path().join("etcd-doctor.yaml");
    std::fs::write(&file, configuration).unwrap();
    assert_accepted(&["--config.file", file.to_str().unwrap()]).await;
}

/// The lines of an example that stand behind `# `.
fn uncommented(text: &str) -> String {
    let example = text.lines().skip_while(|line| !line.starts_with("# clusters:"));
    let lines = example.map(|line| line.strip_prefix("# ").unwrap_or(line));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[tokio::test]
async fn the_configuration_beside_the_unit_is_good_as_it_is_and_filled_in() {
    let text = read("systemd/etcd-doctor.yaml");
    assert_good(&text).await;
    let filled_in = uncommented(&text);
    assert!(
        filled_in.contains("tls:") && filled_in.contains("web:"),
        "{filled_in}"
    );
    assert_good(&filled_in).await;
}

/// With the certificates where the pods and containers have them.
#[tokio::test]
async fn the_configurations_of_kubernetes_and_compose_are_good() {
    for file in [
        "kubernetes/control-plane/etcd-doctor.yaml",
        "kubernetes/components/without-host/etcd-doctor.yaml",
        "kubernetes/central/etcd-doctor.yaml",
        "compose/etcd-doctor.yaml",
    ] {
        let text = read(file)
            .replace("/etc/etcd-certificates/", "")
            .replace("production-", "");
        assert_good(&text).await;
    }
}

/// The unit's command line is one that the program understands.
#[tokio::test]
async fn the_unit_starts_the_program_with_flags_that_it_has() {
    let unit = read("systemd/etcd-doctor.service");
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let state = tempfile::tempdir().unwrap();
    let line = line
        .replace(
            "/etc/etcd-doctor/etcd-doctor.yaml",
            deploy("systemd/etcd-doctor.yaml").to_str().unwrap(),
        )
        .replace("%S", state.path().to_str().unwrap());
    let mut words = line.split(' ');
    assert_eq!(
        (words.next(), words.next()),
        (Some("/usr/bin/etcd-doctor"), Some("serve"))
    );
    assert_accepted(&words.collect::<Vec<_>>()).await;
}

/// As in a pod or on a host without a member: what nobody asked to be looked at is not missing.
#[tokio::test]
async fn without_the_host_a_healthy_cluster_passes() {
    let cluster = EtcdCluster::builder(Version::V3_5).members(1).start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("etcd-doctor.yaml");
    let config = serde_json::json!({
        "clusters": [{ "name": "etcd", "endpoints": cluster.endpoints(), "host": false }],
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let args = ["diagnose", "--window=5s", "-o", "json", "--config.file"];
    let (code, output) = Doctor::run(&[&args[..], &[file.to_str().unwrap()]].concat()).await;
    assert_eq!(code, 0, "{}\n{}", output.stdout, output.stderr);
}

/// As in the pods of `deploy/kubernetes/control-plane`: root without a capability may not look into etcd's process, and still
/// sees the disk under its data.
#[tokio::test]
async fn without_a_capability_the_host_of_a_member_is_seen() {
    let cluster = EtcdCluster::builder(Version::V3_5).members(1).start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("etcd-doctor.yaml");
    let diagnose = async |host: Value| {
        let config = serde_json::json!({"clusters": [
            { "name": "etcd", "endpoints": cluster.endpoints(), "host": host, "logs": "off" },
        ]});
        std::fs::write(&file, config.to_string()).unwrap();
        let args = ["diagnose", "--window=5s", "-o", "json", "--config.file"];
        let args = [&args[..], &[file.to_str().unwrap()]].concat();
        let (code, output) = Doctor::run_without_capabilities(&args).await;
        let report: Value = serde_json::from_str(&output.stdout).unwrap();
        (code, report, output.stderr)
    };
    let disk_space = |report: &Value| {
        let items = report["clusters"][0]["checklist"].as_array().unwrap();
        let item = items.iter().find(|item| item["title"] == "disk space");
        item.unwrap()["status"].clone()
    };
    let (code, report, log) = diagnose("limited".into()).await;
    assert_eq!(code, 0, "{report:#}\n{log}");
    assert_eq!(disk_space(&report), "pass", "{report:#}");
    // What it would take for more is said where all is asked for.
    if rustix::process::geteuid().is_root() {
        let (code, report, log) = diagnose(true.into()).await;
        assert_eq!((code, &report["status"]), (3, &"unknown".into()), "{report:#}");
        assert!(
            log.contains("Permission denied") && log.contains("`host: limited`"),
            "{log}"
        );
        assert_ne!(disk_space(&report), "pass");
    }
}
