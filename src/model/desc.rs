//! The description of a metric: one `static` each, beside the code that fills it.

/// What a metric is. `/metrics`, `docs/metrics.md` and the coverage of rules all read this.
#[derive(Debug)]
pub struct Desc {
    /// The full name, with the `etcd_doctor_` prefix, the unit's suffix and `_total` for a counter.
    pub name: &'static str,
    /// One sentence: what it is and from which call, file or metric it is read.
    pub help: &'static str,
    /// How it behaves over time.
    pub kind: Kind,
    /// The base unit when the name ends in it (before `_total`): `seconds`, `bytes`, `ratio`.
    pub unit: Option<&'static str>,
    /// Its label names, without those that the runner adds: `cluster`, and for a collector of members `member`.
    pub labels: &'static [&'static str],
    /// Whether it is absent where there is nothing to tell of (round trips of a member without peers, say): rules about
    /// it then have nothing to judge, which is no gap.
    pub sparse: bool,
}

/// How a metric behaves over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows, or starts anew with the process that counts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets with a sum and a count.
    Histogram,
}

impl Desc {
    /// A gauge without extra labels.
    pub const fn gauge(name: &'static str, unit: Option<&'static str>, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind: Kind::Gauge,
            unit,
            labels: &[],
            sparse: false,
        }
    }

    /// A counter without extra labels. The name ends in `_total`.
    pub const fn counter(name: &'static str, unit: Option<&'static str>, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind: Kind::Counter,
            unit,
            labels: &[],
            sparse: false,
        }
    }

    /// A histogram without extra labels.
    pub const fn histogram(name: &'static str, unit: Option<&'static str>, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind: Kind::Histogram,
            unit,
            labels: &[],
            sparse: false,
        }
    }

    /// The same with label names.
    #[must_use]
    pub const fn labels(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }
    /// The same, absent where there is nothing to tell of.
    #[must_use]
    pub const fn sparse(mut self) -> Self {
        self.sparse = true;
        self
    }
}
