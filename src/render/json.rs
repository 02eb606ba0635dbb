//! The wire shape, version 1. It only ever grows: a field keeps its name, its type and its meaning.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Report;
use crate::diagnosis::{CheckItem, Coverage, Diagnosis, Evidence, Problem};
use crate::model::{ClusterFacts, MemberFacts, Quota, hex_id};

/// The JSON Schema (2020-12) of what [`render`] gives.
pub const SCHEMA: &str = include_str!("diagnosis.schema.json");

/// Renders as indented JSON with a line feed at the end.
pub fn render(report: &Report<'_>) -> String {
    // Serialising fails only on keys that are no strings and on impls that fail: the types below have neither.
    let text = serde_json::to_string_pretty(&Document::of(report)).unwrap_or_default();
    for_terminals(text)
}

/// JSON as it may be shown to a terminal, with a line feed at the end: what one would obey, and JSON need not escape, is
/// escaped all the same. That only stands inside strings.
pub(super) fn for_terminals(mut text: String) -> String {
    let obeyed = |letter: char| letter != '\n' && super::page::is_obeyed(letter);
    if text.contains(obeyed) {
        let escape = |letter: char| match obeyed(letter) {
            true => format!("\\u{:04x}", u32::from(letter)),
            false => letter.to_string(),
        };
        text = text.chars().map(escape).collect();
    }
    text.push('\n');
    text
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    api_version: &'static str,
    kind: &'static str,
    generated_at: String,
    tool: Tool<'a>,
    status: &'static str,
    clusters: Vec<ClusterShape<'a>>,
    errors: Vec<ErrorShape<'a>>,
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
    cluster_id: Option<String>,
    status: &'static str,
    summary: &'a str,
    quorum: QuorumShape<'a>,
    environment: BTreeMap<&'a str, &'a str>,
    members: Vec<MemberShape<'a>>,
    problems: Vec<ProblemShape<'a>>,
    checklist: Vec<CheckShape<'a>>,
    best_practices: Vec<PracticeShape<'a>>,
    coverage: CoverageShape<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QuorumShape<'a> {
    voters: usize,
    reachable: usize,
    required: usize,
    failure_tolerance: i64,
    leader: Option<&'a str>,
    term: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberShape<'a> {
    name: &'a str,
    id: Option<String>,
    endpoint: Option<&'a str>,
    reachable: bool,
    latency_seconds: Option<f64>,
    leader: bool,
    learner: bool,
    version: Option<&'a str>,
    db_size_bytes: Option<u64>,
    db_size_in_use_bytes: Option<u64>,
    quota_bytes: Option<u64>,
    quota_source: Option<&'static str>,
    revision: Option<String>,
    raft_index: Option<String>,
    raft_applied_index: Option<String>,
    raft_term: Option<String>,
    alarms: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProblemShape<'a> {
    rank: usize,
    alert: &'a str,
    severity: &'static str,
    category: &'a str,
    state: &'static str,
    since: String,
    member: Option<&'a str>,
    labels: BTreeMap<&'a str, &'a str>,
    summary: &'a str,
    description: &'a str,
    impact: &'a str,
    remedy: &'a str,
    commands: &'a [String],
    evidence: Vec<EvidenceShape<'a>>,
    runbook_url: &'a str,
    guide: &'a str,
    fingerprint: String,
    explains: Vec<ProblemShape<'a>>,
}

#[derive(Serialize)]
struct EvidenceShape<'a> {
    text: &'a str,
    expr: &'a str,
    value: Option<f64>,
    unit: &'a str,
    reference: &'a str,
}

#[derive(Serialize)]
struct CheckShape<'a> {
    step: usize,
    title: &'static str,
    status: &'static str,
    detail: &'a str,
}

#[derive(Serialize)]
struct PracticeShape<'a> {
    number: usize,
    title: &'static str,
    status: &'static str,
    detail: &'a str,
}

#[derive(Serialize)]
struct CoverageShape<'a> {
    rules: usize,
    evaluated: usize,
    gaps: Vec<GapShape<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GapShape<'a> {
    alert: &'a str,
    reason: &'a str,
    fix: &'a str,
    /// Of a rule whose window is still filling, when it will have filled.
    warming_up_seconds_left: Option<u64>,
}

#[derive(Serialize)]
struct ErrorShape<'a> {
    source: String,
    message: &'a str,
}

// === impls ===

