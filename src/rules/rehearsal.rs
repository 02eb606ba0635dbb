//! A rehearsal of the templates in rules: each is expanded as an alert would expand it, so that `rules check` finds what
//! would else stand in the text of an alert, when it fires.

use super::convention::{SAMPLES, plain_sample, refusal};
use super::{RuleFileError, RuleSet, Scope, Template};
use crate::model::{Labels, METRIC_NAME, Timestamp};
use crate::promql::{MatchOp, Matcher, Options, Point, Series, Source};

/// What the labels of a rehearsal are: words, or numbers and durations, for templates that read them as such.
const VALUES: [Option<&str>; 3] = [None, Some("1"), Some("1m")];

/// `first` of a query that found nothing: it depends on what there is when the alert fires.
const FOUND_NOTHING: &str = "vector with no elements";

/// What cannot be expanded of the labels and annotations of all alerts.
pub fn check_templates(rules: &RuleSet) -> Vec<RuleFileError> {
    let mut errors = Vec::new();
    for (_, group, rule) in rules.alerting() {
        let labels = rule.labels.iter().map(|named| ("label", named));
        let annotations = rule.annotations.iter().map(|named| ("annotation", named));
        for (kind, (name, template)) in labels.chain(annotations) {
            if let Some(shown) = shown_error(template, &plain_sample(rule)) {
                let message = format!("{kind} {name:?}: an alert would show {shown}");
                errors.push(refusal(group, rule, message));
            }
        }
    }
    errors
}

/// The text that an alert would show for a template that fails whatever the labels are.
fn shown_error(template: &Template, plain: &Labels) -> Option<String> {
    let scope = Scope {
        source: &Everything,
        at: Timestamp::from_millis(3_600_000),
        options: &Options::default(),
        external_labels: &Labels::empty(),
        external_url: "http://localhost",
    };
    let fails = |value: &Option<&str>| {
        let labels = plain.iter().map(|(name, plain)| (name, value.unwrap_or(plain)));
        let labels = Labels::new(labels);
        let error = template.expand(&labels, 1.0, &scope).err()?;
        (!error.contains(FOUND_NOTHING)).then(|| template.expand_or_complain(&labels, 1.0, &scope))
    };
    let shown: Option<Vec<String>> = VALUES.iter().map(fails).collect();
    shown?.into_iter().next()
}

/// A window that holds one series for whatever is asked, which grows.
struct Everything;

impl Source for Everything {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series> {
        /// Enough for a rate.
        const POINTS: i64 = 4;
        let given = matchers.iter().filter(|matcher| matcher.op == MatchOp::Equal);
        let given = given.map(|matcher| (&*matcher.label, &*matcher.value));
        let samples = SAMPLES.into_iter().filter(|(name, _)| *name != METRIC_NAME);
        let labels = samples
            .chain(given)
            .fold(Labels::empty(), |labels, (name, value)| labels.with(name, value));
        let step = (to.millis() - from.millis()) / POINTS;
        let point = |at: i64| Point {
            time: Timestamp::from_millis(to.millis() - step * (POINTS - at)),
            value: at as f64,
        };
        let points: Vec<Point> = (1..=POINTS).map(point).collect();
        vec![Series {
            labels,
            points: points.into(),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{builtin, load};

    /// What is refused of one annotation.
    fn refused(annotation: &str) -> Vec<String> {
        let text = format!(
            "groups: [{{name: g, rules: [{{alert: A, expr: up, annotations: {{summary: '{}'}}}}]}}]",
            annotation.replace('\'', "''")
        );
        let rules = RuleSet::new(load("r.yaml", &text).unwrap());
        let errors = check_templates(&rules);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_template_that_fails_is_refused_as_an_alert_would_show_it() {
        assert_eq!(
            refused(r#"{{ $labels.member | first }}"#),
            [
                "r.yaml:1:36: group \"g\", rule \"A\": annotation \"summary\": an alert would show <error expanding \
                 template: error calling first: expected the result of a query; got string>"
            ]
        );
        for failing in [
            r#"{{ query "up{" }}"#,
            r#"{{ range query "up" }}{{ .Labels | humanize }}{{ end }}"#,
            r#"{{ reReplaceAll "(" "" $labels.member }}"#,
        ] {
            assert!(
                matches!(&*refused(failing), [one] if one.contains("<error expanding template: ")),
                "{failing}"
            );
        }
    }

    #[test]
    fn what_depends_on_labels_and_series_is_let_pass() {
        for good in [
            r#"{{ $value | humanizePercentage }} of {{ $labels.quantile | humanize }}"#,
            r#"{{ $labels.window | parseDuration }}"#,
            r#"{{ query "up > 100" | first | value }}"#,
            r#"{{ with query "rate(x_total[5m])" }}{{ . | first | value | humanize }}{{ end }}"#,
            r#"{{ range query "max by (le) (increase(x_bucket[1m]))" }}{{ .Labels.le }}{{ end }}"#,
        ] {
            assert_eq!(refused(good), [""; 0], "{good}");
        }
    }

    #[test]
    fn the_shipped_templates_can_all_be_expanded() {
        let groups = builtin::FILES
            .iter()
            .flat_map(|(name, text)| load(name, text).expect("a shipped file"));
        assert_eq!(check_templates(&RuleSet::new(groups.collect())), []);
    }
}
