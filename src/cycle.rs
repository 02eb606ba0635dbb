//! One cycle of one cluster: collect, remember, evaluate, diagnose, publish. One writer, many readers.

mod changes;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::bundle::Recording;
use crate::client::Connection;
use crate::collect::{self, COLLECTORS, Collection, DERIVATIONS, Scope};
use crate::diagnosis::{self, Diagnosis, Inputs, Problem, Provider, Status};
use crate::model::{Access, Batch, Desc, Labels, Outcome, Sample, Timestamp, Verdict};
use crate::promql::Patience;
use crate::rules::{Environment, Evaluator, RuleReport, RuleSet};
use crate::snapshot::Snapshot;
use crate::store::{self, SharedStore, Store};
use changes::Changes;
use state::StateFile;

/// The part of the interval between cycles that one rule may take: nobody can query the window meanwhile, and the rules after
/// it wait. The shipped ones take a millisecond together.
const RULE_SHARE: u32 = 10;

/// The part of the interval that all rules together may take before those wait that never ended in time.
const RULES_SHARE: u32 = 2;

/// What a rule, and all of them, may take where that part is shorter: a busy machine stops any process for longer than some
/// milliseconds.
const LEAST_RULE_TIME: Duration = Duration::from_millis(250);

static CYCLE_DURATION: Desc = Desc::gauge(
    "etcd_doctor_cycle_duration_seconds",
    Some("seconds"),
    "How long the cluster's last cycle took, from the first call to a member to the diagnosis.",
);
static CYCLES: Desc = Desc::counter(
    "etcd_doctor_cycles_total",
    None,
    "Cycles of the cluster since etcd-doctor began to watch it, the last one included.",
);
static CYCLES_MISSED: Desc = Desc::counter(
    "etcd_doctor_cycles_missed_total",
    None,
    "Cycles of the cluster that were due while an earlier one was still running, and were left out.",
);
static WINDOW_SERIES: Desc = Desc::gauge(
    "etcd_doctor_window_series",
    None,
    "Series in the cluster's window in memory.",
);
static WINDOW_DROPPED: Desc = Desc::counter(
    "etcd_doctor_window_dropped_samples_total",
    None,
    "Samples that the window did not take because it, or what it holds of one member, was as large as it may be; absent \
     while none were dropped.",
)
.labels(&["metric"]);
static WINDOW_LATE: Desc = Desc::counter(
    "etcd_doctor_window_late_samples_total",
    None,
    "Samples that the window did not take because their series had one of the same time or a later one.",
);
static RULE_FAILURES: Desc = Desc::counter(
    "etcd_doctor_rule_evaluation_failures_total",
    None,
    "Evaluations of the rule that failed; absent while none did.",
)
.labels(&["rule"]);
static CLUSTER_STATUS: Desc = Desc::gauge(
    "etcd_doctor_cluster_status",
    None,
    "The verdict: 1 for the cluster's present status, 0 for the others.",
)
.labels(&["status"]);
static PROBLEM: Desc = Desc::gauge(
    "etcd_doctor_problem",
    None,
    "1 for each alert that fires, symptoms included; the series ends when the alert does. Without the label member for an \
     alert about the whole cluster.",
)
.labels(&["alert", "severity", "category", "member"]);

/// Metrics of the cycle itself and of the verdict.
pub const DESCS: &[&Desc] = &[
    &CYCLE_DURATION,
    &CYCLES,
    &CYCLES_MISSED,
    &WINDOW_SERIES,
    &WINDOW_DROPPED,
    &WINDOW_LATE,
    &RULE_FAILURES,
    &CLUSTER_STATUS,
    &PROBLEM,
];

/// What a cycle needs to know.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// How its members are reached.
    pub connection: Connection,
    /// The collectors' settings.
    pub collect: collect::Settings,
    /// The window's bounds.
    pub store: store::Settings,
    /// `$externalLabels` in templates of rules.
    pub external_labels: Labels,
    /// `$externalURL` in templates of rules.
    pub external_url: String,
    /// The folder with the files in which alerts outlive a restart.
    pub state_dir: Option<PathBuf>,
}

