//! The collectors alone, without store, rules and server: for what one cycle sees of real members.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use etcd_doctor::client::{Connection, TlsSettings};
use etcd_doctor::collect::{Collection, Settings};
use etcd_doctor::model::{Batch, CollectError, Reason, Timestamp, Value, Verdict};

use super::{EtcdCluster, wait_for};

/// For what a member tells its peers, or takes part in again, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A cluster that is observed cycle by cycle, when the test says so.
pub struct Observer(Collection);

impl Observer {
    /// Observes through a connection.
    pub fn on(connection: &Connection) -> Self {
        Self::with(connection, Settings::default())
    }

    /// Observes with a deadline and other settings of the test's choice.
    pub fn with(connection: &Connection, settings: Settings) -> Self {
        Self(Collection::new("test", connection, settings).unwrap())
    }

    /// How to reach a cluster: all its endpoints, and the certificate of the user root where it wants one.
    pub fn connection(cluster: &EtcdCluster) -> Connection {
        let tls = cluster.tls().map(|(authority, client)| TlsSettings {
            ca_file: Some(authority.ca().to_owned()),
            cert_file: Some(client.cert.clone()),
            key_file: Some(client.key.clone()),
            ..TlsSettings::default()
        });
        Connection {
            endpoints: cluster.endpoints(),
            tls: tls.unwrap_or_default(),
            ..Connection::default()
        }
    }

    /// One cycle.
    pub async fn cycle(&mut self) -> Batch {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = Timestamp::from_millis(since_epoch.as_millis().try_into().unwrap());
        self.0.cycle(now).await
    }

    /// Cycles until a series has a value.
    pub async fn until(&mut self, series: &str, wanted: f64) -> Batch {
        self.until_true(&format!("{series} {wanted}"), |batch| {
            value(batch, series) == Some(wanted)
        })
        .await
    }

    /// Cycles until a batch is as asked.
    pub async fn until_true(&mut self, what: &str, is: impl Fn(&Batch) -> bool) -> Batch {
        wait_for(what, LIMIT, async || {
            let batch = self.cycle().await;
            if is(&batch) {
                Ok(batch)
            } else {
                Err(format!("{:#?} {:#?}", shown(&batch), failures(&batch)))
            }
        })
        .await
    }
}

/// The value of a series by its name without prefix and its labels, `cluster` left out.
pub fn value(batch: &Batch, series: &str) -> Option<f64> {
    batch.samples.iter().find_map(|sample| {
        let name = sample.desc.name.trim_start_matches("etcd_doctor_");
        let shown = sample.labels.without(&["cluster"]).named(name).to_string();
        match sample.value {
            Value::Number(number) if shown == series => Some(number),
            _ => None,
        }
    })
}

/// Every series of a batch, with its labels.
pub fn shown(batch: &Batch) -> Vec<String> {
    let samples = batch.samples.iter();
    samples
        .map(|sample| sample.labels.named(sample.desc.name).to_string())
        .collect()
}

/// What a collector failed with.
#[derive(Debug, PartialEq)]
pub struct Failed {
    /// The collector.
    pub collector: &'static str,
    /// The member, or the endpoint that stands for one.
    pub member: String,
    /// Its reason.
    pub reason: Reason,
    /// Its words, and the advice in brackets.
    pub words: String,
}

/// Every failure of a batch.
pub fn failures(batch: &Batch) -> Vec<Failed> {
    let failed = |outcome: &etcd_doctor::model::Outcome| match &outcome.verdict {
        Verdict::Failed(CollectError { reason, message, fix }) => Some(Failed {
            collector: outcome.collector,
            member: outcome.member.as_deref().unwrap_or_default().to_owned(),
            reason: *reason,
            words: format!("{message} [{fix}]"),
        }),
        _ => None,
    };
    batch.outcomes.iter().filter_map(failed).collect()
}
