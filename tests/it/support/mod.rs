//! Real peers for the integration tests: etcd clusters with faults, Prometheus, etcd-doctor itself as a process.
//!
//! Everything here ends with the test that started it, also when that test panics, and shows its log then.

// A helper is written for the tests to come: one that no test uses today is no fault.
#![allow(dead_code, unused_imports)]

mod alertmanager;
pub mod alerts;
mod browser;
mod cgroup;
mod disk;
mod doctor;
mod etcd;
mod host;
pub mod http;
mod load;
mod observe;
mod page;
mod peers;
mod ports;
mod process;
mod prometheus;
mod proxy;
mod schema;
mod tls;

mod selftest;

use std::time::{Duration, Instant};

pub use alertmanager::{Alertmanager, Webhook};
pub use browser::Browser;
pub use cgroup::Cgroup;
pub use disk::{FullDisk, SlowDisk, SmallDisk};
pub use doctor::{Doctor, problems};
pub use etcd::{Builder, EtcdCluster, Output};
pub use host::{Busy, FakeHost, QUIET};
pub use http::{Response, escape, get, post_bytes, send};
pub use load::WriteLoad;
pub use observe::{Observer, failures, shown, value};
pub use page::FakePage;
pub use peers::{Version, program};
pub use process::Process;
pub use prometheus::Prometheus;
pub use proxy::{Links, Network};
pub use schema::{validate, violations};
pub use tls::{Authority, Identity};

/// How often a condition is looked at while waiting for it: short beside everything that is waited for.
const POLL: Duration = Duration::from_millis(50);

/// Waits until `look` finds something, looking again and again. `look` tells what it sees instead as its error, which
/// the panic shows when the time is over.
pub async fn wait_for<T, E: std::fmt::Display>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let start = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(instead) if start.elapsed() > limit => {
                panic!("waited {limit:?} for {what}, and the last thing seen was: {instead}")
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}
