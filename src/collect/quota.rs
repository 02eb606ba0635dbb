//! The backend quota of a member: a ladder of places to read it, always with the one where it was found.

use std::collections::HashMap;

use super::elections::is_restart;
use crate::model::{Desc, Labels, Quota, QuotaSource, Sample};

static QUOTA_BYTES: Desc = Desc::gauge(
    "etcd_doctor_member_quota_bytes",
    Some("bytes"),
    "The member's backend quota, read where etcd_doctor_member_quota_info says; absent when it is disabled.",
)
.labels(&["member"]);
static QUOTA_ENABLED: Desc = Desc::gauge(
    "etcd_doctor_member_quota_enabled",
    None,
    "Whether the member has a backend quota: 0 when it is switched off with a negative number.",
)
.labels(&["member"]);
static QUOTA_INFO: Desc = Desc::gauge(
    "etcd_doctor_member_quota_info",
    None,
    "Where the member's quota was read, best first: status, metrics, process, configured, assumed (etcd's default). Always 1.",
)
.labels(&["member", "source"]);

pub(super) const DESCS: &[&Desc] = &[&QUOTA_BYTES, &QUOTA_ENABLED, &QUOTA_INFO];

/// etcd's default, which 0 stands for.
const DEFAULT_BYTES: u64 = 2 << 30;

/// What each place says of one member.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// `StatusResponse.dbSizeQuota`; 0 is unknown (etcd before 3.6, and 3.6.0 to 3.6.5 without the flag).
    pub(super) status: Option<i64>,
    /// `etcd_server_quota_backend_bytes`.
    pub(super) metrics: Option<f64>,
    /// What `status` or `metrics` said in an earlier cycle: a quota changes only with a restart, so a page that
    /// could not be read once does not make it unknown.
    pub(super) before: Quota,
    /// `--quota-backend-bytes` of the local process; 0 is the default.
    pub(super) process: Option<i64>,
    /// The configuration of etcd-doctor.
    pub(super) configured: Option<u64>,
}

/// The quota from the best place that tells it.
pub(super) fn ladder(told: &Told) -> Quota {
    let bytes = |bytes: i64, source| match u64::try_from(bytes) {
        Ok(0) => Quota::Unknown,
        Ok(bytes) => Quota::Bytes(bytes, source),
        Err(_) => Quota::Disabled(source),
    };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a gauge of whole bytes; saturates where it is not"
    )]
    let rungs = [
        told.status.map(|quota| bytes(quota, QuotaSource::Status)),
        told.metrics
            .map(|quota| bytes(quota as i64, QuotaSource::Metrics)),
        Some(told.before),
        told.process.map(|quota| match quota {
            0 => Quota::Bytes(DEFAULT_BYTES, QuotaSource::Process),
            quota => bytes(quota, QuotaSource::Process),
        }),
        told.configured
            .filter(|quota| *quota > 0)
            .map(|quota| Quota::Bytes(quota, QuotaSource::Configured)),
    ];
    rungs
        .into_iter()
        .flatten()
        .find(|quota| *quota != Quota::Unknown)
        .unwrap_or(Quota::Bytes(DEFAULT_BYTES, QuotaSource::Assumed))
}

/// Whether the member itself told it, so that it is worth remembering.
fn told_by_member(quota: Quota) -> bool {
    matches!(
        quota,
        Quota::Bytes(_, QuotaSource::Status | QuotaSource::Metrics)
            | Quota::Disabled(QuotaSource::Status | QuotaSource::Metrics)
    )
}

/// What members told of their quota, each with the start of the process that told it as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Memory(HashMap<u64, (Quota, Option<f64>)>);

impl Memory {
    /// What the member told, unless it was restarted since: its quota may be another then. `start_time` is that of
    /// its process as of now, when known.
    pub(super) fn of(&mut self, member: u64, start_time: Option<f64>) -> Quota {
        match self.0.get_mut(&member) {
            Some((_, told_by)) if is_restart(*told_by, start_time) => {
                self.0.remove(&member);
                Quota::Unknown
            }
            Some((quota, told_by)) => {
                *told_by = told_by.or(start_time);
                *quota
            }
            None => Quota::Unknown,
        }
    }

