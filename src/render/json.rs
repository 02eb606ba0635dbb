//! The wire shape, version 1. It only ever grows: a field keeps its name, its type and its meaning.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Report;
use crate::diagnosis::{CheckItem, Coverage, Diagnosis, Evidence, Problem, Severity, Status};
use crate::model::{ClusterFacts, MemberFacts, Quota, QuotaSource, Timestamp, hex_id};

/// The JSON Schema (2020-12) of what [`render`] gives: generated from the types below, whose comments are its descriptions.
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

/// What is wrong with one or several etcd clusters. Later versions may add properties; none is removed or changes its
/// type. Null is unknown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(title = "etcd-doctor diagnosis, version 1", extend("$id" = "urn:etcd-doctor:diagnosis:v1")))]
struct Document<'a> {
    /// The version of this shape.
    api_version: ApiVersion,
    /// What this is.
    kind: Kind,
    generated_at: Time,
    tool: Tool<'a>,
    status: Status,
    /// The clusters, in the order of the configuration.
    clusters: Vec<ClusterShape<'a>>,
    /// Failures to read: not findings about a cluster.
    errors: Vec<ErrorShape<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
enum ApiVersion {
    #[serde(rename = "etcd-doctor/v1")]
    V1,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
enum Kind {
    Diagnosis,
}

/// RFC 3339 in UTC.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "time", extend("format" = "date-time")))]
struct Time(String);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
struct Tool<'a> {
    /// etcd-doctor's version.
    version: &'a str,
    /// A digest of the rules in force.
    rules_digest: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "cluster", transform = schema::allow_without_best_practices))]
struct ClusterShape<'a> {
    /// Its name in the configuration.
    name: &'a str,
    /// Its id in hex.
    cluster_id: Option<String>,
    status: Status,
    /// The verdict in one line.
    summary: &'a str,
    quorum: QuorumShape<'a>,
    /// etcdctl's variables for the commands of this cluster, by name: certificates as etcd-doctor uses them,
    /// `root` where it has a user, since its own need not be allowed to do what they do, never a password. Empty where none is needed.
    environment: BTreeMap<&'a str, &'a str>,
    /// By name.
    members: Vec<MemberShape<'a>>,
    /// Worst first; symptoms stand inside their cause.
    problems: Vec<ProblemShape<'a>>,
    /// The guide's checklist, in its order.
    checklist: Vec<CheckShape<'a>>,
    /// The guide's best practices, in its order. They do not count for the status.
    best_practices: Vec<PracticeShape<'a>>,
    coverage: CoverageShape<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
struct QuorumShape<'a> {
    /// Members with a vote, those that never started included.
    voters: usize,
    /// Voters that answered.
    reachable: usize,
    /// Votes needed to commit.
    required: usize,
    /// How many more voters may fail; negative when quorum is lost.
    failure_tolerance: i64,
    /// The leader's name.
    leader: Option<&'a str>,
    /// The highest raft term seen, in decimal.
    term: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "member"))]
struct MemberShape<'a> {
    /// Its name; its hex id or its address where it has none.
    name: &'a str,
    /// In hex.
    id: Option<String>,
    /// Where it is asked.
    endpoint: Option<&'a str>,
    /// Whether it answered.
    reachable: bool,
    /// How long its answer to Maintenance.Status took; null when it gave none.
    latency_seconds: Option<f64>,
    /// Whether it says that it leads.
    leader: bool,
    /// Whether it has no vote.
    learner: bool,
    /// Its etcd version.
    version: Option<&'a str>,
    /// Allocated size of the database: what the quota is compared with.
    db_size_bytes: Option<u64>,
    /// The same without free pages.
    db_size_in_use_bytes: Option<u64>,
    /// Its quota; null together with a source when it is switched off.
    quota_bytes: Option<u64>,
    /// Where the quota was read.
    quota_source: Option<QuotaSource>,
    /// The store's revision, in decimal.
    revision: Option<String>,
    /// Index of the last entry committed, in decimal.
    raft_index: Option<String>,
    /// Index of the last entry applied, in decimal.
    raft_applied_index: Option<String>,
    /// In decimal.
    raft_term: Option<String>,
    /// Alarms raised for it, as etcd prints them.
    alarms: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "problem"))]
