//! Pages of the file: which there are, and each no more than once.

use super::number;
use crate::client::snapshot::source::{Fault, Source};

/// A page's header in bytes: id, flags, count, overflow.
pub(super) const HEADER: u64 = 16;

/// The size of a page's entry, of both kinds, in bytes.
pub(super) const ENTRY: u64 = 16;

/// What is read of a page at once where more hangs on it, in bytes: values of etcd are smaller than this nearly always.
const HEAD: u64 = 64 << 10;

/// Where a value is passed on, so many bytes at once.
const CHUNK: usize = 64 << 10;

/// What a page holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// References to further pages.
    Branch,
    /// Keys and values.
    Leaf,
}

/// A page with all that overflows from it, or a small one inside a value.
pub(super) struct Page {
    pub(super) kind: Kind,
    /// How many entries it has.
    pub(super) count: u64,
    /// Its first bytes, or all.
    head: Vec<u8>,
    /// All of its bytes.
    pub(super) len: u64,
    /// Where it begins in the file; none inside a value, where `head` is all.
    at: Option<u64>,
}

/// The pages of one database.
pub(super) struct Pages<'a> {
    source: &'a Source<'a>,
    page_size: u64,
    end: u64,
    /// One bit a page: whether it was read.
    seen: Vec<u64>,
}

impl<'a> Pages<'a> {
    /// The pages below `end`, all of which must be in the file: of that come the bounds of memory and time.
    pub(super) fn new(source: &'a Source<'a>, page_size: u64, end: u64) -> Result<Self, Fault> {
        let words = usize::try_from(end.div_ceil(64)).map_err(|_| structure("too many pages"))?;
        Ok(Self {
            source,
            page_size,
            end,
            seen: vec![0; words],
        })
    }

    /// Reads a page. Refuses one that was read before: pages form a tree.
    pub(super) fn read(&mut self, id: u64) -> Result<Page, Fault> {
        // The first two are the meta pages.
        if id < 2 || id >= self.end {
            return Err(structure(&format!("page {id} is none of its {} pages", self.end)));
        }
        let at = id * self.page_size;
        let mut head = vec![0; usize::try_from(self.page_size).unwrap_or_default()];
        self.source.read(at, &mut head)?;
        let own_id = number(&head, 0, 8);
        if own_id != id {
            return Err(structure(&format!("page {id} says that it is page {own_id}")));
        }
        let pages = number(&head, 12, 4) + 1;
        if pages > self.end - id {
            return Err(structure(&format!("page {id} reaches past the end")));
        }
        for page in id..id + pages {
            self.see(page)?;
        }
        let len = pages * self.page_size;
        let (kind, count) = kind_and_count(&head, len, id)?;
        let wanted = len.min(HEAD.max(HEADER + count * ENTRY));
        let have = head.len();
        head.resize(have.max(usize::try_from(wanted).unwrap_or(have)), 0);
        if head.len() > have {
            self.source.read(at + have as u64, &mut head[have..])?;
        }
        Ok(Page {
            kind,
            count,
            head,
            len,
            at: Some(at),
        })
    }

    fn see(&mut self, id: u64) -> Result<(), Fault> {
        let (word, bit) = (&mut self.seen[(id / 64) as usize], 1 << (id % 64));
        if *word & bit != 0 {
            return Err(structure(&format!("page {id} is in use twice")));
        }
        *word |= bit;
        Ok(())
    }
}

impl Page {
    /// A page inside a value.
    pub(super) fn inline(bytes: Vec<u8>) -> Result<Self, Fault> {
        let len = bytes.len() as u64;
        if len < HEADER {
            return Err(structure("a bucket is too short"));
        }
        let (kind, count) = kind_and_count(&bytes, len, 0)?;
        Ok(Self {
            kind,
            count,
            head: bytes,
            len,
            at: None,
        })
    }

    /// The numbers of an entry: four of four bytes in a leaf, two and one of eight bytes in a branch.
    pub(super) fn entry(&self, index: u64) -> &[u8] {
        let at = usize::try_from(HEADER + index * ENTRY).unwrap_or(usize::MAX);
        let end = at.saturating_add(ENTRY as usize);
        self.head.get(at..end).unwrap_or_default()
    }

    /// Refuses what does not lie in this page.
    pub(super) fn check(&self, at: u64, size: u64) -> Result<(), Fault> {
        let entries = HEADER + self.count * ENTRY;
        match at >= entries && at.checked_add(size).is_some_and(|end| end <= self.len) {
            true => Ok(()),
            false => Err(structure("an entry reaches out of its page")),
        }
    }

    /// Passes on a part of the page, piece by piece.
    pub(super) fn bytes(
        &self,
        at: u64,
        size: u64,
        pages: &Pages<'_>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), Fault> {
        self.check(at, size)?;
        let range = usize::try_from(at).ok().zip(usize::try_from(at + size).ok());
        if let Some(part) = range.and_then(|(from, to)| self.head.get(from..to)) {
            take(part);
            return Ok(());
        }
        let Some(start) = self.at else {
            return Err(structure("an entry reaches out of its page"));
        };
        let mut chunk = vec![0; CHUNK];
        let mut done = 0;
        while done < size {
            let part = (size - done).min(CHUNK as u64) as usize;
            pages.source.read(start + at + done, &mut chunk[..part])?;
            take(&chunk[..part]);
            done += part as u64;
        }
        Ok(())
    }
}

fn kind_and_count(head: &[u8], len: u64, id: u64) -> Result<(Kind, u64), Fault> {
    let (flags, count) = (number(head, 8, 2), number(head, 10, 2));
    let kind = match flags {
        1 => Kind::Branch,
        2 => Kind::Leaf,
        _ => return Err(structure(&format!("page {id} is neither branch nor leaf"))),
    };
    if HEADER + count * ENTRY > len || (kind == Kind::Branch && count == 0) {
        return Err(structure(&format!("page {id} cannot have {count} entries")));
    }
    Ok((kind, count))
}

pub(super) fn structure(what: &str) -> Fault {
    Fault::Structure(what.to_owned())
}
