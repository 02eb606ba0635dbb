//! Rule files: their YAML, and everything that Prometheus refuses in it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_saphyr::{Location, Spanned};

use super::yaml::Pairs;
use super::{AlertingRule, Group, RecordingRule, Rule, Template, yaml};
use crate::model::METRIC_NAME;
use crate::promql::{Query, duration};

/// What is wrong in a rule file, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleFileError {
    /// The file, as named on loading.
    pub file: String,
    /// The line, from 1, where it can be told.
    pub line: Option<usize>,
    /// The column, from 1, where it can be told.
    pub column: Option<usize>,
    /// The group's name.
    pub group: Option<String>,
    /// The alert's or the recorded series' name.
    pub rule: Option<String>,
    /// What is wrong, in words.
    pub message: String,
}

impl fmt::Display for RuleFileError {
    /// `file:line:column: group "g", rule "Name": reason`, without what is not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        f.write_str(": ")?;
        match (&self.group, &self.rule) {
            (Some(group), Some(rule)) => write!(f, "group {group:?}, rule {rule:?}: ")?,
            (Some(group), None) => write!(f, "group {group:?}: ")?,
            (None, Some(rule)) => write!(f, "rule {rule:?}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for RuleFileError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    groups: Option<Vec<Spanned<RawGroup>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    name: Option<Spanned<String>>,
    interval: Option<Spanned<String>>,
    query_offset: Option<Spanned<String>>,
    limit: Option<Whole>,
    labels: Option<Pairs>,
    rules: Option<Vec<Spanned<RawRule>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    record: Option<Spanned<String>>,
    alert: Option<Spanned<String>>,
    expr: Option<Spanned<String>>,
    r#for: Option<Spanned<String>>,
    keep_firing_for: Option<Spanned<String>>,
    labels: Option<Pairs>,
    annotations: Option<Pairs>,
}

/// A whole number that is written as one and not as a text in quotes.
struct Whole(i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;

        impl Visitor<'_> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Whole, E> {
                Ok(Whole(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(i64::try_from(number).unwrap_or(i64::MAX)))
            }
        }

        deserializer.deserialize_any(WholeVisitor)
    }
}

/// Reads a rule file. As in Prometheus only the first YAML document counts, and an empty file has no groups.
///
/// # Errors
/// All that is wrong with it; when it does not have the shape of a rule file, the first thing only.
pub fn load(file_name: &str, text: &str) -> Result<Vec<Group>, Vec<RuleFileError>> {
    let mut check = Check {
        file: file_name,
        group: None,
        rule: None,
        errors: Vec::new(),
    };
    let mut bytes = text.as_bytes();
    let raw: Option<Result<RawFile, serde_saphyr::Error>> = serde_saphyr::read(&mut bytes).next();
    let groups = match raw {
        None => Vec::new(),
        Some(Ok(raw)) => raw.groups.unwrap_or_default(),
        Some(Err(error)) => {
            check.refuse_shape(&error);
            Vec::new()
        }
    };
    let mut names = BTreeSet::new();
    let groups: Vec<Group> = groups
        .into_iter()
        .map(|group| check.group(group, &mut names))
        .collect();
    if check.errors.is_empty() {
        Ok(groups)
    } else {
        Err(check.errors)
    }
}

/// Goes through a file, collects what is wrong, and makes rules of the rest.
struct Check<'a> {
    file: &'a str,
    group: Option<String>,
    rule: Option<String>,
    errors: Vec<RuleFileError>,
}

