//! What is counted of the notifications, under Prometheus' names and with their meaning.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::queue::Queue;
use crate::model::{Desc, Histogram, Labels, Sample};

static SENT: Desc = Desc::counter(
    "etcd_doctor_notifications_sent_total",
    None,
    "Alerts that were posted to the Alertmanager, those that it did not take included; an alert counts each time that it is \
     sent. As prometheus_notifications_sent_total.",
)
.labels(&["alertmanager"]);
static ERRORS: Desc = Desc::counter(
    "etcd_doctor_notifications_errors_total",
    None,
    "Alerts in posts that failed, for want of a connection, an answer in time or a status of 2xx. As \
     prometheus_notifications_errors_total.",
)
.labels(&["alertmanager"]);
static DROPPED: Desc = Desc::counter(
    "etcd_doctor_notifications_dropped_total",
    None,
    "Alerts that the Alertmanager was not told: in posts that failed, or for want of room in the queue. What goes on firing is \
     sent again. As prometheus_notifications_dropped_total.",
)
.labels(&["alertmanager"]);
static QUEUE_LENGTH: Desc = Desc::gauge(
    "etcd_doctor_notifications_queue_length",
    None,
    "Alerts that wait to be posted to the Alertmanager.",
)
.labels(&["alertmanager"]);
static QUEUE_CAPACITY: Desc = Desc::gauge(
    "etcd_doctor_notifications_queue_capacity",
    None,
    "How many alerts may wait to be posted to the Alertmanager; one more takes the place of the oldest.",
)
.labels(&["alertmanager"]);
static LATENCY: Desc = Desc::histogram(
    "etcd_doctor_notifications_latency_seconds",
    Some("seconds"),
    "How long posts to the Alertmanager took, those that failed included.",
)
.labels(&["alertmanager"]);
static DISCOVERED: Desc = Desc::gauge(
    "etcd_doctor_notifications_alertmanagers_discovered",
    None,
    "Alertmanagers that alerts are sent to.",
);

/// Metrics of the notifications. Their labels are complete.
pub const DESCS: &[&Desc] = &[
    &SENT,
    &ERRORS,
    &DROPPED,
    &QUEUE_LENGTH,
    &QUEUE_CAPACITY,
    &LATENCY,
    &DISCOVERED,
];

/// Seconds: from an Alertmanager on this host to the default time-out.
const LATENCIES: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];

/// The counters of one Alertmanager. They begin at 0, so that what never happened can be seen.
pub(super) struct Counters(Mutex<Counts>);

#[derive(Clone)]
struct Counts {
    sent: u64,
    errors: u64,
    latency: Histogram,
}

/// All that is told of one Alertmanager.
#[derive(Clone)]
pub(super) struct Instrument {
    pub(super) alertmanager: Arc<str>,
    pub(super) queue: Arc<Queue>,
    pub(super) counters: Arc<Counters>,
}

/// What is told of all Alertmanagers in force. A clone tells the same.
#[derive(Clone, Default)]
pub struct Instruments(Arc<Mutex<Vec<Instrument>>>);

impl Default for Counters {
    fn default() -> Self {
        Self(Mutex::new(Counts {
            sent: 0,
            errors: 0,
            latency: Histogram::with_bounds(LATENCIES),
        }))
    }
}

impl Counters {
    /// Notes one post.
    pub(super) fn note(&self, alerts: usize, took: Duration, good: bool) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.sent += alerts as u64;
        if !good {
            counts.errors += alerts as u64;
        }
        counts.latency.observe(took.as_secs_f64());
    }
}

impl Instruments {
    /// Tells of these from now on.
    pub(super) fn show(&self, instruments: impl Iterator<Item = Instrument>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = instruments.collect();
    }

    /// The present values.
    pub fn samples(&self) -> Vec<Sample> {
        let instruments = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let count = Sample::number(&DISCOVERED, Labels::empty(), instruments.len() as f64);
        let all = instruments.iter().flat_map(Instrument::samples);
        all.chain([count]).collect()
    }
}

impl Instrument {
    pub(super) fn samples(&self) -> [Sample; 6] {
        let labels = Labels::new([("alertmanager", Arc::clone(&self.alertmanager))]);
        let counts = self
            .counters
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let number = |desc, value| Sample::number(desc, labels.clone(), value);
        [
            number(&SENT, counts.sent as f64),
            number(&ERRORS, counts.errors as f64),
            number(&DROPPED, (counts.errors + self.queue.dropped()) as f64),
            number(&QUEUE_LENGTH, self.queue.len() as f64),
            number(&QUEUE_CAPACITY, self.queue.capacity() as f64),
            Sample::histogram(&LATENCY, labels.clone(), counts.latency),
        ]
    }
}
