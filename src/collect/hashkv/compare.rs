//! One comparison of the members' data: at a common revision, confirmed before a difference is believed.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use crate::client::etcd::{Etcd, Hashed};
use crate::model::{CollectError, Reason};

/// How often it is begun anew because a compaction or a restart came between.
const ATTEMPTS: usize = 4;

/// How far a member's applied index may be below the foremost's for it to be asked: about what a loaded cluster writes
/// between two reads. One that catches up has enough to read.
const BEHIND: u64 = 2000;

/// A member to ask.
pub(super) struct Asked {
    pub(super) name: Arc<str>,
    pub(super) id: u64,
    pub(super) etcd: Arc<Etcd>,
    /// The deadline of its Status: one that defragments does not answer it, and is left alone.
    pub(super) status_limit: Duration,
}

/// What came of a comparison.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Compared {
    /// Where the data were compared.
    pub(super) revision: i64,
    /// Of each member that was asked, whether it differs from the majority.
    pub(super) differs: Vec<(Arc<str>, bool)>,
}

/// Compares. A difference is believed when a second comparison, at a newer revision if there is one, names the same
/// members.
pub(super) async fn compare(members: Vec<Asked>) -> Result<Compared, CollectError> {
    let mut before: Option<Compared> = None;
    for _ in 0..ATTEMPTS {
        let Some(compared) = once(&members).await? else {
            continue;
        };
        let agree = compared.differs.iter().all(|(_, differs)| !differs);
        if agree || before.is_some_and(|before| before.differs == compared.differs) {
            return Ok(compared);
        }
        before = Some(compared);
    }
    Err(CollectError {
        reason: Reason::Refused,
        message: format!(
            "the members' data could not be compared: {ATTEMPTS} times in a row a compaction came between"
        ),
        fix: "it is tried again after the next interval".into(),
    })
}

/// One comparison; none when a compaction came between.
async fn once(members: &[Asked]) -> Result<Option<Compared>, CollectError> {
    let asked = members.iter().map(|member| async move {
        let status = timeout(member.status_limit, member.etcd.status()).await.ok()?;
        Some((member, status))
    });
    let mut refused = None;
    let mut ready = Vec::new();
    for (member, status) in join_all(asked).await.into_iter().flatten() {
        match status {
            Ok(status) if status.header.member_id == member.id => ready.push((member, status)),
            // Another one answers there: that is said elsewhere.
            Ok(_) => {}
            Err(error) => refused = Some(error),
        }
    }
    let foremost = ready.iter().map(|(_, status)| status.applied).max().unwrap_or(0);
    ready.retain(|(_, status)| foremost - status.applied <= BEHIND);
    if ready.len() < 2 {
        return Err(refused.unwrap_or_else(|| CollectError {
            reason: Reason::Unreachable,
            message:
                "the members' data could not be compared: fewer than two members answer and are not behind"
                    .into(),
            fix: String::new(),
        }));
    }
    let revision = ready
        .iter()
        .map(|(_, status)| status.header.revision)
        .min()
        .unwrap_or(0);
    // One after the other, the leader last: each reads all of its database.
    ready.sort_by_key(|(member, status)| status.leader == member.id);
    let mut hashes: Vec<(Arc<str>, Hashed)> = Vec::new();
    for (member, _) in ready {
        match member.etcd.hash_kv(revision).await {
            Ok(Some(hashed)) => hashes.push((Arc::clone(&member.name), hashed)),
            Ok(None) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    hashes.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(judge(revision, &hashes))
}

/// Who differs from the majority; none when the members had not discarded the same history, so that their hashes are of
/// different things.
fn judge(revision: i64, hashes: &[(Arc<str>, Hashed)]) -> Option<Compared> {
    let compacted = hashes.first()?.1.compact_revision;
    if hashes
        .iter()
        .any(|(_, hashed)| hashed.compact_revision != compacted)
    {
        return None;
    }
    let in_majority = |hash: u32| {
        let same = hashes.iter().filter(|(_, hashed)| hashed.hash == hash);
        same.count() * 2 > hashes.len()
    };
    let all_same = hashes.iter().all(|(_, hashed)| hashed.hash == hashes[0].1.hash);
    let differs = hashes
        .iter()
        .map(|(name, hashed)| (Arc::clone(name), !all_same && !in_majority(hashed.hash)));
    Some(Compared {
        revision,
        differs: differs.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd(hashes: &[(u32, i64)]) -> Option<Vec<usize>> {
        let hashes: Vec<(Arc<str>, Hashed)> = hashes
            .iter()
            .map(|&(hash, compact_revision)| {
                (
                    "m".into(),
                    Hashed {
                        hash,
                        compact_revision,
                    },
                )
            })
            .collect();
        let compared = judge(7, &hashes)?;
        let odd = compared
            .differs
            .iter()
            .enumerate()
            .filter(|(_, (_, differs))| *differs);
        Some(odd.map(|(at, _)| at).collect())
    }

    #[test]
    fn the_minority_is_wrong_and_without_a_majority_all_may_be() {
        assert_eq!(odd(&[(1, 5), (1, 5), (1, 5)]), Some(vec![]));
        assert_eq!(odd(&[(1, 5), (2, 5), (1, 5)]), Some(vec![1]));
        assert_eq!(odd(&[(1, 5), (2, 5)]), Some(vec![0, 1]));
        assert_eq!(odd(&[(1, 5), (1, 5), (2, 5), (3, 5)]), Some(vec![0, 1, 2, 3]));
        assert_eq!(odd(&[(1, 5), (1, 5), (1, 5), (2, 5), (3, 5)]), Some(vec![3, 4]));
    }

    #[test]
    fn hashes_of_different_histories_are_not_compared() {
        assert_eq!(odd(&[(1, 5), (2, 6), (1, 5)]), None);
    }
}
