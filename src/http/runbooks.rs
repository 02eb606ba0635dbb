//! `GET /runbooks/{alert}`: the runbooks of the shipped alerts, for where the project's own pages cannot be reached.

use axum::extract::{Path, State as Extract};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use maud::{Markup, PreEscaped, html};

use super::State;
use super::error::ApiError;
use super::page;
use crate::rules::builtin;

/// `alert` with `.md` behind it is the text as it is written.
pub(super) async fn runbook(
    Extract(state): Extract<State>,
    Path(alert): Path<String>,
) -> Result<Response, ApiError> {
    let (name, as_written) = match alert.strip_suffix(".md") {
        Some(name) => (name, true),
        None => (&*alert, false),
    };
    let Some(text) = builtin::runbook(name) else {
        let known: Vec<&str> = builtin::RUNBOOKS.iter().map(|(name, _)| *name).collect();
        return Err(ApiError::not_found(format!(
            "there is no runbook for {name}; those of the shipped alerts: {}",
            known.join(" ")
        )));
    };
    if as_written {
        return Ok(([(CONTENT_TYPE, "text/markdown; charset=utf-8")], text).into_response());
    }
    let form = page::Form {
        moving: false,
        now: (state.clock)(),
    };
    Ok(page::answer(page::frame(name, form, &document(name, text))))
}

fn document(name: &str, text: &str) -> Markup {
    let mut body = String::new();
    pulldown_cmark::html::push_html(&mut body, pulldown_cmark::Parser::new(text));
    html! {
        header {
            a href="/" { "etcd-doctor" }
            nav aria-label="Other forms" { a href={ "/runbooks/" (name) ".md" } { "Markdown" } }
        }
        // Our own texts, part of the program.
        main.runbook { (PreEscaped(body)) }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::super::fixtures::{Api, snapshot};
    use super::*;

    #[tokio::test]
    async fn every_runbook_is_a_page_and_a_text() {
        let api = Api::of([snapshot("etcd")]);
        for (alert, text) in builtin::RUNBOOKS {
            let page = api.get(&format!("/runbooks/{alert}")).await;
            assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
            assert!(page.body.contains(&format!("<h1>{alert}</h1>")), "{}", page.body);
            assert!(page.header("content-security-policy").contains("style-src"));
            let written = api.get(&format!("/runbooks/{alert}.md")).await;
            assert_eq!(written.header("content-type"), "text/markdown; charset=utf-8");
            assert_eq!(written.body, *text);
        }
    }

    #[tokio::test]
    async fn an_unknown_alert_is_told_the_known_ones() {
        let answer = Api::of([snapshot("etcd")]).get("/runbooks/%3Cscript%3E").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let error = answer.json()["error"].to_string();
        assert!(
            error.contains("there is no runbook for <script>") && error.contains("EtcdNoLeader"),
            "{error}"
        );
    }
}
