//! The lines of the file: one JSON object each, told apart by `kind`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{RecordedAlert, RecordedOutcome};
use crate::model::{
    Access, AlarmKind, ClusterFacts, CollectError, Labels, MemberFacts, Quorum, Quota, QuotaSource, Reason,
    Timestamp, Verdict, hex_id,
};
use crate::rules::{Alert, AlertState};

/// What the first line's `format` says.
pub(super) const FORMAT: &str = "etcd-doctor bundle";

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub(super) enum Line<'a> {
    /// The first.
    Head {
        format: Cow<'a, str>,
        version: u64,
        created_ms: i64,
        made_by: Cow<'a, str>,
        rules_digest: Cow<'a, str>,
    },
    /// The configuration.
    Config { yaml: Cow<'a, str> },
    /// A rule file.
    Rules { file: Cow<'a, str>, text: Cow<'a, str> },
    /// The report.
    Report { report: Cow<'a, Value> },
    /// A cluster; its series follow.
    Cluster(Box<ClusterLine>),
    /// A series of the last cluster.
    Series {
        labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_rule: bool,
        first: usize,
        values: Cow<'a, str>,
    },
    /// The last: so many lines came before it.
    End { lines: usize },
}

/// A cluster.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterLine {
    pub(super) name: String,
    pub(super) time_ms: i64,
    pub(super) watched_for_ms: u64,
    pub(super) ends_after_ms: Option<u64>,
    cluster_id: Option<String>,
    quorum: QuorumShape,
    members: Vec<MemberShape>,
    #[serde(default)]
    access: AccessShape,
    outcomes: Vec<OutcomeShape>,
    alerts: Vec<AlertShape>,
    pub(super) times_ms: Vec<i64>,
}

