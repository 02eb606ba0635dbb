//! The life of an alert: pending, firing, resolved. Pure: what was seen, when, and what it was before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::state::Kept;
use crate::model::{Labels, Timestamp};

/// How long a resolved alert is kept, so that its end reaches Alertmanager even if some notifications fail.
/// Prometheus keeps it as long.
const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);

/// One active, or lately resolved, alert.
#[derive(Clone, PartialEq, Debug)]
pub struct Alert {
    /// Its labels, `alertname` included.
    pub labels: Labels,
    /// Its annotations, expanded, in the order of the file.
    pub annotations: Vec<(String, String)>,
    /// Its state.
    pub state: AlertState,
    /// The expression's value.
    pub value: f64,
    /// Since when the condition has held.
    pub active_at: Timestamp,
    /// When it began to fire.
    pub fired_at: Option<Timestamp>,
    /// When it resolved.
    pub resolved_at: Option<Timestamp>,
}

/// The state of an alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AlertState {
    /// Resolved not long ago.
    Inactive,
    /// The condition holds, not yet for as long as `for` asks.
    Pending,
    /// It fires.
    Firing,
}

impl AlertState {
    /// The word for JSON and for the label `alertstate`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// The alerts of one rule, by their labels.
pub(super) type Alerts = BTreeMap<Labels, Tracked>;

/// An alert and what its next step depends on besides.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Tracked {
    pub alert: Alert,
    /// Since when the condition has been gone while `keep_firing_for` kept it firing.
    pub gone_since: Option<Timestamp>,
}

/// An element of a rule's result, as an alert.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Seen {
    pub labels: Labels,
    pub annotations: Vec<(String, String)>,
    pub value: f64,
}

/// Takes the alerts of one rule one evaluation further. `seen` has each label set once.
pub(super) fn step(
    alerts: &mut Alerts,
    seen: Vec<Seen>,
    hold: Duration,
    keep_firing: Duration,
    now: Timestamp,
) {
    let still: BTreeSet<Labels> = seen.iter().map(|seen| seen.labels.clone()).collect();
    for seen in seen {
        match alerts.get_mut(&seen.labels) {
            Some(tracked) if tracked.alert.state != AlertState::Inactive => {
                tracked.alert.value = seen.value;
                tracked.alert.annotations = seen.annotations;
                tracked.gone_since = None;
            }
            // A resolved alert that comes back is a new one.
            _ => {
                alerts.insert(seen.labels.clone(), Tracked::new(seen, now));
            }
        }
    }
    alerts.retain(|labels, tracked| {
        if still.contains(labels) || tracked.is_kept_firing(keep_firing, now) {
            tracked.fire_when_due(hold, now);
            true
        } else {
            tracked.end(now)
        }
    });
}

/// Continues, since it was remembered over a restart, an alert that [`step`] took for a new one.
pub(super) fn take_up(tracked: &mut Tracked, kept: Kept, hold: Duration, now: Timestamp) {
    tracked.alert.active_at = kept.active_at;
    tracked.fire_when_due(hold, now);
    if tracked.alert.state == AlertState::Firing {
        tracked.alert.fired_at = kept.fired_at.or(tracked.alert.fired_at);
    }
}

impl Tracked {
    fn new(seen: Seen, now: Timestamp) -> Self {
        let alert = Alert {
            labels: seen.labels,
            annotations: seen.annotations,
            state: AlertState::Pending,
            value: seen.value,
            active_at: now,
            fired_at: None,
            resolved_at: None,
        };
        Self {
            alert,
            gone_since: None,
        }
    }

    /// An alert as it was. Whether its condition was gone already and it was only kept firing is not known: then it counts
    /// from now.
    pub(super) const fn resumed(alert: Alert) -> Self {
        Self {
            alert,
            gone_since: None,
        }
    }

    /// Whether an alert whose condition is gone goes on firing.
    fn is_kept_firing(&mut self, keep_firing: Duration, now: Timestamp) -> bool {
        if self.alert.state != AlertState::Firing || keep_firing.is_zero() {
            return false;
        }
        now.since(*self.gone_since.get_or_insert(now)) < keep_firing
    }

    fn fire_when_due(&mut self, hold: Duration, now: Timestamp) {
        if self.alert.state == AlertState::Pending && now.since(self.alert.active_at) >= hold {
            self.alert.state = AlertState::Firing;
            self.alert.fired_at = Some(now);
        }
    }

    /// The condition is gone: a firing alert resolves, and whether it is kept.
    fn end(&mut self, now: Timestamp) -> bool {
        match self.alert.state {
            AlertState::Pending => false,
            AlertState::Firing => {
                self.alert.state = AlertState::Inactive;
                self.alert.resolved_at = Some(now);
                true
            }
            AlertState::Inactive => self
                .alert
                .resolved_at
                .is_some_and(|resolved| now.since(resolved) <= RESOLVED_RETENTION),
        }
    }
}

