//! `--web.config.file`: a real Prometheus that scrapes over mutual TLS and with a user, and what changes without a
//! restart.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::{Authority, Doctor, Identity, Prometheus, wait_for};

/// Some scrapes a second apart, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A configuration with a cluster that is not there: this is about who may ask, not about what is told.
fn config(web: &Path) -> String {
    // Nobody listens on the port of discard.
    let nowhere = "http://127.0.0.1:9";
    let config = json!({
        "interval": "2s",
        "clusters": [{ "name": "etcd", "endpoints": [nowhere] }],
        "web": { "config_file": web },
    });
    config.to_string()
}

/// Writes a file that nobody is writing any more.
fn write(path: &Path, text: &str, seconds_ago: u64) {
    fs::write(path, text).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    let time = SystemTime::now() - Duration::from_secs(seconds_ago);
    file.set_modified(time).unwrap();
}

fn users(password: &str) -> String {
    let hash = bcrypt::hash(password, 6).unwrap();
    format!("basic_auth_users:\n  prometheus: {hash}\n")
}

fn mutual_tls(server: &Identity, authority: &Authority) -> String {
    let config = json!({
        "tls_server_config": {
            "cert_file": server.cert,
            "key_file": server.key,
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": authority.ca(),
            "client_allowed_sans": ["prometheus.example"],
        },
    });
    config.to_string()
}

