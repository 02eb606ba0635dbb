//! etcd's gRPC: the few calls that only read, each with its deadline, and their errors in words.

mod refusals;
mod words;

use std::error::Error as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Channel, Client, Error, GetOptions};
use futures::FutureExt;
use tokio::time::timeout;
use tonic::Code;

use super::dial::{Dialer, Shown, Trail};
use super::endpoint::Endpoint;
use super::tls::Alpn;
use super::{Login, Network};
use crate::model::{CollectError, Reason};
use refusals::Refusals;
use words::{OLD_REVISION, answered, fresh_token_refused, is_forbidden};

/// The key of the probe reads, the one that `etcdctl endpoint health` reads. It need not exist.
const PROBE_KEY: &str = "health";

/// What etcd says of a revision that it has discarded, and of one that it does not have yet.
const OTHER_REVISION: &str = "mvcc: required revision";

/// The call that gets a token.
const AUTHENTICATE: &str = "Authenticate";

/// The gRPC calls of one member.
pub struct Etcd {
    endpoint: Endpoint,
    client: Client,
    trail: Arc<Trail>,
    timeout: Duration,
    login: Option<Login>,
    /// One `Authenticate` at a time; counts the tokens had, so that the calls that waited do not ask again.
    tokens: tokio::sync::Mutex<u64>,
    refusals: Refusals,
}

/// Who answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The cluster's id, 0 when not told.
    pub cluster_id: u64,
    /// The member's id, 0 when not told.
    pub member_id: u64,
    /// The store's revision.
    pub revision: i64,
    /// The member's raft term.
    pub term: u64,
}

/// The answer of `Maintenance.Status`.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Who answered.
    pub header: Header,
    /// etcd's version.
    pub version: String,
    /// Allocated database size, bytes.
    pub db_size: i64,
    /// Database size without free pages, bytes.
    pub db_in_use: i64,
    /// The quota in bytes, from etcd 3.6; 0 is unknown.
    pub quota: i64,
    /// The leader's id, 0 for none.
    pub leader: u64,
    /// Whether it has no vote.
    pub learner: bool,
    /// Its raft term.
    pub term: u64,
    /// Its raft index.
    pub index: u64,
    /// Its applied index.
    pub applied: u64,
    /// Alarms and `etcdserver: no leader`, as text.
    pub errors: Vec<String>,
}

/// The answer of `Cluster.MemberList`.
#[derive(Clone, Debug, Default)]
pub struct MemberList {
    /// Who answered.
    pub header: Header,
    /// The members, in etcd's order.
    pub members: Vec<Listed>,
}

/// A member in the list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listed {
    /// Its id.
    pub id: u64,
    /// Its name; empty until it first started.
    pub name: String,
    /// Whether it has no vote.
    pub learner: bool,
    /// Where it serves clients; empty until it first started.
    pub client_urls: Vec<String>,
    /// Where it serves its peers.
    pub peer_urls: Vec<String>,
}

/// What a probe read asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consistency {
    /// Needs a leader and a quorum. Adds no raft entry.
    Linearizable,
    /// Answered by the member alone.
    Serializable,
}

/// The answer of `Maintenance.HashKV`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hashed {
    /// Of all keys up to the revision asked for.
    pub hash: u32,
    /// Up to where history was discarded when it was made: only hashes with the same one can be compared.
    pub compact_revision: i64,
}

impl Etcd {
    /// A client of one member. Connects with the first call.
    pub fn new(network: &Network, endpoint: Endpoint) -> Self {
        let trail = Arc::new(Trail::default());
        let dialer = Dialer {
            endpoint: endpoint.clone(),
            tls: Arc::clone(&network.tls),
            alpn: Alpn::Http2,
            limit: network.timeout,
            trail: Arc::clone(&trail),
        };
        Self {
            client: client(&endpoint, dialer, network.timeout),
            endpoint,
            trail,
            timeout: network.timeout,
            login: network.login.clone(),
            tokens: tokio::sync::Mutex::new(0),
            refusals: Refusals::default(),
        }
    }

