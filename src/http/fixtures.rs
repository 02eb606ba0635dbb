//! Literal snapshots, and the routes without a socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use super::{Cluster, Protection, State, Watched, router};
use crate::diagnosis::{Diagnosis, Status};
use crate::model::{Sample, Timestamp};
use crate::rules::RuleSet;
use crate::snapshot::Snapshot;
use crate::store::{self, SharedStore, Store};

/// When every request is made and, unless a test says otherwise, every snapshot.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A snapshot made now in which all is well.
pub(super) fn snapshot(cluster: &str) -> Snapshot {
    Snapshot {
        cluster: cluster.into(),
        time: NOW,
        took: Duration::from_millis(20),
        cycle: 1,
        samples: Vec::new(),
        diagnosis: Diagnosis {
            status: Status::Pass,
            summary: format!("the summary of {cluster}"),
            ..Diagnosis::unknown(cluster.into(), NOW)
        },
        reports: Vec::new(),
        rules: Arc::default(),
        outcomes: Vec::new(),
        afterwards: &[],
    }
}

/// The same, judged by the rules `Full`, which explains `Slow`; neither sees anything.
pub(super) fn judged(cluster: &str) -> Snapshot {
    let text = "groups: [{name: g, rules: [
        {alert: Full, expr: 'size > 10', labels: {severity: critical, category: quota}, annotations: {explains: Slow}},
        {alert: Slow, expr: 'size > 5', labels: {severity: warning, category: disk}}]}]";
    let groups = crate::rules::load("f.yaml", text).expect("test data");
    Snapshot {
        rules: Arc::new(RuleSet::new(groups)),
        ..snapshot(cluster)
    }
}

pub(super) fn with_samples(cluster: &str, samples: Vec<Sample>) -> Snapshot {
    Snapshot {
        samples,
        ..snapshot(cluster)
    }
}

pub(super) fn with_status(cluster: &str, status: Status) -> Snapshot {
    let mut snapshot = snapshot(cluster);
    snapshot.diagnosis.status = status;
    snapshot
}

/// A snapshot of the time of its diagnosis.
pub(super) fn of_diagnosis(diagnosis: Diagnosis) -> Snapshot {
    Snapshot {
        time: diagnosis.time,
        diagnosis: diagnosis.clone(),
        ..snapshot(&diagnosis.cluster)
    }
}

/// All routes over some clusters, asked without a socket.
pub(super) struct Api {
    pub(super) state: State,
    /// Who asks; this host unless a test says otherwise.
    pub(super) peer: Option<SocketAddr>,
    publishers: Vec<watch::Sender<Option<Arc<Snapshot>>>>,
    router: std::sync::OnceLock<axum::Router>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
    headers: HeaderMap,
}

impl Api {
    /// Over clusters that were each observed once; stale after 25 s.
    pub(super) fn of(snapshots: impl IntoIterator<Item = Snapshot>) -> Self {
        let snapshots: Vec<Snapshot> = snapshots.into_iter().collect();
        let api = Self::unobserved(snapshots.iter().map(|snapshot| &*snapshot.cluster));
        for (index, snapshot) in snapshots.into_iter().enumerate() {
            api.publish(index, snapshot);
        }
        api
    }

    /// Over clusters in whose first cycle we are.
    pub(super) fn unobserved<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let (clusters, publishers): (Vec<_>, Vec<_>) = names.into_iter().map(cluster).unzip();
        let watched = Watched {
            clusters,
            rules_digest: "0123abcd".to_owned(),
            support: Arc::default(),
        };
        Self {
            state: State {
                watched: watch::channel(Arc::new(watched)).1,
                reload: mpsc::channel(1).0,
                protection: Arc::new(Protection::none()),
                notifications: Arc::new(Vec::new),
                clock: || NOW,
            },
            peer: Some(([127, 0, 0, 1], 1).into()),
            publishers,
            router: std::sync::OnceLock::new(),
        }
    }

    /// Answers each reload like this.
    pub(super) fn answering_reloads(mut self, answer: Result<(), String>) -> Self {
        let (asked, mut requests) = mpsc::channel::<super::ReloadRequest>(1);
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                request.send(answer.clone()).expect("somebody waits for it");
            }
        });
        self.state.reload = asked;
        self
    }

    /// Ends another cycle of a cluster.
    pub(super) fn publish(&self, index: usize, snapshot: Snapshot) {
        self.publishers[index].send_replace(Some(Arc::new(snapshot)));
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(path, &[]).await
    }

    pub(super) async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", path, headers).await.into_text()
    }

    pub(super) async fn send(&self, method: &str, path: &str) -> Answer {
        self.request(method, path, &[]).await.into_text()
    }

    pub(super) async fn post_form(&self, path: &str, form: &str) -> Answer {
        let form_type = ("content-type", "application/x-www-form-urlencoded");
        self.post(path, &[form_type], form).await
    }

    pub(super) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let body = Body::from(body.to_owned());
        self.request_with("POST", path, headers, body).await.into_text()
    }

    pub(super) async fn bytes(&self, path: &str, headers: &[(&str, &str)]) -> Bytes {
        self.request("GET", path, headers).await.body
    }

    async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> RawAnswer {
        self.request_with(method, path, headers, Body::empty()).await
    }

    async fn request_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> RawAnswer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(peer) = self.peer {
            request = request.extension(ConnectInfo(peer));
        }
        let request = request.body(body).expect("a test's request is well formed");
        let router = self.router.get_or_init(|| router(self.state.clone())).clone();
        let response = router.oneshot(request).await.expect("a router never fails");
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await;
        RawAnswer {
            status: head.status,
            headers: head.headers,
            body: body.expect("a body in memory never fails"),
        }
    }
}

struct RawAnswer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl RawAnswer {
    fn into_text(self) -> Answer {
        Answer {
            status: self.status,
            headers: self.headers,
            body: String::from_utf8(self.body.to_vec()).expect("every body is UTF-8"),
        }
    }
}

impl Answer {
    /// All values of a header, joined.
    pub(super) fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter();
        let values: Vec<&str> = values.map(|value| value.to_str().unwrap_or("?")).collect();
        values.join(", ")
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

fn window() -> store::Settings {
    store::Settings {
        window: Duration::from_secs(3600),
        max_series: 1000,
        etcd_job: "etcd".to_owned(),
        instance: "doctor:9379".to_owned(),
    }
}

fn cluster(name: &str) -> (Cluster, watch::Sender<Option<Arc<Snapshot>>>) {
    let (publisher, snapshots) = watch::channel(None);
    let cluster = Cluster {
        name: name.into(),
        snapshots,
        window: SharedStore::new(Store::new(window(), &[])),
        interval: Duration::from_secs(5),
        stale_after: Duration::from_secs(25),
    };
    (cluster, publisher)
}
