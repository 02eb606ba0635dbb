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
mod tests {
    use super::*;

    /// A member's reading: id, term (0 for none), leader changes (negative for none), start time (0 for none).
    type Reading = (u64, u64, i64, u32);

    /// Polls 5 s apart, each with the readings that came in it; gives the count after each.
    fn counts(polls: &[&[Reading]]) -> Vec<u64> {
        let mut elections = Elections::default();
        let mut now = Timestamp::from_millis(0);
        let mut counts = Vec::new();
        for poll in polls {
            let sightings: Vec<Sighting> = poll
                .iter()
                .map(|&(member, term, changes, start)| Sighting {
                    member,
                    term: (term > 0).then_some(term),
                    leader_changes: (changes >= 0).then_some(changes as f64),
                    start_time: (start > 0).then_some(f64::from(start)),
                })
                .collect();
            counts.push(elections.observe(now, &sightings));
            now = now.plus(Duration::from_secs(5));
        }
        counts
    }

    #[test]
    fn what_was_before_the_first_poll_is_not_counted() {
        assert_eq!(
            counts(&[&[(1, 7, 3, 1), (2, 7, 1, 1)], &[(1, 7, 3, 1), (2, 7, 1, 1)]]),
            [0, 0]
        );
    }

    #[test]
    fn an_election_that_all_see_at_once_is_one() {
        assert_eq!(
            counts(&[
                &[(1, 2, 1, 1), (2, 2, 1, 1), (3, 2, 1, 1)],
                &[(1, 3, 2, 1), (2, 3, 2, 1), (3, 3, 2, 1)],
                &[(1, 3, 2, 1), (2, 3, 2, 1), (3, 3, 2, 1)],
            ]),
            [0, 1, 1]
        );
    }

    #[test]
    fn several_between_two_polls_are_all_counted() {
        assert_eq!(
            counts(&[&[(1, 2, 1, 1), (2, 2, 1, 1)], &[(1, 6, 5, 1), (2, 6, 5, 1)]]),
            [0, 4]
        );
    }

    /// The counter moves when the leader is known, the term when its first entry is applied.
    #[test]
    fn a_counter_that_is_ahead_of_the_term_by_a_poll_is_one_election() {
        assert_eq!(
            counts(&[&[(1, 2, 1, 1)], &[(1, 2, 2, 1)], &[(1, 3, 2, 1)], &[(1, 3, 2, 1)]]),
            [0, 0, 1, 1]
        );
    }

    #[test]
    fn a_term_that_is_ahead_of_the_counter_by_a_poll_is_one_election() {
        assert_eq!(
            counts(&[&[(1, 2, 1, 1)], &[(1, 3, 1, 1)], &[(1, 3, 2, 1)], &[(1, 3, 2, 1)]]),
            [0, 1, 1, 1]
        );
    }

    /// Two elections, of which the poll in between saw the second only half.
    #[test]
    fn a_half_seen_election_behind_a_whole_one_is_not_lost() {
        assert_eq!(
            counts(&[&[(1, 2, 1, 1)], &[(1, 5, 2, 1)], &[(1, 5, 3, 1)], &[(1, 5, 3, 1)]]),
            [0, 1, 2, 2]
        );
    }

    /// etcd 3.4 without pre-vote: the candidacies of a member that was cut off.
    #[test]
    fn a_jump_of_the_term_is_as_many_elections_as_leaders_were_gained() {
        assert_eq!(
            counts(&[
                &[(1, 2, 1, 1), (2, 2, 1, 1), (3, 2, 1, 1)],
                &[(1, 2, 1, 1), (2, 2, 1, 1)],
                &[(1, 20, 2, 1), (2, 20, 2, 1), (3, 20, 2, 1)],
                &[(1, 20, 2, 1), (2, 20, 2, 1), (3, 20, 2, 1)],
                &[(1, 20, 2, 1), (2, 20, 2, 1), (3, 20, 2, 1)],
            ]),
            [0, 0, 1, 1, 1]
        );
    }

