//! `GET /api/v1/health`: the verdict for load balancers and probes, as `application/health+json`.

use axum::extract::State as Extract;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::seen::Seen;
use super::{State, diagnosis};
use crate::diagnosis::{Diagnosis, Severity, Status};

/// The body, as draft-inadarei-api-health-check-06 has it.
#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    #[serde(rename = "releaseId")]
    release: &'static str,
    description: &'static str,
    checks: Checks,
}

#[derive(Serialize)]
struct Checks {
    #[serde(rename = "cluster:status")]
    clusters: Vec<Check>,
}

/// One cluster. `observedValue` is the diagnosis' own word, which may be `unknown`; `status` has only the draft's three.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    component_id: String,
    component_type: &'static str,
    status: &'static str,
    observed_value: &'static str,
    output: String,
    time: String,
}

pub(super) async fn health(Extract(state): Extract<State>) -> Response {
    let diagnoses: Vec<Diagnosis> = state.look().iter().map(Seen::diagnosis).collect();
    let critical = diagnoses
        .iter()
        .any(|diagnosis| diagnosis.worst() == Some(Severity::Critical));
    // A cluster of which no member answers is unknown, and yet it pages: for a load balancer it is down.
    let worst = if critical {
        Status::Fail
    } else {
        diagnosis::report(&state, &diagnoses).status()
    };
    let body = Health {
        status: word(worst),
        version: "1",
        release: env!("CARGO_PKG_VERSION"),
        description: "Health of the etcd clusters that etcd-doctor watches",
        checks: Checks {
            clusters: diagnoses.into_iter().map(check).collect(),
        },
    };
    let code = match worst {
        Status::Fail => StatusCode::SERVICE_UNAVAILABLE,
        Status::Pass | Status::Warn | Status::Unknown => StatusCode::OK,
    };
    let mut response = (code, axum::Json(body)).into_response();
    let content_type = HeaderValue::from_static("application/health+json");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn check(diagnosis: Diagnosis) -> Check {
    Check {
        component_id: diagnosis.cluster.to_string(),
        component_type: "datastore",
        status: word(diagnosis.status),
        observed_value: diagnosis.status.as_str(),
        output: diagnosis.summary,
        time: diagnosis.time.to_string(),
    }
}

/// What cannot be said is a warning: never fine, and no proof that requests fail.
fn word(status: Status) -> &'static str {
    match status {
        Status::Unknown => Status::Warn.as_str(),
        known => known.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixtures::{Api, snapshot, with_status};
    use super::*;
    use crate::render::fixture;

    #[tokio::test]
    async fn the_worst_cluster_decides_and_only_failure_is_503() {
        use Status::{Fail, Pass, Unknown, Warn};
        for (statuses, code, word) in [
            (vec![Pass, Pass], 200, "pass"),
            (vec![Pass, Warn], 200, "warn"),
            (vec![Unknown, Pass], 200, "warn"),
            (vec![Fail, Unknown], 503, "fail"),
            (vec![], 200, "warn"),
        ] {
            let api = Api::of(statuses.iter().map(|status| with_status("c", *status)));
            let answer = api.get("/api/v1/health").await;
            assert_eq!(
                (answer.status.as_u16(), &answer.json()["status"]),
                (code, &word.into())
            );
            assert_eq!(answer.header("content-type"), "application/health+json");
        }
    }

    #[tokio::test]
    async fn a_cluster_that_pages_is_503_even_when_nobody_answers() {
        let mut dead = with_status("c", Status::Unknown);
        dead.diagnosis.problems = fixture::quorum_lost().problems;
        assert_eq!(Api::of([dead]).get("/api/v1/health").await.status.as_u16(), 503);
    }

    #[tokio::test]
    async fn each_cluster_is_told_with_its_summary() {
        let api = Api::of([
            with_status("one", Status::Fail),
            with_status("two", Status::Unknown),
        ]);
        let body = api.get("/api/v1/health").await.json();
        let checks = &body["checks"]["cluster:status"];
        assert_eq!(checks[0]["componentId"], "one");
        assert_eq!(checks[0]["status"], "fail");
        assert_eq!(checks[0]["output"], "the summary of one");
        assert_eq!(checks[0]["time"], "2023-11-14T22:13:20.000Z");
        assert_eq!(checks[1]["status"], "warn");
        assert_eq!(checks[1]["observedValue"], "unknown");
    }

    #[tokio::test]
    async fn an_old_pass_is_no_pass() {
        let mut old = snapshot("etcd");
        old.time = old.time.minus(Duration::from_secs(60));
        let body = Api::of([old]).get("/api/v1/health").await.json();
        assert_eq!(body["status"], "warn");
        let output = &body["checks"]["cluster:status"][0]["output"];
        assert_eq!(
            output,
            "cluster etcd was last observed 60 s ago: its cycles have stalled, see the log"
        );
    }

    #[tokio::test]
    async fn a_cluster_not_yet_observed_is_a_warning() {
        let body = Api::unobserved(["etcd"]).get("/api/v1/health").await.json();
        assert_eq!(body["status"], "warn");
        let output = &body["checks"]["cluster:status"][0]["output"];
        assert_eq!(output, "cluster etcd has not been observed yet");
    }
}
