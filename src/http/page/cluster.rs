//! One cluster of the page.

use maud::{Markup, html};

use super::{badge, problem};
use crate::diagnosis::{CheckItem, Coverage, Diagnosis, SourceError, Status};
use crate::model::{MemberFacts, Timestamp};
use crate::render::{absence, database_size, lacks, quorum_in_words, raft_lag, role, units};

/// The cluster's place in the page.
pub(super) fn anchor(cluster: &str) -> String {
    format!("cluster-{cluster}")
}

pub(super) fn section(diagnosis: &Diagnosis, now: Timestamp) -> Markup {
    html! {
        section.cluster.(diagnosis.status.as_str()) id=(anchor(&diagnosis.cluster)) {
            h2 { (badge(diagnosis.status)) (diagnosis.cluster) }
            p.summary { (diagnosis.summary) }
            p.dim {
                (quorum_in_words(&diagnosis.facts.quorum))
                " Seen " (units::age(now.since(diagnosis.time))) " ago."
            }
            (members(&diagnosis.facts.members))
            @for (place, found) in diagnosis.problems.iter().enumerate() {
                // What to do first is open; the rest opens on a click.
                (problem::article(found, diagnosis.time, place == 0))
            }
            (errors(&diagnosis.errors))
            (checklist(&diagnosis.checklist))
            (coverage(&diagnosis.coverage))
        }
    }
}

fn members(members: &[MemberFacts]) -> Markup {
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
                tbody { @for member in members { (row(member, members)) } }
            }
        }
    }
}

fn row(member: &MemberFacts, members: &[MemberFacts]) -> Markup {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    html! {
        tr {
            th scope="row" {
                (member.name)
                @if let Some(endpoint) = &member.endpoint { span.dim { (endpoint) } }
            }
            td { (role(member)) }
            td.state { (state(member)) }
            td { (database_size(member)) }
            td.number { (or_dash(raft_lag(member, members).map(|lag| lag.to_string()))) }
            td.number { (or_dash(member.revision.map(|revision| revision.to_string()))) }
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

fn checklist(items: &[CheckItem]) -> Markup {
    if items.is_empty() {
        return html! {};
    }
    let passed = items.iter().filter(|item| item.status == Status::Pass).count();
    html! {
        details {
            summary { "Checklist: " (passed) " of " (items.len()) " pass" }
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
