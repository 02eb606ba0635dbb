//! One problem of the page, with its symptoms inside.

use std::borrow::Cow;

use maud::{Markup, html};

use super::{alert, expression};
use crate::diagnosis::{Evidence, Problem};
use crate::model::Timestamp;
use crate::render::remedy::{Piece, Step, steps};
use crate::render::{state_in_words, units};
use crate::rules::builtin;

pub(super) fn article(problem: &Problem, cluster: &str, now: Timestamp, open: bool) -> Markup {
    let headline = if problem.summary.is_empty() {
        &problem.alert
    } else {
        &problem.summary
    };
    html! {
        details.problem.(problem.severity.as_str()) id={ "problem-" (problem.fingerprint) } open[open] {
            summary {
                span.badge.(problem.severity.as_str()) { (problem.severity.as_str()) }
                strong { (headline) }
                span.dim { (problem.alert) ", " (state_in_words(problem, now)) }
            }
            @if !problem.description.is_empty() { p { (problem.description) } }
            @if !problem.impact.is_empty() { p { strong { "Impact: " } (problem.impact) } }
            (evidence(&problem.evidence))
            (remedy(problem))
            p.more {
                @if let Some(url) = runbook_at(&problem.alert, &problem.runbook_url) { a href=(url) { "Runbook" } " " }
                a href=(alert::path(&problem.alert, cluster)) { "Why it fires" }
            }
            @if !problem.explains.is_empty() {
                h3 { "This explains" }
                @for symptom in &problem.explains { (article(symptom, cluster, now, false)) }
            }
        }
    }
}

fn evidence(evidence: &[Evidence]) -> Markup {
    if evidence.is_empty() {
        return html! {};
    }
    html! {
        h3 { "Evidence" }
        div.wide {
            table.evidence {
                thead { tr {
                    td {}
                    th.number scope="col" { "Now" }
                    th scope="col" { "Reference" }
                } }
                @for item in evidence {
                    tr {
                        th scope="row" { (item.text) }
                        td.number { a href=(expression::path(&item.expr)) { (value(item)) } }
                        td.dim.reference { (units::reference(&item.reference, &item.unit)) }
                    }
                }
            }
        }
        // Read by whoever doubts a value: out of the way of what to do.
        details {
            summary { "Expressions" }
            @for item in evidence { p.dim { (item.text) } pre tabindex="0" { code { (item.expr) } } }
        }
    }
}

fn value(evidence: &Evidence) -> String {
    match evidence.value {
        Some(value) => units::quantity(value, &evidence.unit),
        None => "no value now".to_owned(),
    }
}

fn remedy(problem: &Problem) -> Markup {
    let steps = steps(&problem.remedy, &problem.commands);
    if steps.is_empty() {
        return html! {};
    }
    html! {
        h3 { "What to do" }
        @for item in &steps {
            div.step { span.marker { (item.marker) } div { (pieces(item)) } }
        }
    }
}

fn pieces(step: &Step) -> Markup {
    html! {
        @for piece in &step.pieces {
            @match piece {
                Piece::Prose(text) => p { (prose(text)) },
                Piece::Command(command) => pre tabindex="0" { code { (command) } },
            }
        }
    }
}

/// Text in which code stands in backquotes. One without a partner stands for itself.
fn prose(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    // Splitting gives at least one part.
    let last = parts.len() - 1;
    html! {
        @for (at, part) in parts.iter().enumerate() {
            @if at % 2 == 0 { (part) } @else if at < last { code { (part) } } @else { "`" (part) }
        }
    }
}

/// Where to read more: here, when it is the runbook that is shipped, so that it can be read where only this server can
/// be reached.
pub(super) fn runbook_at<'a>(alert: &str, url: &'a str) -> Option<Cow<'a, str>> {
    let shipped = url.ends_with(&format!("/docs/runbooks/{alert}.md"));
    if shipped && builtin::runbook(alert).is_some() {
        return Some(format!("/runbooks/{alert}").into());
    }
    link(url).map(Cow::Borrowed)
}

/// A link that leads to a page and does not run anything: rule files may come from anywhere.
fn link(url: &str) -> Option<&str> {
    let harmless = ["https://", "http://", "/"];
    harmless.iter().any(|start| url.starts_with(start)).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shipped_runbook_is_read_here_and_any_other_where_it_is() {
        let at = |alert: &str, url: &'static str| runbook_at(alert, url).unwrap().into_owned();
        let shipped = "https://example.org/docs/runbooks/EtcdQuotaAlarmFull.md";
        assert_eq!(at("EtcdQuotaAlarmFull", shipped), "/runbooks/EtcdQuotaAlarmFull");
        let ours = "https://example.org/ours";
        assert_eq!(at("EtcdQuotaAlarmFull", ours), ours);
        let ours = "https://example.org/docs/runbooks/Ours.md";
        assert_eq!(at("Ours", ours), ours);
    }

    #[test]
    fn code_stands_out_and_an_unpaired_backquote_stays() {
        assert_eq!(
            prose("as `root` or so").into_string(),
            "as <code>root</code> or so"
        );
        assert_eq!(prose("a `b c").into_string(), "a `b c");
        assert_eq!(prose("`<b>`").into_string(), "<code>&lt;b&gt;</code>");
        assert_eq!(prose("").into_string(), "");
    }

    #[test]
    fn only_pages_are_linked() {
        assert_eq!(link("https://example.org/x"), Some("https://example.org/x"));
        assert_eq!(link("/runbooks/EtcdNoLeader"), Some("/runbooks/EtcdNoLeader"));
        for other in ["javascript:alert(1)", "data:text/html,x", " javascript:x", ""] {
            assert_eq!(link(other), None, "{other}");
        }
    }
}
