//! Dialling: one connection to one endpoint, TCP or Unix socket, with or without TLS, and the trail that it leaves.
//!
//! HTTP libraries wrap the reason of a failed connection in several layers and lose some of it on the way (a TLS
//! alert that comes after the handshake, say). So every connection notes on a [`Trail`] how far it came and why it
//! ended, and the words of an error are made from that.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tower::Service;

use super::certificate::Validity;
use super::endpoint::{Address, Endpoint};
use super::tls::{Alpn, Asked, TlsFiles, date_of_refusal, tls_failure};
use crate::model::{CollectError, Reason};

/// Makes connections to one endpoint. HTTP clients call it as their connector.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) endpoint: Endpoint,
    pub(super) tls: Arc<TlsFiles>,
    pub(super) alpn: Alpn,
    /// For name, TCP and TLS together.
    pub(super) limit: Duration,
    pub(super) trail: Arc<Trail>,
}

/// How far the newest connection to an endpoint came, and why one failed.
#[derive(Default)]
pub(super) struct Trail(Mutex<State>);

#[derive(Default)]
struct State {
    step: Step,
    /// Why a connection failed last, until the other side is heard again: by the time a call learns that its
    /// connection is gone, another call may be dialling already.
    failure: Option<CollectError>,
    /// What the newest TLS handshake showed.
    shown: Option<Shown>,
}

/// What a server showed of itself in a TLS handshake.
#[derive(Clone, Debug)]
pub struct Shown {
    /// When that was.
    pub at: Instant,
    /// Until when its certificate and those that it sent along are valid, or why they cannot be read.
    pub validity: Result<Validity, String>,
    /// Whether it asked for a client certificate; none where the handshake ended before.
    pub asks_for_certificate: Option<bool>,
}

#[derive(Clone, Default)]
enum Step {
    #[default]
    Idle,
    Resolving,
    Connecting(String),
    Handshaking,
    Open,
}

impl Trail {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, step: Step) {
        self.state().step = step;
    }

    fn failed(&self, error: CollectError) {
        self.state().failure = Some(error);
    }

    fn show(&self, shown: Option<Shown>) {
        self.state().shown = shown;
    }

    /// What the handshake of the newest connection showed, also when that failed for it; none in plain text.
    pub(super) fn shown(&self) -> Option<Shown> {
        self.state().shown.clone()
    }

    fn heard(&self) {
        self.state().failure = None;
    }

    /// Why a connection failed, if nothing was heard of the other side since.
    pub(super) fn failure(&self) -> Option<CollectError> {
        self.state().failure.clone()
    }

    /// Whether the newest connection came as far as TCP.
    pub(super) fn connected(&self) -> bool {
        matches!(self.state().step, Step::Handshaking | Step::Open)
    }

    /// What a call that got no answer within its deadline was waiting for.
    pub(super) fn timed_out(&self, call: &str, endpoint: &Endpoint, limit: Duration) -> CollectError {
        let step = self.state().step.clone();
        let (why, fix) = match step {
            Step::Resolving => (
                format!("its name was not resolved within {limit:?}"),
                "check the name server, or give an address instead of a name",
            ),
            Step::Connecting(address) => (
                format!("no TCP connection to {address} within {limit:?}"),
                "check that the host is up and that no firewall drops packets to this port",
            ),
            Step::Handshaking => (
                format!("connected, but no TLS handshake within {limit:?}"),
                "see whether the etcd process is paused, starved of CPU, or was started while there was no quorum",
            ),
            Step::Open | Step::Idle => (
                format!("connected, but no answer within {limit:?}"),
                "see whether the etcd process is paused, starved of CPU, waiting for its disk or defragmenting, or \
                 was started while there was no quorum",
            ),
        };
        CollectError {
            reason: Reason::Timeout,
            message: format!("{call} at {endpoint}: {why}"),
            fix: fix.into(),
        }
    }
}

impl Dialer {
    async fn dial(self) -> Result<TokioIo<Wire>, CollectError> {
        let result = self.attempt().await;
        match &result {
            Ok(_) => self.trail.set(Step::Open),
            Err(error) => self.trail.failed(error.clone()),
        }
        result
    }