struct ProblemShape<'a> {
    /// The place among its like, from 1.
    rank: usize,
    /// The alert's name.
    alert: &'a str,
    /// How bad.
    severity: Severity,
    /// What it is about.
    category: &'a str,
    /// Whether it fires already.
    state: State,
    since: Time,
    /// The member that it is about.
    member: Option<&'a str>,
    /// All labels of the alert.
    labels: BTreeMap<&'a str, &'a str>,
    /// One line.
    summary: &'a str,
    /// What is seen.
    description: &'a str,
    /// What it leads to.
    impact: &'a str,
    /// What to do: a Markdown list.
    remedy: &'a str,
    /// The commands in the remedy, in its order.
    commands: &'a [String],
    /// What it is judged by.
    evidence: Vec<EvidenceShape<'a>>,
    /// The page about it.
    runbook_url: &'a str,
    /// The section of the guide that it automates.
    guide: &'a str,
    /// Alertmanager's fingerprint of the labels, in hex.
    fingerprint: String,
    /// Its symptoms.
    explains: Vec<ProblemShape<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
enum State {
    Firing,
    Pending,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
struct EvidenceShape<'a> {
    /// What it is.
    text: &'a str,
    /// PromQL.
    expr: &'a str,
    /// Its present value.
    value: Option<f64>,
    /// Its unit; may be empty.
    unit: &'a str,
    /// What it is compared with; may be empty.
    reference: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
struct CheckShape<'a> {
    /// From 1.
    step: usize,
    /// What is checked.
    title: &'static str,
    status: Status,
    /// What was read.
    detail: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
struct PracticeShape<'a> {
    /// From 1.
    number: usize,
    /// The practice.
    title: &'static str,
    /// pass: kept, as far as can be seen; warn: not kept; unknown: cannot be seen.
    #[cfg_attr(test, schemars(with = "schema::PracticeStatus"))]
    status: Status,
    /// What was read, and why it is so.
    detail: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
struct CoverageShape<'a> {
    /// Alerting rules in force.
    rules: usize,
    /// Those that had all their data.
    evaluated: usize,
    /// The rest.
    gaps: Vec<GapShape<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
struct GapShape<'a> {
    /// The alert that cannot see.
    alert: &'a str,
    /// Why.
    reason: &'a str,
    /// How to mend that; may be empty.
    fix: &'a str,
    /// Where all that the rule lacks is history: when its window will have filled. The rule judges by what there is.
    warming_up_seconds_left: Option<u64>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
struct ErrorShape<'a> {
    /// The collector and the member, or the rule.
    source: String,
    /// Why, in words.
    message: &'a str,
}

// === impls ===

impl<'a> Document<'a> {
    fn of(report: &'a Report<'_>) -> Self {
        Self {
            api_version: ApiVersion::V1,
            kind: Kind::Diagnosis,
            generated_at: Time::of(report.time),
            tool: Tool {
                version: &report.tool.version,
                rules_digest: &report.tool.rules_digest,
            },
            status: report.status(),
            clusters: report.diagnoses.iter().map(ClusterShape::of).collect(),
            errors: errors(report.diagnoses),
        }
    }
}

impl Time {
    fn of(time: Timestamp) -> Self {
        Self(time.to_string())
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
            status: diagnosis.status,
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
            Quota::Disabled(source) => (None, Some(source)),
            Quota::Bytes(bytes, source) => (Some(bytes), Some(source)),
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
            severity: problem.severity,
            category: &problem.category,
            state: if problem.firing {
                State::Firing
            } else {
                State::Pending
            },
            since: Time::of(problem.since),
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
            status: item.status,
            detail: &item.detail,
        }
    }
}

impl<'a> CheckShape<'a> {
    fn of(item: &'a CheckItem) -> Self {
        Self {
            step: item.step,
            title: item.title,
            status: item.status,
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
mod schema;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    pub(super) fn rendered(diagnoses: &[Diagnosis]) -> serde_json::Value {
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
}
