//! The file in which one cluster's alerts outlive a restart. Nothing about it is ever fatal: what cannot be read is set
//! aside, what cannot be written is reported, and the cycles go on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::fs;

use crate::model::Timestamp;
use crate::rules::States;

/// How often the file is written when nothing changes: after a restart, what passed since then counts as not watched.
const WRITE_EVERY: Duration = Duration::from_secs(15);

/// The largest file that is read. One with as many alerts as are kept is half as large.
const MAX_BYTES: u64 = 16 << 20;

/// The longest name that file systems take is 255 bytes; this leaves room for what is appended.
const MAX_NAME: usize = 200;

/// The state file of one cluster.
pub(super) struct StateFile {
    path: PathBuf,
    cluster: Arc<str>,
    /// What the file holds.
    written: Option<(States, Timestamp)>,
    /// Whether the last attempt to write failed, which was reported then.
    failing: bool,
}

impl StateFile {
    /// A file in `folder` that is named after the cluster.
    pub(super) fn new(folder: &Path, cluster: Arc<str>) -> Self {
        Self {
            path: folder.join(format!("{}.alerts.json", file_name(&cluster))),
            cluster,
            written: None,
            failing: false,
        }
    }

    /// What was remembered; none when there is nothing, or nothing that can be used.
    pub(super) async fn read(&self, now: Timestamp) -> Option<States> {
        match self.try_read().await {
            Ok(None) => None,
            Ok(Some(states)) if states.is_outdated(now) => {
                tracing::info!(cluster = &*self.cluster, file = %self.path.display(), "the remembered alerts are too old, and not taken up");
                None
            }
            Ok(Some(states)) => Some(states),
            Err(reason) => {
                self.set_aside(&reason).await;
                None
            }
        }
    }

    async fn try_read(&self) -> Result<Option<States>, String> {
        let length = match fs::metadata(&self.path).await {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("it cannot be read: {error}")),
        };
        if length > MAX_BYTES {
            return Err(format!("it has {length} bytes, at most {MAX_BYTES} are read"));
        }
        let text = fs::read_to_string(&self.path)
            .await
            .map_err(|error| format!("it cannot be read: {error}"))?;
        States::parse(&text, &self.cluster).map(Some)
    }

    /// Moves the file out of the way, over the one that was moved there before.
    async fn set_aside(&self, reason: &str) {
        let aside = self.path.with_extension("json.unusable");
        let moved = fs::rename(&self.path, &aside).await;
        let outcome = match &moved {
            Ok(()) => format!("moved to {}", aside.display()),
            Err(error) => format!("and could not be moved to {}: {error}", aside.display()),
        };
        tracing::warn!(
            cluster = &*self.cluster,
            file = %self.path.display(),
            reason,
            outcome,
            "the file with the remembered alerts cannot be used; alerts begin anew"
        );
    }

    /// Writes what is to be remembered, when it has changed or the file is no longer fresh.
    pub(super) async fn write(&mut self, states: States, now: Timestamp) {
        let fresh = self
            .written
            .as_ref()
            .is_some_and(|(written, at)| written.says_the_same(&states) && now.since(*at) < WRITE_EVERY);
        if fresh {
            return;
        }
        match self.try_write(&states).await {
            Ok(left_out) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!(cluster = &*self.cluster, file = %self.path.display(), "alerts are remembered again");
                }
                if left_out > 0 {
                    tracing::warn!(
                        cluster = &*self.cluster,
                        left_out,
                        "there are more alerts than are remembered"
                    );
                }
                self.written = Some((states, now));
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(
                        cluster = &*self.cluster,
                        file = %self.path.display(),
                        %error,
                        "alerts cannot be remembered over a restart; mend the folder or its permissions"
                    );
                }
            }
        }
    }

    /// First beside the file and then over it, so that it is always whole. It is not synced: on a member's host a sync
    /// is what etcd waits for, and a file that a crash damages is set aside.
    async fn try_write(&self, states: &States) -> io::Result<usize> {
        let (text, left_out) = states.to_text(&self.cluster);
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).await?;
        }
        let beside = self.path.with_extension("json.new");
        fs::write(&beside, text).await?;
        fs::rename(&beside, &self.path).await?;
        Ok(left_out)
    }
}

/// A cluster's name as a file's: letters, digits and `.-_` stay, other bytes become `%XX`. Of long names the end is
/// replaced by a digest.
fn file_name(cluster: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let encoded: String = cluster
        .bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    if encoded.len() <= MAX_NAME {
        return encoded;
    }
    let digest = Sha256::digest(cluster.as_bytes());
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}~{digest}", &encoded[..MAX_NAME - digest.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn remembered(seconds: i64) -> States {
        let text = format!(
            r#"{{"kind":"etcd-doctor alert states","version":1,"cluster":"a/b","saved_at_ms":{},
            "alerts":[{{"rule":"r","labels":{{"alertname":"A"}},"active_at_ms":0,"fired_at_ms":null}}]}}"#,
            seconds * 1000
        );
        States::parse(&text, "a/b").unwrap()
    }

    #[tokio::test]
    async fn what_is_written_is_read_by_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        let mut file = StateFile::new(&folder, "a/b".into());
        assert_eq!(file.read(at(1)).await, None);
        file.write(remembered(1), at(1)).await;
        let next = StateFile::new(&folder, "a/b".into());
        assert_eq!(next.read(at(2)).await, Some(remembered(1)));
        assert_eq!(next.read(at(4000)).await, None, "it is too old");
        // Nothing changed, and it is fresh: not written. Later it is.
        file.write(remembered(5), at(5)).await;
        assert_eq!(next.read(at(5)).await, Some(remembered(1)));
        file.write(remembered(16), at(16)).await;
        assert_eq!(next.read(at(16)).await, Some(remembered(16)));
        let names: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["a%2Fb.alerts.json"]);
    }

    #[tokio::test]
    async fn what_is_damaged_is_set_aside_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = StateFile::new(dir.path(), "a/b".into());
        for damage in ["", "{", "\u{0}\u{0}", "{\"kind\":\"other\"}"] {
            std::fs::write(&file.path, damage).unwrap();
            assert_eq!(file.read(at(1)).await, None);
            let aside = dir.path().join("a%2Fb.alerts.json.unusable");
            assert_eq!(std::fs::read_to_string(&aside).unwrap(), damage);
            assert!(!file.path.exists());
        }
        file.write(remembered(1), at(1)).await;
        assert_eq!(file.read(at(1)).await, Some(remembered(1)));
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let no_folder = dir.path().join("file");
        std::fs::write(&no_folder, "").unwrap();
        let mut file = StateFile::new(&no_folder, "c".into());
        assert_eq!(file.read(at(1)).await, None);
        file.write(remembered(1), at(1)).await;
        assert!(file.failing && file.written.is_none());
        std::fs::remove_file(&no_folder).unwrap();
        file.write(remembered(2), at(2)).await;
        assert!(!file.failing);
    }

    #[test]
    fn names_of_files_are_short_and_stay_different() {
        assert_eq!(file_name("prod.eu-1"), "prod.eu-1");
        assert_eq!(file_name("a/../b c"), "a%2F..%2Fb%20c");
        let long = "ä".repeat(300);
        let [one, other] = [file_name(&long), file_name(&format!("{long}x"))];
        assert!(one.len() <= MAX_NAME && one != other, "{one} {other}");
    }
}
