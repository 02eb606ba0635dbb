//! Refusals by etcd's authentication, which stand for a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::CollectError;

/// How long a refusal stands before the call is tried again: nobody changes roles faster, and each `Authenticate` costs
/// every member a raft entry and tens of milliseconds of CPU.
const STANDS_FOR: Duration = Duration::from_secs(60);

/// What was refused, by the call's name.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<&'static str, (Instant, CollectError)>>);

impl Refusals {
    /// The refusal of a call that is not to be tried again yet.
    pub(super) fn standing(&self, call: &str) -> Option<CollectError> {
        let refusals = self.refusals();
        let (until, error) = refusals.get(call)?;
        (Instant::now() < *until).then(|| error.clone())
    }

    /// Lets a refusal stand from now on.
    pub(super) fn note(&self, call: &'static str, error: &CollectError) {
        let until = Instant::now() + STANDS_FOR;
        self.refusals().insert(call, (until, error.clone()));
    }

    fn refusals(&self) -> MutexGuard<'_, HashMap<&'static str, (Instant, CollectError)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reason;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_stands_for_its_call_and_ends() {
        let refusals = Refusals::default();
        let error = CollectError {
            reason: Reason::PermissionDenied,
            message: "no".into(),
            fix: String::new(),
        };
        refusals.note("Status", &error);
        tokio::time::advance(STANDS_FOR - Duration::from_secs(1)).await;
        assert!(
            refusals
                .standing("Status")
                .is_some_and(|error| error.message == "no")
        );
        assert!(refusals.standing("MemberList").is_none());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(refusals.standing("Status").is_none());
    }
}
