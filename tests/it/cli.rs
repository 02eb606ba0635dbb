//! The commands as they are typed: what they print, where, and their exit statuses.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Authority, Doctor, EtcdCluster, Version, wait_for};

/// For what a server does within a cycle or two, on a busy machine.
const SOON: Duration = Duration::from_secs(30);
/// Nothing listens on the port of `discard`, and it is below those that are given out.
const NOBODY: &str = "http://127.0.0.1:9";

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A configuration of clusters that nobody answers for.
fn config_of(names: &[&str]) -> String {
    let clusters: Vec<Value> = (9..)
        .zip(names)
        .map(|(port, name)| {
            let endpoint = format!("http://127.0.0.1:{port}");
            serde_json::json!({"name": name, "endpoints": [endpoint], "host": false})
        })
        .collect();
    serde_json::json!({"interval": "1s", "timeout": "500ms", "clusters": clusters}).to_string()
}

#[tokio::test]
async fn a_plugin_that_fails_says_so_on_standard_output() {
    let server = format!("--server={NOBODY}");
    for (argument, reason) in [
        (&*server, "nothing listens there"),
        ("--endpoints=127.0.0.1:x", "127.0.0.1:x"),
    ] {
        let (code, output) = Doctor::run(&["diagnose", "-o", "nagios", argument]).await;
        assert_eq!((code, output.stdout.lines().count()), (3, 1), "{output:?}");
        assert!(output.stdout.starts_with("ETCD UNKNOWN - "), "{output:?}");
        assert!(output.stdout.contains(reason), "{output:?}");
    }
}

#[tokio::test]
async fn failures_and_bad_usage_have_their_exit_statuses() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("two.yaml");
    std::fs::write(&file, config_of(&["east", "west"])).unwrap();
    let file = format!("--config.file={}", text(&file));
    let diagnose = ["diagnose", "--window=0s"];
    let at_nobody = format!("--endpoints={NOBODY}");
    let server = format!("--server={NOBODY}");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["diagnose", "--nonsense"], 3, "unexpected argument '--nonsense'"),
        (
            &["diagnose", "--window=soon"],
            3,
            "expected a duration such as 15s",
        ),
        (&["diagnose", &server], 3, "nothing listens there"),
        (
            &[&diagnose[..], &[&file, "--cluster=north"]].concat(),
            3,
            "there is no cluster \"north\"; there are: east, west",
        ),
        (
            &[&diagnose[..], &["--endpoints=127.0.0.1:x"]].concat(),
            3,
            "127.0.0.1:x",
        ),
        (&["serve", "--nonsense"], 2, "unexpected argument '--nonsense'"),
        (&["serve", "--interval=x"], 1, "interval: expected a duration"),
        (&["rules", "check"], 2, "required"),
        (&["config", "check", "--config.file=/none.yaml"], 1, "/none.yaml"),
        (&["healthcheck", &server], 1, "nothing listens there"),
        (&["healthcheck", "--server=127.0.0.1"], 1, "127.0.0.1"),
        (&["nonsense"], 2, "unrecognized subcommand"),
    ];
    for (args, status, words) in cases {
        let (code, output) = Doctor::run(args).await;
        assert_eq!(code, *status, "{args:?}: {output:?}");
        assert!(output.stderr.contains(words), "{args:?}: {output:?}");
        assert_eq!(output.stdout, "", "{args:?}: complaints go to standard error");
    }

    // Where nobody answers, there is a report, and its status cannot be told.
    let (code, output) = Doctor::run(&[&diagnose[..], &[&at_nobody]].concat()).await;
    assert_eq!(code, 3, "{output:?}");
    assert!(output.stdout.starts_with("UNKNOWN  "), "{output:?}");
    assert!(output.stdout.contains("connection refused"), "{output:?}");
    assert_eq!(
        output.stdout.matches("connection refused").count(),
        1,
        "once is enough: {output:?}"
    );
}

