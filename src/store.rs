//! The window: the last hour of every series, in memory.
//!
//! A series belongs to whoever yields it: etcd-doctor itself, the page of one member, or one rule. What a writer yielded
//! the time before and does not yield any more ends with a stale marker, as in Prometheus, so that an instant selector
//! no longer finds it. Of etcd's own series, which are many, only those are kept that a rule selects, and only for as
//! long as that rule looks back.

mod bounds;
mod demand;
mod metric;
mod shared;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub use self::shared::{SharedStore, View};

use self::bounds::{Bounds, Dropped};
use self::demand::Demand;
use self::metric::{Entry, Metric};
use crate::model::{Batch, Labels, METRIC_NAME, PageSeries, Sample, TargetPage, Timestamp, Value, stale_nan};
use crate::promql::{Matcher, Selector, Series, Source, Window, format_bound};

/// The label `job` of etcd-doctor's own series.
const OWN_JOB: &str = "etcd-doctor";

/// The series that says of each target whether its scrape succeeded.
const UP: &str = "up";

/// How much longer than its rules look back a series is kept, so that what is evaluated a little after the newest
/// sample still has the whole range.
const MARGIN: Duration = Duration::from_secs(60);

/// Bounds of the window.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// How long etcd-doctor's own series are kept.
    pub window: Duration,
    /// The most series a cluster's window may hold; further ones are dropped and counted.
    pub max_series: usize,
    /// The label `job` of etcd's own series.
    pub etcd_job: String,
    /// The label `instance` of etcd-doctor's own series: the address that it listens on.
    pub instance: String,
}

/// The window of one cluster. One writer; readers lock it.
#[derive(Debug)]
pub struct Store {
    settings: Settings,
    /// The target labels of etcd-doctor's own series.
    own: Labels,
    demand: Demand,
    metrics: BTreeMap<Arc<str>, Metric>,
    /// Every text of a label, once.
    texts: HashSet<Arc<str>>,
    series: usize,
    /// What each writer yielded the last time.
    yielded: HashMap<Writer, Vec<Labels>>,
    /// What is taken of one member at most.
    bounds: Bounds,
    dropped: Dropped,
    late_samples: u64,
    /// The time of the last cycle.
    last: Option<Timestamp>,
}

/// Who yields a series.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Writer {
    Own,
    Verdict,
    Page { member: Arc<str>, instance: Arc<str> },
    Rule(String),
}

impl Store {
    /// An empty window. `selectors` are those of all rules: of etcd's own series it keeps only what they select, for
    /// as long as they look back.
    pub fn new(settings: Settings, selectors: &[Selector]) -> Self {
        Self {
            own: Labels::new([("job", OWN_JOB), ("instance", &settings.instance)]),
            settings,
            demand: Demand::new(selectors),
            metrics: BTreeMap::new(),
            texts: HashSet::new(),
            series: 0,
            yielded: HashMap::new(),
            bounds: Bounds::default(),
            dropped: Dropped::default(),
            late_samples: 0,
            last: None,
        }
    }

    /// Takes the selectors of other rules, as after a reload. What no rule selects any more is forgotten with the next
    /// cycle; what is selected from now on begins with it.
    pub fn reselect(&mut self, selectors: &[Selector]) {
        self.demand = Demand::new(selectors);
        let mut spans = Vec::new();
        for (writer, yielded) in &self.yielded {
            spans.extend(
                yielded
                    .iter()
                    .map(|labels| (labels.clone(), self.span(writer, labels))),
            );
        }
        for (labels, span) in spans {
            if let Some(entry) = self.entry(&labels) {
                entry.keep = span;
            }
        }
    }

    /// Begins the cycle of this time: what nobody looks back at any more is forgotten.
    pub fn advance(&mut self, at: Timestamp) {
        if self.last.is_some_and(|last| at < last) {
            // The clock was set back. Points of the future would hide all new ones until it has caught up.
            self.metrics.clear();
            self.series = 0;
            self.yielded.clear();
        }
        self.last = Some(at);
        self.forget(at);
    }

