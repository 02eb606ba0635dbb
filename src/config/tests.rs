//! The whole of loading, as the user meets it: which source wins, and what becomes of each key.

mod alerting;
mod etcdctl;
mod init;
mod mistakes;

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
