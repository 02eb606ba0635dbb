//! What the reports said over time: polled while a fault lasts, so that nothing between two looks of a test is missed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::{http, validate};

/// Short beside a cycle of 5 s.
const POLL: Duration = Duration::from_millis(250);

/// When an alert was first seen in each state.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) severity: String,
    pub(super) pending: Option<Instant>,
    pub(super) firing: Option<Instant>,
    /// When it was last seen in either.
    pub(super) last: Option<Instant>,
}

/// Every alert that was seen, as `Alert` or `Alert/member`.
pub(super) type Alerts = BTreeMap<String, Seen>;

/// Polls the reports of one server until dropped.
pub(super) struct Sightings {
    alerts: Arc<Mutex<Alerts>>,
    task: JoinHandle<()>,
}

impl Sightings {
    pub(super) fn of(doctor_url: &str) -> Self {
        let alerts = Arc::new(Mutex::new(Alerts::new()));
        let seen = Arc::clone(&alerts);
        let url = format!("{doctor_url}/api/v1/diagnosis");
        let task = tokio::spawn(async move {
            loop {
                if let Ok(answer) = http::get(&url).await
                    && let Ok(diagnosis) = serde_json::from_str::<Value>(&answer.body)
                {
                    if answer.status == 200 {
                        validate(&diagnosis);
                    }
                    let now = Instant::now();
                    let mut alerts = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    for cluster in diagnosis["clusters"].as_array().into_iter().flatten() {
                        note(&cluster["problems"], now, &mut alerts);
                    }
                }
                tokio::time::sleep(POLL).await;
            }
        });
        Self { alerts, task }
    }

    /// Everything seen so far.
    pub(super) fn so_far(&self) -> Alerts {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what was seen: what comes now is news.
    pub(super) fn forget(&self) {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Sightings {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn note(problems: &Value, now: Instant, alerts: &mut Alerts) {
    for problem in problems.as_array().into_iter().flatten() {
        let seen = alerts.entry(name(problem)).or_default();
        seen.last = Some(now);
        seen.pending.get_or_insert(now);
        if problem["state"] == "firing" {
            seen.firing.get_or_insert(now);
        }
        seen.severity = problem["severity"].as_str().unwrap_or_default().to_owned();
        note(&problem["explains"], now, alerts);
    }
}

/// A problem as `Alert` or `Alert/member`.
pub(super) fn name(problem: &Value) -> String {
    let alert = problem["alert"].as_str().unwrap_or_default();
    match problem["member"].as_str() {
        Some(member) if !member.is_empty() => format!("{alert}/{member}"),
        _ => alert.to_owned(),
    }
}
