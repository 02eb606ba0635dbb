//! `GET /`: the page. It needs no scripts and loads nothing; it is made anew every 5 s.

mod cluster;
mod problem;

use std::sync::LazyLock;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Extract};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::diagnosis::report;
use super::error::ApiError;
use super::seen::Seen;
use super::{App, State};
use crate::diagnosis::{Diagnosis, Status};
use crate::render::Report;

/// How often a browser loads the page anew: the usual time between two cycles.
const REFRESH_SECONDS: u32 = 5;

const STYLE: &str = include_str!("page/style.css");

/// Nothing may be loaded or run but this very style, so that nothing that etcd reports can become active, even if
/// escaping failed.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    // A header may hold any visible ASCII, and base64 is that.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The parameters.
#[derive(Deserialize)]
pub(super) struct Wanted {
    /// `off` to read in peace.
    refresh: Option<String>,
}

pub(super) async fn page(
    Extract(app): Extract<App>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted.map_err(|error| ApiError::bad_data(error.body_text()))?;
    let moving = wanted.refresh.as_deref() != Some("off");
    Ok(answer(document(&app.state, moving)))
}

/// An answer with a page, under the policy that allows its style and nothing else.
pub(super) fn answer(page: Markup) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
    ];
    (headers, page.into_string()).into_response()
}

/// A whole page. `reload` makes the browser load it anew after some seconds.
pub(super) fn frame(title: &str, reload: bool, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if reload { meta http-equiv="refresh" content=(REFRESH_SECONDS); }
                title { (title) " · etcd-doctor" }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
}

fn document(state: &State, moving: bool) -> Markup {
    let diagnoses: Vec<Diagnosis> = state.look().iter().map(Seen::diagnosis).collect();
    let report = report(state, &diagnoses);
    let body = html! {
        header {
            h1 { "etcd-doctor" }
            (links(moving))
        }
        main {
            @if report.diagnoses.len() > 1 { (overview(&report)) }
            @if report.diagnoses.is_empty() { p { "No cluster is being watched yet." } }
            @for diagnosis in report.diagnoses { (cluster::section(diagnosis, report.time)) }
        }
        footer {
            "etcd-doctor " (report.tool.version) " · rules " (report.tool.rules_digest) " · "
            (report.time.to_string())
        }
    };
    frame(report.status().as_str(), moving, &body)
}

fn links(moving: bool) -> Markup {
    html! {
        nav aria-label="Other forms" {
            a href="/api/v1/diagnosis?format=text" { "text" }
            a href="/api/v1/diagnosis" { "JSON" }
            a href="/api/v1/diagnosis?format=markdown" { "Markdown" }
            a href="/metrics" { "metrics" }
            a href="/-/ready" { "ready" }
            @if moving {
                a href="/?refresh=off" { "pause" }
            } @else {
                a href="/" { "resume" }
            }
        }
    }
}

/// The clusters in one list, worst first.
fn overview(report: &Report<'_>) -> Markup {
    let mut diagnoses: Vec<&Diagnosis> = report.diagnoses.iter().collect();
    diagnoses.sort_by_key(|diagnosis| std::cmp::Reverse(urgency(diagnosis.status)));
    html! {
        ul.overview {
            @for diagnosis in diagnoses {
                li {
                    (badge(diagnosis.status))
                    a href={ "#" (cluster::anchor(&diagnosis.cluster)) } { (diagnosis.cluster) }
                    span { (diagnosis.summary) }
                }
            }
        }
    }
}

const fn urgency(status: Status) -> u8 {
    match status {
        Status::Pass => 0,
        Status::Warn => 1,
        Status::Unknown => 2,
        Status::Fail => 3,
    }
}

