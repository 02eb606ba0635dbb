//! `GET /metrics`.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use prometheus_client::registry::Registry;

use super::exposition::{self, Format, Samples};
use super::instruments::Requests;
use super::process::Process;
use super::seen::Seen;
use super::{App, Protection, negotiate};
use crate::model::{Desc, Labels, Sample};
use crate::snapshot::Snapshot;

pub(super) static BUILD_INFO: Desc = Desc::gauge(
    "etcd_doctor_build_info",
    None,
    "Always 1; the version of etcd-doctor.",
)
.labels(&["version"]);

pub(super) static SNAPSHOT_AGE: Desc = Desc::gauge(
    "etcd_doctor_snapshot_age_seconds",
    Some("seconds"),
    "How long ago the cluster was last observed. Once it is some cycles, its series are left out. Absent before the \
     first observation.",
)
.labels(&["cluster"]);

pub(super) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let format = Format::ALL[negotiate::choose(&headers, &Format::OFFERS)];
    let body = app
        .exposition
        .render(format, &app.state.look(), (app.state.notifications)());
    let headers = [(CONTENT_TYPE, format.content_type()), (VARY, "accept")];
    (headers, body).into_response()
}

/// The page, in two parts: what the last snapshots hold, written once for each set of them however many scrape, and
/// what is of the moment.
pub(super) struct Page {
    observed: Mutex<Arc<Observed>>,
    instruments: Registry,
    process: Process,
    protection: Arc<Protection>,
}

/// The written form of one set of snapshots.
struct Observed {
    snapshots: Vec<Arc<Snapshot>>,
    samples: Samples,
    openmetrics: String,
    text: OnceLock<String>,
}

impl Page {
    pub(super) fn new(requests: &Requests, protection: Arc<Protection>) -> Self {
        let mut instruments = Registry::default();
        requests.register(&mut instruments);
        Self {
            observed: Mutex::new(Arc::new(Observed::of(Vec::new()))),
            instruments,
            process: Process::this(),
            protection,
        }
    }

    fn render(&self, format: Format, clusters: &[Seen], notifications: Vec<Sample>) -> String {
        let observed = self.observed(clusters);
        let server = self
            .process
            .samples()
            .into_iter()
            .chain(self.protection.samples())
            .chain(notifications);
        let mut own = Samples::new(moment(clusters).chain(server))
            .without(&observed.samples)
            .render();
        own.push_str(&sort_rows(&exposition::render(&self.instruments)));
        let mut page = observed.written(format).to_owned();
        page.push_str(&exposition::convert(&own, format));
        if format == Format::OpenMetrics {
            exposition::finish(&mut page);
        }
        page
    }

    /// The last snapshots' part. Written anew when a cluster has a new snapshot, went stale or went away.
    fn observed(&self, clusters: &[Seen]) -> Arc<Observed> {
        let fresh = clusters.iter().filter_map(Seen::fresh);
        let snapshots: Vec<Arc<Snapshot>> = fresh.map(|last| Arc::clone(&last.snapshot)).collect();
        // What is behind the lock is replaced whole, so a panic elsewhere cannot have left it half done.
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        let same = snapshots.len() == observed.snapshots.len()
            && snapshots
                .iter()
                .zip(&observed.snapshots)
                .all(|(new, old)| Arc::ptr_eq(new, old));
        if !same {
            *observed = Arc::new(Observed::of(snapshots));
        }
        Arc::clone(&observed)
    }
}

impl Observed {
    fn of(snapshots: Vec<Arc<Snapshot>>) -> Self {
        let samples = Samples::new(snapshots.iter().flat_map(|snapshot| snapshot.samples.clone()));
        Self {
            openmetrics: samples.render(),
            text: OnceLock::new(),
            samples,
            snapshots,
        }
    }

    fn written(&self, format: Format) -> &str {
        match format {
            Format::OpenMetrics => &self.openmetrics,
            Format::Text => self
                .text
                .get_or_init(|| exposition::convert(&self.openmetrics, format).into_owned()),
        }
    }
}

fn moment(clusters: &[Seen]) -> impl Iterator<Item = Sample> {
    let version = Labels::new([("version", env!("CARGO_PKG_VERSION"))]);
    let ages = clusters.iter().filter_map(|cluster| {
        let labels = Labels::new([("cluster", Arc::clone(&cluster.name))]);
        let age = cluster.last.as_ref()?.age.as_secs_f64();
        Some(Sample::number(&SNAPSHOT_AGE, labels, age))
    });
    ages.chain([Sample::number(&BUILD_INFO, version, 1.0)])
}

