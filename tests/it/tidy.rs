//! Rules of the source tree that no compiler checks. Each names the file and the line, and why.
//!
//! The import table is the one of ARCHITECTURE.md: it keeps the core free of I/O and the layers apart.

use std::path::{Path, PathBuf};

/// Which modules a module may import, beside itself. `*` is every other one.
const IMPORTS: &[(&str, &[&str])] = &[
    ("main", &["cli", "app", "telemetry"]),
    (
        "cli",
        &[
            "config",
            "app",
            "telemetry",
            "bundle",
            "cycle",
            "rules",
            "diagnosis",
            "render",
            "client",
            "model",
        ],
    ),
    ("app", &["*"]),
    (
        "cycle",
        &[
            "collect",
            "client",
            "store",
            "promql",
            "rules",
            "diagnosis",
            "snapshot",
            "bundle",
            "model",
        ],
    ),
    // It composes each layer's own settings.
    ("config", &["*"]),
    ("telemetry", &[]),
    ("model", &[]),
    ("client", &["model"]),
    ("collect", &["model", "client"]),
    ("store", &["model", "promql"]),
    ("promql", &["model"]),
    ("rules", &["model", "promql"]),
    ("diagnosis", &["model", "promql", "rules"]),
    ("snapshot", &["model", "rules", "diagnosis"]),
    ("bundle", &["model", "promql", "rules", "diagnosis", "snapshot"]),
    ("notify", &["model", "client", "promql", "rules", "snapshot"]),
    ("render", &["model", "diagnosis"]),
    (
        "http",
        &[
            "model",
            "store",
            "promql",
            "rules",
            "diagnosis",
            "snapshot",
            "bundle",
            "render",
        ],
    ),
];

/// Modules that take everything as an argument, time included, and what would break that.
const PURE: &[&str] = &["model", "promql", "rules", "diagnosis", "render"];
const IMPURE: &[&str] = &[
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::process",
    "std::env",
    "tokio::",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "async fn",
];

/// Words that belong to one machine or one person's way of working, and not to the project.
const FORBIDDEN: &[(&str, &str)] = &[
    ("/root/", "a path of one machine"),
    ("/home/", "a path of one machine"),
    ("../shared", "a folder that a clone does not have"),
    (
        "deb.debian.org",
        "a registry's host: take it from the machine's configuration",
    ),
    (
        "archive.ubuntu.com",
        "a registry's host: take it from the machine's configuration",
    ),
    (
        "static.crates.io",
        "a registry's host: take it from the machine's configuration",
    ),
    (
        "pypi.org",
        "a registry's host: take it from the machine's configuration",
    ),
    (
        "registry.npmjs.org",
        "a registry's host: take it from the machine's configuration",
    ),
];

/// A rule broken somewhere.
#[derive(PartialEq, Debug)]
struct Violation {
    place: String,
    why: String,
}

#[test]
fn modules_import_only_what_the_table_allows() {
    check_rust(&["src"], |file, text| {
        let module = module_of(file);
        imports(file, &module, text)
    });
}

#[test]
fn the_core_does_no_io_and_knows_no_clock() {
    check_rust(&["src"], |file, text| {
        let module = module_of(file);
        if PURE.contains(&module.as_str()) {
            impurities(file, text)
        } else {
            Vec::new()
        }
    });
}

#[test]
fn every_source_file_says_what_it_is_about() {
    check_rust(&["src", "tests", "benches"], module_doc);
}

#[test]
fn nothing_is_about_one_machine() {
    let mut found = Vec::new();
    for file in tracked_files() {
        // This file must name them.
        if !file.ends_with("tests/it/tidy.rs")
            && let Ok(text) = std::fs::read_to_string(&file)
        {
            found.extend(forbidden_words(&display(&file), &text));
        }
    }
    report(found);
}

#[test]
fn documents_name_only_files_that_exist() {
    let root = root();
    let mut found = Vec::new();
    for file in tracked_files()
        .into_iter()
        .filter(|file| file.extension().is_some_and(|e| e == "md"))
    {
        let text = std::fs::read_to_string(&file).unwrap();
        let folder = file.parent().expect("a file is in a folder").to_owned();
        found.extend(missing_files(&display(&file), &text, |named| {
            root.join(named).exists() || folder.join(named).exists()
        }));
    }
    report(found);
}

