//! What the rules' selectors ask of the window.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::{Labels, METRIC_NAME};
use crate::promql::Selector;

/// How long the rules' selectors look back, by what they select.
#[derive(Debug)]
pub(super) struct Demand {
    by_metric: HashMap<String, Vec<Selector>>,
    /// Selectors that do not name their metric literally.
    any_metric: Vec<Selector>,
}

impl Demand {
    pub(super) fn new(selectors: &[Selector]) -> Self {
        let mut demand = Self {
            by_metric: HashMap::new(),
            any_metric: Vec::new(),
        };
        for selector in selectors {
            match &selector.metric {
                Some(metric) => demand
                    .by_metric
                    .entry(metric.clone())
                    .or_default()
                    .push(selector.clone()),
                None => demand.any_metric.push(selector.clone()),
            }
        }
        demand
    }

    /// Whether a selector may select series of this name.
    pub(super) fn names(&self, metric: &str) -> bool {
        let by_name = |selector: &Selector| {
            let named = Labels::empty().named(metric);
            let mut on_name = selector
                .matchers
                .iter()
                .filter(|matcher| matcher.label == METRIC_NAME);
            on_name.all(|matcher| matcher.matches(&named))
        };
        self.by_metric.contains_key(metric) || self.any_metric.iter().any(by_name)
    }

    /// How far back the selectors of this series look; none when nothing selects it.
    pub(super) fn reach(&self, labels: &Labels) -> Option<Duration> {
        let named = self.by_metric.get(labels.metric_name()).into_iter().flatten();
        named
            .chain(&self.any_metric)
            .filter(|selector| selector.matchers.iter().all(|matcher| matcher.matches(labels)))
            .map(|selector| selector.reach)
            .max()
    }
}
