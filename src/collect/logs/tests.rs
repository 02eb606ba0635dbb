//! The logs of real servers, and of files that are rotated, cut and hostile.

use std::fs;
use std::io::Write;

use super::entry::{self, Level};
use super::*;
use crate::collect::fixture;
use crate::model::Value;

fn count(text: &str) -> Counts {
    Counter::default().count(text.as_bytes(), None)
}

fn kinds_of(text: &str) -> Vec<(&'static str, u64)> {
    count(text).kinds.into_iter().collect()
}

/// What real servers wrote under faults, one line of each kind.
fn real(version: &str) -> String {
    fs::read_to_string(format!("tests/fixtures/etcd/log-{version}.txt")).unwrap()
}

#[test]
fn knows_what_etcd_3_5_writes() {
    let log = real("3.5.30");
    assert_eq!(
        kinds_of(&log),
        [
            ("alarm_disarmed", 1),
            ("alarm_raised", 1),
            ("apply_failed", 1),
            ("client_connection_rejected", 1),
            ("cluster_id_mismatch", 3),
            ("compaction_finished", 1),
            ("defrag_finished", 1),
            ("defrag_started", 1),
            ("disk_full", 1),
            ("election_started", 1),
            ("fsync_slow", 1),
            ("leader_changed", 1),
            ("leader_elected", 1),
            ("member_removed", 1),
            ("peer_connection_rejected", 1),
            ("peer_inactive", 1),
            ("peer_unreachable", 2),
            ("quota_exceeded", 1),
            ("removed_member_rejected", 1),
            ("snapshot_sent_to_client", 1),
        ]
    );
    assert_eq!(count(&log).lines, log.lines().count() as u64);
}

#[test]
fn knows_what_etcd_3_4_writes() {
    assert_eq!(
        kinds_of(&real("3.4.23")),
        [
            ("alarm_disarmed", 1),
            ("alarm_raised", 1),
            ("apply_failed", 1),
            ("cluster_id_mismatch", 2),
            ("compaction_finished", 1),
            ("connection_rejected", 1),
            ("defrag_finished", 1),
            ("defrag_started", 1),
            ("disk_full", 1),
            ("election_started", 1),
            ("fsync_slow", 1),
            ("heartbeat_late", 1),
            ("leader_elected", 1),
            ("leader_lost", 1),
            ("member_removed", 1),
            ("peer_inactive", 1),
            ("peer_unreachable", 1),
            ("quota_exceeded", 1),
            ("removed_member_rejected", 1),
            ("snapshot_sent_to_client", 1),
        ]
    );
}

