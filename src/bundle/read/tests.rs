//! Bundles that are whole, cut, swollen and made up.

use std::io::Write;

use super::*;
use crate::bundle::{RecordedAlert, RecordedOutcome, Secrets, write};
use crate::model::{
    Access, AlarmKind, ClusterFacts, CollectError, MemberFacts, Quorum, Quota, QuotaSource, Reason, Verdict,
    stale_nan,
};
use crate::rules::{Alert, AlertState};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

fn recording() -> Recording {
    let member = |name: &str, quota| MemberFacts {
        name: name.into(),
        id: Some(u64::MAX),
        endpoint: Some("https://10.0.0.1:2379".into()),
        reachable: true,
        latency: Some(Duration::from_micros(1234)),
        started: true,
        leader: true,
        version: Some("3.5.16".into()),
        db_size_bytes: Some(1),
        quota,
        raft_term: Some(u64::MAX),
        alarms: vec![
            AlarmKind::NoSpace,
            AlarmKind::Corrupt,
            AlarmKind::Other("NEW".into()),
        ],
        ..MemberFacts::default()
    };
    let down = MemberFacts {
        name: "c".into(),
        unreachable_because: "nothing listens there".into(),
        learner: true,
        ..MemberFacts::default()
    };
    let outcome = |collector: &str, verdict| RecordedOutcome {
        collector: collector.to_owned(),
        member: Some("a".into()),
        verdict,
    };
    let failed = CollectError {
        reason: Reason::WrongMember,
        message: "no".into(),
        fix: "yes".into(),
    };
    let labels = |name: &str| Labels::new([("member", "a")]).named(name);
    let point = |seconds, value| Point {
        time: at(seconds),
        value,
    };
    Recording {
        cluster: "prod".into(),
        time: at(10),
        watched_for: Duration::from_secs(10),
        ends_after: Some(Duration::from_secs(10)),
        facts: ClusterFacts {
            access: Access {
                ca_file: Some("/ca.crt".into()),
                user: Some("doctor".into()),
                insecure_skip_verify: true,
                ..Access::default()
            },
            cluster_id: Some(0xabc),
            quorum: Quorum {
                voters: 3,
                reachable: 2,
                required: 2,
                leader: Some("a".into()),
                term: Some(7),
            },
            members: vec![
                member("a", Quota::Bytes(2, QuotaSource::Process)),
                member("b", Quota::Disabled(QuotaSource::Metrics)),
                down,
            ],
        },
        outcomes: vec![
            outcome("status", Verdict::Read),
            outcome("disk", Verdict::NotApplicable("no local etcd".into())),
            outcome("probe", Verdict::Failed(failed)),
        ],
        alerts: vec![RecordedAlert {
            rule: (1, 2),
            alert: Alert {
                labels: Labels::new([("alertname", "A")]),
                annotations: vec![("summary".into(), "s".into())],
                state: AlertState::Firing,
                value: f64::INFINITY,
                active_at: at(-5000),
                fired_at: Some(at(-4000)),
                resolved_at: None,
            },
        }],
        series: vec![
            RecordedSeries {
                by_rule: false,
                labels: labels("up"),
                points: vec![point(0, 1.0), point(5, 1.0), point(10, stale_nan())],
            },
            RecordedSeries {
                by_rule: true,
                labels: labels("ALERTS"),
                points: vec![point(5, f64::NAN)],
            },
        ],
    }
}

fn bundle() -> Bundle {
    Bundle {
        created: at(11),
        version: "0.1.0".into(),
        rules_digest: "sha256:00".into(),
        config: "interval: 5s\n".into(),
        rules: vec![("rules/a.yaml".into(), "groups: []\n".into())],
        report: serde_json::json!({"status": "fail"}),
        recordings: vec![recording(), recording()],
    }
}

fn written(bundle: &Bundle) -> Vec<u8> {
    write(bundle, &Secrets::default()).unwrap()
}

