//! The diagnosis: problems ranked, causes over symptoms, each with evidence, and what could not be seen.

mod checklist;
mod coverage;
mod evidence;
mod explain;
pub mod inspection;
mod judges;
mod practices;
mod remedy;

pub use coverage::Provider;
pub use remedy::commands;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::model::{Batch, ClusterFacts, Labels, Timestamp, Verdict};
use crate::promql::{Patience, Source};
use crate::rules::{Alert, AlertState, RuleReport, RuleSet, convention};

/// What is wrong with one cluster.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// When it was observed.
    pub time: Timestamp,
    /// The verdict.
    pub status: Status,
    /// The verdict in one line.
    pub summary: String,
    /// Members and quorum.
    pub facts: ClusterFacts,
    /// Problems, worst first; symptoms stand inside their cause.
    pub problems: Vec<Problem>,
    /// The guide's checklist.
    pub checklist: Vec<CheckItem>,
    /// The guide's best practices: pass, warn or unknown. They do not count for the verdict.
    pub best_practices: Vec<CheckItem>,
    /// What the rules could and could not see.
    pub coverage: Coverage,
    /// Failures of etcd-doctor's own making or of its reading, not findings about the cluster.
    pub errors: Vec<SourceError>,
}

/// The verdict: that of the worst firing alert, or unknown when it cannot be said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "status"))]
pub enum Status {
    /// Nothing worse than information.
    Pass,
    /// A warning fires.
    Warn,
    /// Something critical fires.
    Fail,
    /// It cannot be said.
    Unknown,
}

/// How bad a problem is, best first, so that the greatest is the worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
pub enum Severity {
    /// Good to know.
    Info,
    /// A ticket.
    Warning,
    /// A page.
    Critical,
}

/// A problem: an active alert, its evidence and the symptoms that it accounts for.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The place in the ranking, from 1. Symptoms have the rank that they have within their cause.
    pub rank: usize,
    /// The alert's name.
    pub alert: String,
    /// How bad.
    pub severity: Severity,
    /// The label `category`, `other` where a rule has none.
    pub category: String,
    /// Whether it fires already.
    pub firing: bool,
    /// Since when the condition has held.
    pub since: Timestamp,
    /// The member, where it is about one.
    pub member: Option<String>,
    /// All labels.
    pub labels: Labels,
    /// One line.
    pub summary: String,
    /// What is seen.
    pub description: String,
    /// What it leads to.
    pub impact: String,
    /// What to do: a Markdown list.
    pub remedy: String,
    /// The commands in the remedy, in order.
    pub commands: Vec<String>,
    /// What it is judged by.
    pub evidence: Vec<Evidence>,
    /// The page about it.
    pub runbook_url: String,
    /// The section of the guide that it automates.
    pub guide: String,
    /// Alertmanager's fingerprint of the labels.
    pub fingerprint: u64,
    /// Its symptoms.
    pub explains: Vec<Problem>,
}

impl Problem {
    /// Whether it is a remark on how the cluster is set up, rather than something that happens to it: worth a line after
    /// the problems, and no headline.
    pub fn is_remark(&self) -> bool {
        self.severity == Severity::Info && REMARKS.contains(&&*self.category) && self.explains.is_empty()
    }
}

/// The categories of remarks.
const REMARKS: [&str; 2] = ["configuration", "security"];

/// One value that a problem is judged by.
#[derive(Clone, PartialEq, Debug)]
pub struct Evidence {
    /// What it is, in words.
    pub text: String,
    /// The expression, ready to paste into Prometheus.
    pub expr: String,
    /// Its present value; none when it gives no single value now.
    pub value: Option<f64>,
    /// Its unit (`bytes`, `seconds`, `ratio`, …), may be empty.
    pub unit: String,
    /// What it is compared with (`>= 0.99`), may be empty.
    pub reference: String,
}

/// An item of the guide's checklist, or one of its best practices.
#[derive(Clone, PartialEq, Debug)]
pub struct CheckItem {
    /// Its number in the guide, from 1.
    pub step: usize,
    /// What is checked.
    pub title: &'static str,
    /// The result.
    pub status: Status,
    /// What was read.
    pub detail: String,
}