#[tokio::test]
async fn diagnose_tells_by_its_exit_status_what_it_found() {
    let mut etcd = EtcdCluster::builder(Version::V3_5).start().await;
    let endpoints = format!("--endpoints={}", etcd.endpoint(0));
    let diagnose = async |args: &[&str]| Doctor::run(&[&["diagnose", &endpoints], args].concat()).await;

    let (code, output) = diagnose(&["--window=3s"]).await;
    assert_eq!(code, 0, "{output:?}");
    assert!(
        output
            .stdout
            .starts_with("PASS  etcd: no problem found, 3 of 3 members answer"),
        "{output:?}"
    );
    assert!(
        output.stdout.lines().count() <= 24,
        "a healthy cluster fits one screen: {}",
        output.stdout
    );
    assert_eq!(
        output.stderr, "",
        "there is nothing to complain of, and no terminal"
    );

    let (code, output) = diagnose(&["--window=0s", "-o", "json"]).await;
    let report: Value = serde_json::from_str(&output.stdout).expect("it is JSON");
    assert_eq!(
        (code, &report["kind"], &report["status"]),
        (0, &"Diagnosis".into(), &"pass".into()),
        "{output:?}"
    );
    let (_, output) = diagnose(&["--window=0s", "-o", "markdown"]).await;
    assert!(output.stdout.starts_with("# PASS: etcd: "), "{output:?}");
    let (_, output) = diagnose(&["--window=0s", "-o", "nagios"]).await;
    assert!(output.stdout.starts_with("ETCD OK - etcd: "), "{output:?}");
    assert_eq!(output.stdout.lines().count(), 1);

    etcd.kill(1);
    // The default window, which is longer than any alert about a member waits.
    let (code, output) = diagnose(&[]).await;
    assert_eq!(code, 1, "{output:?}");
    assert!(output.stdout.starts_with("WARN  etcd: "), "{output:?}");
    assert!(
        output.stdout.contains("etcd member etcd-1 does not answer"),
        "{output:?}"
    );
    // In a shorter one that is suspected only, and said.
    let (_, output) = diagnose(&["--window=0s"]).await;
    assert!(
        output.stdout.contains("not certain yet: etcd member etcd-1"),
        "{output:?}"
    );

    for width in ["60", "80", "100"] {
        let (_, output) = Doctor::run_with(
            &["diagnose", &endpoints, "--window=0s"],
            &[("COLUMNS", width), ("TERM", "xterm-256color"), ("LC_ALL", "C")],
        )
        .await;
        let width: usize = width.parse().unwrap();
        assert!(
            !output.stdout.contains('\x1b'),
            "no colour into a pipe: {output:?}"
        );
        assert!(output.stdout.is_ascii(), "{output:?}");
        // Addresses, commands and links are not broken.
        let prose = output
            .stdout
            .lines()
            .filter(|line| !line.contains("://") && !line.contains("ctl "));
        for line in prose {
            assert!(line.len() <= width, "{} > {width}: {line}", line.len());
        }
    }
}

#[tokio::test]
async fn a_full_quota_is_critical() {
    let etcd = EtcdCluster::builder(Version::V3_4)
        .members(1)
        .quota(8 << 20)
        .start()
        .await;
    etcd.fill_quota().await;
    let endpoints = format!("--endpoints={}", etcd.endpoint(0));
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    let save = ["diagnose", "--window=2s", &endpoints, "--save", text(&bundle)];
    let (code, output) = Doctor::run(&save).await;
    assert_eq!(code, 2, "{output:?}");
    assert!(
        output
            .stdout
            .starts_with("FAIL  etcd cluster etcd is full of old revisions and refuses writes"),
        "the cluster is named once: {output:?}"
    );
    assert!(
        output.stdout.contains("etcdctl alarm disarm"),
        "the way out is told: {output:?}"
    );

    // Why it fires, on the cluster and in the bundle.
    for place in [&[&*endpoints, "--window=0s"][..], &["--bundle", text(&bundle)]] {
        let args = [&["rules", "explain", "EtcdQuotaAlarmFull", "-o=json"][..], place].concat();
        let (code, output) = Doctor::run(&args).await;
        assert_eq!(code, 0, "{output:?}");
        let told: Value = serde_json::from_str(&output.stdout).unwrap();
        let cluster = &told["clusters"][0];
        assert_eq!(cluster["state"], "firing", "{told:#}");
        let parts = cluster["rules"][0]["parts"].as_array().unwrap();
        assert_eq!(parts[0]["readings"][0]["value"], 1.0, "the alarm: {told:#}");
        assert_eq!(parts[0]["readings"][0]["threshold"], 1.0, "{told:#}");
        assert_eq!(parts.last().unwrap()["left"], 1, "{told:#}");
        let size = &parts[1]["readings"][0];
        assert!(
            size["passes"] == false && size["value"].as_f64().unwrap() >= size["threshold"].as_f64().unwrap(),
            "the size is over what would take the alert away: {told:#}"
        );
        let first = &cluster["history"][0];
        assert!(first["state"] == "firing" && first["to"].is_null(), "{told:#}");
        let explains = cluster["explains"].as_array().unwrap().iter();
        assert!(
            explains
                .clone()
                .any(|other| other["alert"] == "EtcdQuotaLowSpace"),
            "{told:#}"
        );
    }
    let (code, output) = Doctor::run(&["rules", "explain", "quota", &endpoints]).await;
    assert_eq!(code, 1, "{output:?}");
    assert!(output.stderr.contains("did you mean EtcdQuota"), "{output:?}");
}

