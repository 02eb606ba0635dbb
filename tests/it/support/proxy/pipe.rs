//! One connection through the proxy: two directions, each with the fault that holds for it at the moment.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Fault, Faults, of};

/// The bytes of a piece, and how many pieces are under way: a megabyte in all, as much as a kernel's buffers hold. Who
/// sends more has to wait.
const PIECE: usize = 16 * 1024;
const UNDER_WAY: usize = 64;

/// Linux sends a lost segment again after 200 ms at the soonest, then after twice the time.
const RETRANSMISSION: Duration = Duration::from_millis(200);
const RETRANSMISSIONS: u32 = 6;

/// Who sends, and who receives.
type Direction = (usize, usize);

/// Carries both directions until both have ended, or the connection is reset.
pub(super) async fn run(
    dialler: TcpStream,
    member: TcpStream,
    there: Direction,
    back: Direction,
    faults: &watch::Sender<Faults>,
) {
    let _ = dialler.set_nodelay(true);
    let _ = member.set_nodelay(true);
    let (from_dialler, to_dialler) = dialler.into_split();
    let (from_member, to_member) = member.into_split();
    let mut forth = Flow::new(from_dialler, to_member, there, faults);
    let mut reply = Flow::new(from_member, to_dialler, back, faults);
    let both = async { tokio::try_join!(forth.run(), reply.run()) };
    let ended = tokio::select! {
        ended = both => ended.is_ok(),
        () = reset(there, back, faults) => false,
    };
    if !ended {
        forth.abort();
        reply.abort();
    }
}

/// Ends when the connections of either direction are to be reset.
async fn reset(there: Direction, back: Direction, faults: &watch::Sender<Faults>) {
    let mut faults = faults.subscribe();
    let resets = |faults: &Faults| [there, back].map(|direction| of(faults, direction).resets);
    let at_first = resets(&faults.borrow());
    if faults.wait_for(|now| resets(now) != at_first).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// One direction.
struct Flow {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    direction: Direction,
    faults: watch::Receiver<Faults>,
}

impl Flow {
    fn new(
        from: OwnedReadHalf,
        to: OwnedWriteHalf,
        direction: Direction,
        faults: &watch::Sender<Faults>,
    ) -> Self {
        Self {
            from,
            to,
            direction,
            faults: faults.subscribe(),
        }
    }

    /// Until the sender ends. Reading goes on while pieces are on their way: a delay is no limit to the throughput.
    async fn run(&mut self) -> std::io::Result<()> {
        let Self {
            from,
            to,
            direction,
            faults,
        } = self;
        let direction = *direction;
        let (send, mut receive) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
        let now = faults.clone();
        let read = async move {
            let mut buffer = vec![0; PIECE];
            let mut last = Instant::now();
            loop {
                let length = from.read(&mut buffer).await?;
                // Its order is kept: a late piece holds up those behind it.
                last = last.max(Instant::now() + lateness(of(&now.borrow(), direction)));
                let mut piece = buffer[..length].to_vec();
                turn_back(&mut piece, of(&now.borrow(), direction).clock_behind);
                if send.send((last, piece)).await.is_err() || length == 0 {
                    return Ok(());
                }
            }
        };
        let write = async {
            while let Some((due, piece)) = receive.recv().await {
                tokio::time::sleep_until(due).await;
                let open = |faults: &Faults| !of(faults, direction).stalled;
                if faults.wait_for(open).await.is_err() {
                    return Ok(());
                }
                if piece.is_empty() {
                    break;
                }
                to.write_all(&piece).await?;
            }
            to.shutdown().await
        };
        tokio::try_join!(read, write).map(drop)
    }

    /// Ends the socket that it writes to with a reset, once the other direction has let go of it too.
    fn abort(self) {
        let _ = self.to.as_ref().set_zero_linger();
        // Dropped, it would first say that it ends in good order.
        self.to.forget();
    }
}

fn lateness(fault: Fault) -> Duration {
    let mut late = fault.delay + fault.jitter.mul_f64(fastrand::f64());
    for again in 0..RETRANSMISSIONS {
        if fastrand::f64() >= fault.loss {
            break;
        }
        late += RETRANSMISSION * 2_u32.pow(again);
    }
    late
}

/// Where the answer to `/raft/probing` tells the time: `"Now":"2026-11-25T20:40:00…"`.
const NOW: &[u8] = b"\"Now\":\"";
const TIME_OF_DAY: std::ops::Range<usize> = NOW.len() + 11..NOW.len() + 19;

/// Turns back the time in such an answer. At midnight it would be a day ahead.
fn turn_back(piece: &mut [u8], seconds: u32) {
    if seconds == 0 {
        return;
    }
    let at = piece.windows(NOW.len()).position(|window| window == NOW);
    let Some(time) = at.and_then(|at| piece[at..].get_mut(TIME_OF_DAY)) else {
        return;
    };
    let two = |time: &[u8], at: usize| u32::from(time[at] - b'0') * 10 + u32::from(time[at + 1] - b'0');
    let told = two(time, 0) * 3600 + two(time, 3) * 60 + two(time, 6);
    let behind = (told + 86_400 - seconds) % 86_400;
    let text = format!("{:02}:{:02}:{:02}", behind / 3600, behind / 60 % 60, behind % 60);
    time.copy_from_slice(text.as_bytes());
}
