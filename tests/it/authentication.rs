//! etcd's authentication: who is let in, and what little a refusal costs the cluster.

use etcd_doctor::client::{Connection, Secret, TlsSettings};
use etcd_doctor::model::{Batch, Reason};

use crate::support::{EtcdCluster, Identity, Observer, Version, failures, get, value};

fn login(cluster: &EtcdCluster, password: &str) -> Connection {
    Connection {
        username: Some("doctor".into()),
        password: Some(Secret::new(password)),
        ..Observer::connection(cluster)
    }
}

/// The sum of a metric over the members whose series have this part in their labels.
async fn sum(cluster: &EtcdCluster, metric: &str, part: &str) -> f64 {
    let mut sum = 0.0;
    for i in 0..cluster.len() {
        let page = get(&cluster.metrics_url(i)).await.unwrap().body;
        let values = page
            .lines()
            .filter(|line| line.starts_with(metric) && line.contains(part))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        sum += values.sum::<f64>();
    }
    sum
}

/// How often a call was answered, refusals included.
async fn calls(cluster: &EtcdCluster, method: &str) -> f64 {
    let part = format!("grpc_method=\"{method}\"");
    sum(cluster, "grpc_server_handled_total", &part).await
}

/// Raft entries so far, of all members together: what a call costs the cluster.
async fn entries(cluster: &EtcdCluster) -> f64 {
    sum(cluster, "etcd_server_proposals_committed_total", "").await
}

/// Cycles that ask for no token and write nothing.
async fn assert_quiet(cluster: &EtcdCluster, observer: &mut Observer) {
    let before = (calls(cluster, "Authenticate").await, entries(cluster).await);
    for _ in 0..5 {
        observer.cycle().await;
    }
    let after = (calls(cluster, "Authenticate").await, entries(cluster).await);
    assert_eq!(before, after, "tokens asked for, and raft entries");
}

fn assert_all_failed(batch: &Batch, reason: Reason, words: &str) {
    let failures = failures(batch);
    assert!(!failures.is_empty());
    for failed in failures {
        assert_eq!(failed.reason, reason, "{failed:?}");
        assert!(failed.words.contains(words), "not {words:?}: {failed:?}");
    }
}

