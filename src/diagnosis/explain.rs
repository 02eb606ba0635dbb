//! Causes over symptoms: which problem stands under which, and the ranking.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::{Problem, Severity};
use crate::rules::convention::Symptom;

/// A problem with what its rule says that it accounts for.
pub(super) struct Candidate {
    pub(super) problem: Problem,
    pub(super) explains: Vec<Symptom>,
}

/// Ranks the problems and puts each symptom under the highest-ranked problem that accounts for it.
pub(super) fn relate(candidates: Vec<Candidate>) -> Vec<Problem> {
    let candidates = worst_of_each(candidates);
    let symptoms: Vec<Vec<usize>> = candidates
        .iter()
        .enumerate()
        .map(|(cause, candidate)| {
            let others = candidates.iter().enumerate().filter(|(other, _)| *other != cause);
            others
                .filter(|(_, other)| accounts_for(candidate, &other.problem))
                .map(|(other, _)| other)
                .collect()
        })
        .collect();

    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_cached_key(|at| {
        let worst = reachable(*at, &symptoms)
            .into_iter()
            .map(|other| weight(&candidates[other].problem))
            .max();
        let problem = &candidates[*at].problem;
        let own = weight(problem);
        (
            Reverse(worst.max(Some(own))),
            Reverse(own),
            // What happens now, such as a defragmentation, before how the cluster has been set up all the time.
            problem.is_remark(),
            problem.since,
            problem.alert.clone(),
            problem.member.clone(),
        )
    });

    // A symptom goes to the first cause in the ranking that is not itself beneath the symptom: user files may relate
    // alerts in a circle, and then the worse one stays on top.
    let mut cause_of: Vec<Option<usize>> = vec![None; candidates.len()];
    for cause in &order {
        for symptom in &symptoms[*cause] {
            if cause_of[*symptom].is_none() && !is_beneath(*cause, *symptom, &cause_of) {
                cause_of[*symptom] = Some(*cause);
            }
        }
    }

    let mut problems: Vec<Option<Problem>> = candidates
        .into_iter()
        .map(|candidate| Some(candidate.problem))
        .collect();
    let tops: Vec<usize> = order
        .iter()
        .copied()
        .filter(|at| cause_of[*at].is_none())
        .collect();
    take_in_order(&tops, &order, &cause_of, &mut problems)
}

/// Of one alert with the same labels at several severities, the one that counts: firing before pending, then the worst.
fn worst_of_each(candidates: Vec<Candidate>) -> Vec<Candidate> {
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        let labels = candidate.problem.labels.without(&["severity"]);
        match kept
            .iter_mut()
            .find(|other| other.problem.labels.without(&["severity"]) == labels)
        {
            Some(other) if weight(&other.problem) < weight(&candidate.problem) => *other = candidate,
            Some(_) => {}
            None => kept.push(candidate),
        }
    }
    kept
}

fn weight(problem: &Problem) -> (bool, Severity) {
    (problem.firing, problem.severity)
}

fn accounts_for(cause: &Candidate, symptom: &Problem) -> bool {
    // What is not certain yet is no explanation for what is.
    if symptom.firing && !cause.problem.firing {
        return false;
    }
    let same_cluster = cause.problem.labels.get("cluster") == symptom.labels.get("cluster");
    same_cluster
        && cause.explains.iter().any(|explains| {
            explains.alert == symptom.alert
                && (!explains.same_member || cause.problem.member == symptom.member)
        })
}

fn reachable(from: usize, symptoms: &[Vec<usize>]) -> HashSet<usize> {
    let mut seen = HashSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        open.extend(symptoms[at].iter().filter(|symptom| seen.insert(**symptom)));
    }
    seen
}

fn is_beneath(mut at: usize, top: usize, cause_of: &[Option<usize>]) -> bool {
    while let Some(cause) = cause_of[at] {
        if cause == top {
            return true;
        }
        at = cause;
    }
    false
}

