//! `GET /api/v1/diagnosis`.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Extract};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::error::ApiError;
use super::negotiate::{self, Offer};
use super::seen::Seen;
use super::{App, State};
use crate::diagnosis::Diagnosis;
use crate::render::{Report, TextStyle, ToolInfo, json, markdown, nagios, text};

/// As wide as prose is good to read; plain, for who reads it is not known to have a terminal.
const STYLE: TextStyle = TextStyle {
    width: 100,
    color: false,
    ascii: false,
};

/// What terminals are: the report needs the smaller one, and nobody has the larger one.
const WIDTHS: std::ops::RangeInclusive<usize> = 20..=1000;

/// How a text is to look, of who knows more of where it is read.
pub(super) fn style(
    width: Option<usize>,
    color: Option<bool>,
    ascii: Option<bool>,
) -> Result<TextStyle, ApiError> {
    if let Some(width) = width.filter(|width| !WIDTHS.contains(width)) {
        return Err(ApiError::bad_data(format!(
            "a width of {width} columns cannot be had; it is {} to {}",
            WIDTHS.start(),
            WIDTHS.end()
        )));
    }
    Ok(TextStyle {
        width: width.unwrap_or(STYLE.width),
        color: color.unwrap_or(STYLE.color),
        ascii: ascii.unwrap_or(STYLE.ascii),
    })
}

/// The parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only this cluster; all without it.
    cluster: Option<String>,
    /// Wins over the header `Accept`.
    format: Option<String>,
    /// Of a text: its width in columns, whether colours of a terminal are wanted, and nothing but ASCII.
    width: Option<usize>,
    color: Option<bool>,
    ascii: Option<bool>,
}

#[derive(Clone, Copy)]
enum Format {
    Json,
    Text,
    Markdown,
    Nagios,
}

impl Format {
    /// Those that have a media type; JSON first: for who does not say.
    const OFFERED: [Self; 3] = [Self::Json, Self::Text, Self::Markdown];
    const OFFERS: [Offer; 3] = [
        offer("application/json"),
        offer("text/plain"),
        offer("text/markdown"),
    ];

    fn of(name: &str) -> Result<Self, ApiError> {
        match name {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            "markdown" => Ok(Self::Markdown),
            "nagios" => Ok(Self::Nagios),
            _ => Err(ApiError::bad_data(format!(
                "there is no format {name:?}; the formats are json, text, markdown and nagios"
            ))),
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text | Self::Nagios => "text/plain; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
        }
    }
}

const fn offer(media_type: &'static str) -> Offer {
    Offer {
        media_type,
        version: "",
    }
}

pub(super) async fn diagnosis(
    Extract(app): Extract<App>,
    wanted: Result<Query<Wanted>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted.map_err(|error| ApiError::bad_data(error.body_text()))?;
    let format = wanted.format.as_deref().map(Format::of).transpose()?;
    let style = style(wanted.width, wanted.color, wanted.ascii)?;
    let clusters = selected(app.state.look(), wanted.cluster.as_deref())?;
    if clusters.iter().all(|cluster| cluster.last.is_none()) {
        return Err(not_yet(&clusters));
    }
    let format = format.unwrap_or_else(|| Format::OFFERED[negotiate::choose(&headers, &Format::OFFERS)]);
    let diagnoses: Vec<Diagnosis> = clusters.iter().map(Seen::diagnosis).collect();
    let report = report(&app.state, &diagnoses);
    let body = match format {
        Format::Json => json::render(&report),
        Format::Text => text::render(&report, style),
        Format::Markdown => markdown::render(&report),
        Format::Nagios => nagios::render(&report),
    };
    let headers = [(CONTENT_TYPE, format.content_type()), (VARY, "accept")];
    Ok((headers, body).into_response())
}

pub(super) async fn schema() -> Response {
    let headers = [(CONTENT_TYPE, "application/schema+json")];
    (headers, json::SCHEMA).into_response()
}

/// The report over these diagnoses, as of now.
pub(super) fn report<'a>(state: &State, diagnoses: &'a [Diagnosis]) -> Report<'a> {
    Report {
        tool: tool(state),
        time: (state.clock)(),
        diagnoses,
    }
}

/// This version and the rules in force.
pub(super) fn tool(state: &State) -> ToolInfo {
    ToolInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rules_digest: state.watched.borrow().rules_digest.clone(),
    }
}

/// One cluster by its name, or all.
///
/// # Errors
/// When there is none of that name; names those that there are.
pub(super) fn selected(clusters: Vec<Seen>, wanted: Option<&str>) -> Result<Vec<Seen>, ApiError> {
    let Some(wanted) = wanted else {
        return Ok(clusters);
    };
    let names: Vec<_> = clusters.iter().map(|cluster| cluster.name.clone()).collect();
    let found: Vec<Seen> = clusters
        .into_iter()
        .filter(|cluster| &*cluster.name == wanted)
        .collect();
    if found.is_empty() {
        let known = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        return Err(ApiError::not_found(format!(
            "no cluster is named {wanted:?}; known clusters: {known}"
        )));
    }
    Ok(found)
}

