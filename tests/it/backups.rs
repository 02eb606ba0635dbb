//! Snapshots of real members: what is said of them, beside what etcdctl says.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use etcd_doctor::client::snapshot::{Contents, Finding, examine};
use serde_json::Value;

use crate::support::{Doctor, EtcdCluster, Version, WriteLoad, problems};

/// For a folder to be listed and a small file to be read, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

fn finding(path: &Path) -> Finding {
    let file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    examine(&file, len, &|| true).unwrap()
}

/// What etcdctl says of a snapshot.
async fn status(etcd: &EtcdCluster, path: &Path) -> Contents {
    let path = path.to_str().unwrap();
    let printed = etcd
        .etcdctl(&["snapshot", "status", path, "-w", "json"])
        .await
        .unwrap();
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let number = |key: &str| {
        printed[key]
            .as_u64()
            .unwrap_or_else(|| panic!("{key} of {printed}"))
    };
    Contents {
        size: number("totalSize"),
        revision: i64::try_from(number("revision")).unwrap(),
        keys: number("totalKey"),
        hash: u32::try_from(number("hash")).unwrap(),
    }
}

/// Small, large and deleted keys, and keys of many revisions: pages of every kind.
async fn write(etcd: &EtcdCluster) {
    let client = WriteLoad::client(etcd.endpoints(), etcd.client_options()).await;
    let mut kv = client.kv_client();
    for i in 0..1500 {
        kv.put(format!("key/{}", i % 400), vec![b'v'; i % 700], None)
            .await
            .unwrap();
    }
    for size in [5_000, 70_000, 300_000] {
        kv.put(format!("large/{size}"), vec![b'l'; size], None)
            .await
            .unwrap();
    }
    for i in 0..50 {
        kv.delete(format!("key/{i}"), None).await.unwrap();
    }
}

#[tokio::test]
async fn a_snapshot_is_read_as_etcdctl_reads_it() {
    for version in [Version::V3_4, Version::V3_5] {
        let etcd = EtcdCluster::builder(version).members(1).start().await;
        let [empty, full, compacted] = ["empty", "full", "compacted"].map(|name| etcd.dir().join(name));
        let save = async |path: &Path| {
            etcd.etcdctl(&["snapshot", "save", path.to_str().unwrap()])
                .await
                .unwrap();
        };
        save(&empty).await;
        write(&etcd).await;
        etcd.add_user("somebody", "secret").await;
        save(&full).await;
        etcd.etcdctl(&["compact", "--physical", "1000"]).await.unwrap();
        etcd.etcdctl(&["defrag"]).await.unwrap();
        save(&compacted).await;
        for path in [&empty, &full, &compacted] {
            let expected = status(&etcd, path).await;
            assert_eq!(
                finding(path),
                Finding::Good(expected),
                "{version:?} {}",
                path.display()
            );
        }

        // What etcdctl calls good: a flipped bit in a value, and a database without its checksum.
        let whole = std::fs::read(&full).unwrap();
        let copy = etcd.dir().join("copy");
        std::fs::write(&copy, &whole[..whole.len() - 32]).unwrap();
        let as_etcdctl = status(&etcd, &copy).await;
        assert_eq!(finding(&copy), Finding::NoChecksum(as_etcdctl));
        let mut flipped = whole.clone();
        let at = whole.windows(100).position(|bytes| bytes == [b'l'; 100]).unwrap();
        flipped[at] ^= 1;
        std::fs::write(&copy, flipped).unwrap();
        status(&etcd, &copy).await;
        let Finding::Broken(damage) = finding(&copy) else {
            panic!("{:?}", finding(&copy))
        };
        assert_eq!(damage.reason, "does not match its checksum");
    }
}

/// The live database of a member, copied from under it: no snapshot, and said to be none.
#[tokio::test]
async fn a_copied_database_is_no_snapshot() {
    for version in [Version::V3_4, Version::V3_5] {
        let mut etcd = EtcdCluster::builder(version).members(1).start().await;
        write(&etcd).await;
        // Ended first, so that the copy is a whole one.
        etcd.terminate(0).await;
        let database = etcd.dir().join("etcd-0/member/snap/db");
        assert!(
            matches!(finding(&database), Finding::NoChecksum(_)),
            "{:?}",
            finding(&database)
        );
    }
}

#[tokio::test]
async fn backups_are_seen_and_judged_while_the_doctor_runs() {
    let etcd = EtcdCluster::builder(Version::V3_5).members(1).start().await;
    let folder = etcd.dir().join("backups");
    std::fs::create_dir(&folder).unwrap();
    let mut config: Value = serde_json::from_str(&Doctor::config_for(&etcd)).unwrap();
    config["clusters"][0]["backups"] = serde_json::json!([folder]);
    let doctor = Doctor::start(&config.to_string()).await;
    let has = |alert: &'static str| {
        move |diagnosis: &Value| problems(diagnosis).iter().any(|problem| problem == alert)
    };
    doctor
        .diagnosis_when("no backup", SOON, has("EtcdBackupMissing"))
        .await;

    let save = async |name: &str, age: Duration| {
        let path = folder.join(name);
        etcd.etcdctl(&["snapshot", "save", path.to_str().unwrap()])
            .await
            .unwrap();
        let file = File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    };
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    save("old.db", hours(27)).await;
    let old = doctor
        .diagnosis_when("an old backup", SOON, has("EtcdBackupTooOld"))
        .await;
    assert!(!has("EtcdBackupMissing")(&old), "{old:#}");
    save("new.db", hours(1)).await;
    doctor
        .diagnosis_when("a new backup", SOON, |diagnosis| {
            !problems(diagnosis)
                .iter()
                .any(|problem| problem.starts_with("EtcdBackup"))
        })
        .await;
    let revision = doctor.metric("etcd_doctor_backup_revision").await;
    assert_eq!(revision.len(), 1, "{revision:?}");
}
