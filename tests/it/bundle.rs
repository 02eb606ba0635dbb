//! Support bundles: what is saved beside a real cluster gives the same report elsewhere, and has no secret in it.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Doctor, EtcdCluster, Version, problems};

/// For what a server sees within a cycle or two, on a busy machine.
const SOON: Duration = Duration::from_secs(60);
const PASSWORD: &str = r#"corr3ct "horse" \battery"#;
const TOKEN: &str = "t0ken-of-the-proxy";
const KEY: &str = "/registry/secrets/prod/crown";
const VALUE: &str = "jewels-of-the-crown";

/// A bundle, unpacked.
fn unpacked(file: &Path) -> String {
    let bytes = std::fs::read(file).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*bytes)
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Runs a command that must give a report, in a place of its own: no configuration, no cluster.
async fn elsewhere(args: &[&str]) -> (i32, String) {
    let (code, output) = Doctor::run_with(args, &[("COLUMNS", "80"), ("LANG", "C.UTF-8")]).await;
    assert!(
        output.stderr.lines().all(|line| line.contains("saved")),
        "{output:?}"
    );
    (code, output.stdout)
}

#[tokio::test]
async fn a_saved_report_is_made_again_without_the_cluster_and_without_secrets() {
    let mut cluster = EtcdCluster::builder(Version::V3_5)
        .tls()
        .quota(16 << 20)
        .start()
        .await;
    cluster.etcdctl(&["put", KEY, VALUE]).await.unwrap();
    cluster.fill_quota().await;
    cluster.add_user("doctor", PASSWORD).await;
    cluster.enable_auth().await;
    let mut config: Value = serde_json::from_str(&Doctor::config_for(&cluster)).unwrap();
    config["clusters"][0]["username"] = json!("doctor");
    config["clusters"][0]["password"] = json!(PASSWORD);
    // Nobody serves there, so that the URL is in an error's words as well.
    config["clusters"][0]["metrics_urls"] =
        json!({ "etcd-0": format!("http://127.0.0.1:9/metrics?token={TOKEN}") });
    let file = cluster.dir().join("doctor.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let saved = cluster.dir().join("saved.bundle");
    let saved = text(&saved);
    let args = [
        "diagnose",
        "--window=4s",
        "-o=json",
        "--save",
        saved,
        "--config.file",
        text(&file),
    ];
    let (code, first) = Doctor::run(&args).await;
    assert_eq!(code, 2, "{first:?}");
    let report: Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!(problems(&report)[0], "EtcdQuotaAlarmFull", "{report:#}");
    assert!(first.stderr.contains("saved to "), "{first:?}");

    let secrets = [
        PASSWORD,
        &PASSWORD.replace('\\', r"\\").replace('"', "\\\""),
        TOKEN,
        KEY,
        VALUE,
    ];
    let (_, identity) = cluster.tls().expect("it was started with TLS");
    let pem = std::fs::read_to_string(&identity.key).unwrap();
    let in_keys = pem
        .lines()
        .filter(|line| line.len() > 20 && !line.starts_with('-'));
    let bundle = unpacked(Path::new(saved));
    for secret in secrets.into_iter().chain(in_keys) {
        assert!(!bundle.contains(secret), "{secret:?} is in the bundle");
    }
    assert!(bundle.contains("<hidden>") && bundle.contains("EtcdQuotaAlarmFull"));

    // A running server gives the same, and what it watched for long counts.
    let doctor = Doctor::start(&config.to_string()).await;
    let full = |diagnosis: &Value| {
        problems(diagnosis)
            .first()
            .is_some_and(|first| first == "EtcdQuotaAlarmFull")
    };
    doctor.diagnosis_when("a full cluster", SOON, full).await;
    let served = cluster.dir().join("served.bundle");
    let server = [
        "diagnose",
        "--server",
        &doctor.url(),
        "--cluster=etcd",
        "--save",
        text(&served),
    ];
    let (code, output) = Doctor::run(&server).await;
    assert_eq!(code, 2, "{output:?}");
    let (code, from_server) = elsewhere(&["diagnose", "-o=json", "--bundle", text(&served)]).await;
    let from_server: Value = serde_json::from_str(&from_server).unwrap();
    assert_eq!((code, full(&from_server)), (2, true), "{from_server:#}");
    let served = unpacked(&served);
    assert!(!served.contains(PASSWORD) && !served.contains(TOKEN));

    // The cluster is gone; what was seen of it is not.
    let kept = tempfile::tempdir().unwrap();
    let copy = kept.path().join("copy");
    std::fs::copy(saved, &copy).unwrap();
    drop(cluster);
    let copy = text(&copy);
    let again = elsewhere(&["diagnose", "-o=json", "--bundle", copy]).await;
    let query = format!("token={TOKEN}");
    assert_eq!(again, (2, first.stdout.replace(&query, "<hidden>")));
    for form in ["text", "markdown", "nagios"] {
        let (code, report) = elsewhere(&["diagnose", "-o", form, "--bundle", copy]).await;
        assert_eq!(code, 2);
        assert!(
            report.contains("is full of old revisions and refuses writes"),
            "{report}"
        );
    }
    let (code, output) = Doctor::run(&["diagnose", "--cluster=north", "--bundle", copy]).await;
    assert_eq!(code, 3);
    assert!(
        output
            .stderr
            .contains("there is no cluster \"north\"; there are: etcd"),
        "{output:?}"
    );

    // The same rules find the same; a rule that was changed for the worse does not.
    let (code, tried) = elsewhere(&["rules", "test", "--bundle", copy]).await;
    assert_eq!(code, 0);
    assert!(
        tried.contains("  = EtcdQuotaAlarmFull fires, as it did\n"),
        "{tried}"
    );
    assert!(!tried.contains("\n  - ") && !tried.contains("\n  + "), "{tried}");
    let rules = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/rules/quota.yaml")).unwrap();
    let changed = kept.path().join("quota.yaml");
    std::fs::write(
        &changed,
        rules.replace("alert: EtcdQuotaAlarmFull", "alert: EtcdQuotaSpent"),
    )
    .unwrap();
    let (code, output) = Doctor::run(&["rules", "test", "--bundle", copy, text(&changed)]).await;
    assert_eq!(code, 0, "{output:?}");
    for line in [
        "  - EtcdQuotaAlarmFull does not fire, and did\n",
        "  + EtcdQuotaSpent fires, and did not\n",
    ] {
        assert!(output.stdout.contains(line), "{output:?}");
    }
}

#[tokio::test]
async fn what_is_no_bundle_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.json");
    std::fs::write(&file, "{}").unwrap();
    let file = text(&file);
    let at_nobody = "--endpoints=http://127.0.0.1:9";
    for (args, status, words) in [
        (
            &["diagnose", "--bundle", file][..],
            3,
            "it is not compressed with gzip",
        ),
        (
            &["diagnose", "--bundle", "/none"],
            3,
            "could not read the bundle /none",
        ),
        (
            &["diagnose", "--bundle", file, "--window=1s"],
            3,
            "cannot be used with '--window",
        ),
        (
            &["rules", "test", "--bundle", file],
            1,
            "it is not compressed with gzip",
        ),
        (
            &["diagnose", "--window=0s", at_nobody, "--save", "/none/such"],
            3,
            "could not write the bundle /none/such",
        ),
    ] {
        let (code, output) = Doctor::run(args).await;
        assert_eq!(code, status, "{args:?}: {output:?}");
        assert!(output.stderr.contains(words), "{args:?}: {output:?}");
    }
}