    #[test]
    fn a_member_s_own_stall_is_no_election() {
        assert_eq!(
            counts(&[
                &[(1, 2, 1, 1), (2, 2, 1, 1)],
                &[(1, 2, 1, 1), (2, 2, 4, 1)],
                &[(1, 2, 1, 1), (2, 2, 4, 1)]
            ]),
            [0, 0, 0]
        );
    }

    /// Old disagreements settle: a stall must not be paired with a jump of the term much later.
    #[test]
    fn a_stall_and_a_later_jump_of_the_term_are_one_election() {
        let quiet: &[Reading] = &[(1, 2, 4, 1)];
        assert_eq!(
            counts(&[
                &[(1, 2, 1, 1)],
                quiet,
                quiet,
                quiet,
                quiet,
                &[(1, 20, 5, 1)],
                &[(1, 20, 5, 1)]
            ]),
            [0, 0, 0, 0, 0, 1, 1]
        );
    }

    #[test]
    fn a_member_that_was_away_tells_nothing_twice() {
        assert_eq!(
            counts(&[
                &[(1, 2, 1, 1), (2, 2, 1, 1)],
                &[(1, 3, 2, 1)],
                &[(1, 4, 3, 1)],
                &[(1, 4, 3, 1), (2, 4, 3, 1)],
                &[(1, 5, 4, 1), (2, 5, 4, 1)],
            ]),
            [0, 1, 2, 2, 3]
        );
    }

    #[test]
    fn a_gap_in_which_nobody_was_seen_loses_nothing() {
        assert_eq!(
            counts(&[
                &[(1, 2, 1, 1), (2, 2, 1, 1)],
                &[],
                &[],
                &[(1, 5, 4, 1), (2, 5, 4, 1)]
            ]),
            [0, 0, 0, 3]
        );
    }

    #[test]
    fn members_that_take_turns_in_being_seen_count_each_election_once() {
        assert_eq!(
            counts(&[
                &[(1, 2, 1, 1), (2, 2, 1, 1)],
                &[(1, 3, 2, 1)],
                &[(2, 4, 3, 1)],
                &[(1, 5, 4, 1)],
                &[(2, 5, 4, 1)],
            ]),
            [0, 1, 2, 3, 3]
        );
    }

    #[test]
    fn the_killed_leader_s_new_counter_is_not_compared_with_its_old_one() {
        assert_eq!(
            counts(&[
                &[(1, 2, 5, 1), (2, 2, 5, 1), (3, 2, 5, 1)],
                &[(2, 3, 6, 1), (3, 3, 6, 1)],
                &[(1, 3, 1, 90), (2, 3, 6, 1), (3, 3, 6, 1)],
                &[(1, 3, 1, 90), (2, 3, 6, 1), (3, 3, 6, 1)],
            ]),
            [0, 1, 1, 1]
        );
    }

    /// A restart shows in the start time even when the counter has grown past its old value.
    #[test]
    fn a_restarted_counter_that_overtook_itself_is_no_witness() {
        assert_eq!(
            counts(&[&[(1, 2, 1, 1), (2, 9, 1, 1)], &[(1, 9, 8, 90), (2, 9, 1, 1)]]),
            [0, 0]
        );
    }

    #[test]
    fn when_all_restarted_the_term_still_shows_that_there_was_an_election() {
        assert_eq!(
            counts(&[&[(1, 2, 1, 1), (2, 2, 1, 1)], &[(1, 5, 1, 90), (2, 5, 1, 91)]]),
            [0, 1]
        );
    }

    #[test]
    fn a_page_that_is_missing_now_and_then_loses_nothing() {
        assert_eq!(
            counts(&[
                &[(1, 2, 1, 1)],
                &[(1, 4, -1, 0)],
                &[(1, 4, 3, 1)],
                &[(1, 0, 3, 1)],
                &[(1, 5, 4, 1)]
            ]),
            [0, 1, 2, 2, 3]
        );
    }

