//! `GET /expression?expr=`: one expression, its present values and its last hour. Where every number of the page leads.

use std::collections::BTreeSet;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as Parameters, State as Extract};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::App;
use super::super::error::ApiError;
use super::{Form, answer, charts, frame};
use crate::promql::{Element, Query, QueryValue};

/// Values that are listed; a chart of more would be a wall of lines, and who needs them asks the API.
const MAX_ROWS: usize = 200;

/// The parameters.
#[derive(Deserialize)]
pub(in super::super) struct Wanted {
    #[serde(default)]
    expr: String,
}

/// Where the page of an expression is.
pub(super) fn path(expr: &str) -> String {
    let mut path = String::from("/expression?expr=");
    path.extend(url::form_urlencoded::byte_serialize(expr.as_bytes()));
    path
}

pub(in super::super) async fn page(
    Extract(app): Extract<App>,
    wanted: Result<Parameters<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Parameters(wanted) = wanted.map_err(|error| ApiError::bad_data(error.body_text()))?;
    let now = (app.state.clock)();
    let value = if wanted.expr.trim().is_empty() {
        None
    } else {
        let expr = wanted.expr.clone();
        let run = app.queries.run(&app.state, None, move |seen, options| {
            let query = Query::parse(&expr).map_err(|error| ApiError::bad_data(error.0))?;
            query
                .instant(seen, now, options)
                .map_err(|error| ApiError::execution(error.0))
        });
        Some(run.await.map_err(|error| error.message().to_owned()))
    };
    let body = html! {
        header {
            h1 { a href="/" { "etcd-doctor" } }
        }
        main {
            form.expression action="/expression" {
                label for="expr" { "Expression (PromQL over the last hour)" }
                textarea #expr name="expr" rows="3" spellcheck="false" { (wanted.expr) }
                button { "Evaluate" }
            }
            @match &value {
                None => {},
                Some(Err(why)) => p.bad role="alert" { (why) },
                Some(Ok(value)) => {
                    h2 { "Now" }
                    (values(value))
                    @if matches!(value, QueryValue::Vector(_) | QueryValue::Scalar(_)) {
                        section.charts.single { (charts::of_expression(&wanted.expr)) }
                    }
                },
            }
        }
        footer { (now.to_string()) }
    };
    let form = Form { moving: false, now };
    Ok(answer(frame("expression", form, &body)))
}

fn values(value: &QueryValue) -> Markup {
    match value {
        QueryValue::Scalar(number) => html! { p { strong { (number) } } },
        QueryValue::String(text) => html! { p { strong { (text) } } },
        QueryValue::Vector(elements) if elements.is_empty() => html! {
            p { "No series: nothing matches, or nothing does at this moment." }
        },
        QueryValue::Vector(elements) => table(elements),
        QueryValue::Matrix(series) => html! {
            p { (series.len()) " series with a range: ask " code { "/api/v1/query" } " for their samples." }
        },
    }
}

fn table(elements: &[Element]) -> Markup {
    let names: BTreeSet<&str> = elements
        .iter()
        .flat_map(|element| element.labels.iter().map(|(name, _)| name))
        .collect();
    html! {
        div.wide { table {
            thead { tr {
                @for name in &names { th scope="col" { (name) } }
                th.number scope="col" { "value" }
            } }
            tbody { @for element in elements.iter().take(MAX_ROWS) { tr {
                @for name in &names { td { (element.labels.get(name)) } }
                td.number { (element.value) }
            } } }
        } }
        @if elements.len() > MAX_ROWS { p.dim { "The first " (MAX_ROWS) " of " (elements.len()) "." } }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{Api, snapshot};
    use super::*;

    #[tokio::test]
    async fn a_value_is_shown_and_a_mistake_is_named() {
        let api = Api::of([snapshot("etcd")]);
        let page = api.get(&path("1 + 1")).await.body;
        assert!(page.contains("<strong>2</strong>"), "{page}");
        let page = api.get(&path("sum(")).await.body;
        assert!(page.contains(r#"<p class="bad" role="alert">"#), "{page}");
        let page = api.get(&path("vector(1) <script>")).await.body;
        assert!(!page.contains("<script>"), "{page}");
        let page = api.get("/expression").await.body;
        assert!(page.contains("<textarea") && !page.contains("Now"), "{page}");
    }

    #[test]
    fn an_expression_survives_its_address() {
        assert_eq!(
            path("a{b=\"c&d\"} > 1"),
            "/expression?expr=a%7Bb%3D%22c%26d%22%7D+%3E+1"
        );
    }
}