#[tokio::test]
async fn a_running_server_is_asked() {
    let etcd = EtcdCluster::builder(Version::V3_5).members(1).start().await;
    let doctor = Doctor::watching(&etcd).await;
    let server = format!("--server={}", doctor.url());
    let (code, output) = Doctor::run(&["healthcheck", &server]).await;
    assert_eq!((code, output.stderr.as_str()), (0, ""), "{output:?}");
    assert!(!output.stdout.trim().is_empty());

    for (format, begin) in [
        ("text", "PASS  etcd: "),
        ("json", "{"),
        ("markdown", "# PASS: etcd: "),
        ("nagios", "ETCD OK - etcd: "),
    ] {
        let (code, output) = Doctor::run(&["diagnose", &server, "-o", format]).await;
        assert_eq!(code, 0, "{format}: {output:?}");
        assert!(output.stdout.starts_with(begin), "{format}: {output:?}");
    }
    let explain = ["rules", "explain", "EtcdMemberDown", &server];
    let (code, output) = Doctor::run(&explain).await;
    assert_eq!(code, 0, "{output:?}");
    assert!(
        output
            .stdout
            .starts_with("SILENT  EtcdMemberDown in cluster etcd\n"),
        "{output:?}"
    );
    assert!(
        output.stdout.contains("== 0"),
        "a value stands beside its threshold: {output:?}"
    );
    let (code, output) = Doctor::run(&["rules", "explain", "EtcdMemberDwon", &server]).await;
    assert_eq!(code, 1, "{output:?}");
    assert!(
        output.stderr.contains("did you mean EtcdMemberDown"),
        "{output:?}"
    );

    let (code, output) = Doctor::run(&["diagnose", &server, "--cluster=other"]).await;
    assert_eq!(code, 3, "{output:?}");
    assert!(output.stderr.contains("other"), "{output:?}");
}

