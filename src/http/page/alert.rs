//! `GET /alerts` and `GET /alerts/{alert}`: every alert with its state, and one looked at closely.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query as Parameters, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::App;
use super::super::error::ApiError;
use super::super::explanation::{inspections, observed, unknown};
use super::{Form, answer, badge_of, charts, expression, frame, problem};
use crate::diagnosis::inspection::{Activity, Inspected, Inspection, Part, Reading, Relative};
use crate::render::alert as words;
use crate::render::units;
use crate::rules::AlertState;
use crate::snapshot::Snapshot;

/// Charts of one rule: more are no longer looked at.
const MOST_CHARTS: usize = 4;

/// The parameters.
#[derive(Deserialize)]
pub(in super::super) struct Wanted {
    cluster: Option<String>,
}

/// Where the page of an alert is.
pub(super) fn path(alert: &str, cluster: &str) -> String {
    let escaped = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    // A `+` is a blank in a query only.
    format!(
        "/alerts/{}?cluster={}",
        escaped(alert).replace('+', "%20"),
        escaped(cluster)
    )
}

/// All alerts of the rules in force, the active ones first.
pub(in super::super) async fn list(Extract(app): Extract<App>) -> Result<Response, ApiError> {
    let clusters: Vec<Arc<Snapshot>> = observed(&app.state, None)?
        .into_iter()
        .map(|(snapshot, _)| snapshot)
        .collect();
    let body = html! {
        (head("Alerts"))
        (super::signs())
        main {
            @for cluster in &clusters {
                section.runbook {
                    h2 { (cluster.cluster) }
                    div.wide tabindex="0" { table {
                        thead { tr { th scope="col" { "State" } th scope="col" { "Alert" } th scope="col" { "Category" } } }
                        tbody { @for (name, activity, category) in alerts(cluster) { tr {
                            td { (state(activity)) }
                            th scope="row" { a href=(path(name, &cluster.cluster)) { (name) } }
                            td { (category) }
                        } } }
                    } }
                }
            }
        }
    };
    let form = Form {
        moving: true,
        now: (app.state.clock)(),
    };
    Ok(answer(frame("alerts", form, &body)))
}

fn alerts(snapshot: &Snapshot) -> Vec<(&str, Activity, &str)> {
    let mut known: BTreeMap<&str, (Activity, &str)> = BTreeMap::new();
    for (index, _, rule) in snapshot.rules.alerting() {
        let report = snapshot.reports.iter().find(|report| report.rule == index);
        let alerts = report.into_iter().flat_map(|report| &report.alerts);
        let activity = alerts.map(|alert| match alert.state {
            AlertState::Inactive => Activity::Silent,
            AlertState::Pending => Activity::Pending,
            AlertState::Firing => Activity::Firing,
        });
        let activity = activity.max().unwrap_or(Activity::Silent);
        let entry = known
            .entry(&rule.alert)
            .or_insert((activity, rule.label("category")));
        entry.0 = entry.0.max(activity);
    }
    let mut alerts: Vec<_> = known
        .into_iter()
        .map(|(name, (activity, category))| (name, activity, category))
        .collect();
    alerts.sort_by_key(|(_, activity, _)| std::cmp::Reverse(*activity));
    alerts
}

/// One alert.
pub(in super::super) async fn page(
    Extract(app): Extract<App>,
    Path(alert): Path<String>,
    wanted: Result<Parameters<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Parameters(wanted) = wanted.map_err(|error| ApiError::bad_data(error.body_text()))?;
    let form = Form {
        moving: true,
        now: (app.state.clock)(),
    };
    let found = match inspections(&app, &alert, wanted.cluster.as_deref()).await? {
        Ok(found) => found,
        Err(near) => {
            let form = Form {
                moving: false,
                ..form
            };
            let body = html! {
                (head("Unknown alert"))
                main {
                    p.bad role="alert" { (unknown(&alert, &near)) }
                    ul { @for name in &near { li { a href={ "/alerts/" (name) } { (name) } } } }
                    p { a href="/alerts" { "All alerts" } }
                }
            };
            return Ok((StatusCode::NOT_FOUND, answer(frame("unknown alert", form, &body))).into_response());
        }
    };
    let body = html! {
        (head(&alert))
        (super::signs())
        main { @for inspection in &found { (section(inspection)) } }
        footer { (form.now.to_string()) }
    };
    Ok(answer(frame(&alert, form, &body)))
}

fn head(title: &str) -> Markup {
    html! {
        header {
            h1 { (title) }
            nav aria-label="Other pages" { a href="/" { "etcd-doctor" } a href="/alerts" { "alerts" } }
        }
    }
}

fn state(activity: Activity) -> Markup {
    let class = match activity {
        Activity::Silent => "pass",
        Activity::Pending => "warn",
        Activity::Firing => "fail",
    };
    badge_of(class, activity.as_str())
}

fn section(inspection: &Inspection) -> Markup {
    let cluster = &*inspection.cluster;
    html! {
        section.runbook {
            h2 { (state(inspection.activity())) " " a href=(super::cluster::path(cluster)) { (cluster) } }
            p.verdict { (words::verdict(inspection)) span.dim { " Seen at " (inspection.time.to_string()) "." } }
            @for gap in &inspection.gaps {
                p.bad { "Cannot see: " (gap.reason) }
                @if !gap.fix.is_empty() { p { "To mend it: " (gap.fix) } }
            }
            @for rule in &inspection.rules { (rule_of(rule, inspection)) }
            (history(inspection))
            (relatives("It explains", &inspection.explains, cluster))
            (relatives("It is explained by", &inspection.explained_by, cluster))
        }
    }
}

