//! The lab: real etcd clusters, broken in every way that the guide knows, and what etcd-doctor says of them.
//!
//! `make lab` breaks everything, prints a table and keeps it as `docs/fault-matrix.md`; `make lab FAULT=quota-full` (or
//! several names with commas between) breaks one thing and renews its rows, with `ETCD=3.5` on one release only. Faults that
//! are quick also run in `make test`.
//!
//! To add a fault: a file in `tests/it/lab/faults/` with a `FAULT`, and its row in `faults.rs`. The function that breaks
//! starts a cluster, watches it, breaks it, says [`Watch::broken`], and waits for what must be found:
//!
//! ```ignore
//! async fn run(lab: &mut Lab) {
//!     let cluster = EtcdCluster::builder(lab.version).quota(16 << 20).start().await;
//!     let mut watch = lab.watch(&cluster).await;
//!     cluster.fill_quota().await;
//!     watch.broken();
//!     watch.found("EtcdQuotaAlarmFull", None).await;
//!     watch.type_remedy(&cluster).await;
//!     watch.gone("EtcdQuotaAlarmFull").await;
//! }
//! ```

mod faults;
mod matrix;
mod mixin;
mod row;
mod sightings;
mod watch;

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};

use crate::support::{Doctor, EtcdCluster, Version};
use faults::FAULTS;
use mixin::Mixin;
use row::Row;
use watch::Watch;

/// Both releases that every fault is shown on, unless it is about one of them.
const BOTH: &[Version] = &[Version::V3_4, Version::V3_5];

/// One way to break a cluster.
struct Fault {
    /// Its name: in `FAULT=…` and in the table.
    name: &'static str,
    /// The section of the table.
    family: Family,
    /// What is done to the cluster, in one line.
    about: &'static str,
    /// How it is brought about.
    shown_by: ShownBy,
    /// The releases that it is shown on.
    versions: &'static [Version],
    /// The alert of etcd's own mixin that covers it, if one does.
    mixin: Option<&'static str>,
    /// Breaks a cluster and waits for what must be found. Panics when it is not.
    run: for<'a> fn(&'a mut Lab) -> LocalBoxFuture<'a, ()>,
}

/// What a fault is about, in the order of the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Family {
    Quota,
    Election,
    SlowOperations,
    Availability,
    Consistency,
    Resources,
    Configuration,
    Security,
    Backup,
    LookAlikes,
    /// Nothing is broken, or only in the right way: nothing above `info` may be said.
    Silence,
}

/// How a fault is brought about.
#[derive(Clone, Copy, Debug)]
enum ShownBy {
    /// Real servers, really broken.
    Real,
    /// A tree of files in the place of `/proc` and `/sys`, and why.
    Fixture(&'static str),
    /// A server that plays one, and why.
    Fake(&'static str),
}

/// What a fault is given.
struct Lab {
    /// The release to break.
    version: Version,
    /// The rules of etcd's mixin in a real Prometheus, for faults that it covers.
    mixin: Option<(Mixin, &'static str)>,
    row: Row,
}

impl Lab {
    /// Watches a cluster as a user would who changed no setting.
    async fn watch(&mut self, cluster: &EtcdCluster) -> Watch<'_> {
        self.watch_with(cluster, |_| {}).await
    }

    /// This machine does not let the fault be brought about: the table says why.
    fn skipped(&mut self, why: &str) {
        self.row.skipped(why);
    }

    /// The same, with changes to the configuration, which is JSON in the shape of the file.
    async fn watch_with(&mut self, cluster: &EtcdCluster, change: impl FnOnce(&mut Value)) -> Watch<'_> {
        let mut config: Value = serde_json::from_str(&Doctor::config_for(cluster)).expect("it is JSON");
        config["interval"] = json!("5s");
        change(&mut config);
        let doctor = Doctor::start(&config.to_string()).await;
        let prometheus = match &self.mixin {
            Some((mixin, alert)) => Some((mixin.watching(cluster).await, *alert)),
            None => None,
        };
        Watch::new(doctor, prometheus, &mut self.row)
    }
}

/// Shows a fault on one release, and gives its row of the table; a failure is in there too.
async fn show(fault: &Fault, version: Version, mixin: Option<Mixin>) -> Row {
    let mut lab = Lab {
        version,
        mixin: mixin.zip(fault.mixin),
        row: Row::new(fault, version),
    };
    let outcome = std::panic::AssertUnwindSafe((fault.run)(&mut lab))
        .catch_unwind()
        .await;
    if let Err(panic) = outcome {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        lab.row.failure = Some(
            text.or(panic.downcast_ref::<&str>().copied())
                .unwrap_or("it panicked")
                .to_owned(),
        );
    }
    lab.row
}

/// Shows a fault as part of `make test`: on the newest release, without the mixin.
async fn quick(fault: &Fault) {
    let version = *fault.versions.last().expect("a fault is shown on some release");
    let row = show(fault, version, None).await;
    if let Some(failure) = row.failure {
        panic!("{}: {failure}", fault.name);
    }
}

/// Every fault, or those named by `FAULT`, on every release, or on that named by `ETCD`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes an hour or more: make lab"]
async fn every_fault_is_named_by_its_cause() {
    let wanted = std::env::var("FAULT").unwrap_or_default();
    let wanted: Vec<&str> = wanted
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    for name in &wanted {
        let known: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        assert!(
            known.contains(name),
            "there is no fault {name:?}; there are: {}",
            known.join(", ")
        );
    }
    let release = std::env::var("ETCD").unwrap_or_default();
    let releases: Vec<&str> = BOTH.iter().map(|version| version.release()).collect();
    assert!(
        release.is_empty() || releases.contains(&&*release),
        "there is no etcd {release:?} here; there are: {}",
        releases.join(", ")
    );
    let mixin = Mixin::find();
    let mut rows = Vec::new();
    for fault in FAULTS {
        if !wanted.is_empty() && !wanted.contains(&fault.name) {
            continue;
        }
        let versions = fault.versions.iter();
        for version in versions.filter(|version| release.is_empty() || version.release() == release) {
            println!("{} on {version:?}: {}", fault.name, fault.about);
            let row = show(fault, *version, mixin.clone()).await;
            println!("  {}", row.line());
            matrix::keep(&row);
            rows.push(row);
        }
    }
    println!("\n{}", matrix::table(&rows));
    let failed: Vec<String> = rows
        .iter()
        .filter(|row| row.failure.is_some())
        .map(Row::line)
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} failed:\n{}",
        failed.len(),
        rows.len(),
        failed.join("\n")
    );
}

/// For what a row says of a moment.
fn seconds(duration: Duration) -> String {
    format!("{:.0} s", duration.as_secs_f64())
}

#[test]
fn the_table_is_in_order_and_no_name_is_there_twice() {
    assert!(
        FAULTS.is_sorted_by_key(|fault| fault.family),
        "sort FAULTS by family"
    );
    let mut names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    let plain = |name: &str| {
        name.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    assert!(names.iter().all(|name| plain(name)), "{names:?}");
}
