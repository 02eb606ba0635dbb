//! Label sets: sorted, unique names, no empty values.

use std::fmt;
use std::sync::Arc;

/// The label that holds a series' name.
const NAME: &str = "__name__";

/// The label pairs of a series, sorted by name.
///
/// A label with an empty value and a missing label are the same thing in Prometheus, so empty values are not kept.
/// Cloning is cheap: the pairs are shared.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// No labels at all.
    pub fn empty() -> Self {
        Self(Arc::from([]))
    }

    /// Builds a set from pairs in any order. Of a name given twice the last value counts; empty values are dropped.
    pub fn new<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<Arc<str>>,
        V: Into<Arc<str>>,
    {
        let mut sorted: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        for (name, value) in pairs {
            let (name, value) = (name.into(), value.into());
            match sorted.binary_search_by(|(other, _)| (**other).cmp(&*name)) {
                Ok(at) => sorted[at].1 = value,
                Err(at) => sorted.insert(at, (name, value)),
            }
        }
        sorted.retain(|(_, value)| !value.is_empty());
        Self(sorted.into())
    }

    /// The value of a label, or `""` when it is missing.
    pub fn get(&self, name: &str) -> &str {
        match self.0.binary_search_by(|(other, _)| (**other).cmp(name)) {
            Ok(at) => &self.0[at].1,
            Err(_) => "",
        }
    }

    /// The metric name: the value of `__name__`, or `""`.
    pub fn metric_name(&self) -> &str {
        self.get(NAME)
    }

    /// Whether the set has no labels.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The pairs, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The same set with one label set, or removed when `value` is empty.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let kept = self.0.iter().filter(|(other, _)| &**other != name).cloned();
        Self::new(kept.chain([(Arc::from(name), Arc::from(value))]))
    }

    /// The same set with a metric name.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        self.with(NAME, name)
    }

    /// Both sets in one. Of a name in both the value of `other` counts.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let mut pairs = Vec::with_capacity(self.len() + other.len());
        let mut own = self.0.iter().peekable();
        for pair in other.0.iter() {
            while let Some(before) = own.next_if(|(name, _)| *name < pair.0) {
                pairs.push(before.clone());
            }
            own.next_if(|(name, _)| *name == pair.0);
            pairs.push(pair.clone());
        }
        pairs.extend(own.cloned());
        Self(pairs.into())
    }

    /// The same set without the labels named.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(name, _)| !names.contains(&&**name))
                .cloned()
                .collect(),
        )
    }

    /// The same set with only the labels named.
    #[must_use]
    pub fn only(&self, names: &[&str]) -> Self {
        Self(
            self.0
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
        self.0.iter().fold(OFFSET, |hash, (name, value)| {
            let hash = add(name.bytes().fold(hash, add), 0xff);
            add(value.bytes().fold(hash, add), 0xff)
        })
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
        for (at, (name, value)) in self.iter().filter(|(name, _)| *name != NAME).enumerate() {
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

    /// The reference value is what Alertmanager's `/api/v2/alerts` shows for an alert with these labels.
    #[test]
    fn an_empty_set_has_the_fnv_offset_as_fingerprint() {
        assert_eq!(Labels::empty().fingerprint(), 0xcbf2_9ce4_8422_2325);
    }
}
