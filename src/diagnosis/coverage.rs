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
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::model::{ClusterFacts, CollectError, Labels, MemberFacts, Reason};
    use crate::promql::{Matcher, Point, Series};
    use crate::rules::RuleSet;

    #[test]
    fn durations_read_as_people_say_them() {
        let words =
            [15, 119, 120, 3600, 14_400, 13_800].map(|seconds| in_words(Duration::from_secs(seconds)));
        assert_eq!(words, ["15 s", "119 s", "2 min", "60 min", "4 h", "3 h 50 min"]);
    }

    #[test]
    fn a_histograms_series_belong_to_its_collector() {
        static FSYNC: Desc = Desc::histogram("etcd_doctor_x_seconds", Some("seconds"), "x");
        static DESCS: &[&Desc] = &[&FSYNC];
        let providers = [Provider {
            collectors: vec!["metrics"],
            descs: DESCS,
            host: false,
        }];
        let of = |metric| provider_of(metric, &providers).map(|(provider, _)| provider.collectors[0]);
        assert_eq!(of("etcd_doctor_x_seconds_bucket"), Some("metrics"));
        assert_eq!(of("etcd_doctor_y_bucket"), None);
    }

    /// A window that holds one point of each series, of this cycle.
    struct Seen(Vec<Labels>);

    impl Source for Seen {
        fn select(&self, matchers: &[Matcher], _: Timestamp, to: Timestamp) -> Vec<Series> {
            let found = self
                .0
                .iter()
                .filter(|labels| matchers.iter().all(|matcher| matcher.matches(labels)));
            let point = Point { time: to, value: 1.0 };
            found
                .map(|labels| Series {
                    labels: labels.clone(),
                    points: vec![point].into(),
                })
                .collect()
        }
    }

    static SIZE: Desc = Desc::gauge("size", None, "x");
    static TOLERANCE: Desc = Desc::gauge("tolerance", None, "x");
    static ROUND_TRIPS: Desc = Desc::histogram("round_trips", None, "x").sparse();
    static WRITES: Desc = Desc::counter("writes_total", None, "x");
    static LOSSES: Desc = Desc::gauge("losses", None, "x").sparse();
    static DESCS: &[&Desc] = &[&SIZE, &TOLERANCE, &ROUND_TRIPS, &LOSSES];
    static HOST_DESCS: &[&Desc] = &[&WRITES];

    /// The gaps of a rule over a cluster of `a` and `b`, of which `status` failed on those that `failed` names.
    fn gaps(expr: &str, seen: &[(&str, &str)], down: &[&str], failed: &[&str]) -> Vec<Gap> {
        survey_of(expr, seen, down, failed, Duration::from_secs(4))
    }

    fn survey_of(
        expr: &str,
        seen: &[(&str, &str)],
        down: &[&str],
        failed: &[&str],
        watched_for: Duration,
    ) -> Vec<Gap> {
        let member = |name: &str| MemberFacts {
            name: name.into(),
            reachable: !down.contains(&name),
            ..MemberFacts::default()
        };
        let outcome = |name: &&str| Outcome {
            collector: "status",
            member: Some((*name).into()),
            duration: Duration::ZERO,
            verdict: Verdict::Failed(CollectError {
                reason: Reason::Refused,
                message: "refused".into(),
                fix: format!("mend {name}"),
            }),
        };
        let batch = Batch {
            cluster: "c".into(),
            time: Timestamp::from_millis(0),
            samples: Vec::new(),
            pages: Vec::new(),
            facts: ClusterFacts {
                members: vec![member("a"), member("b")],
                ..ClusterFacts::default()
            },
            outcomes: failed.iter().map(outcome).collect(),
        };
        let text = format!("groups: [{{name: g, rules: [{{alert: A, expr: '{expr}'}}]}}]");
        let rules = RuleSet::new(crate::rules::load("f", &text).expect("test data"));
        let judged: Vec<Judged<'_>> = rules
            .alerting()
            .map(|(_, _, rule)| Judged {
                rule,
                report: None,
                history: rules.history(&rule.query),
            })
            .collect();
        let seen = seen
            .iter()
            .map(|(metric, member)| Labels::new([("__name__", *metric), ("member", *member)]));
        let providers = [
            Provider {
                collectors: vec!["status"],
                descs: DESCS,
                host: false,
            },
            Provider {
                collectors: vec!["disk"],
                descs: HOST_DESCS,
                host: true,
            },
        ];
        survey(&judged, &providers, &batch, &Seen(seen.collect()), watched_for).gaps
    }

    fn gap(reason: &str, fix: &str, blind: bool) -> Gap {
        Gap {
            alert: "A".into(),
            reason: reason.into(),
            fix: fix.into(),
            blind,
            applies: true,
            looks_back: None,
        }
    }

    #[test]
    fn members_on_other_hosts_are_named_where_only_this_one_is_read() {
        let elsewhere = Gap {
            fix: "run etcd-doctor on their hosts as well".into(),
            ..gap("not on this host: b", "", false)
        };
        assert_eq!(
            gaps("writes_total > 1", &[("writes_total", "a")], &[], &[]),
            [elsewhere]
        );
        assert_eq!(
            gaps(
                "writes_total > 1",
                &[("writes_total", "a"), ("writes_total", "b")],
                &[],
                &[]
            ),
            []
        );
    }

    #[test]
    fn what_is_absent_for_want_of_anything_to_tell_is_no_gap() {
        assert_eq!(gaps("round_trips_sum > 1", &[], &[], &[]), []);
        let missing = gap("there is no series size", "", true);
        assert_eq!(gaps("size > 1", &[], &[], &[]), [missing]);
        assert_eq!(
            gaps("round_trips_sum > 1", &[], &[], &["a"]),
            [gap("a: refused", "mend a", true)],
            "a page that could not be read is one"
        );
    }

    #[test]
    fn one_look_gives_no_rate() {
        let both = [
            ("writes_total", "a"),
            ("writes_total", "b"),
            ("size", "a"),
            ("size", "b"),
        ];
        let at_once = |expr| survey_of(expr, &both, &[], &[], Duration::ZERO);
        let looks_back: Vec<_> = at_once("rate(writes_total[1m]) > 1")
            .iter()
            .map(|gap| gap.looks_back)
            .collect();
        assert_eq!(looks_back, [Some(Duration::from_secs(60))]);
        assert_eq!(
            at_once("max_over_time(size[1m]) > 1"),
            [],
            "of a gauge one look is enough"
        );
        assert_eq!(
            gaps("rate(writes_total[1m]) > 1", &both, &[], &[]),
            [],
            "and two looks are"
        );
    }

    #[test]
    fn a_member_that_is_down_is_no_gap_of_what_is_said_of_the_cluster() {
        assert_eq!(gaps("tolerance == 0", &[("tolerance", "")], &["b"], &["b"]), []);
        assert_eq!(
            gaps("size > 1", &[("size", "a")], &["b"], &["b"]),
            [gap("b does not answer", "mend b", false)]
        );
    }

    #[test]
    fn a_member_that_answers_and_cannot_be_read_is_named_with_the_reason() {
        assert_eq!(
            gaps("size > 1", &[("size", "a")], &[], &["b"]),
            [gap("b: refused", "mend b", false)]
        );
        assert_eq!(
            gaps("size > 1", &[], &[], &["b"]),
            [gap("b: refused", "mend b", true)]
        );
    }

    #[test]
    fn when_no_member_answers_rules_are_blind_whatever_is_left_in_the_window() {
        let both = ["a", "b"];
        let expected = [gap("no member answers", "mend a; mend b", true)];
        assert_eq!(gaps("size > 1", &[], &both, &both), expected);
        let only_b = [gap("no member answers", "mend b", true)];
        assert_eq!(gaps("size > 1", &[("size", "a")], &both, &both), only_b);
    }

    #[test]
    fn what_is_not_there_without_a_failure_blinds() {
        assert_eq!(
            gaps("other > 1", &[], &[], &[]),
            [gap("there is no series other", "", true)]
        );
        assert_eq!(
            gaps("size > 1", &[], &[], &[]),
            [gap("there is no series size", "", true)]
        );
        assert_eq!(gaps("losses > 1", &[], &[], &[]), [], "there is nothing to tell");
        assert_eq!(
            gaps("losses > 1", &[], &[], &["b"]),
            [gap("b: refused", "mend b", true)]
        );
    }

    #[test]
    fn a_window_that_fills_blinds_nothing_and_tells_how_far_back_the_rule_looks() {
        let filling = gaps("rate(size[30m]) > 1", &[("size", "a")], &[], &[]);
        let [only] = filling.as_slice() else {
            panic!("{filling:?}")
        };
        assert_eq!(
            (only.blind, only.looks_back),
            (false, Some(Duration::from_secs(1800)))
        );
    }

    #[test]
    fn a_long_window_warms_up_and_tells_the_time_left() {
        let both = [("size", "a"), ("size", "b")];
        let gaps = survey_of(
            "predict_linear(size[4h], 3600) > 1",
            &both,
            &[],
            &[],
            Duration::from_secs(600),
        );
        let [only] = gaps.as_slice() else {
            panic!("{gaps:?}")
        };
        assert_eq!(only.reason, "warming up: looks back 4 h and has seen 10 min");
        assert_eq!(only.fix, "the window fills by itself in 3 h 50 min");
    }
}
