//! Free ports for processes that cannot be told to choose one themselves.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range that Linux takes the ports of outgoing connections from (32768 and up): a member that is down for a
/// while would otherwise find its port taken by some connection's local end.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// `n` ports of 127.0.0.1 on which nothing listens now. Another program may still take one before it is used, so whoever
/// starts a process on one must be ready to try again.
pub fn free(n: usize) -> Vec<u16> {
    // Test runs beside each other begin at different places.
    let offset = (std::process::id() % 59) as u16 * 200;
    let mut found = Vec::with_capacity(n);
    for _ in FIRST..LAST {
        let port = FIRST + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % (LAST - FIRST);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            found.push(port);
            if found.len() == n {
                return found;
            }
        }
    }
    panic!("no {n} free ports between {FIRST} and {LAST}")
}
