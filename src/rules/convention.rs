//! The convention over labels and annotations that makes a diagnosis out of rules: `severity`, `category`, `explains`
//! and `evidence`. A file that does not follow it works all the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::template::labels_used;
use super::{AlertingRule, Group, OPTIONS, RuleFileError, RuleSet, Scope, Template};
use crate::model::{Labels, Timestamp};
use crate::promql::{Matcher, Query, Series, Source};

/// The values of the label `severity`, worst first.
pub const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

/// The values of the label `category`.
pub const CATEGORIES: [&str; 11] = [
    "availability",
    "quota",
    "election",
    "disk",
    "network",
    "resources",
    "consistency",
    "configuration",
    "security",
    "backup",
    "monitoring",
];

/// A symptom that an alert accounts for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symptom {
    /// The symptom's alert.
    pub alert: String,
    /// Whether it is accounted for only on the same member, and not on the whole cluster.
    pub same_member: bool,
}

/// One line of the annotation `evidence`: a value that a problem is judged by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvidenceLine {
    /// What it is, in words.
    pub text: String,
    /// Its unit, may be empty.
    pub unit: String,
    /// What it is compared with, such as `>= 0.99`, may be empty.
    pub reference: String,
    /// The expression that gives it.
    pub expr: String,
}

/// Reads the annotation `explains`: `Name` or `Name(member)`, separated by commas.
///
/// # Errors
/// In words, naming the part that cannot be read.
pub fn parse_explains(text: &str) -> Result<Vec<Symptom>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (alert, same_member) = match part.split_once('(') {
                None => (part, false),
                Some((alert, "member)")) => (alert.trim_end(), true),
                Some(_) => {
                    return Err(format!("{part:?} is neither a name nor a name with (member)"));
                }
            };
            if alert.is_empty() || alert.contains(char::is_whitespace) {
                return Err(format!("{part:?} is neither a name nor a name with (member)"));
            }
            Ok(Symptom {
                alert: alert.to_owned(),
                same_member,
            })
        })
        .collect()
}

/// Reads the annotation `evidence`: a `text [unit, reference] = <PromQL>` a line, of which `[…]` may be left out.
///
/// # Errors
/// In words, naming the line that cannot be read. Expressions are not parsed here.
pub fn parse_evidence(text: &str) -> Result<Vec<EvidenceLine>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let wanted = || format!("{line:?} is not of the form `text [unit, reference] = <PromQL>`");
            let (left, expr) = line.split_once(" = ").ok_or_else(wanted)?;
            let (text, bracket) = match left.trim_end().strip_suffix(']') {
                Some(left) => left.rsplit_once('[').ok_or_else(wanted)?,
                None => (left, ""),
            };
            let (unit, reference) = bracket.split_once(',').unwrap_or((bracket, ""));
            let [text, unit, reference, expr] =
                [text, unit, reference, expr].map(|part| part.trim().to_owned());
            if text.is_empty() || expr.is_empty() {
                return Err(wanted());
            }
            Ok(EvidenceLine {
                text,
                unit,
                reference,
                expr,
            })
        })
        .collect()
}

/// A summary as its reader may imagine it: `{{ $labels.member }}` is `<member>`, another value `<value>`. What depends on a
/// condition is shown as if it held: of several branches the first.
pub fn imagined(summary: &str) -> String {
    // A template may be written on several lines.
    let summary = summary.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut parts = summary.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    // Of each block that is open, whether this is another branch than its first.
    let mut blocks: Vec<bool> = Vec::new();
    for part in parts {
        let (action, mut rest) = part.split_once("}}").unwrap_or((part, ""));
        if action.starts_with("- ") {
            text.truncate(text.trim_end().len());
        }
        if action.ends_with(" -") {
            rest = rest.trim_start();
        }
        let mut words = action.trim_matches(['-', ' ']).split(' ');
        let word = words.next().unwrap_or_default();
        let assigns = matches!(words.next(), Some(":=" | "="));
        match word {
            "if" | "range" | "with" => blocks.push(false),
            "else" => {
                blocks.pop();
                blocks.push(true);
            }
            "end" => {
                blocks.pop();
            }
            _ if assigns || blocks.contains(&true) => {}
            _ => match word.strip_prefix("$labels.") {
                Some(label) => text += &format!("<{label}>"),
                None => text += "<value>",
            },
        }
        if !blocks.contains(&true) {
            text += rest;
        }
    }
    text.trim().to_owned()
}

/// What in the rules departs from the convention. Rules that make no use of it are left alone.
pub fn check_convention(rules: &RuleSet) -> Vec<RuleFileError> {
    let mut errors = Vec::new();
    let known: BTreeSet<&str> = rules.alerting().map(|(_, _, rule)| &*rule.alert).collect();
    let mut explained: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (_, group, rule) in rules.alerting() {
        if !follows_convention(rule) {
            continue;
        }
        let mut refuse = |message| errors.push(refusal(group, rule, message));
        check_word(rule, "severity", &SEVERITIES, &mut refuse);
        check_word(rule, "category", &CATEGORIES, &mut refuse);
        match parse_explains(rule.annotation("explains")) {
            Err(reason) => refuse(format!("annotation \"explains\": {reason}")),
            Ok(symptoms) => {
                for symptom in &symptoms {
                    if !known.contains(&*symptom.alert) {
                        refuse(format!(
                            "annotation \"explains\": no rule has the name {:?}",
                            symptom.alert
                        ));
                    }
                }
                let names = symptoms.into_iter().map(|symptom| symptom.alert);
                explained.entry(&rule.alert).or_default().extend(names);
            }
        }
        check_evidence(rule, &mut refuse);
    }
    for cycle in cycles(&explained) {
        let on_cycle = rules.alerting().find(|(_, _, rule)| rule.alert == cycle[0]);
        if let Some((_, group, rule)) = on_cycle {
            let message = format!(
                "annotation \"explains\": alerts explain each other: {}",
                cycle.join(" -> ")
            );
            errors.push(refusal(group, rule, message));
        }
    }
    errors
}