    async fn attempt(&self) -> Result<TokioIo<Wire>, CollectError> {
        let deadline = Instant::now() + self.limit;
        self.trail.show(None);
        // Read before dialling: a certificate file that cannot be used is said even while the member is down.
        let config = match self.endpoint.tls {
            true => Some(self.tls.config(self.alpn)?),
            false => None,
        };
        let socket: Box<dyn Socket> = match &self.endpoint.address {
            Address::Unix(path) => {
                self.trail.set(Step::Connecting(path.display().to_string()));
                let connecting = timeout_at(deadline, UnixStream::connect(path)).await;
                Box::new(
                    self.flatten(connecting)?
                        .map_err(|error| self.unreachable(&error))?,
                )
            }
            Address::Tcp { host, port } => Box::new(self.connect(host, *port, deadline).await?),
        };
        let mut wire = Wire {
            socket,
            dialer: self.clone(),
            early: Bytes::new(),
            heard: false,
            noted: false,
        };
        if let Some(config) = config {
            self.trail.set(Step::Handshaking);
            let name = self.tls.name_for(&self.endpoint)?;
            let (asked, config) = Asked::noting(&config);
            let connector = tokio_rustls::TlsConnector::from(config);
            let started = Instant::now();
            let handshake = timeout_at(deadline, connector.connect(name, wire.socket)).await;
            let failure = |error: io::Error| {
                if let Some(validity) = date_of_refusal(&error) {
                    self.trail.show(Some(Shown {
                        at: Instant::now(),
                        validity: Ok(validity),
                        asks_for_certificate: None,
                    }));
                }
                tls_failure(&self.endpoint, self.tls.settings(), &error)
            };
            let mut stream = self.flatten(handshake)?.map_err(failure)?;
            self.trail.show(Some(Shown {
                at: Instant::now(),
                validity: Validity::of(stream.get_ref().1.peer_certificates().unwrap_or_default()),
                asks_for_certificate: Some(asked.asked()),
            }));
            if stream.get_ref().1.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3) {
                wire.early = first_words(&mut stream, started.elapsed())
                    .await
                    .map_err(failure)?;
            }
            wire.socket = Box::new(stream);
        }
        Ok(TokioIo::new(wire))
    }

    /// Tries every address that the name has, each with a fair share of the time that is left.
    async fn connect(&self, host: &str, port: u16, deadline: Instant) -> Result<TcpStream, CollectError> {
        self.trail.set(Step::Resolving);
        let looked_up = timeout_at(deadline, tokio::net::lookup_host((host, port))).await;
        let addresses: Vec<SocketAddr> = match self.flatten(looked_up)? {
            Ok(addresses) => addresses.collect(),
            Err(error) => return Err(self.unresolved(host, &error.to_string())),
        };
        if addresses.is_empty() {
            return Err(self.unresolved(host, "the name has no address"));
        }
        let mut last = None;
        for (at, address) in addresses.iter().enumerate() {
            self.trail.set(Step::Connecting(address.to_string()));
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - at).unwrap_or(1);
            match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Small requests must not wait for more to send. A socket that refuses is slower, not wrong.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = Some(self.unreachable(&error)),
                Err(_) => last = Some(self.trail.timed_out("connecting", &self.endpoint, self.limit)),
            }
        }
        Err(last.unwrap_or_else(|| self.trail.timed_out("connecting", &self.endpoint, self.limit)))
    }

    /// Gives a passed deadline the words of the step that it was in.
    fn flatten<T>(&self, outcome: Result<T, tokio::time::error::Elapsed>) -> Result<T, CollectError> {
        outcome.map_err(|_| self.trail.timed_out("connecting", &self.endpoint, self.limit))
    }

    fn unresolved(&self, host: &str, why: &str) -> CollectError {
        CollectError {
            reason: Reason::Unreachable,
            message: format!(
                "cannot connect to {}: the name {host:?} does not resolve: {why}",
                self.endpoint
            ),
            fix: "correct the name in the endpoint, or the name server".into(),
        }
    }

    fn unreachable(&self, error: &io::Error) -> CollectError {
        let (why, fix) = match error.kind() {
            io::ErrorKind::ConnectionRefused => (
                "connection refused: nothing listens there".into(),
                "start the etcd process, or correct the port",
            ),
            io::ErrorKind::NotFound => (
                "there is no such socket".into(),
                "start the etcd process, or correct the path",
            ),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                (error.to_string(), "check the route to the host and that it is up")
            }
            _ => (
                error.to_string(),
                "check that the member runs and is reachable from here",
            ),
        };
        CollectError {
            reason: Reason::Unreachable,
            message: format!("cannot connect to {}: {why}", self.endpoint),
            fix: fix.into(),
        }
    }

    /// A connection that ended before the other side said anything on it.
    fn hung_up(&self) -> CollectError {
        let (why, fix) = match (self.endpoint.tls, self.tls.settings().has_client_certificate()) {
            (false, _) => (
                "it closed the connection without an answer, as a server that serves TLS does",
                "write the endpoint with https:// and give the CA, if the member serves TLS",
            ),
            (true, false) => (
                "it closed the connection right after the TLS handshake, as a server that wants a client certificate does",
                "give a client certificate and its key (cert_file and key_file)",
            ),
            (true, true) => (
                "it closed the connection right after the TLS handshake, as a server that does not accept the client \
                 certificate does",
                "check that the client certificate is signed by the CA that etcd trusts, has not expired and allows \
                 client authentication",
            ),
        };
        CollectError {
            reason: Reason::Tls,
            message: format!("cannot talk to {}: {why}", self.endpoint),
            fix: fix.into(),
        }
    }
}

