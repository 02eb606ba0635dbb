//! Watching for a while, without a server: what `etcd-doctor diagnose` does.

use std::time::Duration;

use tokio::time::Instant;

use super::{Rules, cycle, settings};
use crate::bundle::Recording;
use crate::config::Config;
use crate::cycle::{Cycle, now};
use crate::diagnosis::Diagnosis;

/// How often `diagnose` looks while it watches, unless the configured interval is shorter: often enough that a rate
/// has several points within its default window of 15 s.
const DIAGNOSE_INTERVAL: Duration = Duration::from_secs(2);

/// Watches every cluster of the configuration for `window`, all at once, and says what was found: at least one cycle
/// each, and a last one when the window ends. With each diagnosis comes what it was made from.
///
/// # Errors
/// When a cluster cannot be watched.
pub async fn diagnose(
    config: &Config,
    rules: &Rules,
    window: Duration,
) -> anyhow::Result<Vec<(Diagnosis, Recording)>> {
    let interval = config.interval.min(DIAGNOSE_INTERVAL);
    let cycles = config.clusters.iter().map(|cluster| {
        let cycle = cycle(settings(config, cluster), rules.set.clone(), interval)?;
        Ok(cycle.ending_after(window))
    });
    let cycles: Vec<Cycle> = cycles.collect::<anyhow::Result<_>>()?;
    Ok(futures::future::join_all(cycles.into_iter().map(|cycle| watch_for(cycle, window, interval))).await)
}

/// Every cluster of a configuration, looked at again and again for somebody who looks on.
pub struct Watcher {
    cycles: Vec<Cycle>,
    interval: Duration,
    next: Option<Instant>,
}

impl Watcher {
    /// Prepares to look.
    ///
    /// # Errors
    /// When a cluster cannot be watched.
    pub fn new(config: &Config, rules: &Rules) -> anyhow::Result<Self> {
        let interval = config.interval.min(DIAGNOSE_INTERVAL);
        let clusters = config.clusters.iter();
        let cycles = clusters.map(|cluster| cycle(settings(config, cluster), rules.set.clone(), interval));
        Ok(Self {
            cycles: cycles.collect::<anyhow::Result<_>>()?,
            interval,
            next: None,
        })
    }

    /// Looks once more, an interval after the last time.
    pub async fn look(&mut self) -> Vec<Diagnosis> {
        if let Some(next) = self.next {
            tokio::time::sleep_until(next).await;
        }
        self.next = Some(Instant::now() + self.interval);
        let looks = self.cycles.iter_mut().map(|cycle| cycle.run_once(now()));
        let snapshots = futures::future::join_all(looks).await;
        snapshots.into_iter().map(|snapshot| snapshot.diagnosis).collect()
    }
}

async fn watch_for(mut cycle: Cycle, window: Duration, interval: Duration) -> (Diagnosis, Recording) {
    let end = Instant::now() + window;
    loop {
        let begun = Instant::now();
        let snapshot = cycle.run_once(now()).await;
        if begun >= end {
            let recording = cycle.recording(&snapshot);
            return (snapshot.diagnosis, recording);
        }
        tokio::time::sleep_until((begun + interval).min(end)).await;
    }
}
