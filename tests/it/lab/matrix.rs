//! The table of all rows, `docs/fault-matrix.md`: written by `make lab`, which sets `LAB_RECORD`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::faults::FAULTS;
use super::row::Row;

const HEAD: &str = "\
# Faults, and what etcd-doctor says of them

<!-- Written by `make lab`. `make lab FAULT=name` renews the rows of one fault. -->

Each fault was brought about on real etcd clusters (3.4 and 3.5; three members unless it says otherwise), watched by
etcd-doctor with its default interval of 5 s. *Ranked first* is the first problem of the report when the expected cause
fired, *pending* and *firing* the seconds from the fault until then. *Mixin* is etcd's own rule set in a real Prometheus
that scraped the same members every 15 s in the same run: the seconds until its alert was pending, and when it can fire
at the earliest, since it must stay pending for as long as its `for` says. *Beneath* stood beneath the cause as its
symptoms; *beside* is what else was reported at that moment. *Remedy*: the commands of the report that are etcdctl's were
typed in as they stood there, or else what was done in words, and the fault was gone after.

What such a machine cannot bring about for real is marked in *what is done*, with the reason: *fixture* is a tree of files
in the place of `/proc` and `/sys`, *fake* something that answers in the place of a real one. A remark on how a cluster is
set up (severity info, category configuration or security) stands behind what is worse and beside other remarks: *ranked
first* then says the rank of the expected one, too.
";

const COLUMNS: &str = "\
| fault | etcd | what is done | expected cause | ranked first | pending | firing | mixin | beneath | beside | remedy |
|---|---|---|---|---|---|---|---|---|---|---|";

/// The rows as a table.
pub(super) fn table(rows: &[Row]) -> String {
    let rows: Vec<String> = rows.iter().map(Row::markdown).collect();
    format!("{COLUMNS}\n{}", rows.join("\n"))
}

/// Puts a row into the kept table, in the place of an older one of the same fault and release.
pub(super) fn keep(row: &Row) {
    if std::env::var_os("LAB_RECORD").is_none_or(|set| set.is_empty()) {
        return;
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/fault-matrix.md");
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let mut rows: BTreeMap<(usize, String), String> = kept
        .lines()
        .filter_map(|line| Some((place(line)?, line.to_owned())))
        .collect();
    let line = row.markdown();
    rows.insert(place(&line).expect("a row of a fault that there is"), line);

    let mut text = HEAD.to_owned();
    let mut family = None;
    for ((at, _), line) in &rows {
        let of = FAULTS[*at].family;
        if family != Some(of) {
            family = Some(of);
            text += &format!("\n## {}\n\n{COLUMNS}\n", title(&format!("{of:?}")));
        }
        text += line;
        text.push('\n');
    }
    std::fs::write(&file, text).unwrap();
}

/// Where a line of the table belongs: by its fault's place in `FAULTS` and its release. None for what is no row, or one of
/// a fault that is no more.
fn place(line: &str) -> Option<(usize, String)> {
    let mut cells = line.strip_prefix("| `")?.split(" | ");
    let name = cells.next()?.strip_suffix('`')?;
    let at = FAULTS.iter().position(|fault| fault.name == name)?;
    Some((at, cells.next()?.to_owned()))
}

/// `SlowOperations` as `Slow operations`.
fn title(name: &str) -> String {
    let mut title = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !title.is_empty() {
            title.push(' ');
            title.extend(c.to_lowercase());
        } else {
            title.push(c);
        }
    }
    title
}
