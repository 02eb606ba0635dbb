//! From bytes as they come to counts by kind: lines put together over reads, long ones cut, wrapping taken off. No I/O.

use std::collections::BTreeMap;

use super::{entry, kinds};

/// The longest line that is kept. A container runtime cuts at 16 KiB, which its escapes may double; etcd's level and
/// message stand at a line's beginning.
const MAX_LINE: usize = 64 * 1024;

/// Messages counted by kind, and lines.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Counts {
    pub kinds: BTreeMap<&'static str, u64>,
    pub lines: u64,
}

impl Counts {
    /// Adds another count to this.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        self.lines += other.lines;
    }
}

/// Puts lines together and counts them.
#[derive(Default)]
pub(super) struct Counter {
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// Whether bytes are passed over up to the next line, since a read began within one.
    mid_line: bool,
    /// Whether the container runtime said that its next line goes on with the last.
    goes_on: bool,
}

impl Counter {
    /// Forgets the line that was begun: what comes next does not go on with it.
    pub fn break_off(&mut self, mid_line: bool) {
        *self = Self {
            mid_line,
            ..Self::default()
        };
    }

    /// Counts the lines that end in `bytes`. With `since`, in milliseconds since the epoch, only those that say themselves
    /// that they are not older.
    pub fn count(&mut self, bytes: &[u8], since: Option<i64>) -> Counts {
        let mut counts = Counts::default();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.keep(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.partial);
            if !std::mem::take(&mut self.mid_line) {
                self.line(&String::from_utf8_lossy(&line), since, &mut counts);
            }
        }
        self.keep(rest);
        counts
    }

    /// Keeps a part of a line, up to the bound.
    fn keep(&mut self, part: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.partial.len()).min(part.len());
        self.partial.extend_from_slice(&part[..room]);
    }

    fn line(&mut self, line: &str, since: Option<i64>, counts: &mut Counts) {
        let unwrapped = entry::unwrap(line);
        // Of a line in parts the first says what it is.
        if std::mem::replace(&mut self.goes_on, unwrapped.goes_on) {
            return;
        }
        let entry = entry::parse(&unwrapped.text);
        let time = unwrapped.time.or(entry.time);
        if since.is_some_and(|since| time.is_none_or(|time| time < since)) {
            return;
        }
        counts.lines += 1;
        if let Some(kind) = kinds::of(&entry) {
            *counts.kinds.entry(kind).or_default() += 1;
        }
    }
}
