//! Inhibition for Alertmanager, from what the rules say that they explain: while a cause fires, nobody is told of its
//! symptoms.
//!
//! Only symptoms that are at most as severe as their cause: whoever is paged for critical alerts is then paged for the cause
//! of each that is muted, and no page is lost to a warning.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::convention::{SEVERITIES, parse_explains};
use super::{AlertingRule, RuleSet};

/// Symptoms that one alert, at one severity, mutes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inhibition {
    /// The cause's alert.
    pub cause: String,
    /// Its severity.
    pub severity: &'static str,
    /// Whether symptoms are muted only on the same member, and not in the whole cluster.
    pub same_member: bool,
    /// The symptoms' alerts, sorted.
    pub symptoms: Vec<String>,
}

impl Inhibition {
    /// The severities at which symptoms are muted: the cause's, and the milder ones.
    pub fn muted(&self) -> &'static [&'static str] {
        let at = SEVERITIES.iter().position(|severity| *severity == self.severity);
        &SEVERITIES[at.unwrap_or(SEVERITIES.len())..]
    }
}

/// What the rules' `explains` mean for Alertmanager, sorted by cause, the worst severity first.
pub fn inhibitions(rules: &RuleSet) -> Vec<Inhibition> {
    let mut severities: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (_, _, rule) in rules.alerting() {
        severities.entry(&rule.alert).or_default().extend(ranks(rule));
    }
    let mut found: BTreeMap<(&str, usize, bool), BTreeSet<String>> = BTreeMap::new();
    for (_, _, rule) in rules.alerting() {
        // One that cannot be read was refused on loading.
        for symptom in parse_explains(rule.annotation("explains")).unwrap_or_default() {
            let of_symptom = severities.get(symptom.alert.as_str());
            for rank in ranks(rule) {
                if of_symptom.is_some_and(|others| others.iter().any(|other| *other >= rank)) {
                    let key = (rule.alert.as_str(), rank, symptom.same_member);
                    found.entry(key).or_default().insert(symptom.alert.clone());
                }
            }
        }
    }
    // What is muted in the whole cluster is muted on the same member, too.
    let whole: Vec<_> = found
        .iter()
        .filter(|((.., same_member), _)| !same_member)
        .map(|((cause, rank, _), symptoms)| ((*cause, *rank), symptoms.clone()))
        .collect();
    for ((cause, rank), symptoms) in whole {
        if let Some(on_member) = found.get_mut(&(cause, rank, true)) {
            on_member.retain(|symptom| !symptoms.contains(symptom));
        }
    }
    found.retain(|_, symptoms| !symptoms.is_empty());
    found
        .into_iter()
        .map(|((cause, rank, same_member), symptoms)| Inhibition {
            cause: cause.to_owned(),
            severity: SEVERITIES[rank],
            same_member,
            symptoms: symptoms.into_iter().collect(),
        })
        .collect()
}

/// The severities that alerts of a rule may have, as their places in [`SEVERITIES`]: all of them where a template says.
fn ranks(rule: &AlertingRule) -> Vec<usize> {
    let severity = rule.label("severity");
    let may_be = |known: &&str| severity == *known || severity.contains("{{");
    let ranks = SEVERITIES.iter().enumerate();
    ranks
        .filter(|(_, known)| may_be(known))
        .map(|(rank, _)| rank)
        .collect()
}

/// Of an alert at two severities, the worse one mutes the milder one about the same. The labels are those that say what an
/// alert is about: see `docs/rules.md`.
const SAME_ALERT: &str = r#"  # The same alert at two severities.
  - source_matchers: ['severity = "critical"', 'category =~ ".+"']
    target_matchers: ['severity =~ "warning|info"', 'category =~ ".+"']
    equal: [alertname, category, cluster, member, folder]
  - source_matchers: ['severity = "warning"', 'category =~ ".+"']
    target_matchers: ['severity = "info"', 'category =~ ".+"']
    equal: [alertname, category, cluster, member, folder]
"#;

