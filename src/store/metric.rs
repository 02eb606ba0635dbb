//! The series of one metric name, found by their labels.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Labels, Timestamp};
use crate::promql::{Matcher, Point, Points, window};

/// A vector of points grows by this share of its length, and as large a share of outdated points is left at its front
/// before they are moved out: less memory, and no moving of every series in every cycle.
const SLACK: usize = 8;

/// One series.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) labels: Labels,
    /// How old its points may grow.
    pub(super) keep: Duration,
    /// By rising time. Whoever reads them holds them on: they are copied when the series goes on meanwhile.
    held: Arc<Vec<Point>>,
    /// How many points at the front are outdated already.
    outdated: usize,
}

impl Entry {
    pub(super) fn new(labels: Labels, keep: Duration) -> Self {
        Self {
            labels,
            keep,
            held: Arc::default(),
            outdated: 0,
        }
    }

    /// Its points.
    pub(super) fn points(&self) -> &[Point] {
        self.held.get(self.outdated..).unwrap_or(&[])
    }

    /// Its points where `after < time <= through`, without copying them.
    pub(super) fn between(&self, after: Timestamp, through: Timestamp) -> Points {
        let part = window(self.points(), after, through);
        Points::shared(&self.held, part.start + self.outdated..part.end + self.outdated)
    }

    /// Whether the point was later than all others and so was taken.
    pub(super) fn push(&mut self, time: Timestamp, value: f64) -> bool {
        if self.held.last().is_some_and(|last| last.time >= time) {
            return false;
        }
        let held = Arc::make_mut(&mut self.held);
        if held.len() == held.capacity() {
            held.reserve_exact(held.len() / SLACK + SLACK);
        }
        held.push(Point { time, value });
        true
    }

    /// Leaves out the points that are older than they may be.
    pub(super) fn trim(&mut self, now: Timestamp) {
        let oldest = now.minus(self.keep);
        self.outdated += self.points().partition_point(|point| point.time <= oldest);
        if self.outdated > self.held.len() / SLACK {
            Arc::make_mut(&mut self.held).drain(..self.outdated);
            self.outdated = 0;
        }
    }
}

/// The places of series.
type Places = Vec<u32>;

/// All series of one metric name.
#[derive(Debug, Default)]
pub(super) struct Metric {
    series: Vec<Entry>,
    places: HashMap<Labels, u32>,
    /// By label, then by value: the places of the series that have it, rising.
    index: HashMap<Arc<str>, HashMap<Arc<str>, Places>>,
}

impl Metric {
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    pub(super) fn get(&self, labels: &Labels) -> Option<&Entry> {
        self.series.get(*self.places.get(labels)? as usize)
    }

    pub(super) fn get_mut(&mut self, labels: &Labels) -> Option<&mut Entry> {
        self.series.get_mut(*self.places.get(labels)? as usize)
    }

    /// Adds a series, whose labels are none of those that are there.
    pub(super) fn insert(&mut self, entry: Entry) {
        // The bound on the series of a window is far below.
        let place = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        self.note(&entry.labels, place);
        self.series.push(entry);
    }

    fn note(&mut self, labels: &Labels, place: u32) {
        self.places.insert(labels.clone(), place);
        for (name, value) in labels.pairs() {
            let values = self.index.entry(Arc::clone(name)).or_default();
            values.entry(Arc::clone(value)).or_default().push(place);
        }
    }

    /// Trims every series, and drops those without any point left.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let before = self.series.len();
        self.series.retain_mut(|entry| {
            entry.trim(now);
            !entry.points().is_empty()
        });
        if self.series.len() == before {
            return;
        }
        self.places.clear();
        self.index.clear();
        for place in 0..self.series.len() {
            let labels = self.series[place].labels.clone();
            self.note(&labels, u32::try_from(place).unwrap_or(u32::MAX));
        }
    }

    /// The series that all matchers match. A regular expression is tried on each value of its label, and not on each
    /// series.
    pub(super) fn matching<'a>(&'a self, matchers: &[&Matcher]) -> Vec<&'a Entry> {
        let mut matched = vec![true; self.series.len()];
        for matcher in matchers {
            // A missing label has the value "": a series is in no list then, and is as the others begin.
            let missing = matcher.matches_value("");
            let values = self.index.get(&*matcher.label).into_iter().flatten();
            let others: Vec<&Places> = values
                .filter(|(value, _)| matcher.matches_value(value) != missing)
                .map(|(_, places)| places)
                .collect();
            let count: usize = others.iter().map(|places| places.len()).sum();
            if count == if missing { 0 } else { self.series.len() } {
                continue;
            }
            let mut here = vec![missing; self.series.len()];
            for place in others.into_iter().flatten() {
                here[*place as usize] = !missing;
            }
            for (all, here) in matched.iter_mut().zip(here) {
                *all &= here;
            }
        }
        let entries = self.series.iter().zip(matched);
        entries
            .filter_map(|(entry, matched)| matched.then_some(entry))
            .collect()
    }
}