/// What the rules could see.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Coverage {
    /// Alerting rules in force.
    pub rules: usize,
    /// Those that had all their data.
    pub evaluated: usize,
    /// The rest, and what each lacks.
    pub gaps: Vec<Gap>,
    /// How long the cluster has been watched: what rules that look further back judge by.
    pub watched_for: Duration,
    /// How to mend each failure to read, by its words; those of which that is not known are not in it.
    pub fixes: BTreeMap<String, String>,
}

/// A rule that cannot see.
#[derive(Clone, PartialEq, Debug)]
pub struct Gap {
    /// The alert.
    pub alert: String,
    /// Why it cannot see, in words, naming the member where it is about one.
    pub reason: String,
    /// How to mend that, in words; may be empty.
    pub fix: String,
    /// Whether the rule sees nothing of the cluster at all. A single member that it cannot see, or a window that is
    /// still filling, does not make it blind.
    pub blind: bool,
    /// False where a collector does not apply here, as those of the host where no member runs on it: that is said, and it is no
    /// failure that leaves the verdict open.
    pub applies: bool,
    /// How far back the rule looks, where all that it lacks is history: the window is still filling.
    pub looks_back: Option<Duration>,
}

/// A failure to read.
#[derive(Clone, PartialEq, Debug)]
pub struct SourceError {
    /// Collector and member, or the rule.
    pub source: String,
    /// Why, in words.
    pub message: String,
}

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

/// The categories without which nothing can be said of a cluster: when a rule of one of them is blind, the verdict
/// is at best unknown.
const VITAL: &[&str] = &["availability", "quota", "election"];

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
    let blind = vital_gap(&judged, &coverage);
    let suspected = inputs
        .ends_after
        .and_then(|window| suspected(rules, reports, window));
    let status = verdict(&problems, suspected, &batch.facts, blind.is_some());
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
        summary: summary(status, &problems, &batch.facts, blind.map(|gap| (gap, &coverage))),
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

/// The worst of what cannot fire before watching ends, one step milder than its severity: it was seen, and not for long
/// enough to be certain.
fn suspected(rules: &RuleSet, reports: &[RuleReport], window: Duration) -> Option<Severity> {
    let pending = reports.iter().filter(|report| {
        let rule = rules.alerting().find(|(at, ..)| *at == report.rule);
        rule.is_some_and(|(_, _, rule)| rule.hold > window)
    });
    let alerts = pending.flat_map(|report| &report.alerts);
    let alerts = alerts.filter(|alert| alert.state == AlertState::Pending);
    let severities = alerts.map(|alert| Severity::from_label(alert.labels.get("severity")).milder());
    severities.max()
}

fn verdict(problems: &[Problem], suspected: Option<Severity>, facts: &ClusterFacts, blind: bool) -> Status {
    if facts.members.iter().all(|member| !member.reachable) {
        return Status::Unknown;
    }
    match worst_firing(problems).max(suspected) {
        Some(Severity::Critical) => Status::Fail,
        Some(Severity::Warning) => Status::Warn,
        Some(Severity::Info) | None if blind => Status::Unknown,
        Some(Severity::Info) | None => Status::Pass,
    }
}

fn worst_firing(problems: &[Problem]) -> Option<Severity> {
    let of = |problem: &Problem| {
        problem
            .firing
            .then_some(problem.severity)
            .max(worst_firing(&problem.explains))
    };
    problems.iter().filter_map(of).max()
}

/// The first gap that blinds a rule of a vital category.
fn vital_gap<'a>(judged: &[coverage::Judged<'_>], coverage: &'a Coverage) -> Option<&'a Gap> {
    coverage
        .gaps
        .iter()
        .filter(|gap| gap.blind && gap.applies)
        .find(|gap| {
            judged.iter().any(|judged| {
                judged.rule.alert == gap.alert && VITAL.contains(&judged.rule.label("category"))
            })
        })
}

