//! The parts of one cycle, each by itself, on what a real cluster of three says: in this process, without waiting.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use etcd_doctor::client::Connection;
use etcd_doctor::collect::{self, Collection};
use etcd_doctor::cycle::{self, Cycle};
use etcd_doctor::diagnosis::{self, Inputs};
use etcd_doctor::http;
use etcd_doctor::model::{Batch, Labels};
use etcd_doctor::promql::{Patience, Query};
use etcd_doctor::rules::convention::check_convention;
use etcd_doctor::rules::{self, Evaluator, RuleSet, builtin};
use etcd_doctor::snapshot::Snapshot;
use etcd_doctor::store::{self, Store};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use crate::{line, median, ms};

/// Between two cycles: the window's time, not the clock's.
const STEP: Duration = Duration::from_secs(5);
/// A full window of an hour.
const CYCLES: usize = 720;
/// Of these the medians are.
const MEASURED: usize = 200;
const SCRAPES: usize = 300;

/// Gives back etcd-doctor's own series of the cluster with their newest values.
pub async fn run(endpoints: &[String]) -> Vec<(Labels, f64)> {
    loading();
    let shipped = load(builtin::FILES);
    let batches = observe(endpoints, &shipped).await;
    let own = cycle_of(&batches, shipped.clone());
    pages(endpoints, shipped).await;
    if let Some(file) = std::env::var_os("MIXIN_RULES") {
        mixin(endpoints, Path::new(&file)).await;
    }
    own
}

/// What a start and a one-shot diagnosis pay before they ask anybody.
fn loading() {
    let timed = |what: &str, work: &dyn Fn()| {
        let mut times: Vec<Duration> = (0..20)
            .map(|_| {
                let start = Instant::now();
                work();
                start.elapsed()
            })
            .collect();
        line(what, &ms(median(&mut times)), "");
    };
    timed("loading the shipped rules", &|| drop(load(builtin::FILES)));
    let shipped = load(builtin::FILES);
    timed("checking their conventions", &|| drop(check_convention(&shipped)));
    timed("parsing one expression", &|| {
        drop(Query::parse("max by (cluster) (rate(x[5m])) > 1"))
    });
}

fn load(files: &[(&str, &str)]) -> Arc<RuleSet> {
    let groups = files.iter().flat_map(|(name, text)| {
        let loaded = rules::load(name, text);
        loaded.unwrap_or_else(|errors| panic!("{errors:?}"))
    });
    Arc::new(RuleSet::new(groups.collect()))
}

fn connection(endpoints: &[String]) -> Connection {
    Connection {
        endpoints: endpoints.to_vec(),
        ..Connection::default()
    }
}

fn window() -> store::Settings {
    store::Settings {
        window: STEP * CYCLES as u32,
        max_series: 100_000,
        etcd_job: "etcd".to_owned(),
        instance: "localhost:9379".to_owned(),
    }
}

/// What the collectors see, again and again, as if 5 s had passed each time.
async fn observe(endpoints: &[String], rules: &RuleSet) -> Vec<Batch> {
    let names = rules
        .selectors()
        .iter()
        .filter_map(|selector| selector.metric.clone());
    let settings = collect::Settings {
        page_metrics: Some(Arc::new(names.collect::<BTreeSet<String>>())),
        ..collect::Settings::default()
    };
    let mut collection =
        Collection::new("etcd", &connection(endpoints), settings).expect("the settings are well formed");
    let (mut batches, mut times) = (Vec::new(), Vec::new());
    let mut now = cycle::now();
    for _ in 0..CYCLES {
        let start = Instant::now();
        batches.push(collection.cycle(now).await);
        times.push(start.elapsed());
        now = now.plus(STEP);
    }
    line(
        "collecting from 3 members and their host",
        &ms(median(&mut times)),
        "",
    );
    batches
}

