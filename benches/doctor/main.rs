//! What a cycle, a page and the memory cost, measured on this machine against a real cluster of three and printed beside
//! the budget of each.
//!
//! The evaluator is measured beside a real Prometheus as well, over the same series and expressions.
//!
//! `BENCH_SECONDS` sets how long the server's CPU time is watched; `MIXIN_RULES` names a rule file of etcd's mixin to
//! evaluate as well.

mod in_process;
#[path = "../../tests/it/conformance/remote_write.rs"]
mod remote_write;
mod side_by_side;

#[path = "../../tests/it/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use support::{Doctor, EtcdCluster, Version};

/// How long the server's CPU time is watched.
const WATCH: Duration = Duration::from_secs(60);
const SCRAPES: usize = 300;
const RUNS: usize = 15;

#[tokio::main]
async fn main() {
    // `cargo test --all-targets` runs benches too, with this flag and not with `--bench`: there is nothing to test here.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    if std::env::args().any(|arg| arg == side_by_side::WINDOW_BYTES) {
        return side_by_side::print_window_bytes();
    }
    machine();
    let cluster = EtcdCluster::builder(Version::V3_5).start().await;
    let _load = cluster.write_load().await;

    let start = Instant::now();
    let mut config: serde_json::Value =
        serde_json::from_str(&Doctor::config_for(&cluster)).expect("it is JSON");
    config["interval"] = "5s".into();
    let mut doctor = Doctor::start(&config.to_string()).await;
    line(
        "start to ready, first complete snapshot",
        &ms(start.elapsed()),
        "< 1 s",
    );

    whole_requests(&doctor).await;
    for metric in ["cycle_duration_seconds", "window_series"] {
        for (labels, value) in doctor.metric(&format!("etcd_doctor_{metric}")).await {
            line(&format!("{metric}{labels}"), &format!("{value}"), "");
        }
    }

    one_shot(&cluster).await;
    idle_cost(&mut doctor).await;
    drop(doctor);
    let own = in_process::run(&cluster.endpoints()).await;
    side_by_side::run(own).await;
}

/// `GET /metrics` as a scraper sends it, over a connection that it keeps.
async fn whole_requests(doctor: &Doctor) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    for (form, encoding) in [("plain", "identity"), ("gzip", "gzip")] {
        let (mut times, mut size) = (Vec::with_capacity(SCRAPES), 0);
        for _ in 0..SCRAPES {
            let request = http::Request::get(format!("{}/metrics", doctor.url()))
                .header("accept", "application/openmetrics-text;version=1.0.0")
                .header("accept-encoding", encoding)
                .body(Empty::new())
                .expect("the request is well formed");
            let start = Instant::now();
            let response = client.request(request).await.expect("the server answers");
            let body = response.into_body().collect().await.expect("the server answers");
            times.push(start.elapsed());
            size = body.to_bytes().len();
        }
        let p99 = ms(quantile(&mut times, 0.99));
        let measured = format!("{} (p99 {p99}, {} KiB)", ms(median(&mut times)), size / 1024);
        line(
            &format!("GET /metrics, {form}, whole request"),
            &measured,
            "median < 1 ms",
        );
    }
}

/// `diagnose --window 0s` against the two etcdctl commands that it replaces, each the median of some runs.
async fn one_shot(cluster: &EtcdCluster) {
    let endpoints = cluster.endpoints().join(",");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let start = Instant::now();
        let (code, output) = Doctor::run(&["diagnose", "--window", "0s", "--endpoints", &endpoints]).await;
        ours.push(start.elapsed());
        assert!(
            code <= 1,
            "diagnose ended with {code}: {}{}",
            output.stdout,
            output.stderr
        );

        let start = Instant::now();
        cluster.etcdctl(&["endpoint", "status"]).await.unwrap();
        cluster.etcdctl(&["endpoint", "health"]).await.unwrap();
        theirs.push(start.elapsed());
    }
    let theirs = ms(median(&mut theirs));
    line(
        "diagnose --window 0s",
        &ms(median(&mut ours)),
        &format!("<= etcdctl status + health: {theirs}"),
    );
}

/// CPU and memory of the server while it polls every 5 s and is left alone.
async fn idle_cost(doctor: &mut Doctor) {
    let seconds = std::env::var("BENCH_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let watch = seconds.map_or(WATCH, Duration::from_secs);
    let pid = doctor.process().pid() as i32;
    let process = procfs::process::Process::new(pid).expect("the server runs");
    let ticks = || {
        let stat = process.stat().expect("the server runs");
        stat.utime + stat.stime
    };
    let before = ticks();
    tokio::time::sleep(watch).await;
    let cpu = (ticks() - before) as f64 / procfs::ticks_per_second() as f64 / watch.as_secs_f64();
    let resident = process
        .status()
        .ok()
        .and_then(|status| status.vmrss)
        .unwrap_or_default();
    line(
        &format!("CPU over {} s, 3 members every 5 s", watch.as_secs()),
        &format!("{:.2} % of a core", cpu * 100.0),
        "< 1 %",
    );
    line(
        "resident memory",
        &format!("{:.1} MiB", resident as f64 / 1024.0),
        "< 40 MiB",
    );
}

/// What the numbers depend on.
fn machine() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |m| m.1);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "machine: {cores} cores of {model}, Linux {}",
        read("/proc/sys/kernel/osrelease").trim()
    );
    println!("load average before: {}", read("/proc/loadavg").trim());
    println!("{:<54} {:<44} budget", "what", "measured");
}

fn line(what: &str, measured: &str, budget: &str) {
    println!("{what:<54} {measured:<44} {budget}");
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

fn median(times: &mut [Duration]) -> Duration {
    quantile(times, 0.5)
}

fn quantile(times: &mut [Duration], q: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * q).round() as usize]
}
