//! Snapshots made by hand, right and wrong in every way.

use std::io::Write;

use super::*;

const PAGE: usize = 512;

/// Writes numbers little-endian.
fn put(bytes: &mut [u8], at: usize, size: usize, number: u64) {
    bytes[at..at + size].copy_from_slice(&number.to_le_bytes()[..size]);
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn header(id: u64, flags: u64, count: usize, pages: usize) -> Vec<u8> {
    let mut page = vec![0; pages * PAGE];
    put(&mut page, 0, 8, id);
    put(&mut page, 8, 2, flags);
    put(&mut page, 10, 2, count as u64);
    put(&mut page, 12, 4, pages as u64 - 1);
    page
}

fn meta(id: u64, end: u64, transaction: u64) -> Vec<u8> {
    let mut page = header(id, 4, 0, 1);
    let meta = &mut page[16..80];
    put(meta, 0, 4, 0xED0C_DAED);
    put(meta, 4, 4, 2);
    put(meta, 8, 4, PAGE as u64);
    put(meta, 16, 8, 2);
    put(meta, 32, 8, u64::MAX);
    put(meta, 40, 8, end);
    put(meta, 48, 8, transaction);
    let sum = fnv(&meta[..56]);
    put(meta, 56, 8, sum);
    page
}

fn leaf(id: u64, pages: usize, entries: &[(u64, &[u8], &[u8])]) -> Vec<u8> {
    let mut page = header(id, 2, entries.len(), pages);
    let mut at = 16 + 16 * entries.len();
    for (index, (flags, key, value)) in entries.iter().enumerate() {
        let entry = 16 + 16 * index;
        put(&mut page, entry, 4, *flags);
        put(&mut page, entry + 4, 4, (at - entry) as u64);
        put(&mut page, entry + 8, 4, key.len() as u64);
        put(&mut page, entry + 12, 4, value.len() as u64);
        page[at..at + key.len()].copy_from_slice(key);
        at += key.len();
        page[at..at + value.len()].copy_from_slice(value);
        at += value.len();
    }
    page
}

fn branch(id: u64, children: &[u64]) -> Vec<u8> {
    let mut page = header(id, 1, children.len(), 1);
    for (index, child) in children.iter().enumerate() {
        put(&mut page, 16 + 16 * index + 8, 8, *child);
    }
    page
}

fn revision(main: u64, sub: u64) -> Vec<u8> {
    [&main.to_be_bytes()[..], b"_", &sub.to_be_bytes()].concat()
}

/// A database: a bucket of four keys over two leaves, the last with a value over three pages, and a bucket in its record.
fn pages() -> Vec<Vec<u8>> {
    let record = |root: u64| [root.to_le_bytes(), [0; 8]].concat();
    let mut inline = leaf(0, 1, &[(0, b"consistent_index", b"12345678"), (0, b"term", b"1")]);
    inline.truncate(128);
    let inline = [record(0), inline].concat();
    let (key, value) = (revision, |byte, size| vec![byte; size]);
    vec![
        meta(0, 9, 7),
        meta(1, 9, 6),
        leaf(2, 1, &[(1, b"key", &record(3)), (1, b"meta", &inline)]),
        branch(3, &[4, 5]),
        leaf(
            4,
            1,
            &[(0, &key(2, 0), &value(b'a', 9)), (0, &key(3, 0), &value(b'b', 9))],
        ),
        leaf(
            5,
            3,
            &[
                (0, &key(3, 1), &value(b'c', 9)),
                (0, &key(5, 0), &value(b'd', 1300)),
            ],
        ),
        header(8, 16, 0, 1),
    ]
}

fn with_checksum(database: &[u8]) -> Vec<u8> {
    [database, &Sha256::digest(database)].concat()
}

fn examined(bytes: &[u8]) -> Finding {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    examine(&file, bytes.len() as u64, &|| true).unwrap()
}

fn reason(finding: Finding) -> String {
    match finding {
        Finding::Broken(damage) if damage.detail.is_empty() => damage.reason.to_owned(),
        Finding::Broken(damage) => format!("{}: {}", damage.reason, damage.detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_snapshot_is_good_and_its_copy_without_checksum_is_none() {
    let database = pages().concat();
    let Finding::Good(contents) = examined(&with_checksum(&database)) else {
        panic!("{:?}", examined(&with_checksum(&database)))
    };
    // Bytes of the CRC-32C: the bucket's name, then its keys and values, in order.
    let hashed = [
        &b"key"[..],
        &revision(2, 0),
        &[b'a'; 9],
        &revision(3, 0),
        &[b'b'; 9],
        &revision(3, 1),
        &[b'c'; 9],
        &revision(5, 0),
        &[b'd'; 1300],
        b"meta",
        b"consistent_index",
        b"12345678",
        b"term",
        b"1",
    ];
    let hash = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&hashed.concat());
    let expected = Contents {
        size: 9 * PAGE as u64,
        revision: 5,
        keys: 6,
        hash,
    };
    assert_eq!(contents, expected);
    assert_eq!(examined(&database), Finding::NoChecksum(expected));
    // A live database file on disk is larger than what is in use.
    let grown = [&*database, &[0; 3 * PAGE]].concat();
    assert_eq!(examined(&grown), Finding::NoChecksum(expected));
}

#[test]
fn no_flipped_bit_and_no_cut_is_good() {
    let whole = with_checksum(&pages().concat());
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        let finding = examined(&flipped);
        assert!(matches!(finding, Finding::Broken(_)), "byte {at}: {finding:?}");
    }
    for len in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
        let finding = examined(&whole[..len]);
        assert!(matches!(finding, Finding::Broken(_)), "{len} bytes: {finding:?}");
    }
}

/// What a file without a checksum may hold, nobody has vouched for.
#[test]
fn no_flipped_byte_inside_a_database_breaks_off_or_runs_on() {
    let whole = pages().concat();
    for at in 0..whole.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut flipped = whole.clone();
            flipped[at] ^= mask;
            examined(&flipped);
        }
    }
}

