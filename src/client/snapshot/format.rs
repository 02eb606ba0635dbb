//! Files that hold a snapshot inside something else, told by their first bytes.

use super::source::{Fault, Source};

/// What a file begins with when it is compressed, archived or encrypted.
const BEGINNINGS: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\xff\x06\0\0sNaPpY", "snappy"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Salted__", "openssl enc"),
    (b"age-encryption.org/", "age"),
    (b"-----BEGIN ", "PEM or OpenPGP"),
];

/// A tar archive says so here.
const TAR: (u64, &[u8]) = (257, b"ustar");

/// The longest of them.
const LONGEST: usize = 19;

/// In what a file is wrapped, when it is.
pub(super) fn of(source: &Source<'_>, len: u64) -> Result<Option<&'static str>, Fault> {
    let mut head = [0; LONGEST];
    let size = LONGEST.min(usize::try_from(len).unwrap_or(LONGEST));
    source.read(0, &mut head[..size])?;
    let found = BEGINNINGS
        .iter()
        .find(|(bytes, _)| head[..size].starts_with(bytes));
    if let Some((_, name)) = found {
        return Ok(Some(name));
    }
    let (at, magic) = TAR;
    if len < at + magic.len() as u64 {
        return Ok(None);
    }
    let mut there = [0; TAR.1.len()];
    source.read(at, &mut there)?;
    Ok((there == magic).then_some("tar"))
}
