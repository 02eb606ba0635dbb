//! The inside of a bbolt database, read page by page: every page once, every bound checked, nothing kept.
//!
//! What is counted and hashed is what `etcdctl snapshot status` counts and hashes, in its order, so that the numbers can
//! be compared.

mod cursor;
mod pages;

use super::source::{Fault, Source};
use cursor::Cursor;
use pages::Pages;

/// At the beginning of a meta page, behind the 16 bytes that every page begins with.
const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;

/// A meta page's header and fields, in bytes, without and with its checksum.
const PAGE_HEADER: usize = 16;
const SUMMED: usize = 56;

/// The sizes that a page may have: the system's page where the database was made.
const PAGE_SIZES: [u64; 8] = [
    512,
    1 << 10,
    2 << 10,
    4 << 10,
    8 << 10,
    16 << 10,
    32 << 10,
    64 << 10,
];

/// etcd's bucket of keys and values.
const KEYS: &[u8] = b"key";

/// A revision as the key of that bucket: main, `_`, sub.
const REVISION: usize = 17;

/// CRC-32C.
const CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);

/// What a database holds, as `etcdctl snapshot status` prints it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contents {
    /// Its size in bytes.
    pub size: u64,
    /// The revision of the newest key.
    pub revision: i64,
    /// Everything that it holds: each revision of each key, and etcd's own records.
    pub keys: u64,
    /// The hash over all of it.
    pub hash: u32,
}

/// Where the database begins, and how large it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Meta {
    page_size: u64,
    /// The page of the bucket of buckets.
    root: u64,
    /// The first page that is not in use: all are below.
    end: u64,
    transaction: u64,
}

impl Meta {
    /// How many bytes the database has.
    pub(super) fn size(&self) -> u64 {
        self.end.saturating_mul(self.page_size)
    }
}

/// The newer of the two meta pages that are right; none when neither is.
pub(super) fn meta(source: &Source<'_>, len: u64) -> Result<Option<Meta>, Fault> {
    let mut found: Option<Meta> = None;
    for at in [0].into_iter().chain(PAGE_SIZES) {
        let mut bytes = [0; PAGE_HEADER + SUMMED + 8];
        if len < at + bytes.len() as u64 {
            break;
        }
        source.read(at, &mut bytes)?;
        let meta = parse_meta(&bytes[PAGE_HEADER..]);
        // The first is at the beginning, the second on the next page.
        if let Some(meta) = meta.filter(|meta| at == 0 || at == meta.page_size)
            && found.is_none_or(|found| found.transaction < meta.transaction)
        {
            found = Some(meta);
        }
    }
    Ok(found)
}

fn parse_meta(bytes: &[u8]) -> Option<Meta> {
    let right = number(bytes, 0, 4) == u64::from(MAGIC)
        && number(bytes, 4, 4) == u64::from(VERSION)
        && number(bytes, SUMMED, 8) == fnv(&bytes[..SUMMED]);
    let meta = Meta {
        page_size: number(bytes, 8, 4),
        root: number(bytes, 16, 8),
        end: number(bytes, 40, 8),
        transaction: number(bytes, 48, 8),
    };
    (right && PAGE_SIZES.contains(&meta.page_size)).then_some(meta)
}

/// Reads the whole database. `meta` must have been found in it, and all of its pages must be there.
pub(super) fn contents(source: &Source<'_>, meta: &Meta) -> Result<Contents, Fault> {
    let mut pages = Pages::new(source, meta.page_size, meta.end)?;
    let mut crc = CRC.digest();
    let mut contents = Contents {
        size: meta.size(),
        revision: 0,
        keys: 0,
        hash: 0,
    };
    let mut buckets = Cursor::new(meta.root);
    while let Some(bucket) = buckets.next(&mut pages)? {
        if !bucket.is_bucket {
            return Err(Fault::Structure("a key stands where a bucket should".into()));
        }
        crc.update(&bucket.key);
        let holds_keys = bucket.key == KEYS;
        let mut inside = buckets.bucket(&bucket, &pages)?;
        while let Some(entry) = inside.next(&mut pages)? {
            crc.update(&entry.key);
            // Of a bucket in a bucket, which etcd does not make, etcdctl sees the name and no value.
            if !entry.is_bucket {
                inside.value(&entry, &pages, |bytes| crc.update(bytes))?;
            }
            if holds_keys {
                if entry.key.len() < REVISION {
                    return Err(Fault::Structure("a revision is too short".into()));
                }
                let main: [u8; 8] = entry.key[..8].try_into().unwrap_or_default();
                contents.revision = i64::from_be_bytes(main);
            }
            contents.keys += 1;
        }
    }
    contents.hash = crc.finalize();
    Ok(contents)
}

/// A little-endian number of `size` bytes at most 8. What lies behind the end reads as 0: whoever asks has checked.
fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    let part = bytes.get(at..at + size).unwrap_or_default();
    part.iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// FNV-1a, 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
