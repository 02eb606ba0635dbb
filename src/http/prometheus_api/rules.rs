//! `rules` and `alerts`: the rules of all clusters, each rule once with the alerts of every cluster.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::response::Response;

use super::super::App;
use super::super::error::ApiError;
use super::json;
use super::limits::Seen;
use super::params::{Params, invalid, selectors};
use crate::model::{Labels, Timestamp};
use crate::promql::{Matcher, Options};
use crate::rules::{Alert, AlertState, Group, Rule, RuleReport};
use crate::snapshot::Snapshot;

/// A group with its rules, over all clusters.
struct Shown<'a> {
    group: &'a Group,
    interval: Duration,
    last: Timestamp,
    rules: Vec<ShownRule<'a>>,
}

/// A rule with how it fared in each cluster.
struct ShownRule<'a> {
    rule: &'a Rule,
    reports: Vec<&'a RuleReport>,
    last: Timestamp,
}

/// What of the rules is asked for.
struct Wanted {
    alerts: bool,
    recordings: bool,
    with_active: bool,
    names: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    selectors: Vec<Vec<Matcher>>,
}

/// Every group with its rules.
pub(crate) async fn rules(Extract(app): Extract<App>, params: Params) -> Result<Response, ApiError> {
    let wanted = Wanted::new(&app, &params).await?;
    let snapshots = snapshots(&app);
    let groups = shown(&snapshots, &wanted);
    Ok(json::success(false, |out| {
        out.push_str(r#"{"groups":"#);
        json::list(out, ['[', ']'], &groups, |out, group| {
            write_group(out, group, &wanted)
        });
        out.push('}');
    }))
}

/// Every alert that is pending or firing.
pub(crate) async fn alerts(Extract(app): Extract<App>) -> Response {
    let snapshots = snapshots(&app);
    let reports = snapshots.iter().flat_map(|(snapshot, _)| &snapshot.reports);
    json::success(false, |out| {
        out.push_str(r#"{"alerts":"#);
        json::list(out, ['[', ']'], active(reports), write_alert);
        out.push('}');
    })
}

/// The last snapshot of each cluster, with the interval of its cycles.
fn snapshots(app: &App) -> Vec<(Arc<Snapshot>, Duration)> {
    let watched = app.state.watched.borrow();
    let clusters = watched.clusters.iter();
    let last = clusters.filter_map(|cluster| Some((cluster.snapshots.borrow().clone()?, cluster.interval)));
    last.collect()
}

impl Wanted {
    async fn new(app: &App, params: &Params) -> Result<Self, ApiError> {
        let kind = params.get("type").to_lowercase();
        if !matches!(&*kind, "" | "alert" | "record") {
            return Err(invalid("type", format!("not supported value {kind:?}")));
        }
        for unknown in ["group_limit", "group_next_token"] {
            if !params.get(unknown).is_empty() {
                return Err(invalid(unknown, "etcd-doctor gives all groups at once"));
            }
        }
        let all = |name| params.all(name).map(str::to_owned).collect();
        let without_active = match params.get("exclude_alerts") {
            "" => false,
            text => parse_bool(text).ok_or_else(|| {
                invalid(
                    "exclude_alerts",
                    format!("error converting exclude_alerts: {text:?} is not a boolean"),
                )
            })?,
        };
        Ok(Self {
            alerts: kind != "record",
            recordings: kind != "alert",
            with_active: !without_active,
            names: all("rule_name[]"),
            groups: all("rule_group[]"),
            files: all("file[]"),
            selectors: match params.selectors() {
                written if written.is_empty() => Vec::new(),
                written => {
                    let read = move |_: &Seen, _: &Options| selectors(&written).map_err(ApiError::bad_data);
                    app.queries.run(&app.state, None, read).await?
                }
            },
        })
    }

    fn takes(&self, rule: &Rule) -> bool {
        let kind = match rule {
            Rule::Alerting(_) => self.alerts,
            Rule::Recording(_) => self.recordings,
        };
        let labels = rule.labels();
        let matching = |matchers: &Vec<Matcher>| matchers.iter().all(|matcher| matcher.matches(&labels));
        kind && among(&self.names, rule.name())
            && (self.selectors.is_empty() || self.selectors.iter().any(matching))
    }
}

/// Whether a name is one of those asked for, or none is asked for.
fn among(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| wanted == name)
}

/// As Go's `ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The groups that have rules to show. While a reload is under way the clusters may have different rules; what is the
/// same in both is put together.
fn shown<'a>(snapshots: &'a [(Arc<Snapshot>, Duration)], wanted: &Wanted) -> Vec<Shown<'a>> {
    let mut groups: Vec<Shown<'a>> = Vec::new();
    for (snapshot, interval) in snapshots {
        for report in &snapshot.reports {
            let Some(group) = snapshot.rules.groups.get(report.rule.0) else {
                continue;
            };
            let Some(rule) = group.rules.get(report.rule.1).filter(|rule| wanted.takes(rule)) else {
                continue;
            };
            if !among(&wanted.groups, &group.name) || !among(&wanted.files, &group.file) {
                continue;
            }
            let same =
                |shown: &Shown<'_>| (&shown.group.file, &shown.group.name) == (&group.file, &group.name);
            let place = groups.iter().position(same).unwrap_or_else(|| {
                groups.push(Shown {
                    group,
                    interval: group.interval.unwrap_or(*interval),
                    last: snapshot.time,
                    rules: Vec::new(),
                });
                groups.len() - 1
            });
            groups[place].last = groups[place].last.max(snapshot.time);
            groups[place].add(rule, report, snapshot.time);
        }
    }
    groups
}