impl<'a> Document<'a> {
    fn of(report: &'a Report<'_>) -> Self {
        Self {
            api_version: "etcd-doctor/v1",
            kind: "Diagnosis",
            generated_at: report.time.to_string(),
            tool: Tool {
                version: &report.tool.version,
                rules_digest: &report.tool.rules_digest,
            },
            status: report.status().as_str(),
            clusters: report.diagnoses.iter().map(ClusterShape::of).collect(),
            errors: errors(report.diagnoses),
        }
    }
}

/// The errors of all clusters. Where there are several, the source says of which.
fn errors(diagnoses: &[Diagnosis]) -> Vec<ErrorShape<'_>> {
    let several = diagnoses.len() > 1;
    let of_one = |diagnosis: &'_ Diagnosis| {
        let cluster = diagnosis.cluster.clone();
        move |source: &str| {
            if several {
                format!("{cluster}: {source}")
            } else {
                source.to_owned()
            }
        }
    };
    diagnoses
        .iter()
        .flat_map(|diagnosis| {
            let named = of_one(diagnosis);
            diagnosis.errors.iter().map(move |error| ErrorShape {
                source: named(&error.source),
                message: &error.message,
            })
        })
        .collect()
}

impl<'a> ClusterShape<'a> {
    fn of(diagnosis: &'a Diagnosis) -> Self {
        Self {
            name: &diagnosis.cluster,
            cluster_id: diagnosis.facts.cluster_id.map(hex_id),
            status: diagnosis.status.as_str(),
            summary: &diagnosis.summary,
            quorum: QuorumShape::of(&diagnosis.facts),
            environment: diagnosis.facts.access.variables().into_iter().collect(),
            members: diagnosis.facts.members.iter().map(MemberShape::of).collect(),
            problems: diagnosis.problems.iter().map(ProblemShape::of).collect(),
            checklist: diagnosis.checklist.iter().map(CheckShape::of).collect(),
            best_practices: diagnosis.best_practices.iter().map(PracticeShape::of).collect(),
            coverage: CoverageShape::of(&diagnosis.coverage),
        }
    }
}

impl<'a> QuorumShape<'a> {
    fn of(ClusterFacts { quorum, .. }: &'a ClusterFacts) -> Self {
        Self {
            voters: quorum.voters,
            reachable: quorum.reachable,
            required: quorum.required,
            failure_tolerance: quorum.failure_tolerance(),
            leader: quorum.leader.as_deref(),
            term: quorum.term.map(text),
        }
    }
}

impl<'a> MemberShape<'a> {
    fn of(member: &'a MemberFacts) -> Self {
        // A source without bytes: the quota is switched off.
        let (quota_bytes, quota_source) = match member.quota {
            Quota::Unknown => (None, None),
            Quota::Disabled(source) => (None, Some(source.as_str())),
            Quota::Bytes(bytes, source) => (Some(bytes), Some(source.as_str())),
        };
        Self {
            name: &member.name,
            id: member.id.map(hex_id),
            endpoint: member.endpoint.as_deref(),
            reachable: member.reachable,
            latency_seconds: member.latency.map(|latency| latency.as_secs_f64()),
            leader: member.leader,
            learner: member.learner,
            version: member.version.as_deref(),
            db_size_bytes: member.db_size_bytes,
            db_size_in_use_bytes: member.db_in_use_bytes,
            quota_bytes,
            quota_source,
            revision: member.revision.map(text),
            raft_index: member.raft_index.map(text),
            raft_applied_index: member.raft_applied_index.map(text),
            raft_term: member.raft_term.map(text),
            alarms: member.alarms.iter().map(|alarm| alarm.as_str()).collect(),
        }
    }
}

impl<'a> ProblemShape<'a> {
    fn of(problem: &'a Problem) -> Self {
        Self {
            rank: problem.rank,
            alert: &problem.alert,
            severity: problem.severity.as_str(),
            category: &problem.category,
            state: if problem.firing { "firing" } else { "pending" },
            since: problem.since.to_string(),
            member: problem.member.as_deref(),
            labels: problem.labels.iter().collect(),
            summary: &problem.summary,
            description: &problem.description,
            impact: &problem.impact,
            remedy: &problem.remedy,
            commands: &problem.commands,
            evidence: problem.evidence.iter().map(EvidenceShape::of).collect(),
            runbook_url: &problem.runbook_url,
            guide: &problem.guide,
            // As Alertmanager writes it.
            fingerprint: format!("{:016x}", problem.fingerprint),
            explains: problem.explains.iter().map(ProblemShape::of).collect(),
        }
    }
}

