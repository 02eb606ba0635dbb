//! What a query may cost. Past each bound stands an error and not a slow server: the cycles share its cores and memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::State;
use super::super::error::ApiError;
use crate::model::Timestamp;
use crate::promql::{EvalError, Matcher, Options, Series, Source};
use crate::store::View;

/// Points a series of a range query: a panel has some thousand pixels at most. Prometheus itself allows 11,000.
pub(super) const MAX_POINTS: i64 = 10_000;

/// Samples that a query may read and give: 64 MB of them, and twice that as JSON.
const MAX_SAMPLES: usize = 4_000_000;

/// Queries at once; further ones wait for their turn.
const CONCURRENT: usize = 4;

/// How long a query may take, its wait included. Under the limit of any handler, so that this error is the one told.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Runs queries, some at a time, away from the threads that serve and collect.
#[derive(Clone)]
pub(crate) struct Queries(Arc<Semaphore>);

impl Default for Queries {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CONCURRENT)))
    }
}

/// The windows as one query sees them, until its time is up or who asked has gone.
pub(crate) struct Seen {
    view: View,
    abandoned: Arc<AtomicBool>,
}

impl Source for Seen {
    fn select(&self, matchers: &[Matcher], after: Timestamp, through: Timestamp) -> Vec<Series> {
        self.view.select(matchers, after, through)
    }

    fn given_up(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || self.view.given_up()
    }
}

/// Tells the evaluation when the request is dropped, as by a client that closed its connection.
struct Asker(Arc<AtomicBool>);

impl Drop for Asker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Queries {
    /// Runs one query over all clusters, for `timeout` at most when it is shorter than the server's own.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        state: &State,
        timeout: Option<Duration>,
        query: impl FnOnce(&Seen, &Options) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let deadline = Instant::now() + timeout.map_or(TIMEOUT, |timeout| timeout.min(TIMEOUT));
        let permit = self.turn(deadline).await?;
        let abandoned = Arc::new(AtomicBool::new(false));
        let asker = Asker(Arc::clone(&abandoned));
        let options = Options {
            max_samples: MAX_SAMPLES,
            ..Options::default()
        };
        let state = state.clone();
        let running = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            // Here and not before: a cycle that evaluates its rules holds the window, and the servers' threads must not wait
            // for it.
            let seen = Seen {
                view: state.windows(Some(deadline)),
                abandoned,
            };
            query(&seen, &options)
        });
        let outcome = running.await;
        drop(asker);
        outcome.map_err(|error| {
            tracing::error!(%error, "a query ended without an answer: this is a bug in etcd-doctor");
            ApiError::internal("this query met a bug in etcd-doctor; its log has the details")
        })?
    }

    async fn turn(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, ApiError> {
        let turn = Arc::clone(&self.0).acquire_owned();
        match tokio::time::timeout_at(deadline.into(), turn).await {
            Ok(Ok(permit)) => Ok(permit),
            // It is never closed.
            Ok(Err(_)) | Err(_) => Err(ApiError::query_timeout("query timed out in query queue")),
        }
    }
}

impl Seen {
    /// What Prometheus answers to an evaluation that failed.
    pub(super) fn refusal(&self, error: EvalError) -> ApiError {
        if self.given_up() {
            ApiError::query_timeout(error.0)
        } else {
            ApiError::execution(error.0)
        }
    }
}