    #[test]
    fn a_member_that_is_new_brings_no_past_with_it() {
        assert_eq!(
            counts(&[
                &[(1, 5, 4, 1)],
                &[(1, 5, 4, 1), (9, 5, 7, 1)],
                &[(1, 6, 5, 1), (9, 6, 8, 1)]
            ]),
            [0, 0, 1]
        );
    }

    /// At the start one member lags behind: the terms that it makes up for were before.
    #[test]
    fn terms_before_the_start_are_not_counted_later() {
        assert_eq!(
            counts(&[
                &[(1, 5, 4, 1), (2, 3, 2, 1)],
                &[(1, 5, 4, 1), (2, 5, 4, 1)],
                &[(1, 6, 5, 1), (2, 6, 5, 1)]
            ]),
            [0, 0, 1]
        );
    }

    #[test]
    fn without_pages_each_new_term_is_one_election() {
        assert_eq!(
            counts(&[&[(1, 2, -1, 0)], &[(1, 3, -1, 0)], &[(1, 7, -1, 0)]]),
            [0, 1, 2]
        );
    }

    #[test]
    fn without_terms_it_takes_more_than_half_of_the_members() {
        assert_eq!(
            counts(&[
                &[(1, 0, 1, 1), (2, 0, 1, 1), (3, 0, 1, 1)],
                // A stall of one.
                &[(1, 0, 2, 1), (2, 0, 1, 1), (3, 0, 1, 1)],
                &[(1, 0, 2, 1), (2, 0, 1, 1), (3, 0, 1, 1)],
                &[(1, 0, 2, 1), (2, 0, 1, 1), (3, 0, 1, 1)],
                // An election, which one member shows a poll late.
                &[(1, 0, 3, 1), (2, 0, 1, 1), (3, 0, 2, 1)],
                &[(1, 0, 3, 1), (2, 0, 2, 1), (3, 0, 2, 1)],
            ]),
            [0, 0, 0, 0, 1, 1]
        );
    }

    /// Status is readable, then refused everywhere (an upgrade to 3.5.28 with authentication), then readable again.
    #[test]
    fn elections_are_counted_on_when_terms_are_no_longer_told() {
        assert_eq!(
            counts(&[
                &[(1, 2, 1, 1), (2, 2, 1, 1), (3, 2, 1, 1)],
                &[(1, 3, 2, 1), (2, 3, 2, 1), (3, 3, 2, 1)],
                &[(1, 0, 2, 1), (2, 0, 2, 1), (3, 0, 2, 1)],
                &[(1, 0, 3, 1), (2, 0, 3, 1), (3, 0, 3, 1)],
                // Nobody tells anything.
                &[(1, 0, -1, 0), (2, 0, -1, 0), (3, 0, -1, 0)],
                &[],
                &[(1, 0, 5, 1), (2, 0, 5, 1), (3, 0, 5, 1)],
                // The same elections, told by the terms.
                &[(1, 6, 5, 1), (2, 6, 5, 1), (3, 6, 5, 1)],
                &[(1, 7, 6, 1), (2, 7, 6, 1), (3, 7, 6, 1)],
            ]),
            [0, 1, 1, 2, 2, 2, 4, 4, 5]
        );
    }

    #[test]
    fn an_election_half_seen_when_terms_come_or_go_is_counted_once() {
        // The term told of it, the leader changes follow when terms are no longer told.
        assert_eq!(
            counts(&[&[(1, 2, 1, 1)], &[(1, 3, 1, 1)], &[(1, 0, 2, 1)], &[(1, 0, 3, 1)]]),
            [0, 1, 1, 2]
        );
        // The leader changes told of it, the term follows.
        let quiet: &[Reading] = &[(1, 3, 2, 1)];
        assert_eq!(
            counts(&[
                &[(1, 2, 1, 1)],
                &[(1, 0, 2, 1)],
                &[(1, 2, 2, 1)],
                quiet,
                quiet,
                quiet,
                &[(1, 4, 3, 1)]
            ]),
            [0, 1, 1, 1, 1, 1, 2]
        );
    }