/// 3.4.23 tells Status and members without a user; reads need one, and a role-less user's are refused only after they
/// went through consensus.
#[tokio::test]
async fn a_token_is_had_once_and_used_again() {
    let mut cluster = EtcdCluster::builder(Version::V3_4).start().await;
    cluster.add_user("doctor", "right").await;
    cluster.enable_auth().await;
    let file = cluster.dir().join("password");
    std::fs::write(&file, "right\n").unwrap();
    let connection = Connection {
        password: None,
        password_file: Some(file),
        ..login(&cluster, "")
    };
    let mut observer = Observer::on(&connection);
    let batch = observer.until("cluster_reachable_voters", 3.0).await;
    assert_eq!(failures(&batch), []);
    for member in ["etcd-0", "etcd-1", "etcd-2"] {
        let probe = format!(r#"probe_success{{member="{member}", probe="linearizable"}}"#);
        assert_eq!(value(&batch, &probe), Some(1.0));
    }
    assert_quiet(&cluster, &mut observer).await;
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_tried_again_and_again() {
    for version in [Version::V3_4, Version::V3_5] {
        let mut cluster = EtcdCluster::builder(version).members(1).start().await;
        cluster.add_user("doctor", "right").await;
        cluster.enable_auth().await;
        let mut observer = Observer::on(&login(&cluster, "wrong"));
        let words = r#"the name "doctor" or its password is wrong"#;
        for _ in 0..3 {
            assert_all_failed(&observer.cycle().await, Reason::Unauthenticated, words);
        }
        assert_quiet(&cluster, &mut observer).await;
    }
}

#[tokio::test]
async fn a_cluster_that_wants_a_user_says_so_when_none_is_configured() {
    for version in [Version::V3_4, Version::V3_5] {
        let mut cluster = EtcdCluster::builder(version).members(1).start().await;
        cluster.enable_auth().await;
        let mut observer = Observer::on(&Observer::connection(&cluster));
        let batch = observer.cycle().await;
        assert_all_failed(&batch, Reason::Unauthenticated, "no user is configured");
        assert_eq!(value(&batch, "cluster_reachable_members"), Some(1.0));
    }
}

/// 3.5.30 refuses Status to users without the root role. Its page gives what Status would have told.
#[tokio::test]
async fn status_that_is_refused_is_not_asked_again_and_again() {
    let mut cluster = EtcdCluster::builder(Version::V3_5).start().await;
    cluster.add_user("doctor", "right").await;
    cluster.enable_auth().await;
    let mut observer = Observer::on(&login(&cluster, "right"));
    let batch = observer.until("cluster_reachable_voters", 3.0).await;
    let failures = failures(&batch);
    assert_eq!(failures.len(), 3, "{failures:?}");
    for failed in &failures {
        assert_eq!(
            (failed.collector, failed.reason),
            ("status", Reason::PermissionDenied),
            "{failed:?}"
        );
        assert!(failed.words.contains("3.5.32"), "{failed:?}");
    }
    for (series, wanted) in [
        ("cluster_has_leader", 1.0),
        ("cluster_failure_tolerance", 1.0),
        (r#"cluster_alarm{alarm="NOSPACE"}"#, 0.0),
        (r#"member_quota_bytes{member="etcd-0"}"#, 2_147_483_648.0),
        (r#"probe_success{member="etcd-0", probe="linearizable"}"#, 1.0),
    ] {
        assert_eq!(value(&batch, series), Some(wanted), "{series}");
    }
    assert!(value(&batch, r#"member_db_size_bytes{member="etcd-0"}"#) > Some(0.0));

    let asked = calls(&cluster, "Status").await;
    assert_quiet(&cluster, &mut observer).await;
    assert_eq!(calls(&cluster, "Status").await, asked);

    // The refusal stands for a minute, and must not pass for a sign of life.
    cluster.kill(0);
    let batch = observer.cycle().await;
    assert_eq!(value(&batch, r#"member_reachable{member="etcd-0"}"#), Some(0.0));
}

/// A lifetime below zero: a token is void when it is issued, on a real etcd.
#[tokio::test]
async fn tokens_that_are_refused_at_once_are_not_asked_for_again_and_again() {
    for version in [Version::V3_4, Version::V3_5] {
        let keys = tempfile::tempdir().unwrap();
        let key = keys.path().join("key");
        std::fs::write(&key, "any bytes").unwrap();
        let key = key.display();
        let mut cluster = EtcdCluster::builder(version)
            .members(1)
            .flag(&format!(
                "--auth-token=jwt,pub-key={key},priv-key={key},sign-method=HS256,ttl=-1h"
            ))
            .start()
            .await;
        cluster.add_user("doctor", "right").await;
        cluster.enable_auth().await;
        let mut observer = Observer::on(&login(&cluster, "right"));
        let words = "issues tokens and refuses them at once";
        for _ in 0..3 {
            assert_all_failed(&observer.cycle().await, Reason::Unauthenticated, words);
        }
        assert!(calls(&cluster, "Authenticate").await <= 2.0);
        assert_quiet(&cluster, &mut observer).await;
    }
}

/// A token of this kind names the revision of users and roles, and is void once they change.
#[tokio::test]
async fn a_token_from_before_a_change_of_users_is_replaced() {
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("key");
    std::fs::write(&key, "any bytes").unwrap();
    let key = key.display();
    let mut cluster = EtcdCluster::builder(Version::V3_5)
        .members(1)
        .flag(&format!(
            "--auth-token=jwt,pub-key={key},priv-key={key},sign-method=HS256,ttl=1h"
        ))
        .start()
        .await;
    cluster.add_user("doctor", "right").await;
    cluster.enable_auth().await;
    let mut observer = Observer::on(&login(&cluster, "right"));
    let probe = r#"probe_success{member="etcd-0", probe="linearizable"}"#;
    observer.until(probe, 1.0).await;
    cluster.add_user("another", "user").await;
    let batch = observer.cycle().await;
    assert_eq!(value(&batch, probe), Some(1.0), "{:?}", failures(&batch));
}

#[tokio::test]
async fn the_common_name_of_a_client_certificate_is_the_user() {
    for version in [Version::V3_4, Version::V3_5] {
        let mut cluster = EtcdCluster::builder(version).members(1).tls().start().await;
        cluster.add_user("doctor", "unused").await;
        let doctor = cluster.tls().expect("it was asked for").0.issue("doctor", &[]);
        let nobody = cluster.tls().expect("it was asked for").0.issue("nobody", &[]);
        cluster.enable_auth().await;

        // The certificate of the user root.
        let connection = Observer::connection(&cluster);
        let batch = Observer::on(&connection).cycle().await;
        assert_eq!(failures(&batch), []);
        let probe = r#"probe_success{member="etcd-0", probe="linearizable"}"#;
        assert_eq!(value(&batch, probe), Some(1.0));

        let as_user = async |identity: &Identity| {
            let connection = Connection {
                tls: TlsSettings {
                    cert_file: Some(identity.cert.clone()),
                    key_file: Some(identity.key.clone()),
                    ..connection.tls.clone()
                },
                ..connection.clone()
            };
            Observer::on(&connection).cycle().await
        };
        let batch = as_user(&doctor).await;
        assert_eq!(value(&batch, probe), Some(1.0), "{:?}", failures(&batch));
        let refused = failures(&batch)
            .iter()
            .any(|failed| failed.reason == Reason::PermissionDenied && failed.collector == "status");
        assert_eq!(refused, version == Version::V3_5);
        // A user that etcd does not know is refused like one without roles, and a refused read is an answer.
        let batch = as_user(&nobody).await;
        assert_eq!(value(&batch, probe), Some(1.0), "{:?}", failures(&batch));
        assert_eq!(value(&batch, "cluster_reachable_voters"), Some(1.0));

        // What a report lets be typed: refused as that user, and not as root, who goes before the certificate.
        let (cert, key) = (doctor.cert.display(), doctor.key.display());
        let endpoint = cluster.endpoint(0);
        let typed = format!("etcdctl --endpoints={endpoint} --cert={cert} --key={key} defrag");
        let output = cluster.shell(&format!("env -u ETCDCTL_USER {typed}")).await;
        assert!(output.stderr.contains("permission denied"), "{output:?}");
        let output = cluster.shell(&typed).await;
        assert!(output.success, "{output:?}");
    }
}
