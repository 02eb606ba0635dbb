//! TLS to real members: what works, and each wrong certificate, name and scheme in words that name the endpoint.

use std::path::Path;

use etcd_doctor::client::{Connection, TlsSettings};
use etcd_doctor::model::{Batch, Reason};

use crate::support::{Authority, Builder, EtcdCluster, Identity, Observer, Version, failures, value};

const BOTH: [Version; 2] = [Version::V3_4, Version::V3_5];

fn one(version: Version) -> Builder {
    EtcdCluster::builder(version).members(1)
}

fn settings(ca: Option<&Path>, client: Option<&Identity>) -> TlsSettings {
    TlsSettings {
        ca_file: ca.map(Into::into),
        cert_file: client.map(|identity| identity.cert.clone()),
        key_file: client.map(|identity| identity.key.clone()),
        ..TlsSettings::default()
    }
}

async fn observe(endpoint: &str, tls: TlsSettings) -> Batch {
    let connection = Connection {
        endpoints: vec![endpoint.to_owned()],
        tls,
        ..Connection::default()
    };
    Observer::on(&connection).cycle().await
}

/// Both gRPC and the page say why they cannot be had, in these words and with the endpoint's name.
async fn assert_refused(endpoint: &str, tls: TlsSettings, words: &str) {
    let failures = failures(&observe(endpoint, tls).await);
    for collector in ["status", "metrics", "members"] {
        let failed = failures.iter().find(|failed| failed.collector == collector);
        let failed = failed.unwrap_or_else(|| panic!("{collector} did not fail: {failures:?}"));
        assert_eq!(failed.reason, Reason::Tls, "{failed:?}");
        assert!(failed.words.contains(words), "not {words:?}: {failed:?}");
        assert!(failed.words.contains(endpoint), "{failed:?}");
    }
}

async fn assert_answered(endpoint: &str, tls: TlsSettings) {
    let batch = observe(endpoint, tls).await;
    assert_eq!(failures(&batch), []);
    assert_eq!(value(&batch, "cluster_reachable_voters"), Some(1.0));
}

#[tokio::test]
async fn each_wrong_client_certificate_is_named() {
    for version in BOTH {
        let cluster = one(version).tls().start().await;
        let (authority, client) = cluster.tls().expect("it was asked for");
        let ca = Some(authority.ca());
        let endpoint = &cluster.endpoint(0);
        let stranger = Authority::new(cluster.dir(), "other-ca").issue("stranger", &[]);
        let expired = authority.issue_with("expired-client", &[], |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        });

        assert_answered(endpoint, settings(ca, Some(client))).await;
        assert_refused(endpoint, settings(ca, None), "requires a client certificate").await;
        assert_refused(endpoint, settings(ca, Some(&stranger)), "client certificate").await;
        assert_refused(endpoint, settings(ca, Some(&expired)), "client certificate").await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_to_be_trusted_is_named() {
    let cluster = one(Version::V3_5).tls().start().await;
    let (_, client) = cluster.tls().expect("it was asked for");
    let endpoint = &cluster.endpoint(0);
    let other = Authority::new(cluster.dir(), "other-ca");
    assert_refused(
        endpoint,
        settings(Some(other.ca()), Some(client)),
        "not signed by a CA in",
    )
    .await;
    assert_refused(
        endpoint,
        settings(None, Some(client)),
        "not signed by a CA that this system trusts",
    )
    .await;
    let skipping = TlsSettings {
        insecure_skip_verify: true,
        ..settings(None, Some(client))
    };
    assert_answered(endpoint, skipping).await;
}

#[tokio::test]
async fn a_certificate_s_names_are_said_and_a_name_can_be_set() {
    let cluster = one(Version::V3_5)
        .tls_showing(|authority| authority.issue("server", &["etcd.example", "10.9.8.7"]))
        .start()
        .await;
    let endpoint = &cluster.endpoint(0);
    let connection = Observer::connection(&cluster);
    assert_refused(
        endpoint,
        connection.tls.clone(),
        "valid for etcd.example, 10.9.8.7, not for 127.0.0.1",
    )
    .await;
    let named = |name: &str| TlsSettings {
        server_name: Some(name.into()),
        ..connection.tls.clone()
    };
    assert_answered(endpoint, named("etcd.example")).await;
    assert_refused(endpoint, named("other.example"), "not for other.example").await;
}

#[tokio::test]
async fn a_certificate_s_dates_are_said() {
    for (from, to, words) in [
        (2020, 2021, "expired at 2021-01-01"),
        (2090, 2091, "not valid before 2090-01-01"),
    ] {
        let cluster = one(Version::V3_5)
            .tls_showing(move |authority| {
                authority.issue_with("server", &["127.0.0.1"], |params| {
                    params.not_before = rcgen::date_time_ymd(from, 1, 1);
                    params.not_after = rcgen::date_time_ymd(to, 1, 1);
                })
            })
            .start()
            .await;
        assert_refused(&cluster.endpoint(0), Observer::connection(&cluster).tls, words).await;
    }
}

#[tokio::test]
async fn tls_on_one_side_only_is_said() {
    for version in BOTH {
        let secure = one(version).tls().start().await;
        let plain = secure.endpoint(0).replace("https", "http");
        assert_refused(&plain, TlsSettings::default(), "as a server that serves TLS does").await;

        let plain = one(version).beside(&secure).start().await;
        let wrong = plain.endpoint(0).replace("http", "https");
        assert_refused(&wrong, Observer::connection(&secure).tls, "plain text").await;
    }
}

#[tokio::test]
async fn certificate_files_that_hold_none_are_named() {
    let cluster = one(Version::V3_5).tls().start().await;
    let empty = cluster.dir().join("empty.pem");
    std::fs::write(&empty, "nothing\n").unwrap();
    let words = "empty.pem holds no PEM certificate";
    let tls = TlsSettings {
        ca_file: Some(empty),
        ..Observer::connection(&cluster).tls
    };
    let failures = failures(&observe(&cluster.endpoint(0), tls).await);
    assert!(!failures.is_empty());
    for failed in failures {
        assert!(failed.words.contains(words), "{failed:?}");
    }
}

#[tokio::test]
async fn certificate_files_that_change_are_read_again() {
    let mut cluster = one(Version::V3_5).tls().start().await;
    let mut connection = Observer::connection(&cluster);
    let used = cluster.dir().join("used.crt");
    let (_, right) = cluster.tls().expect("it was asked for");
    let right = right.clone();
    let wrong = Authority::new(cluster.dir(), "other-ca").issue("stranger", &[]);
    let key = used.with_extension("key");
    let put = |identity: &Identity| {
        std::fs::copy(&identity.cert, &used).unwrap();
        std::fs::copy(&identity.key, &key).unwrap();
    };
    put(&right);
    connection.tls.cert_file = Some(used.clone());
    connection.tls.key_file = Some(key.clone());
    let mut observer = Observer::on(&connection);
    observer.until("cluster_reachable_voters", 1.0).await;

    // Connections that stand go on with what they were opened with.
    put(&wrong);
    cluster.restart(0).await;
    observer
        .until_true("a refused certificate", |batch| {
            failures(batch)
                .iter()
                .any(|failed| failed.reason == Reason::Tls && failed.words.contains("client certificate"))
        })
        .await;
    put(&right);
    observer.until("cluster_reachable_voters", 1.0).await;
}