/// Texts of etcd's source that no healthy disk, clock or network brings about.
#[test]
fn knows_the_rest_of_the_list() {
    let zap = |level: &str, message: &str| format!("{{\"level\":\"{level}\",\"msg\":\"{message}\"}}\n");
    for (kind, line) in [
        ("heartbeat_late", zap("warn", "leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk")),
        ("apply_slow", zap("warn", "apply request took too long")),
        ("apply_slow", "2026-11-22 17:00:00.1 W | etcdserver: read-only range request \"key:\\\"a\\\" \" with result \"range_response_count:1 size:1\" took too long (120ms) to execute\n".into()),
        ("apply_slow", "2026-11-22 17:00:00.1 W | etcdserver: request \"header:<ID:1 > put:<key:\\\"a\\\" >\" with result \"size:4\" took too long (120ms) to execute\n".into()),
        ("read_index_slow", zap("warn", "waiting for ReadIndex response took too long, retrying")),
        ("quorum_inactive", "raft2026/11/22 17:00:00 WARN: 8e9e05c52164694d stepped down to follower since quorum is not active\n".into()),
        ("raft_message_dropped", zap("warn", "dropped internal Raft message since sending buffer is full (overloaded network)")),
        ("raft_message_dropped", "2026-11-22 17:00:00.1 W | rafthttp: dropped internal raft message to 1 since x's sending buffer is full (bad/overloaded network)\n".into()),
        ("clock_difference", zap("warn", "prober found high clock drift")),
        ("clock_difference", "2026-11-22 17:00:00.1 W | rafthttp: the clock difference against peer 1 is too high [5.0s > 1s]\n".into()),
        ("peer_unreachable", "2026-11-22 17:00:00.1 W | rafthttp: health check for peer 1 could not connect: dial tcp\n".into()),
        ("snapshot_sent_to_member", zap("info", "sent merged snapshot")),
        ("publish_failed", zap("warn", "failed to publish local member to cluster through raft")),
        ("corruption", zap("error", "failed compaction hash check")),
        ("connection_rejected", zap("warn", "rejected connection")),
        ("handshake_unfinished", r#"{"msg":"rejected connection on client endpoint","error":"EOF"}"#.to_owned() + "\n"),
        ("handshake_unfinished", "2026-11-22 17:00:00.1 I | embed: rejected connection from \"127.0.0.1:1\" (error \"EOF\", ServerName \"\")\n".into()),
        ("panic", zap("panic", "tocommit(317) is out of range [lastIndex(0)]. Was the raft log corrupted, truncated, or lost?")),
        ("panic", "panic: runtime error: invalid memory address or nil pointer dereference\n".into()),
        ("fatal", zap("fatal", "discovery failed")),
        ("fatal", "2026-11-22 17:00:00.1 C | etcdmain: cannot listen\n".into()),
        ("disk_full", "write error: write /dev/stderr: no space left on device\n".into()),
    ] {
        assert_eq!(kinds_of(&line), [(kind, 1)], "{line}");
    }
}

#[test]
fn a_clients_words_are_not_etcds() {
    let request = r#"{"level":"warn","msg":"apply request took too long","request":"put:<key:\"alarm raised\">","error":"x"}"#;
    assert_eq!(kinds_of(&format!("{request}\n")), [("apply_slow", 1)]);
    let unknown = r#"{"level":"info","msg":"x","request":"{\"level\":\"fatal\",\"msg\":\"alarm raised\"}"}"#;
    assert_eq!(kinds_of(&format!("{unknown}\n")), []);
}

#[test]
fn takes_off_what_runtimes_and_syslog_put_around() {
    let json = r#"{"level":"warn","ts":"2026-11-22T17:00:00.500Z","msg":"alarm raised"}"#;
    for line in [
        format!("2026-11-22T17:00:00.5Z stderr F {json}\n"),
        format!("2026-11-22T18:00:00.5+01:00 stdout F {json}\n"),
        format!(
            "{{\"log\":{:?},\"stream\":\"stderr\",\"time\":\"2026-11-22T17:00:00.5Z\"}}\n",
            format!("{json}\n")
        ),
        format!("Nov 22 17:00:00 host etcd[123]: {json}\n"),
        "2026-11-22T17:00:00.500Z\twarn\tetcdserver/apply.go:1\talarm raised\t{\"alarm\": \"NOSPACE\"}\n"
            .to_owned(),
        "alarm NOSPACE raised by peer 1\n".to_owned(),
    ] {
        assert_eq!(kinds_of(&line), [("alarm_raised", 1)], "{line}");
    }
    let cri = entry::unwrap("2026-11-22T17:00:00.5Z stderr F x");
    assert_eq!(cri.time, Some(1_795_366_800_500));
    assert_eq!(entry::parse(json).time, cri.time);
    assert_eq!(entry::parse("2026-11-22 17:00:00.5 C | a: b").level, Level::Fatal);
    assert_eq!(
        entry::parse("2026-11-22 17:00:00.5 C | a: b").time,
        None,
        "it tells no zone"
    );
}

#[test]
fn a_line_that_the_runtime_cut_counts_once() {
    let cri = "2026-11-22T17:00:00Z stderr P {\"level\":\"warn\",\"msg\":\"alarm raised\",\"x\":\"aaa\n\
               2026-11-22T17:00:00Z stderr F {\"msg\":\"alarm raised\"}\n\
               2026-11-22T17:00:00Z stderr F {\"msg\":\"alarm disarmed\"}\n";
    let counts = count(cri);
    assert_eq!(
        counts.kinds.into_iter().collect::<Vec<_>>(),
        [("alarm_disarmed", 1), ("alarm_raised", 1)]
    );
    assert_eq!(counts.lines, 2);
}

#[test]
fn lines_are_put_together_over_reads_and_long_ones_cut() {
    let mut counter = Counter::default();
    assert_eq!(
        counter.count(b"{\"level\":\"warn\",\"msg\":\"alarm", None),
        Counts::default()
    );
    assert_eq!(
        counter.count(b" raised\"}\nrest", None).kinds.get("alarm_raised"),
        Some(&1)
    );
    let long = format!("{{\"msg\":\"alarm raised\",\"x\":\"{}\"}}\n", "a".repeat(1 << 20));
    assert_eq!(
        counter.count(long.as_bytes(), None).lines,
        1,
        "the rest of the last and this one are one line"
    );
    assert_eq!(kinds_of(&long), [("alarm_raised", 1)]);
    counter.break_off(true);
    assert_eq!(
        counter.count(b"raised\nalarm raised by peer\n", None).lines,
        1,
        "the end of a line is none"
    );
}

#[test]
fn a_look_back_counts_only_what_tells_its_time() {
    let mut counter = Counter::default();
    let log = "{\"ts\":\"2026-11-22T16:59:00Z\",\"msg\":\"alarm raised\"}\n\
               {\"ts\":\"2026-11-22T17:00:00Z\",\"msg\":\"alarm disarmed\"}\n\
               2026-11-22 17:00:01.5 I | etcdserver: alarm disarmed x\n";
    let counts = counter.count(log.as_bytes(), Some(1_795_366_800_000));
    assert_eq!(
        counts.kinds.into_iter().collect::<Vec<_>>(),
        [("alarm_disarmed", 1)]
    );
}

/// A cycle over the log of etcd-0, at a number of seconds after the fixture's time: what was counted, without the zeros.
async fn cycle(collector: &mut Box<dyn Collector>, seconds: i64) -> Result<Vec<(String, f64)>, String> {
    cycle_of(collector, seconds, &fixture::subject().members[..1]).await
}

/// The same over other members.
async fn cycle_of(
    collector: &mut Box<dyn Collector>,
    seconds: i64,
    members: &[Member],
) -> Result<Vec<(String, f64)>, String> {
    let mut subject = fixture::subject();
    subject.now = Timestamp::from_millis(subject.now.millis() + seconds * 1000);
    subject.members = members.iter().cloned().collect();
    match collector.collect(&subject).await {
        Ok(reading) => {
            let number = |sample: &Sample| match sample.value {
                Value::Number(value) => value,
                Value::Histogram(_) => panic!("a histogram"),
            };
            let counted = |sample: &Sample| {
                let kind = sample.labels.get("kind");
                let name = if kind.is_empty() { sample.desc.name } else { kind };
                (name.trim_start_matches("etcd_doctor_").to_owned(), number(sample))
            };
            Ok(reading
                .samples
                .iter()
                .map(counted)
                .filter(|(_, value)| *value != 0.0)
                .collect())
        }
        Err(Failure::NotApplicable(why) | Failure::Nothing(why)) => Err(why),
        Err(Failure::Failed(error)) => Err(error.message),
    }
}

fn collector(place: &str) -> Box<dyn Collector> {
    (SPEC.build)(&Settings {
        logs: Which::Of([("etcd-0".to_owned(), Place::File(place.into()))].into()),
        ..fixture::settings()
    })
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn lines(count: u32) -> (String, f64) {
    ("log_lines_total".into(), f64::from(count))
}

const RAISED: &str = "{\"level\":\"warn\",\"msg\":\"alarm raised\"}\n";

#[tokio::test]
async fn follows_a_file_from_its_end_through_rotation_and_truncation() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("etcd.log");
    let raised = |count: u32| ("alarm_raised".to_owned(), f64::from(count));
    // Old lines, of which one tells that it is of the last minute: it counts in the second cycle, after the zero.
    let recent = "{\"ts\":\"2023-11-14T22:23:10Z\",\"msg\":\"clock is set\"}\n";
    append(&log, &(RAISED.repeat(3) + recent));
    let mut collector = collector(log.to_str().unwrap());
    assert_eq!(cycle(&mut collector, 0).await.unwrap(), []);
    append(&log, RAISED);
    assert_eq!(cycle(&mut collector, 5).await.unwrap(), [raised(1), lines(2)]);
    // Renamed and made anew, with a last line to the old one.
    fs::rename(&log, dir.path().join("etcd.log.1")).unwrap();
    append(&dir.path().join("etcd.log.1"), RAISED);
    append(&log, RAISED);
    assert_eq!(cycle(&mut collector, 10).await.unwrap(), [raised(2), lines(3)]);
    assert_eq!(cycle(&mut collector, 15).await.unwrap(), [raised(3), lines(4)]);
    // Copied and emptied.
    fs::write(&log, "").unwrap();
    assert_eq!(cycle(&mut collector, 20).await.unwrap(), [raised(3), lines(4)]);
    append(&log, RAISED);
    assert_eq!(cycle(&mut collector, 25).await.unwrap(), [raised(4), lines(5)]);
    // Gone, while the writer goes on with what it has open.
    fs::remove_file(&log).unwrap();
    assert_eq!(cycle(&mut collector, 30).await.unwrap(), [raised(4), lines(5)]);
}

#[tokio::test]
async fn of_a_pattern_the_newest_is_followed_that_is_not_packed() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let at = |name: &str, seconds| {
        append(&path(name), "x\n");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::options()
            .append(true)
            .open(path(name))
            .unwrap()
            .set_modified(time)
            .unwrap();
    };
    at("0.log", 100);
    at("1.log", 200);
    at("1.log.gz", 300);
    let mut collector = collector(path("*.log*").to_str().unwrap());
    assert_eq!(cycle(&mut collector, 0).await.unwrap(), []);
    append(&path("1.log"), RAISED);
    let counted = cycle(&mut collector, 5).await.unwrap();
    assert_eq!(counted, [("alarm_raised".into(), 1.0), lines(1)]);
}