    #[test]
    fn restarts_and_stalls_while_no_terms_are_told_are_no_elections() {
        assert_eq!(
            counts(&[
                &[(1, 2, 5, 1), (2, 2, 5, 1), (3, 2, 5, 1)],
                // One is restarted, one stalls.
                &[(1, 0, 1, 90), (2, 0, 7, 1), (3, 0, 5, 1)],
                &[(1, 0, 1, 90), (2, 0, 7, 1), (3, 0, 5, 1)],
                &[(1, 0, 1, 90), (2, 0, 7, 1), (3, 0, 5, 1)],
                &[(1, 0, 2, 90), (2, 0, 8, 1), (3, 0, 6, 1)],
                &[(1, 3, 2, 90), (2, 3, 8, 1), (3, 3, 6, 1)],
            ]),
            [0, 0, 0, 0, 1, 1]
        );
    }

    /// A listed member that never comes back.
    #[test]
    fn the_ladder_does_not_grow_while_a_member_is_away() {
        let mut elections = Elections::default();
        let reading = |member, term: u64| Sighting {
            member,
            term: Some(term),
            leader_changes: Some(term as f64),
            start_time: Some(1.0),
        };
        elections.observe(Timestamp::from_millis(0), &[reading(1, 2), reading(2, 2)]);
        for term in 3..3000 {
            let now = Timestamp::from_millis(i64::try_from(term).unwrap() * 5000);
            assert_eq!(elections.observe(now, &[reading(1, term)]), term - 2);
        }
        assert!(
            elections.ladder.len() <= LADDER_TERMS + 2,
            "{}",
            elections.ladder.len()
        );
        // It comes back, behind and then up to date: all of that was counted.
        let now = Timestamp::from_millis(20_000_000);
        assert_eq!(elections.observe(now, &[reading(2, 1500)]), 2997);
        assert_eq!(
            elections.observe(now, &[reading(1, 3000), reading(2, 3000)]),
            2998
        );
    }

    /// Whatever is seen, the count never falls, and never grows by more than the terms did.
    #[test]
    fn the_count_is_bounded_by_the_terms() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for _ in 0..200 {
            let mut elections = Elections::default();
            let (mut term, mut changes, mut last) = (2, [1_u64; 3], 0);
            let mut first = None;
            for poll in 0..50 {
                term += random(4) / 2 * random(3);
                let mut sightings = Vec::new();
                for (member, changes) in changes.iter_mut().enumerate() {
                    *changes += random(3);
                    if random(3) > 0 {
                        sightings.push(Sighting {
                            member: member as u64,
                            term: Some(term.saturating_sub(random(2))),
                            leader_changes: Some(*changes as f64),
                            start_time: Some(1.0),
                        });
                    }
                }
                let highest = sightings.iter().filter_map(|sighting| sighting.term).max();
                first = first.or(highest);
                let count = elections.observe(Timestamp::from_millis(poll * 5000), &sightings);
                assert!(
                    count >= last && count <= term - first.unwrap_or(term),
                    "{count} {last} {term} {first:?}"
                );
                last = count;
            }
        }
    }

    #[test]
    fn restarts_are_told_from_the_start_time_and_not_from_its_jitter() {
        let mut restarts = Restarts::default();
        assert_eq!(restarts.of(1), None);
        for (start_time, count) in [
            (100.0, 0),
            (101.0, 0),
            (100.0, 0),
            (250.3, 1),
            (250.3, 1),
            (900.0, 2),
        ] {
            assert_eq!(restarts.observe(1, start_time), count);
        }
        restarts.retain(|_| false);
        assert_eq!(restarts.of(1), None);
    }
}
