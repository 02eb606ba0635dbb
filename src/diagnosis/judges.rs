//! Which rules judge a subject of the checklist, what they say of it, and whether they see it.

use std::collections::BTreeSet;

use super::coverage::Judged;
use super::{Coverage, Gap, Problem};
use crate::rules::AlertingRule;

/// What makes a rule one of a subject's judges. Any of the three will do.
#[derive(Clone, Copy, Default)]
pub(super) struct Topic {
    /// Its label `category` is one of these.
    pub categories: &'static [&'static str],
    /// Its annotation `guide` begins with one of these.
    pub guides: &'static [&'static str],
    /// Its expression reads this metric.
    pub metric: Option<&'static str>,
}

impl Topic {
    fn holds(&self, rule: &AlertingRule) -> bool {
        let (category, guide) = (rule.label("category"), rule.annotation("guide"));
        let reads = |metric: &str| {
            let selectors = rule.query.selectors();
            selectors
                .iter()
                .any(|selector| selector.metric.as_deref() == Some(metric))
        };
        self.categories.contains(&category)
            || self.guides.iter().any(|section| guide.starts_with(section))
            || self.metric.is_some_and(reads)
    }
}

/// The rules in force with what each lacks.
pub(super) struct Judges<'a> {
    rules: Vec<(&'a AlertingRule, Vec<&'a Gap>)>,
}

/// What the judges of a subject see of it.
pub(super) struct Sight<'a> {
    /// Their alerts' names, each once.
    pub alerts: BTreeSet<&'a str>,
    /// Why one that should see is blind.
    pub failing: Option<&'a Gap>,
    /// Why one is blind that has nothing to look at here.
    pub inapplicable: Option<&'a Gap>,
    /// What one does not see of all that it looks at.
    pub partial: Option<&'a Gap>,
    /// Whether at least one sees.
    pub any: bool,
}

impl<'a> Judges<'a> {
    pub(super) fn new(judged: &[Judged<'a>], coverage: &'a Coverage) -> Self {
        let gaps = |rule: &AlertingRule| {
            coverage
                .gaps
                .iter()
                .filter(|gap| gap.alert == rule.alert)
                .collect()
        };
        Self {
            rules: judged
                .iter()
                .map(|judged| (judged.rule, gaps(judged.rule)))
                .collect(),
        }
    }

    /// The judges of a subject.
    pub(super) fn of(&self, topic: &Topic) -> Sight<'a> {
        let rules: Vec<_> = self.rules.iter().filter(|(rule, _)| topic.holds(rule)).collect();
        let gaps = || rules.iter().flat_map(|(_, gaps)| gaps.iter().copied());
        Sight {
            alerts: rules.iter().map(|(rule, _)| rule.alert.as_str()).collect(),
            failing: gaps().find(|gap| gap.blind && gap.applies),
            inapplicable: gaps().find(|gap| gap.blind && !gap.applies),
            partial: gaps().find(|gap| !gap.blind && gap.looks_back.is_none()),
            any: rules.iter().any(|(_, gaps)| !gaps.iter().any(|gap| gap.blind)),
        }
    }
}

impl Sight<'_> {
    /// The problems that these judges found, symptoms included, worst first.
    pub(super) fn found<'p>(&self, problems: &'p [Problem]) -> Vec<&'p Problem> {
        let mut found = Vec::new();
        self.add(problems, &mut found);
        found.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
        found
    }

    fn add<'p>(&self, problems: &'p [Problem], found: &mut Vec<&'p Problem>) {
        for problem in problems {
            if self.alerts.contains(&*problem.alert) {
                found.push(problem);
            }
            self.add(&problem.explains, found);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rules::RuleSet;

    /// A rule for tests of what uses judges.
    #[derive(Clone)]
    pub(in crate::diagnosis) struct Rule {
        pub category: &'static str,
        pub guide: &'static str,
        pub expr: &'static str,
    }

    impl Rule {
        /// One of a category, called `A_` and the category.
        pub fn of(category: &'static str) -> Self {
            Self {
                category,
                guide: "",
                expr: "up",
            }
        }
    }

    /// That the rule of a category is blind, for a failure or because it does not apply.
    pub(in crate::diagnosis) fn gap(category: &str, applies: bool) -> Gap {
        Gap {
            alert: format!("A_{category}"),
            reason: if applies { "refused" } else { "not here" }.to_owned(),
            fix: "mend it".to_owned(),
            blind: true,
            applies,
            looks_back: None,
        }
    }

    pub(in crate::diagnosis) fn with_judges<T>(
        rules: &[Rule],
        gaps: Vec<Gap>,
        look: impl FnOnce(&Judges<'_>) -> T,
    ) -> T {
        let rules: Vec<String> = rules
            .iter()
            .map(|rule| {
                format!(
                    "{{alert: A_{0}, expr: '{1}', labels: {{category: {0}}}, annotations: {{guide: '{2}'}}}}",
                    rule.category, rule.expr, rule.guide
                )
            })
            .collect();
        let text = format!("groups: [{{name: g, rules: [{}]}}]", rules.join(", "));
        let rules = RuleSet::new(crate::rules::load("f", &text).expect("test data"));
        let judged: Vec<Judged<'_>> = rules
            .alerting()
            .map(|(_, _, rule)| Judged {
                rule,
                report: None,
                history: Vec::new(),
            })
            .collect();
        let coverage = Coverage {
            gaps,
            ..Coverage::default()
        };
        look(&Judges::new(&judged, &coverage))
    }

    #[test]
    fn a_rule_judges_by_its_category_its_section_or_what_it_reads() {
        let rules = [
            Rule::of("backup"),
            Rule {
                guide: "Best Practices: Security",
                ..Rule::of("x")
            },
            Rule {
                expr: "rate(logs_total[1m]) > 0",
                ..Rule::of("y")
            },
        ];
        let of = |topic: Topic| {
            with_judges(&rules, vec![], |judges| {
                let names = judges.of(&topic).alerts;
                names.into_iter().map(str::to_owned).collect::<Vec<_>>()
            })
        };
        let topic = Topic::default();
        assert_eq!(
            of(Topic {
                categories: &["backup"],
                ..topic
            }),
            ["A_backup"]
        );
        assert_eq!(
            of(Topic {
                guides: &["Best Practices: Sec"],
                ..topic
            }),
            ["A_x"]
        );
        assert_eq!(
            of(Topic {
                metric: Some("logs_total"),
                ..topic
            }),
            ["A_y"]
        );
        assert!(of(topic).is_empty());
    }

    #[test]
    fn blindness_for_want_of_a_subject_is_told_from_failure() {
        let rules = [Rule::of("backup"), Rule::of("disk")];
        let all = Topic {
            categories: &["backup", "disk"],
            ..Topic::default()
        };
        with_judges(&rules, vec![gap("backup", false)], |judges| {
            let sight = judges.of(&all);
            assert!(sight.failing.is_none() && sight.inapplicable.is_some() && sight.any);
        });
        with_judges(&rules, vec![gap("backup", false), gap("disk", true)], |judges| {
            let sight = judges.of(&all);
            assert!(sight.failing.is_some() && !sight.any);
        });
    }
}