#[test]
fn each_kind_of_damage_has_its_words() {
    let database = pages().concat();
    let whole = with_checksum(&database);
    assert_eq!(reason(examined(&[])), "is empty");
    assert_eq!(reason(examined(&[0; 4096])), "is no database of etcd");
    assert_eq!(
        reason(examined(b"not a database at all")),
        "is no database of etcd"
    );
    let cut = reason(examined(&whole[..whole.len() / 2]));
    assert_eq!(cut, "is cut off: 2288 of 4608 bytes of its database are missing");
    let cut = reason(examined(&whole[..whole.len() - 1]));
    assert_eq!(cut, "is cut off: 31 of 32 bytes of its checksum are left");
    let mut flipped = whole.clone();
    flipped[5 * PAGE + 100] ^= 1;
    assert_eq!(reason(examined(&flipped)), "does not match its checksum");
}

/// With a right checksum over it: etcd itself sent a broken database, or somebody made it.
#[test]
fn a_structure_that_is_wrong_is_told_where() {
    let damaged = |page: usize, change: &dyn Fn(&mut Vec<u8>)| {
        let mut pages = pages();
        change(&mut pages[page]);
        reason(examined(&with_checksum(&pages.concat())))
    };
    let inside = "is damaged inside: ";
    let number = |at, size, number| move |page: &mut Vec<u8>| put(page, at, size, number);
    for (page, change, words) in [
        (
            4,
            &number(0, 8, 5) as &dyn Fn(&mut Vec<u8>),
            "page 4 says that it is page 5",
        ),
        (4, &number(8, 2, 3), "page 4 is neither branch nor leaf"),
        (4, &number(10, 2, 60_000), "page 4 cannot have 60000 entries"),
        (
            5,
            &number(12, 4, u64::from(u32::MAX)),
            "page 5 reaches past the end",
        ),
        (3, &number(24, 8, 1), "page 1 is none of its 9 pages"),
        (
            3,
            &number(24, 8, u64::MAX),
            "page 18446744073709551615 is none of its 9 pages",
        ),
        (3, &number(24, 8, 3), "page 3 is in use twice"),
        (3, &number(24, 8, 5), "page 5 is in use twice"),
        (
            3,
            &number(24, 8, 6),
            "page 6 says that it is page 7234017283807667300",
        ),
        (3, &number(10, 2, 0), "page 3 cannot have 0 entries"),
        (4, &number(24, 4, 33_000), "a key is too long"),
        (
            4,
            &number(28, 4, u64::from(u32::MAX)),
            "an entry reaches out of its page",
        ),
        (4, &number(20, 4, 0), "an entry reaches out of its page"),
        (5, &number(28, 4, 1400), "entries of a page overlap"),
        (2, &number(16, 4, 0), "a key stands where a bucket should"),
        (2, &number(28, 4, 3), "a bucket is too short or too long"),
    ] {
        assert_eq!(damaged(page, change), format!("{inside}{words}"));
    }
    let swapped = damaged(4, &|page| {
        let key = 16 + 2 * 16 + 7;
        page[key] = 9;
    });
    assert_eq!(swapped, format!("{inside}keys are out of order"));
}

#[test]
fn wrapped_files_are_not_called_broken() {
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let gzip = [b"\x1f\x8b\x08", &[7; 100][..]].concat();
    for (bytes, format) in [
        (gzip, "gzip"),
        (tar, "tar"),
        (b"Salted__x".to_vec(), "openssl enc"),
    ] {
        assert_eq!(examined(&bytes), Finding::Unsupported(format));
    }
}

#[test]
fn reading_stops_when_nobody_wants_to_know() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&with_checksum(&pages().concat())).unwrap();
    assert!(matches!(examine(&file, 4640, &|| false), Err(Fault::Stopped)));
    file.set_len(1000).unwrap();
    assert!(matches!(examine(&file, 4640, &|| true), Err(Fault::Io(_))));
}
