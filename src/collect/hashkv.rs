//! The collector `hashkv`: whether the members hold the same data, by the hash of all keys at one revision. Only where
//! `hashkv_interval` is set: a member reads its whole database for it.

mod compare;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Collector, Failure, Reading, Scope, Settings, Spec, Subject};
use crate::client::etcd::Etcd;
use crate::model::{CollectError, Desc, Labels, Reason, Sample, Timestamp};
use compare::{Compared, compare};

static DIFFERS: Desc = Desc::gauge(
    "etcd_doctor_member_data_differs",
    None,
    "Whether the hash of the member's keys differed from that of the majority when they were compared last, by Maintenance.HashKV \
     at one revision; 1 for all where no hash had a majority.",
)
.labels(&["member"])
.sparse();
static REVISION: Desc = Desc::gauge(
    "etcd_doctor_data_compared_revision",
    None,
    "The revision at which the members' data were compared last.",
)
.sparse();
static COMPARED_AT: Desc = Desc::gauge(
    "etcd_doctor_data_compared_timestamp_seconds",
    Some("seconds"),
    "When the members' data were compared last, in seconds since the epoch.",
)
.sparse();

pub(super) const SPEC: Spec = Spec {
    name: "hashkv",
    scope: Scope::Own,
    descs: &[&DIFFERS, &REVISION, &COMPARED_AT],
    build: |settings: &Settings| {
        Box::new(HashKv {
            interval: settings.hashkv_interval,
            members: HashMap::new(),
            running: JoinSet::new(),
            begun: None,
            last: None,
        })
    },
};

/// The deadline of one HashKV. A member hashes some hundred MB a second; this is for the largest quota that etcd advises,
/// 8 GiB, on a slow host.
const HASH_LIMIT: Duration = Duration::from_secs(60);

/// How many intervals a result is shown for when no further comparison succeeds.
const STANDS_FOR: u32 = 3;

struct HashKv {
    interval: Option<Duration>,
    /// Clients with a patience of their own, kept so that each logs in once.
    members: HashMap<Arc<str>, Arc<Etcd>>,
    /// A comparison under way. It outlasts the cycle.
    running: JoinSet<Result<Compared, CollectError>>,
    /// When the last comparison was begun.
    begun: Option<(Instant, Timestamp)>,
    last: Option<(Timestamp, Result<Compared, CollectError>)>,
}

impl Collector for HashKv {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        async move {
            let Some(interval) = self.interval else {
                return Err(Failure::NotApplicable(
                    "the members' data are not compared: set hashkv_interval".into(),
                ));
            };
            let due = self.begun.is_none_or(|(begun, _)| begun.elapsed() >= interval);
            if due && self.running.is_empty() {
                let members = self.voters(subject)?;
                self.begun = Some((Instant::now(), subject.now));
                self.running.spawn(compare(members));
            }
            // Small databases are compared within the cycle; a large one is waited for in those that follow.
            let patience = subject.timeout / 2;
            if let Ok(Some(ended)) = tokio::time::timeout(patience, self.running.join_next()).await {
                let result = ended.unwrap_or_else(|error| Err(broke_off(&error.to_string())));
                let begun = self.begun.map_or(subject.now, |(_, begun)| begun);
                self.last = Some((begun, result));
            }
            match &self.last {
                None => Ok(Reading::default()),
                Some((_, Err(error))) => Err(Failure::Failed(error.clone())),
                Some((at, Ok(_))) if subject.now.since(*at) > interval * STANDS_FOR => Err(Failure::Failed(
                    broke_off("no comparison came to an end for three intervals"),
                )),
                Some((at, Ok(compared))) => Ok(Reading {
                    samples: samples(*at, compared),
                    ..Reading::default()
                }),
            }
        }
        .boxed()
    }
}

impl HashKv {
    /// The voters that have an endpoint, each with a client of its own.
    fn voters(&mut self, subject: &Subject) -> Result<Vec<compare::Asked>, Failure> {
        let Some(network) = &subject.network else {
            return Err(Failure::NotApplicable("no endpoint is known".into()));
        };
        // A learner refuses the call.
        let voters = subject
            .members
            .iter()
            .filter(|member| !member.learner && member.id.is_some());
        let voters: Vec<_> = voters
            .filter_map(|member| Some((member, member.endpoint.clone()?)))
            .collect();
        if voters.len() < 2 {
            return Err(Failure::Nothing(
                "one member has no other to be compared with".into(),
            ));
        }
        self.members
            .retain(|known, _| voters.iter().any(|(_, endpoint)| endpoint == known));
        let patient = network.with_timeout(HASH_LIMIT);
        let mut asked = Vec::new();
        for (member, endpoint) in voters {
            if !self.members.contains_key(&endpoint)
                && let Ok(parsed) = patient.endpoint(&endpoint)
            {
                self.members
                    .insert(Arc::clone(&endpoint), Arc::new(Etcd::new(&patient, parsed)));
            }
            if let Some(etcd) = self.members.get(&endpoint) {
                asked.push(compare::Asked {
                    name: Arc::clone(&member.name),
                    id: member.id.unwrap_or_default(),
                    etcd: Arc::clone(etcd),
                    status_limit: subject.timeout,
                });
            }
        }
        Ok(asked)
    }
}

fn broke_off(why: &str) -> CollectError {
    CollectError {
        reason: Reason::Timeout,
        message: format!("comparing the members' data broke off: {why}"),
        fix: "see the log".into(),
    }
}

fn samples(at: Timestamp, compared: &Compared) -> Vec<Sample> {
    let mut samples = vec![
        Sample::number(&COMPARED_AT, Labels::empty(), at.seconds()),
        Sample::number(&REVISION, Labels::empty(), compared.revision as f64),
    ];
    samples.extend(compared.differs.iter().map(|(name, differs)| {
        let labels = Labels::new([("member", &**name)]);
        Sample::number(&DIFFERS, labels, f64::from(u8::from(*differs)))
    }));
    samples
}
