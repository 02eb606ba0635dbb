//! When an alert was pending or fired, from the series `ALERTS` of the window.

use super::Activity;
use crate::model::{Labels, Timestamp, is_stale};
use crate::promql::{MatchOp, Matcher, Point, Source};

/// Episodes that are told, the newest: an alert that comes and goes with every cycle has hundreds in an hour.
const MOST_EPISODES: usize = 50;

/// When an alert was active, as far as the window goes back.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct History {
    /// The episodes, oldest first.
    pub episodes: Vec<Episode>,
    /// Older ones that are left out.
    pub left_out: usize,
}

/// A time through which an alert was pending, or fired.
#[derive(Clone, PartialEq, Debug)]
pub struct Episode {
    /// The alert's labels, without its name.
    pub labels: Labels,
    /// Whether it fired; otherwise it was pending.
    pub firing: bool,
    /// The first cycle of it.
    pub from: Timestamp,
    /// The first cycle without it; none while it lasts.
    pub to: Option<Timestamp>,
}

impl Episode {
    /// What the alert was then.
    pub const fn activity(&self) -> Activity {
        if self.firing {
            Activity::Firing
        } else {
            Activity::Pending
        }
    }
}

/// The history of an alert up to `now`.
pub(super) fn of(alert: &str, source: &dyn Source, now: Timestamp) -> History {
    let equal = |label: &str, value: &str| Matcher::new(label, MatchOp::Equal, value).ok();
    // A condition of equality always is one.
    let matchers: Vec<Matcher> = [equal("__name__", "ALERTS"), equal("alertname", alert)]
        .into_iter()
        .flatten()
        .collect();
    let mut episodes = Vec::new();
    for series in source.select(&matchers, Timestamp::from_millis(i64::MIN), now) {
        let firing = series.labels.get("alertstate") == Activity::Firing.as_str();
        let labels = series.labels.without(&["__name__", "alertname", "alertstate"]);
        episodes.extend(spans(&series.points).map(|(from, to)| Episode {
            labels: labels.clone(),
            firing,
            from,
            to,
        }));
    }
    episodes.sort_by(|one, other| {
        (one.from, one.firing, &one.labels).cmp(&(other.from, other.firing, &other.labels))
    });
    let left_out = episodes.len().saturating_sub(MOST_EPISODES);
    History {
        episodes: episodes.split_off(left_out),
        left_out,
    }
}

/// The times between stale markers: a rule ends each of its series with one.
fn spans(points: &[Point]) -> impl Iterator<Item = (Timestamp, Option<Timestamp>)> {
    let mut points = points.iter();
    std::iter::from_fn(move || {
        let from = points.find(|point| !is_stale(point.value))?.time;
        Some((
            from,
            points.find(|point| is_stale(point.value)).map(|point| point.time),
        ))
    })
}
