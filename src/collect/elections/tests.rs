//! Elections over gaps, restarts, stalls, and terms that are told or not.

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
