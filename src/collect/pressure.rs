//! Pressure stall information: how long work on this host waited for a resource.

use std::fs;
use std::io;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Collector, Failure, Reading, Scope, Settings, Spec, Subject, local};
use crate::client::proc::{malformed, unreadable};
use crate::model::{Desc, Labels, Sample};

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "pressure",
    scope: Scope::Host,
    descs: &[&STALLED],
    build: |settings| Box::new(Pressure(settings.clone())),
};

static STALLED: Desc = Desc::counter(
    "etcd_doctor_host_pressure_stalled_seconds_total",
    Some("seconds"),
    "Time for which some or all runnable work of a member's host waited for the resource, from /proc/pressure.",
)
.labels(&["resource", "share"]);

const RESOURCES: [&str; 3] = ["cpu", "io", "memory"];

struct Pressure(Settings);

impl Collector for Pressure {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        let (settings, members) = (self.0.clone(), subject.members.clone());
        let processes = subject.processes.clone();
        local::blocking(subject, SPEC.name, move || {
            // The pressure of a host without a member would be laid to the cluster's charge.
            local::members_on_this_host(&processes, &settings, &members)?;
            read(&settings)
        })
        .boxed()
    }
}

fn read(settings: &Settings) -> Result<Reading, Failure> {
    let mut samples = Vec::new();
    for resource in RESOURCES {
        let path = settings.proc.join("pressure").join(resource);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // Not built in, or switched off with `psi=0`.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Unsupported) => {
                continue;
            }
            Err(error) => return Err(Failure::Failed(unreadable(&path, "read", &error))),
        };
        let stalled =
            parse(&text).ok_or_else(|| Failure::Failed(malformed(&path, format_args!("{text:?}"))))?;
        samples.extend(stalled.into_iter().map(|(share, seconds)| {
            Sample::number(
                &STALLED,
                Labels::new([("resource", resource), ("share", share)]),
                seconds,
            )
        }));
    }
    if samples.is_empty() {
        let why = "this kernel keeps no pressure stall information (it needs CONFIG_PSI and, on some systems, psi=1)";
        return Err(Failure::NotApplicable(why.into()));
    }
    Ok(Reading {
        samples,
        ..Reading::default()
    })
}

/// Reads lines such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=7`, in microseconds. `full` is missing for `cpu` on
/// kernels before 5.13, which procfs takes for an error.
fn parse(text: &str) -> Option<Vec<(&'static str, f64)>> {
    let mut stalled = Vec::new();
    for line in text.lines() {
        let (share, averages) = line.split_once(' ')?;
        let share = ["some", "full"].into_iter().find(|known| *known == share)?;
        let total = averages.split(' ').find_map(|pair| pair.strip_prefix("total="))?;
        stalled.push((share, total.parse::<u64>().ok()? as f64 / 1e6));
    }
    Some(stalled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::fixture;

    #[tokio::test]
    async fn reads_the_fixture_tree() {
        assert_eq!(
            fixture::collect(&SPEC).await,
            [
                r#"host_pressure_stalled_seconds_total{resource="cpu", share="some"} 22.964241"#,
                r#"host_pressure_stalled_seconds_total{resource="io", share="some"} 11.3861"#,
                r#"host_pressure_stalled_seconds_total{resource="io", share="full"} 9.972586"#,
                r#"host_pressure_stalled_seconds_total{resource="memory", share="some"} 0"#,
                r#"host_pressure_stalled_seconds_total{resource="memory", share="full"} 0"#,
            ]
        );
    }

    #[test]
    fn a_kernel_without_it_is_no_error() {
        let settings = Settings {
            proc: "tests/fixtures/sys".into(),
            ..fixture::settings()
        };
        let Err(Failure::NotApplicable(why)) = read(&settings) else {
            panic!("no gap")
        };
        assert!(why.starts_with("this kernel keeps no pressure"), "{why}");
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        assert_eq!(
            parse("some avg10=0.00 total=12\n"),
            Some(vec![("some", 0.000_012)])
        );
        assert_eq!(parse("most avg10=0.00 total=12\n"), None);
        assert_eq!(parse("some avg10=0.00\n"), None);
    }
}
