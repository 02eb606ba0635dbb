//! The socket: listening, connections, TLS, shutting down.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::protection::{Protection, is_http2};

/// The most connections at a time; further ones wait in the kernel's queue. Far above any number of scrapers and
/// browsers, and below the usual limit of 1024 descriptors, of which the members need some too.
const MAX_CONNECTIONS: usize = 512;

/// How long a client may take to send a request's head. Over HTTP/1 it is counted from the end of the request before and
/// so also ends connections that idle; over HTTP/2 it is for the first request. Not a usual scrape interval, so that no
/// scraper reuses a connection just as it is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(8);

/// How long a TLS handshake may take: as long as a head, for the same reason.
const HANDSHAKE_TIMEOUT: Duration = HEAD_TIMEOUT;

/// How long a connection over HTTP/2 may be without a further request. Ten times what a request may take, so that one
/// under way is answered long before, and a large answer reaches a slow reader; not a usual scrape interval.
const HTTP2_IDLE_TIMEOUT: Duration = Duration::from_secs(100);

/// The most requests that one connection may have under way over HTTP/2. A browser's page needs three at a time.
const MAX_STREAMS: u32 = 32;

/// How often a connection over HTTP/2 is asked whether its client is still there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// What the first byte of a TLS connection is: the kind of record that a handshake begins with.
const TLS_HANDSHAKE: u8 = 22;

/// What those are told who speak plain HTTP where TLS is spoken.
const NO_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n\
    This is an HTTPS port, and the request was plain HTTP: use https://.\n";

/// How long one connection may live. Ends, in the long run, those that a client holds open without reading.
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(600);

/// How long a request under way may take once its connection is to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait when a connection cannot be taken for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {why}")]
pub struct BindError {
    address: String,
    why: String,
    #[source]
    source: io::Error,
}

impl BindError {
    fn new(address: &str, source: io::Error) -> Self {
        let why = match source.kind() {
            io::ErrorKind::AddrInUse => {
                "another process listens there already; stop it, or choose another port \
                 with --web.listen-address"
                    .to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need the capability CAP_NET_BIND_SERVICE; choose \
                 another port with --web.listen-address"
                    .to_owned()
            }
            io::ErrorKind::AddrNotAvailable => {
                "no network interface of this host has that address; choose another \
                 with --web.listen-address"
                    .to_owned()
            }
            io::ErrorKind::InvalidInput => {
                "it is not of the form host:port, such as 127.0.0.1:9379, [::1]:9379 or :9379".to_owned()
            }
            _ => source.to_string(),
        };
        Self {
            address: address.to_owned(),
            why,
            source,
        }
    }
}

/// Listens on `host:port`, or with `:port` on every address of this host, IPv4 and IPv6.
///
/// # Errors
/// The address, why it cannot be listened on, and what to do.
pub async fn bind(address: &str) -> Result<TcpListener, BindError> {
    let listener = match address.strip_prefix(':').map(str::parse) {
        None => TcpListener::bind(address).await,
        Some(Ok(port)) => bind_all(port).await,
        Some(Err(_)) => Err(io::ErrorKind::InvalidInput.into()),
    };
    listener.map_err(|error| BindError::new(address, error))
}

/// IPv6 takes IPv4 in as well, where the host has it at all.
async fn bind_all(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        settled => settled,
    }
}

/// Serves until `shutdown`; then takes no more connections, lets requests under way finish for at most 5 s, and returns.
/// Each connection is protected as `protection` says when it begins.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    protection: Arc<Protection>,
    shutdown: impl Future<Output = ()>,
) {
    serve_up_to(MAX_CONNECTIONS, listener, router, protection, shutdown).await;
}

async fn serve_up_to(
    connections_at_a_time: usize,
    listener: TcpListener,
    router: Router,
    protection: Arc<Protection>,
    shutdown: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(connections_at_a_time));
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        // The slot first: a connection that there is none for stays in the kernel's queue.
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, accept(&listener).await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            (slot, (stream, peer)) = next => {
                let visit = visit(stream, peer, router.clone(), Arc::clone(&protection), stopped.clone());
                connections.spawn(async move {
                    visit.await;
                    drop(slot);
                });
            }
            // Forgets those that ended.
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    drop(stop);
    while connections.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client went away again.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot take connections; trying again in 1 s");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// One connection from its first byte to its last.