#[tokio::test]
async fn what_is_no_file_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let why = cycle(&mut collector(pipe.to_str().unwrap()), 0)
        .await
        .unwrap_err();
    assert!(why.ends_with("pipe is no regular file"), "{why}");
    let missing = dir.path().join("none");
    let why = cycle(&mut collector(missing.to_str().unwrap()), 0)
        .await
        .unwrap_err();
    assert!(why.starts_with("could not open "), "{why}");
    let pattern = dir.path().join("*.log");
    let why = cycle(&mut collector(pattern.to_str().unwrap()), 0)
        .await
        .unwrap_err();
    assert!(why.starts_with("no file is called like "), "{why}");
}

#[tokio::test]
async fn a_log_that_outgrows_the_reading_is_skipped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("etcd.log");
    append(&log, "");
    let mut collector = collector(log.to_str().unwrap());
    assert_eq!(cycle(&mut collector, 0).await.unwrap(), []);
    // Without blocks on the disk: a hole of 64 MiB, then what is read.
    fs::File::options()
        .append(true)
        .open(&log)
        .unwrap()
        .set_len(64 << 20)
        .unwrap();
    append(&log, &format!("\n{RAISED}"));
    let counted = cycle(&mut collector, 5).await.unwrap();
    let skipped = (63 << 20) as f64 + 1.0 + RAISED.len() as f64;
    assert_eq!(
        counted,
        [
            ("alarm_raised".into(), 1.0),
            lines(1),
            ("log_skipped_bytes_total".into(), skipped)
        ]
    );
}