#[tokio::test]
async fn etcdctls_flags_and_variables_work_as_with_etcdctl() {
    let etcd = EtcdCluster::builder(Version::V3_5).members(1).tls().start().await;
    let (authority, client) = etcd.tls().expect("it was started with TLS");
    let endpoint = etcd.endpoint(0);
    let files = [authority.ca(), &client.cert, &client.key].map(text);
    let [ca, cert, key] = files;

    let flags = [
        "--endpoints",
        &endpoint,
        "--cacert",
        ca,
        "--cert",
        cert,
        "--key",
        key,
    ];
    let (code, output) = Doctor::run(&[&["diagnose", "--window=0s"][..], &flags].concat()).await;
    assert_eq!(code, 0, "{output:?}");

    let variables = [
        ("ETCDCTL_ENDPOINTS", &*endpoint),
        ("ETCDCTL_CACERT", ca),
        ("ETCDCTL_CERT", cert),
        ("ETCDCTL_KEY", key),
    ];
    let (code, output) = Doctor::run_with(&["diagnose", "--window=0s"], &variables).await;
    assert_eq!(code, 0, "{output:?}");
    let (code, output) = Doctor::run_with(
        &["diagnose", "--window=0s", "--endpoints=http://127.0.0.1:9"],
        &variables,
    )
    .await;
    assert_eq!(code, 3, "{output:?}");
    assert!(
        output.stderr.contains("--endpoints") && output.stderr.contains("ETCDCTL_ENDPOINTS"),
        "a flag and its variable that differ are refused, as by etcdctl: {output:?}"
    );

    // Another authority of the same name: what fails is named, and where.
    let other = tempfile::tempdir().unwrap();
    let stranger = Authority::new(other.path(), "ca");
    let stranger = text(stranger.ca());
    let flags = [
        "--endpoints",
        &endpoint,
        "--cacert",
        stranger,
        "--cert",
        cert,
        "--key",
        key,
    ];
    let (code, output) = Doctor::run(&[&["diagnose", "--window=0s"][..], &flags].concat()).await;
    assert_eq!(code, 3, "{output:?}");
    let report = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        report.contains(endpoint.trim_start_matches("https://")),
        "{output:?}"
    );
    assert!(report.contains("certificate"), "{output:?}");

    let flags = ["--endpoints", &endpoint, "--insecure-skip-tls-verify"];
    let flags = [&flags[..], &["--cert", cert, "--key", key]].concat();
    let (code, output) = Doctor::run(&[&["diagnose", "--window=0s"][..], &flags].concat()).await;
    assert_eq!(code, 0, "{output:?}");
}

/// A `/proc` with only these processes in it: other etcds may run on this machine.
fn proc_of(pids: &[u32]) -> tempfile::TempDir {
    let proc = tempfile::tempdir().unwrap();
    for pid in pids {
        std::os::unix::fs::symlink(format!("/proc/{pid}"), proc.path().join(pid.to_string())).unwrap();
    }
    proc
}

/// Root may read everything: as root, the program is run as nobody.
#[test]
fn a_file_that_may_not_be_read_is_named_with_what_to_do() {
    const NOBODY: u32 = 65534;
    let dir = tempfile::tempdir().unwrap();
    let everybody = |path: &Path, mode| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    everybody(dir.path(), 0o755);
    let program = dir.path().join("etcd-doctor");
    std::fs::copy(Doctor::program(), &program).unwrap();
    everybody(&program, 0o755);
    let locked = dir.path().join("client.key");
    std::fs::write(&locked, "secret").unwrap();
    everybody(&locked, 0o000);
    let file = dir.path().join("config.yaml");
    let clusters = format!(
        "clusters:\n  - name: etcd\n    endpoints: [\"https://127.0.0.1:9\"]\n    tls: {{ca_file: {}}}\n",
        text(&locked)
    );
    std::fs::write(&file, clusters).unwrap();

    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(&program);
        if rustix::process::geteuid().is_root() {
            command = std::process::Command::new("setpriv");
            let ids = ["--reuid", "--regid"].map(|id| format!("{id}={NOBODY}"));
            command.args(ids).arg("--clear-groups").arg(&program);
        }
        let output = command.args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let key = text(&locked);
    let at = "--endpoints=https://127.0.0.1:9";
    let flags = [
        "diagnose",
        "--window=0s",
        at,
        "--cacert",
        key,
        "--cert",
        key,
        "--key",
        key,
    ];
    let why = format!(
        "could not open {key}: Permission denied (os error 13); run as a user who may read it, such as root"
    );
    let (code, told) = run(&flags);
    assert_eq!(code, Some(3), "{told}");
    for flag in ["--cacert", "--cert", "--key"] {
        assert!(
            told.contains(&format!("{flag}: ")) && told.contains(&why),
            "{flag}: {told}"
        );
    }
    let (code, told) = run(&["diagnose", "--window=0s", "--config.file", text(&file)]);
    assert_eq!(code, Some(3), "{told}");
    let place = format!("{}:4:11: clusters[0].tls.ca_file: {why}", text(&file));
    assert!(told.contains(&place), "{told}");
}

