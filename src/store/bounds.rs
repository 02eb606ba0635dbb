//! What the window takes of one member at most, and what it did not take.

use std::collections::BTreeMap;

/// The most series of one member's page. etcd has 1,700; a page that invents labels must not crowd out the others'.
const MEMBER_SERIES: usize = 20_000;

/// The most samples held of one member's page: 64 MB. The etcd-mixin holds 19,000 at an interval of 15 s.
const MEMBER_SAMPLES: usize = 4_000_000;

/// How many metrics are told apart in what was dropped; further ones are counted together.
const METRICS: usize = 200;

/// Under this name.
const OTHERS: &str = "others";

/// The bounds of one member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) series: usize,
    pub(super) samples: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            series: MEMBER_SERIES,
            samples: MEMBER_SAMPLES,
        }
    }
}

/// How many samples were dropped since the start, by metric.
#[derive(Debug, Default)]
pub(super) struct Dropped(BTreeMap<String, u64>);

impl Dropped {
    pub(super) fn count(&mut self, metric: &str) {
        let known = self.0.contains_key(metric) || self.0.len() < METRICS;
        let name = if known { metric } else { OTHERS };
        *self.0.entry(name.to_owned()).or_default() += 1;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(metric, count)| (&**metric, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_metrics_are_told_apart() {
        let mut dropped = Dropped::default();
        for metric in 0..METRICS + 5 {
            dropped.count(&format!("m{metric}"));
        }
        dropped.count("m0");
        let counts: BTreeMap<&str, u64> = dropped.iter().collect();
        assert_eq!((counts.len(), counts["m0"], counts[OTHERS]), (METRICS + 1, 2, 5));
    }
}
