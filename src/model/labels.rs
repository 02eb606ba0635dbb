//! Label sets: sorted, unique names, no empty values.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock, OnceLock};

use hashbrown::DefaultHashBuilder;

/// The label that holds a series' name.
pub const METRIC_NAME: &str = "__name__";

/// Seeded anew in each process: a hostile page cannot choose labels that collide.
static HASHER: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

/// The label pairs of a series, sorted by name.
///
/// A label with an empty value and a missing label are the same thing in Prometheus, so empty values are not kept.
/// Cloning is cheap: the pairs are shared, with their hash and with the same set without a metric name, both worked out
/// once at most. An evaluation needs them for every series at every step.
#[derive(Clone)]
pub struct Labels(Arc<Inner>);

type Pair = (Arc<str>, Arc<str>);

struct Inner {
    pairs: Box<[Pair]>,
    hash: OnceLock<u64>,
    nameless: OnceLock<Labels>,
}

impl Labels {
    /// No labels at all.
    pub fn empty() -> Self {
        static EMPTY: LazyLock<Labels> = LazyLock::new(|| Labels::of(Box::default()));
        EMPTY.clone()
    }

    fn of(pairs: Box<[Pair]>) -> Self {
        Self(Arc::new(Inner {
            pairs,
            hash: OnceLock::new(),
            nameless: OnceLock::new(),
        }))
    }

    /// Builds a set from pairs in any order. Of a name given twice the last value counts; empty values are dropped.
    pub fn new<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<Arc<str>>,
        V: Into<Arc<str>>,
    {
        let mut sorted: Vec<Pair> = Vec::new();
        for (name, value) in pairs {
            let (name, value) = (name.into(), value.into());
            match sorted.binary_search_by(|(other, _)| (**other).cmp(&*name)) {
                Ok(at) => sorted[at].1 = value,
                Err(at) => sorted.insert(at, (name, value)),
            }
        }
        sorted.retain(|(_, value)| !value.is_empty());
        Self::of(sorted.into())
    }

    /// The value of a label, or `""` when it is missing.
    pub fn get(&self, name: &str) -> &str {
        let pairs = &self.0.pairs;
        match pairs.binary_search_by(|(other, _)| (**other).cmp(name)) {
            Ok(at) => &pairs[at].1,
            Err(_) => "",
        }
    }

    /// The metric name: the value of `__name__`, or `""`.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// Whether the set has no labels.
    pub fn is_empty(&self) -> bool {
        self.0.pairs.is_empty()
    }

    /// The number of labels.
    pub fn len(&self) -> usize {
        self.0.pairs.len()
    }

    /// The pairs, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The pairs as they are held, to be shared.
    pub fn pairs(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.0.pairs
    }

    /// The same set with one label set, or removed when `value` is empty.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let kept = self.0.pairs.iter().filter(|(other, _)| &**other != name).cloned();
        Self::new(kept.chain([(Arc::from(name), Arc::from(value))]))
    }

    /// The same set with a metric name.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        self.with(METRIC_NAME, name)
    }

    /// The same set without its metric name.
    #[must_use]
    pub fn nameless(&self) -> Self {
        if self.metric_name().is_empty() {
            return self.clone();
        }
        self.0
            .nameless
            .get_or_init(|| self.without(&[METRIC_NAME]))
            .clone()
    }

    /// The same set with each text as `share` gives it: one that holds every text once saves most of the memory of
    /// many sets that are much alike.
    #[must_use]
    pub fn shared(&self, mut share: impl FnMut(&Arc<str>) -> Arc<str>) -> Self {
        let pairs = self.0.pairs.iter();
        Self::of(pairs.map(|(name, value)| (share(name), share(value))).collect())
    }

    /// Both sets in one. Of a name in both the value of `other` counts.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let mut pairs = Vec::with_capacity(self.len() + other.len());
        let mut own = self.0.pairs.iter().peekable();
        for pair in other.0.pairs.iter() {
            while let Some(before) = own.next_if(|(name, _)| *name < pair.0) {
                pairs.push(before.clone());
            }
            own.next_if(|(name, _)| *name == pair.0);
            pairs.push(pair.clone());
        }
        pairs.extend(own.cloned());
        Self::of(pairs.into())
    }

    /// The same set without the labels named.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        Self::of(
            self.0
                .pairs
                .iter()
                .filter(|(name, _)| !names.contains(&&**name))
                .cloned()
                .collect(),
        )
    }

    /// The same set with only the labels named.
    #[must_use]
    pub fn only(&self, names: &[&str]) -> Self {
        Self::of(
            self.0
                .pairs
                .iter()
                .filter(|(name, _)| names.contains(&&**name))
                .cloned()
                .collect(),
        )
    }

    /// Alertmanager's fingerprint of a label set: 64-bit FNV-1a over each name and value, each followed by 0xff.
    pub fn fingerprint(&self) -> u64 {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        self.0.pairs.iter().fold(OFFSET, |hash, (name, value)| {
            let hash = add(name.bytes().fold(hash, add), 0xff);
            add(value.bytes().fold(hash, add), 0xff)
        })
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.pairs == other.0.pairs
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(*self.0.hash.get_or_init(|| HASHER.hash_one(&self.0.pairs)));
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.pairs.cmp(&other.0.pairs)
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Display for Labels {
    /// As Prometheus prints a series: `name{a="b", c="d"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric_name())?;
        if self.metric_name() != "" && self.len() == 1 {
            return Ok(());
        }
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().filter(|(name, _)| *name != METRIC_NAME).enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_drops_empty_values_and_lets_the_last_win() {
        let labels = Labels::new([("b", "2"), ("a", "1"), ("c", ""), ("b", "3")]);
        assert_eq!(labels.to_string(), r#"{a="1", b="3"}"#);
        assert_eq!(labels.get("c"), "");
        assert_eq!(labels.with("a", "").to_string(), r#"{b="3"}"#);
    }

    #[test]
    fn merges_and_lets_the_other_win() {
        let one = Labels::new([("a", "1"), ("c", "1"), ("e", "1")]);
        let other = Labels::new([("b", "2"), ("c", "2"), ("f", "2")]);
        assert_eq!(
            one.merged(&other).to_string(),
            r#"{a="1", b="2", c="2", e="1", f="2"}"#
        );
        assert_eq!(one.merged(&Labels::empty()), one);
        assert_eq!(Labels::empty().merged(&one), one);
    }

    #[test]
    fn prints_a_bare_name_without_braces() {
        assert_eq!(Labels::empty().named("up").to_string(), "up");
        assert_eq!(Labels::new([("a", "1")]).named("up").to_string(), r#"up{a="1"}"#);
    }

    #[test]
    fn without_its_name_a_set_equals_one_that_never_had_one() {
        let named = Labels::new([("a", "1")]).named("up");
        assert_eq!(named.nameless(), Labels::new([("a", "1")]));
        assert_eq!(named.nameless().nameless(), named.nameless());
        let set: std::collections::HashSet<Labels> = [named.nameless(), Labels::new([("a", "1")])].into();
        assert_eq!(set.len(), 1);
    }

    /// The reference value is what Alertmanager's `/api/v2/alerts` shows for an alert with these labels.
    #[test]
    fn an_empty_set_has_the_fnv_offset_as_fingerprint() {
        assert_eq!(Labels::empty().fingerprint(), 0xcbf2_9ce4_8422_2325);
    }
}
