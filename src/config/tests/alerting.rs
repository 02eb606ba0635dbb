//! The section `alerting`.

use super::*;
use crate::client::alertmanager::Credentials;
use crate::model::Labels;
use crate::notify::relabel;

#[test]
fn the_whole_section_is_read_and_shown_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ca.crt", "token", "password"] {
        std::fs::write(folder.path().join(name), "x\n").unwrap();
    }
    let file = with(
        "\
rules: {external_labels: {site: ams}}
web: {external_url: 'https://doctor.example.org/etcd/'}
alerting:
  resend_delay: 30s
  watchdog: true
  alert_relabel_configs:
    - {source_labels: [severity], regex: info, action: drop}
    - {target_label: team, replacement: 007}
  alertmanagers:
    - urls: [am-1:9093, 'https://am-2/prefix/']
      tls: {ca_file: ca.crt, server_name: am}
      bearer_token_file: token
      timeout: 3s
    - urls: http://other:9093
      username: doctor
      password_file: password
      alert_relabel_configs:
        - {regex: site, action: labeldrop}
",
    );
    let config = load_in(folder.path(), Some(&file), &[], &[]).unwrap();
    let alerting = &config.alerting;
    assert_eq!(
        (alerting.resend_delay, alerting.watchdog),
        (Duration::from_secs(30), true)
    );
    assert_eq!(alerting.external_url, "https://doctor.example.org/etcd");
    let urls: Vec<String> = alerting
        .alertmanagers
        .iter()
        .flat_map(|group| &group.targets)
        .map(|target| target.url.of_alerts())
        .collect();
    assert_eq!(
        urls,
        [
            // TLS is configured, so it is meant.
            "https://am-1:9093/api/v2/alerts",
            "https://am-2/prefix/api/v2/alerts",
            "http://other:9093/api/v2/alerts",
        ]
    );
    let first = &alerting.alertmanagers[0].targets[0];
    assert_eq!(first.timeout, Duration::from_secs(3));
    assert_eq!(
        first.credentials,
        Credentials::Bearer {
            token_file: folder.path().join("token")
        }
    );
    assert_eq!(
        alerting.alertmanagers[1].targets[0].timeout,
        Duration::from_secs(10)
    );
    let told = |severity| {
        let labels = alerting
            .external_labels
            .merged(&Labels::new([("alertname", "A"), ("severity", severity)]));
        let labels = relabel::apply(&alerting.relabel, labels)?;
        relabel::apply(&alerting.alertmanagers[1].relabel, labels).map(|labels| labels.to_string())
    };
    assert_eq!(told("info"), None);
    assert_eq!(
        told("critical").as_deref(),
        Some(r#"{alertname="A", severity="critical", team="007"}"#)
    );
    assert!(
        config
            .notes
            .iter()
            .any(|note| note.text.contains("token: everybody"))
    );
    assert!(config.secrets().contains(&"x".to_owned()));

    let again = load(Some(&config.to_yaml()), &[], &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.alerting, config.alerting, "{}", config.to_yaml());
}

#[test]
fn without_it_nobody_is_told_and_links_lead_to_this_host() {
    let config = load(Some(&with("web: {listen_address: '10.0.0.9:1'}")), &[], &[]).unwrap();
    assert!(config.alerting.alertmanagers.is_empty() && !config.alerting.watchdog);
    assert_eq!(config.alerting.resend_delay, Duration::from_secs(60));
    assert_eq!(config.alerting.external_url, "http://10.0.0.9:1");
    let host = sysinfo::System::host_name().unwrap();
    for everywhere in [":1", "0.0.0.0:1", "[::]:1"] {
        let file = with(&format!("web: {{listen_address: '{everywhere}'}}"));
        let config = load(Some(&file), &[], &[]).unwrap();
        assert_eq!(
            config.alerting.external_url,
            format!("http://{host}:1"),
            "{everywhere}"
        );
    }
}

#[test]
fn mistakes_are_named_by_place_and_key() {
    let group = |rest: &str| format!("alerting: {{alertmanagers: [{{urls: ['a:1'], {rest}}}]}}");
    for (section, error) in [
        (
            "alerting: {alertmanagers: [{}]}".to_owned(),
            "alerting.alertmanagers[0].urls: at least one URL is needed",
        ),
        (
            "alerting: {alertmanagers: [{urls: ['a:1', 'http://a:1/']}]}".to_owned(),
            "alerting.alertmanagers[0].urls[1]: http://a:1 is named twice",
        ),
        (
            "alerting: {alertmanagers: [{urls: ['http://u:p@a:1']}]}".to_owned(),
            "alerting.alertmanagers[0].urls[0]: a user does not belong in a URL",
        ),
        (
            "alerting: {resend_delay: 0s}".to_owned(),
            "alerting.resend_delay: must be 1s or more",
        ),
        (
            "alerting: {alert_relabel_configs: [{action: hashmod, target_label: a, modulus: 2}]}".to_owned(),
            "alerting.alert_relabel_configs[0].action: hashmod",
        ),
        (
            group("alert_relabel_configs: [{regex: '('}]"),
            "alerting.alertmanagers[0].alert_relabel_configs[0].regex: cannot use",
        ),
        (
            group("username: x"),
            "alerting.alertmanagers[0].username: a username needs a password_file",
        ),
        (
            group("password_file: /dev/null"),
            "alerting.alertmanagers[0].password_file: a password needs a username",
        ),
        (
            group("username: x, password_file: /dev/null, bearer_token_file: /dev/null"),
            "alerting.alertmanagers[0].bearer_token_file: username and password_file are set too",
        ),
        (
            group("tls: {cert_file: /dev/null}"),
            "alerting.alertmanagers[0].tls.cert_file: a client certificate needs its key",
        ),
        (group("scheme: http"), "unknown key; known here: urls"),
        (
            "web: {external_url: 'doctor:9379'}".to_owned(),
            "web.external_url: expected a URL such as",
        ),
    ] {
        let told = load(Some(&with(&section)), &[], &[]).unwrap_err();
        assert!(told.contains(error), "{section}\n{told}");
        assert!(told.starts_with("f.yaml:2:"), "{told}");
    }
}
