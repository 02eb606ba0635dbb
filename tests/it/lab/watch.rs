//! A cluster under watch: the doctor beside it, what it says over time, and what must be found.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::row::Row;
use super::sightings::{Alerts, Sightings, name};
use super::{mixin, seconds};
use crate::support::{Doctor, EtcdCluster, Prometheus, wait_for};

/// Longer than any rule may take here: it is for a busy machine. What it took is in the table.
const LIMIT: Duration = Duration::from_secs(300);

/// A cluster under watch.
pub(super) struct Watch<'a> {
    pub(super) doctor: Doctor,
    prometheus: Option<(Prometheus, &'static str)>,
    sightings: Sightings,
    broken: Instant,
    /// The cycle from which on silence is held, once it is.
    silent_from: Option<f64>,
    row: &'a mut Row,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        doctor: Doctor,
        prometheus: Option<(Prometheus, &'static str)>,
        row: &'a mut Row,
    ) -> Self {
        Self {
            sightings: Sightings::of(&doctor.url()),
            doctor,
            prometheus,
            broken: Instant::now(),
            silent_from: None,
            row,
        }
    }

    /// From here on the cluster is broken: the clock starts, and what was said before is forgotten.
    pub(super) fn broken(&mut self) {
        self.sightings.forget();
        self.broken = Instant::now();
        self.silent_from = None;
    }

    /// Waits until this alert, on this member where one is named, fires and is ranked first; gives that report.
    pub(super) async fn found(&mut self, alert: &str, member: Option<&str>) -> Value {
        self.found_within(alert, member, LIMIT).await
    }

    /// The same of a rule that looks further back.
    pub(super) async fn found_within(&mut self, alert: &str, member: Option<&str>, limit: Duration) -> Value {
        let expected = match member {
            Some(member) => format!("{alert}/{member}"),
            None => alert.to_owned(),
        };
        self.row.expected.clone_from(&expected);
        let is = |problem: &Value| problem["state"] == "firing" && is(problem, alert, member);
        let found = self
            .doctor
            .diagnosis_when(&format!("{expected} ranked first"), limit, |diagnosis| {
                problems(diagnosis).first().is_some_and(is)
            })
            .await;
        self.keep(&found, alert, member).await;
        found
    }

    /// Waits until this alert fires at any rank of the top, as a remark may that stands behind others.
    pub(super) async fn remarked(&mut self, alert: &str, member: Option<&str>) -> Value {
        let expected = match member {
            Some(member) => format!("{alert}/{member}"),
            None => alert.to_owned(),
        };
        self.row.expected.clone_from(&expected);
        let is = |problem: &Value| problem["state"] == "firing" && is(problem, alert, member);
        let found = self
            .doctor
            .diagnosis_when(&expected, LIMIT, |diagnosis| problems(diagnosis).iter().any(is))
            .await;
        self.keep(&found, alert, member).await;
        let problems = problems(&found);
        let rank = problems.iter().position(is).map_or(0, |at| at + 1);
        self.row.first = match rank {
            1 => expected,
            _ => format!("{} ({expected} is {rank} of {})", self.row.first, problems.len()),
        };
        found
    }

    /// Notes down a report in which an alert was found.
    async fn keep(&mut self, found: &Value, alert: &str, member: Option<&str>) {
        self.save_bundle().await;
        let problems = problems(found);
        self.row.first = name(&problems[0]);
        self.row.beneath = beneath_first(found).iter().map(shown).collect();
        self.row.beside = problems[1..].iter().map(shown).collect();
        let seen = self.sightings.so_far();
        let first = |at: fn(&super::sightings::Seen) -> Option<Instant>| {
            let of = seen.iter().filter(|(key, _)| key_is(key, alert, member));
            let times = of.filter_map(|(_, seen)| at(seen));
            times
                .min()
                .map(|time| time.saturating_duration_since(self.broken))
        };
        // The poll may come later than the report that was just read.
        self.row.firing = Some(first(|seen| seen.firing).unwrap_or_else(|| self.broken.elapsed()));
        self.row.pending = first(|seen| seen.pending).or(self.row.firing);
        if let Some((prometheus, alert)) = &self.prometheus {
            self.row.mixin = mixin::detection(prometheus, alert, self.broken).await;
        }
    }

    /// Keeps all that was seen so far where `LAB_BUNDLES` says, if it does: see `tests/it/replay.rs`.
    async fn save_bundle(&self) {
        let Some(folder) = std::env::var_os("LAB_BUNDLES") else {
            return;
        };
        let name = format!("{}-{}.bundle", self.row.fault, self.row.release());
        let bundle = self.doctor.get("/api/v1/bundle").await.bytes;
        std::fs::write(std::path::Path::new(&folder).join(name), bundle).expect("LAB_BUNDLES is a folder");
    }

    /// Holds that the first problem of a report says this of its cause, in its one line.
    pub(super) fn named(&self, found: &Value, cause: &str) {
        let summary = problems(found)[0]["summary"].to_string();
        assert!(summary.contains(cause), "{cause:?} is not in {summary}");
    }

    /// Types every command of the first problem that etcdctl runs, as it stands there. Each must succeed.
    pub(super) async fn type_remedy(&mut self, cluster: &EtcdCluster) {
        let diagnosis = self.doctor.diagnosis().await;
        self.type_in(cluster, problems(&diagnosis).first()).await;
    }

    /// The same of a problem that stands behind others.
    pub(super) async fn type_remedy_of(&mut self, alert: &str, cluster: &EtcdCluster) {
        let diagnosis = self.doctor.diagnosis().await;
        let problems = problems(&diagnosis);
        let problem = problems.iter().find(|problem| is(problem, alert, None));
        self.type_in(cluster, problem).await;
    }

    async fn type_in(&mut self, cluster: &EtcdCluster, problem: Option<&Value>) {
        let commands = problem.and_then(|problem| problem["commands"].as_array());
        let commands: Vec<&str> = commands.into_iter().flatten().filter_map(Value::as_str).collect();
        let ours = commands.iter().filter(|command| command.contains("etcdctl "));
        let mut typed = 0;
        for command in ours {
            cluster.shell(command).await.unwrap();
            typed += 1;
        }
        assert!(typed > 0, "the remedy has no command for etcdctl: {commands:?}");
        self.row.remedy = format!(
            "typed in ({typed} {})",
            if typed == 1 { "command" } else { "commands" }
        );
    }

    /// What the remedy says that no command of etcdctl does, and the test did: in words.
    pub(super) fn mended_by(&mut self, how: &str) {
        self.row.remedy = how.to_owned();
    }

    /// Waits until an alert is neither pending nor firing any more, on any member.
    pub(super) async fn gone(&mut self, alert: &str) {
        self.doctor
            .diagnosis_when(&format!("no {alert}"), LIMIT, |diagnosis| {
                !crate::support::problems(diagnosis)
                    .iter()
                    .any(|key| key_is(key, alert, None))
            })
            .await;
        if !self.row.remedy.is_empty() && !self.row.remedy.ends_with("gone") {
            self.row.remedy += ", gone";
        }
    }

    /// That none of these fired since the cluster was broken: what it looks like, and is not.
    pub(super) fn never_fired(&self, alerts: &[&str]) {
        let seen = self.sightings.so_far();
        let fired = |alert: &&&str| {
            seen.iter()
                .any(|(key, seen)| key_is(key, alert, None) && seen.firing.is_some())
        };
        let fired: Vec<&&str> = alerts.iter().filter(fired).collect();
        assert!(fired.is_empty(), "{fired:?} fired, of {seen:#?}");
    }

    /// Waits, and holds that nothing above `info` fires at any cycle meanwhile, nor did since the clock started.
    pub(super) async fn silent_for(&mut self, time: Duration) {
        let started = Instant::now();
        let from = match self.silent_from {
            Some(from) => from,
            None => *self.silent_from.insert(self.cycles().await),
        };
        while started.elapsed() < time {
            let seen = self.sightings.so_far();
            let loud = loud(&seen);
            assert!(
                loud.is_empty(),
                "after {}: {loud:?}\n{:#}",
                seconds(started.elapsed()),
                self.doctor.diagnosis().await
            );
            tokio::time::sleep(Duration::from_secs(1).min(time)).await;
        }
        let cycles = self.cycles().await - from;
        self.row.expected = "nothing above info".to_owned();
        self.row.first = format!("nothing in {cycles} cycles");
        let info = self
            .sightings
            .so_far()
            .into_iter()
            .filter(|(_, seen)| seen.firing.is_some());
        self.row.beside = info.map(|(key, _)| format!("{key} (info)")).collect();
    }

    /// Waits until this alert of a member fires at the top of the report, beside what is ranked first.
    pub(super) async fn beside(&mut self, alert: &str, member: &str) {
        let found = self
            .doctor
            .diagnosis_when(&format!("{alert}/{member} beside"), LIMIT, |diagnosis| {
                let rest = problems(diagnosis);
                let mut rest = rest.iter().skip(1);
                rest.any(|problem| problem["state"] == "firing" && is(problem, alert, Some(member)))
            })
            .await;
        self.row.beside = problems(&found)[1..].iter().map(shown).collect();
    }

    /// Waits until this alert of a member fires beneath what is ranked first.
    pub(super) async fn firing_beneath(&mut self, alert: &str, member: &str) {
        let found = self
            .doctor
            .diagnosis_when(&format!("{alert}/{member} beneath"), LIMIT, |diagnosis| {
                beneath_first(diagnosis)
                    .iter()
                    .any(|problem| problem["state"] == "firing" && is(problem, alert, Some(member)))
            })
            .await;
        self.row.beneath = beneath_first(&found).iter().map(shown).collect();
    }

    /// Waits until this alert fires beneath what is ranked first, whatever its member.
    pub(super) async fn beneath(&mut self, alert: &str) {
        let found = self
            .doctor
            .diagnosis_when(&format!("{alert} beneath"), LIMIT, |diagnosis| {
                beneath_first(diagnosis)
                    .iter()
                    .any(|problem| problem["state"] == "firing" && is(problem, alert, None))
            })
            .await;
        self.row.beneath = beneath_first(&found).iter().map(shown).collect();
    }

    /// This machine does not let the fault be brought about: the table says why.
    pub(super) fn skipped(self, why: &str) {
        self.row.skipped(why);
    }

    /// Waits for so many more cycles.
    pub(super) async fn cycles_more(&self, more: f64) {
        let until = self.cycles().await + more;
        wait_for("more cycles", LIMIT, async || {
            let now = self.cycles().await;
            if now >= until { Ok(()) } else { Err(now) }
        })
        .await;
    }

    async fn cycles(&self) -> f64 {
        let cycles = self.doctor.metric("etcd_doctor_cycles_total").await;
        cycles.first().map_or(0.0, |(_, value)| *value)
    }
}

