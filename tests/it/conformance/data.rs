//! Series that are asked for: shaped like those of three etcd members, and like the demo service of the PromQL
//! compliance test. The same in every run.

use std::collections::{BTreeMap, BTreeSet};

use etcd_doctor::model::{Labels, Timestamp, stale_nan};
use fastrand::Rng;

use super::remote_write::Samples;

/// Everything happened before this.
pub const END: i64 = 1_700_006_400;
/// In seconds.
pub const SPAN: i64 = 2 * 3600;
const ETCD_STEP: i64 = 15;
const DEMO_STEP: i64 = 10;

/// What one target gave at one time. What it gave the time before and does not any more ends there.
pub struct Scrape {
    pub target: String,
    pub at: Timestamp,
    pub samples: Vec<(Labels, f64)>,
}

/// All scrapes, in the order of time.
pub fn scrapes() -> Vec<Scrape> {
    let mut scrapes: Vec<Scrape> = (0..3).flat_map(member).chain((0..3).flat_map(demo)).collect();
    scrapes.sort_by_key(|scrape| scrape.at);
    scrapes
}

/// The samples of each scrape, with the stale markers of what ended.
pub fn with_ends(scrapes: &[Scrape]) -> Vec<Samples> {
    let mut before: BTreeMap<&str, BTreeSet<&Labels>> = BTreeMap::new();
    let mut all = Vec::with_capacity(scrapes.len());
    for scrape in scrapes {
        let now: BTreeSet<&Labels> = scrape.samples.iter().map(|(labels, _)| labels).collect();
        let ended = before.insert(&scrape.target, now.clone()).unwrap_or_default();
        let ended = ended
            .difference(&now)
            .map(|labels| ((*labels).clone(), stale_nan()));
        let samples = scrape.samples.iter().cloned().chain(ended.collect::<Vec<_>>());
        all.push((scrape.at, samples.collect()));
    }
    all
}

/// A page in the making: every value goes on from the time before.
struct Page {
    target: Vec<(&'static str, String)>,
    values: BTreeMap<Labels, f64>,
}

impl Page {
    fn labels(&self, name: &str, labels: &[(&str, &str)]) -> Labels {
        let target = self.target.iter().map(|(name, value)| (*name, &**value));
        Labels::new(target.chain(labels.iter().copied())).named(name)
    }

    fn set(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels = self.labels(name, labels);
        self.values.insert(labels, value);
    }

    fn add(&mut self, name: &str, labels: &[(&str, &str)], by: f64) {
        let labels = self.labels(name, labels);
        *self.values.entry(labels).or_default() += by;
    }