    /// Remembers a quota that the member itself told.
    pub(super) fn note(&mut self, member: u64, quota: Quota, start_time: Option<f64>) {
        if told_by_member(quota) {
            let (known, told_by) = self.0.entry(member).or_insert((quota, start_time));
            *known = quota;
            *told_by = start_time.or(*told_by);
        }
    }

    /// Forgets members that left the cluster.
    pub(super) fn retain(&mut self, is_member: impl Fn(u64) -> bool) {
        self.0.retain(|id, _| is_member(*id));
    }
}

/// The samples of one member's quota.
pub(super) fn samples(member: &Labels, quota: Quota) -> Vec<Sample> {
    let (source, enabled) = match quota {
        Quota::Unknown => return Vec::new(),
        Quota::Disabled(source) => (source, 0.0),
        Quota::Bytes(_, source) => (source, 1.0),
    };
    let mut samples = vec![
        Sample::number(&QUOTA_ENABLED, member.clone(), enabled),
        Sample::number(&QUOTA_INFO, member.with("source", source.as_str()), 1.0),
    ];
    if let Quota::Bytes(bytes, _) = quota {
        samples.push(Sample::number(&QUOTA_BYTES, member.clone(), bytes as f64));
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_place_wins_and_zero_is_unknown() {
        let all = Told {
            status: Some(1),
            metrics: Some(2.0),
            before: Quota::Bytes(3, QuotaSource::Metrics),
            process: Some(4),
            configured: Some(5),
        };
        let unknown = Told {
            status: Some(0),
            ..all
        };
        let page_lost = Told {
            metrics: None,
            ..unknown
        };
        let never_told = Told {
            before: Quota::Unknown,
            ..page_lost
        };
        let remote = Told {
            process: None,
            ..never_told
        };
        for (told, quota) in [
            (all, Quota::Bytes(1, QuotaSource::Status)),
            (unknown, Quota::Bytes(2, QuotaSource::Metrics)),
            (page_lost, Quota::Bytes(3, QuotaSource::Metrics)),
            (never_told, Quota::Bytes(4, QuotaSource::Process)),
            (remote, Quota::Bytes(5, QuotaSource::Configured)),
            (Told::default(), Quota::Bytes(2 << 30, QuotaSource::Assumed)),
        ] {
            assert_eq!(ladder(&told), quota, "{told:?}");
        }
    }

    #[test]
    fn negative_is_disabled_and_a_flag_of_zero_is_the_default() {
        let metrics = Told {
            metrics: Some(-1.0),
            ..Told::default()
        };
        assert_eq!(ladder(&metrics), Quota::Disabled(QuotaSource::Metrics));
        let process = Told {
            process: Some(0),
            ..Told::default()
        };
        assert_eq!(ladder(&process), Quota::Bytes(2 << 30, QuotaSource::Process));
    }

    #[test]
    fn what_a_member_told_is_forgotten_with_its_restart() {
        let (told, assumed) = (
            Quota::Bytes(1, QuotaSource::Metrics),
            Quota::Bytes(2, QuotaSource::Assumed),
        );
        let mut memory = Memory::default();
        memory.note(7, told, Some(100.0));
        memory.note(7, assumed, Some(100.0));
        for (start_time, quota) in [
            (None, told),
            (Some(101.0), told),
            (Some(200.0), Quota::Unknown),
            (Some(200.0), Quota::Unknown),
        ] {
            assert_eq!(memory.of(7, start_time), quota, "{start_time:?}");
        }
        memory.note(7, told, None);
        assert_eq!(memory.of(7, Some(200.0)), told, "the start is learnt later");
        assert_eq!(memory.of(7, Some(300.0)), Quota::Unknown);
    }

    #[test]
    fn a_disabled_quota_has_no_bytes() {
        let names = |quota| -> Vec<&str> {
            samples(&Labels::empty(), quota)
                .iter()
                .map(|sample| sample.desc.name)
                .collect()
        };
        assert!(!names(Quota::Disabled(QuotaSource::Metrics)).contains(&QUOTA_BYTES.name));
        assert!(names(Quota::Bytes(1, QuotaSource::Assumed)).contains(&QUOTA_BYTES.name));
        assert!(names(Quota::Unknown).is_empty());
    }
}
