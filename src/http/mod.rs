//! HTTP: the routes. Handlers read the last snapshots and never call etcd.
//!
//! | route | gives |
//! |---|---|
//! | `GET /` | the page: clusters, members, problems, charts (`?cluster=`); no external assets |
//! | `GET /alerts`, `/alerts/{alert}` | the pages of all alerts and of one: parts, history, relatives (`?cluster=`) |
//! | `GET /expression` | the page of one expression (`?expr=`): its present values and its last hour |
//! | `GET /assets/page.js` | the script of both |
//! | `GET /metrics` | OpenMetrics 1.0 or text 0.0.4, as `Accept` asks; gzip |
//! | `GET /api/v1/diagnosis` | the diagnosis (`?cluster=`, `?format=json\|text\|markdown`) |
//! | `GET /api/v1/diagnosis/schema` | its JSON Schema |
//! | `GET /api/v1/explanation` | one alert looked at closely (`?alert=`, `?cluster=`, `?format=json\|text`) |
//! | `GET /api/v1/health` | `application/health+json`; 503 when something critical fires |
//! | `/api/v1/query`, `/query_range`, `/series`, `/labels`, `/label/{name}/values`, `/rules`, `/alerts`, `/metadata`, `/status/buildinfo` | Prometheus' HTTP API over the windows of all clusters; `POST` too where Prometheus takes it |
//! | `GET /api/v1/sd` | the members as targets for Prometheus' HTTP service discovery (`?cluster=`) |
//! | `GET /api/v1/bundle` | all that the diagnosis was made from, as a file (`?cluster=`) |
//! | `GET /runbooks/{alert}` | the runbook of a shipped alert as a page, with `.md` behind it as it is written |
//! | `GET /-/healthy` | 200 as long as the process answers |
//! | `GET /-/ready` | 503 until every cluster was observed, and when observations have stopped |
//! | `POST /-/reload` | reads the configuration anew; from this host only, unless enabled |
//!
//! `HEAD` works wherever `GET` does. Every error is JSON: see [`error::ApiError`]. Where the operator wants TLS, users or a
//! rate (`--web.config.file`), they hold for every route.

pub mod error;

mod admin;
mod assets;
mod bundle;
mod diagnosis;
mod explanation;
mod exposition;
mod health;
mod instruments;
mod layers;
mod metrics;
mod negotiate;
mod page;
mod process;
mod prometheus_api;
mod protection;
mod runbooks;
mod sd;
mod seen;
mod server;

#[cfg(test)]
mod fixtures;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::FromRef;
use axum::http::Uri;
use axum::routing::{get, post};
use tokio::sync::{mpsc, oneshot, watch};

use crate::bundle::Secrets;
use crate::model::{Desc, Sample, Timestamp};
use crate::snapshot::Snapshot;
use crate::store::{SharedStore, View};

use self::error::ApiError;
use self::prometheus_api as prom;
pub use self::protection::{Protection, ProtectionError};
pub use self::server::{BindError, bind, serve};

/// Every route, for the answer to an unknown one. The table above says what each gives.
const ROUTES: &[&str] = &[
    "/",
    "/alerts",
    "/alerts/{alert}",
    "/expression",
    "/assets/{name}",
    "/metrics",
    "/api/v1/diagnosis",
    "/api/v1/diagnosis/schema",
    "/api/v1/explanation",
    "/api/v1/health",
    "/api/v1/bundle",
    "/api/v1/sd",
    "/api/v1/query",
    "/api/v1/query_range",
    "/api/v1/series",
    "/api/v1/labels",
    "/api/v1/label/{name}/values",
    "/api/v1/rules",
    "/api/v1/alerts",
    "/api/v1/metadata",
    "/api/v1/status/buildinfo",
    "/runbooks/{alert}",
    "/-/healthy",
    "/-/ready",
    "/-/reload",
];

/// Metrics of the server itself, on `/metrics` beside those of the clusters. Their labels are complete: no runner adds
/// any.
pub fn descs() -> impl Iterator<Item = &'static Desc> {
    let own = [
        &metrics::BUILD_INFO,
        &metrics::SNAPSHOT_AGE,
        &instruments::REQUESTS,
    ];
    let own = own.into_iter().chain(process::DESCS.iter().copied());
    own.chain(protection::DESCS)
}

/// A request to read the configuration anew. The answer says what was wrong with it; the old one stays then.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// What the handlers read.
#[derive(Clone)]
pub struct State {
    /// What is watched. A reload that takes effect sends it anew.
    pub watched: watch::Receiver<Arc<Watched>>,
    /// Where a reload is asked for.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// Who may ask, and how.
    pub protection: Arc<Protection>,
    /// Series for `/metrics` about what was sent elsewhere.
    pub notifications: Arc<dyn Fn() -> Vec<Sample> + Send + Sync>,
    /// The time, for the age of what is shown.
    pub clock: fn() -> Timestamp,
}

/// What is watched, as one configuration has it.
#[derive(Clone, Default)]
pub struct Watched {
    /// The clusters, in the order of the configuration.
    pub clusters: Vec<Cluster>,
    /// A digest of the rules in force: two reports of one digest were judged alike.
    pub rules_digest: String,
    /// What a support bundle tells besides.
    pub support: Arc<Support>,
}

/// What a support bundle tells of this etcd-doctor.
#[derive(Default)]
pub struct Support {
    /// The configuration as YAML, without secrets.
    pub config: String,
    /// What must not be in a bundle.
    pub secrets: Secrets,
    /// The rule files in force, names and texts.
    pub rules: Arc<[(String, String)]>,
}

