//! The task before one Alertmanager: takes batches from its queue and posts them, each once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::instruments::{Counters, Instrument};
use super::queue::{CAPACITY, Queue};
use crate::client::alertmanager::{Alertmanager, Settings};
use crate::model::{CollectError, Reason};

/// The most alerts in one request, as in Prometheus up to 3.3.
pub(super) const BATCH: usize = 64;

/// One Alertmanager with its queue.
pub(super) struct Sender {
    settings: Settings,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Sender {
    /// Begins to wait for alerts.
    pub(super) fn start(settings: Settings) -> Self {
        let queue = Arc::new(Queue::new(CAPACITY));
        let counters = Arc::new(Counters::default());
        let task = tokio::spawn(send(
            Alertmanager::new(settings.clone()),
            settings.url.of_alerts(),
            Arc::clone(&queue),
            Arc::clone(&counters),
        ));
        Self {
            settings,
            queue,
            counters,
            task,
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    pub(super) fn instrument(&self) -> Instrument {
        Instrument {
            alertmanager: self.settings.url.of_alerts().into(),
            queue: Arc::clone(&self.queue),
            counters: Arc::clone(&self.counters),
        }
    }

    /// Sends what waits, for at most so long, and ends.
    pub(super) async fn drain(mut self, limit: Duration) {
        self.queue.close();
        if timeout(limit, &mut self.task).await.is_err() {
            self.task.abort();
            let alerts = self.queue.clear();
            tracing::warn!(
                alertmanager = self.settings.url.of_alerts(),
                alerts,
                "gave up sending the alerts that were not taken by now"
            );
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A batch that fails is not tried again, and of one that never arrived what was to follow is not sent either: both are told
/// with the next resend, and by then may be different.
async fn send(alertmanager: Alertmanager, name: String, queue: Arc<Queue>, counters: Arc<Counters>) {
    let mut trouble = None;
    while let Some(batch) = queue.take(BATCH).await {
        let alerts = Bytes::from(format!("[{}]", batch.texts.join(",")));
        let begun = Instant::now();
        let outcome = alertmanager.post(alerts).await;
        counters.note(batch.texts.len(), begun.elapsed(), outcome.is_ok());
        if outcome.as_ref().is_err_and(never_arrived) {
            queue.drop_followers(&batch);
        }
        log(&name, outcome, &mut trouble);
    }
}

/// Whether an Alertmanager, or what is before it, saw nothing of a request. One that was answered with an error may be so each
/// time, and must not keep back others.
fn never_arrived(error: &CollectError) -> bool {
    matches!(error.reason, Reason::Unreachable | Reason::Timeout | Reason::Tls)
}

/// Says what is wrong once, and again when something else is.
fn log(alertmanager: &str, outcome: Result<(), CollectError>, trouble: &mut Option<String>) {
    match outcome {
        Ok(()) if trouble.take().is_some() => {
            tracing::info!(alertmanager, "alerts reach Alertmanager again");
        }
        Ok(()) => {}
        Err(CollectError { message, fix, .. }) if trouble.as_ref() != Some(&message) => {
            tracing::warn!(
                alertmanager,
                error = message,
                fix,
                "alerts did not reach Alertmanager; they are sent again at the next resend"
            );
            *trouble = Some(message);
        }
        Err(error) => tracing::debug!(alertmanager, %error, "alerts did not reach Alertmanager"),
    }
}
