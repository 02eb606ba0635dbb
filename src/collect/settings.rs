//! The settings of members on this host that rules compute with, also where they are etcd's defaults.

use super::{ProcessReading, Unset};
use crate::model::{Desc, Labels, Sample};

const LABELS: &[&str] = &["member", "source"];

static HEARTBEAT: Desc = Desc::gauge(
    "etcd_doctor_process_heartbeat_interval_seconds",
    Some("seconds"),
    "How often the member sends heartbeats while it leads, from --heartbeat-interval.",
)
.labels(LABELS);
static ELECTION: Desc = Desc::gauge(
    "etcd_doctor_process_election_timeout_seconds",
    Some("seconds"),
    "How long the member waits for a heartbeat before it stands for election, from --election-timeout.",
)
.labels(LABELS);
static SNAPSHOT_COUNT: Desc = Desc::gauge(
    "etcd_doctor_process_snapshot_entries",
    None,
    "After how many applied entries the member writes a raft snapshot, from --snapshot-count.",
)
.labels(LABELS);
static AUTO_COMPACTION: Desc = Desc::gauge(
    "etcd_doctor_process_auto_compaction_enabled",
    None,
    "Whether the member compacts old revisions by itself, from --auto-compaction-retention.",
)
.labels(LABELS);

pub(super) const DESCS: &[&Desc] = &[&HEARTBEAT, &ELECTION, &SNAPSHOT_COUNT, &AUTO_COMPACTION];

/// etcd's defaults of `--heartbeat-interval` and `--election-timeout`, milliseconds, in all versions.
const DEFAULT_HEARTBEAT: f64 = 100.0;
const DEFAULT_ELECTION: f64 = 1000.0;

/// A setting's value and where it is from.
type Told = (f64, &'static str);

/// The samples of one member. A setting that was not given has its default, where it is certain that it was not; the label
/// `source` tells where that is assumed.
pub(super) fn samples(labels: &Labels, process: &ProcessReading, version: Option<&str>) -> Vec<Sample> {
    let told = |name: &str, read: fn(&str) -> Option<f64>, default: Option<f64>| -> Option<Told> {
        match process.settings.get(name) {
            Some((value, origin)) => Some((read(value)?, origin.as_str())),
            None => {
                let source = match process.unset {
                    Unset::Default => "default",
                    Unset::Assumed => "assumed",
                    Unset::Unknown => return None,
                };
                Some((default?, source))
            }
        }
    };
    let seconds = |(milliseconds, source): Told| (milliseconds / 1000.0, source);
    let rows = [
        (
            &HEARTBEAT,
            told("heartbeat-interval", number, Some(DEFAULT_HEARTBEAT)).map(seconds),
        ),
        (
            &ELECTION,
            told("election-timeout", number, Some(DEFAULT_ELECTION)).map(seconds),
        ),
        (
            &SNAPSHOT_COUNT,
            told("snapshot-count", number, version.and_then(default_snapshot_count)),
        ),
        (
            &AUTO_COMPACTION,
            told("auto-compaction-retention", is_on, Some(0.0)),
        ),
    ];
    rows.into_iter()
        .filter_map(|(desc, told)| {
            let (value, source) = told?;
            Some(Sample::number(desc, labels.with("source", source), value))
        })
        .collect()
}

fn number(text: &str) -> Option<f64> {
    text.parse::<u64>().ok().map(|number| number as f64)
}

/// A retention is a number of hours or revisions, or a duration such as `5m`: `0`, `0h` and `0s` switch it off.
fn is_on(text: &str) -> Option<f64> {
    let on = text.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    Some(f64::from(u8::from(on)))
}

/// 100,000 from etcd 3.2 to 3.5, 10,000 from 3.6.
fn default_snapshot_count(version: &str) -> Option<f64> {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next()??, numbers.next()??) {
        (3, minor) if minor < 6 => Some(100_000.0),
        _ => Some(10_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Origin;

    fn lines(process: &ProcessReading, version: Option<&str>) -> Vec<String> {
        let labels = Labels::new([("member", "m")]);
        let short = |sample: &Sample| {
            let name = sample.desc.name.strip_prefix("etcd_doctor_process_").unwrap();
            let crate::model::Value::Number(value) = sample.value else {
                panic!("a histogram")
            };
            format!("{name} {} {value}", sample.labels.get("source"))
        };
        samples(&labels, process, version).iter().map(short).collect()
    }

    fn given(settings: &[(&'static str, &str)], unset: Unset) -> ProcessReading {
        let settings = settings
            .iter()
            .map(|(name, value)| (*name, ((*value).to_owned(), Origin::Flag)));
        ProcessReading {
            settings: settings.collect(),
            unset,
            ..ProcessReading::default()
        }
    }

    #[test]
    fn what_was_not_given_has_the_default_of_the_version() {
        let defaults = |version| lines(&given(&[], Unset::Default), version);
        let expected = [
            "heartbeat_interval_seconds default 0.1",
            "election_timeout_seconds default 1",
            "snapshot_entries default 100000",
            "auto_compaction_enabled default 0",
        ];
        assert_eq!(defaults(Some("3.5.16")), expected);
        assert_eq!(defaults(Some("3.6.0"))[2], "snapshot_entries default 10000");
        let assumed = lines(&given(&[], Unset::Assumed), None);
        assert_eq!(assumed[0], "heartbeat_interval_seconds assumed 0.1");
        assert_eq!(defaults(None).len(), 3, "the version is not known");
    }

    #[test]
    fn what_was_given_counts_and_nothing_is_assumed_while_not_all_is_known() {
        let settings = [
            ("heartbeat-interval", "50"),
            ("election-timeout", "soon"),
            ("auto-compaction-retention", "5m"),
        ];
        let expected = [
            "heartbeat_interval_seconds flag 0.05",
            "auto_compaction_enabled flag 1",
        ];
        assert_eq!(lines(&given(&settings, Unset::Unknown), Some("3.5.16")), expected);
    }

    #[test]
    fn a_retention_of_nothing_is_off() {
        for (text, on) in [
            ("0", 0.0),
            ("0s", 0.0),
            ("0h0m", 0.0),
            ("1", 1.0),
            ("1000", 1.0),
            ("30m", 1.0),
        ] {
            assert_eq!(is_on(text), Some(on), "{text}");
        }
    }
}
