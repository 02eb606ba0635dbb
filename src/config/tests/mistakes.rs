//! What each mistake is answered with: where it is, what is wrong and what was expected.

use super::*;

#[test]
fn mistakes_in_a_file_are_named_with_line_and_key() {
    for (yaml, says) in [
        (
            "intervall: 5s\n",
            "f.yaml:1:1: intervall: unknown key; known here: interval, timeout, window, clusters, rules, alerting, web, store, log, paths",
        ),
        (
            &with("interval: 5\n"),
            "f.yaml:2:1: interval: expected a duration such as 5s or 1m30s, found \"5\"",
        ),
        (
            &with("interval: [5s]\n"),
            "f.yaml:2:1: interval: expected a duration such as 5s or 1m30s, found a list",
        ),
        (&with("timeout: 0s\n"), "f.yaml:2:1: timeout: must be more than 0"),
        (
            &with("timeout: 5s\n"),
            "f.yaml:2:1: timeout: 5s is not shorter than the interval of 5s (default): a cycle has to end before the next",
        ),
        (
            &with("window: 1s\n"),
            "f.yaml:2:1: window: must not be shorter than the interval of 5s",
        ),
        (
            "clusters: []\n",
            "f.yaml:1:1: clusters: at least one cluster is needed",
        ),
        (
            "clusters: a:2379\n",
            "f.yaml:1:1: clusters: expected a list, found \"a:2379\"",
        ),
        (
            "clusters: {a: {}}\n",
            "f.yaml:1:1: clusters: expected a list, found keys and values",
        ),
        (
            "clusters:\n- name: a\n",
            "f.yaml:2:3: clusters[0].endpoints: at least one endpoint is needed, such as 127.0.0.1:2379",
        ),
        (
            "clusters:\n- endpoint: a\n",
            "f.yaml:2:3: clusters[0].endpoint: unknown key; known here: name, endpoints, tls, ",
        ),
        (
            "clusters:\n- endpoints:\n  - a:1\n  - 'tcp://a:2'\n",
            "f.yaml:4:5: clusters[0].endpoints[1]: endpoint \"tcp://a:2\": the scheme \"tcp\"",
        ),
        (
            "clusters: [{endpoints: ['u:p@a:1']}]\n",
            "f.yaml:1:25: clusters[0].endpoints[0]: a user does not belong in an endpoint",
        ),
        (
            "clusters: [{endpoints: [a:99999]}]\n",
            "f.yaml:1:25: clusters[0].endpoints[0]: endpoint \"a:99999\": ",
        ),
        (
            "clusters: [{endpoints: ['unix://']}]\n",
            "f.yaml:1:25: clusters[0].endpoints[0]: endpoint \"unix://\" names no socket",
        ),
        (
            "clusters:\n- {endpoints: [a:1]}\n- {endpoints: [b:1]}\n",
            "f.yaml:3:3: clusters[1].name: the name \"etcd\" is already that of clusters[0]",
        ),
        (
            "clusters:\n- {name: x, endpoints: [a:1]}\n- {name: y, endpoints: ['https://a:1']}\n",
            "f.yaml:3:25: clusters[1].endpoints[0]: https://a:1 is already an endpoint of cluster \"x\"",
        ),
        (
            "clusters: [{name: 'a\"b', endpoints: [a:1]}]\n",
            "f.yaml:1:13: clusters[0].name: \"a\\\"b\" is no name",
        ),
        (
            "clusters: [{name: '', endpoints: [a:1]}]\n",
            "f.yaml:1:13: clusters[0].name: \"\" is no name",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  tls: {cert_file: f.yaml}\n",
            "f.yaml:3:9: clusters[0].tls.cert_file: a client certificate needs its key",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  tls: {key_file: f.yaml}\n",
            "f.yaml:3:9: clusters[0].tls.key_file: a key needs its client certificate",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  tls: {ca_file: no.crt}\n",
            "f.yaml:3:9: clusters[0].tls.ca_file: could not open no.crt: No such file",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  tls: {ca: x}\n",
            "f.yaml:3:9: clusters[0].tls.ca: unknown key; known here: ca_file, ",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  tls: true\n",
            "f.yaml:3:3: clusters[0].tls: expected keys and values, found \"true\"",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  username: u\n",
            "f.yaml:3:3: clusters[0].username: a username needs a password_file",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  password_file: f.yaml\n",
            "f.yaml:3:3: clusters[0].password_file: a password needs a username",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  username: u\n  password_file: no\n",
            "f.yaml:4:3: clusters[0].password_file: could not open no: ",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  metrics_urls: {m: a:1}\n",
            "f.yaml:3:18: clusters[0].metrics_urls.m: expected a URL such as ",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  quota_bytes: 8GiB\n",
            "f.yaml:3:3: clusters[0].quota_bytes: expected a whole number of bytes, such as 8589934592 for 8 GiB, found \"8GiB\"",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  quota_bytes: 0\n",
            "f.yaml:3:3: clusters[0].quota_bytes: must be more than 0",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  host: maybe\n",
            "f.yaml:3:3: clusters[0].host: expected true, limited or false, found \"maybe\"",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  backups: ['/b/[.db']\n",
            "f.yaml:3:13: clusters[0].backups[0]: /b/[.db is no pattern: ",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  hashkv_interval: 5s\n",
            "f.yaml:3:3: clusters[0].hashkv_interval: must be 1m or more",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  peer_tls: {server_name: a}\n",
            "f.yaml:3:3: clusters[0].peer_tls: the peer ports are not asked",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  backups: [/b, /b]\n",
            "f.yaml:3:17: clusters[0].backups[1]: /b is named twice",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  backups: [a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q]\n",
            "f.yaml:3:3: clusters[0].backups: 17 folders, at most 16 are watched; ",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  logs: [a]\n",
            "f.yaml:3:3: clusters[0].logs: expected a text, or names with a text for each, found a list",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  logs: {m: 'journal:a b'}\n",
            "f.yaml:3:10: clusters[0].logs.m: \"a b\" is no name of a systemd unit",
        ),
        (
            "clusters:\n- endpoints: [a:1]\n  logs: 'a[.log'\n",
            "f.yaml:3:3: clusters[0].logs: \"a[.log\" is no pattern",
        ),
        (
            &with("rules: {files: [no.yaml]}\n"),
            "f.yaml:2:17: rules.files[0]: could not open no.yaml: No such file",
        ),
        (
            &with("rules: {files: ['a[.yaml']}\n"),
            "f.yaml:2:17: rules.files[0]: a[.yaml is no pattern: ",
        ),
        (
            &with("rules: {external_labels: {1a: b}}\n"),
            "f.yaml:2:27: rules.external_labels.1a: is no label name",
        ),
        (
            &with("web: {listen_address: 9379}\n"),
            "f.yaml:2:7: web.listen_address: expected host:port or :port",
        ),
        (
            &with("web: {listen_address: 'a:b:1'}\n"),
            "f.yaml:2:7: web.listen_address: expected host:port or :port",
        ),
        (
            &with("store: {max_series: 0}\n"),
            "f.yaml:2:9: store.max_series: must be more than 0",
        ),
        (
            &with("store: {max_series: -1}\n"),
            "f.yaml:2:9: store.max_series: expected a whole number, found \"-1\"",
        ),
        (
            &with("log: {level: loud}\n"),
            "f.yaml:2:7: log.level: expected one of off, error, warn, info, debug, trace, found \"loud\"",
        ),
        (
            &with("log: {format: text}\n"),
            "f.yaml:2:7: log.format: expected one of logfmt, json, found \"text\"",
        ),
        (
            &with("web: {}\nweb: {}\n"),
            "f.yaml:3:1: duplicate mapping key: web",
        ),
    ] {
        let error = load(Some(yaml), &[], &[])
            .map(|config| config.to_yaml())
            .expect_err(yaml);
        assert!(
            error.starts_with(says),
            "{yaml}\nexpected: {says}\n   found: {error}"
        );
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let error = load(Some("interval: 0s\nwindow: 0s\nclusters: []\n"), &[], &[]).unwrap_err();
    // The default deadline follows the interval and is no mistake of its own.
    assert_eq!(error.lines().count(), 3, "{error}");
}

#[test]
fn mistakes_in_variables_and_flags_name_them() {
    for (variables, flags, says) in [
        (
            &[("ETCD_DOCTOR_INTERVAL", "abc")][..],
            &[][..],
            "variable ETCD_DOCTOR_INTERVAL: interval: expected a duration such as 5s or 1m30s, found \"abc\"",
        ),
        (
            &[("ETCD_DOCTOR_LOG_LEVEL", "info")],
            &[],
            "variable ETCD_DOCTOR_LOG_LEVEL: log_level: unknown key; known here: interval, ",
        ),
        (
            &[("ETCD_DOCTOR_LOG__LEVEL", "123")],
            &[],
            "variable ETCD_DOCTOR_LOG__LEVEL: log.level: expected one of off, ",
        ),
        (
            &[("ETCD_DOCTOR_CLUSTERS__0__NAME", "a")],
            &[],
            "variable ETCD_DOCTOR_CLUSTERS__0__NAME: clusters: clusters cannot be set by a variable",
        ),
        (
            &[],
            &[("log.level", "loud")],
            "--log.level: log.level: expected one of off, ",
        ),
        (
            &[],
            &[("web.listen-address", "x")],
            "--web.listen-address: web.listen_address: expected host:port",
        ),
        (
            &[],
            &[("endpoints", "a:1,tcp://b:1")],
            "--endpoints: clusters[0].endpoints[1]: endpoint \"tcp://b:1\": the scheme",
        ),
        (
            &[("ETCDCTL_ENDPOINTS", "tcp://b:1")],
            &[],
            "variable ETCDCTL_ENDPOINTS: clusters[0].endpoints[0]: endpoint \"tcp://b:1\"",
        ),
        (
            &[],
            &[("cert", "/dev/null")],
            "--cert: clusters[0].tls.cert_file: a client certificate needs its key",
        ),
        (
            &[("ETCDCTL_CACERT", "/no/ca")],
            &[],
            "variable ETCDCTL_CACERT: clusters[0].tls.ca_file: could not open /no/ca: No such file",
        ),
        (
            &[],
            &[("user", "root")],
            "--user: the password is missing: give name:password",
        ),
        (&[], &[("password", "x")], "--password: a password needs --user"),
        (
            &[("ETCDCTL_ENDPOINTS", "a:1")],
            &[("endpoints", "b:1")],
            "--endpoints: ETCDCTL_ENDPOINTS says something else; unset it or drop the flag",
        ),
        (
            &[],
            &[("command-timeout", "9s")],
            "--command-timeout: timeout: 9s is not shorter than the interval of 5s (default)",
        ),
        (
            &[],
            &[("dial-timeout", "x")],
            "--dial-timeout: expected a duration",
        ),
        (
            &[("ETCDCTL_INSECURE_TRANSPORT", "maybe")],
            &[],
            "variable ETCDCTL_INSECURE_TRANSPORT: expected true or false, found \"maybe\"",
        ),
    ] {
        let error = load(None, variables, flags)
            .map(|config| config.to_yaml())
            .unwrap_err();
        assert!(error.starts_with(says), "expected: {says}\n   found: {error}");
    }
}