/// Whether a rule makes use of the convention. `severity`, `summary`, `description` and `runbook_url` are in use
/// everywhere and are no sign of it.
fn follows_convention(rule: &AlertingRule) -> bool {
    let annotations = ["evidence", "explains", "guide", "impact", "remedy"];
    !rule.label("category").is_empty() || annotations.iter().any(|name| !rule.annotation(name).is_empty())
}

pub(super) fn refusal(group: &Group, rule: &AlertingRule, message: String) -> RuleFileError {
    let (line, column) = rule.position;
    RuleFileError {
        file: group.file.clone(),
        line: Some(line).filter(|line| *line > 0),
        column: Some(column).filter(|column| *column > 0),
        group: Some(group.name.clone()),
        rule: Some(rule.alert.clone()),
        message,
    }
}

/// Whether a label has one of the words, unless a template makes it.
fn check_word(rule: &AlertingRule, label: &str, words: &[&str], refuse: &mut impl FnMut(String)) {
    let value = rule.label(label);
    if !value.contains("{{") && !words.contains(&value) {
        refuse(format!(
            "label {label:?} is {value:?}; expected one of {}",
            words.join(", ")
        ));
    }
}

/// Whether each line of evidence is PromQL once expanded, also with labels that need quoting.
fn check_evidence(rule: &AlertingRule, refuse: &mut impl FnMut(String)) {
    let Some((_, template)) = rule.annotations.iter().find(|(name, _)| name == "evidence") else {
        return;
    };
    let check = |labels: &Labels| {
        let lines = parse_evidence(&expand_sample(template, labels)?)?;
        lines.iter().try_for_each(|line| match Query::parse(&line.expr) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{:?}: {error}", line.text)),
        })
    };
    if let Err(reason) = check(&plain_sample(rule)) {
        refuse(format!("annotation \"evidence\": {reason}"));
    } else if let Err(reason) = check(&awkward_sample(rule)) {
        let advice = "put labels in through {{ printf \"%q\" $labels.name }}";
        refuse(format!(
            "annotation \"evidence\", with a quote in a label: {reason}; {advice}"
        ));
    }
}

/// The expressions of a rule's evidence, with plausible labels in them.
pub(super) fn sample_evidence(rule: &AlertingRule) -> Vec<String> {
    let Some((_, template)) = rule.annotations.iter().find(|(name, _)| name == "evidence") else {
        return Vec::new();
    };
    let lines = expand_sample(template, &plain_sample(rule)).and_then(|text| parse_evidence(&text));
    lines
        .unwrap_or_default()
        .into_iter()
        .map(|line| line.expr)
        .collect()
}

/// Plausible values of labels.
pub(super) const SAMPLES: [(&str, &str); 14] = [
    ("alarm", "NOSPACE"),
    ("cluster", "etcd"),
    ("collector", "status"),
    ("device", "nvme0n1"),
    ("instance", "10.0.0.1:2379"),
    ("job", "etcd"),
    ("le", "0.008"),
    ("member", "m0"),
    ("mountpoint", "/var/lib/etcd"),
    ("peer", "m1"),
    ("probe", "linearizable"),
    ("resource", "io"),
    ("share", "some"),
    ("use", "data"),
];

/// Every label that could occur, with a plausible value.
pub(super) fn plain_sample(rule: &AlertingRule) -> Labels {
    let used = labels_used(rule.templates())
        .into_iter()
        .map(|name| (name, "sample"));
    Labels::new(used.chain(SAMPLES))
}

/// The same labels with values that break an expression into which they are pasted without quoting.
fn awkward_sample(rule: &AlertingRule) -> Labels {
    let plain = plain_sample(rule);
    Labels::new(plain.iter().map(|(name, value)| (name, format!("{value}\"\\"))))
}

/// A template's text for one sample, over a window without series.
fn expand_sample(template: &Template, labels: &Labels) -> Result<String, String> {
    let scope = Scope {
        source: &NoSeries,
        at: Timestamp::from_millis(0),
        options: &OPTIONS,
        external_labels: &Labels::empty(),
        external_url: "http://localhost",
    };
    template.expand(labels, 1.0, &scope)
}

struct NoSeries;

impl Source for NoSeries {
    fn select(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Vec<Series> {
        Vec::new()
    }
}

/// The cycles among explanations, each beginning with its first name in alphabetical order and ending with it.
fn cycles(explained: &BTreeMap<&str, BTreeSet<String>>) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in explained.keys() {
        if let Some(path) = path_back(explained, start) {
            found.push(path);
        }
    }
    found
}

/// The shortest way from an alert over what it explains back to itself, over no name before its own: of each cycle
/// the way is found from its first name only.
fn path_back(explained: &BTreeMap<&str, BTreeSet<String>>, start: &str) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(name) = queue.pop_front() {
        for next in explained.get(name).into_iter().flatten() {
            if next == start {
                let mut path = vec![start.to_owned()];
                let mut at = name;
                while at != start {
                    path.push(at.to_owned());
                    at = came_from[at];
                }
                path.push(start.to_owned());
                path.reverse();
                return Some(path);
            }
            if next.as_str() > start && !came_from.contains_key(&**next) {
                came_from.insert(next, name);
                queue.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
