//! Which alerts have to be known before which.

use std::collections::{BTreeSet, HashMap};

use crate::rules::convention::parse_explains;
use crate::rules::{Rule, RuleSet};

/// For each of the rules whose alerts are to be sent, the wave that they go in, by the alert's name: what nothing else among
/// them explains is in wave 0, a symptom in a later one than each of its causes.
///
/// Alertmanager mutes a symptom only once it knows the cause, and looks at what is old at once.
pub(super) fn waves(rules: &RuleSet, of: BTreeSet<(usize, usize)>) -> HashMap<&str, usize> {
    let mut explains = Vec::new();
    let mut waves: HashMap<&str, usize> = HashMap::new();
    for at in of {
        if let Some(Rule::Alerting(rule)) = rules.rule(at) {
            // What cannot be read explains nothing; it was told on loading.
            let symptoms = parse_explains(rule.annotation("explains")).unwrap_or_default();
            explains.push((&*rule.alert, symptoms));
            waves.insert(&rule.alert, 0);
        }
    }
    // A way from cause to symptom is no longer than there are alerts, unless they explain each other in a circle.
    for _ in 1..waves.len() {
        let mut is_settled = true;
        for (cause, symptoms) in &explains {
            let after = waves[cause] + 1;
            for symptom in symptoms {
                if let Some(wave) = waves.get_mut(&*symptom.alert)
                    && *wave < after
                {
                    *wave = after;
                    is_settled = false;
                }
            }
        }
        if is_settled {
            break;
        }
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waves of rules that explain these, by name.
    fn waves_of(explains: &[(&str, &str)]) -> Vec<(String, usize)> {
        let rules: Vec<String> = explains
            .iter()
            .map(|(alert, symptoms)| {
                format!("{{alert: {alert}, expr: up, annotations: {{explains: '{symptoms}'}}}}")
            })
            .collect();
        let text = format!("groups: [{{name: g, rules: [{}]}}]", rules.join(", "));
        let rules = RuleSet::new(crate::rules::load("f.yaml", &text).unwrap());
        let of = (0..explains.len()).map(|rule| (0, rule)).collect();
        let mut found: Vec<(String, usize)> = waves(&rules, of)
            .into_iter()
            .map(|(alert, wave)| (alert.to_owned(), wave))
            .collect();
        found.sort();
        found
    }

    fn expected(waves: &[(&str, usize)]) -> Vec<(String, usize)> {
        waves
            .iter()
            .map(|(alert, wave)| ((*alert).to_owned(), *wave))
            .collect()
    }

    #[test]
    fn a_symptom_comes_after_each_of_its_causes_over_any_way() {
        assert_eq!(
            waves_of(&[("C", ""), ("B", "C(member), Absent"), ("A", "B, C"), ("Z", "C")]),
            expected(&[("A", 0), ("B", 1), ("C", 2), ("Z", 0)])
        );
    }

    #[test]
    fn what_is_related_to_nothing_goes_first_and_a_circle_has_an_end() {
        assert_eq!(waves_of(&[("A", "")]), expected(&[("A", 0)]));
        let circle = waves_of(&[("A", "B"), ("B", "A"), ("C", "")]);
        assert_eq!(circle.last(), Some(&("C".to_owned(), 0)));
    }
}
