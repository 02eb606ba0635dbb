//! Users and their passwords.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bcrypt::HashParts;
use rustls::crypto::ring;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

/// The lowest cost of bcrypt that there is.
const MIN_COST: u32 = 4;

/// The highest that is taken. Each further one doubles the time: at 14 a check takes about a second on a core of today,
/// at 18 longer than any request may take. A slower core, and a few who wait for their turn, must fit into that too.
const MAX_COST: u32 = 14;

/// How many outcomes are remembered, of either kind. Scrapers send the same few over and over.
const MAX_REMEMBERED: usize = 100;

/// Whether a hash can be checked.
///
/// # Errors
/// Why not, without a letter of the hash.
pub(super) fn check_hash(hash: &str) -> Result<(), String> {
    match hash.parse::<HashParts>() {
        Ok(parts) if !(MIN_COST..=MAX_COST).contains(&parts.get_cost()) => Err(format!(
            "the cost of the hash is {}; it may be {MIN_COST} to {MAX_COST}, and 10 is usual",
            parts.get_cost()
        )),
        Ok(_) => Ok(()),
        Err(_) => Err(
            "what is expected here is a hash by bcrypt, 60 letters long, such as `htpasswd -nBC 10 \"\" | tr -d ':\\n'` \
             prints, and never the password itself"
                .to_owned(),
        ),
    }
}

/// The users that may come in.
pub(super) struct Users {
    hashes: BTreeMap<String, String>,
    /// What the password of an unknown user is checked against, so that it takes as long as a known one's.
    decoy: String,
}

impl Users {
    /// None where there is nobody: then everybody may come in. The hashes were checked.
    pub(super) fn new(users: Vec<(String, String)>) -> Option<Self> {
        if users.is_empty() {
            return None;
        }
        let costs = users
            .iter()
            .filter_map(|(_, hash)| hash.parse::<HashParts>().ok());
        let cost = costs.map(|parts| parts.get_cost()).max().unwrap_or(MIN_COST);
        Some(Self {
            hashes: users.into_iter().collect(),
            // No password has it: salt and hash are all zero bits.
            decoy: format!("$2b${cost:02}${}", ".".repeat(53)),
        })
    }
}

/// Checks passwords, one at a time, and remembers the outcomes: a scrape every few seconds must not cost a hash each time.
pub(super) struct Judge {
    seen: Arc<Mutex<Seen>>,
    /// Whose turn it is: hashing takes a whole core.
    turn: Arc<Semaphore>,
    /// In front of what is remembered, so that nobody can tell it from the outside, nor a password from it.
    salt: [u8; 32],
}

/// Good and bad ones apart: guesses must not crowd out those that scrape.
#[derive(Default)]
struct Seen {
    good: HashSet<[u8; 32]>,
    bad: HashSet<[u8; 32]>,
}

impl Default for Judge {
    fn default() -> Self {
        let mut salt = [0; 32];
        // It fails only where the operating system has no random numbers; nothing is remembered across processes then
        // either, and TLS is not to be had at all.
        let _ = ring::default_provider().secure_random.fill(&mut salt);
        Self {
            seen: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
            salt,
        }
    }
}

impl Judge {
    /// Whether a user may come in with a password.
    pub(super) async fn admits(&self, users: &Users, user: &str, password: &[u8]) -> bool {
        let known = users.hashes.get(user);
        let is_known = known.is_some();
        let hash = known.unwrap_or(&users.decoy).clone();
        let key = self.key(user, &hash, password);
        if let Some(outcome) = self.seen().outcome(&key) {
            return outcome;
        }
        let password = password.to_vec();
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else {
            return false;
        };
        // Somebody before may have asked the same.
        if let Some(outcome) = self.seen().outcome(&key) {
            return outcome;
        }
        let seen = Arc::clone(&self.seen);
        let checked = tokio::task::spawn_blocking(move || {
            // Held and remembered here: a client that hangs up, or is answered that it took too long, does not let the
            // next one begin meanwhile, and finds the outcome when it comes back.
            let _turn = turn;
            // First the check and then whether there is such a user, so that either takes as long.
            let outcome = bcrypt::verify(password, &hash).unwrap_or(false) && is_known;
            locked(&seen).remember(key, outcome);
            outcome
        });
        checked.await.unwrap_or(false)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        locked(&self.seen)
    }