    /// Takes one cycle. Series that the same source (etcd-doctor itself, or one member's page) no longer has end with
    /// a stale marker; `up` is written for each page; what no rule looks back at any more is forgotten.
    pub fn append(&mut self, batch: &Batch) {
        let at = batch.time;
        self.advance(at);
        let own = self.own_series(&batch.samples);
        self.take(Writer::Own, at, own);
        let mut pages = HashSet::new();
        for page in &batch.pages {
            let writer = Writer::Page {
                member: page.member.clone(),
                instance: page.instance.clone(),
            };
            let series = self.page_series(&batch.cluster, page);
            self.take(writer.clone(), at, series);
            pages.insert(writer);
        }
        let gone: Vec<Writer> = self
            .yielded
            .keys()
            .filter(|writer| matches!(writer, Writer::Page { .. }) && !pages.contains(writer))
            .cloned()
            .collect();
        for writer in gone {
            self.take(writer.clone(), at, Vec::new());
            self.yielded.remove(&writer);
        }
    }

    /// Takes what the cycle says of itself and of its verdict: etcd-doctor's own series too, known only at its end.
    pub fn append_verdict(&mut self, samples: &[Sample], at: Timestamp) {
        let series = self.own_series(samples);
        self.take(Writer::Verdict, at, series);
    }

    /// How many series it holds now.
    pub fn series(&self) -> usize {
        self.series
    }

    /// How many samples were dropped because the window, or what it takes of one member, was full: by metric, since
    /// the start.
    pub fn dropped_samples(&self) -> impl Iterator<Item = (&str, u64)> {
        self.dropped.iter()
    }

    /// How many samples were ignored because their series had one of the same time or a later one, since the start.
    pub fn late_samples(&self) -> u64 {
        self.late_samples
    }

    /// etcd-doctor's own samples as series. A histogram becomes one series a bucket, and its sum and count.
    fn own_series(&self, samples: &[Sample]) -> Vec<(Labels, f64)> {
        let mut series = Vec::with_capacity(samples.len());
        for sample in samples {
            let labels = sample.labels.merged(&self.own);
            let mut add = |name: &str, labels: &Labels, value| {
                series.push((labels.named(name), value));
            };
            let name = sample.desc.name;
            match &sample.value {
                Value::Number(value) => add(name, &labels, *value),
                Value::Histogram(histogram) => {
                    for (bound, count) in &histogram.buckets {
                        let labels = labels.with("le", &format_bound(*bound));
                        add(&format!("{name}_bucket"), &labels, *count);
                    }
                    add(&format!("{name}_sum"), &labels, histogram.sum);
                    add(&format!("{name}_count"), &labels, histogram.count);
                }
            }
        }
        series
    }

    /// What rules select of a member's page, with the labels of a Prometheus that scrapes it, and `up`.
    ///
    /// There is no label `member`: rules written for etcd's own series aggregate `without (instance)`, and one more
    /// label that tells members apart would leave each of them alone in its group.
    fn page_series(&self, cluster: &str, page: &TargetPage) -> Vec<(Labels, f64)> {
        let target = Labels::new([
            ("job", &*self.settings.etcd_job),
            ("instance", &*page.instance),
            ("cluster", cluster),
        ]);
        let up = target.named(UP);
        let scraped = f64::from(u8::from(page.series.is_some()));
        let wanted = page.series.iter().flatten().filter_map(|series: &PageSeries| {
            // The name first, since relabelling costs more and most series are of no interest.
            if !self.demand.names(series.labels.metric_name()) {
                return None;
            }
            let labels = relabelled(&series.labels, &target);
            // What is held was selected before, and asking anew costs more.
            let metric = self.metrics.get(labels.metric_name());
            if metric.and_then(|metric| metric.get(&labels)).is_none() {
                self.demand.reach(&labels)?;
            }
            Some((labels, series.value))
        });
        // `up` first: when the window is full it says more than any other series.
        [(up, scraped)].into_iter().chain(wanted).collect()
    }

    /// How long a series is kept: at least for the window, unless it is one of etcd's own.
    fn span(&self, writer: &Writer, labels: &Labels) -> Duration {
        let reach = self
            .demand
            .reach(labels)
            .map_or(Duration::ZERO, |reach| reach + MARGIN);
        match writer {
            Writer::Page { .. } if labels.metric_name() != UP => reach,
            Writer::Page { .. } | Writer::Own | Writer::Verdict | Writer::Rule(_) => {
                reach.max(self.settings.window)
            }
        }
    }

