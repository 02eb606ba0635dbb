//! `GET /`: the page. Everything that it says is in the HTML; a script of our own keeps it up to date and draws the charts
//! (`assets/page.js`), and without one a browser loads it anew every 5 s. Nothing is loaded from elsewhere.

pub(super) mod alert;
mod charts;
mod cluster;
pub(super) mod expression;
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

use super::App;
use super::assets::{SCRIPT_PATH, STYLE};
use super::diagnosis::{report, selected};
use super::error::ApiError;
use super::seen::Seen;
use crate::diagnosis::{Diagnosis, Severity, Status};
use crate::model::{MemberFacts, Quota, Timestamp};
use crate::render::Report;

/// How often a browser without a script loads the page anew: the usual time between two cycles.
const REFRESH_SECONDS: u32 = 5;

/// This very style and our own script, and nothing else: nothing that etcd reports can become active, even if escaping
/// failed. The script may ask this server and nobody else.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; script-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'"
    );
    // A header may hold any visible ASCII, and base64 is that.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The parameters.
#[derive(Deserialize)]
pub(super) struct Wanted {
    /// `off` to read in peace.
    refresh: Option<String>,
    /// Only this cluster, in full.
    cluster: Option<String>,
}

/// How a page behaves.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// Whether it keeps itself up to date.
    pub(super) moving: bool,
    /// The server's time: charts end there.
    pub(super) now: Timestamp,
}

pub(super) async fn page(
    Extract(app): Extract<App>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted.map_err(|error| ApiError::bad_data(error.body_text()))?;
    let seen = selected(app.state.look(), wanted.cluster.as_deref())?;
    let diagnoses: Vec<Diagnosis> = seen.iter().map(Seen::diagnosis).collect();
    let report = report(&app.state, &diagnoses);
    Ok(answer(document(&report, &wanted)))
}

/// An answer with a page, under the policy that allows its style and script and nothing else.
pub(super) fn answer(page: Markup) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
    ];
    (headers, page.into_string()).into_response()
}

/// A whole page.
pub(super) fn frame(title: &str, form: Form, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if form.moving { noscript { meta http-equiv="refresh" content=(REFRESH_SECONDS); } }
                title { (title) " · etcd-doctor" }
                style { (PreEscaped(STYLE)) }
                script src=(*SCRIPT_PATH) defer {}
            }
            body data-now=(form.now.seconds()) data-moving=[form.moving.then_some("true")] { (body) }
        }
    }
}

/// Where the script says that contact is lost, and to who listens what has changed.
fn signs() -> Markup {
    html! {
        p #contact.loud role="alert" hidden {}
        p #news.heard role="status" {}
    }
}

fn document(report: &Report<'_>, wanted: &Wanted) -> Markup {
    let form = Form {
        moving: wanted.refresh.as_deref() != Some("off"),
        now: report.time,
    };
    let body = html! {
        header {
            h1 { a href="/" { "etcd-doctor" } }
            (links(form.moving, wanted.cluster.as_deref()))
        }
        (signs())
        main {
            @match report.diagnoses {
                [] => p { "No cluster is being watched yet." },
                [only] => (cluster::section(only, report.time)),
                several => (fleet(several, report.time)),
            }
        }
        footer {
            "etcd-doctor " (report.tool.version) " · rules " (report.tool.rules_digest) " · "
            (report.time.to_string())
        }
    };
    let title = match report.diagnoses {
        [only] => format!("{} {}", report.status().as_str(), only.cluster),
        _ => report.status().as_str().to_owned(),
    };
    frame(&title, form, &body)
}

fn links(moving: bool, cluster: Option<&str>) -> Markup {
    let mut more = url::form_urlencoded::Serializer::new(String::new());
    more.extend_pairs(cluster.map(|name| ("cluster", name)));
    let more = more.finish();
    let with = |path: &str| match (more.is_empty(), path.contains('?')) {
        (true, _) => path.to_owned(),
        (false, true) => format!("{path}&{more}"),
        (false, false) => format!("{path}?{more}"),
    };
    html! {
        nav aria-label="Other forms" {
            a href=(with("/api/v1/diagnosis?format=text")) { "text" }
            a href=(with("/api/v1/diagnosis")) { "JSON" }
            a href=(with("/api/v1/diagnosis?format=markdown")) { "Markdown" }
            a href="/alerts" { "alerts" }
            a href="/expression" { "expression" }
            a href="/metrics" { "metrics" }
            @if moving {
                a href=(with("/?refresh=off")) { "pause" }
            } @else {
                a href=(with("/")) { "resume" }
            }
        }
    }
}