impl<'a> EvidenceShape<'a> {
    fn of(evidence: &'a Evidence) -> Self {
        Self {
            text: &evidence.text,
            expr: &evidence.expr,
            // JSON knows neither NaN nor infinity.
            value: evidence.value.filter(|value| value.is_finite()),
            unit: &evidence.unit,
            reference: &evidence.reference,
        }
    }
}

impl<'a> PracticeShape<'a> {
    fn of(item: &'a CheckItem) -> Self {
        Self {
            number: item.step,
            title: item.title,
            status: item.status.as_str(),
            detail: &item.detail,
        }
    }
}

impl<'a> CheckShape<'a> {
    fn of(item: &'a CheckItem) -> Self {
        Self {
            step: item.step,
            title: item.title,
            status: item.status.as_str(),
            detail: &item.detail,
        }
    }
}

impl<'a> CoverageShape<'a> {
    fn of(coverage: &'a Coverage) -> Self {
        let gap = |gap: &'a crate::diagnosis::Gap| GapShape {
            alert: &gap.alert,
            reason: &gap.reason,
            fix: &gap.fix,
            warming_up_seconds_left: gap
                .looks_back
                .map(|reach| reach.saturating_sub(coverage.watched_for).as_secs()),
        };
        Self {
            rules: coverage.rules,
            evaluated: coverage.evaluated,
            gaps: coverage.gaps.iter().map(gap).collect(),
        }
    }
}

