//! What the rules cannot see, why, and how to mend it. "Cannot see" is never "fine".

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Coverage, Gap};
use crate::model::{Batch, Desc, Kind, Outcome, Verdict, is_stale};
use crate::promql::{Matcher, Point, Selector, Source};
use crate::rules::{AlertingRule, RuleReport};

/// Where metrics come from.
pub struct Provider {
    /// The collector that yields them, or those from whose readings they are worked out.
    pub collectors: Vec<&'static str>,
    /// Its metrics.
    pub descs: &'static [&'static Desc],
    /// Whether it reads the host that it runs on, and so only the members there.
    pub host: bool,
}

/// A rule as coverage looks at it.
pub(super) struct Judged<'a> {
    pub(super) rule: &'a AlertingRule,
    pub(super) report: Option<&'a RuleReport>,
    /// What it needs of history, over recording rules.
    pub(super) history: Vec<Selector>,
}

/// How far back a series may lie and still count as there: Prometheus' own look-back.
const FRESH: Duration = Duration::from_secs(300);

/// Looks at every alerting rule and lists what each lacks.
pub(super) fn survey(
    rules: &[Judged<'_>],
    providers: &[Provider],
    batch: &Batch,
    source: &dyn Source,
    watched_for: Duration,
) -> Coverage {
    let mut coverage = Coverage {
        rules: rules.len(),
        watched_for,
        ..Coverage::default()
    };
    for judged in rules {
        let gaps = gaps_of(judged, providers, batch, source, watched_for);
        if gaps.is_empty() {
            coverage.evaluated += 1;
        }
        for gap in gaps {
            // Two rules of one name (two severities) lack the same things; that is worth saying once.
            if !coverage.gaps.contains(&gap) {
                coverage.gaps.push(gap);
            }
        }
    }
    coverage
}

fn gaps_of(
    judged: &Judged<'_>,
    providers: &[Provider],
    batch: &Batch,
    source: &dyn Source,
    watched_for: Duration,
) -> Vec<Gap> {
    let alert = &judged.rule.alert;
    if let Some(error) = judged.report.and_then(|report| report.error.as_ref()) {
        return vec![Gap {
            alert: alert.clone(),
            reason: format!("its expression could not be evaluated: {error}"),
            fix: "mend the rule; `etcd-doctor rules check` names the place".to_owned(),
            blind: true,
            applies: true,
            looks_back: None,
        }];
    }
    let selectors = judged.rule.query.selectors();
    let mut gaps = Vec::new();
    for selector in &selectors {
        for gap in lacking(selector, alert, providers, batch, source) {
            if !gaps.contains(&gap) {
                gaps.push(gap);
            }
        }
    }
    if gaps.is_empty() {
        gaps.extend(still_filling(&judged.history, providers, alert, watched_for));
    }
    gaps
}

/// Why a selector finds nothing, for the whole cluster or for single members.
fn lacking(
    selector: &Selector,
    alert: &str,
    providers: &[Provider],
    batch: &Batch,
    source: &dyn Source,
) -> Vec<Gap> {
    let Some(metric) = selector.metric.as_deref() else {
        return Vec::new();
    };
    let found = source.select(&selector.matchers, batch.time.minus(FRESH), batch.time);
    let fresh = |point: &Point| point.time == batch.time && !is_stale(point.value);
    let seen: BTreeSet<&str> = found
        .iter()
        .filter(|series| series.points.last().is_some_and(fresh))
        .map(|series| series.labels.get("member"))
        .collect();
    let Some((provider, desc)) = provider_of(metric, providers) else {
        // A metric of the user's own rules: etcd's, another rule's, or one that nothing yields.
        return if found.is_empty() && !metric.starts_with("ALERTS") {
            vec![unknown(alert, metric)]
        } else {
            Vec::new()
        };
    };

    let outcomes: Vec<&Outcome> = batch
        .outcomes
        .iter()
        .filter(|outcome| provider.collectors.contains(&outcome.collector))
        .collect();
    let failures: Vec<Failed> = outcomes
        .iter()
        .filter(|outcome| {
            let member = outcome.member.as_deref();
            member.is_none_or(|member| !seen.contains(member))
        })
        .filter_map(|outcome| {
            let (reason, fix, applies) = match &outcome.verdict {
                Verdict::Read | Verdict::Nothing(_) => return None,
                Verdict::NotApplicable(reason) => (reason.clone(), String::new(), false),
                Verdict::Failed(error) => (error.message.clone(), error.fix.clone(), true),
            };
            Some(Failed {
                member: outcome.member.clone(),
                reason,
                fix,
                applies,
            })
        })
        .collect();

    let blind = seen.is_empty();
    if failures.is_empty() && provider.host && !blind && !seen.contains("") {
        return elsewhere(alert, &seen, batch).into_iter().collect();
    }
    if failures.is_empty() {
        let nothing = |outcome: &&Outcome| matches!(outcome.verdict, Verdict::Nothing(_));
        if !blind
            || desc.sparse
            || outcomes.iter().any(nothing)
            || batch.facts.members.iter().all(|member| !member.reachable)
        {
            return Vec::new();
        }
        // That a matcher fits no series is a finding; that the metric is there is what it takes to see.
        let named = source.select(&[Matcher::metric(metric)], batch.time.minus(FRESH), batch.time);
        if named.iter().any(|series| series.points.last().is_some_and(fresh)) {
            return Vec::new();
        }
        return vec![Gap {
            blind,
            ..unknown(alert, metric)
        }];
    }
    // A last word of old is no sight: when no member answers, rules about members are blind.
    let blind = blind || batch.facts.members.iter().all(|member| !member.reachable);
    // The words that tell why a member is down stand beside it already, and they are many.
    let (down, other): (Vec<Failed>, Vec<Failed>) =
        failures.into_iter().partition(|failed| failed.is_down(batch));
    let gap = |reason, fix, applies| Gap {
        alert: alert.to_owned(),
        reason,
        fix,
        blind,
        applies,
        looks_back: None,
    };
    let mut gaps: Vec<Gap> = other
        .into_iter()
        .map(|failed| gap(failed.in_words(), failed.fix, failed.applies))
        .collect();
    // A series of the cluster as a whole is about those that are down, too, and lacks nothing for want of them.
    let of_cluster = seen.contains("");
    if !down.is_empty() && !of_cluster {
        let fixes: BTreeSet<&str> = down.iter().map(|failed| &*failed.fix).collect();
        let fixes: Vec<&str> = fixes.into_iter().filter(|fix| !fix.is_empty()).collect();
        gaps.push(gap(do_not_answer(batch, &down), fixes.join("; "), true));
    }
    gaps
}

/// A collector that did not yield what a rule needs.
struct Failed {
    member: Option<Arc<str>>,
    reason: String,
    fix: String,
    /// Whether it is a failure, and not a collector that does not apply here.
    applies: bool,
}

impl Failed {
    fn in_words(&self) -> String {
        match &self.member {
            Some(member) => format!("{member}: {}", self.reason),
            None => self.reason.clone(),
        }
    }

    /// Whether that is because the member does not answer at all, or, of what is asked of the cluster, none does.
    fn is_down(&self, batch: &Batch) -> bool {
        let mut members = batch.facts.members.iter();
        match &self.member {
            Some(name) => members.any(|member| member.name == *name && !member.reachable),
            None => {
                members.all(|member| !member.reachable)
                    && batch
                        .facts
                        .members
                        .iter()
                        .any(|member| member.unreachable_because == self.reason)
            }
        }
    }
}

fn do_not_answer(batch: &Batch, down: &[Failed]) -> String {
    if batch.facts.members.iter().all(|member| !member.reachable) {
        return "no member answers".to_owned();
    }
    let names: BTreeSet<&str> = down
        .iter()
        .filter_map(|failed| failed.member.as_deref())
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    match names.as_slice() {
        [] => "no member answers".to_owned(),
        [one] => format!("{one} does not answer"),
        [first @ .., last] => format!("{} and {last} do not answer", first.join(", ")),
    }
}

/// The members that run on other hosts, of whose host nothing can be read from here.
fn elsewhere(alert: &str, seen: &BTreeSet<&str>, batch: &Batch) -> Option<Gap> {
    let members = batch
        .facts
        .members
        .iter()
        .filter(|member| member.reachable && !seen.contains(&*member.name));
    let names: Vec<&str> = members.map(|member| &*member.name).collect();
    (!names.is_empty()).then(|| Gap {
        alert: alert.to_owned(),
        reason: format!("not on this host: {}", names.join(", ")),
        fix: "run etcd-doctor on their hosts as well".to_owned(),
        blind: false,
        applies: true,
        looks_back: None,
    })
}

/// A window that is shorter than what the rule looks at. The rule judges by what there is.
fn still_filling(
    selectors: &[Selector],
    providers: &[Provider],
    alert: &str,
    watched_for: Duration,
) -> Option<Gap> {
    // What has been looked at once has no rate yet.
    let lacks_rate = |selector: &&Selector| {
        watched_for.is_zero()
            && selector.is_range
            && selector
                .metric
                .as_deref()
                .is_some_and(|metric| counts(metric, providers))
    };
    // An instant selector's reach is the look-back, which says nothing about how much history the rule wants.
    let lacks_history = |selector: &&Selector| selector.reach > FRESH.max(watched_for);
    let lacking = selectors
        .iter()
        .filter(|selector| lacks_rate(selector) || lacks_history(selector));
    let reach = lacking.map(|selector| selector.reach).max()?;
    Some(Gap {
        alert: alert.to_owned(),
        reason: format!(
            "warming up: looks back {} and has seen {}",
            in_words(reach),
            in_words(watched_for)
        ),
        fix: format!(
            "the window fills by itself in {}",
            in_words(reach.saturating_sub(watched_for))
        ),
        blind: false,
        applies: true,
        looks_back: Some(reach),
    })
}

/// Whether a metric only grows, so that a rule judges by its rate.
fn counts(metric: &str, providers: &[Provider]) -> bool {
    let descs = providers.iter().flat_map(|provider| provider.descs);
    descs
        .filter(|desc| metric.starts_with(desc.name))
        .any(|desc| desc.kind != Kind::Gauge)
}

fn provider_of<'a>(metric: &str, providers: &'a [Provider]) -> Option<(&'a Provider, &'static Desc)> {
    let base = |name: &str| {
        ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).map(str::to_owned))
    };
    let of_histogram = base(metric);
    let is = |desc: &&&'static Desc| desc.name == metric || of_histogram.as_deref() == Some(desc.name);
    providers
        .iter()
        .find_map(|provider| Some((provider, *provider.descs.iter().find(is)?)))
}

fn unknown(alert: &str, metric: &str) -> Gap {
    Gap {
        alert: alert.to_owned(),
        reason: format!("there is no series {metric}"),
        fix: String::new(),
        blind: true,
        applies: true,
        looks_back: None,
    }
}

/// A duration in the largest unit that leaves no long fraction: `45 s`, `12 min`, `4 h`, `3 h 50 min`.
fn in_words(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds if seconds / 60 % 60 == 0 => format!("{} h", seconds / 3600),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests;