/// Several clusters: all of them in one list, worst first, and beneath it the worst in full when something is wrong there.
fn fleet(diagnoses: &[Diagnosis], now: Timestamp) -> Markup {
    let mut diagnoses: Vec<&Diagnosis> = diagnoses.iter().collect();
    diagnoses.sort_by_key(|diagnosis| std::cmp::Reverse(urgency(diagnosis.status)));
    let counted = |status| {
        diagnoses
            .iter()
            .filter(|diagnosis| diagnosis.status == status)
            .count()
    };
    html! {
        p.totals {
            @for status in [Status::Fail, Status::Unknown, Status::Warn, Status::Pass] {
                @let count = counted(status);
                @if count > 0 { span { (badge(status)) " " (count) } }
            }
        }
        // Without a script there is nothing to filter with.
        p hidden { label for="filter" { "Filter " } input #filter type="search" autocomplete="off"; }
        div.wide { table.overview {
            thead { tr {
                th scope="col" { "Status" }
                th scope="col" { "Cluster" }
                th scope="col" { "In one line" }
                th.number scope="col" { "Voters" }
                th.number scope="col" { "Fullest" }
                th.number scope="col" { "Problems" }
            } }
            tbody { @for diagnosis in &diagnoses { (overview(diagnosis)) } }
        } }
        @if let Some(worst) = diagnoses.first().filter(|diagnosis| diagnosis.status != Status::Pass) {
            (cluster::section(worst, now))
        }
    }
}

fn overview(diagnosis: &Diagnosis) -> Markup {
    let quorum = &diagnosis.facts.quorum;
    let fullest = diagnosis
        .facts
        .members
        .iter()
        .filter_map(share_of_quota)
        .max_by(f64::total_cmp);
    let problems = diagnosis
        .problems
        .iter()
        .filter(|problem| problem.firing && problem.severity > Severity::Info);
    html! {
        tr data-cluster=(diagnosis.cluster) {
            td { (badge(diagnosis.status)) }
            th scope="row" { a href=(cluster::path(&diagnosis.cluster)) { (diagnosis.cluster) } }
            td { (diagnosis.summary) }
            td.number { (quorum.reachable) " of " (quorum.voters) }
            td.number { @match fullest { Some(share) => { (format!("{:.0}%", share * 100.0)) }, None => "–" } }
            td.number { (problems.count()) }
        }
    }
}

fn share_of_quota(member: &MemberFacts) -> Option<f64> {
    match member.quota {
        Quota::Bytes(quota, _) => Some(member.db_size_bytes? as f64 / quota as f64),
        Quota::Disabled(_) | Quota::Unknown => None,
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
    badge_of(status.as_str(), status.as_str())
}

/// A word in the colour of a status.
fn badge_of(class: &str, word: &str) -> Markup {
    html! { span.badge.(class) { (word) } }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Api, of_diagnosis, snapshot};
    use super::*;
    use crate::render::fixture;

    #[tokio::test]
    async fn the_policy_allows_the_style_and_the_script_that_are_there_and_nothing_else() {
        let answer = Api::of([snapshot("etcd")]).get("/").await;
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        let (_, rest) = answer.body.split_once("<style>").unwrap();
        let (style, _) = rest.split_once("</style>").unwrap();
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style));
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(
            policy.contains(&format!("style-src 'sha256-{hash}'; script-src 'self';")),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        let (before, after) = answer.body.split_once("<script").unwrap();
        let script = format!(" src=\"{}\" defer></script>", *SCRIPT_PATH);
        assert!(after.starts_with(&script), "{after}");
        let rest = before.to_owned() + &after[script.len()..];
        for forbidden in [
            "<script", " style=", "<img", "<link", " onclick", "@import", "url(",
        ] {
            assert!(!rest.contains(forbidden), "{forbidden}");
        }
    }

    #[tokio::test]
    async fn it_keeps_itself_up_to_date_unless_told_not_to() {
        let api = Api::of([snapshot("etcd")]);
        for mark in [r#"http-equiv="refresh" content="5""#, r#"data-moving="true""#] {
            assert!(api.get("/").await.body.contains(mark), "{mark}");
            assert!(!api.get("/?refresh=off").await.body.contains(mark), "{mark}");
        }
    }

    #[tokio::test]
    async fn it_shows_members_problems_and_what_to_do() {
        let diagnosis = fixture::quota();
        let page = Api::of([of_diagnosis(diagnosis.clone())]).get("/").await.body;
        let title = format!("<title>fail {} · etcd-doctor</title>", diagnosis.cluster);
        assert!(page.contains(&title), "{page}");
        let problem = &diagnosis.problems[0];
        let mut expected = vec![&*diagnosis.summary, &problem.alert, &problem.evidence[0].text];
        expected.extend(diagnosis.facts.members.iter().map(|member| &*member.name));
        for text in expected {
            let escaped = html! { (text) }.into_string();
            assert!(page.contains(&escaped), "{escaped} is missing in {page}");
        }
        for command in &problem.commands {
            let shown = html! { pre tabindex="0" { code { (command) } } }.into_string();
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
        let scripts = page.matches("<script").count();
        assert!(scripts == 1 && !page.contains("javascript:"), "{page}");
        assert!(page.contains("&lt;script&gt;alert('&quot;&amp;"), "{page}");
    }

    #[tokio::test]
    async fn a_hostile_name_is_a_text_wherever_it_stands() {
        for text in fixture::HOSTILE {
            for (at, diagnosis) in fixture::hostile(text).into_iter().enumerate() {
                let page = Api::of([of_diagnosis(diagnosis)]).get("/").await.body;
                assert_eq!(page.matches("<script").count(), 1, "{at} {text:?}: {page}");
                assert!(
                    !page.contains("<img") && !page.contains("href=\"javascript"),
                    "{at} {text:?}: {page}"
                );
            }
        }
    }

    #[tokio::test]
    async fn of_several_clusters_the_worst_comes_first_and_in_full() {
        let mut fine = fixture::healthy();
        fine.cluster = "fine".into();
        let api = Api::of([of_diagnosis(fine), of_diagnosis(fixture::quota())]);
        let page = api.get("/").await.body;
        let (_, overview) = page.split_once("<table class=\"overview\">").unwrap();
        let (overview, rest) = overview.split_once("</table>").unwrap();
        let at = |name: &str| overview.find(&format!("data-cluster=\"{name}\"")).unwrap();
        assert!(at(&fixture::quota().cluster) < at("fine"), "{overview}");
        assert_eq!(
            rest.matches("class=\"cluster ").count(),
            1,
            "only the worst is there in full"
        );

        let one = api.get("/?cluster=fine").await.body;
        assert!(
            one.contains("<title>pass fine · etcd-doctor</title>")
                && !one.contains("<table class=\"overview\">"),
            "{one}"
        );
        let none = api.get("/?cluster=other").await;
        assert!(none.json()["error"].to_string().contains("fine"));
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
