//! Where input from outside goes in: each takes any bytes. `fuzz/` includes this file.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use etcd_doctor::client::exposition;
use etcd_doctor::http::{self, Cluster, State, Watched};
use etcd_doctor::model::{Labels, Timestamp};
use etcd_doctor::promql::{Options, Window};
use etcd_doctor::rules::convention::check_convention;
use etcd_doctor::rules::{self, Evaluator, RuleSet, Scope, Template};
use etcd_doctor::store::{self, SharedStore, Store};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// More than any text of a rule has, and less than would hurt.
const MAX_TEXT: usize = 16 << 20;

/// A member's metrics page.
pub fn page(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = 0;
    let _ = exposition::parse(text, |line| lines += 1 + line.labels.len());
    assert!(lines <= text.len(), "more than there is");
}

/// A rule file, with one evaluation of its rules.
pub fn rule_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(groups) = rules::load("hostile.yaml", text) else {
        return;
    };
    let rules = RuleSet::new(groups);
    check_convention(&rules);
    let environment = rules::Environment {
        options: options(),
        ..rules::Environment::default()
    };
    let mut store = store();
    Evaluator::with_environment(Arc::new(rules), environment).evaluate(&mut store, NOW);
}

/// A template of a label or an annotation.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(template) = Template::parse(text) else {
        return;
    };
    let labels = Labels::new([("__name__", "up"), ("instance", "a:1")]);
    let (store, options, empty) = (store(), options(), Labels::empty());
    let scope = Scope {
        source: &store,
        at: NOW,
        options: &options,
        external_labels: &empty,
        external_url: "http://localhost",
    };
    for value in [1.0, -1e300, f64::NAN] {
        let expanded = template.expand_or_complain(&labels, value, &scope);
        assert!(expanded.len() <= MAX_TEXT, "a text of {} bytes", expanded.len());
    }
}

/// The parameters of a query, as they stand behind the `?`: `query` and `query_range` are asked, and the list of series.
pub fn query(data: &[u8]) {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> =
        LazyLock::new(|| tokio::runtime::Runtime::new().expect("a runtime can be made"));
    static ROUTER: LazyLock<Router> = LazyLock::new(router);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for route in ["query", "query_range", "series", "labels", "rules"] {
        let Ok(request) = axum::http::Request::get(format!("/api/v1/{route}?{text}")).body(Body::empty())
        else {
            return;
        };
        let response = RUNTIME
            .block_on(ROUTER.clone().oneshot(request))
            .expect("a router never fails");
        let status = response.status().as_u16();
        assert!(
            [200, 400, 422, 503].contains(&status),
            "{route} answered {status}"
        );
    }
}

/// A tenth of what a server allows, so that many inputs can be tried.
fn options() -> Options {
    Options {
        max_samples: 100_000,
        ..Options::default()
    }
}

fn store() -> Store {
    let settings = store::Settings {
        window: Duration::from_secs(3600),
        max_series: 1000,
        etcd_job: "etcd".to_owned(),
        instance: "doctor:9379".to_owned(),
    };
    let mut store = Store::new(settings, &[]);
    for step in 0..40_u32 {
        let at = NOW.minus(Duration::from_secs(15) * (40 - step));
        store.advance(at);
        let series = |name: &str, instance: &str, le: &str| {
            Labels::new([("job", "etcd"), ("instance", instance), ("le", le)]).named(name)
        };
        let samples = vec![
            (series("up", "a:1", ""), 1.0),
            (series("up", "b:1", ""), f64::from(step % 2)),
            (series("took_bucket", "a:1", "0.5"), f64::from(step)),
            (series("took_bucket", "a:1", "+Inf"), f64::from(2 * step)),
            (
                series("odd", "a:1", ""),
                if step % 3 == 0 { f64::NAN } else { f64::INFINITY },
            ),
        ];
        store.record("targets", at, samples);
    }
    store
}

fn router() -> Router {
    let cluster = Cluster {
        name: "etcd".into(),
        snapshots: watch::channel(None).1,
        window: SharedStore::new(store()),
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
        clock: || NOW,
    })
}
