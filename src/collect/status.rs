//! The collector `status`: one `Maintenance.Status` of each member.

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::{
    Collector, Failure, MetricsReading, Reading, Scope, Settings, Spec, StatusReading, Subject, alarms,
};
use crate::client::etcd::Status;
use crate::model::{Desc, Labels, Sample, hex_id};

static INFO: Desc = Desc::gauge(
    "etcd_doctor_member_info",
    None,
    "The member's id in hex, the endpoint where it was asked and its etcd version, from Maintenance.Status. Always 1.",
)
.labels(&["member_id", "endpoint", "version"]);
static DURATION: Desc = Desc::gauge(
    "etcd_doctor_status_duration_seconds",
    Some("seconds"),
    "How long the member took to answer Maintenance.Status, which it does without its peers.",
);
static DB_SIZE: Desc = Desc::gauge(
    "etcd_doctor_member_db_size_bytes",
    Some("bytes"),
    "Allocated size of the database, which the quota is compared with, from Maintenance.Status.",
);
static DB_IN_USE: Desc = Desc::gauge(
    "etcd_doctor_member_db_in_use_bytes",
    Some("bytes"),
    "Size of the database without free pages, from Maintenance.Status.",
);
static IS_LEADER: Desc = Desc::gauge(
    "etcd_doctor_member_is_leader",
    None,
    "Whether the member says that it leads, from Maintenance.Status.",
);
static HAS_LEADER: Desc = Desc::gauge(
    "etcd_doctor_member_has_leader",
    None,
    "Whether the member knows a leader, from Maintenance.Status.",
);
static IS_LEARNER: Desc = Desc::gauge(
    "etcd_doctor_member_is_learner",
    None,
    "Whether the member has no vote, from Maintenance.Status.",
);
static TERM: Desc = Desc::gauge(
    "etcd_doctor_member_raft_term",
    None,
    "The member's raft term, from Maintenance.Status.",
);
static INDEX: Desc = Desc::gauge(
    "etcd_doctor_member_raft_index",
    None,
    "Index of the last raft entry that the member has committed, from Maintenance.Status.",
);
static APPLIED: Desc = Desc::gauge(
    "etcd_doctor_member_raft_applied_index",
    None,
    "Index of the last raft entry that the member has applied, from Maintenance.Status.",
);
static REVISION: Desc = Desc::gauge(
    "etcd_doctor_member_revision",
    None,
    "The revision of the member's key-value store, from the header of Maintenance.Status.",
);

pub(super) const SPEC: Spec = Spec {
    name: "status",
    scope: Scope::Member,
    descs: &[
        &INFO,
        &DURATION,
        &DB_SIZE,
        &DB_IN_USE,
        &IS_LEADER,
        &HAS_LEADER,
        &IS_LEARNER,
        &TERM,
        &INDEX,
        &APPLIED,
        &REVISION,
    ],
    build: |_: &Settings| Box::new(StatusCollector),
};

struct StatusCollector;

impl Collector for StatusCollector {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        async move {
            let Some(link) = &subject.link else {
                return Err(Failure::NotApplicable("no endpoint is known".into()));
            };
            let started = Instant::now();
            let status = link.etcd().status().await.map_err(Failure::Failed)?;
            let took = started.elapsed().as_secs_f64();
            subject.believe(status.header.member_id, status.header.cluster_id)?;
            let reading = reading(&status);
            let mut samples = samples(&reading, link.endpoint().as_str());
            samples.push(Sample::number(&DURATION, Labels::empty(), took));
            Ok(Reading {
                samples,
                status: Some(reading),
                ..Reading::default()
            })
        }
        .boxed()
    }
}