#[derive(Serialize, Deserialize)]
struct QuorumShape {
    voters: usize,
    reachable: usize,
    required: usize,
    leader: Option<String>,
    term: Option<u64>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessShape {
    ca_file: Option<String>,
    cert_file: Option<String>,
    key_file: Option<String>,
    user: Option<String>,
    insecure_skip_verify: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MemberShape {
    name: String,
    id: Option<String>,
    endpoint: Option<String>,
    reachable: bool,
    unreachable_because: String,
    latency_micros: Option<u64>,
    started: bool,
    leader: bool,
    learner: bool,
    version: Option<String>,
    db_size_bytes: Option<u64>,
    db_in_use_bytes: Option<u64>,
    quota: QuotaShape,
    revision: Option<u64>,
    raft_index: Option<u64>,
    raft_applied_index: Option<u64>,
    raft_term: Option<u64>,
    alarms: Vec<String>,
}

/// Without a source nothing told it; with one and without bytes it is switched off.
#[derive(Serialize, Deserialize)]
struct QuotaShape {
    bytes: Option<u64>,
    source: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct OutcomeShape {
    collector: String,
    member: Option<String>,
    #[serde(flatten)]
    verdict: VerdictShape,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "camelCase")]
enum VerdictShape {
    Read,
    NotApplicable {
        message: String,
    },
    Nothing {
        message: String,
    },
    Failed {
        reason: String,
        message: String,
        fix: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlertShape {
    rule: (usize, usize),
    labels: BTreeMap<String, String>,
    annotations: Vec<(String, String)>,
    state: String,
    /// As text: JSON has neither NaN nor infinity.
    value: String,
    active_at_ms: i64,
    fired_at_ms: Option<i64>,
}

impl ClusterLine {
    pub(super) fn of(recording: &super::Recording, times_ms: Vec<i64>) -> Self {
        let ClusterFacts {
            cluster_id,
            quorum,
            members,
            access,
        } = &recording.facts;
        Self {
            name: recording.cluster.to_string(),
            time_ms: recording.time.millis(),
            watched_for_ms: millis(recording.watched_for),
            ends_after_ms: recording.ends_after.map(millis),
            cluster_id: cluster_id.map(hex_id),
            quorum: QuorumShape::of(quorum),
            members: members.iter().map(MemberShape::of).collect(),
            access: AccessShape::of(access),
            outcomes: recording.outcomes.iter().map(OutcomeShape::of).collect(),
            alerts: recording.alerts.iter().map(AlertShape::of).collect(),
            times_ms,
        }
    }

    pub(super) fn facts(&self) -> Result<ClusterFacts, String> {
        Ok(ClusterFacts {
            cluster_id: self.cluster_id.as_deref().map(id).transpose()?,
            quorum: self.quorum.facts(),
            members: self
                .members
                .iter()
                .map(MemberShape::facts)
                .collect::<Result<_, _>>()?,
            access: self.access.facts(),
        })
    }

    pub(super) fn outcomes(&self) -> Result<Vec<RecordedOutcome>, String> {
        self.outcomes.iter().map(OutcomeShape::recorded).collect()
    }

    pub(super) fn alerts(&self) -> Result<Vec<RecordedAlert>, String> {
        self.alerts.iter().map(AlertShape::recorded).collect()
    }
}

impl QuorumShape {
    fn of(quorum: &Quorum) -> Self {
        let Quorum {
            voters,
            reachable,
            required,
            leader,
            term,
        } = quorum;
        Self {
            voters: *voters,
            reachable: *reachable,
            required: *required,
            leader: leader.as_deref().map(str::to_owned),
            term: *term,
        }
    }

    fn facts(&self) -> Quorum {
        Quorum {
            voters: self.voters,
            reachable: self.reachable,
            required: self.required,
            leader: self.leader.as_deref().map(Arc::from),
            term: self.term,
        }
    }
}

impl AccessShape {
    fn of(access: &Access) -> Self {
        let Access {
            ca_file,
            cert_file,
            key_file,
            user,
            insecure_skip_verify,
        } = access.clone();
        Self {
            ca_file,
            cert_file,
            key_file,
            user,
            insecure_skip_verify,
        }
    }

    fn facts(&self) -> Access {
        Access {
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            user: self.user.clone(),
            insecure_skip_verify: self.insecure_skip_verify,
        }
    }
}

impl MemberShape {
    fn of(member: &MemberFacts) -> Self {
        let MemberFacts {
            name,
            id,
            endpoint,
            // For service discovery only, which a bundle is not for.
            metrics_url: _,
            reachable,
            unreachable_because,
            latency,
            started,
            leader,
            learner,
            version,
            db_size_bytes,
            db_in_use_bytes,
            quota,
            revision,
            raft_index,
            raft_applied_index,
            raft_term,
            alarms,
        } = member;
        Self {
            name: name.to_string(),
            id: id.map(hex_id),
            endpoint: endpoint.as_deref().map(str::to_owned),
            reachable: *reachable,
            unreachable_because: unreachable_because.clone(),
            latency_micros: latency.map(|latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)),
            started: *started,
            leader: *leader,
            learner: *learner,
            version: version.clone(),
            db_size_bytes: *db_size_bytes,
            db_in_use_bytes: *db_in_use_bytes,
            quota: QuotaShape::of(*quota),
            revision: *revision,
            raft_index: *raft_index,
            raft_applied_index: *raft_applied_index,
            raft_term: *raft_term,
            alarms: alarms.iter().map(|alarm| alarm.as_str().to_owned()).collect(),
        }
    }

    fn facts(&self) -> Result<MemberFacts, String> {
        Ok(MemberFacts {
            name: self.name.as_str().into(),
            id: self.id.as_deref().map(id).transpose()?,
            endpoint: self.endpoint.as_deref().map(Arc::from),
            metrics_url: None,
            reachable: self.reachable,
            unreachable_because: self.unreachable_because.clone(),
            latency: self.latency_micros.map(Duration::from_micros),
            started: self.started,
            leader: self.leader,
            learner: self.learner,
            version: self.version.clone(),
            db_size_bytes: self.db_size_bytes,
            db_in_use_bytes: self.db_in_use_bytes,
            quota: self.quota.facts()?,
            revision: self.revision,
            raft_index: self.raft_index,
            raft_applied_index: self.raft_applied_index,
            raft_term: self.raft_term,
            alarms: self.alarms.iter().map(|kind| alarm(kind)).collect(),
        })
    }
}

impl QuotaShape {
    fn of(quota: Quota) -> Self {
        let (bytes, source) = match quota {
            Quota::Unknown => (None, None),
            Quota::Disabled(source) => (None, Some(source)),
            Quota::Bytes(bytes, source) => (Some(bytes), Some(source)),
        };
        Self {
            bytes,
            source: source.map(|source| source.as_str().to_owned()),
        }
    }

    fn facts(&self) -> Result<Quota, String> {
        let Some(word) = &self.source else {
            return Ok(Quota::Unknown);
        };
        let mut sources = [
            QuotaSource::Status,
            QuotaSource::Metrics,
            QuotaSource::Process,
            QuotaSource::Configured,
            QuotaSource::Assumed,
        ]
        .into_iter();
        let source = sources.find(|source| source.as_str() == word);
        let source = source.ok_or_else(|| format!("{word:?} is no source of a quota"))?;
        Ok(self
            .bytes
            .map_or(Quota::Disabled(source), |bytes| Quota::Bytes(bytes, source)))
    }
}

impl OutcomeShape {
    fn of(outcome: &RecordedOutcome) -> Self {
        Self {
            collector: outcome.collector.clone(),
            member: outcome.member.as_deref().map(str::to_owned),
            verdict: match &outcome.verdict {
                Verdict::Read => VerdictShape::Read,
                Verdict::NotApplicable(message) => VerdictShape::NotApplicable {
                    message: message.clone(),
                },
                Verdict::Nothing(message) => VerdictShape::Nothing {
                    message: message.clone(),
                },
                Verdict::Failed(error) => VerdictShape::Failed {
                    reason: error.reason.as_str().to_owned(),
                    message: error.message.clone(),
                    fix: error.fix.clone(),
                },
            },
        }
    }

    fn recorded(&self) -> Result<RecordedOutcome, String> {
        let verdict = match &self.verdict {
            VerdictShape::Read => Verdict::Read,
            VerdictShape::NotApplicable { message } => Verdict::NotApplicable(message.clone()),
            VerdictShape::Nothing { message } => Verdict::Nothing(message.clone()),
            VerdictShape::Failed { reason, message, fix } => Verdict::Failed(CollectError {
                reason: reason_of(reason)?,
                message: message.clone(),
                fix: fix.clone(),
            }),
        };
        Ok(RecordedOutcome {
            collector: self.collector.clone(),
            member: self.member.as_deref().map(Arc::from),
            verdict,
        })
    }
}

impl AlertShape {
    fn of(recorded: &RecordedAlert) -> Self {
        let alert = &recorded.alert;
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            rule: recorded.rule,
            labels: alert.labels.iter().map(owned).collect(),
            annotations: alert.annotations.clone(),
            state: alert.state.as_str().to_owned(),
            value: alert.value.to_string(),
            active_at_ms: alert.active_at.millis(),
            fired_at_ms: alert.fired_at.map(Timestamp::millis),
        }
    }

    fn recorded(&self) -> Result<RecordedAlert, String> {
        let mut states = [AlertState::Pending, AlertState::Firing].into_iter();
        let state = states.find(|state| state.as_str() == self.state);
        let value = self.value.parse().ok();
        let (Some(state), Some(value)) = (state, value) else {
            return Err(format!("an alert is {:?} at {:?}", self.state, self.value));
        };
        let labels = self
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        Ok(RecordedAlert {
            rule: self.rule,
            alert: Alert {
                labels: Labels::new(labels),
                annotations: self.annotations.clone(),
                state,
                value,
                active_at: Timestamp::from_millis(self.active_at_ms),
                fired_at: self.fired_at_ms.map(Timestamp::from_millis),
                resolved_at: None,
            },
        })
    }
}

fn id(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16).map_err(|_| format!("{text:?} is no id"))
}

fn alarm(kind: &str) -> AlarmKind {
    match kind {
        "NOSPACE" => AlarmKind::NoSpace,
        "CORRUPT" => AlarmKind::Corrupt,
        other => AlarmKind::Other(other.to_owned()),
    }
}

fn reason_of(word: &str) -> Result<Reason, String> {
    let mut reasons = [
        Reason::Unreachable,
        Reason::Timeout,
        Reason::Tls,
        Reason::Unauthenticated,
        Reason::PermissionDenied,
        Reason::Refused,
        Reason::Malformed,
        Reason::WrongMember,
    ]
    .into_iter();
    let reason = reasons.find(|reason| reason.as_str() == word);
    reason.ok_or_else(|| format!("{word:?} is no reason"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
