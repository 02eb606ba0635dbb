//! `GET /api/v1/explanation`: one alert looked at closely, in the clusters as they were in their last cycles.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Extract};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::diagnosis::{selected, style, tool};
use super::error::ApiError;
use super::{App, State};
use crate::diagnosis::inspection::{Inspection, Sight, inspect};
use crate::model::Timestamp;
use crate::promql::{Matcher, Series, Source};
use crate::render::alert;
use crate::snapshot::Snapshot;
use crate::store::{SharedStore, View};

/// The parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The alert's name.
    alert: String,
    /// Only this cluster; all without it.
    cluster: Option<String>,
    /// json or text; json without it.
    format: Option<String>,
    /// Of a text: its width in columns, whether colours of a terminal are wanted, and nothing but ASCII.
    width: Option<usize>,
    color: Option<bool>,
    ascii: Option<bool>,
}

pub(super) async fn explanation(
    Extract(app): Extract<App>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted.map_err(|error| ApiError::bad_data(error.body_text()))?;
    let in_words = match wanted.format.as_deref() {
        None | Some("json") => false,
        Some("text") => true,
        Some(other) => {
            return Err(ApiError::bad_data(format!(
                "there is no format {other:?}; the formats are json and text"
            )));
        }
    };
    let style = style(wanted.width, wanted.color, wanted.ascii)?;
    let found = inspections(&app, &wanted.alert, wanted.cluster.as_deref()).await?;
    let found = found.map_err(|near| ApiError::not_found(unknown(&wanted.alert, &near)))?;
    Ok(match in_words {
        true => (
            [(CONTENT_TYPE, "text/plain; charset=utf-8")],
            alert::text::render(&found, style),
        )
            .into_response(),
        false => {
            let body = alert::json::render(&wanted.alert, &found, &tool(&app.state));
            ([(CONTENT_TYPE, "application/json")], body).into_response()
        }
    })
}

/// What is said of a name that no rule has.
pub(super) fn unknown(alert: &str, near: &[String]) -> String {
    alert::unknown(alert, near)
}

/// One alert in one cluster, or in all; or the names that are near to it when no rule has this one.
pub(super) async fn inspections(
    app: &App,
    alert: &str,
    cluster: Option<&str>,
) -> Result<Result<Vec<Inspection>, Vec<String>>, ApiError> {
    let observed = observed(&app.state, cluster)?;
    let alert = alert.to_owned();
    let look = move |all: &dyn Source| {
        let seen = observed.iter().filter_map(|(snapshot, window)| {
            let source = OfOne {
                view: View::new([(snapshot.cluster.clone(), window.clone())], None),
                all,
            };
            let sight = Sight {
                cluster: &snapshot.cluster,
                time: snapshot.time,
                rules: &snapshot.rules,
                reports: &snapshot.reports,
                gaps: &snapshot.diagnosis.coverage.gaps,
                source: &source,
            };
            inspect(&alert, &sight)
        });
        let seen: Vec<Inspection> = seen.collect();
        if !seen.is_empty() {
            return Ok(seen);
        }
        // All clusters are judged by the same rules.
        let rules = observed.first().map(|(snapshot, _)| &snapshot.rules);
        let near = rules.map(|rules| rules.near(&alert)).unwrap_or_default();
        Err(near.into_iter().map(str::to_owned).collect())
    };
    app.queries
        .run(&app.state, None, move |windows, _| Ok(look(windows)))
        .await
}

/// The clusters that are asked about, with their last snapshots and their windows.
pub(super) fn observed(
    state: &State,
    cluster: Option<&str>,
) -> Result<Vec<(Arc<Snapshot>, SharedStore)>, ApiError> {
    let seen = selected(state.look(), cluster)?;
    let watched = state.watched.borrow();
    let observed: Vec<_> = seen
        .iter()
        .filter_map(|seen| {
            let snapshot = seen.last.as_ref()?.snapshot.clone();
            let cluster = watched
                .clusters
                .iter()
                .find(|cluster| cluster.name == seen.name)?;
            Some((snapshot, cluster.window.clone()))
        })
        .collect();
    match observed.is_empty() {
        true => Err(super::diagnosis::not_yet(&seen)),
        false => Ok(observed),
    }
}

/// The window of one cluster, as long as somebody waits for the answer.
struct OfOne<'a> {
    view: View,
    all: &'a dyn Source,
}

impl Source for OfOne<'_> {
    fn select(&self, matchers: &[Matcher], after: Timestamp, through: Timestamp) -> Vec<Series> {
        self.view.select(matchers, after, through)
    }

    fn given_up(&self) -> bool {
        self.all.given_up()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::super::fixtures::{Api, judged};

    #[tokio::test]
    async fn an_alert_is_explained_in_each_cluster_or_in_one() {
        let api = Api::of([judged("one"), judged("two")]);
        let all = api.get("/api/v1/explanation?alert=Full").await.json();
        assert_eq!(all["kind"], "AlertExplanation");
        assert_eq!(all["clusters"].as_array().unwrap().len(), 2);
        let one = api.get("/api/v1/explanation?alert=Full&cluster=two").await.json();
        assert_eq!(one["clusters"][0]["name"], "two");
        assert_eq!(one["clusters"][0]["rules"][0]["expr"], "size > 10");
        assert_eq!(one["clusters"][0]["rules"][0]["parts"][0]["operator"], ">");
        let text = api
            .get("/api/v1/explanation?alert=Full&cluster=two&format=text")
            .await;
        assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
        assert!(
            text.body.starts_with("SILENT  Full in cluster two"),
            "{}",
            text.body
        );
    }

    #[tokio::test]
    async fn what_cannot_be_explained_is_told() {
        let api = Api::of([judged("one")]);
        for (query, status, words) in [
            ("alert=Fulll", StatusCode::NOT_FOUND, "did you mean Full"),
            (
                "alert=Full&cluster=x",
                StatusCode::NOT_FOUND,
                "no cluster is named",
            ),
            ("alert=Full&format=xml", StatusCode::BAD_REQUEST, "json and text"),
            ("cluster=one", StatusCode::BAD_REQUEST, "alert"),
        ] {
            let answer = api.get(&format!("/api/v1/explanation?{query}")).await;
            assert_eq!(answer.status, status, "{query}");
            let error = answer.json()["error"].as_str().unwrap().to_owned();
            assert!(error.contains(words), "{query}: {error}");
        }
        let unobserved = Api::unobserved(["one"])
            .get("/api/v1/explanation?alert=Full")
            .await;
        assert_eq!(unobserved.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
