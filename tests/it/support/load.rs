//! A steady load of writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};
use tokio::task::JoinHandle;

use super::wait_for;

/// Between two writes: about 100 a second, which two busy cores bear without losing heartbeats.
const PAUSE: Duration = Duration::from_millis(10);
/// Few keys, written again and again, so that the database does not grow by more than its history.
const KEYS: u64 = 100;

/// Writes until dropped.
pub struct WriteLoad {
    task: JoinHandle<()>,
    written: Arc<AtomicU64>,
}

impl WriteLoad {
    /// Begins to write, and waits until the first write is through.
    pub async fn on(endpoints: Vec<String>, options: ConnectOptions) -> Self {
        let client = Self::client(endpoints, options).await;
        let written = Arc::new(AtomicU64::new(0));
        let count = written.clone();
        let task = tokio::spawn(async move {
            let mut kv = client.kv_client();
            for i in 0.. {
                // Refused while there is no leader or no space: that is what tests are about.
                if kv
                    .put(format!("load/{}", i % KEYS), vec![b'x'; 256], None)
                    .await
                    .is_ok()
                {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        let load = Self { task, written };
        wait_for("the first write", Duration::from_secs(20), async || {
            match load.written() {
                0 => Err("none is through"),
                _ => Ok(()),
            }
        })
        .await;
        load
    }

    /// How many writes were accepted so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// A client of the whole cluster.
    pub async fn client(endpoints: Vec<String>, options: ConnectOptions) -> Client {
        Client::connect(endpoints, Some(options))
            .await
            .expect("the endpoints are well formed and the user is known")
    }
}

impl Drop for WriteLoad {
    fn drop(&mut self) {
        self.task.abort();
    }
}
