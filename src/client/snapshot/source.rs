//! Reading a file in pieces, at a low rate, for as long as one is wanted to go on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Asked between reads whether to go on. Each question is a sign that the last read ended.
pub type GoOn<'a> = &'a (dyn Fn() -> bool + Sync);

/// What is read of all snapshot files together, in bytes a second. A snapshot of the largest advised size, 8 GiB, is
/// then read through in two minutes, and a disk that etcd may share keeps nine tenths and more of its bandwidth.
const RATE: f64 = (64 << 20) as f64;

/// What may be read ahead of the rate: shorter waits than this are not worth a sleep.
const SLACK: Duration = Duration::from_millis(20);

/// When the next read of any file is due: one clock, so that many files are read no faster than one, and a read that
/// hangs holds up no other.
static DUE: Mutex<Option<Instant>> = Mutex::new(None);

/// Why a file was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nobody wants to know any more.
    #[error("stopped")]
    Stopped,
    /// The database is not one.
    #[error("{0}")]
    Structure(String),
}

/// A file that is read.
pub(super) struct Source<'a> {
    file: &'a File,
    go_on: GoOn<'a>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a File, go_on: GoOn<'a>) -> Self {
        Self { file, go_on }
    }

    /// Fills the buffer from a place in the file.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let due = reserve(buffer.len());
        loop {
            if !(self.go_on)() {
                return Err(Fault::Stopped);
            }
            let wait = due.saturating_duration_since(Instant::now());
            if wait <= SLACK {
                break;
            }
            // Ends early when somebody wakes this thread, to tell it to stop.
            std::thread::park_timeout(wait);
        }
        Ok(self.file.read_exact_at(buffer, at)?)
    }
}

/// When the next so many bytes may be read.
fn reserve(bytes: usize) -> Instant {
    let mut due = DUE.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let mine = due.map_or(now, |due| due.max(now));
    *due = Some(mine + Duration::from_secs_f64(bytes as f64 / RATE));
    mine
}
