//! The evaluator beside a real Prometheus 3.5: the same series in both, the same expressions, each timed by itself.
//!
//! Prometheus' times are its own (`stats` of its API: preparation, evaluation, sorting), without HTTP and JSON; ours are
//! those of `Query::instant` and `Query::range` over the shared window.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use etcd_doctor::client::exposition;
use etcd_doctor::model::{Labels, Timestamp};
use etcd_doctor::promql::{Options, Query, Source, Window};
use etcd_doctor::rules::{self, builtin};
use etcd_doctor::store::{self, SharedStore, Store, View};
use serde_json::{Value, json};

use crate::remote_write::{self, Samples};
use crate::support::{Prometheus, escape, get};
use crate::{line, median, ms};

/// Of so many runs are the medians.
const RUNS: usize = 11;
const END: i64 = 1_700_006_400;
/// Between two samples of etcd's own pages, in seconds: 240 of them in an hour.
const STEP: i64 = 15;
const HOUR: i64 = 3600;

/// Over an hour, 240 steps each.
const RANGES: &[&str] = &[
    "sum by (instance, grpc_method) (rate(grpc_server_handled_total[5m]))",
    "histogram_quantile(0.99, rate(etcd_disk_wal_fsync_duration_seconds_bucket[5m]))",
    "rate(grpc_server_handled_total[5m])",
    "sum by (instance) (rate(grpc_server_handled_total[5m])) / sum by (instance) (rate(grpc_server_started_total[5m]))",
];

pub async fn run(own: Vec<(Labels, f64)>) {
    pages().await;
    shipped(own).await;
}

/// etcd's mixin and range queries over the whole pages of three members.
async fn pages() {
    let pair = Pair::start(page_scrapes().collect()).await;
    pair.memory();
    match std::env::var_os("MIXIN_RULES") {
        Some(file) => {
            let text = std::fs::read_to_string(&file).expect("MIXIN_RULES names a file");
            let expressions = expressions(&[(&Path::new(&file).display().to_string(), &text)]);
            pair.instants("mixin", &expressions).await;
        }
        None => line("etcd's mixin", "not measured: MIXIN_RULES names no file", ""),
    }
    for expression in RANGES {
        pair.range(expression).await;
    }
}

/// The shipped rules over one cluster of three members, and over a hundred.
async fn shipped(own: Vec<(Labels, f64)>) {
    let expressions = expressions(builtin::FILES);
    for clusters in [1, 100] {
        let pair = Pair::start(own_samples(&own, clusters)).await;
        pair.instants(&format!("shipped rules, {} members", 3 * clusters), &expressions)
            .await;
    }
}

fn expressions(files: &[(&str, &str)]) -> Vec<String> {
    let groups = files
        .iter()
        .flat_map(|(name, text)| rules::load(name, text).expect("the rules are good"));
    groups
        .flat_map(|group| group.rules)
        .map(|rule| rule.query().text().to_owned())
        .collect()
}

/// Three members with every series of a recorded page, counters growing, for an hour: one scrape after the other.
fn page_scrapes() -> impl Iterator<Item = Samples> {
    let zipped = &include_bytes!("../../tests/fixtures/etcd/metrics-3.5.30.txt.gz")[..];
    let mut page = String::new();
    flate2::read::GzDecoder::new(zipped)
        .read_to_string(&mut page)
        .expect("the fixture is text");
    let mut lines: Vec<(Labels, f64)> = Vec::new();
    exposition::parse(&page, |line| {
        let labels = line.labels.iter().map(|(name, value)| (*name, &**value));
        lines.push((Labels::new(labels).named(line.name), line.value));
    })
    .expect("the fixture is a page");
    let members: Vec<Vec<(Labels, f64)>> = (0..3)
        .map(|member| {
            let target = Labels::new([("job", "etcd"), ("cluster", "etcd")])
                .with("instance", &format!("10.0.0.{member}:2379"));
            let page = lines
                .iter()
                .map(|(labels, value)| (labels.merged(&target), *value));
            page.chain([(target.named("up"), 1.0)]).collect()
        })
        .collect();
    (0..HOUR / STEP).map(move |step| {
        let at = Timestamp::from_millis((END - HOUR + (step + 1) * STEP) * 1000);
        let samples = members.iter().flatten().map(|(labels, value)| {
            let name = labels.metric_name();
            let counts = ["_total", "_bucket", "_count", "_sum"]
                .iter()
                .any(|end| name.ends_with(end));
            let growth = if counts {
                step as f64 * (1.0 + value / 1000.0).floor()
            } else {
                (step % 7) as f64
            };
            (labels.clone(), value + growth)
        });
        (at, samples.collect())
    })
}

/// etcd-doctor's own series of one cluster of three, as so many clusters have them, for an hour.
fn own_samples(own: &[(Labels, f64)], clusters: usize) -> Vec<Samples> {
    const STEP: i64 = 30;
    let all: Vec<(Labels, f64)> = (0..clusters)
        .flat_map(|cluster| {
            own.iter()
                .map(move |(labels, value)| (labels.with("cluster", &format!("c{cluster}")), *value))
        })
        .collect();
    let steps = (0..HOUR / STEP).map(|step| {
        let at = Timestamp::from_millis((END - HOUR + (step + 1) * STEP) * 1000);
        let samples = all.iter().map(|(labels, value)| {
            let counts = ["_total", "_bucket", "_count", "_sum"]
                .iter()
                .any(|end| labels.metric_name().ends_with(end));
            (labels.clone(), if counts { value + step as f64 } else { *value })
        });
        (at, samples.collect())
    });
    steps.collect()
}

struct Pair {
    theirs: Prometheus,
    ours: SharedStore,
    samples: usize,
    /// Resident bytes that the samples took in Prometheus.
    their_bytes: f64,
}