/// A status as a word in its colour: the word alone suffices.
fn badge(status: Status) -> Markup {
    html! { span.badge.(status.as_str()) { (status.as_str()) } }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Api, of_diagnosis, snapshot};
    use super::*;
    use crate::render::fixture;

    #[tokio::test]
    async fn the_policy_allows_the_style_that_is_there_and_nothing_else() {
        let answer = Api::of([snapshot("etcd")]).get("/").await;
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        let (_, rest) = answer.body.split_once("<style>").unwrap();
        let (style, _) = rest.split_once("</style>").unwrap();
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style));
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(
            policy.contains(&format!("style-src 'sha256-{hash}';")),
            "{policy}"
        );
        for forbidden in [
            "<script", " style=", "<img", "<link", " onclick", "@import", "url(",
        ] {
            assert!(!answer.body.contains(forbidden), "{forbidden}");
        }
    }

    #[tokio::test]
    async fn it_reloads_itself_unless_told_not_to() {
        let api = Api::of([snapshot("etcd")]);
        let refresh = r#"http-equiv="refresh" content="5""#;
        assert!(api.get("/").await.body.contains(refresh));
        assert!(!api.get("/?refresh=off").await.body.contains(refresh));
    }

    #[tokio::test]
    async fn it_shows_members_problems_and_what_to_do() {
        let diagnosis = fixture::quota();
        let page = Api::of([of_diagnosis(diagnosis.clone())]).get("/").await.body;
        assert!(page.contains("<title>fail · etcd-doctor</title>"), "{page}");
        let problem = &diagnosis.problems[0];
        let mut expected = vec![&*diagnosis.summary, &problem.alert, &problem.evidence[0].text];
        expected.extend(diagnosis.facts.members.iter().map(|member| &*member.name));
        for text in expected {
            let escaped = html! { (text) }.into_string();
            assert!(page.contains(&escaped), "{escaped} is missing in {page}");
        }
        for command in &problem.commands {
            let shown = html! { pre { code { (command) } } }.into_string();
            assert!(page.contains(&shown), "{shown} is missing in {page}");
        }
    }

    #[tokio::test]
    async fn nothing_that_etcd_or_a_rule_says_becomes_markup() {
        let evil = "<script>alert('\"&";
        let mut diagnosis = fixture::quota();
        diagnosis.cluster = evil.into();
        diagnosis.summary = evil.into();
        diagnosis.facts.members[0].name = evil.into();
        diagnosis.facts.members[1].unreachable_because = evil.into();
        diagnosis.facts.members[1].reachable = false;
        let problem = &mut diagnosis.problems[0];
        let evidence = &mut problem.evidence[0];
        for text in [
            &mut problem.alert,
            &mut problem.summary,
            &mut problem.description,
            &mut problem.impact,
            &mut problem.remedy,
            &mut evidence.text,
            &mut evidence.expr,
            &mut evidence.unit,
            &mut evidence.reference,
        ] {
            *text = evil.into();
        }
        problem.runbook_url = "javascript:alert(1)".into();
        let page = Api::of([of_diagnosis(diagnosis)]).get("/").await.body;
        assert!(
            !page.contains("<script") && !page.contains("javascript:"),
            "{page}"
        );
        assert!(page.contains("&lt;script&gt;alert('&quot;&amp;"), "{page}");
    }

    #[tokio::test]
    async fn several_clusters_have_an_overview_with_the_worst_first() {
        let mut fine = fixture::healthy();
        fine.cluster = "fine".into();
        let api = Api::of([of_diagnosis(fine), of_diagnosis(fixture::quota())]);
        let page = api.get("/").await.body;
        let (_, overview) = page.split_once("<ul class=\"overview\">").unwrap();
        let (overview, _) = overview.split_once("</ul>").unwrap();
        let (fail, pass) = (overview.find("fail").unwrap(), overview.find("pass").unwrap());
        assert!(fail < pass, "{overview}");
    }

    #[tokio::test]
    async fn without_a_cluster_or_an_observation_it_says_so() {
        assert!(
            Api::of([])
                .get("/")
                .await
                .body
                .contains("No cluster is being watched yet.")
        );
        let page = Api::unobserved(["etcd"]).get("/").await.body;
        assert!(page.contains("cluster etcd has not been observed yet"), "{page}");
    }
}
