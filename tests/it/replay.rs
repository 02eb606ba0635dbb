//! Faults that the lab brought about once, judged again by today's rules: no etcd needed.
//!
//! To renew them or to add one: `LAB_BUNDLES=tests/fixtures/bundles make lab FAULT=name`, and a row below.

use std::path::PathBuf;
use std::sync::Arc;

use etcd_doctor::bundle::{self, Bundle, Replay};
use etcd_doctor::cycle;
use etcd_doctor::diagnosis::{Diagnosis, Problem};
use etcd_doctor::render::{Report, ToolInfo, json, text};
use etcd_doctor::rules::{self, RuleSet, builtin};
use serde_json::Value;

use crate::support::validate;

/// A recorded fault, and what is to be said of it.
struct Recorded {
    file: &'static str,
    /// The first problem, as `alert` or `alert/member`.
    cause: &'static str,
    /// What stands beneath it.
    symptoms: &'static [&'static str],
    /// What the person on call must read.
    words: &'static [&'static str],
}

const RECORDED: &[Recorded] = &[
    Recorded {
        file: "quota-full-3.5.bundle",
        cause: "EtcdQuotaAlarmFull",
        symptoms: &["EtcdQuotaLowSpace"],
        words: &[
            "FAIL  etcd cluster etcd is full of old revisions and refuses writes (NOSPACE alarm)",
            "alarm NOSPACE",
            "etcdctl compact --physical 51",
            "etcdctl alarm disarm",
        ],
    },
    Recorded {
        file: "quota-freed-3.5.bundle",
        cause: "EtcdQuotaAlarmSpaceFreed",
        symptoms: &[],
        words: &[
            "still refuses writes; only the alarm must be disarmed",
            "etcdctl alarm disarm",
        ],
    },
    Recorded {
        file: "member-down-3.5.bundle",
        cause: "EtcdMemberDown/etcd-1",
        symptoms: &["EtcdNoFailureTolerance"],
        words: &[
            "WARN  etcd: etcd member etcd-1 does not answer",
            "2 of 3 voters reachable, 2 needed: none more may fail",
        ],
    },
    Recorded {
        file: "quorum-lost-3.4.bundle",
        cause: "EtcdQuorumLost",
        symptoms: &["EtcdNoLeader", "EtcdMemberDown/etcd-0", "EtcdMemberDown/etcd-1"],
        words: &[
            "FAIL  etcd cluster etcd has lost its quorum",
            "1 of 3 voters reachable, 2 needed: quorum is lost; no leader",
            "etcdctl snapshot save",
        ],
    },
    Recorded {
        file: "slow-disk-leader-3.5.bundle",
        cause: "EtcdWalFsyncSlow/etcd-2",
        symptoms: &[],
        words: &[
            "the disk of etcd member etcd-2 is slow to sync the write-ahead log",
            "Mean WAL fsync",
        ],
    },
];

#[test]
fn recorded_faults_are_named_by_todays_rules() {
    for recorded in RECORDED {
        let bundle = open(recorded.file);
        let [recording] = bundle.recordings.as_slice() else {
            panic!("{}: not one cluster", recorded.file)
        };
        let retrial = Replay::new(recording, &cycle::providers()).retrial(&shipped());
        let first = retrial
            .diagnosis
            .problems
            .first()
            .unwrap_or_else(|| panic!("{}: nothing", recorded.file));
        assert_eq!(
            (name(first).as_str(), first.firing),
            (recorded.cause, true),
            "{}",
            recorded.file
        );
        let beneath: Vec<String> = first.explains.iter().map(name).collect();
        for symptom in recorded.symptoms {
            assert!(
                beneath.iter().any(|name| name == symptom),
                "{}: {beneath:?}",
                recorded.file
            );
        }
        let page = in_text(&bundle, &retrial.diagnosis);
        for words in recorded.words {
            assert!(
                page.contains(words),
                "{}: {words:?} is not in\n{page}",
                recorded.file
            );
        }
    }
}

/// What `diagnose --bundle` gives is what was reported then: the same problems with the same texts and values.
#[test]
fn recorded_reports_are_made_again() {
    for recorded in RECORDED {
        let then = open(recorded.file).report;
        let again: Value = serde_json::from_str(&report(recorded.file)).expect("it is JSON");
        for field in ["status", "summary", "quorum", "problems"] {
            assert_eq!(
                again["clusters"][0][field], then["clusters"][0][field],
                "{}: {field}",
                recorded.file
            );
        }
    }
}

#[test]
fn every_recorded_fault_is_judged() {
    let files = std::fs::read_dir(folder()).expect("the folder is there");
    let mut files: Vec<String> = files
        .map(|file| {
            file.expect("it can be listed")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    files.sort();
    let mut rows: Vec<&str> = RECORDED.iter().map(|recorded| recorded.file).collect();
    rows.sort_unstable();
    assert_eq!(files, rows);
}

/// The report of a recorded fault as JSON, by the rules of then.
pub(crate) fn report(file: &str) -> String {
    let bundle = open(file);
    let rules = set(bundle
        .rules
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str())));
    let diagnoses: Vec<Diagnosis> = bundle
        .recordings
        .iter()
        .map(|recording| Replay::new(recording, &cycle::providers()).diagnosis(&rules))
        .collect();
    let report = json::render(&Report {
        tool: tool(&bundle),
        time: bundle.created,
        diagnoses: &diagnoses,
    });
    validate(&serde_json::from_str(&report).expect("a report is JSON"));
    report
}

fn in_text(bundle: &Bundle, diagnosis: &Diagnosis) -> String {
    let style = etcd_doctor::render::TextStyle {
        width: 100,
        color: false,
        ascii: true,
    };
    let report = Report {
        tool: tool(bundle),
        time: bundle.created,
        diagnoses: std::slice::from_ref(diagnosis),
    };
    text::render(&report, style)
}

fn tool(bundle: &Bundle) -> ToolInfo {
    ToolInfo {
        version: bundle.version.clone(),
        rules_digest: bundle.rules_digest.clone(),
    }
}

fn name(problem: &Problem) -> String {
    match &problem.member {
        Some(member) => format!("{}/{member}", problem.alert),
        None => problem.alert.clone(),
    }
}

fn shipped() -> Arc<RuleSet> {
    set(builtin::FILES.iter().copied())
}

fn set<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Arc<RuleSet> {
    let groups = files.flat_map(|(name, text)| rules::load(name, text).expect("it was in force"));
    Arc::new(RuleSet::new(groups.collect()))
}

fn open(file: &str) -> Bundle {
    let bytes = std::fs::read(folder().join(file)).expect("it is there");
    bundle::read(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bundles")
}