async fn visit(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    protection: Arc<Protection>,
    mut stopped: watch::Receiver<()>,
) {
    let Some(tls) = protection.current().tls.clone() else {
        return converse(stream, false, peer, router, stopped).await;
    };
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE_TIMEOUT, shake_hands(stream, tls)) => shaken,
        // Nothing was asked yet.
        _ = stopped.changed() => return,
    };
    let failure = match shaken {
        Ok(Ok(stream)) => {
            let http2 = is_http2(stream.get_ref().1.alpn_protocol());
            return converse(stream, http2, peer, router, stopped).await;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no TLS handshake within {} s", HANDSHAKE_TIMEOUT.as_secs()),
    };
    protection.count_handshake_failure();
    tracing::debug!(%peer, failure, "no connection over TLS");
}

async fn shake_hands(mut stream: TcpStream, tls: Arc<ServerConfig>) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await? > 0 && first[0] != TLS_HANDSHAKE {
        stream.write_all(NO_TLS).await?;
        stream.shutdown().await?;
        return Err(io::Error::other("the client spoke no TLS"));
    }
    TlsAcceptor::from(tls).accept(stream).await
}

/// Answers one connection's requests until it ends, is too old, or the server stops.
async fn converse<Io>(
    stream: Io,
    http2: bool,
    peer: SocketAddr,
    router: Router,
    mut stopped: watch::Receiver<()>,
) where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (asks, asked) = watch::channel(());
    let service = tower::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        asks.send_replace(());
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer =
            tower::ServiceExt::oneshot(router.clone(), Request::from(request.map(axum::body::Body::new)));
        async move { answer.await as Result<_, Infallible> }
    });
    let builder = builder(http2);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return log(peer, result),
        // Fails when the sender is gone, which is the signal.
        _ = stopped.changed() => {}
        () = sleep(MAX_CONNECTION_AGE) => {}
        // hyper itself sees to it over HTTP/1.
        () = no_request(asked), if http2 => {}
    }
    connection.as_mut().graceful_shutdown();
    match timeout(DRAIN_TIMEOUT, connection).await {
        Ok(result) => log(peer, result),
        Err(_) => tracing::debug!(%peer, "cut a connection that did not end by itself"),
    }
}

/// Ends when a client over HTTP/2 asked nothing for too long. One that never asked anything has shown no credentials, nor
/// that it speaks HTTP at all: it may not keep its slot as long as others.
async fn no_request(mut asked: watch::Receiver<()>) {
    let mut limit = HEAD_TIMEOUT;
    while let Ok(Ok(())) = timeout(limit, asked.changed()).await {
        limit = HTTP2_IDLE_TIMEOUT;
    }
}

