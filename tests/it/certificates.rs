//! When certificates expire, read from real handshakes and from the files that real members were given.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::{Authority, EtcdCluster, Identity, Observer, Version, value};

const DAY: Duration = Duration::from_secs(86_400);

/// A server certificate that was issued 60 days ago and expires at a time.
fn until(authority: &Authority, end: SystemTime) -> Identity {
    authority.issue_with("server", &["localhost", "127.0.0.1"], |params| {
        params.not_before = (SystemTime::now() - 60 * DAY).into();
        params.not_after = end.into();
    })
}

fn seconds(time: SystemTime) -> f64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("it is after 1970");
    // As a certificate has it.
    since.as_secs() as f64
}

const SHOWN: &str =
    r#"certificate_not_after_timestamp_seconds{member="etcd-0", source="handshake", use="server"}"#;

#[tokio::test]
async fn the_expiry_is_read_from_our_own_handshakes_and_from_the_members_files() {
    for version in [Version::V3_4, Version::V3_5] {
        let end = SystemTime::now() + 90 * DAY;
        let cluster = EtcdCluster::builder(version)
            .members(1)
            .tls_showing(move |authority| until(authority, end))
            .start()
            .await;
        let connection = Observer::connection(&cluster);
        let batch = Observer::on(&connection).cycle().await;
        assert_eq!(value(&batch, SHOWN), Some(seconds(end)), "in the first cycle");
        for (series, expected) in [
            (
                r#"certificate_not_after_timestamp_seconds{member="etcd-0", source="file", use="server"}"#,
                seconds(end),
            ),
            (r#"member_client_certificate_requested{member="etcd-0"}"#, 1.0),
            (
                r#"collector_success{collector="certificates", member="etcd-0"}"#,
                1.0,
            ),
            (r#"collector_success{collector="certificate_files"}"#, 1.0),
            (r#"collector_success{collector="own_certificates"}"#, 1.0),
            (
                r#"member_urls{member="etcd-0", reach="loopback", security="tls", use="client"}"#,
                1.0,
            ),
        ] {
            assert_eq!(value(&batch, series), Some(expected), "{series}");
        }
        for series in [
            r#"certificate_last_not_after_timestamp_seconds{member="etcd-0", source="file", use="client_ca"}"#,
            r#"certificate_not_after_timestamp_seconds{source="own", use="client"}"#,
            r#"certificate_last_not_after_timestamp_seconds{source="own", use="ca"}"#,
        ] {
            assert!(value(&batch, series) > Some(seconds(end)), "{series}");
        }

        // etcd shows new files to new connections.
        let renewed = SystemTime::now() + 200 * DAY;
        let (authority, _) = cluster.tls().expect("it has TLS");
        until(authority, renewed);
        let batch = Observer::on(&connection).cycle().await;
        assert_eq!(value(&batch, SHOWN), Some(seconds(renewed)));
        let log = cluster.log(0);
        assert!(
            !log.contains("rejected connection"),
            "looking leaves no trace: {log}"
        );
    }
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_known_although_no_connection_comes_of_it() {
    for version in [Version::V3_4, Version::V3_5] {
        let end = SystemTime::now() - DAY;
        let cluster = EtcdCluster::builder(version)
            .members(1)
            .tls_showing(move |authority| until(authority, end))
            .start()
            .await;
        let mut connection = Observer::connection(&cluster);
        let shown = SHOWN.replace("etcd-0", &cluster.endpoint(0).replace("https://", ""));
        // A handshake that takes longer than a call may, on a busy machine, shows nothing in that cycle.
        Observer::on(&connection).until(&shown, seconds(end)).await;

        let begin = SystemTime::now() + DAY;
        let (authority, _) = cluster.tls().expect("it has TLS");
        authority.issue_with("server", &["localhost", "127.0.0.1"], |params| {
            params.not_before = begin.into();
        });
        let early = shown.replace("not_after", "not_before");
        Observer::on(&connection).until(&early, seconds(begin)).await;

        connection.tls.ca_file = Some(Path::new("/nonexistent/ca.crt").into());
        let batch = Observer::on(&connection).cycle().await;
        assert_eq!(value(&batch, &shown), None, "nothing was shown");
        assert_eq!(
            value(&batch, r#"collector_success{collector="own_certificates"}"#),
            Some(0.0)
        );
        // What can be read still is.
        let client = r#"certificate_not_after_timestamp_seconds{source="own", use="client"}"#;
        assert!(value(&batch, client).is_some());
    }
}
