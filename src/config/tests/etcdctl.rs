//! One cluster described by flags and variables, as with etcdctl.

use super::*;

#[test]
fn etcdctls_flags_and_variables_describe_one_cluster() {
    let config = load(
        None,
        &[
            ("ETCDCTL_API", "3"),
            ("ETCDCTL_CERT", ""),
            ("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "true"),
            ("ETCDCTL_NONSENSE", "1"),
        ],
        &[
            ("endpoints", "a:1, http://b:2,"),
            ("user", "root:pa:ss"),
            ("command-timeout", "1500ms"),
        ],
    )
    .unwrap();
    let cluster = &config.clusters[0];
    assert_eq!(cluster.name, "etcd");
    assert_eq!(cluster.connection.endpoints, ["https://a:1", "http://b:2"]);
    assert!(cluster.connection.tls.insecure_skip_verify);
    assert_eq!(cluster.connection.username.as_deref(), Some("root"));
    assert_eq!(cluster.connection.password.as_ref().unwrap().reveal(), "pa:ss");
    assert_eq!(config.timeout, Duration::from_millis(1500));
    assert!(config.notes.iter().any(|note| {
        note.text
            .starts_with("ETCDCTL_NONSENSE is no variable of etcdctl")
    }));

    let shown = config.to_yaml();
    assert!(
        shown.contains("password: \"<hidden>\"  # --user") && !shown.contains("pa:ss"),
        "{shown}"
    );
    assert!(!format!("{config:?}").contains("pa:ss"));
    assert!(load(Some(&shown), &[], &[]).is_ok(), "{shown}");
}

#[test]
fn a_user_beside_a_password_may_have_a_colon() {
    let config = load(
        None,
        &[("ETCDCTL_PASSWORD", "x")],
        &[("user", "a:b"), ("endpoints", "a:1")],
    )
    .unwrap();
    assert_eq!(config.clusters[0].connection.username.as_deref(), Some("a:b"));
}

#[test]
fn the_same_in_flag_and_variable_is_no_conflict() {
    let config = load(None, &[("ETCDCTL_ENDPOINTS", "a:1")], &[("endpoints", "a:1")]).unwrap();
    assert_eq!(config.clusters[0].connection.endpoints, ["http://a:1"]);
}

#[test]
fn insecure_transport_false_means_https() {
    let config = load(
        None,
        &[("ETCDCTL_INSECURE_TRANSPORT", "false")],
        &[("endpoints", "a:1,http://b:1")],
    )
    .unwrap();
    assert_eq!(
        config.clusters[0].connection.endpoints,
        ["https://a:1", "http://b:1"]
    );
}

#[test]
fn endpoints_come_from_dns_or_from_this_host_when_none_are_given() {
    let config = load(None, &[], &[]).unwrap();
    assert_eq!(config.clusters[0].connection.endpoints, ["http://local:2379"]);
    assert_eq!(config.notes[0].text, "looked");
    let config = load(None, &[], &[("discovery-srv", "example.com")]).unwrap();
    assert_eq!(
        config.clusters[0].connection.endpoints,
        ["https://a.example.com:2379"]
    );
}

#[test]
fn beside_a_file_that_names_clusters_variables_are_ignored_and_flags_refused() {
    let config = load(
        Some(ONE),
        &[("ETCDCTL_ENDPOINTS", "b:1"), ("ETCDCTL_CACERT", "/no")],
        &[],
    )
    .unwrap();
    assert_eq!(config.clusters[0].connection.endpoints, ["http://a:1"]);
    assert_eq!(
        config.notes[0].text,
        "the file names clusters, so these are ignored: ETCDCTL_CACERT, ETCDCTL_ENDPOINTS"
    );

    let error = load(Some(ONE), &[], &[("endpoints", "b:1"), ("cacert", "x")]).unwrap_err();
    assert_eq!(
        error,
        "--cacert, --endpoints: the file names clusters, so say this there and drop the flag"
    );
    assert!(load(Some(ONE), &[], &[("command-timeout", "1s")]).is_ok());
}

#[test]
fn a_file_without_clusters_goes_with_flags() {
    let config = load(
        Some("interval: 7s\nclusters:\nrules:\n  # files: []\n"),
        &[],
        &[("endpoints", "b:1")],
    )
    .unwrap();
    assert_eq!(config.clusters[0].connection.endpoints, ["http://b:1"]);
    assert!(config.rules.builtin);
}