/// One cluster that is watched.
#[derive(Clone)]
pub struct Cluster {
    /// Its name, as in the label `cluster`.
    pub name: Arc<str>,
    /// Its last snapshot; none until the first cycle is done.
    pub snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    /// Its window.
    pub window: SharedStore,
    /// How often it is observed, and its rules are evaluated.
    pub interval: Duration,
    /// From which age on a snapshot says nothing of the present: its series are left out of `/metrics`, the page and
    /// the health say so, and `/-/ready` fails. Some cycles long, so that one slow cycle is not taken for a stall.
    pub stale_after: Duration,
}

impl State {
    /// The windows of all clusters as they are now.
    fn windows(&self, deadline: Option<Instant>) -> View {
        let watched = self.watched.borrow();
        let windows = watched.clusters.iter();
        View::new(
            windows.map(|cluster| (cluster.name.clone(), cluster.window.clone())),
            deadline,
        )
    }
}

/// What the router hands to its handlers.
#[derive(Clone)]
struct App {
    state: State,
    exposition: Arc<metrics::Page>,
    queries: prom::Queries,
    bundles: bundle::Turns,
}

impl FromRef<App> for State {
    fn from_ref(app: &App) -> Self {
        app.state.clone()
    }
}

/// All routes, with their limits and headers. Serve it with [`serve`], which tells the handlers who asks.
pub fn router(state: State) -> Router {
    let requests = instruments::Requests::default();
    let protection = Arc::clone(&state.protection);
    let app = App {
        exposition: Arc::new(metrics::Page::new(&requests, Arc::clone(&state.protection))),
        queries: prom::Queries::default(),
        bundles: bundle::Turns::default(),
        state,
    };
    let routes = Router::new()
        .route("/", get(page::page))
        .route("/expression", get(page::expression::page))
        .route("/assets/{name}", get(assets::asset))
        .route("/metrics", get(metrics::metrics))
        .route("/api/v1/diagnosis", get(diagnosis::diagnosis))
        .route("/api/v1/diagnosis/schema", get(diagnosis::schema))
        .route("/api/v1/health", get(health::health))
        .route("/api/v1/bundle", get(bundle::bundle))
        .route("/api/v1/sd", get(sd::targets))
        .route("/api/v1/query", get(prom::query).post(prom::query))
        .route(
            "/api/v1/query_range",
            get(prom::query_range).post(prom::query_range),
        )
        .route("/api/v1/series", get(prom::series).post(prom::series))
        .route("/api/v1/labels", get(prom::labels).post(prom::labels))
        .route("/api/v1/label/{name}/values", get(prom::label_values))
        .route("/api/v1/rules", get(prom::rules))
        .route("/api/v1/alerts", get(prom::alerts))
        .route("/api/v1/metadata", get(prom::metadata))
        .route("/api/v1/status/buildinfo", get(prom::build_info))
        .route("/alerts", get(page::alert::list))
        .route("/alerts/{alert}", get(page::alert::page))
        .route("/api/v1/explanation", get(explanation::explanation))
        .route("/runbooks/{alert}", get(runbooks::runbook))
        .route("/-/healthy", get(admin::healthy))
        .route("/-/ready", get(admin::ready))
        .route("/-/reload", post(admin::reload).put(admin::reload))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .with_state(app);
    layers::apply(routes, requests, protection)
}

async fn unknown_route(uri: Uri) -> ApiError {
    ApiError::not_found(format!(
        "there is no {}; known routes: {}",
        uri.path(),
        ROUTES.join(" ")
    ))
}

async fn unknown_method(method: axum::http::Method, uri: Uri) -> ApiError {
    ApiError::method_not_allowed(format!(
        "{} does not take {method}; the header Allow names what it takes",
        uri.path()
    ))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::fixtures::{Api, judged, snapshot};
    use super::*;

    #[tokio::test]
    async fn every_listed_route_exists_and_answers_head() {
        let api = Api::of([judged("etcd")]);
        for route in ROUTES {
            let name = if route.starts_with("/assets") {
                "page.js"
            } else {
                "job"
            };
            let alert = if route.starts_with("/alerts") {
                "Full"
            } else {
                "EtcdNoLeader"
            };
            let path = route.replace("{alert}", alert).replace("{name}", name);
            let path = match *route {
                "/api/v1/explanation" => format!("{path}?alert=Full"),
                "/api/v1/query" => format!("{path}?query=1"),
                "/api/v1/query_range" => format!("{path}?query=1&start=0&end=1&step=1"),
                "/api/v1/series" => format!("{path}?match[]=up"),
                _ => path,
            };
            let answer = api.send("HEAD", &path).await;
            let expected = match *route {
                "/-/reload" => StatusCode::METHOD_NOT_ALLOWED,
                // Its members are none, and an empty list would be taken for the truth.
                "/api/v1/sd" => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::OK,
            };
            assert_eq!(answer.status, expected, "{route}");
            assert_eq!(answer.body, "", "{route}");
        }
    }

    #[tokio::test]
    async fn an_unknown_route_names_the_known_ones() {
        let answer = Api::of([snapshot("etcd")]).get("/metric").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let error = answer.json();
        assert_eq!(error["status"], "error");
        assert_eq!(error["errorType"], "not_found");
        assert_eq!(
            error["error"],
            format!("there is no /metric; known routes: {}", ROUTES.join(" "))
        );
    }

    #[tokio::test]
    async fn a_wrong_method_is_told_the_right_ones() {
        let answer = Api::of([snapshot("etcd")]).send("DELETE", "/metrics").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.header("allow"), "GET,HEAD");
        assert_eq!(answer.json()["errorType"], "method_not_allowed");
    }
}
