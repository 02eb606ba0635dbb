//! A folder of snapshots, for faults of backups.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::EtcdCluster;

/// What ages of backups are counted in.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// A folder beside a cluster's data.
pub(super) struct Folder<'a> {
    cluster: &'a EtcdCluster,
    path: PathBuf,
}

impl<'a> Folder<'a> {
    /// An empty one.
    pub(super) fn of(cluster: &'a EtcdCluster) -> Self {
        let path = cluster.dir().join("backups");
        std::fs::create_dir(&path).expect("the folder is ours");
        Self { cluster, path }
    }

    /// Names it in a configuration.
    pub(super) fn configure(&self, config: &mut Value) {
        config["clusters"][0]["backups"] = json!([self.path]);
    }

    /// Saves a snapshot, as if that had been done some time ago.
    pub(super) async fn save(&self, name: &str, age: Duration) {
        let path = self.path.join(name);
        let path = path.to_str().expect("a plain path");
        self.cluster.etcdctl(&["snapshot", "save", path]).await.unwrap();
        self.change(name, age, |_| {});
    }

    /// Changes the bytes of a file, as if that had been done some time ago.
    pub(super) fn change(&self, name: &str, age: Duration, change: impl FnOnce(&mut Vec<u8>)) {
        // Under a name that is passed over, so that nobody sees it half done.
        let (path, hidden) = (self.path.join(name), self.path.join(".changing"));
        let mut bytes = std::fs::read(&path).expect("it is there");
        change(&mut bytes);
        std::fs::write(&hidden, bytes).expect("the folder is ours");
        let file = File::options().append(true).open(&hidden).expect("it is ours");
        file.set_modified(SystemTime::now() - age).expect("it is ours");
        std::fs::rename(&hidden, &path).expect("the folder is ours");
    }
}
