//! How the members move along the raft log: how far each is behind the foremost, and since when it has stood still.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{Desc, Labels, Sample, Timestamp};

static BEHIND: Desc = Desc::gauge(
    "etcd_doctor_member_raft_entries_behind",
    None,
    "Raft entries by which the member's committed index is below the highest that a member told in this cycle. A few under \
     load, since members are not read at the same instant.",
)
.labels(&["member"]);
static UNCHANGED: Desc = Desc::gauge(
    "etcd_doctor_member_raft_unchanged_seconds",
    Some("seconds"),
    "For how long the member's committed index has been seen not to move; on an idle cluster it grows for all members.",
)
.labels(&["member"]);

pub(super) const DESCS: &[&Desc] = &[&BEHIND, &UNCHANGED];

/// The index of each member by its id, and since when it has been that.
#[derive(Debug, Default)]
pub(super) struct Progress(HashMap<u64, (u64, Timestamp)>);

impl Progress {
    /// Takes the committed index of each member that told it in this cycle, and gives the samples.
    pub(super) fn observe(&mut self, now: Timestamp, told: &[(Arc<str>, u64, u64)]) -> Vec<Sample> {
        let foremost = told.iter().map(|(.., index)| *index).max().unwrap_or(0);
        let mut samples = Vec::new();
        for (name, id, index) in told {
            let (known, since) = self.0.entry(*id).or_insert((*index, now));
            if known != index {
                (*known, *since) = (*index, now);
            }
            let labels = Labels::new([("member", &**name)]);
            let unchanged = now.since(*since).as_secs_f64();
            samples.push(Sample::number(&BEHIND, labels.clone(), (foremost - index) as f64));
            samples.push(Sample::number(&UNCHANGED, labels, unchanged));
        }
        samples
    }

    /// Forgets members that left the cluster.
    pub(super) fn retain(&mut self, is_member: impl Fn(u64) -> bool) {
        self.0.retain(|id, _| is_member(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    fn shown(samples: &[Sample]) -> Vec<(String, f64)> {
        let show = |sample: &Sample| match sample.value {
            Value::Number(value) => (sample.labels.get("member").to_owned(), value),
            Value::Histogram(_) => panic!(),
        };
        samples.iter().map(show).collect()
    }

    #[test]
    fn who_stands_still_is_told_from_who_moves() {
        let mut progress = Progress::default();
        let told = |at: i64, a: u64, b: u64, progress: &mut Progress| {
            let told = [("a".into(), 1, a), ("b".into(), 2, b)];
            shown(&progress.observe(Timestamp::from_millis(at * 1000), &told))
        };
        let of = |a: (f64, f64), b: (f64, f64)| {
            [("a", a.0), ("a", a.1), ("b", b.0), ("b", b.1)].map(|(name, value)| (name.to_owned(), value))
        };
        assert_eq!(told(0, 7, 7, &mut progress), of((0.0, 0.0), (0.0, 0.0)));
        assert_eq!(told(5, 9, 7, &mut progress), of((0.0, 0.0), (2.0, 5.0)));
        assert_eq!(told(10, 12, 7, &mut progress), of((0.0, 0.0), (5.0, 10.0)));
        assert_eq!(told(15, 12, 12, &mut progress), of((0.0, 5.0), (0.0, 0.0)));
        progress.retain(|id| id == 1);
        assert_eq!(told(20, 12, 12, &mut progress), of((0.0, 10.0), (0.0, 0.0)));
    }
}