fn imports(file: &str, module: &str, text: &str) -> Vec<Violation> {
    if module == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == module) else {
        return vec![violation(
            file,
            1,
            format!("`{module}` is not in the import table: add a row with its reason"),
        )];
    };
    imported_modules(text)
        .into_iter()
        .filter(|(_, imported)| IMPORTS.iter().any(|(name, _)| name == imported))
        .filter(|(_, imported)| {
            imported != module && !allowed.contains(&"*") && !allowed.contains(&imported.as_str())
        })
        .map(|(line, imported)| violation(file, line, format!("`{module}` may not import `{imported}`")))
        .collect()
}

/// The first path element after every `crate::` and `etcd_doctor::` with its line, also those in braces.
fn imported_modules(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<_> = code_lines(text).collect();
    let code = lines.iter().map(|(_, code)| *code).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for prefix in ["crate::", "etcd_doctor::"] {
        for (at, _) in code.match_indices(prefix) {
            let begin = at + prefix.len();
            if !code[begin..].starts_with('{') {
                found.push((begin, first_word(&code[begin..])));
                continue;
            }
            // Nested braces hold deeper paths: only the outermost level names modules.
            let (mut depth, mut position) = (0, begin + 1);
            for item in code[begin + 1..].split_inclusive([',', '{', '}']) {
                if depth == 0 {
                    let blank = item.len() - item.trim_start().len();
                    found.push((position + blank, first_word(item.trim_start())));
                }
                position += item.len();
                depth += item.matches('{').count() as i32 - item.matches('}').count() as i32;
                if depth < 0 {
                    break;
                }
            }
        }
    }
    found.retain(|(_, name)| !name.is_empty());
    found.sort_unstable();
    found
        .into_iter()
        .map(|(at, name)| (1 + code[..at].matches('\n').count(), name.to_owned()))
        .collect()
}

fn impurities(file: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (line, code) in code_lines(text) {
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            found.push(violation(
                file,
                line,
                format!("`{word}` in a module that does no I/O and takes time as an argument"),
            ));
        }
    }
    found
}

fn module_doc(file: &str, text: &str) -> Vec<Violation> {
    if text.starts_with("//! ") {
        return Vec::new();
    }
    vec![violation(
        file,
        1,
        "a file starts with `//!` and a sentence on its subject".to_owned(),
    )]
}

fn forbidden_words(file: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (word, why) in FORBIDDEN.iter().filter(|(word, _)| line.contains(word)) {
            // A test may look whether there is more to test with beside the project, and do without.
            if *word == "../shared" && file.starts_with("tests/it/") {
                continue;
            }
            found.push(violation(file, number + 1, format!("`{word}`: {why}")));
        }
    }
    found
}

/// Files that a Markdown text names, as a relative link or as a path in a code span, and that are not there.
fn missing_files(file: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    let span = regex::Regex::new(r"`([A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*/?)`").unwrap();
    let link = regex::Regex::new(r"\]\(([^)#\s]+)").unwrap();
    let own = [
        "src/",
        "rules/",
        "docs/",
        "tests/",
        "scripts/",
        "benches/",
        "deploy/",
        "dashboards/",
        ".ci/",
    ];
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let spans = span.captures_iter(line).map(|c| c.extract::<1>().1[0]);
        // A span is taken for a file of the project when it begins like one: `a/b` alone may be anything.
        let spans = spans.filter(|name| own.iter().any(|folder| name.starts_with(folder)));
        let links = link.captures_iter(line).map(|c| c.extract::<1>().1[0]);
        let links = links.filter(|target| {
            !target.contains("://") && !target.starts_with(['/', '<']) && !target.starts_with("mailto:")
        });
        for name in spans.chain(links).filter(|name| !exists(name)) {
            found.push(violation(file, number + 1, format!("`{name}` does not exist")));
        }
    }
    found
}

/// The lines of code with their numbers: without comments, and without the tests, which by convention are the end of a file.
/// A single line for tests, such as a module that is in a file of its own, ends nothing.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let next = text.lines().skip(1).chain([""]);
    text.lines()
        .zip(next)
        .enumerate()
        .take_while(|(_, (line, next))| {
            let opens_module = next.contains("mod ") && next.contains('{');
            line.trim() != "#[cfg(test)]" || !opens_module
        })
        .map(|(i, (line, _))| (i + 1, line.split_once("//").map_or(line, |(code, _)| code)))
}

fn first_word(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    &text[..end]
}

/// `src/promql/eval.rs` and `src/promql.rs` are both of the module `promql`.
fn module_of(file: &str) -> String {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    let first = inside.split('/').next().unwrap_or(inside);
    first.trim_end_matches(".rs").to_owned()
}

fn violation(file: &str, line: usize, why: String) -> Violation {
    Violation {
        place: format!("{file}:{line}"),
        why,
    }
}