fn take_in_order(
    these: &[usize],
    order: &[usize],
    cause_of: &[Option<usize>],
    problems: &mut [Option<Problem>],
) -> Vec<Problem> {
    let mut taken = Vec::new();
    for at in these {
        // Each index is in `these` of exactly one cause, so each problem is taken once.
        let Some(mut problem) = problems[*at].take() else {
            continue;
        };
        let beneath: Vec<usize> = order
            .iter()
            .copied()
            .filter(|other| cause_of[*other] == Some(*at))
            .collect();
        problem.rank = taken.len() + 1;
        problem.explains = take_in_order(&beneath, order, cause_of, problems);
        taken.push(problem);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::tests::problem;

    fn candidate(alert: &str, severity: Severity, member: &str, explains: &str) -> Candidate {
        let explains = crate::rules::convention::parse_explains(explains).expect("test data");
        Candidate {
            problem: problem(alert, severity, member),
            explains,
        }
    }

    /// Alerts in order, symptoms in brackets after their cause.
    fn shape(problems: &[Problem]) -> String {
        let names = problems.iter().map(|problem| match problem.explains.as_slice() {
            [] => problem.alert.clone(),
            symptoms => format!("{}[{}]", problem.alert, shape(symptoms)),
        });
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_cause_takes_its_symptoms_and_their_weight() {
        let related = relate(vec![
            candidate("Other", Severity::Warning, "", ""),
            candidate("NoLeader", Severity::Critical, "", ""),
            candidate("SlowDisk", Severity::Warning, "a", "NoLeader, Elections"),
            candidate("Elections", Severity::Warning, "", ""),
        ]);
        assert_eq!(shape(&related), "SlowDisk[NoLeader Elections] Other");
        assert_eq!(
            related.iter().map(|problem| problem.rank).collect::<Vec<_>>(),
            [1, 2]
        );
    }

    #[test]
    fn what_happens_stands_before_how_the_cluster_is_set_up() {
        let mut set_up = candidate("DataOnOsDisk", Severity::Info, "", "");
        set_up.problem.category = "configuration".to_owned();
        let mut happens = candidate("Defrag", Severity::Info, "a", "");
        happens.problem.since = set_up.problem.since.plus(std::time::Duration::from_secs(60));
        assert_eq!(shape(&relate(vec![set_up, happens])), "Defrag DataOnOsDisk");
    }

    #[test]
    fn a_member_bound_relation_leaves_other_members_alone() {
        let related = relate(vec![
            candidate("SlowDisk", Severity::Warning, "a", "SlowFsync(member)"),
            candidate("SlowFsync", Severity::Warning, "a", ""),
            candidate("SlowFsync", Severity::Warning, "b", ""),
        ]);
        assert_eq!(shape(&related), "SlowDisk[SlowFsync] SlowFsync");
        assert_eq!(related[1].member.as_deref(), Some("b"));
    }

    #[test]
    fn a_symptom_of_two_causes_stands_under_the_higher_ranked() {
        let related = relate(vec![
            candidate("Network", Severity::Warning, "", "Elections"),
            candidate("Elections", Severity::Warning, "", ""),
            candidate("Disk", Severity::Critical, "", "Elections"),
        ]);
        assert_eq!(shape(&related), "Disk[Elections] Network");
    }

    #[test]
    fn what_is_pending_explains_nothing_that_fires() {
        let mut pending = candidate("Disk", Severity::Critical, "a", "Down");
        pending.problem.firing = false;
        let related = relate(vec![pending, candidate("Down", Severity::Warning, "a", "")]);
        assert_eq!(shape(&related), "Down Disk");
    }

    #[test]
    fn chains_nest_and_circles_end() {
        let chain = relate(vec![
            candidate("C", Severity::Critical, "", ""),
            candidate("B", Severity::Warning, "", "C"),
            candidate("A", Severity::Info, "", "B"),
        ]);
        assert_eq!(shape(&chain), "A[B[C]]");
        let circle = relate(vec![
            candidate("A", Severity::Warning, "", "B"),
            candidate("B", Severity::Critical, "", "A"),
        ]);
        assert_eq!(shape(&circle), "B[A]");
    }

    #[test]
    fn of_one_alert_at_two_severities_the_worst_firing_is_shown() {
        let mut pending = candidate("Low", Severity::Critical, "a", "");
        pending.problem.firing = false;
        let related = relate(vec![candidate("Low", Severity::Warning, "a", ""), pending]);
        assert_eq!(related.len(), 1);
        assert_eq!(related[0].severity, Severity::Warning);
        let both = relate(vec![
            candidate("Low", Severity::Warning, "a", ""),
            candidate("Low", Severity::Critical, "a", ""),
        ]);
        assert_eq!((both.len(), both[0].severity), (1, Severity::Critical));
    }
}
