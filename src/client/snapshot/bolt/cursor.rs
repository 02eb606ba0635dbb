//! Walking over a bucket from its first key to its last.

use super::number;
use super::pages::{Kind, Page, Pages, structure};
use crate::client::snapshot::source::Fault;

/// bbolt's own bound of a key, in bytes.
const LONGEST_KEY: u64 = 32_768;

/// How deep a tree may be. bbolt's pages have two entries at least, so this would be more pages than any file has.
const DEEPEST: usize = 40;

/// A bucket's own record: the page of its root and a number that etcd does not use. A small bucket follows at once.
const BUCKET: u64 = 16;

/// The largest bucket that is kept inside its record; bbolt's is a quarter of a page.
const LARGEST_INLINE: u64 = 64 << 10;

/// A place in a bucket.
pub(super) struct Cursor {
    /// The pages that are still to be read, by depth, the next one last.
    branches: Vec<Vec<u64>>,
    leaf: Option<Page>,
    /// The next entry of the leaf.
    next: u64,
    /// How many bytes the entries of the leaf had so far.
    used: u64,
    last_key: Option<Vec<u8>>,
}

/// A key and where its value is.
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    pub(super) is_bucket: bool,
    value_at: u64,
    value_size: u64,
}

impl Cursor {
    /// Before the first key of the bucket whose root this page is.
    pub(super) fn new(root: u64) -> Self {
        Self {
            branches: vec![vec![root]],
            leaf: None,
            next: 0,
            used: 0,
            last_key: None,
        }
    }

    /// The next key; none after the last.
    pub(super) fn next(&mut self, pages: &mut Pages<'_>) -> Result<Option<Entry>, Fault> {
        loop {
            if let Some(leaf) = self.leaf.as_ref().filter(|leaf| self.next < leaf.count) {
                let entry = entry(leaf, self.next, pages)?;
                self.next += 1;
                // Else a small file could be read for days.
                self.used += entry.key.len() as u64 + entry.value_size;
                if self.used > leaf.len {
                    return Err(structure("entries of a page overlap"));
                }
                if self.last_key.as_ref().is_some_and(|last| *last >= entry.key) {
                    return Err(structure("keys are out of order"));
                }
                self.last_key = Some(entry.key.clone());
                return Ok(Some(entry));
            }
            let Some(id) = self.next_page() else {
                return Ok(None);
            };
            let page = pages.read(id)?;
            match page.kind {
                Kind::Leaf => (self.leaf, self.next, self.used) = (Some(page), 0, 0),
                Kind::Branch if self.branches.len() < DEEPEST => {
                    let below = (0..page.count).rev().map(|at| number(page.entry(at), 8, 8));
                    self.branches.push(below.collect());
                }
                Kind::Branch => return Err(structure("its pages are nested too deep")),
            }
        }
    }

    fn next_page(&mut self) -> Option<u64> {
        while let Some(branch) = self.branches.last_mut() {
            if let Some(id) = branch.pop() {
                return Some(id);
            }
            self.branches.pop();
        }
        None
    }

    /// Before the first key of a bucket that `next` gave.
    pub(super) fn bucket(&self, entry: &Entry, pages: &Pages<'_>) -> Result<Self, Fault> {
        if !(BUCKET..=LARGEST_INLINE).contains(&entry.value_size) {
            return Err(structure("a bucket is too short or too long"));
        }
        let mut record = Vec::new();
        self.value(entry, pages, |bytes| record.extend_from_slice(bytes))?;
        match number(&record, 0, 8) {
            0 => {
                let page = Page::inline(record.split_off(BUCKET as usize))?;
                if page.kind != Kind::Leaf {
                    return Err(structure("a bucket inside its record has further pages"));
                }
                Ok(Self {
                    branches: Vec::new(),
                    leaf: Some(page),
                    next: 0,
                    used: 0,
                    last_key: None,
                })
            }
            root => Ok(Self::new(root)),
        }
    }

    /// Passes on the value of the entry that `next` gave last, piece by piece.
    pub(super) fn value(
        &self,
        entry: &Entry,
        pages: &Pages<'_>,
        take: impl FnMut(&[u8]),
    ) -> Result<(), Fault> {
        match &self.leaf {
            Some(leaf) => leaf.bytes(entry.value_at, entry.value_size, pages, take),
            None => Ok(()),
        }
    }
}

fn entry(leaf: &Page, index: u64, pages: &Pages<'_>) -> Result<Entry, Fault> {
    let numbers = leaf.entry(index);
    let [flags, position, key_size, value_size] = [0, 4, 8, 12].map(|at| number(numbers, at, 4));
    // Positions count from the entry itself.
    let key_at = super::pages::HEADER + index * super::pages::ENTRY + position;
    if key_size > LONGEST_KEY {
        return Err(structure("a key is too long"));
    }
    leaf.check(key_at, key_size + value_size)?;
    let mut key = Vec::with_capacity(key_size as usize);
    leaf.bytes(key_at, key_size, pages, |bytes| key.extend_from_slice(bytes))?;
    Ok(Entry {
        key,
        is_bucket: flags & 1 != 0,
        value_at: key_at + key_size,
        value_size,
    })
}