fn cycle_of(batches: &[Batch], rules: Arc<RuleSet>) -> Vec<(Labels, f64)> {
    let providers = cycle::providers();
    let mut store = Store::new(window(), rules.selectors());
    let mut evaluator = Evaluator::new(rules.clone());
    let (mut appends, mut evaluations, mut diagnoses) = (Vec::new(), Vec::new(), Vec::new());
    for batch in batches {
        let start = Instant::now();
        store.append(batch);
        appends.push(start.elapsed());

        let start = Instant::now();
        let reports = evaluator.evaluate(&mut store, batch.time);
        evaluations.push(start.elapsed());

        let start = Instant::now();
        let diagnosis = diagnosis::diagnose(&Inputs {
            rules: &rules,
            reports: &reports,
            batch,
            source: &store,
            patience: &Patience::default(),
            providers: &providers,
            watched_for: Duration::from_secs(3600),
            ends_after: None,
        });
        diagnoses.push(start.elapsed());
        std::hint::black_box(diagnosis);
    }
    let last = |times: &[Duration]| ms(median(&mut times[times.len() - MEASURED..].to_vec()));
    let series = format!("{} ({} series, full window)", last(&appends), store.series());
    line("appending a cycle to the window", &series, "");
    let count = rules.rules().count();
    line(
        &format!("evaluating the {count} shipped rules over 3 members"),
        &last(&evaluations),
        "< 2 ms",
    );
    line("diagnosing: causes, evidence, coverage", &last(&diagnoses), "");
    crate::side_by_side::newest(&store)
}

/// `/metrics` without a socket: the first scrape after a cycle, and further ones until the next.
async fn pages(endpoints: &[String], rules: Arc<RuleSet>) {
    let settings = cycle::Settings {
        cluster: "etcd".into(),
        connection: connection(endpoints),
        collect: collect::Settings::default(),
        store: window(),
        external_labels: Labels::empty(),
        external_url: String::new(),
        state_dir: None,
    };
    let mut cycle = Cycle::new(settings, rules, STEP).expect("the settings are well formed");
    let (publish, snapshots) = watch::channel(None);
    let watched = http::Watched {
        clusters: vec![http::Cluster {
            name: "etcd".into(),
            snapshots,
            window: cycle.window(),
            interval: STEP,
            stale_after: Duration::from_secs(3600),
        }],
        rules_digest: String::new(),
        support: Arc::default(),
    };
    let router = http::router(http::State {
        watched: watch::channel(Arc::new(watched)).1,
        reload: mpsc::channel(1).0,
        protection: Arc::new(http::Protection::none()),
        notifications: Arc::new(Vec::new),
        clock: cycle::now,
    });
    for (form, encoding) in [("plain", "identity"), ("gzip", "gzip")] {
        let (mut first, mut further) = (Vec::new(), Vec::new());
        for _ in 0..SCRAPES / 10 {
            let snapshot: Snapshot = cycle.run_once(cycle::now()).await;
            publish.send_replace(Some(Arc::new(snapshot)));
            first.push(scrape(&router, encoding).await);
            for _ in 0..9 {
                further.push(scrape(&router, encoding).await);
            }
        }
        let measured = format!(
            "{} (first after a cycle {})",
            ms(median(&mut further)),
            ms(median(&mut first))
        );
        line(
            &format!("rendering /metrics, {form}, in process"),
            &measured,
            "median < 1 ms",
        );
    }
}

async fn scrape(router: &Router, encoding: &str) -> Duration {
    let request = axum::http::Request::get("/metrics")
        .header("accept", "application/openmetrics-text;version=1.0.0")
        .header("accept-encoding", encoding)
        .extension(ConnectInfo(std::net::SocketAddr::from(([127, 0, 0, 1], 1))));
    let request = request.body(Body::empty()).expect("the request is well formed");
    let start = Instant::now();
    let response = router
        .clone()
        .oneshot(request)
        .await
        .expect("a router never fails");
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    let took = start.elapsed();
    assert!(body.is_ok_and(|body| !body.is_empty()));
    took
}

/// The rules of etcd's own mixin over the members' own pages.
async fn mixin(endpoints: &[String], file: &Path) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let rules = load(&[(&file.display().to_string(), &text)]);
    let batches = observe(endpoints, &rules).await;
    let mut store = Store::new(window(), rules.selectors());
    let mut evaluator = Evaluator::new(rules.clone());
    let mut times = Vec::new();
    for batch in &batches {
        store.append(batch);
        let start = Instant::now();
        std::hint::black_box(evaluator.evaluate(&mut store, batch.time));
        times.push(start.elapsed());
    }
    let measured = ms(median(&mut times[batches.len() - MEASURED..].to_vec()));
    let what = format!(
        "evaluating the {} rules of {}",
        rules.rules().count(),
        file.display()
    );
    line(
        &what,
        &format!("{measured} ({} series)", store.series()),
        "< 5 ms",
    );
}