    /// What the member showed in the TLS handshake of the connection in use; none while none was made.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(super) fn shown(&self) -> Result<Option<Shown>, CollectError> {
        match (self.trail.shown(), self.trail.failure()) {
            (None, Some(failure)) => Err(failure),
            (shown, _) => Ok(shown),
        }
    }

    /// Whether the newest connection was made, whatever came of it: a process that is paused, or a listener that takes
    /// no more, is told from a place where nothing listens.
    pub fn connects(&self) -> bool {
        self.trail.connected()
    }

    /// `Maintenance.Status`: answered by the member alone, without quorum.
    ///
    /// # Errors
    /// Names the endpoint and the reason.
    pub async fn status(&self) -> Result<Status, CollectError> {
        let response = self
            .call("Status", |mut client| async move { client.status().await })
            .await?
            .0;
        Ok(Status {
            header: header(response.header.as_ref()),
            version: response.version,
            db_size: response.db_size,
            db_in_use: response.db_size_in_use,
            quota: response.db_size_quota,
            leader: response.leader,
            learner: response.is_learner,
            term: response.raft_term,
            index: response.raft_index,
            applied: response.raft_applied_index,
            errors: response.errors,
        })
    }

    /// `Cluster.MemberList`, not linearizable: as this member knows it, without quorum.
    ///
    /// # Errors
    /// Names the endpoint and the reason.
    pub async fn member_list(&self) -> Result<MemberList, CollectError> {
        let response = self
            .call(
                "MemberList",
                |mut client| async move { client.member_list().await },
            )
            .await?
            .0;
        let members = response.members.into_iter().map(|member| Listed {
            id: member.id,
            name: member.name,
            learner: member.is_learner,
            client_urls: member.client_ur_ls,
            peer_urls: member.peer_ur_ls,
        });
        Ok(MemberList {
            header: header(response.header.as_ref()),
            members: members.collect(),
        })
    }

    /// `Maintenance.HashKV` at a revision, for which the member reads its whole database; none when it has discarded that
    /// revision, or does not have it yet.
    ///
    /// # Errors
    /// Names the endpoint and the reason.
    pub async fn hash_kv(&self, revision: i64) -> Result<Option<Hashed>, CollectError> {
        let answer = self
            .call(
                "HashKV",
                |mut client| async move { client.hash_kv(revision).await },
            )
            .await;
        match answer {
            Ok(response) => Ok(Some(Hashed {
                hash: response.0.hash,
                compact_revision: response.0.compact_revision,
            })),
            Err(unanswered) if unanswered.error.message.contains(OTHER_REVISION) => Ok(None),
            Err(unanswered) => Err(unanswered.error),
        }
    }

    /// Reads the key `health`. A linearizable read that the member refuses for lack of permission went through
    /// consensus first and counts as answered; who answered is then not told.
    ///
    /// # Errors
    /// Names the endpoint and the reason.
    pub async fn read(&self, consistency: Consistency) -> Result<Header, CollectError> {
        let (name, options) = match consistency {
            Consistency::Linearizable => ("linearizable Range", GetOptions::new()),
            Consistency::Serializable => ("serializable Range", GetOptions::new().with_serializable()),
        };
        let options = options.with_keys_only().with_limit(1);
        let answer = self
            .call(name, |mut client| {
                let options = options.clone();
                async move { client.get(PROBE_KEY, Some(options)).await }
            })
            .await;
        match answer {
            Ok(response) => Ok(header(response.0.header.as_ref())),
            Err(unanswered) if unanswered.forbidden => Ok(Header::default()),
            Err(unanswered) => Err(unanswered.error),
        }
    }

    /// Makes one call within the deadline: with the token at hand, and once more with a new one when the member asks
    /// for it. A refusal stands for a while.
    async fn call<T, F>(&self, name: &'static str, make: impl Fn(Client) -> F) -> Result<T, Unanswered>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if let Some(refusal) = self.refusals.standing(name) {
            return Err(refusal.into());
        }
        let attempt = async {
            let tokens = *self.tokens.lock().await;
            match make(self.client.clone()).await {
                Err(error) if wants_token(&error) && self.login.is_some() => {
                    self.authenticate(tokens).await?;
                    let again = make(self.client.clone()).await;
                    again.map_err(|error| Unanswered {
                        forbidden: forbidden(&error),
                        error: self.refused_again(name, &error),
                    })
                }
                other => other.map_err(|error| Unanswered {
                    forbidden: forbidden(&error),
                    error: self.words(name, &error),
                }),
            }
        };
        let result = match timeout(self.timeout, attempt).await {
            Ok(result) => result,
            Err(_) => Err(self.trail.timed_out(name, &self.endpoint, self.timeout).into()),
        };
        if let Err(Unanswered { error, forbidden: true }) = &result
            // Reads are exempt: a refused linearizable read is an answer, and each has to be measured anew.
            && !name.ends_with("Range")
        {
            self.refusals.note(name, error);
        }
        result
    }

    /// Gets a token, unless another call got one since `known` were had.
    async fn authenticate(&self, known: u64) -> Result<(), CollectError> {
        let Some(login) = &self.login else { return Ok(()) };
        let mut tokens = self.tokens.lock().await;
        if *tokens != known {
            return Ok(());
        }
        if let Some(refusal) = self.refusals.standing(AUTHENTICATE) {
            return Err(refusal);
        }
        let user = (login.username.clone(), login.password()?.reveal().to_owned());
        match self.client.clone().update_user(Some(user)).await {
            Ok(()) => {
                *tokens += 1;
                Ok(())
            }
            Err(error) => {
                let words = self.words(AUTHENTICATE, &error);
                if words.reason == Reason::Unauthenticated {
                    self.refusals.note(AUTHENTICATE, &words);
                }
                Err(words)
            }
        }
    }

    /// The words for a call that failed with a new token. When it is the token that is refused, no other is asked for in
    /// a while: a cluster whose tokens are worthless from the start would have to write each of them to its log.
    fn refused_again(&self, name: &str, error: &Error) -> CollectError {
        match error {
            Error::GRpcStatus(status) if wants_token(error) => {
                let words = fresh_token_refused(&self.endpoint, status);
                self.refusals.note(AUTHENTICATE, &words);
                words
            }
            _ => self.words(name, error),
        }
    }

    /// An error in words: of the connection when it has a source, else of the member.
    fn words(&self, name: &str, error: &Error) -> CollectError {
        let Error::GRpcStatus(status) = error else {
            return CollectError {
                reason: Reason::Malformed,
                message: format!("{name} at {}: {error}", self.endpoint),
                fix: String::new(),
            };
        };
        if status.source().is_none() {
            return answered(name, &self.endpoint, self.login.as_ref(), status);
        }
        if let Some(failure) = source_of::<CollectError>(status) {
            return failure.clone();
        }
        // A peer that answers no ping is given up as a call that takes too long is.
        let gave_up = source_of(status).is_some_and(hyper::Error::is_timeout);
        if gave_up || source_of::<tonic::TimeoutExpired>(status).is_some() {
            return self.trail.timed_out(name, &self.endpoint, self.timeout);
        }
        if let Some(failure) = self.trail.failure() {
            return failure;
        }
        CollectError {
            reason: Reason::Unreachable,
            message: format!(
                "{name} at {}: the connection broke: {}",
                self.endpoint,
                status.message()
            ),
            fix: "check that an etcd of version 3.4 or newer listens there, and that no proxy stands between"
                .into(),
        }
    }
}

