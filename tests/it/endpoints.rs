//! Where members are asked: sockets, pages elsewhere, and places that answer nothing.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use etcd_doctor::client::{Connection, TlsSettings};
use etcd_doctor::collect::Settings;
use etcd_doctor::model::Reason;

use crate::support::{EtcdCluster, Observer, Version, failures, value};

/// Short, for tests that wait for it to pass.
const DEADLINE: Duration = Duration::from_millis(500);

fn impatient(connection: &Connection) -> Observer {
    let settings = Settings {
        timeout: DEADLINE,
        ..Settings::default()
    };
    Observer::with(connection, settings)
}

fn at<S: AsRef<str>>(endpoints: &[S]) -> Connection {
    let endpoints = endpoints.iter().map(|endpoint| endpoint.as_ref().to_owned());
    Connection {
        endpoints: endpoints.collect(),
        ..Connection::default()
    }
}

/// 3.4 knows Unix sockets only in its working directory.
#[tokio::test]
async fn a_member_is_asked_over_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let socket = format!("unix://{}", dir.path().join("etcd.sock").display());
    let cluster = EtcdCluster::builder(Version::V3_5)
        .members(1)
        .flag(&format!("--listen-client-urls={socket}"))
        .start()
        .await;
    let mut observer = Observer::on(&at(&[&socket]));
    let batch = observer.until(r#"member_reachable{member="etcd-0"}"#, 1.0).await;
    assert_eq!(failures(&batch), []);
    let probe = r#"probe_success{member="etcd-0", probe="linearizable"}"#;
    assert_eq!(value(&batch, probe), Some(1.0));
    assert_eq!(batch.facts.members[0].name.as_ref(), cluster.name(0));

    let missing = format!("unix://{}", dir.path().join("none.sock").display());
    let batch = Observer::on(&at(&[&missing])).cycle().await;
    for failed in failures(&batch) {
        assert_eq!(failed.reason, Reason::Unreachable, "{failed:?}");
        for words in [&*missing, "no such socket"] {
            assert!(failed.words.contains(words), "{failed:?}");
        }
    }
}

/// As kubeadm sets it up: the page in plain text on a port of its own, so that it can be had without the certificates.
#[tokio::test]
async fn the_page_is_read_where_it_is_said_to_be() {
    for version in [Version::V3_4, Version::V3_5] {
        let cluster = EtcdCluster::builder(version).members(1).tls().start().await;
        let page = cluster.metrics_url(0);
        let with = |key: &str, tls: &TlsSettings| Connection {
            endpoints: cluster.endpoints(),
            tls: tls.clone(),
            metrics_urls: BTreeMap::from([(key.to_owned(), page.clone())]),
            ..Connection::default()
        };
        let complete = Observer::connection(&cluster).tls;
        let batch = Observer::on(&with("etcd-0", &complete)).cycle().await;
        assert_eq!(failures(&batch), []);
        assert!(
            page.contains(&*batch.pages[0].instance),
            "{}",
            batch.pages[0].instance
        );

        let no_client = TlsSettings {
            cert_file: None,
            key_file: None,
            ..complete
        };
        let batch = Observer::on(&with(&cluster.endpoint(0), &no_client))
            .cycle()
            .await;
        let failed: Vec<_> = failures(&batch)
            .iter()
            .map(|failed| (failed.collector, failed.reason))
            .collect();
        assert!(failed.contains(&("status", Reason::Tls)), "{failed:?}");
        assert!(!failed.iter().any(|(name, _)| *name == "metrics"), "{failed:?}");
        assert_eq!(value(&batch, "cluster_reachable_members"), Some(1.0));
        assert!(batch.facts.members[0].db_size_bytes > Some(0));
    }
}

/// The kernel takes the connection, and nobody ever reads from it.
#[tokio::test]
async fn a_place_that_accepts_and_never_answers_is_named_within_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let mut observer = impatient(&at(&[&endpoint]));
    for _ in 0..2 {
        let batch = observer.cycle().await;
        let failures = failures(&batch);
        assert!(!failures.is_empty());
        for failed in failures {
            assert_eq!(failed.reason, Reason::Timeout, "{failed:?}");
            for words in [&*endpoint, "connected, but no answer within 500ms"] {
                assert!(failed.words.contains(words), "{failed:?}");
            }
        }
        assert_eq!(value(&batch, "cluster_reachable_members"), Some(0.0));
        assert_eq!(
            value(&batch, "cluster_voters"),
            None,
            "nobody told who the members are"
        );
    }
}

/// Connections beyond a full backlog are neither taken nor refused, as behind a firewall that drops packets.
#[tokio::test]
async fn a_place_that_drops_connections_is_named_within_the_deadline() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut taken = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(DEADLINE, tokio::net::TcpStream::connect(address)).await {
        taken.push(stream);
        assert!(taken.len() < 100, "the backlog is never full");
    }
    let endpoint = format!("http://{address}");
    let batch = impatient(&at(&[&endpoint])).cycle().await;
    let failures = failures(&batch);
    assert!(!failures.is_empty());
    for failed in failures {
        assert_eq!(failed.reason, Reason::Timeout, "{failed:?}");
        for words in [&*endpoint, &format!("no TCP connection to {address} within")] {
            assert!(failed.words.contains(words), "{failed:?}");
        }
    }
}

/// Its members advertise an address that is theirs alone, as inside containers. Two are configured by where they can
/// be reached.
#[tokio::test]
async fn a_member_that_cannot_be_reached_from_here_is_kept_and_said_to_be_so() {
    let unreachable = "http://127.0.0.1:1";
    let cluster = EtcdCluster::builder(Version::V3_5)
        .flag(&format!("--advertise-client-urls={unreachable}"))
        .start()
        .await;
    let mut observer = Observer::on(&at(&cluster.endpoints()[..2]));
    observer.until("cluster_reachable_voters", 2.0).await;
    for _ in 0..2 {
        let batch = observer.cycle().await;
        for (series, wanted) in [
            ("cluster_voters", 3.0),
            ("cluster_reachable_voters", 2.0),
            (r#"member_reachable{member="etcd-0"}"#, 1.0),
            (r#"member_reachable{member="etcd-1"}"#, 1.0),
            (r#"member_reachable{member="etcd-2"}"#, 0.0),
            (r#"member_started{member="etcd-2"}"#, 1.0),
        ] {
            assert_eq!(value(&batch, series), Some(wanted), "{series}");
        }
        let why = &batch.facts.members[2].unreachable_because;
        for words in [unreachable, "connection refused"] {
            assert!(why.contains(words), "{why}");
        }
    }
}

/// The other members are found all the same, which must not hide that one endpoint is wrong.
#[tokio::test]
async fn a_wrong_port_is_named_also_when_the_member_is_found_without_it() {
    let cluster = EtcdCluster::builder(Version::V3_5).members(1).start().await;
    let wrong = "http://127.0.0.1:1".to_owned();
    let mut observer = Observer::on(&at(&[&cluster.endpoint(0), &wrong]));
    let batch = observer
        .until_true("a failed endpoint", |batch| !failures(batch).is_empty())
        .await;
    assert_eq!(value(&batch, "cluster_reachable_voters"), Some(1.0));
    let failures = failures(&batch);
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(
        (
            failures[0].collector,
            failures[0].member.as_str(),
            failures[0].reason
        ),
        ("members", "127.0.0.1:1", Reason::Unreachable)
    );
    for words in [&*wrong, "connection refused"] {
        assert!(failures[0].words.contains(words), "{failures:?}");
    }
}