    /// What an attempt is remembered as. The hash is part of it, so that a changed one is checked anew.
    fn key(&self, user: &str, hash: &str, password: &[u8]) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.salt);
        for part in [user.as_bytes(), hash.as_bytes(), password] {
            // The length goes in first, so that no two attempts are one text.
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

impl Seen {
    fn outcome(&self, key: &[u8; 32]) -> Option<bool> {
        let good = self.good.contains(key);
        (good || self.bad.contains(key)).then_some(good)
    }

    fn remember(&mut self, key: [u8; 32], outcome: bool) {
        let all = match outcome {
            true => &mut self.good,
            false => &mut self.bad,
        };
        if all.len() >= MAX_REMEMBERED {
            all.clear();
        }
        all.insert(key);
    }
}

fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &str) -> String {
        bcrypt::hash(password, MIN_COST).unwrap()
    }

    fn users(of: &[(&str, &str)]) -> Users {
        let hashed = of
            .iter()
            .map(|(name, password)| ((*name).to_owned(), hash(password)));
        Users::new(hashed.collect()).unwrap()
    }

    #[tokio::test]
    async fn the_right_password_of_a_known_user_and_nothing_else() {
        let (judge, users) = (Judge::default(), users(&[("ann", "a"), ("bob", "b")]));
        // Twice: the second time it is remembered.
        for _ in 0..2 {
            for (user, password, admitted) in [
                ("ann", "a", true),
                ("bob", "b", true),
                ("ann", "b", false),
                ("ann", "", false),
                ("cid", "a", false),
                ("", "", false),
            ] {
                assert_eq!(
                    judge.admits(&users, user, password.as_bytes()).await,
                    admitted,
                    "{user} {password}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_changed_password_counts_at_once() {
        let judge = Judge::default();
        assert!(judge.admits(&users(&[("ann", "old")]), "ann", b"old").await);
        let new = users(&[("ann", "new")]);
        assert!(!judge.admits(&new, "ann", b"old").await);
        assert!(judge.admits(&new, "ann", b"new").await);
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded_and_guesses_crowd_nobody_out() {
        let (judge, users) = (Judge::default(), users(&[("ann", "a")]));
        assert!(judge.admits(&users, "ann", b"a").await);
        for guess in 0..MAX_REMEMBERED + 10 {
            assert!(!judge.admits(&users, "ann", guess.to_string().as_bytes()).await);
        }
        let seen = judge.seen();
        assert_eq!((seen.good.len(), seen.bad.len()), (1, 10));
    }

    #[tokio::test]
    async fn an_unknown_user_is_answered_when_the_check_is_done_and_not_before() {
        let judge = Judge::default();
        // Dear enough to be still going on if nobody waited for it.
        let users = Users::new(vec![("ann".to_owned(), bcrypt::hash("a", 9).unwrap())]).unwrap();
        for user in ["ann", "cid"] {
            assert!(!judge.admits(&users, user, b"wrong").await);
            assert_eq!(judge.turn.available_permits(), 1, "{user}");
        }
    }

    #[tokio::test]
    async fn a_check_that_nobody_waits_for_any_more_is_remembered() {
        let judge = Judge::default();
        // Dear enough to be still going on when the first poll is over.
        let users = Users::new(vec![("ann".to_owned(), bcrypt::hash("a", 9).unwrap())]).unwrap();
        let mut asked = Box::pin(judge.admits(&users, "ann", b"a"));
        assert!(futures::poll!(&mut asked).is_pending());
        drop(asked);
        // Its turn is over when it is done.
        let _turn = judge.turn.acquire().await.unwrap();
        assert_eq!(judge.seen().good.len(), 1);
        assert!(
            judge.admits(&users, "ann", b"a").await,
            "it would wait for its turn"
        );
    }

    #[test]
    fn the_decoy_is_a_hash_of_the_highest_cost_in_use() {
        let hashes = vec![
            ("a".to_owned(), bcrypt::hash("x", 4).unwrap()),
            ("b".to_owned(), bcrypt::hash("x", 6).unwrap()),
        ];
        let users = Users::new(hashes).unwrap();
        assert_eq!(users.decoy.parse::<HashParts>().unwrap().get_cost(), 6);
        assert_eq!(bcrypt::verify("x", &users.decoy).ok(), Some(false));
    }

    #[test]
    fn every_prefix_of_the_tools_is_known() {
        // Of "password", as htpasswd and as others write it.
        let parts: HashParts = hash("password").parse().unwrap();
        for version in [
            bcrypt::Version::TwoA,
            bcrypt::Version::TwoB,
            bcrypt::Version::TwoY,
        ] {
            let hash = parts.format_for_version(version);
            assert_eq!(check_hash(&hash), Ok(()));
            assert_eq!(bcrypt::verify("password", &hash).ok(), Some(true), "{hash}");
        }
    }

    #[test]
    fn what_is_no_hash_is_refused_without_being_repeated() {
        let dear = bcrypt::hash("x", 4).unwrap().replacen("$04$", "$15$", 1);
        for (text, why) in [
            ("hunter2", "a hash by bcrypt"),
            ("", "a hash by bcrypt"),
            (&dear, "the cost of the hash is 15; it may be 4 to 14"),
        ] {
            let error = check_hash(text).unwrap_err();
            assert!(error.contains(why), "{error}");
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }
}
