//! One alert as Alertmanager takes it, in JSON.

use serde_json::{Map, Value, json};

use super::WATCHDOG;
use crate::model::{Labels, Timestamp};
use crate::rules::{Alert, AlertState};

/// Annotations that stay here: expressions for the report, and names for it and for Alertmanager's inhibition, which
/// has them as rules.
const KEPT_HERE: [&str; 2] = ["evidence", "explains"];

/// The most bytes of one annotation: the longest remedy of the shipped rules, for a cluster of seven, has half of it. A page
/// says the beginning, and where the rest is.
const MAX_ANNOTATION: usize = 8 << 10;

/// The most bytes of all annotations of an alert, names included: a batch of 64 then stays below 2 MiB.
const MAX_ANNOTATIONS: usize = 24 << 10;

/// What ends an annotation that was cut.
const CUT: &str = " … (the rest is at generatorURL)";

/// Where alerts come from.
pub(super) struct Origin<'a> {
    /// Where this etcd-doctor is reached, without a slash at the end.
    pub(super) external_url: &'a str,
    /// The cluster.
    pub(super) cluster: &'a str,
}

/// An alert under the labels that it has there. One that fires ends at `valid_until`, unless it is sent again by then.
pub(super) fn text(alert: &Alert, labels: &Labels, valid_until: Timestamp, origin: &Origin<'_>) -> String {
    let labels = labels.iter().map(|(name, value)| (name.to_owned(), value.into()));
    let starts_at = alert.fired_at.unwrap_or(alert.active_at);
    let ends_at = match alert.resolved_at {
        // An end before the beginning is refused, and a clock may be set back in between.
        Some(resolved_at) => resolved_at.max(starts_at),
        None => valid_until.max(starts_at),
    };
    let message = json!({
        "labels": labels.collect::<Map<String, Value>>(),
        "annotations": annotations(&alert.annotations),
        "startsAt": starts_at.to_string(),
        "endsAt": ends_at.to_string(),
        "generatorURL": origin.page(alert.labels.get("alertname")),
    });
    message.to_string()
}

/// The alert that always fires, for a cluster that is watched since so long.
pub(super) fn watchdog(cluster: &str, since: Timestamp) -> Alert {
    let about = |name: &str, text: String| (name.to_owned(), text);
    Alert {
        labels: Labels::new([("alertname", WATCHDOG), ("cluster", cluster), ("severity", "none")]),
        annotations: vec![
            about(
                "summary",
                format!("etcd-doctor watches etcd cluster {cluster} and reaches Alertmanager"),
            ),
            about(
                "description",
                "This alert always fires. When it stops, nobody watches the cluster, or its alerts no longer arrive: see \
                 that etcd-doctor runs, and its log."
                    .to_owned(),
            ),
        ],
        state: AlertState::Firing,
        value: 1.0,
        active_at: since,
        fired_at: Some(since),
        resolved_at: None,
    }
}

impl Origin<'_> {
    /// The page of an alert.
    fn page(&self, alert: &str) -> String {
        let Ok(mut url) = url::Url::parse(self.external_url) else {
            return self.external_url.to_owned();
        };
        // The watchdog is no rule, and a rule's name is one part of the path whatever is in it.
        if alert != WATCHDOG
            && !alert.is_empty()
            && let Ok(mut path) = url.path_segments_mut()
        {
            path.pop_if_empty().extend(["alerts", alert]);
        }
        url.query_pairs_mut().append_pair("cluster", self.cluster);
        url.into()
    }
}

fn annotations(all: &[(String, String)]) -> Map<String, Value> {
    let mut left = MAX_ANNOTATIONS;
    let mut kept = Map::new();
    for (name, text) in all {
        // An empty one is a missing one.
        if KEPT_HERE.contains(&name.as_str()) || text.is_empty() {
            continue;
        }
        let Some(room) = left.checked_sub(name.len() + CUT.len()) else {
            continue;
        };
        let text = cut(text, room.min(MAX_ANNOTATION - CUT.len()));
        left -= (name.len() + text.len()).min(left);
        kept.insert(name.clone(), text.into());
    }
    kept
}

/// The text, or as much of it as finds room.
fn cut(text: &str, room: usize) -> String {
    if text.len() <= room {
        return text.to_owned();
    }
    let end = (0..=room).rev().find(|at| text.is_char_boundary(*at));
    format!("{}{CUT}", &text[..end.unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin<'_> = Origin {
        external_url: "https://doctor.example.org/etcd",
        cluster: "prod/1",
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn alert(annotations: &[(&str, &str)]) -> Alert {
        let annotations = annotations.iter();
        Alert {
            labels: Labels::new([("alertname", "A b/c"), ("cluster", "prod/1")]),
            annotations: annotations
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
            state: AlertState::Firing,
            value: 1.0,
            active_at: at(100),
            fired_at: Some(at(200)),
            resolved_at: None,
        }
    }

    fn json_of(alert: &Alert) -> Value {
        serde_json::from_str(&text(alert, &alert.labels, at(440), &ORIGIN)).unwrap()
    }

    #[test]
    fn a_firing_alert_says_until_when_it_is_valid() {
        let shown = json_of(&alert(&[
            ("summary", "it \"is\""),
            ("evidence", "up = up"),
            ("explains", "B"),
        ]));
        assert_eq!(
            shown,
            json!({
                "labels": {"alertname": "A b/c", "cluster": "prod/1"},
                "annotations": {"summary": "it \"is\""},
                "startsAt": "1970-01-01T00:03:20.000Z",
                "endsAt": "1970-01-01T00:07:20.000Z",
                "generatorURL": "https://doctor.example.org/etcd/alerts/A%20b%2Fc?cluster=prod%2F1",
            })
        );
    }

    #[test]
    fn a_resolved_alert_says_when_it_ended_and_never_before_it_began() {
        let mut over = alert(&[]);
        over.resolved_at = Some(at(300));
        assert_eq!(json_of(&over)["endsAt"], "1970-01-01T00:05:00.000Z");
        over.resolved_at = Some(at(150));
        assert_eq!(json_of(&over)["endsAt"], json_of(&over)["startsAt"]);
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        let long = "é".repeat(MAX_ANNOTATION);
        let many: Vec<(String, &str)> = (0..10).map(|n| (format!("a{n}"), long.as_str())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        let shown = json_of(&alert(&many));
        let kept = shown["annotations"].as_object().unwrap();
        let size = |text: &Value| text.as_str().unwrap().len();
        let all: usize = kept.iter().map(|(name, text)| name.len() + size(text)).sum();
        assert!(all <= MAX_ANNOTATIONS, "{all}");
        assert!(kept.len() >= 2, "{}", kept.len());
        for text in kept.values() {
            assert!(size(text) <= MAX_ANNOTATION);
            assert!(text.as_str().unwrap().ends_with(CUT));
        }
    }

    #[test]
    fn the_watchdog_leads_to_the_cluster() {
        let shown = json_of(&watchdog("prod/1", at(7)));
        assert_eq!(
            shown["generatorURL"],
            "https://doctor.example.org/etcd?cluster=prod%2F1"
        );
        assert_eq!(shown["startsAt"], "1970-01-01T00:00:07.000Z");
    }
}