impl Pair {
    async fn start(samples: Vec<Samples>) -> Self {
        let theirs = Prometheus::launch(
            "prometheus-3",
            &json!({}),
            &["--web.enable-remote-write-receiver"],
        )
        .await;
        let before = resident(theirs.pid());
        remote_write::send(&theirs.url(), &samples).await;
        Self {
            their_bytes: resident(theirs.pid()) - before,
            theirs,
            samples: samples.iter().map(|(_, samples)| samples.len()).sum(),
            ours: SharedStore::new(window_of(samples)),
        }
    }

    fn view(&self) -> View {
        View::new([("etcd".into(), self.ours.clone())], None)
    }

    fn memory(&self) {
        let each = |bytes: f64| format!("{:.1}", bytes / self.samples as f64);
        let measured = format!("{} (Prometheus {})", each(window_bytes()), each(self.their_bytes));
        let what = format!(
            "bytes a sample, {} series, {} samples",
            self.ours.read().series(),
            self.samples
        );
        line(&what, &measured, "");
    }

    /// The sum of the medians of all expressions.
    async fn instants(&self, what: &str, expressions: &[String]) {
        let at = Timestamp::from_millis(END * 1000);
        let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
        for expression in expressions {
            let query = Query::parse(expression).expect("it was parsed before");
            ours += timed(|| {
                let view = self.view();
                std::hint::black_box(
                    query
                        .instant(&view, at, &Options::default())
                        .expect("it can be evaluated"),
                );
            });
            theirs += self
                .ask(&format!("query?query={}&time={END}", escape(expression)))
                .await;
        }
        let measured = format!("{} (Prometheus {})", ms(ours), ms(theirs));
        line(
            &format!("{what}: {} expressions", expressions.len()),
            &measured,
            "faster than Prometheus",
        );
    }

    async fn range(&self, expression: &str) {
        let query = Query::parse(expression).expect("it is well formed");
        let [from, to] = [END - HOUR + STEP, END].map(|at| Timestamp::from_millis(at * 1000));
        let ours = timed(|| {
            let view = self.view();
            let series = query.range(
                &view,
                from,
                to,
                Duration::from_secs(STEP as u64),
                &Options::default(),
            );
            std::hint::black_box(series.expect("it can be evaluated"));
        });
        let path = format!(
            "query_range?query={}&start={}&end={END}&step={STEP}",
            escape(expression),
            END - HOUR + STEP
        );
        let measured = format!("{} (Prometheus {})", ms(ours), ms(self.ask(&path).await));
        line(
            &format!("1 h, 240 steps: {expression}"),
            &measured,
            "faster than Prometheus",
        );
    }

    /// How long Prometheus says that it took, the median.
    async fn ask(&self, path: &str) -> Duration {
        let url = format!("{}/api/v1/{path}&stats=all", self.theirs.url());
        let mut times = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            let answer: Value = get(&url).await.expect("Prometheus answers").json();
            let took = answer["data"]["stats"]["timings"]["evalTotalTime"].as_f64();
            times.push(Duration::from_secs_f64(
                took.unwrap_or_else(|| panic!("{path}: {}", answer["error"])),
            ));
        }
        median(&mut times)
    }
}

fn window_of(scrapes: impl IntoIterator<Item = Samples>) -> Store {
    let settings = store::Settings {
        window: Duration::from_secs(2 * HOUR as u64),
        max_series: 1_000_000,
        etcd_job: "etcd".to_owned(),
        instance: "doctor:9379".to_owned(),
    };
    let mut store = Store::new(settings, &[]);
    for (at, samples) in scrapes {
        store.advance(at);
        // The label sets are those of a page just read: not shared with what is held.
        let fresh = samples
            .iter()
            .map(|(labels, value)| (Labels::new(labels.iter()), *value));
        store.record("targets", at, fresh.collect());
    }
    store
}

/// Given to a process of its own, which then prints how many resident bytes the window of the pages takes: in one that has
/// freed memory before, it would be found again and not be counted.
pub const WINDOW_BYTES: &str = "--window-bytes";

pub fn print_window_bytes() {
    let mut scrapes = page_scrapes().peekable();
    // What is freed while the page is read would be found again.
    scrapes.peek();
    let before = resident(std::process::id());
    let store = window_of(scrapes);
    println!("{}", resident(std::process::id()) - before);
    drop(store);
}

fn window_bytes() -> f64 {
    let bench = std::env::current_exe().expect("this process has a program");
    let output = std::process::Command::new(bench)
        .args(["--bench", WINDOW_BYTES])
        .output()
        .expect("it can be started again");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .unwrap_or_else(|_| panic!("it printed no number: {text:?} {output:?}"))
}

fn timed(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    median(&mut times)
}

fn resident(pid: u32) -> f64 {
    let process = procfs::process::Process::new(pid as i32).and_then(|process| process.status());
    process
        .ok()
        .and_then(|status| status.vmrss)
        .map_or(0.0, |kib| kib as f64 * 1024.0)
}

/// The newest value of each of etcd-doctor's own series in a window.
pub fn newest(store: &Store) -> Vec<(Labels, f64)> {
    let selector = Query::parse(r#"{__name__=~"etcd_doctor_.+"}"#).expect("it is well formed");
    let matchers = selector.plain_selector().expect("it is a selector");
    let all = store.select(
        matchers,
        Timestamp::from_millis(i64::MIN),
        Timestamp::from_millis(i64::MAX),
    );
    let newest: BTreeMap<Labels, f64> = all
        .into_iter()
        .filter_map(|series| Some((series.labels.clone(), series.points.last()?.value)))
        .collect();
    newest.into_iter().collect()
}