pub(super) fn not_yet(clusters: &[Seen]) -> ApiError {
    let troubles: Vec<String> = clusters.iter().filter_map(Seen::trouble).collect();
    if troubles.is_empty() {
        return ApiError::unavailable("no cluster is being watched yet; try again in some seconds");
    }
    ApiError::unavailable(format!("{}; try again in some seconds", troubles.join("; ")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::StatusCode;

    use super::super::fixtures::{Api, snapshot, with_status};
    use crate::diagnosis::Status;

    const PATH: &str = "/api/v1/diagnosis";

    fn api() -> Api {
        Api::of([with_status("one", Status::Fail), snapshot("two")])
    }

    #[tokio::test]
    async fn json_of_all_clusters_is_the_default() {
        let answer = api().get(PATH).await;
        assert_eq!(answer.status, StatusCode::OK, "however bad the clusters are");
        assert_eq!(answer.header("content-type"), "application/json");
        let report = answer.json();
        assert_eq!(report["status"], "fail");
        assert_eq!(report["generatedAt"], "2023-11-14T22:13:20.000Z");
        assert_eq!(report["tool"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(report["tool"]["rulesDigest"], "0123abcd");
        let names: Vec<_> = report["clusters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|cluster| &cluster["name"])
            .collect();
        assert_eq!(names, ["one", "two"]);
    }

    #[tokio::test]
    async fn one_cluster_by_its_name() {
        let report = api().get("/api/v1/diagnosis?cluster=two").await.json();
        assert_eq!(report["clusters"].as_array().unwrap().len(), 1);
        assert_eq!(report["clusters"][0]["name"], "two");
        assert_eq!(report["status"], "pass");
    }

    #[tokio::test]
    async fn an_unknown_cluster_is_told_the_known_ones() {
        let answer = api().get("/api/v1/diagnosis?cluster=three").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(
            answer.json()["error"],
            r#"no cluster is named "three"; known clusters: one, two"#
        );
    }

    #[tokio::test]
    async fn the_format_is_asked_for_by_parameter_or_header() {
        let text = "text/plain; charset=utf-8";
        let markdown = "text/markdown; charset=utf-8";
        for (path, accept, content_type) in [
            (PATH, "text/plain", text),
            (PATH, "text/markdown", markdown),
            (PATH, "text/html,*/*;q=0.8", "application/json"),
            ("/api/v1/diagnosis?format=text", "application/json", text),
            ("/api/v1/diagnosis?format=markdown", "*/*", markdown),
            ("/api/v1/diagnosis?format=nagios", "*/*", text),
            ("/api/v1/diagnosis?format=json", "text/plain", "application/json"),
        ] {
            let answer = api().ask(path, &[("accept", accept)]).await;
            assert_eq!(answer.header("content-type"), content_type, "{path} {accept}");
            assert!(answer.body.contains("the summary of one"), "{}", answer.body);
        }
    }

    #[tokio::test]
    async fn a_text_is_as_wide_and_as_plain_as_it_is_asked_for() {
        let text = async |query: &str| api().get(&format!("{PATH}?format=text&{query}")).await.body;
        let widest = |text: &str| text.lines().map(|line| line.chars().count()).max();
        let (narrow, wide) = (text("width=60").await, text("width=160").await);
        assert!(
            widest(&narrow) <= Some(60) && widest(&wide) > Some(60),
            "{narrow}\n{wide}"
        );
        assert!(!wide.contains('\x1b') && text("color=true").await.contains('\x1b'));
        assert!(text("ascii=true&color=false").await.is_ascii());
    }

    #[tokio::test]
    async fn wrong_parameters_are_told() {
        for (query, part) in [
            ("format=xml", "the formats are json, text, markdown and nagios"),
            ("clutser=one", "clutser"),
            (
                "format=text&width=5",
                "a width of 5 columns cannot be had; it is 20 to 1000",
            ),
        ] {
            let answer = api().get(&format!("{PATH}?{query}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST);
            assert_eq!(answer.json()["errorType"], "bad_data");
            assert!(
                answer.json()["error"].to_string().contains(part),
                "{}",
                answer.body
            );
        }
    }

    #[tokio::test]
    async fn before_the_first_cycle_there_is_none() {
        let answer = Api::unobserved(["one"]).get(PATH).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            answer.json()["error"],
            "cluster one has not been observed yet; try again in some seconds"
        );
    }

    #[tokio::test]
    async fn a_cluster_not_yet_observed_is_unknown_beside_the_others() {
        let api = Api::unobserved(["one", "two"]);
        api.publish(0, snapshot("one"));
        let report = api.get(PATH).await.json();
        assert_eq!(report["clusters"][1]["status"], "unknown");
        assert_eq!(
            report["clusters"][1]["summary"],
            "cluster two has not been observed yet"
        );
        assert_eq!(
            report["errors"][0]["message"],
            "cluster two has not been observed yet"
        );
    }

    #[tokio::test]
    async fn an_old_diagnosis_says_that_it_is_old() {
        let mut old = with_status("one", Status::Fail);
        old.time = old.time.minus(Duration::from_secs(60));
        let report = Api::of([old]).get(PATH).await.json();
        assert_eq!(report["clusters"][0]["status"], "unknown");
        let summary = report["clusters"][0]["summary"].as_str().unwrap();
        assert!(summary.contains("last observed 60 s ago"), "{summary}");
    }

    #[tokio::test]
    async fn the_schema_is_json() {
        let answer = api().get("/api/v1/diagnosis/schema").await;
        assert_eq!(answer.header("content-type"), "application/schema+json");
        assert!(answer.json()["$schema"].is_string());
    }
}