/// Waits until exactly these jobs are up.
async fn up(prometheus: &Prometheus, jobs: &[&str]) {
    wait_for(&format!("only {jobs:?} to be up"), LIMIT, async || {
        let all = prometheus.query("up").await?;
        let known = prometheus.query("count(up) == 6").await?;
        let mut found: Vec<&str> = all
            .iter()
            .filter(|sample| sample["value"][1] == "1")
            .filter_map(|sample| sample["metric"]["job"].as_str())
            .collect();
        found.sort_unstable();
        match found == jobs && !known.is_empty() {
            true => Ok(()),
            false => Err(format!("{all:#?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn real_prometheus_scrapes_over_mutual_tls_and_with_a_user_through_changes_of_both() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let folder = |name: &str| {
        fs::create_dir(at(name)).unwrap();
        at(name)
    };
    let (old, new) = (folder("old"), folder("new"));
    let (old, new) = (Authority::new(&old, "ca"), Authority::new(&new, "ca"));
    let san = ["prometheus.example"];
    let client = |authority: &Authority| authority.issue("client", &san);
    let (old_client, new_client) = (client(&old), client(&new));
    let stranger = old.issue("stranger", &["stranger.example"]);
    let server = |authority: &Authority| authority.issue("server", &["127.0.0.1"]);

    write(&at("tls.yaml"), &mutual_tls(&server(&old), &old), 100);
    write(&at("users.yaml"), &users("old"), 100);
    let mut secure = Doctor::start_listening(&config(&at("tls.yaml"))).await;
    let mut known = Doctor::start_listening(&config(&at("users.yaml"))).await;
    let dead_links = "links in alerts begin with http://127.0.0.1:";
    assert!(secure.process().log().contains(dead_links));
    assert!(!known.process().log().contains(dead_links));

    let over_tls = |name: &str, authority: &Authority, client: Option<&Identity>| {
        let mut tls = json!({ "ca_file": authority.ca() });
        if let Some(client) = client {
            tls["cert_file"] = json!(client.cert);
            tls["key_file"] = json!(client.key);
        }
        json!({
            "job_name": name, "scheme": "https", "tls_config": tls,
            "static_configs": [{ "targets": [secure.address()] }],
        })
    };
    let with_user = |name: &str, password: &str| {
        json!({
            "job_name": name, "basic_auth": { "username": "prometheus", "password": password },
            "static_configs": [{ "targets": [known.address()] }],
        })
    };
    let prometheus_config = json!({
        "global": { "scrape_interval": "1s" },
        "scrape_configs": [
            over_tls("tls-old", &old, Some(&old_client)),
            over_tls("tls-new", &new, Some(&new_client)),
            over_tls("tls-nobody", &old, None),
            over_tls("tls-stranger", &old, Some(&stranger)),
            with_user("user-old", "old"),
            with_user("user-new", "new"),
        ],
    });
    // The older one for the first state, the newer through the changes.
    let oldest = Prometheus::start_with("prometheus-2", prometheus_config.clone()).await;
    up(&oldest, &["tls-old", "user-old"]).await;
    drop(oldest);
    let prometheus = Prometheus::start_with("prometheus-3", prometheus_config).await;
    up(&prometheus, &["tls-old", "user-old"]).await;

    // Asked by our own commands, which need the same.
    let url = secure.url().replace("http://", "https://");
    let asks = async |authority: &Authority, client: &Identity| {
        let text = |path: &Path| path.display().to_string();
        let args = [
            "healthcheck",
            "--server",
            &url,
            "--cacert",
            &text(authority.ca()),
            "--cert",
            &text(&client.cert),
            "--key",
            &text(&client.key),
        ];
        Doctor::run(&args).await
    };
    let (code, output) = asks(&old, &old_client).await;
    assert_eq!(code, 0, "{}", output.stderr);
    let (code, _) = asks(&new, &new_client).await;
    assert_eq!(code, 1, "the new authority is not known yet");
    let plain = secure.get("/-/healthy").await;
    assert_eq!(plain.status, 400);
    assert!(plain.body.contains("use https://"), "{}", plain.body);

    // A new password, and a certificate and a CA of another authority.
    write(&at("users.yaml"), &users("new"), 50);
    write(&at("tls.yaml"), &mutual_tls(&server(&new), &new), 50);
    wait_for("the new certificate", LIMIT, async || {
        match asks(&new, &new_client).await {
            (0, _) => Ok(()),
            (_, output) => Err(output.stderr),
        }
    })
    .await;
    let (code, _) = asks(&old, &old_client).await;
    assert_eq!(code, 1, "the old authority still counts");
    wait_for("the new jobs to be up", LIMIT, async || {
        // A connection that was made before is not cut, so the old job over TLS may still be up.
        let up = prometheus
            .query(r#"up{job=~"tls-new|user-new"} == 1 or up{job=~"user-old|tls-nobody|tls-stranger"} == 0"#)
            .await?;
        match up.len() == 5 {
            true => Ok(()),
            false => Err(format!("{up:#?}")),
        }
    })
    .await;

    // A file that is broken, and one that would open the server, change nothing and are told.
    let url = known.url();
    let healthcheck =
        async |user: &str| Doctor::run(&["healthcheck", "--server", &url, "--user", user]).await;
    for (text, words, seconds_ago) in [
        (
            "basic_auth_users:\n  prometheus: new\n",
            ":2:3: basic_auth_users: the user",
            40,
        ),
        ("", "authentication by users would be switched off", 30),
    ] {
        write(&at("users.yaml"), text, seconds_ago);
        let (code, output) = healthcheck("prometheus:new").await;
        assert_eq!(code, 0, "{}", output.stderr);
        let (code, output) = healthcheck("prometheus:old").await;
        assert_eq!(code, 1);
        assert!(output.stderr.contains("401"), "{}", output.stderr);
        let log = known.process().log();
        assert!(log.contains(words), "{log}");
        assert!(!log.contains("$2"), "a hash is in the log: {log}");
    }
    let name = "etcd_doctor_web_config_last_reload_successful";
    prometheus
        .query_when_any(&format!(r#"{name}{{job="user-new"}} == 0"#), LIMIT)
        .await;
}

#[tokio::test]
async fn another_file_is_checked_at_each_reload_and_waits_for_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write(&at("old.yaml"), "rate_limit: {}\n", 100);
    let mut doctor = Doctor::start_listening(&config(&at("old.yaml"))).await;

    // The old file may go once the configuration names another: what was read of it stays in force.
    fs::remove_file(at("old.yaml")).unwrap();
    doctor.write_config(&config(&at("new.yaml")));
    for (text, status, words) in [
        (&*users("any"), 200, "reloaded"),
        (&*users("other"), 200, "reloaded"),
        ("basic_auth_user: {}\n", 500, "new.yaml:1:1: unknown field"),
        ("rate_limit: {}\n", 200, "reloaded"),
    ] {
        write(&at("new.yaml"), text, 50);
        let answer = doctor.post("/-/reload").await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.body.contains(words), "{}", answer.body);
    }
    let warnings = |log: &str, key: &str| log.matches(&format!("the new {key} takes effect")).count();
    let log = doctor.process().log();
    assert_eq!(warnings(&log, "web.config_file"), 3, "{log}");
    assert_eq!(warnings(&log, "log.format"), 0, "{log}");

    // Back to what it started with, which then counts again.
    let mut back: serde_json::Value = serde_json::from_str(&config(&at("old.yaml"))).unwrap();
    back["log"] = json!({ "format": "json" });
    doctor.write_config(&back.to_string());
    for (text, status) in [("basic_auth_user: {}\n", 500), ("rate_limit: {}\n", 200)] {
        write(&at("old.yaml"), text, 40);
        let answer = doctor.post("/-/reload").await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    let log = doctor.process().log();
    assert_eq!(warnings(&log, "web.config_file"), 3, "{log}");
    assert_eq!(warnings(&log, "log.format"), 1, "{log}");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_refused_before_anything_is_bound() {
    let dir = tempfile::tempdir().unwrap();
    let web = dir.path().join("web.yaml");
    fs::write(&web, "basic_auth_user: {}\n").unwrap();
    let file = dir.path().join("doctor.yaml");
    fs::write(&file, config(Path::new("web.yaml"))).unwrap();
    let file = file.display().to_string();
    for command in [&["serve"][..], &["config", "check"]] {
        let (code, output) = Doctor::run(&[command, &["--config.file", &file]].concat()).await;
        assert_eq!(code, 1, "{command:?}");
        let place = format!("{}:1:1: unknown field \"basic_auth_user\"", web.display());
        assert!(output.stderr.contains(&place), "{command:?}: {}", output.stderr);
    }
    fs::write(&web, users("any")).unwrap();
    let (code, output) = Doctor::run(&["config", "check", "--config.file", &file]).await;
    assert_eq!(code, 0, "{}", output.stderr);
    assert!(
        output.stdout.contains("web.yaml: plain HTTP, users\n"),
        "{}",
        output.stdout
    );
}
