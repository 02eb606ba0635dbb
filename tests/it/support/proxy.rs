//! The network between the members of one cluster, with the faults that networks have.
//!
//! Each member advertises the port of a proxy as its peer URL, so that every byte between two members passes here. Who
//! dialled a connection is asked of the kernel, so a fault can be put on one direction of one link. A
//! pair of members has connections that either side dialled, and a direction's fault holds in all of them.
//!
//! It runs on a thread of its own: a test that blocks or computes must not be a slow network as well.

mod pipe;
mod sockets;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use procfs::process::FDTarget;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// How often it is looked again who dialled: the kernel knows a socket before it connects, so once is nearly always
/// enough.
const LOOKS: usize = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// What happens to the bytes that one member sends to another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Fault {
    delay: Duration,
    /// Up to so much more delay, anew for each piece.
    jitter: Duration,
    /// The share of pieces that come late by a retransmission, as a lost packet does.
    loss: f64,
    /// Nothing comes through; connections stay.
    stalled: bool,
    /// New connections end at once.
    refused: bool,
    /// Grows when connections are to be reset.
    resets: u64,
    /// By how many seconds a clock is behind that is asked for through here.
    clock_behind: u32,
}

/// The fault of each direction, by who sends and who receives.
type Faults = BTreeMap<(usize, usize), Fault>;

/// Who dials and is no member, such as etcd-doctor; or a member that does not show in time.
const OUTSIDE: usize = usize::MAX;

/// The fault of a direction. From and to the outside nothing passes that does not pass between the member and one of its
/// peers: it might be that peer.
fn of(faults: &Faults, direction: (usize, usize)) -> Fault {
    if direction.0 != OUTSIDE && direction.1 != OUTSIDE {
        return faults.get(&direction).copied().unwrap_or_default();
    }
    let is = |(from, to): (usize, usize)| {
        [(direction.0, from), (direction.1, to)]
            .iter()
            .all(|(side, of)| *side == OUTSIDE || side == of)
    };
    let concerned = faults.iter().filter(|(link, _)| is(**link));
    let concerned: Vec<&Fault> = concerned.map(|(_, fault)| fault).collect();
    Fault {
        stalled: concerned.iter().any(|fault| fault.stalled),
        refused: concerned.iter().any(|fault| fault.refused),
        resets: concerned.iter().map(|fault| fault.resets).sum(),
        clock_behind: concerned
            .iter()
            .map(|fault| fault.clock_behind)
            .max()
            .unwrap_or_default(),
        ..Fault::default()
    }
}

/// All links between the members of a cluster.
pub struct Network {
    runtime: Option<Runtime>,
    faults: watch::Sender<Faults>,
    pids: Arc<Mutex<Vec<Option<u32>>>>,
}

impl Network {
    /// A healthy network without members.
    pub(super) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("network")
            .enable_all()
            .build()
            .expect("a thread can be started");
        Self {
            runtime: Some(runtime),
            faults: watch::channel(Faults::new()).0,
            pids: Arc::default(),
        }
    }

    /// The next member, which listens for its peers on `port`. Gives the port that its peers dial.
    pub(super) fn join(&self, port: u16) -> u16 {
        let member = {
            let mut pids = self.pids.lock().expect("nobody panics holding it");
            pids.push(None);
            pids.len() - 1
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
        listener.set_nonblocking(true).expect("a listener can be polled");
        let address = listener.local_addr().expect("it is bound");
        let door = Door {
            member,
            port,
            faults: self.faults.clone(),
            pids: self.pids.clone(),
        };
        self.runtime().spawn(async move {
            let listener = TcpListener::from_std(listener).expect("the runtime is there");
            while let Ok((peer, from)) = listener.accept().await {
                tokio::spawn(door.clone().connection(peer, from));
            }
        });
        address.port()
    }

    /// A member runs as this process from now on.
    pub(super) fn runs(&self, member: usize, pid: u32) {
        self.pids.lock().expect("nobody panics holding it")[member] = Some(pid);
    }

    /// Every link.
    pub fn everywhere(&self) -> Links<'_> {
        self.links(|_, _| true)
    }

    /// All that a member sends and receives.
    pub fn of(&self, member: usize) -> Links<'_> {
        self.links(|from, to| from == member || to == member)
    }

    /// Both directions between two members.
    pub fn between(&self, a: usize, b: usize) -> Links<'_> {
        self.links(|from, to| (from, to) == (a, b) || (from, to) == (b, a))
    }

    /// Only what `from` sends to `to`.
    pub fn one_way(&self, from: usize, to: usize) -> Links<'_> {
        self.links(|f, t| (f, t) == (from, to))
    }

    /// The clock of a member is behind by so many seconds for everybody who asks its peer port for the time, as its peers do
    /// and etcd-doctor may.
    pub fn clock_behind(&self, member: usize, seconds: u32) {
        self.links(|from, _| from == member)
            .change(|fault| fault.clock_behind = seconds);
    }

    fn links(&self, chosen: impl Fn(usize, usize) -> bool) -> Links<'_> {
        let members = self.pids.lock().expect("nobody panics holding it").len();
        let all = (0..members).flat_map(|from| (0..members).map(move |to| (from, to)));
        Links {
            faults: &self.faults,
            directions: all.filter(|&(from, to)| from != to && chosen(from, to)).collect(),
        }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is there until dropped")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A test is async itself, where waiting for the thread would block.
            runtime.shutdown_background();
        }
    }
}

