//! An alert looked at closely, as JSON: the shape of `rules explain -o json` and of the HTTP API.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::diagnosis::inspection::{Activity, Episode, Inspected, Inspection, Part, Reading, Relative};
use crate::model::Labels;
use crate::render::ToolInfo;

/// Renders as indented JSON with a line feed at the end. Numbers that JSON cannot write, such as NaN, are null.
pub fn render(alert: &str, inspections: &[Inspection], tool: &ToolInfo) -> String {
    let document = Document {
        api_version: "etcd-doctor/v1",
        kind: "AlertExplanation",
        tool: Tool {
            version: &tool.version,
            rules_digest: &tool.rules_digest,
        },
        alert,
        clusters: inspections.iter().map(ClusterShape::of).collect(),
    };
    // Serialising fails only on keys that are no strings and on impls that fail: there are neither.
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    crate::render::json::for_terminals(text)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    api_version: &'static str,
    kind: &'static str,
    tool: Tool<'a>,
    alert: &'a str,
    clusters: Vec<ClusterShape<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tool<'a> {
    version: &'a str,
    rules_digest: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterShape<'a> {
    name: &'a str,
    time: String,
    state: &'static str,
    rules: Vec<RuleShape<'a>>,
    gaps: Vec<GapShape<'a>>,
    history: Vec<EpisodeShape<'a>>,
    history_left_out: usize,
    explains: Vec<RelativeShape<'a>>,
    explained_by: Vec<RelativeShape<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleShape<'a> {
    file: &'a str,
    severity: &'static str,
    category: &'a str,
    summary: &'a str,
    expr: &'a str,
    for_seconds: f64,
    keep_firing_for_seconds: f64,
    runbook_url: &'a str,
    error: Option<&'a str>,
    /// Why it is not active, in words.
    obstacle: Option<String>,
    active: Vec<ActiveShape<'a>>,
    parts: Vec<PartShape<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActiveShape<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    state: &'static str,
    since: String,
    fires_in_seconds: f64,
    value: f64,
    summary: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PartShape<'a> {
    depth: usize,
    joined_by: &'a str,
    text: &'a str,
    group: bool,
    expr: &'a str,
    value_expr: Option<&'a str>,
    operator: Option<&'static str>,
    readings: Vec<ReadingShape<'a>>,
    readings_left_out: usize,
    passing: usize,
    left: Option<usize>,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct ReadingShape<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    value: f64,
    threshold: Option<f64>,
    passes: bool,
    distance: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GapShape<'a> {
    reason: &'a str,
    fix: &'a str,
    blind: bool,
    applies: bool,
    warming_up: bool,
}

#[derive(Serialize)]
struct EpisodeShape<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    state: &'static str,
    from: String,
    to: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RelativeShape<'a> {
    alert: &'a str,
    same_member: bool,
    state: &'static str,
}

fn map(labels: &Labels) -> BTreeMap<&str, &str> {
    labels.iter().collect()
}

impl<'a> ClusterShape<'a> {
    fn of(inspection: &'a Inspection) -> Self {
        Self {
            name: &inspection.cluster,
            time: inspection.time.to_string(),
            state: inspection.activity().as_str(),
            rules: inspection.rules.iter().map(RuleShape::of).collect(),
            gaps: inspection
                .gaps
                .iter()
                .map(|gap| GapShape {
                    reason: &gap.reason,
                    fix: &gap.fix,
                    blind: gap.blind,
                    applies: gap.applies,
                    warming_up: gap.looks_back.is_some(),
                })
                .collect(),
            history: inspection.history.episodes.iter().map(EpisodeShape::of).collect(),
            history_left_out: inspection.history.left_out,
            explains: inspection.explains.iter().map(RelativeShape::of).collect(),
            explained_by: inspection.explained_by.iter().map(RelativeShape::of).collect(),
        }
    }
}

impl<'a> RuleShape<'a> {
    fn of(rule: &'a Inspected) -> Self {
        let active = rule.active.iter().map(|active| ActiveShape {
            labels: map(&active.labels),
            state: match active.firing {
                true => Activity::Firing.as_str(),
                false => Activity::Pending.as_str(),
            },
            since: active.since.to_string(),
            fires_in_seconds: active.fires_in.as_secs_f64(),
            value: active.value,
            summary: &active.summary,
        });
        Self {
            file: &rule.file,
            severity: rule.severity.as_str(),
            category: &rule.category,
            summary: &rule.summary,
            expr: &rule.expr,
            for_seconds: rule.hold.as_secs_f64(),
            keep_firing_for_seconds: rule.keep_firing.as_secs_f64(),
            runbook_url: &rule.runbook_url,
            error: rule.error.as_deref(),
            obstacle: super::obstacle(rule),
            active: active.collect(),
            parts: rule.parts.iter().map(PartShape::of).collect(),
        }
    }
}

impl<'a> PartShape<'a> {
    fn of(part: &'a Part) -> Self {
        Self {
            depth: part.depth,
            joined_by: &part.joined_by,
            text: &part.text,
            group: part.is_group,
            expr: &part.expr,
            value_expr: part.comparison.as_ref().map(|(value, _)| &**value),
            operator: part.comparison.as_ref().map(|(_, operator)| *operator),
            readings: part.readings.iter().map(ReadingShape::of).collect(),
            readings_left_out: part.left_out,
            passing: part.passing,
            left: part.left,
            error: part.error.as_deref(),
        }
    }
}

impl<'a> ReadingShape<'a> {
    fn of(reading: &'a Reading) -> Self {
        Self {
            labels: map(&reading.labels),
            value: reading.value,
            threshold: reading.threshold,
            passes: reading.passes,
            distance: reading.distance(),
        }
    }
}

impl<'a> EpisodeShape<'a> {
    fn of(episode: &'a Episode) -> Self {
        Self {
            labels: map(&episode.labels),
            state: episode.activity().as_str(),
            from: episode.from.to_string(),
            to: episode.to.map(|to| to.to_string()),
        }
    }
}

impl<'a> RelativeShape<'a> {
    fn of(relative: &'a Relative) -> Self {
        Self {
            alert: &relative.alert,
            same_member: relative.same_member,
            state: relative.activity.as_str(),
        }
    }
}