/// The state of one cluster between cycles. It is the only writer of its window.
pub struct Cycle {
    cluster: Arc<str>,
    collection: Collection,
    access: Access,
    store: SharedStore,
    evaluator: Evaluator,
    /// How long a rule, and the evidence of one, may take.
    patience: Patience,
    interval: Duration,
    state_dir: Option<PathBuf>,
    started: Option<Timestamp>,
    ends_after: Option<Duration>,
    count: u64,
    missed: u64,
    rule_failures: BTreeMap<String, u64>,
    changes: Changes,
}

impl Cycle {
    /// Prepares the cycles of one cluster, one at each interval. Does no I/O.
    ///
    /// # Errors
    /// When an endpoint is none.
    pub fn new(settings: Settings, rules: Arc<RuleSet>, interval: Duration) -> anyhow::Result<Self> {
        let patience = patience(interval / RULE_SHARE);
        let collect = collect::Settings {
            page_metrics: page_metrics(&rules),
            ..settings.collect
        };
        let collection = Collection::new(&settings.cluster, &settings.connection, collect)
            .map_err(|reason| anyhow::anyhow!(reason))?;
        Ok(Self {
            store: SharedStore::new(Store::new(settings.store, rules.selectors())),
            access: settings.connection.access(),
            collection,
            cluster: settings.cluster,
            evaluator: Evaluator::with_environment(
                rules,
                Environment {
                    patience: patience.clone(),
                    together: self::patience(interval / RULES_SHARE),
                    external_labels: settings.external_labels,
                    external_url: settings.external_url,
                    ..Environment::default()
                },
            ),
            patience,
            interval,
            state_dir: settings.state_dir,
            started: None,
            ends_after: None,
            count: 0,
            missed: 0,
            rule_failures: BTreeMap::new(),
            changes: Changes::default(),
        })
    }

    /// The window, for readers.
    pub fn window(&self) -> SharedStore {
        self.store.clone()
    }

    /// Tells that watching ends so long after the first cycle: what would need longer to fire is then judged before.
    #[must_use]
    pub fn ending_after(self, window: Duration) -> Self {
        Self {
            ends_after: Some(window),
            ..self
        }
    }

    /// Takes new rules; the state of alerts whose rule stays the same is kept.
    pub fn reload(&mut self, rules: Arc<RuleSet>) {
        self.store.write().reselect(rules.selectors());
        self.collection.keep_page_metrics(page_metrics(&rules));
        self.evaluator.reload(rules);
    }

    /// Runs one cycle at `now`.
    pub async fn run_once(&mut self, now: Timestamp) -> Snapshot {
        let begun = Instant::now();
        let mut batch = self.collection.cycle(now).await;
        batch.facts.access.clone_from(&self.access);
        note_latencies(&mut batch);
        self.judge(batch, now, begun)
    }

    /// Takes what was collected at `now`, evaluates the rules and diagnoses: all of it under one lock, so that readers
    /// of the window find whole cycles. Nothing in it waits.
    fn judge(&mut self, batch: Batch, now: Timestamp, begun: Instant) -> Snapshot {
        let shared = self.store.clone();
        let mut store = shared.write();
        store.append(&batch);
        let reports = self.evaluator.evaluate(&mut *store, now);
        let rules = self.evaluator.rules().clone();
        self.count_failures(&rules, &reports);
        let providers = providers();
        let diagnosis = diagnosis::diagnose(&Inputs {
            rules: &rules,
            reports: &reports,
            batch: &batch,
            source: &*store,
            patience: &self.patience,
            providers: &providers,
            watched_for: now.since(*self.started.get_or_insert(now)),
            ends_after: self.ends_after,
        });
        self.changes.log(&batch.outcomes, &diagnosis);
        self.count += 1;
        let took = begun.elapsed();
        let verdict = self.verdict(&diagnosis, &store, took);
        store.append_verdict(&verdict, now);
        let samples = batch.samples.into_iter().chain(verdict).collect();
        Snapshot {
            cluster: self.cluster.clone(),
            time: now,
            took,
            cycle: self.count,
            samples,
            diagnosis,
            reports,
            rules,
            outcomes: batch.outcomes,
            afterwards: DESCS,
        }
    }