/// Some directions of some links, to be broken and mended. Faults add up: one call leaves the others as they are.
pub struct Links<'a> {
    faults: &'a watch::Sender<Faults>,
    directions: Vec<(usize, usize)>,
}

impl Links<'_> {
    /// Each piece comes later by `delay`, and by up to `jitter` more. Their order stays.
    pub fn delay(&self, delay: Duration, jitter: Duration) {
        self.change(|fault| (fault.delay, fault.jitter) = (delay, jitter));
    }

    /// Loses this share of the pieces, which then come late: by 200 ms, and twice that for each time it is lost again,
    /// as TCP sends them anew.
    pub fn lose(&self, share: f64) {
        self.change(|fault| fault.loss = share);
    }

    /// Nothing comes through, and nobody is told: connections stay open. What is held back comes when it is mended.
    pub fn stall(&self) {
        self.change(|fault| fault.stalled = true);
    }

    /// New connections end as soon as they are made. Those that are open stay.
    pub fn refuse(&self) {
        self.change(|fault| fault.refused = true);
    }

    /// Resets the connections that are open. New ones may be made.
    pub fn reset(&self) {
        self.change(|fault| fault.resets += 1);
    }

    /// Resets what is open and refuses what is new: a link that is down, and says so.
    pub fn cut(&self) {
        self.change(|fault| {
            fault.resets += 1;
            fault.refused = true;
        });
    }

    /// Back to normal.
    pub fn mend(&self) {
        self.change(|fault| {
            *fault = Fault {
                resets: fault.resets,
                ..Fault::default()
            };
        });
    }

    fn change(&self, change: impl Fn(&mut Fault)) {
        self.faults.send_modify(|faults| {
            for direction in &self.directions {
                change(faults.entry(*direction).or_default());
            }
        });
    }
}

/// Where peers dial one member.
#[derive(Clone)]
struct Door {
    member: usize,
    /// Where the member really listens.
    port: u16,
    faults: watch::Sender<Faults>,
    pids: Arc<Mutex<Vec<Option<u32>>>>,
}

impl Door {
    async fn connection(self, dialler: TcpStream, from: SocketAddr) {
        let mut looks = 0;
        let Ok(to) = dialler.local_addr() else { return };
        let peer = loop {
            let pids = self.pids.lock().expect("nobody panics holding it").clone();
            let look = tokio::task::spawn_blocking(move || dialled_by(from, to, &pids));
            match look.await.unwrap_or(None) {
                Some(peer) => break peer,
                None if looks < LOOKS => looks += 1,
                None => break OUTSIDE,
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        };
        let (there, back) = ((peer, self.member), (self.member, peer));
        let refused = |faults: &Faults| {
            [there, back]
                .into_iter()
                .any(|direction| of(faults, direction).refused)
        };
        if refused(&self.faults.borrow()) {
            let _ = dialler.set_zero_linger();
            return;
        }
        // The member is down: its peers see that as they would without a proxy, nearly.
        let Ok(member) = TcpStream::connect(("127.0.0.1", self.port)).await else {
            let _ = dialler.set_zero_linger();
            return;
        };
        pipe::run(dialler, member, there, back, &self.faults).await;
    }
}

/// The member whose process holds the socket that has the first address and is connected to the second.
fn dialled_by(from: SocketAddr, to: SocketAddr, pids: &[Option<u32>]) -> Option<usize> {
    let (SocketAddr::V4(from), SocketAddr::V4(to)) = (from, to) else {
        return None;
    };
    let inode = sockets::inode(from, to)?;
    pids.iter().position(|pid| {
        let fds = pid
            .and_then(|pid| procfs::process::Process::new(pid as i32).ok())
            .and_then(|process| process.fd().ok());
        fds.into_iter()
            .flatten()
            .flatten()
            .any(|fd| matches!(fd.target, FDTarget::Socket(socket) if socket == inode))
    })
}