/// The problems at the top of the report, in their order.
pub(super) fn problems(diagnosis: &Value) -> Vec<Value> {
    diagnosis["clusters"][0]["problems"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// The symptoms of the first problem, and theirs.
fn beneath_first(diagnosis: &Value) -> Vec<Value> {
    fn beneath(problem: &Value, all: &mut Vec<Value>) {
        for symptom in problem["explains"].as_array().into_iter().flatten() {
            all.push(symptom.clone());
            beneath(symptom, all);
        }
    }
    let mut all = Vec::new();
    if let Some(first) = problems(diagnosis).first() {
        beneath(first, &mut all);
    }
    all
}

fn is(problem: &Value, alert: &str, member: Option<&str>) -> bool {
    problem["alert"] == alert && member.is_none_or(|member| problem["member"] == member)
}

fn key_is(key: &str, alert: &str, member: Option<&str>) -> bool {
    let (name, of) = key.split_once('/').unwrap_or((key, ""));
    name == alert && member.is_none_or(|member| member == of)
}

/// A problem for the table: what is no fault, and what is not certain yet, say so.
fn shown(problem: &Value) -> String {
    let mut remarks = Vec::new();
    if problem["severity"] == "info" {
        remarks.push("info");
    }
    if problem["state"] == "pending" {
        remarks.push("pending");
    }
    if remarks.is_empty() {
        name(problem)
    } else {
        format!("{} ({})", name(problem), remarks.join(", "))
    }
}

fn loud(seen: &Alerts) -> Vec<&String> {
    let loud = seen
        .iter()
        .filter(|(_, seen)| seen.firing.is_some() && seen.severity != "info");
    loud.map(|(key, _)| key).collect()
}
