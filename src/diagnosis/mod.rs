//! The diagnosis: problems ranked, causes over symptoms, each with evidence, and what could not be seen.

mod checklist;
mod coverage;
mod evidence;
mod explain;
pub mod inspection;
mod judges;
mod practices;
mod remedy;
mod shape;
mod verdict;

pub use coverage::Provider;
pub use remedy::commands;
pub use shape::{CheckItem, Coverage, Diagnosis, Evidence, Gap, Problem, Severity, SourceError, Status};

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Batch, Timestamp, Verdict};
use crate::promql::{Patience, Source};
use crate::rules::{Alert, AlertState, RuleReport, RuleSet, convention};

/// What a diagnosis is made from.
pub struct Inputs<'a> {
    /// The rules in force.
    pub rules: &'a RuleSet,
    /// Their results of this cycle.
    pub reports: &'a [RuleReport],
    /// What was observed in this cycle.
    pub batch: &'a Batch,
    /// The window.
    pub source: &'a dyn Source,
    /// How long the evidence of one rule may take to evaluate; the rest of it then has no values.
    pub patience: &'a Patience,
    /// Which collector yields what.
    pub providers: &'a [Provider],
    /// How long the cluster has been watched.
    pub watched_for: Duration,
    /// After how long watching ends by itself, as with `diagnose`. None where it goes on.
    pub ends_after: Option<Duration>,
}

/// Makes the diagnosis of one cycle.
pub fn diagnose(inputs: &Inputs<'_>) -> Diagnosis {
    let Inputs {
        rules,
        reports,
        batch,
        source,
        ..
    } = *inputs;
    let problems = explain::relate(candidates(inputs));
    let report = |at| reports.iter().find(|report| report.rule == at);
    let judged: Vec<coverage::Judged<'_>> = rules
        .alerting()
        .map(|(at, _, rule)| coverage::Judged {
            rule,
            report: report(at),
            history: rules.history(&rule.query),
        })
        .collect();
    let mut coverage = coverage::survey(&judged, inputs.providers, batch, source, inputs.watched_for);
    coverage.fixes = fixes(batch);
    let blind = verdict::vital_gap(&judged, &coverage);
    let suspected = inputs
        .ends_after
        .and_then(|window| verdict::suspected(rules, reports, window));
    let status = verdict::status(&problems, suspected, &batch.facts, blind.is_some());
    let judges = judges::Judges::new(&judged, &coverage);
    let audit = practices::Audit {
        facts: &batch.facts,
        problems: &problems,
        judges: &judges,
        source,
        now: batch.time,
        goes_on: inputs.ends_after.is_none(),
    };
    Diagnosis {
        cluster: batch.cluster.clone(),
        time: batch.time,
        status,
        summary: verdict::summary(status, &problems, &batch.facts, blind.map(|gap| (gap, &coverage))),
        checklist: checklist::answer(
            &batch.facts,
            &problems,
            &judges,
            refused(batch),
            source,
            batch.time,
        ),
        best_practices: audit.answer(),
        facts: batch.facts.clone(),
        problems,
        coverage,
        errors: errors(rules, reports, batch),
    }
}

/// Why the first read that tells of leader and members failed.
fn refused(batch: &Batch) -> Option<&str> {
    let mut outcomes = batch
        .outcomes
        .iter()
        .filter(|outcome| ["status", "members"].contains(&outcome.collector));
    outcomes.find_map(|outcome| match &outcome.verdict {
        Verdict::Failed(error) => Some(&*error.message),
        Verdict::Read | Verdict::NotApplicable(_) | Verdict::Nothing(_) => None,
    })
}

fn candidates(inputs: &Inputs<'_>) -> Vec<explain::Candidate> {
    let Inputs { rules, reports, .. } = *inputs;
    let mut candidates = Vec::new();
    for (at, _, rule) in rules.alerting() {
        let source = inputs.patience.with(inputs.source);
        let alerts = reports
            .iter()
            .filter(|report| report.rule == at)
            .flat_map(|report| &report.alerts);
        for alert in alerts.filter(|alert| alert.state != AlertState::Inactive) {
            let annotation = |name: &str| {
                alert
                    .annotations
                    .iter()
                    .find(|(key, _)| key == name)
                    .map_or("", |(_, value)| value)
                    .trim()
            };
            candidates.push(explain::Candidate {
                problem: problem(&rule.alert, alert, &annotation, &source, inputs.batch.time),
                // A list that does not parse relates nothing; `rules check` and loading refuse it in the first place.
                explains: convention::parse_explains(annotation("explains")).unwrap_or_default(),
            });
        }
    }
    candidates
}

fn problem<'a>(
    name: &str,
    alert: &Alert,
    annotation: &dyn Fn(&str) -> &'a str,
    source: &dyn Source,
    now: Timestamp,
) -> Problem {
    let or = |text: &str, other: &str| {
        if text.is_empty() {
            other.to_owned()
        } else {
            text.to_owned()
        }
    };
    let description = or(annotation("description"), annotation("message"));
    let member = alert.labels.get("member");
    Problem {
        rank: 0,
        alert: name.to_owned(),
        severity: Severity::from_label(alert.labels.get("severity")),
        category: or(alert.labels.get("category"), "other"),
        firing: alert.state == AlertState::Firing,
        since: alert.active_at,
        member: (!member.is_empty()).then(|| member.to_owned()),
        labels: alert.labels.clone(),
        summary: or(annotation("summary"), &or(&description, name)),
        description,
        impact: annotation("impact").to_owned(),
        remedy: annotation("remedy").to_owned(),
        commands: commands(annotation("remedy")),
        evidence: evidence::evaluate(annotation("evidence"), source, now),
        runbook_url: annotation("runbook_url").to_owned(),
        guide: annotation("guide").to_owned(),
        fingerprint: alert.labels.fingerprint(),
        explains: Vec::new(),
    }
}

fn fixes(batch: &Batch) -> BTreeMap<String, String> {
    let failures = batch
        .outcomes
        .iter()
        .filter_map(|outcome| match &outcome.verdict {
            Verdict::Failed(error) => Some(error),
            Verdict::Read | Verdict::NotApplicable(_) | Verdict::Nothing(_) => None,
        });
    let with_fix = failures.filter(|error| !error.fix.is_empty());
    with_fix
        .map(|error| (error.message.clone(), error.fix.clone()))
        .collect()
}

fn errors(rules: &RuleSet, reports: &[RuleReport], batch: &Batch) -> Vec<SourceError> {
    let collectors = batch
        .outcomes
        .iter()
        .filter_map(|outcome| match &outcome.verdict {
            Verdict::Failed(error) => Some(SourceError {
                source: match &outcome.member {
                    Some(member) => format!("{} of {member}", outcome.collector),
                    None => outcome.collector.to_owned(),
                },
                message: error.message.clone(),
            }),
            Verdict::Read | Verdict::NotApplicable(_) | Verdict::Nothing(_) => None,
        });
    let rules = reports.iter().filter_map(|report| {
        let message = report.error.clone()?;
        Some(SourceError {
            source: format!("rule {}", rules.rule(report.rule)?.name()),
            message,
        })
    });
    collectors.chain(rules).collect()
}

#[cfg(test)]
mod tests;
