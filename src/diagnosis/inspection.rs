//! One alert looked at closely: what each part of its expression gives now, how far it is from firing, when it was active,
//! and what it has to do with other alerts.

mod history;
mod parts;

pub use history::{Episode, History};
pub use parts::{Part, Reading};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Gap, Severity};
use crate::model::{Labels, Timestamp};
use crate::promql::Source;
use crate::rules::{AlertState, AlertingRule, RuleReport, RuleSet, convention};

/// What there is to know of an alert in one cluster.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The alert's name.
    pub alert: String,
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// When: that of the cluster's last cycle.
    pub time: Timestamp,
    /// The rules of this name, most often one, in the order of evaluation.
    pub rules: Vec<Inspected>,
    /// What they lack; their silence says nothing where they are blind.
    pub gaps: Vec<Gap>,
    /// When it was pending or fired.
    pub history: History,
    /// What it is the cause of, while both are active.
    pub explains: Vec<Relative>,
    /// What it is a symptom of, while both are active.
    pub explained_by: Vec<Relative>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// Its file, as it was loaded.
    pub file: String,
    /// Its severity, as the rule has it; worse things may be in a template.
    pub severity: Severity,
    /// Its category; may be empty.
    pub category: String,
    /// Its summary without what only an active alert fills in; may be empty.
    pub summary: String,
    /// Its expression as it is written.
    pub expr: String,
    /// How long the condition must hold before it fires.
    pub hold: Duration,
    /// How long it goes on firing when the condition has gone.
    pub keep_firing: Duration,
    /// Where to read more; may be empty.
    pub runbook_url: String,
    /// Why it could not be evaluated.
    pub error: Option<String>,
    /// Its alerts that are pending or fire.
    pub active: Vec<Active>,
    /// The parts of its expression.
    pub parts: Vec<Part>,
}

/// An active alert.
#[derive(Clone, Debug)]
pub struct Active {
    /// Its labels.
    pub labels: Labels,
    /// Its summary; may be empty.
    pub summary: String,
    /// Whether it fires; otherwise it is pending.
    pub firing: bool,
    /// Since when it has been in this state.
    pub since: Timestamp,
    /// How long its condition must go on until it fires; zero when it does.
    pub fires_in: Duration,
    /// The expression's value.
    pub value: f64,
}

/// How an alert is, of which only that matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Activity {
    /// Neither of the others.
    Silent,
    /// Its condition holds, not yet for long enough.
    Pending,
    /// It fires.
    Firing,
}

impl Activity {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// Another alert that this one explains, or is explained by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Relative {
    /// Its name.
    pub alert: String,
    /// Whether only on the same member.
    pub same_member: bool,
    /// How it is.
    pub activity: Activity,
}

impl Inspection {
    /// How the alert is: the worst of its rules.
    pub fn activity(&self) -> Activity {
        let active = self.rules.iter().flat_map(|rule| &rule.active);
        let states = active.map(|active| {
            if active.firing {
                Activity::Firing
            } else {
                Activity::Pending
            }
        });
        states.max().unwrap_or(Activity::Silent)
    }
}

/// What an inspection is made from, all of one cycle.
pub struct Sight<'a> {
    /// The cluster's name.
    pub cluster: &'a Arc<str>,
    /// When the rules were evaluated.
    pub time: Timestamp,
    /// The rules.
    pub rules: &'a RuleSet,
    /// How they fared.
    pub reports: &'a [RuleReport],
    /// What rules could not see.
    pub gaps: &'a [Gap],
    /// The window.
    pub source: &'a dyn Source,
}