#[tokio::test]
async fn says_why_no_log_is_read() {
    let with = |logs| -> Box<dyn Collector> {
        (SPEC.build)(&Settings {
            logs,
            ..fixture::settings()
        })
    };
    let why = cycle(&mut with(Which::Off), 0).await.unwrap_err();
    assert_eq!(why, "logs are not read: the configuration says `logs: off`");
    let both = fixture::subject().members;
    let why = cycle_of(&mut with(Which::Here(Place::File("x".into()))), 0, &both)
        .await
        .unwrap_err();
    assert_eq!(
        why,
        "whose log `logs` means cannot be told: etcd-0, etcd-1 run on this host"
    );
    let other = Which::Of([("etcd-7".to_owned(), Place::File("x".into()))].into());
    let settings = Settings {
        logs: other,
        proc: "/nowhere".into(),
        ..fixture::settings()
    };
    let why = cycle(&mut (SPEC.build)(&settings), 0).await.unwrap_err();
    assert_eq!(why, "no member is called as in `logs`: etcd-7");
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_missed_beside_those_that_can() {
    let dir = tempfile::tempdir().unwrap();
    let (there, missing) = (dir.path().join("a.log"), dir.path().join("b.log"));
    append(&there, RAISED);
    let places = [("etcd-0", &there), ("etcd-1", &missing)];
    let mut collector = (SPEC.build)(&Settings {
        logs: Which::Of(
            places
                .map(|(name, path)| (name.to_owned(), Place::File(path.clone())))
                .into(),
        ),
        ..fixture::settings()
    });
    let reading = collector.collect(&fixture::subject()).await.unwrap();
    assert!(
        reading
            .samples
            .iter()
            .all(|sample| sample.labels.get("member") == "etcd-0")
    );
    let lacking = reading.lacking.expect("etcd-1 is not counted as quiet");
    let expected = format!(
        "the log of etcd-1 is not read: could not open {}: ",
        missing.display()
    );
    assert!(lacking.message.starts_with(&expected), "{lacking}");
    // There again, nothing is missing.
    append(&missing, RAISED);
    let reading = collector.collect(&fixture::subject()).await.unwrap();
    assert!(reading.lacking.is_none());
    assert!(
        reading
            .samples
            .iter()
            .any(|sample| sample.labels.get("member") == "etcd-1")
    );
}