    /// What the cycle was judged by that gave this snapshot, to be judged again elsewhere.
    pub fn recording(&self, last: &Snapshot) -> Recording {
        Recording::of(last, self.ends_after, &*self.store.read())
    }

    /// Runs a cycle at every interval and publishes what it finds, until the task is dropped.
    pub async fn run(
        mut self,
        mut rules: watch::Receiver<Arc<RuleSet>>,
        publish: watch::Sender<Option<Arc<Snapshot>>>,
    ) {
        let interval = self.interval;
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut last = None;
        let folder = self.state_dir.take();
        let mut state = folder.map(|folder| StateFile::new(&folder, self.cluster.clone()));
        if let Some(state) = &state
            && let Some(remembered) = state.read(now()).await
        {
            self.evaluator.restore(remembered, now());
        }
        loop {
            let due = ticks.tick().await;
            self.missed += last.map_or(0, |last| missed_between(last, due, interval));
            last = Some(due);
            if rules.has_changed().unwrap_or(false) {
                let rules = rules.borrow_and_update().clone();
                self.reload(rules);
            }
            let snapshot = self.run_once(now()).await;
            let time = snapshot.time;
            publish.send_replace(Some(Arc::new(snapshot)));
            if let Some(state) = &mut state {
                state.write(self.evaluator.remember(time), time).await;
            }
        }
    }

    fn count_failures(&mut self, rules: &RuleSet, reports: &[RuleReport]) {
        for report in reports.iter().filter(|report| report.error.is_some()) {
            let Some(rule) = rules.rule(report.rule) else {
                continue;
            };
            *self.rule_failures.entry(rule.name().to_owned()).or_default() += 1;
        }
    }

    fn verdict(&self, diagnosis: &Diagnosis, store: &Store, took: Duration) -> Vec<Sample> {
        let labels = Labels::new([("cluster", &*self.cluster)]);
        let number = |desc, value| Sample::number(desc, labels.clone(), value);
        let mut samples = vec![
            number(&CYCLE_DURATION, took.as_secs_f64()),
            number(&CYCLES, self.count as f64),
            number(&CYCLES_MISSED, self.missed as f64),
            number(&WINDOW_SERIES, store.series() as f64),
            number(&WINDOW_LATE, store.late_samples() as f64),
        ];
        samples.extend(store.dropped_samples().map(|(metric, dropped)| {
            Sample::number(&WINDOW_DROPPED, labels.with("metric", metric), dropped as f64)
        }));
        samples.extend(self.rule_failures.iter().map(|(rule, failures)| {
            Sample::number(&RULE_FAILURES, labels.with("rule", rule), *failures as f64)
        }));
        samples.extend(
            [Status::Pass, Status::Warn, Status::Fail, Status::Unknown].map(|status| {
                let is = if diagnosis.status == status { 1.0 } else { 0.0 };
                Sample::number(&CLUSTER_STATUS, labels.with("status", status.as_str()), is)
            }),
        );
        let mut firing = Vec::new();
        firing_problems(&diagnosis.problems, &labels, &mut firing);
        // Two alerts may differ only in a label that this metric does not carry.
        firing.sort();
        firing.dedup();
        samples.extend(
            firing
                .into_iter()
                .map(|labels| Sample::number(&PROBLEM, labels, 1.0)),
        );
        samples
    }
}

/// Each member's latency: how long its answer to `Maintenance.Status` took.
fn note_latencies(batch: &mut Batch) {
    for member in &mut batch.facts.members {
        let of_member = |outcome: &&Outcome| {
            outcome.collector == "status" && outcome.member.as_ref() == Some(&member.name)
        };
        let status = batch.outcomes.iter().find(of_member);
        let read = status.filter(|outcome| matches!(outcome.verdict, Verdict::Read));
        // Whole microseconds: more is noise, and a bundle keeps no more.
        let micros = read.and_then(|outcome| u64::try_from(outcome.duration.as_micros()).ok());
        member.latency = micros.map(Duration::from_micros);
    }
}