/// 64-bit numbers are strings: many readers of JSON round them.
fn text(number: u64) -> String {
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    fn rendered(diagnoses: &[Diagnosis]) -> serde_json::Value {
        serde_json::from_str(&render(&fixture::report(diagnoses))).unwrap()
    }

    #[test]
    fn has_the_shape_of_version_one() {
        let document = rendered(&[fixture::quota()]);
        let keys = |value: &serde_json::Value| -> Vec<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(
            keys(&document),
            [
                "apiVersion",
                "kind",
                "generatedAt",
                "tool",
                "status",
                "clusters",
                "errors"
            ]
        );
        assert_eq!(document["apiVersion"], "etcd-doctor/v1");
        assert_eq!(document["generatedAt"], "2023-11-14T22:13:20.000Z");
        let cluster = &document["clusters"][0];
        assert_eq!(
            cluster["members"][0],
            serde_json::json!({
                "name": "etcd-0", "id": "8e9e05c52164694d", "endpoint": "https://10.0.0.1:2379", "reachable": true,
                "latencySeconds": 0.0012, "leader": true, "learner": false, "version": "3.5.16", "dbSizeBytes": 2147483648u64,
                "dbSizeInUseBytes": 104857600, "quotaBytes": 2147483648u64, "quotaSource": "metrics", "revision": "412345",
                "raftIndex": "500120", "raftAppliedIndex": "500120", "raftTerm": "7", "alarms": ["NOSPACE"]
            })
        );
        let quorum = serde_json::json!({
            "voters": 3, "reachable": 3, "required": 2, "failureTolerance": 1, "leader": "etcd-0", "term": "7"
        });
        assert_eq!(cluster["quorum"], quorum);
        let problem = &cluster["problems"][0];
        assert_eq!(
            keys(problem),
            [
                "rank",
                "alert",
                "severity",
                "category",
                "state",
                "since",
                "member",
                "labels",
                "summary",
                "description",
                "impact",
                "remedy",
                "commands",
                "evidence",
                "runbookUrl",
                "guide",
                "fingerprint",
                "explains"
            ]
        );
        assert_eq!(problem["fingerprint"], "00000000000000ab");
        assert_eq!(problem["explains"][0]["alert"], "EtcdDatabaseFilling");
        assert_eq!(problem["explains"][0]["state"], "pending");
    }

    #[test]
    fn what_is_unknown_is_null() {
        let mut diagnosis = fixture::quorum_lost();
        diagnosis.problems[0].evidence[0].value = Some(f64::NAN);
        let document = rendered(&[diagnosis]);
        let cluster = &document["clusters"][0];
        assert!(cluster["problems"][0]["evidence"][0]["value"].is_null());
        assert!(cluster["members"][1]["revision"].is_null() && cluster["quorum"]["leader"].is_null());
    }

    #[test]
    fn a_switched_off_quota_has_a_source_and_no_size() {
        let mut diagnosis = fixture::healthy();
        diagnosis.facts.members[0].quota = Quota::Disabled(crate::model::QuotaSource::Process);
        let member = &rendered(&[diagnosis])["clusters"][0]["members"][0];
        assert!(member["quotaBytes"].is_null());
        assert_eq!(member["quotaSource"], "process");
    }

    #[test]
    fn errors_of_several_clusters_say_of_which() {
        let sources = |diagnoses: &[Diagnosis]| rendered(diagnoses)["errors"][0]["source"].clone();
        assert_eq!(sources(&[fixture::quorum_lost()]), "status etcd-1");
        assert_eq!(
            sources(&[fixture::quorum_lost(), fixture::healthy()]),
            "prod: status etcd-1"
        );
    }

    /// Every object that is rendered has exactly the properties that the schema declares, and all of them.
    #[test]
    fn the_schema_declares_every_field() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let document = rendered(&[fixture::quota(), fixture::quorum_lost()]);
        conforms(&document, &schema, &schema, "$");
    }

    /// Version 1 only grows: what a field is called, its type and its words stay. A new field goes into the file as well, and
    /// from then on it is kept, too.
    #[test]
    fn version_one_is_kept() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let mut now = Vec::new();
        fields("Diagnosis", &schema, &mut now);
        for (name, part) in schema["$defs"].as_object().unwrap() {
            fields(name, part, &mut now);
        }
        let kept: Vec<&str> = include_str!("diagnosis.v1.txt").lines().collect();
        let gone: Vec<_> = kept
            .iter()
            .filter(|line| !now.iter().any(|now| now == *line))
            .collect();
        assert!(gone.is_empty(), "removed or changed: {gone:#?}");
        let new: Vec<_> = now.iter().filter(|now| !kept.contains(&&***now)).collect();
        assert!(new.is_empty(), "new, to be added to diagnosis.v1.txt: {new:#?}");
    }

    fn fields(name: &str, part: &serde_json::Value, into: &mut Vec<String>) {
        let Some(properties) = part["properties"].as_object() else {
            into.push(format!("{name}: {}", kind(part)));
            return;
        };
        let required: Vec<&str> = part["required"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|name| name.as_str())
            .collect();
        for (field, part) in properties {
            let name = format!(
                "{name}.{field}{}",
                if required.contains(&&**field) { "" } else { "?" }
            );
            if part["properties"].is_object() {
                fields(&name, part, into);
                continue;
            }
            into.push(format!("{name}: {}", kind(part)));
            if part["items"]["properties"].is_object() {
                fields(&format!("{name}[]"), &part["items"], into);
            }
        }
    }

    fn kind(part: &serde_json::Value) -> String {
        if let Some(reference) = part["$ref"].as_str() {
            return reference.rsplit('/').next().unwrap().to_owned();
        }
        let mut text = part["type"].to_string();
        if part["items"].is_object() {
            text += &format!(" of {}", kind(&part["items"]));
        }
        if part["additionalProperties"].is_object() {
            text += &format!(" of {}", kind(&part["additionalProperties"]));
        }
        if part["enum"].is_array() {
            text += &format!(" = {}", part["enum"]);
        }
        text
    }

    fn conforms(value: &serde_json::Value, part: &serde_json::Value, schema: &serde_json::Value, at: &str) {
        if let Some(reference) = part["$ref"].as_str() {
            return conforms(
                value,
                schema.pointer(reference.trim_start_matches('#')).unwrap(),
                schema,
                at,
            );
        }
        let kind = match value {
            serde_json::Value::Null => "null",
            serde_json::Value::Bool(_) => "boolean",
            serde_json::Value::Number(number) if number.is_f64() => "number",
            serde_json::Value::Number(_) => "integer",
            serde_json::Value::String(_) => "string",
            serde_json::Value::Array(_) => "array",
            serde_json::Value::Object(_) => "object",
        };
        let types: Vec<&str> = match &part["type"] {
            serde_json::Value::String(one) => vec![one],
            several => several
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one.as_str().unwrap())
                .collect(),
        };
        let fits = types.contains(&kind) || (kind == "integer" && types.contains(&"number"));
        assert!(fits, "{at} is {kind} and not {types:?}");
        if let Some(allowed) = part["enum"].as_array() {
            assert!(allowed.contains(value), "{at} is {value}");
        }
        if let Some(items) = value.as_array() {
            items
                .iter()
                .enumerate()
                .for_each(|(i, item)| conforms(item, &part["items"], schema, &format!("{at}[{i}]")));
        }
        if let (Some(fields), Some(declared)) = (value.as_object(), part["properties"].as_object()) {
            assert_eq!(
                fields.keys().collect::<Vec<_>>(),
                declared.keys().collect::<Vec<_>>(),
                "{at}"
            );
            fields
                .iter()
                .for_each(|(name, field)| conforms(field, &declared[name], schema, &format!("{at}.{name}")));
        }
    }
}
