//! Which alerts of a cycle are sent now.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::{Labels, Timestamp};
use crate::rules::{Alert, AlertState};

/// What was sent of the alerts of one cluster.
#[derive(Default)]
pub(super) struct Sent {
    /// Each alert as it was told last, by its labels.
    known: HashMap<Labels, Told>,
    /// When they were told last.
    at: Option<Timestamp>,
}

#[derive(PartialEq)]
struct Told {
    fired_at: Option<Timestamp>,
    resolved_at: Option<Timestamp>,
}

impl Sent {
    /// The alerts to be sent at `now`, each with what came along with it, and notes that they are: whenever one began to fire
    /// or resolved, and when `resend_delay` has passed, all that fire and all whose end is kept. Pending ones never are.
    ///
    /// They are sent all together, where Prometheus has a clock for each. An Alertmanager that was restarted knows nothing of
    /// what fired before and looks at once at what is older than its `group_wait`: told of a symptom alone, it would page
    /// for what it has already paged for by its cause.
    ///
    /// Alertmanager knows an alert by its labels. Of two rules that give the same ones, the one that fires counts.
    pub(super) fn due<'a, T: Copy>(
        &mut self,
        alerts: impl Iterator<Item = (&'a Alert, T)>,
        resend_delay: Duration,
        now: Timestamp,
    ) -> Vec<(&'a Alert, T)> {
        // A clock that was set back is no reason to be silent.
        let is_over = |at: Timestamp| now < at || now.since(at) >= resend_delay;
        let mut is_due = self.at.is_none_or(is_over);
        let mut all: Vec<(&Alert, T)> = alerts
            .filter(|(alert, _)| alert.state != AlertState::Pending)
            .collect();
        all.sort_by_key(|(alert, _)| alert.state != AlertState::Firing);
        let mut known = HashMap::with_capacity(all.len());
        all.retain(|(alert, _)| {
            if known.contains_key(&alert.labels) {
                return false;
            }
            let told = Told {
                fired_at: alert.fired_at,
                resolved_at: alert.resolved_at,
            };
            is_due |= self.known.get(&alert.labels) != Some(&told);
            known.insert(alert.labels.clone(), told);
            true
        });
        self.known = known;
        if !is_due {
            return Vec::new();
        }
        self.at = Some(now);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn alert(name: &str, fired: Option<i64>, resolved: Option<i64>) -> Alert {
        Alert {
            labels: Labels::new([("alertname", name)]),
            annotations: Vec::new(),
            state: match (fired, resolved) {
                (None, _) => AlertState::Pending,
                (_, None) => AlertState::Firing,
                _ => AlertState::Inactive,
            },
            value: 1.0,
            active_at: at(0),
            fired_at: fired.map(at),
            resolved_at: resolved.map(at),
        }
    }

    fn due(sent: &mut Sent, alerts: &[Alert], now: i64) -> Vec<String> {
        let due = sent.due(alerts.iter().map(|alert| (alert, ())), DELAY, at(now));
        due.iter()
            .map(|(alert, ())| alert.labels.get("alertname").to_owned())
            .collect()
    }

    #[test]
    fn a_firing_alert_is_sent_at_once_and_then_every_delay() {
        let mut sent = Sent::default();
        let alerts = [alert("A", Some(10), None)];
        let times = [10, 15, 69, 70, 75, 129, 130];
        let told: Vec<bool> = times.map(|now| !due(&mut sent, &alerts, now).is_empty()).into();
        assert_eq!(told, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn what_begins_later_is_sent_with_what_fires_beside_it() {
        let mut sent = Sent::default();
        let alerts = [alert("A", Some(10), None), alert("B", Some(30), None)];
        assert_eq!(due(&mut sent, &alerts[..1], 10), ["A"]);
        assert_eq!(due(&mut sent, &alerts, 30), ["A", "B"]);
        assert_eq!(due(&mut sent, &alerts, 70), [""; 0]);
        assert_eq!(due(&mut sent, &alerts, 90), ["A", "B"]);
    }

    #[test]
    fn a_pending_alert_is_never_sent() {
        let mut sent = Sent::default();
        for now in [0, 60, 3600] {
            assert_eq!(due(&mut sent, &[alert("A", None, None)], now), [""; 0]);
        }
    }

    #[test]
    fn an_end_and_a_new_beginning_are_sent_at_once() {
        let mut sent = Sent::default();
        due(&mut sent, &[alert("A", Some(10), None)], 10);
        assert_eq!(due(&mut sent, &[alert("A", Some(10), Some(15))], 15), ["A"]);
        assert_eq!(due(&mut sent, &[alert("A", Some(10), Some(15))], 20), [""; 0]);
        assert_eq!(due(&mut sent, &[alert("A", Some(10), Some(15))], 75), ["A"]);
        assert_eq!(due(&mut sent, &[alert("A", Some(80), None)], 80), ["A"]);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut sent = Sent::default();
        due(&mut sent, &[alert("A", Some(10), None)], 10);
        due(&mut sent, &[], 15);
        assert!(sent.known.is_empty());
        assert_eq!(due(&mut sent, &[alert("A", Some(10), None)], 20), ["A"]);
    }

    #[test]
    fn of_the_same_labels_the_alert_that_fires_counts() {
        let mut sent = Sent::default();
        let alerts = [alert("A", Some(1), Some(5)), alert("A", Some(3), None)];
        let due = sent.due(alerts.iter().map(|alert| (alert, ())), DELAY, at(10));
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].0.state, AlertState::Firing);
    }

    #[test]
    fn a_clock_that_was_set_back_silences_nothing() {
        let mut sent = Sent::default();
        let alerts = [alert("A", Some(10), None)];
        due(&mut sent, &alerts, 4000);
        assert_eq!(due(&mut sent, &alerts, 400), ["A"]);
        assert_eq!(due(&mut sent, &alerts, 405), [""; 0]);
    }
}
