//! A window for tests of rules: series in memory, filled up to the time of each step.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Labels, Timestamp, stale_nan};
use crate::promql::{Matcher, Point, Points, Series, Source, Window};

/// What the rules of one test have seen and written.
pub(super) struct Memory {
    series: Vec<(Labels, Arc<Vec<Point>>)>,
    places: HashMap<Labels, usize>,
    by_metric: HashMap<String, Vec<usize>>,
    /// The series that each writer yielded last.
    written: HashMap<String, BTreeSet<Labels>>,
    /// What is still to come, the next sample last.
    coming: Vec<(Labels, Vec<Point>)>,
}

impl Memory {
    /// Nothing is in it yet; sample `i` of each series is due at `i` times the interval after the epoch. Of two series
    /// with the same labels the latter counts.
    pub(super) fn new(series: &[(Labels, Vec<Option<f64>>)], interval: Duration) -> Self {
        let mut coming: BTreeMap<&Labels, Vec<Point>> = BTreeMap::new();
        for (labels, values) in series {
            let mut time = Timestamp::from_millis(0);
            let mut points = Vec::new();
            for value in values {
                points.extend(value.map(|value| Point { time, value }));
                time = time.plus(interval);
            }
            points.reverse();
            coming.insert(labels, points);
        }
        Self {
            series: Vec::new(),
            places: HashMap::new(),
            by_metric: HashMap::new(),
            written: HashMap::new(),
            coming: coming
                .into_iter()
                .map(|(labels, points)| (labels.clone(), points))
                .collect(),
        }
    }

    /// Takes in the samples that are due.
    pub(super) fn fill(&mut self, now: Timestamp) {
        let mut coming = std::mem::take(&mut self.coming);
        for (labels, points) in &mut coming {
            while let Some(point) = points.pop_if(|point| point.time <= now) {
                self.push(labels, point);
            }
        }
        self.coming = coming;
    }

    /// Appends a point, unless its series has one of that time or later.
    fn push(&mut self, labels: &Labels, point: Point) {
        let place = match self.places.get(labels) {
            Some(place) => *place,
            None => {
                let place = self.series.len();
                self.series.push((labels.clone(), Arc::default()));
                self.places.insert(labels.clone(), place);
                let metric = labels.metric_name().to_owned();
                self.by_metric.entry(metric).or_default().push(place);
                place
            }
        };
        // Nobody else holds them between two evaluations, so nothing is copied.
        let points = Arc::make_mut(&mut self.series[place].1);
        if points.last().is_none_or(|last| last.time < point.time) {
            points.push(point);
        }
    }
}

impl Source for Memory {
    fn select(&self, matchers: &[Matcher], after: Timestamp, through: Timestamp) -> Vec<Series> {
        let metric = matchers.iter().find_map(Matcher::literal_metric);
        let candidates: Vec<&(Labels, Arc<Vec<Point>>)> = match metric {
            Some(metric) => {
                let places = self.by_metric.get(metric).into_iter().flatten();
                places.map(|place| &self.series[*place]).collect()
            }
            None => self.series.iter().collect(),
        };
        let matching = candidates
            .into_iter()
            .filter(|(labels, _)| matchers.iter().all(|matcher| matcher.matches(labels)));
        matching
            .filter_map(|(labels, points)| {
                let first = points.partition_point(|point| point.time <= after);
                let end = points.partition_point(|point| point.time <= through);
                (first < end).then(|| Series {
                    labels: labels.clone(),
                    points: Points::shared(points, first..end),
                })
            })
            .collect()
    }
}

impl Window for Memory {
    fn record(&mut self, writer: &str, at: Timestamp, series: Vec<(Labels, f64)>) {
        let before = self.written.remove(writer).unwrap_or_default();
        let now: BTreeSet<Labels> = series.iter().map(|(labels, _)| labels.clone()).collect();
        for ended in before.difference(&now) {
            let value = stale_nan();
            self.push(ended, Point { time: at, value });
        }
        for (labels, value) in series {
            self.push(&labels, Point { time: at, value });
        }
        self.written.insert(writer.to_owned(), now);
    }
}