impl<'a> Shown<'a> {
    fn add(&mut self, rule: &'a Rule, report: &'a RuleReport, time: Timestamp) {
        let same = |shown: &&mut ShownRule<'_>| {
            let alike = shown.rule.name() == rule.name()
                && shown.rule.query().text() == rule.query().text()
                && shown.rule.labels() == rule.labels();
            // The same rule twice in one cluster stays twice.
            alike
                && shown
                    .reports
                    .iter()
                    .all(|other| !std::ptr::eq(*other, report) && other.rule == report.rule)
        };
        match self.rules.iter_mut().find(same) {
            Some(shown) => {
                shown.reports.push(report);
                shown.last = shown.last.max(time);
            }
            None => self.rules.push(ShownRule {
                rule,
                reports: vec![report],
                last: time,
            }),
        }
    }
}

fn active<'a>(reports: impl IntoIterator<Item = &'a RuleReport>) -> impl Iterator<Item = &'a Alert> {
    let alerts = reports.into_iter().flat_map(|report| &report.alerts);
    alerts.filter(|alert| alert.state != AlertState::Inactive)
}

fn write_group(out: &mut String, shown: &Shown<'_>, wanted: &Wanted) {
    out.push_str(r#"{"name":"#);
    json::text(out, &shown.group.name);
    json::next(out, "file");
    json::text(out, &shown.group.file);
    json::next(out, "rules");
    json::list(out, ['[', ']'], &shown.rules, |out, rule| {
        write_rule(out, rule, wanted.with_active)
    });
    json::next(out, "interval");
    json::number(out, shown.interval.as_secs_f64());
    json::next(out, "limit");
    json::number(out, shown.group.limit.unwrap_or(0) as f64);
    json::next(out, "evaluationTime");
    json::number(out, 0.0);
    json::next(out, "lastEvaluation");
    json::text(out, &rfc_3339(shown.last));
    out.push('}');
}

fn write_rule(out: &mut String, shown: &ShownRule<'_>, with_active: bool) {
    out.push('{');
    let alerts: Vec<&Alert> = active(shown.reports.iter().copied()).collect();
    if let Rule::Alerting(_) = shown.rule {
        let states = alerts.iter().map(|alert| alert.state);
        let state = states.fold(AlertState::Inactive, |worst, state| {
            if worst == AlertState::Firing { worst } else { state }
        });
        out.push_str(r#""state":"#);
        json::text(out, state.as_str());
        out.push(',');
    }
    out.push_str(r#""name":"#);
    json::text(out, shown.rule.name());
    json::next(out, "query");
    json::text(out, &shown.rule.query().canonical());
    if let Rule::Alerting(rule) = shown.rule {
        json::next(out, "duration");
        json::number(out, rule.hold.as_secs_f64());
        json::next(out, "keepFiringFor");
        json::number(out, rule.keep_firing.as_secs_f64());
    }
    json::next(out, "labels");
    json::labels(out, &shown.rule.labels());
    if let Rule::Alerting(rule) = shown.rule {
        json::next(out, "annotations");
        let mut annotations: Vec<(&str, &str)> = rule
            .annotations
            .iter()
            .map(|(name, template)| (&**name, template.text()))
            .collect();
        annotations.sort_unstable();
        json::pairs(out, annotations);
        json::next(out, "alerts");
        json::list(
            out,
            ['[', ']'],
            alerts.into_iter().filter(|_| with_active),
            write_alert,
        );
    }
    let error = shown.reports.iter().find_map(|report| report.error.as_deref());
    json::next(out, "health");
    json::text(out, if error.is_some() { "err" } else { "ok" });
    if let Some(error) = error {
        json::next(out, "lastError");
        json::text(out, error);
    }
    json::next(out, "evaluationTime");
    json::number(out, 0.0);
    json::next(out, "lastEvaluation");
    json::text(out, &rfc_3339(shown.last));
    json::next(out, "type");
    json::text(
        out,
        if let Rule::Alerting(_) = shown.rule {
            "alerting"
        } else {
            "recording"
        },
    );
    out.push('}');
}

fn write_alert(out: &mut String, alert: &Alert) {
    out.push_str(r#"{"labels":"#);
    json::labels(out, &alert.labels);
    json::next(out, "annotations");
    let annotations: Labels = Labels::new(alert.annotations.iter().map(|(name, text)| (&**name, &**text)));
    json::labels(out, &annotations);
    json::next(out, "state");
    json::text(out, alert.state.as_str());
    json::next(out, "activeAt");
    json::text(out, &rfc_3339(alert.active_at));
    json::next(out, "value");
    out.push('"');
    json::scientific(out, alert.value);
    out.push_str("\"}");
}

/// With as many decimals as are needed, as Go's `RFC3339Nano`.
fn rfc_3339(time: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(time.millis()) {
        Ok(exact) => exact.to_string(),
        Err(_) => time.to_string(),
    }
}