/// So much time, and not too little, of which this thread has had as much to compute: where others keep the CPU busy, a rule
/// that is quick is not given up.
fn patience(share: Duration) -> Patience {
    let share = share.max(LEAST_RULE_TIME);
    Patience::new(move || {
        let (end, busy) = (Instant::now() + share, cpu_time() + share);
        // The clock is cheap to look at, and the CPU time is not.
        Box::new(move || Instant::now() >= end && cpu_time() >= busy)
    })
}

/// How long this thread has computed.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(time.tv_sec.unsigned_abs(), nanos)
}

/// The clock. The only place where the time of a cycle is read.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// The metrics of etcd's own pages that rules select; all of them when a selector gives no literal name.
fn page_metrics(rules: &RuleSet) -> Option<Arc<BTreeSet<String>>> {
    let names = rules.selectors().iter().map(|selector| selector.metric.clone());
    names.collect::<Option<BTreeSet<String>>>().map(Arc::new)
}

/// Where each metric comes from, for the coverage of rules.
pub fn providers() -> Vec<Provider> {
    let collected = COLLECTORS.iter().map(|spec| Provider {
        collectors: vec![spec.name],
        descs: spec.descs,
        host: spec.scope == Scope::Host,
    });
    let on_host = |name: &&str| {
        let mut specs = COLLECTORS.iter();
        specs.any(|spec| spec.name == *name && spec.scope == Scope::Host)
    };
    let derived = DERIVATIONS.iter().map(|derivation| Provider {
        collectors: derivation.from.iter().copied().chain([derivation.name]).collect(),
        descs: derivation.descs,
        host: !derivation.from.is_empty() && derivation.from.iter().all(on_host),
    });
    collected.chain(derived).collect()
}

fn firing_problems(problems: &[Problem], labels: &Labels, firing: &mut Vec<Labels>) {
    for problem in problems {
        if problem.firing {
            let named = labels
                .with("alert", &problem.alert)
                .with("severity", problem.severity.as_str());
            let member = problem.member.as_deref().unwrap_or_default();
            firing.push(named.with("category", &problem.category).with("member", member));
        }
        firing_problems(&problem.explains, labels, firing);
    }
}

fn missed_between(last: Instant, due: Instant, interval: Duration) -> u64 {
    let passed = due.duration_since(last).as_millis();
    let cycles = passed.checked_div(interval.as_millis()).unwrap_or(1);
    u64::try_from(cycles.saturating_sub(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules;

    #[test]
    fn a_slow_rule_is_given_up_and_the_others_are_not() {
        // Some seconds of work on any machine, and fewer samples than a rule may make.
        let slow = r#"max_over_time((count_over_time(vector(1)[400s:1s]) > bool 0)[10000s:1s])"#;
        let file = format!(
            "groups: [{{name: g, rules: [{{alert: Slow, expr: '{slow}'}}, {{alert: A, expr: '1'}}]}}]"
        );
        let rules = RuleSet::new(rules::load("slow.yaml", &file).unwrap());
        let environment = Environment {
            patience: patience(Duration::from_secs(1)),
            ..Environment::default()
        };
        let mut store = Store::new(
            store::Settings {
                window: Duration::from_secs(60),
                max_series: 10,
                etcd_job: "etcd".to_owned(),
                instance: "doctor:9379".to_owned(),
            },
            &[],
        );
        let reports = Evaluator::with_environment(Arc::new(rules), environment).evaluate(&mut store, now());
        let told: Vec<_> = reports.iter().map(|report| report.error.as_deref()).collect();
        assert_eq!(told, [Some(crate::promql::TIMED_OUT), None]);
    }

    #[test]
    fn missed_cycles_are_those_between_two_that_ran() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let interval = Duration::from_secs(5);
        assert_eq!(
            [5, 6, 10, 15].map(|at| missed_between(start, after(at), interval)),
            [0, 0, 1, 2]
        );
    }
}