/// prometheus-client writes the rows of a family in the order of their hashes, which changes as rows come: between two
/// scrapes only values should change. Right for families whose series have one row each, which all of ours are.
fn sort_rows(openmetrics: &str) -> String {
    let mut lines: Vec<&str> = openmetrics.split_inclusive('\n').collect();
    for rows in lines.chunk_by_mut(|a, b| a.starts_with('#') == b.starts_with('#')) {
        if !rows.first().is_some_and(|row| row.starts_with('#')) {
            rows.sort_unstable();
        }
    }
    lines.concat()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use super::super::fixtures::{Answer, Api, snapshot, with_samples};
    use super::*;
    use crate::model::Histogram;

    static LEADER: Desc = Desc::gauge("etcd_doctor_member_is_leader", None, "Whether it leads.");
    static CYCLES: Desc = Desc::counter("etcd_doctor_cycles_total", None, "Cycles.");
    static FSYNC: Desc = Desc::histogram(
        "etcd_doctor_wal_fsync_duration_seconds",
        Some("seconds"),
        "Time of an fsync.",
    );

    const OPENMETRICS: (&str, &str) = ("accept", "application/openmetrics-text;version=1.0.0");

    fn member(name: &'static str) -> Labels {
        Labels::new([("cluster", "etcd"), ("member", name)])
    }

    fn observed() -> Snapshot {
        let mut fsync = Histogram::with_bounds(&[0.001, 1.0]);
        fsync.observe(0.5);
        with_samples(
            "etcd",
            vec![
                Sample::number(&LEADER, member("b"), 0.0),
                Sample::number(&LEADER, member("a"), 1.0),
                Sample::number(&CYCLES, Labels::new([("cluster", "etcd")]), 3.0),
                Sample::histogram(&FSYNC, member("a"), fsync),
            ],
        )
    }

    fn about_members(answer: &Answer) -> Vec<&str> {
        let lines = answer.body.lines();
        lines
            .filter(|line| line.contains("member=") && !line.starts_with('#'))
            .collect()
    }

    #[tokio::test]
    async fn text_is_the_default() {
        let answer = Api::of([observed()]).get("/metrics").await;
        assert_eq!(
            answer.header("content-type"),
            "text/plain; version=0.0.4; charset=utf-8"
        );
        assert_eq!(answer.header("vary"), "accept, accept-encoding");
        assert!(answer.body.contains(
            "# HELP etcd_doctor_cycles_total Cycles.\n# TYPE etcd_doctor_cycles_total counter\n\
             etcd_doctor_cycles_total{cluster=\"etcd\"} 3\n"
        ));
        assert_eq!(
            about_members(&answer),
            [
                r#"etcd_doctor_member_is_leader{cluster="etcd",member="a"} 1"#,
                r#"etcd_doctor_member_is_leader{cluster="etcd",member="b"} 0"#,
                r#"etcd_doctor_wal_fsync_duration_seconds_sum{cluster="etcd",member="a"} 0.5"#,
                r#"etcd_doctor_wal_fsync_duration_seconds_count{cluster="etcd",member="a"} 1"#,
                r#"etcd_doctor_wal_fsync_duration_seconds_bucket{le="0.001",cluster="etcd",member="a"} 0"#,
                r#"etcd_doctor_wal_fsync_duration_seconds_bucket{le="1",cluster="etcd",member="a"} 1"#,
                r#"etcd_doctor_wal_fsync_duration_seconds_bucket{le="+Inf",cluster="etcd",member="a"} 1"#,
            ]
        );
        assert!(!answer.body.contains("# EOF") && !answer.body.contains("# UNIT"));
    }

    #[tokio::test]
    async fn openmetrics_for_who_asks() {
        let answer = Api::of([observed()]).ask("/metrics", &[OPENMETRICS]).await;
        assert_eq!(
            answer.header("content-type"),
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        );
        assert!(
            answer
                .body
                .contains("# TYPE etcd_doctor_cycles counter\netcd_doctor_cycles_total{")
        );
        assert!(
            answer
                .body
                .contains(r#"_bucket{le="1.0",cluster="etcd",member="a"} 1"#)
        );
        assert!(answer.body.ends_with("\n# EOF\n"));
        assert_eq!(answer.body.matches("# EOF").count(), 1);
    }

    #[tokio::test]
    async fn no_family_is_named_twice_and_no_line_is_repeated() {
        let mut other = observed();
        other.cluster = "other".into();
        let one_more = with_samples(
            "third",
            vec![Sample::number(&BUILD_INFO, Labels::new([("version", "0")]), 1.0)],
        );
        let api = Api::of([observed(), other, one_more]);
        api.get("/").await;
        for accept in [OPENMETRICS, ("accept", "*/*")] {
            let answer = api.ask("/metrics", &[accept]).await;
            let mut lines: Vec<&str> = answer.body.lines().collect();
            let before = lines.len();
            lines.sort_unstable();
            lines.dedup();
            assert_eq!(lines.len(), before, "{}", answer.body);
        }
    }

    #[tokio::test]
    async fn a_member_that_went_away_leaves_no_series() {
        let api = Api::of([observed()]);
        assert!(api.get("/metrics").await.body.contains(r#"member="b""#));
        let mut next = observed();
        next.samples.retain(|sample| sample.labels.get("member") != "b");
        api.publish(0, next);
        let answer = api.get("/metrics").await;
        assert!(!answer.body.contains(r#"member="b""#));
        assert!(answer.body.contains(r#"member="a""#));
    }

    #[tokio::test]
    async fn a_stale_snapshot_leaves_only_its_age() {
        let mut old = observed();
        old.time = old.time.minus(Duration::from_secs(26));
        let answer = Api::of([old]).get("/metrics").await;
        assert_eq!(about_members(&answer), [""; 0]);
        let age = "\netcd_doctor_snapshot_age_seconds{cluster=\"etcd\"} 26\n";
        assert!(answer.body.contains(age), "{}", answer.body);
    }

    #[tokio::test]
    async fn requests_are_counted_by_route_and_code_in_a_stable_order() {
        let api = Api::of([observed()]);
        for route in ["/nowhere", "/nowhere/else", "/-/healthy", "/metrics"] {
            api.get(route).await;
        }
        let answer = api.get("/metrics").await;
        let counted: Vec<&str> = answer
            .body
            .lines()
            .filter(|line| line.starts_with("etcd_doctor_http_requests_total{"))
            .collect();
        assert_eq!(
            counted,
            [
                r#"etcd_doctor_http_requests_total{route="/-/healthy",code="200"} 1"#,
                r#"etcd_doctor_http_requests_total{route="/metrics",code="200"} 1"#,
                r#"etcd_doctor_http_requests_total{route="unknown",code="404"} 2"#,
            ]
        );
    }

    #[tokio::test]
    async fn it_tells_of_its_own_process() {
        let answer = Api::of([]).get("/metrics").await;
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_start_time_seconds",
        ] {
            let line = answer
                .body
                .lines()
                .find(|line| line.starts_with(&format!("{name} ")));
            let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            let floor = if name == "process_cpu_seconds_total" {
                0.0
            } else {
                1.0
            };
            assert!(value.is_some_and(|value| value >= floor), "{name}: {value:?}");
        }
        let version = env!("CARGO_PKG_VERSION");
        assert!(
            answer
                .body
                .contains(&format!("etcd_doctor_build_info{{version=\"{version}\"}} 1"))
        );
    }

    #[tokio::test]
    async fn gzip_for_who_takes_it() {
        let api = Api::of([observed()]);
        let zipped = api.bytes("/metrics", &[("accept-encoding", "gzip")]).await;
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*zipped)
            .read_to_string(&mut text)
            .unwrap();
        assert!(text.contains("etcd_doctor_cycles_total{cluster=\"etcd\"} 3\n"));
        let answer = api.ask("/metrics", &[("accept-encoding", "gzip;q=0, br")]).await;
        assert!(
            answer
                .body
                .contains("etcd_doctor_cycles_total{cluster=\"etcd\"} 3\n")
        );
    }

    /// Snapshot with the plain name: what the tests above build on.
    #[tokio::test]
    async fn a_cluster_without_samples_is_no_error() {
        let answer = Api::of([snapshot("etcd")]).get("/metrics").await;
        assert!(
            answer
                .body
                .contains("etcd_doctor_snapshot_age_seconds{cluster=\"etcd\"} 0\n")
        );
    }
}
