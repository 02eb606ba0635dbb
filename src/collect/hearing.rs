//! Whether the peers of a member hear from it: from the bytes that they count as received from it.
//!
//! A leader gets an answer to each heartbeat of each member, and each member gets the leader's heartbeats, ten a second
//! by default: so of two readings some seconds apart, the second is higher as long as the member lives and its messages
//! arrive. etcd's own `etcd_network_active_peers` does not tell this: from 3.5 on it stays 1 when packets are dropped
//! or the peer is paused.

use std::collections::HashMap;
use std::sync::Arc;

use super::elections::is_restart;
use crate::model::{Desc, Labels, Sample};

static HEARD: Desc = Desc::gauge(
    "etcd_doctor_member_heard_by_peers",
    None,
    "How many of its peers received something from the member since the cycle before, by their own /metrics; 0 also where \
     none can tell, as for a follower whose leader is not read.",
)
.labels(&["member"]);

pub(super) const DESCS: &[&Desc] = &[&HEARD];

/// What a member's page tells of what it received.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    /// Whose page it is.
    pub(super) by: u64,
    /// When its process started.
    pub(super) start_time: Option<f64>,
    /// Bytes since its start, by the id of the sender.
    pub(super) from: Vec<(u64, f64)>,
}

/// The pages of the cycle before, by whose they are.
#[derive(Debug, Default)]
pub(super) struct Hearing(HashMap<u64, Received>);

impl Hearing {
    /// Takes the pages of a cycle, and gives how many members heard from each other one.
    pub(super) fn observe(&mut self, pages: Vec<Received>) -> HashMap<u64, usize> {
        let mut heard: HashMap<u64, usize> = HashMap::new();
        for page in &pages {
            let Some(before) = self.0.get(&page.by) else {
                continue;
            };
            if is_restart(before.start_time, page.start_time) {
                continue;
            }
            for (sender, bytes) in &page.from {
                // A sender of whom nothing had come yet is not on the page before.
                let known = before.from.iter().find(|(id, _)| id == sender);
                if *bytes > known.map_or(0.0, |(_, bytes)| *bytes) {
                    *heard.entry(*sender).or_default() += 1;
                }
            }
        }
        self.0 = pages.into_iter().map(|page| (page.by, page)).collect();
        heard
    }
}

/// The samples of all members.
pub(super) fn samples<'a>(
    heard: &HashMap<u64, usize>,
    members: impl Iterator<Item = (&'a Arc<str>, Option<u64>)>,
) -> Vec<Sample> {
    let sample = |(name, id): (&Arc<str>, Option<u64>)| {
        let count = id.and_then(|id| heard.get(&id)).copied().unwrap_or(0);
        Sample::number(&HEARD, Labels::new([("member", &**name)]), count as f64)
    };
    members.map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(by: u64, start_time: f64, from: &[(u64, f64)]) -> Received {
        Received {
            by,
            start_time: Some(start_time),
            from: from.to_vec(),
        }
    }

    #[test]
    fn a_member_is_heard_when_a_peers_count_grows() {
        let mut hearing = Hearing::default();
        let first = hearing.observe(vec![page(1, 10.0, &[(2, 100.0), (3, 50.0)])]);
        assert!(first.is_empty(), "one reading tells nothing");
        let next = hearing.observe(vec![page(1, 10.0, &[(2, 200.0), (3, 50.0), (4, 5.0)])]);
        assert_eq!(
            (next.get(&2), next.get(&3), next.get(&4)),
            (Some(&1), None, Some(&1))
        );
    }

    #[test]
    fn counts_that_began_anew_tell_nothing() {
        let mut hearing = Hearing::default();
        hearing.observe(vec![page(1, 10.0, &[(2, 100.0)])]);
        assert!(hearing.observe(vec![page(1, 20.0, &[(2, 101.0)])]).is_empty());
        assert_eq!(
            hearing.observe(vec![page(1, 20.0, &[(2, 102.0)])]).get(&2),
            Some(&1)
        );
    }

    #[test]
    fn a_cycle_without_the_page_is_no_proof_of_anything() {
        let mut hearing = Hearing::default();
        hearing.observe(vec![page(1, 10.0, &[(2, 100.0)])]);
        hearing.observe(vec![]);
        assert!(hearing.observe(vec![page(1, 10.0, &[(2, 200.0)])]).is_empty());
    }
}
