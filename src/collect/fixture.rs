//! The fixture tree of tests: two etcd processes, on the host and in a container.

use std::sync::Arc;
use std::time::Duration;

use super::{Member, Settings, Spec, Subject};
use crate::client::proc::LocalEtcd;
use crate::model::{Timestamp, Value};

/// `/proc` and `/sys` in `tests/fixtures`.
pub(super) fn settings() -> Settings {
    Settings {
        proc: "tests/fixtures/proc".into(),
        sys: "tests/fixtures/sys".into(),
        rootfs: "tests/fixtures".into(),
        ..Settings::default()
    }
}

/// A cycle over the members that run in the tree.
pub(super) fn subject() -> Subject {
    let member = |name: &str, url: &str| Member {
        name: name.into(),
        id: None,
        endpoint: None,
        learner: false,
        started: true,
        client_urls: vec![url.to_owned()],
        peer_urls: vec![],
    };
    let members = [
        member("etcd-0", "http://10.0.0.5:2379"),
        member("etcd-1", "http://10.0.1.6:2379"),
    ];
    Subject {
        now: Timestamp::from_millis(1_700_000_600_000),
        begun: tokio::time::Instant::now(),
        timeout: Duration::from_secs(2),
        member: None,
        members: Arc::from(members),
        link: None,
        cluster_id: None,
        processes: Default::default(),
        network: None,
    }
}

/// A process with these settings, of which nothing can be read.
pub(super) fn process(settings: &[(&'static str, &str)]) -> LocalEtcd {
    let settings = settings
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    LocalEtcd {
        root: "/".into(),
        limited: false,
        pid: 1,
        dir: "/proc/1".into(),
        settings,
        origins: std::collections::BTreeMap::new(),
        unreadable: None,
    }
}

/// Runs a collector over the tree and gives its samples as lines, without the prefix of the names.
pub(super) async fn collect(spec: &Spec) -> Vec<String> {
    collect_with(spec, &settings()).await
}

/// The same with other settings.
pub(super) async fn collect_with(spec: &Spec, settings: &Settings) -> Vec<String> {
    let mut collector = (spec.build)(settings);
    let Ok(reading) = collector.collect(&subject()).await else {
        panic!("{} has no reading", spec.name)
    };
    let line = |sample: &crate::model::Sample| {
        assert!(
            spec.descs.iter().any(|desc| std::ptr::eq(*desc, sample.desc)),
            "{} is not declared",
            sample.desc.name
        );
        let Value::Number(value) = sample.value else {
            panic!("a histogram")
        };
        let name = sample.desc.name.strip_prefix("etcd_doctor_").unwrap();
        format!("{name}{} {value}", sample.labels)
    };
    reading.samples.iter().map(line).collect()
}
