//! Random expressions over the series of `data`, from a seed each, and smaller ones of one that fails.

use std::fmt;

use fastrand::Rng;

use super::data::{END, SPAN};
use super::pair::{Ask, When};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scalar,
    Vector,
    Matrix,
}

/// An expression: text with expressions in it.
#[derive(Clone)]
pub struct Expr {
    kind: Kind,
    parts: Vec<Part>,
}

#[derive(Clone)]
enum Part {
    Text(String),
    Expr(Expr),
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Expr(expr) => expr.fmt(f),
        })
    }
}

impl Expr {
    fn text(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            parts: vec![Part::Text(text.into())],
        }
    }

    /// Smaller expressions of the same kind, the smallest first.
    pub fn smaller(&self) -> Vec<Self> {
        let mut found: Vec<Self> = self
            .descendants()
            .into_iter()
            .filter(|inner| inner.kind == self.kind)
            .collect();
        found.push(Self::text(
            self.kind,
            match self.kind {
                Kind::Scalar => "1",
                Kind::Vector => "up",
                Kind::Matrix => "up[5m]",
            },
        ));
        for (at, part) in self.parts.iter().enumerate() {
            let Part::Expr(inner) = part else { continue };
            for smaller in inner.smaller() {
                let mut parts = self.parts.clone();
                parts[at] = Part::Expr(smaller);
                found.push(Self {
                    kind: self.kind,
                    parts,
                });
            }
        }
        let length = self.to_string().len();
        found.retain(|expr| expr.to_string().len() < length);
        found.sort_by_key(|expr| expr.to_string().len());
        found
    }

    fn descendants(&self) -> Vec<Self> {
        let inner = self.parts.iter().filter_map(|part| match part {
            Part::Expr(expr) => Some(expr),
            Part::Text(_) => None,
        });
        inner
            .flat_map(|expr| [vec![expr.clone()], expr.descendants()].concat())
            .collect()
    }
}