/// The series `ALERTS` and `ALERTS_FOR_STATE` of the alerts that are pending or firing.
pub(super) fn series(alerts: &Alerts) -> Vec<(Labels, f64)> {
    let active = alerts.values().map(|tracked| &tracked.alert);
    let active = active.filter(|alert| alert.state != AlertState::Inactive);
    active
        .flat_map(|alert| {
            let state = alert
                .labels
                .named("ALERTS")
                .with("alertstate", alert.state.as_str());
            // Prometheus writes whole seconds.
            let since = alert.active_at.millis().div_euclid(1000) as f64;
            [(state, 1.0), (alert.labels.named("ALERTS_FOR_STATE"), since)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::AlertState::{Firing, Inactive, Pending};
    use super::*;

    const NEVER: Duration = Duration::ZERO;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    fn seen(member: &str, value: f64) -> Seen {
        Seen {
            labels: Labels::new([("alertname", "Down"), ("member", member)]),
            annotations: vec![("summary".to_owned(), format!("{value}"))],
            value,
        }
    }

    fn states(alerts: &Alerts) -> Vec<AlertState> {
        alerts.values().map(|tracked| tracked.alert.state).collect()
    }

    #[test]
    fn without_for_it_fires_at_once() {
        let mut alerts = Alerts::new();
        step(&mut alerts, vec![seen("m0", 1.0)], NEVER, NEVER, at(100));
        let alert = &alerts.values().next().unwrap().alert;
        assert_eq!(
            (alert.state, alert.active_at, alert.fired_at),
            (Firing, at(100), Some(at(100)))
        );
    }

    #[test]
    fn it_fires_when_for_has_passed_and_not_a_moment_before() {
        let mut alerts = Alerts::new();
        for (seconds, expected) in [(0, Pending), (299, Pending), (300, Firing), (400, Firing)] {
            step(&mut alerts, vec![seen("m0", 1.0)], minutes(5), NEVER, at(seconds));
            assert_eq!(states(&alerts), [expected], "at {seconds} s");
        }
        let alert = &alerts.values().next().unwrap().alert;
        assert_eq!((alert.active_at, alert.fired_at), (at(0), Some(at(300))));
    }

    #[test]
    fn a_gap_while_pending_starts_over() {
        let mut alerts = Alerts::new();
        step(&mut alerts, vec![seen("m0", 1.0)], minutes(5), NEVER, at(0));
        step(&mut alerts, vec![], minutes(5), NEVER, at(15));
        assert_eq!(states(&alerts), []);
        step(&mut alerts, vec![seen("m0", 1.0)], minutes(5), NEVER, at(30));
        assert_eq!(alerts.values().next().unwrap().alert.active_at, at(30));
    }

    #[test]
    fn value_and_annotations_follow_what_is_seen() {
        let mut alerts = Alerts::new();
        step(&mut alerts, vec![seen("m0", 1.0)], NEVER, NEVER, at(0));
        step(&mut alerts, vec![seen("m0", 2.0)], NEVER, NEVER, at(15));
        let alert = &alerts.values().next().unwrap().alert;
        assert_eq!(
            (alert.value, alert.annotations[0].1.as_str(), alert.active_at),
            (2.0, "2", at(0))
        );
    }

    #[test]
    fn a_resolved_alert_stays_for_15_minutes_and_may_come_back_as_a_new_one() {
        let mut alerts = Alerts::new();
        step(&mut alerts, vec![seen("m0", 1.0)], NEVER, NEVER, at(0));
        step(&mut alerts, vec![], NEVER, NEVER, at(60));
        let alert = &alerts.values().next().unwrap().alert;
        assert_eq!((alert.state, alert.resolved_at), (Inactive, Some(at(60))));
        step(&mut alerts, vec![], NEVER, NEVER, at(60 + 900));
        assert_eq!(states(&alerts), [Inactive]);
        let mut back = alerts.clone();
        step(&mut back, vec![seen("m0", 1.0)], minutes(1), NEVER, at(970));
        let alert = &back.values().next().unwrap().alert;
        assert_eq!(
            (alert.state, alert.active_at, alert.resolved_at),
            (Pending, at(970), None)
        );
        step(&mut alerts, vec![], NEVER, NEVER, at(60 + 901));
        assert_eq!(states(&alerts), []);
    }

    #[test]
    fn keep_firing_for_counts_from_the_first_evaluation_without_it() {
        let mut alerts = Alerts::new();
        step(&mut alerts, vec![seen("m0", 1.0)], NEVER, minutes(5), at(0));
        for (seconds, expected) in [(60, Firing), (359, Firing), (360, Inactive)] {
            step(&mut alerts, vec![], NEVER, minutes(5), at(seconds));
            assert_eq!(states(&alerts), [expected], "at {seconds} s");
        }
    }

    #[test]
    fn seeing_it_again_restarts_keep_firing_for() {
        let mut alerts = Alerts::new();
        step(&mut alerts, vec![seen("m0", 1.0)], NEVER, minutes(5), at(0));
        step(&mut alerts, vec![], NEVER, minutes(5), at(60));
        step(&mut alerts, vec![seen("m0", 1.0)], NEVER, minutes(5), at(300));
        step(&mut alerts, vec![], NEVER, minutes(5), at(361));
        step(&mut alerts, vec![], NEVER, minutes(5), at(660));
        assert_eq!(states(&alerts), [Firing]);
        assert_eq!(alerts.values().next().unwrap().alert.active_at, at(0));
    }

    #[test]
    fn only_pending_and_firing_alerts_have_series() {
        let mut alerts = Alerts::new();
        step(
            &mut alerts,
            vec![seen("m0", 1.0)],
            NEVER,
            NEVER,
            Timestamp::from_millis(1999),
        );
        step(&mut alerts, vec![seen("m1", 1.0)], minutes(1), NEVER, at(60));
        let shown: Vec<String> = series(&alerts)
            .iter()
            .map(|(labels, value)| format!("{labels} {value}"))
            .collect();
        assert_eq!(
            shown,
            [
                r#"ALERTS{alertname="Down", alertstate="pending", member="m1"} 1"#,
                r#"ALERTS_FOR_STATE{alertname="Down", member="m1"} 60"#,
            ]
        );
    }
}