fn summary(
    status: Status,
    problems: &[Problem],
    facts: &ClusterFacts,
    blind: Option<(&Gap, &Coverage)>,
) -> String {
    let known = facts.members.len();
    let answering = facts.members.iter().filter(|member| member.reachable).count();
    match (answering, known) {
        (0, 1) => return "its only known member does not answer".to_owned(),
        (0, _) => return format!("none of {known} members answers"),
        _ => {}
    }
    let (remarks, firing): (Vec<&Problem>, Vec<&Problem>) = problems
        .iter()
        .filter(|problem| worst_firing(std::slice::from_ref(problem)).is_some())
        .partition(|problem| problem.is_remark());
    let remarks = match remarks.len() {
        0 => String::new(),
        1 => "; 1 remark".to_owned(),
        more => format!("; {more} remarks"),
    };
    let worse_than_info =
        |problem: &&&Problem| worst_firing(std::slice::from_ref(**problem)) > Some(Severity::Info);
    let pending = problems.iter().find(|problem| problem.severity > Severity::Info);
    match (firing.as_slice(), blind, pending) {
        ([], Some((gap, coverage)), _) if status == Status::Unknown => blindness(gap, coverage, facts),
        ([], _, Some(pending)) => format!("not certain yet: {}", pending.summary),
        ([], _, None) if known == 1 => format!("no problem found, its one member answers{remarks}"),
        ([], _, None) => format!("no problem found, {answering} of {known} members answer{remarks}"),
        ([only], ..) => only.summary.clone(),
        ([first, rest @ ..], ..) => match rest.iter().filter(worse_than_info).count() {
            0 => first.summary.clone(),
            1 => format!("{}; 1 more problem", first.summary),
            more => format!("{}; {more} more problems", first.summary),
        },
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

/// The cause first, for the reader can mend that; then how much it hides.
fn blindness(gap: &Gap, coverage: &Coverage, facts: &ClusterFacts) -> String {
    let of_member = facts
        .members
        .iter()
        .find_map(|member| gap.reason.strip_prefix(&*member.name)?.strip_prefix(": "));
    let reason = of_member.unwrap_or(&gap.reason);
    let blind = coverage.gaps.iter().filter(|gap| gap.blind);
    let blind: BTreeSet<&str> = blind.map(|gap| &*gap.alert).collect();
    match (blind.len(), coverage.evaluated) {
        (_, 0) => format!("{reason}, so nothing can be judged"),
        (0 | 1, _) => format!("{reason}, so {} cannot see", gap.alert),
        (2, _) => format!("{reason}, so {} and 1 more alert cannot see", gap.alert),
        (all, _) => format!(
            "{reason}, so {} and {} more alerts cannot see",
            gap.alert,
            all - 1
        ),
    }
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

impl Severity {
    /// From the label `severity`; what is not one of our words (`page`, `none`, or nothing) counts as a warning,
    /// so that an unknown word neither pages nor hides.
    fn from_label(label: &str) -> Self {
        match label {
            "critical" => Self::Critical,
            "info" => Self::Info,
            _ => Self::Warning,
        }
    }

    /// One step less.
    const fn milder(self) -> Self {
        match self {
            Self::Critical => Self::Warning,
            Self::Warning | Self::Info => Self::Info,
        }
    }
}

impl Diagnosis {
    /// One of a cluster of which nothing is known.
    pub fn unknown(cluster: Arc<str>, time: Timestamp) -> Self {
        Self {
            cluster,
            time,
            status: Status::Unknown,
            summary: String::new(),
            facts: ClusterFacts::default(),
            problems: Vec::new(),
            checklist: Vec::new(),
            best_practices: Vec::new(),
            coverage: Coverage::default(),
            errors: Vec::new(),
        }
    }

    /// The worst that fires, symptoms included; more than the status tells when no member answered.
    pub fn worst(&self) -> Option<Severity> {
        worst_firing(&self.problems)
    }
}

impl Status {
    /// The word for JSON and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
        }
    }
}

impl Severity {
    /// The word for JSON and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

#[cfg(test)]
mod tests;