/// Looks at one alert. None when no rule has its name.
pub fn inspect(alert: &str, sight: &Sight<'_>) -> Option<Inspection> {
    let named = sight.rules.alerting().filter(|(_, _, rule)| rule.alert == alert);
    let rules: Vec<Inspected> = named
        .map(|(index, group, rule)| {
            let report = sight.reports.iter().find(|report| report.rule == index);
            inspected(&group.file, rule, report, sight)
        })
        .collect();
    if rules.is_empty() {
        return None;
    }
    let (explains, explained_by) = relatives(alert, sight);
    Some(Inspection {
        alert: alert.to_owned(),
        cluster: sight.cluster.clone(),
        time: sight.time,
        rules,
        gaps: sight
            .gaps
            .iter()
            .filter(|gap| gap.alert == alert)
            .cloned()
            .collect(),
        history: history::of(alert, sight.source, sight.time),
        explains,
        explained_by,
    })
}

fn inspected(file: &str, rule: &AlertingRule, report: Option<&RuleReport>, sight: &Sight<'_>) -> Inspected {
    let alerts = report.into_iter().flat_map(|report| &report.alerts);
    let active = alerts.filter(|alert| alert.state != AlertState::Inactive);
    let active = active.map(|alert| {
        let firing = alert.state == AlertState::Firing;
        let mut annotations = alert.annotations.iter();
        let summary = annotations.find(|(name, _)| name == "summary");
        Active {
            labels: alert.labels.without(&["alertname"]),
            summary: summary.map(|(_, text)| text.clone()).unwrap_or_default(),
            firing,
            since: alert.fired_at.unwrap_or(alert.active_at),
            fires_in: match firing {
                true => Duration::ZERO,
                false => rule.hold.saturating_sub(sight.time.since(alert.active_at)),
            },
            value: alert.value,
        }
    });
    Inspected {
        file: file.to_owned(),
        severity: Severity::from_label(rule.label("severity")),
        category: rule.label("category").to_owned(),
        summary: convention::imagined(rule.annotation("summary")),
        expr: rule.query.text().trim().to_owned(),
        hold: rule.hold,
        keep_firing: rule.keep_firing,
        runbook_url: rule.annotation("runbook_url").to_owned(),
        error: report.and_then(|report| report.error.clone()),
        active: active.collect(),
        parts: parts::of(&rule.query, sight.source, sight.time),
    }
}

/// What an alert explains, and what explains it.
fn relatives(alert: &str, sight: &Sight<'_>) -> (Vec<Relative>, Vec<Relative>) {
    let activities = activities(sight);
    let relative = |name: &str, same_member| Relative {
        alert: name.to_owned(),
        same_member,
        activity: activities.get(name).copied().unwrap_or(Activity::Silent),
    };
    let (mut explains, mut explained_by) = (Vec::new(), Vec::new());
    for (_, _, rule) in sight.rules.alerting() {
        // `rules check` refuses what cannot be read, and loading warns of it.
        let symptoms = convention::parse_explains(rule.annotation("explains")).unwrap_or_default();
        for symptom in symptoms {
            if rule.alert == alert {
                explains.push(relative(&symptom.alert, symptom.same_member));
            } else if symptom.alert == alert {
                explained_by.push(relative(&rule.alert, symptom.same_member));
            }
        }
    }
    for relatives in [&mut explains, &mut explained_by] {
        // What is active comes first; else in the order of the files. Two rules of one name may say the same.
        relatives.sort_by_key(|relative| std::cmp::Reverse(relative.activity));
        let mut known: Vec<Relative> = Vec::new();
        relatives.retain(|relative| {
            let is_new = !known.contains(relative);
            known.push(relative.clone());
            is_new
        });
    }
    (explains, explained_by)
}

fn activities<'a>(sight: &Sight<'a>) -> BTreeMap<&'a str, Activity> {
    let mut activities = BTreeMap::new();
    for report in sight.reports {
        let Some(rule) = sight.rules.rule(report.rule) else {
            continue;
        };
        let states = report.alerts.iter().map(|alert| match alert.state {
            AlertState::Inactive => Activity::Silent,
            AlertState::Pending => Activity::Pending,
            AlertState::Firing => Activity::Firing,
        });
        let state = states.max().unwrap_or(Activity::Silent);
        let known = activities.entry(rule.name()).or_insert(state);
        *known = state.max(*known);
    }
    activities
}

#[cfg(test)]
mod tests;
