//! What is logged of the cycles: each change once, and nothing while things stay as they are.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diagnosis::{Diagnosis, Status};
use crate::model::{Outcome, Reason, Verdict};

/// How a collector fares, as far as a change of it is worth a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Reads,
    DoesNotApply,
    Fails(Reason),
}

/// What was logged last.
#[derive(Debug, Default)]
pub(super) struct Changes {
    collectors: HashMap<(&'static str, Option<Arc<str>>), State>,
    verdict: Option<(Status, Option<String>)>,
}

impl Changes {
    /// Logs what is not as it was in the cycle before.
    pub(super) fn log(&mut self, outcomes: &[Outcome], diagnosis: &Diagnosis) {
        let cluster = &diagnosis.cluster;
        for outcome in outcomes {
            let state = match &outcome.verdict {
                Verdict::Read | Verdict::Nothing(_) => State::Reads,
                Verdict::NotApplicable(_) => State::DoesNotApply,
                Verdict::Failed(error) => State::Fails(error.reason),
            };
            let key = (outcome.collector, outcome.member.clone());
            let before = self.collectors.insert(key, state);
            if before == Some(state) || (before.is_none() && state == State::Reads) {
                continue;
            }
            let (collector, member) = (outcome.collector, outcome.member.as_deref().unwrap_or_default());
            match &outcome.verdict {
                Verdict::Read | Verdict::Nothing(_) => {
                    tracing::info!(%cluster, collector, member, "reads again")
                }
                Verdict::NotApplicable(reason) => {
                    tracing::info!(%cluster, collector, member, %reason, "does not apply here");
                }
                Verdict::Failed(error) => {
                    tracing::warn!(%cluster, collector, member, %error, fix = error.fix, "cannot be read");
                }
            }
        }
        // A member that went away is forgotten: should it come back, its troubles are news again.
        let known = |key: &(&str, Option<Arc<str>>)| {
            outcomes
                .iter()
                .any(|outcome| (outcome.collector, &outcome.member) == (key.0, &key.1))
        };
        self.collectors.retain(|key, _| known(key));

        let verdict = (
            diagnosis.status,
            diagnosis.problems.first().map(|problem| problem.alert.clone()),
        );
        if self.verdict.as_ref() != Some(&verdict) {
            tracing::info!(%cluster, status = verdict.0.as_str(), summary = diagnosis.summary, "verdict");
            self.verdict = Some(verdict);
        }
    }
}