    /// Appends what a writer yields at `at`, and ends what it yielded the time before and does not any more.
    fn take(&mut self, writer: Writer, at: Timestamp, series: Vec<(Labels, f64)>) {
        let mut now = Vec::with_capacity(series.len());
        let mut samples = 0;
        for (labels, value) in series {
            let full = now.len() >= self.bounds.series || samples >= self.bounds.samples;
            if full && matches!(writer, Writer::Page { .. }) {
                self.dropped.count(labels.metric_name());
                continue;
            }
            if let Some((held, points)) = self.push(&writer, labels, at, value) {
                samples += points;
                now.push(held);
            }
        }
        for labels in self.yielded.remove(&writer).unwrap_or_default() {
            if let Some(entry) = self.entry(&labels) {
                // Not taken when the series has a point of this time: then it goes on.
                entry.push(at, stale_nan());
            }
        }
        self.yielded.insert(writer, now);
    }

    /// Appends a point and gives back the labels that the window itself holds, so that each set is in memory once, and
    /// how many points the series has; none when the window is full.
    fn push(
        &mut self,
        writer: &Writer,
        labels: Labels,
        at: Timestamp,
        value: f64,
    ) -> Option<(Labels, usize)> {
        if self.entry(&labels).is_none() {
            if self.series >= self.settings.max_series {
                self.dropped.count(labels.metric_name());
                return None;
            }
            self.series += 1;
            let held = labels.shared(|text| self.text(text));
            let entry = Entry::new(held, self.span(writer, &labels));
            let name = self.text(&Arc::from(labels.metric_name()));
            self.metrics.entry(name).or_default().insert(entry);
        }
        let entry = self.entry(&labels)?;
        let taken = entry.push(at, value);
        let held = (entry.labels.clone(), entry.points().len());
        if !taken {
            self.late_samples += 1;
        }
        Some(held)
    }

    fn text(&mut self, text: &Arc<str>) -> Arc<str> {
        if let Some(held) = self.texts.get(text) {
            return Arc::clone(held);
        }
        self.texts.insert(Arc::clone(text));
        Arc::clone(text)
    }

    fn entry(&mut self, labels: &Labels) -> Option<&mut Entry> {
        self.metrics.get_mut(labels.metric_name())?.get_mut(labels)
    }

    /// Drops what is older than its series is kept, and series without any point left.
    fn forget(&mut self, now: Timestamp) {
        let before = self.series;
        for metric in self.metrics.values_mut() {
            metric.forget(now);
        }
        self.metrics.retain(|_, metric| metric.len() > 0);
        self.series = self.metrics.values().map(Metric::len).sum();
        if self.series < before {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
        }
    }

    fn matching<'a>(&'a self, matchers: &'a [Matcher]) -> impl Iterator<Item = &'a Entry> {
        let (named, others): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| matcher.label == METRIC_NAME);
        let literal = named.iter().find_map(|matcher| matcher.literal_metric());
        let metrics: Vec<(&Arc<str>, &Metric)> = match literal {
            Some(name) => self.metrics.get_key_value(name).into_iter().collect(),
            None => self.metrics.iter().collect(),
        };
        metrics
            .into_iter()
            .filter(move |(name, _)| named.iter().all(|matcher| matcher.matches_value(name)))
            .flat_map(move |(_, metric)| metric.matching(&others))
    }
}

/// A page's labels with those of its target. As in Prometheus without `honor_labels`, a label of the page that is named
/// like one of the target becomes `exported_…`.
fn relabelled(page: &Labels, target: &Labels) -> Labels {
    let clashes = |name: &str| !target.get(name).is_empty();
    if !page.iter().any(|(name, _)| clashes(name)) {
        return page.merged(target);
    }
    let pairs = page.iter().map(|(name, value)| {
        let mut name = name.to_owned();
        if clashes(&name) {
            name = format!("exported_{name}");
            while !page.get(&name).is_empty() {
                name = format!("exported_{name}");
            }
        }
        (name, value)
    });
    Labels::new(pairs).merged(target)
}

impl Source for Store {
    fn select(&self, matchers: &[Matcher], after: Timestamp, through: Timestamp) -> Vec<Series> {
        let found = self.matching(matchers).filter_map(|entry| {
            let points = entry.between(after, through);
            (!points.is_empty()).then(|| Series {
                labels: entry.labels.clone(),
                points,
            })
        });
        found.collect()
    }
}

impl Window for Store {
    fn record(&mut self, writer: &str, at: Timestamp, series: Vec<(Labels, f64)>) {
        self.take(Writer::Rule(writer.to_owned()), at, series);
    }
}

#[cfg(test)]
mod tests;