/// The section `inhibit_rules` of Alertmanager's configuration (0.22 or newer).
pub fn yaml(inhibitions: &[Inhibition]) -> String {
    let mut text = format!("inhibit_rules:\n{SAME_ALERT}");
    if !inhibitions.is_empty() {
        text += "  # Causes and their symptoms.\n";
    }
    for inhibition in inhibitions {
        let symptoms: Vec<String> = inhibition
            .symptoms
            .iter()
            .map(|alert| regex::escape(alert))
            .collect();
        let equal = if inhibition.same_member {
            "cluster, member"
        } else {
            "cluster"
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  - source_matchers: [{}, {}]\n    target_matchers: [{}, {}]\n    equal: [{equal}]",
            matcher("alertname", "=", &inhibition.cause),
            matcher("severity", "=", inhibition.severity),
            matcher("alertname", "=~", &symptoms.join("|")),
            matcher("severity", "=~", &inhibition.muted().join("|")),
        );
    }
    text
}

/// One matcher, quoted for Alertmanager and then for YAML.
fn matcher(label: &str, operator: &str, value: &str) -> String {
    let value = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("'{label} {operator} \"{}\"'", value.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(rules: &[(&str, &str, &str)]) -> RuleSet {
        let rules: Vec<String> = rules
            .iter()
            .map(|(alert, severity, explains)| {
                format!(
                    "{{alert: {alert}, expr: up, labels: {{severity: '{severity}', category: quota}}, \
                     annotations: {{explains: '{explains}'}}}}"
                )
            })
            .collect();
        let file = format!("groups: [{{name: g, rules: [{}]}}]", rules.join(", "));
        RuleSet::new(super::super::load("f.yaml", &file).unwrap())
    }

    fn told(rules: &[(&str, &str, &str)]) -> Vec<String> {
        let told = inhibitions(&set(rules)).into_iter().map(|inhibition| {
            let member = if inhibition.same_member { "(member)" } else { "" };
            let Inhibition { cause, severity, .. } = &inhibition;
            format!(
                "{cause} {severity}: {}{member} {}",
                inhibition.symptoms.join(" "),
                inhibition.muted().join("|")
            )
        });
        told.collect()
    }

    #[test]
    fn a_cause_mutes_what_is_as_severe_or_milder() {
        assert_eq!(
            told(&[
                ("A", "critical", "B, C(member), D"),
                ("B", "critical", ""),
                ("C", "warning", ""),
                ("D", "info", ""),
            ]),
            [
                "A critical: B D critical|warning|info",
                "A critical: C(member) critical|warning|info"
            ]
        );
    }

    #[test]
    fn no_page_is_lost_to_a_warning() {
        assert_eq!(told(&[("A", "warning", "B"), ("B", "critical", "")]), [""; 0]);
        // Of an alert at two severities only the milder is muted.
        assert_eq!(
            told(&[("A", "warning", "B"), ("B", "critical", ""), ("B", "warning", "")]),
            ["A warning: B warning|info"]
        );
        // A severity that a template gives may be any.
        assert_eq!(
            told(&[("A", "{{ $labels.x }}", "B"), ("B", "warning", "")]),
            ["A critical: B critical|warning|info", "A warning: B warning|info"]
        );
    }

    #[test]
    fn what_is_muted_everywhere_is_not_said_twice() {
        assert_eq!(
            told(&[
                ("A", "critical", "B(member)"),
                ("A", "critical", "B"),
                ("B", "info", "")
            ]),
            ["A critical: B critical|warning|info"]
        );
    }

    #[test]
    fn the_section_is_quoted_for_yaml_and_for_alertmanager() {
        let inhibition = Inhibition {
            cause: "It's \"A\"".to_owned(),
            severity: "warning",
            same_member: true,
            symptoms: vec!["B.1".to_owned(), "C".to_owned()],
        };
        let text = yaml(&[inhibition]);
        let (_, causes) = text.split_once("  # Causes and their symptoms.\n").unwrap();
        assert_eq!(
            causes,
            r#"  - source_matchers: ['alertname = "It''s \"A\""', 'severity = "warning"']
    target_matchers: ['alertname =~ "B\\.1|C"', 'severity =~ "warning|info"']
    equal: [cluster, member]
"#
        );
    }
}