/// One version of HTTP and no other: which one was settled by TLS, and without TLS it is the first.
fn builder(http2: bool) -> auto::Builder<TokioExecutor> {
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = match http2 {
        true => builder.http2_only(),
        false => builder.http1_only(),
    };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// What goes wrong on a connection is the client's: it went away, or sent no HTTP.
fn log(peer: SocketAddr, result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use http_body_util::{BodyExt, Empty};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::*;

    /// A server on a free port; it stops when the sender is dropped.
    async fn start(router: Router) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _gone = stopped.await;
        };
        (
            address,
            stop,
            tokio::spawn(serve(listener, router, Arc::new(Protection::none()), shutdown)),
        )
    }

    async fn send(address: SocketAddr, head: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        // A connection that was cut may end in a reset instead.
        let _cut = stream.read_to_string(&mut text).await;
        text
    }

    #[tokio::test]
    async fn handlers_learn_who_asks() {
        async fn peer(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
            peer.to_string()
        }
        let (address, _stop, _server) = start(Router::new().route("/", get(peer))).await;
        let stream = send(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        let peer = stream.local_addr().unwrap().to_string();
        let answer = rest(stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(&peer),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn a_taken_port_is_told_in_words() {
        let (address, _stop, _server) = start(Router::new()).await;
        let error = bind(&address.to_string()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on {address}: another process listens there already; stop it, or choose another port \
                 with --web.listen-address"
            )
        );
    }

    #[tokio::test]
    async fn addresses_that_cannot_be() {
        for (address, part) in [
            (
                "192.0.2.1:0",
                "no network interface of this host has that address",
            ),
            ("9379", "not of the form host:port"),
            (":http", "not of the form host:port"),
            ("127.0.0.1:99999", "not of the form host:port"),
        ] {
            let error = bind(address).await.unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("cannot listen on {address}: ")),
                "{error}"
            );
            assert!(error.contains(part), "{error}");
        }
    }

    #[tokio::test]
    async fn a_bare_port_is_every_address() {
        let listener = bind(":0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    }

    #[tokio::test]
    async fn a_stalled_head_is_cut_off() {
        let (address, _stop, _server) = start(Router::new()).await;
        let stream = send(address, "GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
        // From here on time runs as soon as nothing else does.
        tokio::time::pause();
        let begun = Instant::now();
        let answer = rest(stream).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_before_the_end() {
        let (entered, mut enters) = watch::channel(false);
        let (release, released) = watch::channel(false);
        let handler = async move || {
            entered.send_replace(true);
            let mut released = released.clone();
            released.wait_for(|released| *released).await.unwrap();
            "done"
        };
        let (address, stop, server) = start(Router::new().route("/", get(handler))).await;
        let stream = send(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        enters.wait_for(|entered| *entered).await.unwrap();
        drop(stop);
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        release.send_replace(true);
        let answer = rest(stream).await;
        assert!(answer.ends_with("done"), "{answer}");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_request_that_never_ends_does_not_hold_up_the_end() {
        let (entered, mut enters) = watch::channel(false);
        let handler = async move || {
            entered.send_replace(true);
            std::future::pending::<()>().await;
        };
        let (address, stop, server) = start(Router::new().route("/", get(handler))).await;
        let stream = send(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        enters.wait_for(|entered| *entered).await.unwrap();
        tokio::time::pause();
        let begun = Instant::now();
        drop(stop);
        server.await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        assert_eq!(rest(stream).await, "");
    }

    #[tokio::test]
    async fn a_connection_too_many_waits_for_another_to_end() {
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        tokio::spawn(serve_up_to(
            2,
            listener,
            router,
            Arc::new(Protection::none()),
            std::future::pending(),
        ));
        let mut idle = Vec::new();
        for _ in 0..2 {
            let mut stream = send(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
            // Answered, so it has its slot; and it stays open.
            stream.read_exact(&mut [0; 12]).await.unwrap();
            idle.push(stream);
        }
        let mut late = send(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        // The time passes when nothing else can go on.
        tokio::time::pause();
        let waits = timeout(Duration::from_secs(1), late.read(&mut [0])).await;
        assert!(waits.is_err(), "it was answered although all slots are taken");
        idle.pop();
        assert!(rest(late).await.ends_with("here"));
    }

    /// A connection over HTTP/2 without TLS: the client's end, and when it ends. It ends when the sender is dropped.
    fn http2() -> (DuplexStream, watch::Sender<()>, JoinHandle<()>) {
        async fn version(request: axum::extract::Request) -> String {
            format!("{:?}", request.version())
        }
        let (ours, far) = tokio::io::duplex(1 << 16);
        let (stop, stopped) = watch::channel(());
        let router = Router::new().route("/", get(version));
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        (
            ours,
            stop,
            tokio::spawn(converse(far, true, peer, router, stopped)),
        )
    }

    type Http2Client = hyper::client::conn::http2::SendRequest<Empty<axum::body::Bytes>>;

    /// A client that answers pings and whatever else the server wants of it.
    async fn http2_client(stream: DuplexStream) -> (Http2Client, JoinHandle<hyper::Result<()>>) {
        let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (client, connection) = shaken.unwrap();
        (client, tokio::spawn(connection))
    }

    async fn ask(client: &mut Http2Client) {
        let request = hyper::Request::get("http://localhost/").version(hyper::Version::HTTP_2);
        let answer = client
            .send_request(request.body(Empty::new()).unwrap())
            .await
            .unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "HTTP/2.0");
    }

    #[tokio::test]
    async fn http2_is_spoken_where_tls_settles_on_it_and_ends_with_the_server() {
        let (stream, stop, served) = http2();
        let (mut client, connection) = http2_client(stream).await;
        ask(&mut client).await;
        drop(stop);
        served.await.unwrap();
        connection.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn http2_without_a_request_is_cut_off_as_soon_as_a_stalled_head() {
        let begun = Instant::now();
        // Nothing at all, the preface included.
        let (_silent, _stop, served) = http2();
        served.await.unwrap();
        assert_eq!(begun.elapsed(), HEAD_TIMEOUT + DRAIN_TIMEOUT);

        let begun = Instant::now();
        let (stream, _stop, served) = http2();
        let (_client, connection) = http2_client(stream).await;
        served.await.unwrap();
        assert_eq!(begun.elapsed(), HEAD_TIMEOUT);
        connection.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn http2_that_idles_is_ended_and_one_in_use_is_not() {
        let (stream, _stop, served) = http2();
        let (mut client, connection) = http2_client(stream).await;
        // As often as a Prometheus scrapes by default.
        for _ in 0..5 {
            ask(&mut client).await;
            sleep(Duration::from_secs(60)).await;
        }
        ask(&mut client).await;
        let begun = Instant::now();
        served.await.unwrap();
        assert_eq!(begun.elapsed(), HTTP2_IDLE_TIMEOUT);
        connection.await.unwrap().unwrap();
    }
}