/// Why a call brought nothing.
#[derive(Debug)]
struct Unanswered {
    error: CollectError,
    /// Whether it is the member's own answer to this very call that the user may not make it. A password or a
    /// certificate that may not be read has the same reason, and then the call was never made.
    forbidden: bool,
}

impl From<CollectError> for Unanswered {
    fn from(error: CollectError) -> Self {
        Self {
            error,
            forbidden: false,
        }
    }
}

impl From<Unanswered> for CollectError {
    fn from(unanswered: Unanswered) -> Self {
        unanswered.error
    }
}

fn client(endpoint: &Endpoint, dialer: Dialer, limit: Duration) -> Client {
    let authority = match endpoint.address {
        super::endpoint::Address::Tcp { .. } => endpoint.authority(),
        super::endpoint::Address::Unix(_) => "localhost".to_owned(),
    };
    let uri = |scheme: &str| {
        http::Uri::builder()
            .scheme(scheme)
            .authority(authority.as_str())
            .path_and_query("/")
            .build()
            .unwrap_or_default()
    };
    // The URI says http in any case, since TLS is the dialler's. The origin says https where it is so: etcd looks for
    // the client certificate's name only on requests that do.
    let half = limit / 2;
    let channel = tonic::transport::Endpoint::from(uri("http"))
        .origin(uri(if endpoint.tls { "https" } else { "http" }))
        .timeout(limit)
        .connect_timeout(limit)
        // A peer that vanished without a word is noticed within the call that waits for it, so that the next call
        // dials anew. Never while idle: etcd ends connections that ping without a call.
        .http2_keep_alive_interval(half)
        .keep_alive_timeout(half)
        .keep_alive_while_idle(false)
        .connect_with_connector_lazy(dialer);
    Client::from_channel(Channel::Tonic(channel), None)
        .now_or_never()
        .and_then(Result::ok)
        // Without a user `from_channel` has nothing to wait for and nothing that can fail.
        .unwrap_or_else(|| unreachable!("a client without a user is made at once"))
}