fn unzipped(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

fn zipped(text: &str) -> Vec<u8> {
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(text.as_bytes()).unwrap();
    zip.finish().unwrap()
}

#[test]
fn what_is_written_is_read_and_written_as_it_was() {
    let bytes = written(&bundle());
    let back = read(&bytes).unwrap();
    assert_eq!(back.recordings.len(), 2);
    let (one, other) = (recording(), &back.recordings[1]);
    assert_eq!(one.facts, other.facts);
    assert_eq!(one.alerts, other.alerts);
    assert_eq!(
        (one.time, one.watched_for, one.ends_after),
        (other.time, other.watched_for, other.ends_after)
    );
    // Values that are not equal to themselves, and everything else, show in the text.
    assert_eq!(unzipped(&written(&back)), unzipped(&bytes));
    let text = unzipped(&bytes);
    assert!(text.contains(r#""values":"1x1 stale""#), "{text}");
}

#[test]
fn secrets_are_left_out_wherever_they_stand() {
    let mut bundle = bundle();
    let secret = r#"s3cr"et\word"#;
    bundle.config = format!("password: {secret}");
    bundle.report = serde_json::json!({ "error": format!("GET http://a?token={secret} refused") });
    bundle.recordings[0].facts.members[2].unreachable_because = secret.into();
    bundle.recordings[0].cluster = secret.into();
    let text = unzipped(&write(&bundle, &Secrets::new([secret.to_owned()])).unwrap());
    assert!(!text.contains(r#"s3cr\"et"#) && !text.contains("s3cr"), "{text}");
    assert_eq!(text.matches("<hidden>").count(), 4);
    read(&zipped(&text)).unwrap();
}

#[test]
fn a_bundle_that_is_cut_anywhere_is_an_error_that_says_so() {
    let bytes = written(&bundle());
    for end in 2..bytes.len() - 8 {
        let error = read(&bytes[..end]).unwrap_err();
        assert!(
            matches!(error, ReadError::Truncated { .. }),
            "cut at {end}: {error}"
        );
    }
    // The same, unpacked and packed again, so that only its own end tells.
    let text = unzipped(&bytes);
    for (at, _) in text.match_indices('\n').rev().skip(1) {
        let error = read(&zipped(&text[..=at])).unwrap_err();
        assert!(matches!(error, ReadError::Truncated { .. }), "{error}");
        let error = read(&zipped(&text[..at])).unwrap_err();
        assert!(matches!(error, ReadError::Truncated { .. }), "{error}");
    }
    assert!(read(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn what_is_damaged_or_foreign_is_named() {
    let text = unzipped(&written(&bundle()));
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} is not in {text}");
        zipped(&text.replacen(from, to, 1))
    };
    for (bytes, words) in [
        (b"apiVersion: v1".to_vec(), "not compressed with gzip"),
        (zipped("hello\n"), "its first line is not JSON"),
        (
            zipped("{\"kind\":\"Diagnosis\"}\n"),
            "its first line does not say so",
        ),
        (
            with("\"version\":1", "\"version\":2"),
            "it is in format 2, written by etcd-doctor 0.1.0",
        ),
        (
            with("\"kind\":\"series\"", "\"kind\":\"song\""),
            "line 6 is damaged: unknown variant `song`",
        ),
        (
            with("1x1 stale", "1x2 stale"),
            "line 6 is damaged: there are more than 3 values",
        ),
        (with("\"first\":0", "\"first\":9"), "there are more than 0 values"),
        (with("1x1 stale", "1x18446744073709551615"), "is no value"),
        (
            with("\"state\":\"firing\"", "\"state\":\"on fire\""),
            "line 5 is damaged: an alert is \"on fire\"",
        ),
        (
            with("\"source\":\"process\"", "\"source\":\"guess\""),
            "\"guess\" is no source of a quota",
        ),
        (with("wrong_member", "wrong_day"), "\"wrong_day\" is no reason"),
        (
            with("1700000000000,1700000005000", "1700000005000,1700000000000"),
            "do not rise",
        ),
        (
            with("\"id\":\"ffffffffffffffff\"", "\"id\":\"leader\""),
            "\"leader\" is no id",
        ),
        (
            with("\"lines\":10", "\"lines\":9"),
            "9 lines are told before it, and there are 10",
        ),
        (
            with("\"kind\":\"config\"", "\"kind\":\"report\""),
            "line 2 is damaged: missing field `report`",
        ),
    ] {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{words:?} is not in {error:?}");
    }
    let nested = "[".repeat(1_000_000);
    let error = read(&zipped(&format!("{nested}\n"))).unwrap_err();
    assert!(matches!(error, ReadError::Foreign(_)), "{error}");
}

#[test]
fn a_small_file_that_unpacks_to_a_huge_one_is_refused_early() {
    let head = unzipped(&written(&bundle())).lines().next().unwrap().to_owned() + "\n";
    let long = read(&zipped(&(head + &" ".repeat(MAX_LINE + 1)))).unwrap_err();
    assert_eq!(long, too_large("bytes in one line", MAX_LINE));
}