impl Check<'_> {
    fn refuse(&mut self, at: Location, message: impl Into<String>) {
        // The reader counts from 1; 0 is a place that it does not know.
        let known = |number: u64| usize::try_from(number).ok().filter(|number| *number > 0);
        self.errors.push(RuleFileError {
            file: self.file.to_owned(),
            line: known(at.line()),
            column: known(at.column()),
            group: self.group.clone(),
            rule: self.rule.clone(),
            message: message.into(),
        });
    }

    fn refuse_shape(&mut self, error: &serde_saphyr::Error) {
        let (at, why) = yaml::refused(error);
        self.refuse(at, why);
    }

    fn group(&mut self, raw: Spanned<RawGroup>, names: &mut BTreeSet<String>) -> Group {
        let at = raw.referenced;
        let raw = raw.value;
        let (name, name_at) = text_or_empty(raw.name, at);
        self.group = Some(name.clone());
        if name.is_empty() {
            self.refuse(name_at, "a group needs a name");
        } else if !names.insert(name.clone()) {
            self.refuse(name_at, "the name of this group stands in the file twice");
        }
        let labels = raw.labels.unwrap_or_default();
        self.check_label_names(&labels);
        let labels = plain(labels);
        let interval = self.duration("interval", raw.interval);
        let query_offset = self
            .duration("query_offset", raw.query_offset)
            .unwrap_or_default();
        let rules = raw.rules.unwrap_or_default();
        let rules = rules
            .into_iter()
            .filter_map(|rule| self.rule(rule, &labels))
            .collect();
        self.rule = None;
        self.group = None;
        Group {
            file: self.file.to_owned(),
            name,
            interval: interval.filter(|interval| !interval.is_zero()),
            query_offset,
            limit: raw
                .limit
                .and_then(|limit| usize::try_from(limit.0).ok())
                .filter(|limit| *limit > 0),
            labels,
            rules,
        }
    }

    /// The rule, or none when it has no kind or no expression.
    fn rule(&mut self, raw: Spanned<RawRule>, group_labels: &[(String, String)]) -> Option<Rule> {
        let at = raw.referenced;
        let raw = raw.value;
        let (record, record_at) = text_or_empty(raw.record, at);
        let (alert, alert_at) = text_or_empty(raw.alert, at);
        self.rule = Some(if alert.is_empty() {
            record.clone()
        } else {
            alert.clone()
        });
        let labels = raw.labels.unwrap_or_default();
        let annotations = raw.annotations.unwrap_or_default();
        self.check_label_names(&labels);
        self.check_annotation_names(&annotations);
        let hold = self.duration("for", raw.r#for).unwrap_or_default();
        let keep_firing = self
            .duration("keep_firing_for", raw.keep_firing_for)
            .unwrap_or_default();
        let query = self.query(raw.expr, at);
        match (record.is_empty(), alert.is_empty()) {
            (true, true) => {
                self.rule = None;
                self.refuse(at, "a rule needs one of record and alert");
                None
            }
            (false, false) => {
                self.refuse(at, "a rule has one of record and alert, not both");
                None
            }
            (false, true) => {
                self.check_recording(&record, record_at, &annotations, hold, keep_firing);
                let labels = merged(group_labels.to_vec(), plain(labels));
                Some(Rule::Recording(RecordingRule {
                    record,
                    query: query?,
                    labels,
                }))
            }
            (true, false) => {
                let from_group: Vec<_> = group_labels
                    .iter()
                    .filter_map(|(name, text)| Some((name.clone(), self.template("label", name, text, at)?)))
                    .collect();
                let labels = merged(from_group, self.templates("label", labels));
                let annotations = self.templates("annotation", annotations);
                let line_of = |number: u64| usize::try_from(number).unwrap_or(0);
                let position = (line_of(alert_at.line()), line_of(alert_at.column()));
                let query = query?;
                Some(Rule::Alerting(AlertingRule {
                    alert,
                    query,
                    hold,
                    keep_firing,
                    labels,
                    annotations,
                    position,
                }))
            }
        }
    }

    fn query(&mut self, expr: Option<Spanned<String>>, rule_at: Location) -> Option<Query> {
        let (expr, at) = text_or_empty(expr, rule_at);
        if expr.is_empty() {
            self.refuse(at, "a rule needs an expr");
            return None;
        }
        match Query::parse(&expr) {
            Ok(query) => Some(query),
            Err(error) => {
                self.refuse(at, format!("could not parse expression: {error}"));
                None
            }
        }
    }

    fn check_recording(
        &mut self,
        record: &str,
        at: Location,
        annotations: &Pairs,
        hold: Duration,
        keep_firing: Duration,
    ) {
        // Any text is a valid name since Prometheus 3, but a selector there is a mistake.
        if record.contains(['{', '}']) {
            self.refuse(
                at,
                format!("{record:?} is not the name of a series; should it be in expr?"),
            );
        }
        if let Some((name, _)) = annotations.0.first() {
            self.refuse(name.referenced, "a recording rule has no annotations");
        }
        for (field, duration) in [("for", hold), ("keep_firing_for", keep_firing)] {
            if !duration.is_zero() {
                self.refuse(at, format!("a recording rule has no {field}"));
            }
        }
    }

    fn check_label_names(&mut self, labels: &Pairs) {
        for (name, _) in &labels.0 {
            if name.value.is_empty() || name.value == METRIC_NAME {
                self.refuse(
                    name.referenced,
                    format!("{:?} cannot be the name of a label", name.value),
                );
            }
        }
    }

    fn check_annotation_names(&mut self, annotations: &Pairs) {
        for (name, _) in &annotations.0 {
            if name.value.is_empty() {
                self.refuse(name.referenced, "an annotation needs a name");
            }
        }
    }

    fn duration(&mut self, field: &str, text: Option<Spanned<String>>) -> Option<Duration> {
        let text = text?;
        match duration::parse(&text.value) {
            Ok(duration) => Some(duration),
            Err(reason) => {
                self.refuse(text.referenced, format!("{field}: {reason}"));
                None
            }
        }
    }

    fn templates(&mut self, kind: &str, pairs: Pairs) -> Vec<(String, Template)> {
        let mut templates = Vec::new();
        for (name, text) in pairs.0 {
            if let Some(template) = self.template(kind, &name.value, &text, name.referenced) {
                templates.push((name.value, template));
            }
        }
        templates
    }

    fn template(&mut self, kind: &str, name: &str, text: &str, at: Location) -> Option<Template> {
        match Template::parse(text) {
            Ok(template) => Some(template),
            Err(reason) => {
                self.refuse(
                    at,
                    format!("the template of the {kind} {name:?} cannot be used: {reason}"),
                );
                None
            }
        }
    }
}

/// A field's text and place; of a field that is missing, nothing and the place of what it is missing in.
fn text_or_empty(field: Option<Spanned<String>>, otherwise: Location) -> (String, Location) {
    field.map_or((String::new(), otherwise), |field| {
        (field.value, field.referenced)
    })
}

fn plain(pairs: Pairs) -> Vec<(String, String)> {
    pairs
        .0
        .into_iter()
        .map(|(name, text)| (name.value, text))
        .collect()
}

/// A group's labels and a rule's own, which win.
fn merged<T>(mut of_group: Vec<(String, T)>, of_rule: Vec<(String, T)>) -> Vec<(String, T)> {
    of_group.retain(|(name, _)| of_rule.iter().all(|(other, _)| other != name));
    of_group.extend(of_rule);
    of_group
}

#[cfg(test)]
mod tests;
