//! A real Prometheus and the routes of etcd-doctor, with the same series.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use etcd_doctor::http::{self, Cluster, State, Watched};
use etcd_doctor::model::Timestamp;
use etcd_doctor::promql::Window;
use etcd_doctor::store::{self, SharedStore, Store};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use super::{compare, data, drift, remote_write, written};
use crate::support::{Prometheus, escape, get};

/// A question.
#[derive(Clone)]
pub struct Ask {
    expr: String,
    when: When,
}

/// Seconds since the epoch.
#[derive(Clone, Copy)]
pub enum When {
    At(f64),
    Range { from: f64, to: f64, step: f64 },
}

/// Both, and what was asked so far.
pub struct Pair {
    theirs: Prometheus,
    ours: Router,
    asked: Cell<usize>,
    with_result: Cell<usize>,
    drifted: RefCell<BTreeMap<&'static str, usize>>,
}

/// What came back: the status code and the body.
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Ask {
    pub fn new(expr: String, when: When) -> Self {
        Self { expr, when }
    }

    /// At one time, and over a range.
    pub fn both(expr: String) -> Vec<Self> {
        let end = data::END as f64;
        let range = When::Range {
            from: end - 3600.0,
            to: end - 600.0,
            step: 60.0,
        };
        vec![
            Self::new(expr.clone(), When::At(end - 60.0)),
            Self::new(expr, range),
        ]
    }

    /// Over ten minutes every ten seconds, as the compliance test asks.
    pub fn compliance(expr: String) -> Self {
        let end = data::END as f64 - 120.0;
        Self::new(
            expr,
            When::Range {
                from: end - 600.0,
                to: end,
                step: 10.0,
            },
        )
    }

    /// The same question for another expression.
    pub fn with(&self, expr: String) -> Self {
        Self {
            expr,
            when: self.when,
        }
    }

    fn path(&self) -> String {
        let expr = escape(&self.expr);
        match self.when {
            When::At(at) => format!("/api/v1/query?query={expr}&time={at}"),
            When::Range { from, to, step } => {
                format!("/api/v1/query_range?query={expr}&start={from}&end={to}&step={step}")
            }
        }
    }
}

impl Pair {
    pub async fn start() -> Self {
        let scrapes = data::scrapes();
        let config = json!({"global": {"evaluation_interval": "1m"}});
        let theirs =
            Prometheus::launch("prometheus-3", &config, &["--web.enable-remote-write-receiver"]).await;
        remote_write::send(&theirs.url(), &data::with_ends(&scrapes)).await;
        Self {
            theirs,
            ours: ours(scrapes),
            asked: Cell::default(),
            with_result: Cell::default(),
            drifted: RefCell::default(),
        }
    }

    /// How many questions were asked.
    pub fn asked(&self) -> usize {
        self.asked.get()
    }

    /// To how many of them the answer was not empty and no error.
    pub fn with_result(&self) -> usize {
        self.with_result.get()
    }

    /// The differences that have a known reason: why, and how many.
    pub fn drifted(&self) -> Vec<(&'static str, usize)> {
        self.drifted
            .borrow()
            .iter()
            .map(|(reason, count)| (*reason, *count))
            .collect()
    }

    /// What differs, of many questions.
    pub async fn all(&self, asks: impl IntoIterator<Item = Ask>) -> Vec<String> {
        let mut differences = Vec::new();
        for ask in asks {
            differences.extend(self.difference(&ask).await);
        }
        differences
    }

    /// What differs between the two answers, with the question; none when nothing does.
    pub async fn difference(&self, ask: &Ask) -> Option<String> {
        let path = ask.path();
        let (theirs, ours) = self.ask(&path).await;
        self.asked.set(self.asked.get() + 1);
        let any = theirs.body["data"]["result"]
            .as_array()
            .is_some_and(|result| !result.is_empty());
        self.with_result.set(self.with_result.get() + usize::from(any));
        let why = compare::difference(&ask.expr, &theirs, &ours)?;
        if let Some(reason) = drift::reason(&ask.expr, &theirs, &ours) {
            *self.drifted.borrow_mut().entry(reason).or_default() += 1;
            return None;
        }
        Some(format!("{}\n  {path}\n  {why}", ask.expr))
    }

    /// What differs in the other routes, and in what mistakes are answered.
    pub async fn pages(&self) -> Vec<String> {
        let mut differences = Vec::new();
        for path in written::pages() {
            let (theirs, ours) = self.ask(&path).await;
            differences.extend(compare::page(&theirs, &ours).map(|why| format!("{path}\n  {why}")));
        }
        differences
    }

    async fn ask(&self, path: &str) -> (Answer, Answer) {
        let theirs = get(&format!("{}{path}", self.theirs.url())).await.unwrap();
        let theirs = Answer {
            status: theirs.status,
            body: theirs.json(),
        };
        let request = axum::http::Request::get(path).body(Body::empty()).unwrap();
        let response = self
            .ours
            .clone()
            .oneshot(request)
            .await
            .expect("a router never fails");
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        let body = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body:?}"));
        (theirs, Answer { status, body })
    }
}

/// The routes over a window with these scrapes.
fn ours(scrapes: Vec<data::Scrape>) -> Router {
    let settings = store::Settings {
        window: Duration::from_secs(2 * data::SPAN as u64),
        max_series: 100_000,
        etcd_job: "etcd".to_owned(),
        instance: "doctor:9379".to_owned(),
    };
    let mut store = Store::new(settings, &[]);
    for scrape in scrapes {
        store.advance(scrape.at);
        store.record(&scrape.target, scrape.at, scrape.samples);
    }
    let cluster = Cluster {
        name: "prod".into(),
        snapshots: watch::channel(None).1,
        window: SharedStore::new(store),
        interval: Duration::from_secs(15),
        stale_after: Duration::from_secs(60),
    };
    let watched = Watched {
        clusters: vec![cluster],
        ..Watched::default()
    };
    http::router(State {
        watched: watch::channel(Arc::new(watched)).1,
        reload: mpsc::channel(1).0,
        protection: std::sync::Arc::new(http::Protection::none()),
        notifications: Arc::new(Vec::new),
        clock: || Timestamp::from_millis(data::END * 1000),
    })
}
