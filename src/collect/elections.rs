//! Elections and restarts, counted from what each poll sees, so that none between two polls is missed and none is
//! counted twice.
//!
//! Two witnesses, neither enough alone: the raft term grows with every election, but on etcd 3.4 a member that was
//! cut off makes it jump by several at once; a member's count of leader changes also grows when the member merely
//! lost sight of the same leader. So in any stretch of terms there were at most as many elections as the term grew,
//! and as many as the best-informed member saw leader changes: the smaller of both.
//!
//! The elections so far are kept as a ladder over terms. A member's pair of readings bears witness to the stretch
//! between its own two terms, whenever they were taken: a member that comes back after a gap tells of terms that
//! others have told of already, and adds nothing to them.
//!
//! While no member tells its term (Status is refused everywhere), the growth of leader changes alone is counted, on
//! top of the ladder. It then stands beside the ladder for a while once terms are told again, for these tell of the
//! same elections.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::model::{Desc, Timestamp};

pub(super) static ELECTIONS: Desc = Desc::counter(
    "etcd_doctor_elections_total",
    None,
    "Leader elections since etcd-doctor started: the smaller of the growth of the raft term and of the largest growth \
     of a member's leader changes.",
);
pub(super) static RESTARTS: Desc = Desc::counter(
    "etcd_doctor_member_restarts_total",
    None,
    "Restarts of the member's process since etcd-doctor started, told from its start time.",
)
.labels(&["member"]);

pub(super) const DESCS: &[&Desc] = &[&ELECTIONS, &RESTARTS];

/// How long a reading is kept open in which term and leader changes disagree. They change within one election, which
/// takes one to two election timeouts, and are read by different calls, so one may be seen a poll before the other.
const SETTLES_AFTER: Duration = Duration::from_secs(10);

/// How many terms the ladder keeps at most, beside those that a member's next reading starts from. A member that stays
/// away would have it grow with every election; further ones than this only refine what a member tells that was away
/// as long, comes back in between and is then the only one to be seen.
const LADDER_TERMS: usize = 256;

/// How much the start time of one process may vary, in seconds: the kernel gives it relative to a boot time that
/// moves with the clock's corrections.
const START_TIME_JITTER: f64 = 1.5;

/// What one poll tells of one member.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sighting {
    pub(super) member: u64,
    /// From Status: the term of the last entry that it applied, so a leader was elected in it.
    pub(super) term: Option<u64>,
    /// From its page.
    pub(super) leader_changes: Option<f64>,
    /// From its page, seconds since the epoch.
    pub(super) start_time: Option<f64>,
}

/// The count so far.
#[derive(Debug, Default)]
pub(super) struct Elections {
    /// Elections since the start up to and including each term that was seen.
    ladder: BTreeMap<u64, u64>,
    members: HashMap<u64, Witness>,
    /// The count while no member tells its term (Status is refused everywhere).
    without_terms: u64,
    /// Since when terms are told again.
    told_since: Option<Timestamp>,
}

/// A member's earlier reading, from which its next ones are measured.
#[derive(Clone, Copy, Debug)]
struct Witness {
    term: Option<u64>,
    leader_changes: f64,
    start_time: Option<f64>,
    /// Since when readings have disagreed on whether there was an election.
    open_since: Option<Timestamp>,
    /// Elections up to this reading, for when no terms are told; with a term the ladder says so.
    seen: f64,
    /// Leader changes since this reading that were found to be a stall of its own; negative for what only others saw.
    spurious: f64,
}

impl Elections {
    /// Takes what one poll saw, and gives the elections so far. It stands still while nobody tells anything.
    pub(super) fn observe(&mut self, now: Timestamp, sightings: &[Sighting]) -> u64 {
        let highest = sightings.iter().filter_map(|sighting| sighting.term).max();
        if self.ladder.is_empty()
            && let Some(term) = highest
        {
            self.ladder.insert(term, self.without_terms);
        }
        // By rising term, so that what a lagging member tells stands before the others build on it.
        let mut sorted: Vec<&Sighting> = sightings.iter().collect();
        sorted.sort_by_key(|sighting| sighting.term);
        for sighting in sorted {
            self.take(now, sighting);
        }
        if highest.is_some() {
            self.build_on_what_was_counted_without_terms(now);
        } else {
            self.told_since = None;
            self.count_without_terms(sightings);
        }
        self.settle_without_terms(now, sightings);
        self.forget_old_terms();
        self.total()
    }

