//! `GET /api/v1/bundle`: all that the diagnosis was made from, as a file to hand on.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Extract};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE as TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::diagnosis::report;
use super::error::ApiError;
use super::{App, Cluster, State};
use crate::bundle::{self, Bundle, Recording, WriteError};
use crate::diagnosis::Diagnosis;
use crate::render::json;
use crate::snapshot::Snapshot;

/// A bundle is compressed as it is.
pub(super) const CONTENT_TYPE: &str = "application/gzip";

/// The parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only this cluster; all without it.
    cluster: Option<String>,
}

/// Whose turn it is: one bundle at a time, since each holds a copy of whole windows while it is written.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

pub(super) async fn bundle(
    Extract(app): Extract<App>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(Wanted { cluster }) = wanted.map_err(|error| ApiError::bad_data(error.body_text()))?;
    let observed = observed(&app.state, cluster.as_deref())?;
    let turn = app.bundles.0.acquire_owned().await;
    let state = app.state;
    // It takes a second for many clusters, in which others are to be answered.
    let written = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        write(&state, &observed)
    });
    let bytes = written
        .await
        .map_err(|_| ApiError::internal("the bundle could not be made: see the log"))?
        .map_err(|error| ApiError::execution(error.to_string()))?;
    let name = format!(
        "attachment; filename=\"{}.bundle\"",
        plain(cluster.as_deref().unwrap_or("etcd-doctor"))
    );
    Ok((
        [(TYPE, CONTENT_TYPE.to_owned()), (CONTENT_DISPOSITION, name)],
        bytes,
    )
        .into_response())
}

/// The clusters that are wanted, each with its last snapshot.
fn observed(state: &State, wanted: Option<&str>) -> Result<Vec<(Cluster, Arc<Snapshot>)>, ApiError> {
    let clusters = state.watched.borrow().clusters.clone();
    let names: Vec<&str> = clusters.iter().map(|cluster| &*cluster.name).collect();
    if let Some(wanted) = wanted.filter(|wanted| !names.contains(wanted)) {
        return Err(ApiError::not_found(format!(
            "no cluster is named {wanted:?}; known clusters: {}",
            names.join(", ")
        )));
    }
    let chosen = clusters
        .iter()
        .filter(|cluster| wanted.is_none_or(|wanted| *cluster.name == *wanted));
    let observed: Vec<_> = chosen
        .filter_map(|cluster| Some((cluster.clone(), cluster.snapshots.borrow().clone()?)))
        .collect();
    if observed.is_empty() {
        return Err(ApiError::unavailable(
            "no cluster has been observed yet; try again in some seconds",
        ));
    }
    Ok(observed)
}

fn write(state: &State, observed: &[(Cluster, Arc<Snapshot>)]) -> Result<Vec<u8>, WriteError> {
    let support = state.watched.borrow().support.clone();
    let diagnoses: Vec<Diagnosis> = observed
        .iter()
        .map(|(_, snapshot)| snapshot.diagnosis.clone())
        .collect();
    let report = report(state, &diagnoses);
    let recordings = observed
        .iter()
        .map(|(cluster, snapshot)| Recording::of(snapshot, None, &*cluster.window.read()));
    let bundle = Bundle {
        created: report.time,
        version: report.tool.version.clone(),
        rules_digest: report.tool.rules_digest.clone(),
        config: support.config.clone(),
        rules: support.rules.to_vec(),
        // What `render` gives is JSON.
        report: serde_json::from_str(&json::render(&report)).unwrap_or_default(),
        recordings: recordings.collect(),
    };
    bundle::write(&bundle, &support.secrets)
}

/// A name that is one in any file system and any header.
fn plain(name: &str) -> String {
    let letters = name.chars();
    letters
        .map(
            |letter| match letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.') {
                true => letter,
                false => '_',
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::super::fixtures::{Api, snapshot};
    use super::*;

    #[tokio::test]
    async fn a_bundle_has_the_clusters_that_were_asked_for() {
        let api = Api::of([snapshot("one"), snapshot("two")]);
        for (query, names) in [("", vec!["one", "two"]), ("?cluster=two", vec!["two"])] {
            let bytes = api
                .bytes(&format!("/api/v1/bundle{query}"), &[("accept-encoding", "gzip")])
                .await;
            let bundle = crate::bundle::read(&bytes).unwrap();
            let found: Vec<&str> = bundle
                .recordings
                .iter()
                .map(|recording| &*recording.cluster)
                .collect();
            assert_eq!(found, names);
            assert_eq!(bundle.report["clusters"].as_array().unwrap().len(), names.len());
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_said() {
        let answer = Api::of([snapshot("one")]).get("/api/v1/bundle?cluster=two").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(
            answer.json()["error"],
            r#"no cluster is named "two"; known clusters: one"#
        );
        let answer = Api::unobserved(["one"]).get("/api/v1/bundle").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        let answer = Api::of([snapshot("one")]).get("/api/v1/bundle?name=one").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_file_has_a_plain_name() {
        assert_eq!(plain("prod/eu \"1\"\r\n.2"), "prod_eu__1___.2");
    }
}
