//! A snapshot file, as `etcdctl snapshot save` writes it: a database of bbolt and the SHA-256 of all of it behind.
//!
//! `etcdctl snapshot status` looks at the database only, so that it calls a file with a flipped bit, a cut one and a
//! copy of a live database good. Here both are looked at: the checksum, which tells that the bytes are those that etcd
//! sent, and the structure, which tells that etcd sent a database.

mod bolt;
mod format;
mod source;

use std::fs::File;
use std::io;

use sha2::{Digest, Sha256};

pub use bolt::Contents;
use source::Source;
pub use source::{Fault, GoOn};

/// The checksum at the end, in bytes.
const CHECKSUM: u64 = 32;

/// What is read at once while the checksum is made, in bytes: large enough for a network share.
const CHUNK: usize = 256 << 10;

/// The largest file that is looked at, in bytes: eight times the largest quota that etcd advises.
const LARGEST: u64 = 64 << 30;

/// What a file turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// A snapshot: checksum and structure are right.
    Good(Contents),
    /// A database without the checksum that `snapshot save` appends: a copy of a database file.
    NoChecksum(Contents),
    /// Something that is not looked into, in one word: `gzip`, `OpenPGP`.
    Unsupported(&'static str),
    /// Not restorable.
    Broken(Damage),
}

/// What is wrong with a broken file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// Of a closed list, in words that follow the file's name.
    pub reason: &'static str,
    /// Where, in words; may be empty.
    pub detail: String,
}

/// Looks at a file of so many bytes. Reads it once or twice, in pieces; keeps about a megabyte of it at a time.
/// `go_on` is asked between reads.
///
/// # Errors
/// When it could not be read to its end, or was told not to go on.
pub fn examine(file: &File, len: u64, go_on: GoOn<'_>) -> Result<Finding, Fault> {
    let source = Source::new(file, go_on);
    if len == 0 {
        return Ok(broken("is empty", ""));
    }
    if let Some(format) = format::of(&source, len)? {
        return Ok(Finding::Unsupported(format));
    }
    if len > LARGEST {
        let detail = format!("{len} bytes, more than the {LARGEST} that are looked at");
        return Err(Fault::Io(io::Error::new(io::ErrorKind::FileTooLarge, detail)));
    }
    let Some(meta) = bolt::meta(&source, len)? else {
        return Ok(broken("is no database of etcd", ""));
    };
    let missing = meta.size().saturating_sub(len);
    if missing > 0 {
        let detail = format!("{missing} of {} bytes of its database are missing", meta.size());
        return Ok(broken("is cut off", detail));
    }
    let behind = len - meta.size();
    if (1..CHECKSUM).contains(&behind) {
        return Ok(broken(
            "is cut off",
            format!("{behind} of 32 bytes of its checksum are left"),
        ));
    }
    // As etcd's own restore tells whether there is one.
    let has_checksum = len % 512 == CHECKSUM;
    if has_checksum && !checksum_is_right(&source, len)? {
        return Ok(broken("does not match its checksum", ""));
    }
    match bolt::contents(&source, &meta) {
        Ok(contents) if has_checksum => Ok(Finding::Good(contents)),
        Ok(contents) => Ok(Finding::NoChecksum(contents)),
        Err(Fault::Structure(detail)) => Ok(broken("is damaged inside", detail)),
        Err(fault) => Err(fault),
    }
}

fn broken(reason: &'static str, detail: impl Into<String>) -> Finding {
    let detail = detail.into();
    Finding::Broken(Damage { reason, detail })
}

fn checksum_is_right(source: &Source<'_>, len: u64) -> Result<bool, Fault> {
    let end = len - CHECKSUM;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    while at < end {
        let size = (end - at).min(CHUNK as u64) as usize;
        source.read(at, &mut chunk[..size])?;
        hash.update(&chunk[..size]);
        at += size as u64;
    }
    let mut expected = [0; CHECKSUM as usize];
    source.read(end, &mut expected)?;
    Ok(hash.finalize().as_slice() == expected)
}

#[cfg(test)]
mod tests;