fn reading(status: &Status) -> StatusReading {
    let (no_leader, alarms) = alarms::parse_errors(&status.errors);
    StatusReading {
        member_id: status.header.member_id,
        cluster_id: status.header.cluster_id,
        version: status.version.clone(),
        db_size: u64::try_from(status.db_size).unwrap_or(0),
        db_in_use: u64::try_from(status.db_in_use).unwrap_or(0),
        quota: status.quota,
        leader: if no_leader { 0 } else { status.leader },
        learner: status.learner,
        term: status.term,
        index: status.index,
        applied: status.applied,
        revision: u64::try_from(status.header.revision).unwrap_or(0),
        no_leader,
        alarms,
    }
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn samples(status: &StatusReading, endpoint: &str) -> Vec<Sample> {
    let number = |desc, value| Sample::number(desc, Labels::empty(), value);
    let info = Labels::new([
        ("member_id", hex_id(status.member_id).as_str()),
        ("endpoint", endpoint),
        ("version", status.version.as_str()),
    ]);
    let mut samples = vec![
        Sample::number(&INFO, info, 1.0),
        number(&DB_SIZE, status.db_size as f64),
        number(
            &IS_LEADER,
            flag(status.leader != 0 && status.leader == status.member_id),
        ),
        number(&HAS_LEADER, flag(status.leader != 0)),
        number(&IS_LEARNER, flag(status.learner)),
        number(&TERM, status.term as f64),
        number(&INDEX, status.index as f64),
        number(&APPLIED, status.applied as f64),
        number(&REVISION, status.revision as f64),
    ];
    if status.db_in_use > 0 {
        samples.push(number(&DB_IN_USE, status.db_in_use as f64));
    }
    samples
}

/// What a member's own page tells of the same metrics, for a member whose Status was refused or did not come.
pub(super) fn samples_from_page(page: &MetricsReading, endpoint: &str) -> Vec<Sample> {
    let number = |desc, value: Option<f64>| value.map(|value| Sample::number(desc, Labels::empty(), value));
    let info = page.member_id.map(|id| {
        let labels = Labels::new([
            ("member_id", hex_id(id).as_str()),
            ("endpoint", endpoint),
            ("version", page.version.as_deref().unwrap_or_default()),
        ]);
        Sample::number(&INFO, labels, 1.0)
    });
    [
        info,
        number(&DB_SIZE, page.db_size),
        number(&DB_IN_USE, page.db_in_use),
        number(&IS_LEADER, page.is_leader.map(flag)),
        number(&HAS_LEADER, page.has_leader.map(flag)),
        number(&IS_LEARNER, page.is_learner.map(flag)),
        number(&REVISION, page.revision),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    fn value(samples: &[Sample], desc: &Desc) -> Option<f64> {
        samples
            .iter()
            .find(|sample| sample.desc.name == desc.name)
            .map(|sample| match sample.value {
                Value::Number(number) => number,
                Value::Histogram(_) => panic!("{} is no number", desc.name),
            })
    }

    #[test]
    fn a_member_without_a_leader_neither_leads_nor_follows() {
        let mut status = Status {
            leader: 7,
            ..Status::default()
        };
        status.header.member_id = 7;
        let leading = samples(&reading(&status), "http://a:1");
        assert_eq!(
            (value(&leading, &IS_LEADER), value(&leading, &HAS_LEADER)),
            (Some(1.0), Some(1.0))
        );
        // The id of the leader that was lost may still stand there.
        status.errors = vec!["etcdserver: no leader".into()];
        let lost = samples(&reading(&status), "http://a:1");
        assert_eq!(
            (value(&lost, &IS_LEADER), value(&lost, &HAS_LEADER)),
            (Some(0.0), Some(0.0))
        );
    }

    #[test]
    fn the_page_gives_only_what_it_tells() {
        let page = MetricsReading {
            db_size: Some(20480.0),
            is_leader: Some(false),
            ..MetricsReading::default()
        };
        let samples = samples_from_page(&page, "http://a:1");
        assert_eq!(value(&samples, &DB_SIZE), Some(20480.0));
        assert_eq!(value(&samples, &IS_LEADER), Some(0.0));
        assert_eq!(value(&samples, &HAS_LEADER), None);
    }
}
