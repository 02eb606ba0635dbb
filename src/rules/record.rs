//! Recording rules: the result of an expression, under a new name.

use std::collections::BTreeSet;

use super::RecordingRule;
use crate::model::Labels;
use crate::promql::Element;

/// The series that a rule yields.
///
/// # Errors
/// When two elements come out with the same labels.
pub(super) fn series(rule: &RecordingRule, elements: Vec<Element>) -> Result<Vec<(Labels, f64)>, String> {
    let mut taken = BTreeSet::new();
    let mut series = Vec::with_capacity(elements.len());
    for element in elements {
        let named = element.labels.named(&rule.record);
        let labels = rule
            .labels
            .iter()
            .fold(named, |labels, (name, value)| labels.with(name, value));
        if !taken.insert(labels.clone()) {
            return Err(format!(
                "vector contains metrics with the same labelset after applying rule labels: {labels}"
            ));
        }
        series.push((labels, element.value));
    }
    Ok(series)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::Query;

    fn rule(labels: &[(&str, &str)]) -> RecordingRule {
        RecordingRule {
            record: "cluster:members:count".to_owned(),
            query: Query::parse("up").unwrap(),
            labels: labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn element(labels: &[(&'static str, &'static str)]) -> Element {
        Element {
            labels: Labels::new(labels.iter().copied()),
            value: 3.0,
        }
    }

    #[test]
    fn renames_sets_labels_and_removes_those_set_to_nothing() {
        let rule = rule(&[("team", "storage"), ("instance", "")]);
        let given = element(&[
            ("__name__", "up"),
            ("job", "etcd"),
            ("instance", "a:1"),
            ("team", "x"),
        ]);
        let series = series(&rule, vec![given]).unwrap();
        let shown = series[0].0.to_string();
        assert_eq!(shown, r#"cluster:members:count{job="etcd", team="storage"}"#);
        assert_eq!(series[0].1, 3.0);
    }

    #[test]
    fn two_series_that_become_one_are_an_error() {
        let rule = rule(&[("instance", "")]);
        let given = vec![element(&[("instance", "a")]), element(&[("instance", "b")])];
        let error = series(&rule, given).unwrap_err();
        assert!(error.contains("same labelset"), "{error}");
    }
}
