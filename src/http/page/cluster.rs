//! One cluster of the page.

use maud::{Markup, html};

use super::{badge, charts, expression, problem};
use crate::diagnosis::{CheckItem, Coverage, Diagnosis, SourceError, Status};
use crate::model::{MemberFacts, Timestamp};
use crate::render::{absence, database_size, lacks, quorum_in_words, raft_lag, role, units};

/// Where the page of one cluster is.
pub(super) fn path(cluster: &str) -> String {
    let mut path = String::from("/?cluster=");
    path.extend(url::form_urlencoded::byte_serialize(cluster.as_bytes()));
    path
}

pub(super) fn section(diagnosis: &Diagnosis, now: Timestamp) -> Markup {
    html! {
        section.cluster.(diagnosis.status.as_str()) {
            h2 { (badge(diagnosis.status)) (diagnosis.cluster) }
            p.summary.verdict { (diagnosis.summary) }
            p.dim {
                (quorum_in_words(&diagnosis.facts.quorum))
                " Seen " (units::age(now.since(diagnosis.time))) " ago."
            }
            (members(&diagnosis.cluster, &diagnosis.facts.members))
            @for (place, found) in diagnosis.problems.iter().enumerate() {
                // What to do first is open; the rest opens on a click.
                (problem::article(found, &diagnosis.cluster, diagnosis.time, place == 0))
            }
            @if !diagnosis.facts.members.is_empty() { (charts::figures(&diagnosis.cluster)) }
            (errors(&diagnosis.errors))
            (checklist("Checklist", "pass", &diagnosis.checklist))
            (checklist("Best practices", "are kept", &diagnosis.best_practices))
            (coverage(&diagnosis.coverage))
        }
    }
}

fn members(cluster: &str, members: &[MemberFacts]) -> Markup {
    if members.is_empty() {
        return html! {};
    }
    html! {
        div.wide {
            table {
                thead { tr {
                    th scope="col" { "Member" }
                    th scope="col" { "Role" }
                    th scope="col" { "State" }
                    th scope="col" { "Database" }
                    th.number scope="col" { "Raft lag" }
                    th.number scope="col" { "Revision" }
                    th scope="col" { "Version" }
                } }
                tbody { @for member in members { (row(cluster, member, members)) } }
            }
        }
    }
}

fn row(cluster: &str, member: &MemberFacts, members: &[MemberFacts]) -> Markup {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let matchers = format!(
        "{{cluster={},member={}}}",
        charts::quoted(cluster),
        charts::quoted(&member.name)
    );
    let linked = |expr: &str, text: Option<String>| match text {
        Some(text) => html! { a href=(expression::path(&expr.replace("{}", &matchers))) { (text) } },
        None => html! { "–" },
    };
    html! {
        tr {
            th scope="row" {
                (member.name)
                @if let Some(endpoint) = &member.endpoint { span.dim { (endpoint) } }
            }
            td { (role(member)) }
            td.state { (state(member)) }
            td { (linked("etcd_doctor_member_db_size_bytes{} / etcd_doctor_member_quota_bytes{}", member.db_size_bytes.map(|_| database_size(member).to_string()))) }
            td.number { (linked("etcd_doctor_member_raft_index{} - etcd_doctor_member_raft_applied_index{}", raft_lag(member, members).map(|lag| lag.to_string()))) }
            td.number { (linked("etcd_doctor_member_revision{}", member.revision.map(|revision| revision.to_string()))) }
            td { (or_dash(member.version.clone())) }
        }
    }
}

fn state(member: &MemberFacts) -> Markup {
    let absence = absence(member);
    html! {
        @for alarm in &member.alarms { span.badge.fail { (alarm.as_str()) } " " }
        @match absence {
            Some(absence) => span.bad { (absence) },
            None => @if member.alarms.is_empty() { "ok" },
        }
    }
}

fn errors(errors: &[SourceError]) -> Markup {
    if errors.is_empty() {
        return html! {};
    }
    html! {
        h3 { "What went wrong while looking" }
        ul { @for error in errors { li { (error.source) ": " (error.message) } } }
    }
}

fn checklist(title: &str, how: &str, items: &[CheckItem]) -> Markup {
    if items.is_empty() {
        return html! {};
    }
    let passed = items.iter().filter(|item| item.status == Status::Pass).count();
    html! {
        details {
            summary { (title) ": " (passed) " of " (items.len()) " " (how) }
            ol.checklist {
                @for item in items {
                    li value=(item.step) { (badge(item.status)) (item.title) span.dim { (item.detail) } }
                }
            }
        }
    }
}

fn coverage(coverage: &Coverage) -> Markup {
    if coverage.rules == 0 {
        return html! {};
    }
    let (evaluated, rules) = (coverage.evaluated, coverage.rules);
    if coverage.gaps.is_empty() {
        return html! { p.dim { "All " (rules) " rules had their data." } };
    }
    html! {
        details {
            summary { "Cannot see: " (evaluated) " of " (rules) " rules had their data" }
            ul {
                @for lack in lacks(coverage, usize::MAX) {
                    li {
                        (lack.text)
                        @if !lack.fix.is_empty() { p { "To mend it: " (lack.fix) } }
                    }
                }
            }
        }
    }
}
