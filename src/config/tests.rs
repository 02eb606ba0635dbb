//! The whole of loading, as the user meets it: which source wins, and what each mistake is answered with.

mod alerting;
mod etcdctl;
mod init;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::*;
use crate::client::logs::{Place, Which};
use crate::client::proc::HostAccess;
use crate::telemetry::LogFormat;

/// Loads a file's text in a folder of its own, with variables and flags.
fn load(yaml: Option<&str>, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    load_in(folder.path(), yaml, variables, flags)
}

/// `{}` in the error stands for the folder.
fn load_in(
    folder: &Path,
    yaml: Option<&str>,
    variables: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Config, String> {
    let text = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<Vec<_>>()
    };
    let config_file = yaml.map(|yaml| {
        let path = folder.join("f.yaml");
        std::fs::write(&path, yaml).unwrap();
        path
    });
    let discover: Discover = Arc::new(|wanted, _| {
        let endpoints = match wanted {
            Wanted::Local => vec!["local:2379".to_owned()],
            Wanted::Srv { domain, .. } => vec![format!("https://a.{domain}:2379")],
        };
        async {
            Ok(vec![Found {
                endpoints,
                notes: vec!["looked".into()],
                ..Found::default()
            }])
        }
        .boxed()
    });
    let loader = Loader::new(
        Flags {
            config_file,
            given: text(flags),
        },
        text(variables),
        discover,
    );
    let outcome = loader.load().now_or_never().expect("nothing here waits");
    outcome.map_err(|error| error.to_string().replace(&format!("{}/", folder.display()), ""))
}

const ONE: &str = "clusters: [{endpoints: [a:1]}]\n";

fn with(rest: &str) -> String {
    format!("{ONE}{rest}")
}

#[test]
fn defaults_then_file_then_variables_then_flags() {
    let file = with("web: {listen_address: ':1'}\nlog:\n  level: warn\ninterval: 10s\n");
    let config = load(
        Some(&file),
        &[
            ("ETCD_DOCTOR_LOG__LEVEL", "debug"),
            ("ETCD_DOCTOR_WEB__LISTEN_ADDRESS", ":2"),
        ],
        &[("web.listen-address", ":3")],
    )
    .unwrap();
    assert_eq!(config.timeout, Duration::from_secs(2));
    assert_eq!(config.interval, Duration::from_secs(10));
    assert_eq!(config.log.level, tracing::level_filters::LevelFilter::DEBUG);
    assert_eq!(config.web.listen_address, ":3");
    assert_eq!(
        config.sources.places,
        [
            "--web.listen-address",
            "variable ETCD_DOCTOR_LOG__LEVEL",
            "variable ETCD_DOCTOR_WEB__LISTEN_ADDRESS"
        ]
    );
}

#[test]
fn one_log_is_that_of_the_member_on_this_host() {
    let logs = |text: &str| {
        let file = format!("clusters:\n- endpoints: [a:1]\n  logs: {text}\n");
        let config = load(Some(&file), &[], &[]).unwrap();
        (config.clusters[0].logs.clone(), config.to_yaml())
    };
    for (text, wanted, shown) in [
        ("off", Which::Off, "logs: off "),
        ("found", Which::Found, "logs: found "),
        (
            "journal",
            Which::Here(Place::Journal("etcd.service".into())),
            "logs: \"journal:etcd.service\" ",
        ),
        (
            "/var/log/etcd.log",
            Which::Here(Place::File("/var/log/etcd.log".into())),
            "logs: \"/var/log/etcd.log\" ",
        ),
    ] {
        let (found, yaml) = logs(text);
        assert_eq!(found, wanted);
        assert!(yaml.contains(shown), "{yaml}");
    }
}

#[test]
fn logs_need_the_host() {
    let logs = |text: &str| {
        let file = format!("clusters:\n- endpoints: [a]\n  host: false\n  logs: {text}\n");
        load(Some(&file), &[], &[]).map(|config| config.clusters[0].logs.clone())
    };
    assert_eq!(logs("off").unwrap(), Which::Off);
    assert_eq!(logs("found").unwrap(), Which::Found, "as config show has it");
    for place in ["journal", "/var/log/etcd.log", "{m1: journal}"] {
        let error = logs(place).unwrap_err().to_string();
        assert!(
            error.contains("f.yaml:4:3: clusters[0].logs: this host is not looked at"),
            "{error}"
        );
    }
}