impl Service<http::Uri> for Dialer {
    type Response = TokioIo<Wire>;
    type Error = CollectError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    /// The address is the dialler's own: what the HTTP library passes is only for its headers.
    fn call(&mut self, _: http::Uri) -> Self::Future {
        Box::pin(self.clone().dial())
    }
}

/// In TLS 1.3 a server judges our certificate after the handshake is done for us, and a refusal is lost when we are
/// already writing by then. It comes within a round trip, and the handshake took at least one: so this listens for
/// twice as long, and gives what the server says first.
async fn first_words(stream: &mut (impl AsyncRead + Unpin), handshake: Duration) -> Result<Bytes, io::Error> {
    let mut words = BytesMut::with_capacity(FIRST_WORDS);
    let patience = (handshake * 2).min(LONGEST_ROUND_TRIP);
    match tokio::time::timeout(patience, stream.read_buf(&mut words)).await {
        Ok(Err(error)) if super::tls::is_tls_error(&error) => Err(error),
        // Anything else will come up again with the first request.
        _ => Ok(words.freeze()),
    }
}

/// More than a server says of itself: HTTP/2 settings are some ten bytes.
const FIRST_WORDS: usize = 1024;

/// More than any round trip between a cluster and what watches it should take.
const LONGEST_ROUND_TRIP: Duration = Duration::from_millis(200);

/// What a connection runs over.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// An open connection that notes on its trail why it ended.
pub(super) struct Wire {
    socket: Box<dyn Socket>,
    dialer: Dialer,
    /// What the other side said while the connection was made: read before anything else.
    early: Bytes,
    /// Whether the other side ever said anything.
    heard: bool,
    /// Whether it is noted why it ended: what fails after that is only a consequence.
    noted: bool,
}

impl Wire {
    fn note(&mut self, error: &io::Error) {
        let endpoint = &self.dialer.endpoint;
        if endpoint.tls && super::tls::is_tls_error(error) {
            let words = tls_failure(endpoint, self.dialer.tls.settings(), error);
            self.dialer.trail.failed(words);
            self.noted = true;
        } else if !self.heard {
            self.note_silence();
        } else if !self.noted {
            self.note_loss(&error.to_string());
        }
    }

    /// It ended after the other side had been heard.
    fn note_loss(&mut self, why: &str) {
        self.dialer.trail.failed(CollectError {
            reason: Reason::Unreachable,
            message: format!("lost the connection to {}: {why}", self.dialer.endpoint),
            fix: "see whether the etcd process ended or was restarted".into(),
        });
        self.noted = true;
    }

    /// It ended before the other side said anything.
    fn note_silence(&mut self) {
        if !self.noted {
            self.dialer.trail.failed(self.dialer.hung_up());
            self.noted = true;
        }
    }

    /// In TLS 1.3 a refused client certificate is told after the handshake, when writing may already fail with a
    /// broken pipe. The reason then waits to be read.
    fn note_write(&mut self, cx: &mut Context<'_>, error: &io::Error) {
        let mut space = [0; 1];
        let mut buffer = ReadBuf::new(&mut space);
        match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
            Poll::Ready(Err(reason)) if super::tls::is_tls_error(&reason) => self.note(&reason),
            _ => self.note(error),
        }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &polled {
            self.note_write(cx, error);
        }
        polled
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            self.heard = true;
            self.dialer.trail.heard();
            let length = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(cx, buffer);
        match &polled {
            Poll::Ready(Ok(())) if buffer.filled().len() > before && !self.heard => {
                self.heard = true;
                self.dialer.trail.heard();
            }
            Poll::Ready(Ok(())) if buffer.filled().len() == before && buffer.remaining() > 0 => {
                if self.heard && !self.noted {
                    self.note_loss("the other side closed it");
                } else {
                    self.note_silence();
                }
            }
            Poll::Ready(Err(error)) => self.note(error),
            _ => {}
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.watch(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_flush(cx);
        self.watch(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