fn header(header: Option<&etcd_client::proto::PbResponseHeader>) -> Header {
    header.map_or_else(Header::default, |header| Header {
        cluster_id: header.cluster_id,
        member_id: header.member_id,
        revision: header.revision,
        term: header.raft_term,
    })
}

/// Whether the member itself answered that the user may not do this.
fn forbidden(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.source().is_none() && is_forbidden(status))
}

/// Whether the member wants a token, or a newer one: a token that names the revision of users and roles, as JWTs do,
/// is void once any of them changed.
fn wants_token(error: &Error) -> bool {
    match error {
        Error::GRpcStatus(status) => {
            status.code() == Code::Unauthenticated
                || status.message().contains("user name is empty")
                || status.message().contains(OLD_REVISION)
        }
        _ => false,
    }
}

/// The first error of a type among the sources of another.
pub(super) fn source_of<'a, E: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a E> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        source = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Connection;

    /// A member's client whose password file is not there, and that is never connected.
    fn without_its_password() -> Etcd {
        let connection = Connection {
            username: Some("doctor".into()),
            password_file: Some("/no/such/password".into()),
            ..Connection::default()
        };
        let network = Network::new(&connection, Duration::from_secs(2));
        Etcd::new(&network, network.endpoint("127.0.0.1:1").unwrap())
    }

    async fn answer(etcd: &Etcd, name: &'static str, status: tonic::Status) -> Unanswered {
        let make = |_| {
            let status = status.clone();
            async move { Err::<(), _>(Error::GRpcStatus(status)) }
        };
        etcd.call(name, make).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_password_that_cannot_be_read_is_no_refusal_by_the_member() {
        let etcd = without_its_password();
        let demand = || tonic::Status::invalid_argument("etcdserver: user name is empty");
        for name in ["linearizable Range", "Status"] {
            let unanswered = answer(&etcd, name, demand()).await;
            assert_eq!(unanswered.error.reason, Reason::PermissionDenied);
            assert!(unanswered.error.message.contains("password file"));
            assert!(!unanswered.forbidden, "{name} was never made");
            assert!(etcd.refusals.standing(name).is_none(), "{name} is tried again");
        }
    }

    #[tokio::test]
    async fn only_what_the_member_itself_forbids_stands() {
        let etcd = without_its_password();
        let refusal = || tonic::Status::permission_denied("etcdserver: permission denied");
        for (name, stands) in [("linearizable Range", false), ("Status", true)] {
            assert!(answer(&etcd, name, refusal()).await.forbidden, "{name}");
            assert_eq!(etcd.refusals.standing(name).is_some(), stands, "{name}");
        }
    }
}
