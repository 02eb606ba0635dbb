//! The charts of a cluster: what they show over the last hour, as expressions over the window that the page's script asks
//! for. Without a script they are not there, and the rest of the page says what is wrong all the same.

use maud::{Markup, html};
use serde::Serialize;

use super::expression;

/// What the script is told of a chart.
#[derive(Serialize)]
struct Chart<'a> {
    title: &'static str,
    unit: &'static str,
    lines: Vec<Line>,
    /// A counter whose rises are marked with vertical lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    marks: Option<String>,
    /// The growth in a second of the largest line, which is drawn on at that pace.
    #[serde(skip_serializing_if = "Option::is_none")]
    growth: Option<String>,
    /// What to conclude from it.
    #[serde(skip)]
    about: &'a str,
}

/// An expression whose series are lines, named by their labels unless it has a name of its own.
#[derive(Serialize)]
struct Line {
    expr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    /// Whether it is what the others are compared with.
    reference: bool,
}

fn line(expr: String) -> Line {
    Line {
        expr,
        name: None,
        reference: false,
    }
}

fn reference(name: &'static str, expr: String) -> Line {
    Line {
        name: Some(name),
        reference: true,
        ..line(expr)
    }
}

/// All charts of a cluster, in the order in which one looks: space, disk, raft, network.
pub(super) fn figures(cluster: &str) -> Markup {
    html! {
        section.charts aria-label="The last hour" {
            @for chart in &of(cluster) { (figure(chart)) }
        }
    }
}

/// One chart of an expression, for the page of that expression.
pub(super) fn of_expression(expr: &str) -> Markup {
    figure(&Chart {
        title: "The last hour",
        unit: "",
        lines: vec![line(expr.to_owned())],
        marks: None,
        growth: None,
        about: "",
    })
}

/// One chart of a part of a rule's expression, with what it is compared with.
pub(super) fn of_part(value: &str, threshold: Option<&str>, about: &str) -> Markup {
    let threshold = threshold.map(|threshold| reference("threshold", threshold.to_owned()));
    let lines = std::iter::once(line(value.to_owned())).chain(threshold);
    figure(&Chart {
        title: "The last hour",
        unit: "",
        lines: lines.collect(),
        marks: None,
        growth: None,
        about,
    })
}

fn figure(chart: &Chart<'_>) -> Markup {
    // A chart is of strings and flags alone, which always are JSON.
    let told = serde_json::to_string(chart).unwrap_or_default();
    html! {
        figure.chart data-chart=(told) {
            figcaption {
                a href=(expression::path(&chart.lines[0].expr)) { (chart.title) }
                @if !chart.about.is_empty() { span.dim { (chart.about) } }
            }
            div.plot role="img" aria-label=(chart.title) {}
            p.note.dim hidden {}
            noscript { p.dim { "Charts need JavaScript." } }
        }
    }
}

fn of(cluster: &str) -> Vec<Chart<'static>> {
    let c = format!("cluster={}", quoted(cluster));
    let share_above = |metric: &str, bound: &str| {
        line(format!(
            "1 - min by (member) (increase({metric}_bucket{{{c},le=\"{bound}\"}}[1m]) / ignoring (le) increase({metric}_count{{{c}}}[1m]))"
        ))
    };
    let mean = |metric: &str, matchers: &str, range: &str| {
        line(format!(
            "max by (member) (increase({metric}_sum{{{c}{matchers}}}[{range}]) / (increase({metric}_count{{{c}{matchers}}}[{range}]) > 0))"
        ))
    };
    let per_operation = |what: &str, times: &str, counts: &str| {
        let expr = format!(
            "max by (member, device) (increase({times}{{{c}}}[1m]) / (increase({counts}{{{c}}}[1m]) > 0))"
        );
        line(format!(
            "label_replace({expr}, \"operation\", \"{what}\", \"\", \"\")"
        ))
    };
    let elections = Some(format!("max(etcd_doctor_elections_total{{{c}}})"));
    let chart = |title, unit, about, lines| Chart {
        title,
        unit,
        lines,
        marks: elections.clone(),
        growth: None,
        about,
    };
    vec![
        Chart {
            growth: Some(format!(
                "max(deriv(etcd_doctor_member_db_size_bytes{{{c}}}[30m]))"
            )),
            ..chart(
                "Database size",
                "bytes",
                "At the quota every write is refused.",
                vec![
                    line(format!(
                        "max by (member) (etcd_doctor_member_db_size_bytes{{{c}}})"
                    )),
                    reference("quota", format!("min(etcd_doctor_member_quota_bytes{{{c}}})")),
                ],
            )
        },
        chart(
            "WAL fsyncs slower than 16 ms",
            "ratio",
            "Every write waits for one.",
            vec![share_above("etcd_doctor_wal_fsync_duration_seconds", "0.016")],
        ),
        chart(
            "Backend commits slower than 32 ms",
            "ratio",
            "Slow ones hold up reads and status.",
            vec![share_above(
                "etcd_doctor_backend_commit_duration_seconds",
                "0.032",
            )],
        ),
        chart(
            "Device latency",
            "seconds",
            "Quick while fsyncs are slow: a limit or a neighbour, not the device.",
            vec![
                per_operation(
                    "write",
                    "etcd_doctor_disk_write_time_seconds_total",
                    "etcd_doctor_disk_writes_completed_total",
                ),
                per_operation(
                    "flush",
                    "etcd_doctor_disk_flush_time_seconds_total",
                    "etcd_doctor_disk_flushes_completed_total",
                ),
            ],
        ),
        chart(
            "Raft entries not yet applied",
            "",
            "Grows on a member that cannot keep up.",
            vec![line(format!(
                "max by (member) (etcd_doctor_member_raft_index{{{c}}} - etcd_doctor_member_raft_applied_index{{{c}}})"
            ))],
        ),
        chart(
            "Round trip between peers",
            "seconds",
            "Each write waits for one to a quorum.",
            vec![mean("etcd_doctor_peer_round_trip_time_seconds", "", "2m")],
        ),
        chart(
            "Reads through consensus",
            "seconds",
            "What clients wait for.",
            vec![mean(
                "etcd_doctor_probe_duration_seconds",
                ",probe=\"linearizable\"",
                "1m",
            )],
        ),
    ]
}

/// A string as PromQL writes it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '\\' | '"' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::Query;

    #[test]
    fn every_expression_can_be_parsed_whatever_the_cluster_is_called() {
        for chart in of("a \"b\\\n{}") {
            let lines = chart.lines.iter().map(|line| &line.expr);
            for expr in lines.chain(&chart.marks).chain(&chart.growth) {
                let query = Query::parse(expr).unwrap_or_else(|error| panic!("{expr}: {error}"));
                for selector in query.selectors() {
                    let name = selector.metric.expect("each selects a metric by its name");
                    assert!(name.starts_with("etcd_doctor_"), "{name}");
                }
            }
        }
    }
}