/// Builds an expression of texts and expressions.
macro_rules! expr {
    ($kind:ident: $($part:expr),*) => {
        Expr { kind: Kind::$kind, parts: vec![$(Part::from($part)),*] }
    };
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Expr> for Part {
    fn from(expr: Expr) -> Self {
        Self::Expr(expr)
    }
}

const METRICS: &[&str] = &[
    "up",
    "etcd_server_has_leader",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_committed_total",
    "etcd_server_proposals_pending",
    "etcd_server_proposals_failed_total",
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "etcd_server_quota_backend_bytes",
    "etcd_disk_wal_fsync_duration_seconds_bucket",
    "etcd_disk_wal_fsync_duration_seconds_sum",
    "etcd_network_peer_round_trip_time_seconds_bucket",
    "etcd_network_peer_sent_failures_total",
    "grpc_server_handled_total",
    "process_resident_memory_bytes",
    "odd",
    "intermittent",
    "nothing",
];
const MATCHERS: &[&str] = &[
    r#"instance="10.0.0.1:2379""#,
    r#"instance!="10.0.0.1:2379""#,
    r#"instance=~".*2:2379""#,
    r#"instance!~"10.*[01]:.*""#,
    r#"job=~".*etcd.*""#,
    r#"grpc_method="Range""#,
    r#"grpc_code!="OK""#,
    r#"grpc_code=~"Un.+|""#,
    r#"le=~"0.0.*""#,
    r#"le="1.0""#,
    r#"To="""#,
    r#"kind!="""#,
    r#"zone=~"a|b""#,
    r#"zone!~"a""#,
];
const LABELS: &[&str] = &[
    "instance",
    "job",
    "cluster",
    "grpc_code",
    "grpc_method",
    "grpc_type",
    "le",
    "To",
    "zone",
    "kind",
    "none",
];
const DURATIONS: &[&str] = &["15s", "1m", "2m30s", "5m", "17m", "1h"];
const SUBQUERY_STEPS: &[&str] = &["15s", "1m", "37s", ""];
const NUMBERS: &[&str] = &[
    "0", "1", "-1", "2", "0.5", "1.5e9", "3.7", "-0.25", "100", "NaN", "Inf", "1e-3",
];

/// Makes expressions.
pub struct Generator(Rng);

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// An expression, and when it is asked for.
    pub fn case(mut self) -> (Expr, Vec<Ask>) {
        let expr = if self.0.u8(0..12) == 0 {
            self.scalar(2)
        } else {
            self.vector(4)
        };
        let at = (END - SPAN + self.0.i64(900..SPAN)) as f64 + if self.0.bool() { 0.25 } else { 0.0 };
        let step = *self.pick(&[7.0, 15.0, 60.0, 61.5]);
        let range = When::Range {
            from: at - step * self.0.i64(0..30) as f64,
            to: at,
            step,
        };
        let asks = [When::At(at), range].map(|when| Ask::new(String::new(), when));
        (expr, asks.into())
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.0.usize(0..of.len())]
    }

    fn one_in(&mut self, n: u8) -> bool {
        self.0.u8(0..n) == 0
    }

    fn selector(&mut self) -> String {
        let mut text = (*self.pick(METRICS)).to_owned();
        let count = *self.pick(&[0, 0, 1, 1, 2]);
        if count > 0 {
            let matchers: Vec<&str> = (0..count).map(|_| *self.pick(MATCHERS)).collect();
            text = format!("{text}{{{}}}", matchers.join(","));
        }
        text
    }

    fn shift(&mut self) -> String {
        let mut text = String::new();
        if self.one_in(8) {
            let at = END - SPAN + self.0.i64(0..SPAN);
            text += &self
                .pick(&[format!(" @ {at}"), " @ start()".to_owned(), " @ end()".to_owned()])
                .clone();
        }
        if self.one_in(5) {
            let sign = if self.one_in(4) { "-" } else { "" };
            text += &format!(" offset {sign}{}", self.pick(DURATIONS));
        }
        text
    }

    fn matrix(&mut self, depth: u8) -> Expr {
        let range = *self.pick(DURATIONS);
        let shift = self.shift();
        if depth > 1 && self.one_in(5) {
            let step = *self.pick(SUBQUERY_STEPS);
            let range = *self.pick(&["1m", "5m", "10m"]);
            return expr!(Matrix: "(", self.vector(depth - 1), format!(")[{range}:{step}]{shift}"));
        }
        let selector = self.selector();
        expr!(Matrix: format!("{selector}[{range}]{shift}"))
    }

    fn number(&mut self) -> Expr {
        Expr::text(Kind::Scalar, *self.pick(NUMBERS))
    }

    fn scalar(&mut self, depth: u8) -> Expr {
        match self.0.u8(0..10) {
            _ if depth == 0 => self.number(),
            0 => Expr::text(Kind::Scalar, *self.pick(&["time()", "pi()"])),
            1 => expr!(Scalar: "scalar(", self.vector(depth - 1), ")"),
            2 => {
                let op = *self.pick(&[
                    "+", "-", "*", "/", "%", "^", "== bool", "> bool", "<= bool", "atan2",
                ]);
                expr!(Scalar: "(", self.scalar(depth - 1), format!(" {op} "), self.scalar(depth - 1), ")")
            }
            _ => self.number(),
        }
    }

    fn vector(&mut self, depth: u8) -> Expr {
        if depth == 0 {
            let (selector, shift) = (self.selector(), self.shift());
            return expr!(Vector: format!("{selector}{shift}"));
        }
        let inner = depth - 1;
        match self.0.u8(0..20) {
            0..=1 => {
                let (selector, shift) = (self.selector(), self.shift());
                expr!(Vector: format!("{selector}{shift}"))
            }
            2..=6 => self.over_time(inner),
            7..=10 => self.aggregation(inner),
            11..=14 => self.binary(inner),
            15 => expr!(Vector: "-(", self.vector(inner), ")"),
            16 => self.histogram(),
            17 => self.relabelled(inner),
            _ => self.of_each(inner),
        }
    }

    fn over_time(&mut self, depth: u8) -> Expr {
        let function = *self.pick(&[
            "rate",
            "rate",
            "increase",
            "increase",
            "delta",
            "irate",
            "idelta",
            "deriv",
            "changes",
            "resets",
            "avg_over_time",
            "sum_over_time",
            "min_over_time",
            "max_over_time",
            "count_over_time",
            "last_over_time",
            "present_over_time",
            "stddev_over_time",
            "stdvar_over_time",
            "absent_over_time",
            "quantile_over_time",
            "predict_linear",
        ]);
        let matrix = self.matrix(depth + 1);
        match function {
            "quantile_over_time" => expr!(Vector: "quantile_over_time(", self.scalar(0), ", ", matrix, ")"),
            "predict_linear" => expr!(Vector: "predict_linear(", matrix, ", ", self.scalar(0), ")"),
            _ => expr!(Vector: format!("{function}("), matrix, ")"),
        }
    }

    fn grouping(&mut self) -> String {
        let labels: Vec<&str> = (0..self.0.usize(0..4)).map(|_| *self.pick(LABELS)).collect();
        match self.0.u8(0..3) {
            0 => String::new(),
            1 => format!(" by ({})", labels.join(", ")),
            _ => format!(" without ({})", labels.join(", ")),
        }
    }

    fn aggregation(&mut self, depth: u8) -> Expr {
        let op = *self.pick(&[
            "sum",
            "sum",
            "sum",
            "max",
            "min",
            "avg",
            "count",
            "group",
            "stddev",
            "stdvar",
            "quantile",
            "topk",
            "bottomk",
            "count_values",
        ]);
        let grouping = self.grouping();
        match op {
            "quantile" => {
                expr!(Vector: format!("quantile{grouping}("), self.scalar(0), ", ", self.vector(depth), ")")
            }
            // Of equal values any may be taken: these never are.
            "topk" | "bottomk" => {
                let k = *self.pick(&["1", "2", "5", "0"]);
                expr!(Vector: format!("{op}{grouping}({k}, process_resident_memory_bytes)"))
            }
            "count_values" => {
                expr!(Vector: format!("count_values{grouping}(\"value\", "), self.vector(depth), ")")
            }
            _ => expr!(Vector: format!("{op}{grouping}("), self.vector(depth), ")"),
        }
    }

    fn matching(&mut self) -> String {
        let labels: Vec<&str> = (0..self.0.usize(0..3)).map(|_| *self.pick(LABELS)).collect();
        match self.0.u8(0..4) {
            0 | 1 => String::new(),
            2 => format!(" on ({})", labels.join(", ")),
            _ => format!(" ignoring ({})", labels.join(", ")),
        }
    }

    fn binary(&mut self, depth: u8) -> Expr {
        let op = *self.pick(&[
            "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "> bool", "== bool",
        ]);
        match self.0.u8(0..6) {
            0 => expr!(Vector: "(", self.vector(depth), format!(" {op} "), self.scalar(1), ")"),
            1 => expr!(Vector: "(", self.scalar(1), format!(" {op} "), self.vector(depth), ")"),
            2 => {
                let set = *self.pick(&["and", "or", "unless"]);
                let matching = self.matching();
                expr!(Vector: "(", self.vector(depth), format!(" {set}{matching} "), self.vector(depth), ")")
            }
            3 => {
                // The same series on both sides match for sure.
                let selector = self.selector();
                let matching = self.matching();
                expr!(Vector: "(", self.vector(depth), format!(" {op}{matching} {selector})"))
            }
            _ => {
                let mut matching = self.matching();
                if !matching.is_empty() && self.one_in(2) {
                    let side = *self.pick(&["group_left", "group_right"]);
                    let extra = if self.one_in(2) { *self.pick(LABELS) } else { "" };
                    matching += &format!(" {side} ({extra})");
                }
                expr!(Vector: "(", self.vector(depth), format!(" {op}{matching} "), self.vector(depth), ")")
            }
        }
    }

    fn histogram(&mut self) -> Expr {
        let metric = *self.pick(&[
            "etcd_disk_wal_fsync_duration_seconds_bucket",
            "etcd_network_peer_round_trip_time_seconds_bucket",
        ]);
        let range = *self.pick(DURATIONS);
        let buckets = match self.0.u8(0..3) {
            0 => format!("rate({metric}[{range}])"),
            1 => format!("sum by (le, instance) (rate({metric}[{range}]))"),
            _ => metric.to_owned(),
        };
        if self.one_in(4) {
            expr!(Vector: "histogram_fraction(", self.scalar(0), ", ", self.scalar(0), format!(", {buckets})"))
        } else {
            expr!(Vector: "histogram_quantile(", self.scalar(0), format!(", {buckets})"))
        }
    }

    fn relabelled(&mut self, depth: u8) -> Expr {
        let (to, from) = (*self.pick(LABELS), *self.pick(LABELS));
        if self.one_in(2) {
            let (replacement, regex) = *self.pick(&[
                ("$1", "(.*):.*"),
                ("x", ".*"),
                ("", "nothing"),
                ("${1}-y", "(.).*"),
            ]);
            expr!(Vector: "label_replace(", self.vector(depth), format!(", \"{to}\", \"{replacement}\", \"{from}\", \"{regex}\")"))
        } else {
            let other = *self.pick(LABELS);
            expr!(Vector: "label_join(", self.vector(depth), format!(", \"{to}\", \"-\", \"{from}\", \"{other}\")"))
        }
    }

    fn of_each(&mut self, depth: u8) -> Expr {
        let function = *self.pick(&[
            "abs",
            "ceil",
            "floor",
            "exp",
            "sqrt",
            "ln",
            "log2",
            "log10",
            "sgn",
            "sin",
            "cos",
            "atan",
            "deg",
            "rad",
            "timestamp",
            "hour",
            "minute",
            "day_of_week",
            "days_in_month",
            "absent",
            "sort",
            "sort_desc",
            "round",
            "clamp",
            "clamp_min",
            "clamp_max",
            "vector",
        ]);
        match function {
            "vector" => expr!(Vector: "vector(", self.scalar(1), ")"),
            "round" | "clamp_min" | "clamp_max" => {
                expr!(Vector: format!("{function}("), self.vector(depth), ", ", self.scalar(0), ")")
            }
            "clamp" => {
                expr!(Vector: "clamp(", self.vector(depth), ", ", self.scalar(0), ", ", self.scalar(0), ")")
            }
            _ => expr!(Vector: format!("{function}("), self.vector(depth), ")"),
        }
    }
}

#[test]
fn a_seed_gives_the_same_expression_again() {
    let expr = |seed| Generator::new(seed).case().0.to_string();
    assert_eq!(expr(5), expr(5));
    assert_ne!(expr(5), expr(6));
}

#[test]
fn smaller_expressions_are_smaller_and_of_the_same_kind() {
    let expr = expr!(Vector: "rate(", expr!(Matrix: "x[5m]"), ") + ", expr!(Vector: "abs(", expr!(Vector: "yyyy"), ")"));
    let smaller: Vec<String> = expr.smaller().iter().map(Expr::to_string).collect();
    assert_eq!(smaller[0], "up");
    assert!(
        smaller.contains(&"abs(yyyy)".to_owned()) && smaller.contains(&"rate(x[5m]) + up".to_owned()),
        "{smaller:?}"
    );
}