    fn total(&self) -> u64 {
        let told = self.ladder.last_key_value().map_or(0, |(_, count)| *count);
        told.max(self.without_terms)
    }

    /// Members that left the cluster bear no more witness.
    pub(super) fn retain(&mut self, is_member: impl Fn(u64) -> bool) {
        self.members.retain(|id, _| is_member(*id));
    }

    fn take(&mut self, now: Timestamp, sighting: &Sighting) {
        if let Some(term) = sighting.term {
            // A term in which entries were applied had a leader: at least this one election since the term before.
            let before = self.at(term.saturating_sub(1));
            if self.ladder.last_key_value().is_some_and(|(last, _)| *last < term) {
                self.raise(term, before + 1);
            }
        }
        let Some(leader_changes) = sighting.leader_changes else {
            return;
        };
        let fresh = Witness {
            term: sighting.term,
            leader_changes,
            start_time: sighting.start_time,
            open_since: None,
            seen: 0.0,
            spurious: 0.0,
        };
        let Some(earlier) = self.members.get(&sighting.member).copied() else {
            let seen = self.total() as f64;
            self.members.insert(sighting.member, Witness { seen, ..fresh });
            return;
        };
        let restarted =
            leader_changes < earlier.leader_changes || is_restart(earlier.start_time, sighting.start_time);
        let grown = if restarted {
            0.0
        } else {
            leader_changes - earlier.leader_changes - earlier.spurious
        };
        let seen = self.stands_at(&earlier) + grown;
        let (from, through) = match (earlier.term, sighting.term) {
            (Some(from), Some(through)) => (self.not_before_the_start(from), through),
            // The next reading with a term is measured from the last one that had one.
            (Some(_), None) if !restarted => return,
            _ => {
                let open_since = earlier.open_since;
                self.members.insert(
                    sighting.member,
                    Witness {
                        seen,
                        open_since,
                        ..fresh
                    },
                );
                return;
            }
        };
        let terms = through.saturating_sub(from);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number, and saturates where it is negative"
        )]
        let witnessed = terms.min(grown as u64);
        if witnessed > 0 {
            self.raise(through, self.at(from) + witnessed);
        }
        let agree = restarted || terms as f64 == grown;
        let since = earlier.open_since.unwrap_or(now);
        let settled = agree || now.since(since) >= SETTLES_AFTER;
        let next = if settled {
            Witness { seen, ..fresh }
        } else {
            // Measured from the same reading again next time, so `seen` grows only once it settles.
            Witness {
                open_since: Some(since),
                ..earlier
            }
        };
        self.members.insert(sighting.member, next);
    }

    /// Elections up to and including a term.
    fn at(&self, term: u64) -> u64 {
        let below = self.ladder.range(..=term).next_back();
        below
            .or_else(|| self.ladder.first_key_value())
            .map_or(0, |(_, count)| *count)
    }

    /// Terms before the first one seen are not counted, whoever tells of them later.
    fn not_before_the_start(&self, term: u64) -> u64 {
        self.ladder
            .first_key_value()
            .map_or(term, |(first, _)| term.max(*first))
    }

    /// There were at least `count` elections up to and including `term`, so also up to each later one.
    fn raise(&mut self, term: u64, count: u64) {
        let count = count.max(self.at(term));
        self.ladder.insert(term, count);
        for (_, later) in self.ladder.range_mut(term..) {
            *later = (*later).max(count);
        }
    }

    /// Only terms that a member's next reading may start from are still needed.
    fn forget_old_terms(&mut self) {
        let terms = self.members.values().filter_map(|witness| witness.term);
        let floor = |term: u64| self.ladder.range(..=term).next_back().map(|(term, _)| *term);
        let mut needed: BTreeSet<u64> = terms.filter_map(floor).collect();
        if let Some(&oldest) = needed.first() {
            self.ladder = self.ladder.split_off(&oldest);
        }
        if self.ladder.len() > LADDER_TERMS {
            let last = self.ladder.last_key_value().map(|(term, _)| *term);
            needed.extend(last);
            let mut too_many = self.ladder.len() - LADDER_TERMS;
            self.ladder.retain(|term, _| {
                let keep = too_many == 0 || needed.contains(term);
                too_many -= usize::from(!keep);
                keep
            });
        }
    }

    /// Elections up to a member's reading.
    fn stands_at(&self, witness: &Witness) -> f64 {
        witness.term.map_or(witness.seen, |term| self.at(term) as f64)
    }

    /// The elections up to now as a member sees them that does not tell its term.
    fn seen_by(&self, sighting: &Sighting) -> Option<f64> {
        let witness = self.members.get(&sighting.member)?;
        let leader_changes = sighting.leader_changes.filter(|_| sighting.term.is_none())?;
        Some(self.stands_at(witness) + leader_changes - witness.leader_changes - witness.spurious)
    }

    /// An election is seen by every member that lived through it, a stall only by the one that stalled: so what more
    /// than half of the members agree on, until readings that disagree settle on it.
    fn count_without_terms(&mut self, sightings: &[Sighting]) {
        let mut seen: Vec<f64> = sightings
            .iter()
            .filter_map(|sighting| self.seen_by(sighting))
            .collect();
        seen.sort_by(|one, other| other.total_cmp(one));
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number, and saturates where it is negative"
        )]
        let agreed = seen.get(seen.len() / 2).map_or(0, |agreed| *agreed as u64);
        self.without_terms = agreed.max(self.total());
    }

    /// What a member without a term sees differently from the count is its own once it stays so.
    fn settle_without_terms(&mut self, now: Timestamp, sightings: &[Sighting]) {
        let total = self.total() as f64;
        for sighting in sightings {
            let Some(seen) = self.seen_by(sighting) else {
                continue;
            };
            let Some(witness) = self.members.get_mut(&sighting.member) else {
                continue;
            };
            if seen == total {
                witness.open_since = None;
            } else if now.since(*witness.open_since.get_or_insert(now)) >= SETTLES_AFTER {
                witness.spurious += seen - total;
                witness.open_since = None;
            }
        }
    }

    /// What was counted without terms becomes the ladder's top only when terms had time to tell of the same elections:
    /// a step above it would count the last of them twice.
    fn build_on_what_was_counted_without_terms(&mut self, now: Timestamp) {
        let since = *self.told_since.get_or_insert(now);
        if now.since(since) >= SETTLES_AFTER
            && let Some(mut top) = self.ladder.last_entry()
        {
            *top.get_mut() = self.without_terms.max(*top.get());
        }
    }
}

/// Whether two start times are of different processes.
pub(super) fn is_restart(before: Option<f64>, now: Option<f64>) -> bool {
    matches!((before, now), (Some(before), Some(now)) if now > before + START_TIME_JITTER)
}

/// Restarts of each member.
#[derive(Debug, Default)]
pub(super) struct Restarts(HashMap<u64, (f64, u64)>);

impl Restarts {
    /// Takes a member's start time, and gives its restarts so far.
    pub(super) fn observe(&mut self, member: u64, start_time: f64) -> u64 {
        let (known, count) = self.0.entry(member).or_insert((start_time, 0));
        if is_restart(Some(*known), Some(start_time)) {
            *count += 1;
            *known = start_time;
        }
        *count
    }

    /// The restarts of a member so far, when it was seen before.
    pub(super) fn of(&self, member: u64) -> Option<u64> {
        self.0.get(&member).map(|(_, count)| *count)
    }

    /// Forgets members that left the cluster.
    pub(super) fn retain(&mut self, is_member: impl Fn(u64) -> bool) {
        self.0.retain(|id, _| is_member(*id));
    }
}

#[cfg(test)]
mod tests;
