//! What the files in a folder make of the series.

use std::time::{Duration, UNIX_EPOCH};

use super::listing::{Identity, Stage};
use super::watch::Unseen;
use super::*;
use crate::client::snapshot::Damage;
use crate::collect::{Settings, fixture};
use crate::model::Value;

fn file(name: &str, seconds: u64, judged: Judged) -> (Candidate, Judged) {
    let candidate = Candidate {
        path: format!("/backup/{name}").into(),
        identity: Identity {
            device: 1,
            inode: seconds,
            size: 1,
            modified: UNIX_EPOCH + Duration::from_secs(seconds),
        },
        stage: Stage::Whole,
    };
    (candidate, judged)
}

fn good(size: u64) -> Judged {
    Judged::Found(Finding::Good(Contents {
        size,
        revision: size as i64 + 1,
        keys: size + 2,
        hash: 0,
    }))
}

fn lines(known: watch::Known) -> Vec<String> {
    let samples = samples_of("/backup".as_ref(), known);
    let line = |sample: &Sample| {
        assert!(SPEC.descs.iter().any(|desc| std::ptr::eq(*desc, sample.desc)));
        let Value::Number(value) = sample.value else {
            panic!("a histogram")
        };
        let name = sample.desc.name.strip_prefix("etcd_doctor_backup_").unwrap();
        format!("{name}{} {value}", sample.labels)
    };
    let lines = samples.iter().map(line);
    lines
        .filter(|line| !line.ends_with("} 0") || line.starts_with("folder"))
        .collect()
}

#[test]
fn the_newest_of_each_state_is_named_and_the_newest_good_one_is_measured() {
    let damage = Damage {
        reason: "is cut off",
        detail: "3 of 5 bytes".into(),
    };
    let view = View {
        files: vec![
            file("f.db", 60, Judged::Writing),
            file("e.db", 50, Judged::Found(Finding::Broken(damage))),
            file("d.db", 40, good(400)),
            file("c.db", 30, good(300)),
            file("b.db", 20, good(100)),
            file("a.db", 10, good(500)),
            file("0.db", 5, Judged::Older),
        ],
        beyond: 7,
    };
    let expected = [
        r#"folder_readable{folder="/backup"} 1"#,
        r#"files{folder="/backup", state="good"} 4"#,
        r#"files{folder="/backup", state="broken"} 1"#,
        r#"files{folder="/backup", state="writing"} 1"#,
        r#"files{folder="/backup", state="older"} 8"#,
        r#"newest_timestamp_seconds{file="d.db", folder="/backup", state="good"} 40"#,
        r#"newest_timestamp_seconds{file="e.db", folder="/backup", reason="is cut off", state="broken"} 50"#,
        r#"newest_timestamp_seconds{file="f.db", folder="/backup", state="writing"} 60"#,
        r#"newest_timestamp_seconds{file="0.db", folder="/backup", state="older"} 5"#,
        r#"size_bytes{folder="/backup"} 400"#,
        r#"revision{folder="/backup"} 401"#,
        r#"keys{folder="/backup"} 402"#,
        r#"earlier_size_bytes{folder="/backup"} 300"#,
    ];
    assert_eq!(lines(Some(Ok(view))), expected);
}

#[test]
fn what_is_not_seen_is_not_made_up() {
    assert!(lines(None).is_empty());
    let unseen = Some(Err(Unseen("gone".into())));
    assert_eq!(lines(unseen), [r#"folder_readable{folder="/backup"} 0"#]);
    assert_eq!(
        lines(Some(Ok(View::default()))),
        [r#"folder_readable{folder="/backup"} 1"#]
    );
}

#[tokio::test]
async fn without_a_folder_it_does_not_apply_and_says_what_to_set() {
    let mut collector = (SPEC.build)(&fixture::settings());
    let Err(Failure::NotApplicable(why)) = collector.collect(&fixture::subject()).await else {
        panic!("it applies")
    };
    assert_eq!(
        why,
        "no folder of backups is configured: name it in clusters[].backups"
    );
}

#[tokio::test]
async fn the_first_cycle_has_what_a_quick_look_shows() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("snapshot.db.part"), "x").unwrap();
    let settings = Settings {
        backups: [dir.path().to_owned(), dir.path().join("none")].into(),
        ..fixture::settings()
    };
    let lines = fixture::collect_with(&SPEC, &settings).await;
    let of = |place: &Path| {
        lines
            .iter()
            .filter(|line| line.contains(&format!("{:?}", place)))
            .count()
    };
    assert!(
        lines
            .iter()
            .any(|line| line.contains("partial") && line.ends_with("} 1")),
        "{lines:?}"
    );
    assert_eq!(of(&dir.path().join("none")), 1, "that it is not there: {lines:?}");
}