#[test]
fn every_key_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ca.crt", "c.crt", "c.key", "pw", "r1.yaml", "r2.yaml"] {
        std::fs::write(folder.path().join(name), "hunter2\n").unwrap();
    }
    let file = "interval: 15s\ntimeout: 3s\nwindow: 2h\n\
        clusters:\n- name: prod\n  endpoints: [a:2379, 'https://b:2379']\n\
        \x20 tls: {ca_file: ca.crt, cert_file: c.crt, key_file: c.key, server_name: etcd.example, insecure_skip_verify: no}\n\
        \x20 username: no\n  password_file: pw\n  metrics_urls: {m1: 'http://a:2381/metrics', '10.0.0.1:2379': 'http://b:2381/metrics'}\n\
        \x20 quota_bytes: 8589934592\n  host: limited\n  peer_ports: true\n  hashkv_interval: 10m\n  backups: [/backup, 'snapshots/*.db']\n\
        \x20 logs: {m1: 'journal:etcd@1.service', m2: log/*.log}\n\
        rules: {builtin: false, files: ['r*.yaml'], external_labels: {region: eu}, state_dir: st}\n\
        web: {listen_address: 127.0.0.1:0, enable_remote_reload: true, config_file: web.yaml}\n\
        store: {max_series: 500, etcd_job: kube-etcd}\nlog: {level: error, format: json}\n\
        paths: {proc: proc, sys: /host/sys, rootfs: /host}\n";
    let config = load_in(folder.path(), Some(file), &[], &[]).unwrap();
    let cluster = &config.clusters[0];
    assert_eq!(cluster.name, "prod");
    assert_eq!(cluster.connection.endpoints, ["https://a:2379", "https://b:2379"]);
    assert_eq!(
        cluster.connection.tls.ca_file.as_deref(),
        Some(&*folder.path().join("ca.crt"))
    );
    assert_eq!(
        cluster.connection.tls.server_name.as_deref(),
        Some("etcd.example")
    );
    assert_eq!(cluster.connection.username.as_deref(), Some("no"));
    assert_eq!(
        cluster.connection.metrics_urls["10.0.0.1:2379"],
        "http://b:2381/metrics"
    );
    assert_eq!(
        (cluster.quota_bytes, cluster.host),
        (Some(8 << 30), HostAccess::Limited)
    );
    let backups = ["/backup".into(), folder.path().join("snapshots/*.db")];
    assert_eq!(cluster.backups, backups);
    let logs = [
        ("m1".to_owned(), Place::Journal("etcd@1.service".into())),
        ("m2".to_owned(), Place::File(folder.path().join("log/*.log"))),
    ];
    assert_eq!(cluster.logs, Which::Of(logs.into()));
    assert_eq!(cluster.peer_tls, Some(crate::client::TlsSettings::default()));
    assert_eq!(cluster.hashkv_interval, Some(Duration::from_secs(600)));
    assert_eq!(
        config.rules.files,
        [folder.path().join("r1.yaml"), folder.path().join("r2.yaml")]
    );
    assert_eq!(config.rules.external_labels["region"], "eu");
    assert_eq!(config.rules.state_dir, Some(folder.path().join("st")));
    assert!(!config.rules.builtin && config.web.enable_remote_reload);
    // Where it is relative to; what is in it is looked at later.
    assert_eq!(config.web.config_file, Some(folder.path().join("web.yaml")));
    assert_eq!(
        (config.store.max_series, config.store.etcd_job.as_str()),
        (500, "kube-etcd")
    );
    assert_eq!(config.store.window, Duration::from_secs(7200));
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.paths.proc, folder.path().join("proc"));
    assert_eq!(config.paths.rootfs, Path::new("/host"));
    assert!(
        config
            .notes
            .iter()
            .any(|note| note.warning && note.text.contains("chmod 0640"))
    );

    let shown = config.to_yaml();
    assert!(shown.contains("external_url: \"http://127.0.0.1:0\""), "{shown}");

    // What `config show` prints is a file that gives the same, and that shows itself the same, but for the places.
    assert!(
        shown.contains("  - name: \"prod\"  # ") && shown.contains("f.yaml:5:3"),
        "{shown}"
    );
    let again = load(Some(&shown), &[], &[]).unwrap_or_else(|error| panic!("{error}\n{shown}"));
    let bare = |yaml: &str| {
        yaml.lines()
            .map(|line| line.split("  #").next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(bare(&again.to_yaml()), bare(&shown));
}

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

#[test]
fn a_file_that_is_named_must_be_there() {
    for (variables, config_file, says) in [
        (
            vec![],
            Some("/no/f.yaml".into()),
            "/no/f.yaml: could not read the file that --config.file names: No such file",
        ),
        (
            vec![(CONFIG_FILE.to_owned(), "/no/e.yaml".to_owned())],
            None,
            "/no/e.yaml: could not read the file that ETCD_DOCTOR_CONFIG_FILE names: ",
        ),
    ] {
        let discover: Discover = Arc::new(|_, _| async { Ok(vec![Found::default()]) }.boxed());
        let loader = Loader::new(
            Flags {
                config_file,
                given: Vec::new(),
            },
            variables,
            discover,
        );
        let error = loader.load().now_or_never().unwrap().unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}

#[test]
fn a_reload_reads_the_file_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = load_in(folder.path(), Some(ONE), &[], &[]).unwrap();
    let file = folder.path().join("f.yaml");
    std::fs::write(&file, with("interval: 9s\n")).unwrap();
    assert_eq!(
        config.reload().now_or_never().unwrap().unwrap().interval,
        Duration::from_secs(9)
    );
    std::fs::write(&file, "interval: x\n").unwrap();
    assert!(config.reload().now_or_never().unwrap().is_err());
}

#[test]
fn all_interfaces_are_both_families() {
    let config = load(Some(ONE), &[], &[]).unwrap();
    assert_eq!(config.web.bind_addresses(), ["[::]:9379", "0.0.0.0:9379"]);
    assert!(config.store.instance.ends_with(":9379"));
}
