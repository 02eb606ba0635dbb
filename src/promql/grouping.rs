//! Label sets grouped by some of their labels, without making a set for each of them: at every step of a query each
//! element of a vector is looked up.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::model::{Labels, METRIC_NAME};

/// The labels that make a group: these (`by`, `on`), or all but these (`without`, `ignoring`).
pub(super) struct Grouping<'a> {
    only: bool,
    names: Vec<&'a str>,
}

impl<'a> Grouping<'a> {
    /// By these labels and no others.
    pub(super) fn by(names: &'a [String]) -> Self {
        Self {
            only: true,
            names: names.iter().map(String::as_str).collect(),
        }
    }

    /// By all labels but these and the metric's name.
    pub(super) fn without(names: &'a [String]) -> Self {
        let names = names.iter().map(String::as_str);
        Self {
            only: false,
            names: names.chain([METRIC_NAME]).collect(),
        }
    }

    /// The labels of the group that a set belongs to.
    pub(super) fn key(&self, labels: &Labels) -> Labels {
        match (self.only, &*self.names) {
            (true, names) => labels.only(names),
            (false, [_]) => labels.nameless(),
            (false, names) => labels.without(names),
        }
    }

    fn pairs<'l>(&self, labels: &'l Labels) -> impl Iterator<Item = (&'l str, &'l str)> {
        labels
            .iter()
            .filter(|(name, _)| self.names.contains(name) == self.only)
    }

    fn hash(&self, labels: &Labels, hasher: &DefaultHashBuilder) -> u64 {
        let mut state = hasher.build_hasher();
        if !self.only && self.names.len() == 1 {
            labels.nameless().hash(&mut state);
        } else {
            for pair in self.pairs(labels) {
                pair.hash(&mut state);
            }
        }
        state.finish()
    }

    fn same(&self, one: &Labels, other: &Labels) -> bool {
        self.pairs(one).eq(self.pairs(other))
    }
}

/// Something for each group, in the order in which the groups first occur.
pub(super) struct Groups<'g, T> {
    grouping: &'g Grouping<'g>,
    hasher: DefaultHashBuilder,
    places: HashTable<usize>,
    /// The first label set of each group, and what is kept of it.
    groups: Vec<(Labels, T)>,
}

impl<'g, T> Groups<'g, T> {
    pub(super) fn new(grouping: &'g Grouping<'g>) -> Self {
        Self {
            grouping,
            hasher: DefaultHashBuilder::default(),
            places: HashTable::new(),
            groups: Vec::new(),
        }
    }

    fn find(&self, hash: u64, labels: &Labels) -> Option<usize> {
        let same = |place: &usize| self.grouping.same(&self.groups[*place].0, labels);
        self.places.find(hash, same).copied()
    }

    /// What is kept of the group of these labels.
    pub(super) fn get(&self, labels: &Labels) -> Option<&T> {
        let place = self.find(self.grouping.hash(labels, &self.hasher), labels)?;
        self.groups.get(place).map(|(_, kept)| kept)
    }

    /// What is kept of the group of these labels, begun with `first` when it is a new one; and whether it is.
    pub(super) fn entry(&mut self, labels: &Labels, first: impl FnOnce() -> T) -> (&mut T, bool) {
        let hash = self.grouping.hash(labels, &self.hasher);
        let found = self.find(hash, labels);
        let place = found.unwrap_or(self.groups.len());
        if found.is_none() {
            self.groups.push((labels.clone(), first()));
            let (grouping, hasher, groups) = (self.grouping, &self.hasher, &self.groups);
            self.places
                .insert_unique(hash, place, |place| grouping.hash(&groups[*place].0, hasher));
        }
        (&mut self.groups[place].1, found.is_none())
    }

    /// Every group with its labels.
    pub(super) fn into_groups(self) -> impl Iterator<Item = (Labels, T)> {
        let grouping = self.grouping;
        let groups = self.groups.into_iter();
        groups.map(|(member, kept)| (grouping.key(&member), kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(grouping: &Grouping<'_>) -> Vec<(String, usize)> {
        let mut groups = Groups::new(grouping);
        for (a, b) in [("1", "x"), ("2", "y"), ("1", "z")] {
            let labels = Labels::new([("__name__", "m"), ("a", a), ("b", b)]);
            *groups.entry(&labels, || 0).0 += 1;
        }
        groups
            .into_groups()
            .map(|(labels, count)| (labels.to_string(), count))
            .collect()
    }

    #[test]
    fn groups_come_in_the_order_of_their_first_members() {
        let (a, b) = (["a".to_owned()], ["b".to_owned()]);
        let by_a = [(r#"{a="1"}"#.to_owned(), 2), (r#"{a="2"}"#.to_owned(), 1)];
        assert_eq!(counted(&Grouping::by(&a)), by_a);
        assert_eq!(counted(&Grouping::without(&b)), by_a);
        assert_eq!(counted(&Grouping::without(&[])).len(), 3);
        assert_eq!(counted(&Grouping::by(&[])), [("{}".to_owned(), 3)]);
    }

    #[test]
    fn a_group_is_found_by_any_of_its_members() {
        let a = ["a".to_owned()];
        let grouping = Grouping::by(&a);
        let mut groups = Groups::new(&grouping);
        let of = |a: &'static str, b: &'static str| Labels::new([("a", a), ("b", b)]);
        assert!(groups.entry(&of("1", "x"), || 5).1);
        assert!(!groups.entry(&of("1", "y"), || 6).1);
        assert_eq!(groups.get(&of("1", "z")), Some(&5));
        assert_eq!(groups.get(&of("2", "x")), None);
    }
}