#[tokio::test]
async fn without_an_endpoint_the_etcd_of_this_host_is_found() {
    let etcd = EtcdCluster::builder(Version::V3_4).members(1).start().await;
    let proc = proc_of(&[etcd.pid(0)]);
    let variables = [("ETCD_DOCTOR_PATHS__PROC", proc.path().to_str().unwrap())];
    let (code, output) = Doctor::run_with(&["config", "check"], &variables).await;
    assert_eq!(code, 0, "{output:?}");
    assert!(output.stdout.contains(&etcd.endpoint(0)), "{output:?}");
    let found = format!("the etcd process {} serves {}", etcd.pid(0), etcd.endpoint(0));
    assert!(
        output.stderr.contains(&found),
        "it says what it found: {output:?}"
    );
}

#[tokio::test]
async fn two_clusters_on_this_host_are_both_shown_and_not_taken_for_one() {
    let one = EtcdCluster::builder(Version::V3_4).members(1).start().await;
    let other = EtcdCluster::builder(Version::V3_4)
        .members(1)
        .beside(&one)
        .start()
        .await;
    let proc = proc_of(&[one.pid(0), other.pid(0)]);
    let variables = [("ETCD_DOCTOR_PATHS__PROC", proc.path().to_str().unwrap())];
    let (code, output) = Doctor::run_with(&["config", "check"], &variables).await;
    assert_eq!(code, 0, "{output:?}");
    let named = |cluster: &EtcdCluster| {
        let endpoint = cluster.endpoint(0);
        let port = endpoint.rsplit_once(':').expect("it has a port").1.to_owned();
        (format!("etcd-{port}"), endpoint)
    };
    let both = [named(&one), named(&other)];
    for (name, endpoint) in &both {
        let line = format!("cluster {name}: {endpoint}\n");
        assert!(output.stdout.contains(&line), "{output:?}");
    }

    // What it cannot read of this `/proc` leaves the verdict open.
    let (_, output) = Doctor::run_with(&["diagnose", "--window=0s", "-o=json"], &variables).await;
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let shown = report["clusters"].as_array().unwrap().iter();
    let shown: Vec<(&str, usize)> = shown
        .map(|cluster| {
            (
                cluster["name"].as_str().unwrap(),
                cluster["members"].as_array().unwrap().len(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        both.each_ref().map(|(name, _)| (name.as_str(), 1)),
        "{report:#}"
    );

    // What is about one of them is not shown to the other.
    let user = ["config", "check", "--user=doctor:secret"];
    let (code, output) = Doctor::run_with(&user, &variables).await;
    assert_eq!(code, 1, "{output:?}");
    assert!(
        both.iter().all(|(_, endpoint)| output.stderr.contains(endpoint)),
        "{output:?}"
    );

    // The first file is one that can be used.
    let (code, output) = Doctor::run_with(&["config", "init"], &variables).await;
    assert_eq!(code, 0, "{output:?}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("etcd-doctor.yaml");
    std::fs::write(&file, &output.stdout).unwrap();
    let (code, output) =
        Doctor::run(&["config", "check", &format!("--config.file={}", file.display())]).await;
    assert_eq!(code, 0, "{output:?}");
    assert!(
        both.iter()
            .all(|(name, _)| output.stdout.contains(&format!("cluster {name}: "))),
        "{output:?}"
    );
}

#[tokio::test]
async fn a_shown_configuration_is_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        format!("--config.file={}", path.display())
    };
    Authority::new(dir.path(), "ca");
    let first = file(
        "first.yaml",
        "interval: 7s\nlog: {level: debug}\nclusters:\n  - name: prod\n    endpoints: [10.0.0.1]\n    \
         username: u\n    password: hunter2\n    tls: {ca_file: ca.crt}\n",
    );
    let (code, output) = Doctor::run(&["config", "show", &first]).await;
    assert_eq!(code, 0, "{output:?}");
    assert!(!output.stdout.contains("hunter2"), "{output:?}");
    assert!(output.stdout.contains("<hidden>"), "{output:?}");
    let values = |yaml: &str| {
        let lines = yaml.lines().map(|line| line.split("  #").next().unwrap_or(line));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let second = file("second.yaml", &output.stdout.replace("<hidden>", "hunter2"));
    let (code, again) = Doctor::run(&["config", "show", &second]).await;
    assert_eq!(code, 0, "{again:?}");
    assert_eq!(values(&output.stdout), values(&again.stdout));
    let (code, output) = Doctor::run(&["config", "check", &second]).await;
    assert_eq!(code, 0, "{output:?}");
    assert!(
        output.stdout.contains("second.yaml: ok\n") && output.stdout.contains("cluster prod: "),
        "{output:?}"
    );

    for (config, words) in [
        ("intervall: 5s\n", "broken.yaml:1:1: "),
        ("interval: 5\n", "interval: expected a duration"),
        ("interval: 5s\ninterval: 6s\n", "broken.yaml:2"),
        ("log: {level: loud}\n", "log.level: expected one of"),
        ("clusters: [{name: a}]\n", "endpoints"),
    ] {
        let broken = file("broken.yaml", config);
        let (code, output) = Doctor::run(&["config", "check", &broken]).await;
        assert_eq!(code, 1, "{config}: {output:?}");
        assert!(output.stderr.contains(words), "{config}: {output:?}");
    }
}

#[tokio::test]
async fn rules_are_checked_and_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let shipped = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for file in shipped.filter(|path| path.extension().is_some_and(|kind| kind == "yaml")) {
        let (code, output) = Doctor::run(&["rules", "check", text(&file)]).await;
        assert_eq!(code, 0, "each alone is good: {output:?}");
        assert!(output.stdout.ends_with(", ok\n"), "{output:?}");
    }

    let dir = tempfile::tempdir().unwrap();
    let rule = |name: &str, expr: &str, explains: &str| {
        let path = dir.path().join(name);
        let rules = format!(
            "groups:\n  - name: g\n    rules:\n      - alert: Mine\n        expr: {expr}\n        \
             labels: {{severity: warning, category: disk}}\n        annotations: {{explains: \"{explains}\"}}\n"
        );
        std::fs::write(&path, rules).unwrap();
        path
    };
    let good = rule("good.yaml", "up == 0", "EtcdNoLeader");
    let (code, output) = Doctor::run(&["rules", "check", text(&good)]).await;
    assert_eq!(
        (code, &*output.stdout),
        (0, &*format!("{}: 1 rule, ok\n", text(&good)))
    );
    let broken = rule("broken.yaml", "up ==", "EtcdNoLeader");
    let unknown = rule("unknown.yaml", "up == 0", "EtcdNoLaeder");
    let (code, output) = Doctor::run(&["rules", "check", text(&broken), text(&unknown)]).await;
    assert_eq!(code, 1, "{output:?}");
    let lines: Vec<&str> = output.stdout.lines().collect();
    let place = format!("{}:5:15: group \"g\", rule \"Mine\": ", text(&broken));
    assert!(lines[0].starts_with(&place), "{output:?}");
    assert!(lines.last().unwrap().contains("\"EtcdNoLaeder\""), "{output:?}");

    let (code, output) = Doctor::run(&["rules", "list"]).await;
    assert_eq!(code, 0, "{output:?}");
    assert!(output.stdout.starts_with("ALERT "), "{output:?}");
    let (_, json) = Doctor::run(&["rules", "list", "-o", "json"]).await;
    let list: Vec<Value> = serde_json::from_str(&json.stdout).expect("it is JSON");
    assert_eq!(output.stdout.lines().count(), 1 + list.len());
    assert!(list.iter().any(|rule| rule["alert"] == "EtcdQuotaAlarmFull"));
}

/// The names of the clusters in the diagnosis.
async fn clusters(doctor: &Doctor) -> Vec<String> {
    let diagnosis = doctor.diagnosis().await;
    let clusters = diagnosis["clusters"].as_array().into_iter().flatten();
    clusters
        .filter_map(|cluster| Some(cluster["name"].as_str()?.to_owned()))
        .collect()
}

async fn wait_for_clusters(doctor: &Doctor, names: &[&str]) {
    wait_for(&format!("the clusters {names:?}"), SOON, async || {
        let now = clusters(doctor).await;
        if now == names {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_takes_changes_and_refuses_broken_ones() {
    let mut doctor = Doctor::start(&config_of(&["a"])).await;
    assert_eq!(clusters(&doctor).await, ["a"]);

    doctor.write_config(&config_of(&["a", "b"]));
    doctor.process().signal(Signal::HUP);
    wait_for_clusters(&doctor, &["a", "b"]).await;

    let cycles = async |doctor: &Doctor| {
        let cycles = doctor.metric("etcd_doctor_cycles_total").await;
        let of_a = cycles.iter().find(|(labels, _)| labels.contains("\"a\""));
        of_a.map_or(0.0, |(_, value)| *value)
    };
    let before = cycles(&doctor).await;
    doctor.write_config("clusters: [{name: a}]\n");
    let answer = doctor.post("/-/reload").await;
    assert!(answer.status >= 400, "{}", answer.body);
    assert!(
        answer.body.contains("etcd-doctor.yaml:1:") && answer.body.contains("endpoints"),
        "{}",
        answer.body
    );
    doctor.process().signal(Signal::HUP);
    wait_for("the refusal in the log", SOON, async || {
        let log = doctor.process().log();
        let refusals = log.matches("the old one stays in force").count();
        if refusals >= 2 { Ok(()) } else { Err(log) }
    })
    .await;
    assert_eq!(clusters(&doctor).await, ["a", "b"], "the old one goes on");
    wait_for("the cycles to go on", SOON, async || {
        match cycles(&doctor).await {
            now if now > before => Ok(()),
            now => Err(now),
        }
    })
    .await;

    // Rules: broken ones are refused with their place, good ones are in force at once.
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("mine.yaml");
    let mut config: Value = serde_json::from_str(&config_of(&["a", "b"])).unwrap();
    config["rules"] = serde_json::json!({"files": [rules]});
    doctor.write_config(&config.to_string());
    let mine = |expr: &str| format!("groups: [{{name: g, rules: [{{alert: Mine, expr: '{expr}'}}]}}]");
    std::fs::write(&rules, mine("vector(1")).unwrap();
    let answer = doctor.post("/-/reload").await;
    assert!(
        answer.status >= 400 && answer.body.contains("mine.yaml:1:"),
        "{}",
        answer.body
    );
    std::fs::write(&rules, mine("vector(1)")).unwrap();
    let answer = doctor.post("/-/reload").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    doctor
        .diagnosis_when("the new alert", SOON, |diagnosis| {
            crate::support::problems(diagnosis).contains(&"Mine".to_owned())
        })
        .await;

    // What every cluster's cycles are made with counts as well, and not only what stands beside its name.
    let mut config: Value = serde_json::from_str(&config_of(&["a", "b"])).unwrap();
    config["store"] = serde_json::json!({"max_series": 5});
    doctor.write_config(&config.to_string());
    assert_eq!(doctor.post("/-/reload").await.status, 200);
    wait_for("the smaller window", SOON, async || {
        let series = doctor.metric("etcd_doctor_window_series").await;
        let small = series.len() == 2 && series.iter().all(|(_, count)| *count <= 5.0);
        if small { Ok(()) } else { Err(format!("{series:?}")) }
    })
    .await;

    doctor.write_config(&config_of(&["b"]));
    assert_eq!(doctor.post("/-/reload").await.status, 200);
    wait_for_clusters(&doctor, &["b"]).await;

    let status = doctor.process().terminate(SOON).await;
    assert_eq!(status.code(), Some(0), "{}", doctor.process().log());
}

#[tokio::test]
async fn a_taken_port_is_a_clear_error() {
    let doctor = Doctor::start(&config_of(&["a"])).await;
    let address = format!("--web.listen-address={}", doctor.address());
    let endpoints = format!("--endpoints={NOBODY}");
    let (code, output) = Doctor::run(&["serve", &address, &endpoints]).await;
    assert_eq!(code, 1, "{output:?}");
    assert!(
        output.stderr.contains(&doctor.address()) && output.stderr.contains("in use"),
        "{output:?}"
    );
}