    /// Some observations of a classic histogram.
    fn observe(&mut self, name: &str, labels: &[(&str, &str)], bounds: &[&str], rng: &mut Rng, scale: f64) {
        for _ in 0..rng.usize(0..6) {
            let seen = rng.f64() * rng.f64() * scale;
            for le in bounds {
                let bound: f64 = le.parse().unwrap();
                let with_le: Vec<_> = labels.iter().copied().chain([("le", *le)]).collect();
                self.add(
                    &format!("{name}_bucket"),
                    &with_le,
                    f64::from(u8::from(seen <= bound)),
                );
            }
            self.add(&format!("{name}_sum"), labels, seen);
            self.add(&format!("{name}_count"), labels, 1.0);
        }
    }
}

const FSYNC: [&str; 8] = [
    "0.001", "0.002", "0.004", "0.008", "0.016", "0.032", "1.0", "+Inf",
];
const METHODS: [(&str, &str); 5] = [
    ("Range", "unary"),
    ("Put", "unary"),
    ("Txn", "unary"),
    ("Watch", "bidi_stream"),
    ("LeaseGrant", "unary"),
];
const CODES: [&str; 4] = ["OK", "Unavailable", "DeadlineExceeded", "Unknown"];

/// One etcd member. The third restarts, is away for some minutes, and once nobody looked.
fn member(index: usize) -> Vec<Scrape> {
    let mut rng = Rng::with_seed(7 + index as u64);
    let instance = format!("10.0.0.{index}:2379");
    let page = || Page {
        target: vec![
            ("job", "etcd".into()),
            ("instance", instance.clone()),
            ("cluster", "prod".into()),
        ],
        values: BTreeMap::new(),
    };
    let mut now = page();
    let mut scrapes = Vec::new();
    let steps = SPAN / ETCD_STEP;
    for step in 0..steps {
        let at = END - SPAN + step * ETCD_STEP + [0, 3, 7][index];
        let third = index == 2;
        if third && (200..208).contains(&step) {
            continue;
        }
        let down = third && (300..330).contains(&step);
        if third && (step == 330 || step == 120) {
            now = page();
        }
        if down {
            let up = (now.labels("up", &[]), 0.0);
            scrapes.push(Scrape {
                target: instance.clone(),
                at: Timestamp::from_millis(at * 1000 + 250),
                samples: vec![up],
            });
            continue;
        }
        fill(&mut now, index, step, &mut rng);
        scrapes.push(Scrape {
            target: instance.clone(),
            // Never to the second, as real scrapes are.
            at: Timestamp::from_millis(at * 1000 + rng.i64(0..20)),
            samples: now
                .values
                .iter()
                .map(|(labels, value)| (labels.clone(), *value))
                .collect(),
        });
    }
    scrapes
}

fn fill(now: &mut Page, index: usize, step: i64, rng: &mut Rng) {
    now.set("up", &[], 1.0);
    now.set(
        "etcd_server_has_leader",
        &[],
        f64::from(u8::from(!(290..296).contains(&step))),
    );
    now.set(
        "etcd_server_is_leader",
        &[],
        f64::from(u8::from(index == usize::from(step > 295))),
    );
    now.add(
        "etcd_server_leader_changes_seen_total",
        &[],
        f64::from(u8::from(rng.u8(0..40) == 0)),
    );
    now.add(
        "etcd_server_proposals_committed_total",
        &[],
        f64::from(rng.u8(0..200)),
    );
    now.set("etcd_server_proposals_pending", &[], f64::from(rng.u8(0..5)));
    now.add(
        "etcd_server_proposals_failed_total",
        &[],
        f64::from(u8::from(rng.u8(0..9) == 0)),
    );
    let size = 2e7 + step as f64 * 40_960.0 + rng.f64() * 8192.0;
    now.set("etcd_mvcc_db_total_size_in_bytes", &[], size.floor());
    now.set(
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        &[],
        (size * rng.f64()).floor(),
    );
    now.set("etcd_server_quota_backend_bytes", &[], 2_147_483_648.0);
    now.observe("etcd_disk_wal_fsync_duration_seconds", &[], &FSYNC, rng, 0.05);
    for peer in (0..3).filter(|peer| *peer != index) {
        let to = format!("8e9e05c5216469{peer}1");
        now.observe(
            "etcd_network_peer_round_trip_time_seconds",
            &[("To", &to)],
            &FSYNC,
            rng,
            0.02,
        );
        now.add(
            "etcd_network_peer_sent_failures_total",
            &[("To", &to)],
            f64::from(u8::from(rng.u8(0..20) == 0)),
        );
    }
    for (method, kind) in METHODS {
        for code in CODES {
            let labels = [
                ("grpc_code", code),
                ("grpc_method", method),
                ("grpc_service", "etcdserverpb.KV"),
                ("grpc_type", kind),
            ];
            let most = if code == "OK" { 90 } else { 2 };
            now.add("grpc_server_handled_total", &labels, f64::from(rng.u8(0..most)));
        }
    }
    now.set("process_resident_memory_bytes", &[], 1e8 * (1.0 + rng.f64()));
    now.set(
        "process_start_time_seconds",
        &[],
        (END - SPAN) as f64 + if step >= 330 { 4950.25 } else { 0.5 },
    );
    // What no etcd shows, and what arithmetic must survive.
    let odd = match step % 17 {
        3 => f64::NAN,
        5 => f64::INFINITY,
        7 => f64::NEG_INFINITY,
        11 => 0.0,
        13 => 1e-300,
        _ => rng.f64() * 200.0 - 100.0,
    };
    now.set("odd", &[("kind", "all")], odd);
    now.set("odd", &[("kind", "negative")], -rng.f64());
    if step % 9 < 6 {
        now.set("intermittent", &[("zone", ["a", "b", "a"][index])], rng.f64());
    } else {
        let labels = now.labels("intermittent", &[("zone", ["a", "b", "a"][index])]);
        now.values.remove(&labels);
    }
}

/// One instance of the demo service.
fn demo(index: usize) -> Vec<Scrape> {
    let mut rng = Rng::with_seed(70 + index as u64);
    let instance = format!("demo.promlabs.com:1000{index}");
    let mut now = Page {
        target: vec![("job", "demo".into()), ("instance", instance.clone())],
        values: BTreeMap::new(),
    };
    let mut scrapes = Vec::new();
    for step in 0..SPAN / DEMO_STEP {
        let at = END - SPAN + step * DEMO_STEP + 2 * index as i64;
        now.set("up", &[], 1.0);
        for kind in ["free", "used", "cached", "buffers"] {
            now.set(
                "demo_memory_usage_bytes",
                &[("type", kind)],
                (rng.f64() * 1e9).floor(),
            );
        }
        now.set("demo_num_cpus", &[], 4.0);
        for mode in ["idle", "user", "system"] {
            now.add(
                "demo_cpu_usage_seconds_total",
                &[("mode", mode)],
                rng.f64() * 10.0,
            );
        }
        now.set(
            "demo_disk_usage_bytes",
            &[],
            1e10 + step as f64 * 1e6 + rng.f64() * 1e5,
        );
        now.set("demo_disk_total_bytes", &[], 2.6e11);
        now.set(
            "demo_batch_last_success_timestamp_seconds",
            &[],
            (at - at % 300) as f64,
        );
        for method in ["GET", "POST"] {
            for status in ["200", "500"] {
                let labels = [("method", method), ("path", "/api/foo"), ("status", status)];
                now.observe(
                    "demo_api_request_duration_seconds",
                    &labels,
                    &FSYNC,
                    &mut rng,
                    0.04,
                );
            }
        }
        let labels = now.labels("demo_intermittent_metric", &[]);
        if step % 60 < 30 {
            now.values.insert(labels, rng.f64());
        } else {
            now.values.remove(&labels);
        }
        scrapes.push(Scrape {
            target: instance.clone(),
            at: Timestamp::from_millis(at * 1000),
            samples: now
                .values
                .iter()
                .map(|(labels, value)| (labels.clone(), *value))
                .collect(),
        });
    }
    scrapes
}