fn rule_of(rule: &Inspected, inspection: &Inspection) -> Markup {
    let cluster = &*inspection.cluster;
    html! {
        p.dim { (rule.severity.as_str()) " · " (rule.category) " · " (words::timing(rule)) " · " (rule.file) }
        @if rule.active.is_empty() { p { (rule.summary) } }
        @if let Some(error) = &rule.error { p.bad { "It could not be evaluated: " (error) } }
        @for active in &rule.active {
            p {
                (state(if active.firing { Activity::Firing } else { Activity::Pending })) " "
                @if active.summary.is_empty() { (words::subject(&active.labels, cluster)) } @else { (active.summary) }
                span.dim { " " (words::state(active, inspection.time)) }
            }
        }
        @if let Some(obstacle) = words::obstacle(rule) { p.summary.verdict { (obstacle) } }
        @if let Some(url) = problem::runbook_at(&inspection.alert, &rule.runbook_url) { p { a href=(url) { "Runbook" } } }
        h3 { "Expression" }
        pre tabindex="0" { code { (rule.expr) } }
        p { a href=(expression::path(&rule.expr)) { "Evaluate it" } }
        h3 { "Its parts now" }
        ol.parts { @for part in &rule.parts { (part_of(part, cluster)) } }
        section.charts aria-label="The last hour" {
            @for part in rule.parts.iter().filter(|part| part.comparison.is_some()).take(MOST_CHARTS) {
                @if let Some((value, _)) = &part.comparison { (charts::of_part(value, part.threshold.as_deref(), &part.text)) }
            }
        }
    }
}

fn part_of(part: &Part, cluster: &str) -> Markup {
    let depth = part.depth.min(3);
    html! {
        li.part.{ "depth-" (depth) } {
            code { @if !part.joined_by.is_empty() { strong { (part.joined_by) } " " } (part.text) @if part.is_group { ":" } }
            p { a href=(expression::path(&part.expr)) { (words::outcome(part)) } }
            @if !part.readings.is_empty() {
                div.wide tabindex="0" { table.evidence {
                    thead { tr {
                        th scope="col" { "Series" }
                        th.number scope="col" { "Now" }
                        @if part.comparison.is_some() { th scope="col" { "Against" } th scope="col" { "Result" } }
                    } }
                    tbody { @for reading in &part.readings { (reading_of(reading, part, cluster)) } }
                } }
            }
            @if part.left_out > 0 { p.dim { "and " (part.left_out) " more" } }
        }
    }
}

fn reading_of(reading: &Reading, part: &Part, cluster: &str) -> Markup {
    html! { tr {
        th scope="row" { (words::subject(&reading.labels, cluster)) }
        td.number { (words::number_of(reading.value)) }
        @if let Some((_, operator)) = &part.comparison {
            td.reference { (operator) @if let Some(threshold) = reading.threshold { " " (words::number_of(threshold)) } }
            td { @if reading.passes { strong { (words::standing(reading)) } } @else { (words::standing(reading)) } }
        }
    } }
}

fn history(inspection: &Inspection) -> Markup {
    let history = &inspection.history;
    html! {
        h3 { "When it was active, in the window" }
        @if history.episodes.is_empty() { p { "Never." } }
        @if history.left_out > 0 { p.dim { (history.left_out) " earlier times are left out." } }
        @if !history.episodes.is_empty() {
            div.wide tabindex="0" { table {
                thead { tr {
                    th scope="col" { "State" } th scope="col" { "From" } th scope="col" { "For" } th scope="col" { "Of" }
                } }
                tbody { @for episode in history.episodes.iter().rev() { tr {
                    td { (state(episode.activity())) }
                    td { (episode.from.to_string()) }
                    td {
                        (units::age(episode.to.unwrap_or(inspection.time).since(episode.from)))
                        @if episode.to.is_none() { " by now" }
                    }
                    td { (words::subject(&episode.labels, &inspection.cluster)) }
                } } }
            } }
        }
    }
}

fn relatives(title: &str, relatives: &[Relative], cluster: &str) -> Markup {
    if relatives.is_empty() {
        return html! {};
    }
    html! {
        h3 { (title) }
        ul { @for relative in relatives { li {
            a href=(path(&relative.alert, cluster)) { (relative.alert) }
            @if relative.same_member { " (on the same member)" } " "
            (state(relative.activity))
        } } }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{Api, judged};
    use super::*;

    #[tokio::test]
    async fn an_alert_has_a_page_with_its_parts_and_relatives() {
        let api = Api::of([judged("one")]);
        let page = api.get(&path("Full", "one")).await;
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        for part in [
            "It does not fire.",
            "size &gt; 10",
            "<a href=\"/alerts/Slow?cluster=one\">Slow</a>",
            "Never.",
        ] {
            assert!(page.body.contains(part), "{part}: {}", page.body);
        }
        let list = api.get("/alerts").await.body;
        assert!(
            list.contains("<a href=\"/alerts/Full?cluster=one\">Full</a>"),
            "{list}"
        );
    }

    #[tokio::test]
    async fn an_unknown_alert_is_told_the_near_ones_and_nothing_of_it_becomes_active() {
        let api = Api::of([judged("one")]);
        let answer = api.get("/alerts/Fulll").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(
            answer.body.contains("<a href=\"/alerts/Full\">Full</a>"),
            "{}",
            answer.body
        );
        let answer = api.get("/alerts/%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
        assert!(!answer.body.contains("<script>alert"), "{}", answer.body);
    }
}