fn check_rust(folders: &[&str], check: impl Fn(&str, &str) -> Vec<Violation>) {
    let mut found = Vec::new();
    let mut files = 0;
    for file in folders
        .iter()
        .flat_map(|folder| files_under(&root().join(folder)))
    {
        if file.extension().is_some_and(|extension| extension == "rs") {
            files += 1;
            found.extend(check(&display(&file), &std::fs::read_to_string(&file).unwrap()));
        }
    }
    assert!(
        files > 0,
        "no Rust file under {folders:?}: the check looked at nothing"
    );
    report(found);
}

fn report(found: Vec<Violation>) {
    let lines: Vec<_> = found.iter().map(|v| format!("{}: {}", v.place, v.why)).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn display(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

/// Every file of the project that a person wrote: what a clone has, without what builds leave.
fn tracked_files() -> Vec<PathBuf> {
    let root = root();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&root).unwrap().flatten() {
        let name = entry.file_name();
        if name != "target" && name != ".git" && name != "Cargo.lock" {
            found.extend(files_under(&entry.path()));
        }
    }
    found
}

fn files_under(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = std::fs::read_dir(path) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .flatten()
        .flat_map(|entry| files_under(&entry.path()))
        .collect();
    found.sort();
    found
}

/// The checks themselves, on what they must find and what they must let pass.
mod checks {
    use super::*;

    fn places(found: &[Violation]) -> Vec<&str> {
        found.iter().map(|v| v.place.as_str()).collect()
    }

    #[test]
    fn a_planted_import_is_found_wherever_it_hides() {
        let text = "//! Rules.\nuse crate::model::Labels;\nuse crate::{promql::{Query, value}, store::Store};\n\
                    fn f() { crate::http::serve() } // crate::cycle is only a comment\n\
                    use crate::rules::file;\nuse crate::{\n    model::{Batch, store},\n    cycle::Cycle,\n};\n\
                    #[cfg(test)]\nmod tests { use crate::collect::Batch; }\n";
        let found = imports("src/rules/mod.rs", "rules", text);
        assert_eq!(
            places(&found),
            ["src/rules/mod.rs:3", "src/rules/mod.rs:4", "src/rules/mod.rs:8"]
        );
        assert_eq!(found[0].why, "`rules` may not import `store`");
        let text = "//! Rules.\n#[cfg(test)]\nmod fixture;\nuse crate::store::Store;\n";
        let found = imports("src/rules/mod.rs", "rules", text);
        assert_eq!(places(&found), ["src/rules/mod.rs:4"]);
    }

    #[test]
    fn a_module_without_a_row_is_refused() {
        let found = imports("src/extra.rs", "extra", "//! Extra.\n");
        assert_eq!(places(&found), ["src/extra.rs:1"]);
    }

    #[test]
    fn a_clock_in_the_core_is_found() {
        let text =
            "//! Eval.\nlet now = std::time::Instant::now();\n/// Unlike Instant::now, a comment is fine.\n";
        assert_eq!(
            places(&impurities("src/promql/eval.rs", text)),
            ["src/promql/eval.rs:2"]
        );
    }

    #[test]
    fn a_file_without_a_module_doc_is_found() {
        assert_eq!(places(&module_doc("src/a.rs", "use std::fmt;\n")), ["src/a.rs:1"]);
        assert!(module_doc("src/a.rs", "//! A.\n").is_empty());
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let found = forbidden_words("README.md", "Fine.\nSee /home/me/notes.\n");
        assert_eq!(places(&found), ["README.md:2"]);
        let beside = "Read from ../shared/data.\n";
        assert_eq!(places(&forbidden_words("src/a.rs", beside)), ["src/a.rs:1"]);
        assert!(
            forbidden_words("tests/it/promql.rs", beside).is_empty(),
            "a test may look beside the project"
        );
    }

    #[test]
    fn a_document_that_names_a_missing_file_is_found() {
        let text = "See `src/cli.rs`, `a/b`, [this](docs/gone.md#part) and [that](https://example.org/x.md).\n`rules/none.yaml`";
        let found = missing_files("README.md", text, |name| name == "src/cli.rs");
        assert_eq!(places(&found), ["README.md:1", "README.md:2"]);
        assert_eq!(found[0].why, "`docs/gone.md` does not exist");
    }

    #[test]
    fn a_module_is_known_by_its_file() {
        assert_eq!(module_of("src/promql/eval.rs"), "promql");
        assert_eq!(module_of("src/store.rs"), "store");
    }
}
