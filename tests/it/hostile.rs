//! Input that nobody meant: what reads a page, a rule file, a template or a query must refuse or take it, in bounded
//! time and memory, and never panic.
//!
//! The same entry points are cargo-fuzz targets in `fuzz/`. Here they get a fixed number of mutations of a small corpus,
//! the same in every run; `HOSTILE_ROUNDS` asks for more.

mod corpus;
mod entry;

use corpus::Mutator;

/// Mutations of each kind of input.
const ROUNDS: u64 = 400;

fn run(seeds: &[Vec<u8>], words: &[&str], entry: fn(&[u8])) {
    let set = std::env::var("HOSTILE_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    for seed in seeds {
        entry(seed);
    }
    for round in 0..set.unwrap_or(ROUNDS) {
        let input = Mutator::new(round).mutated(seeds, words);
        // A stack that overflows or a process that is killed for its memory shows no input otherwise.
        let shown = String::from_utf8_lossy(&input).into_owned();
        if std::panic::catch_unwind(|| entry(&input)).is_err() {
            panic!("round {round} failed on {shown:?}");
        }
    }
}

#[test]
fn pages_are_read_or_refused() {
    run(&corpus::pages(), corpus::PAGE_WORDS, entry::page);
}

#[test]
fn rule_files_are_loaded_or_refused() {
    run(&corpus::rule_files(), corpus::RULE_WORDS, entry::rule_file);
}

#[test]
fn templates_are_expanded_or_refused() {
    run(&corpus::templates(), corpus::TEMPLATE_WORDS, entry::template);
}

#[test]
fn queries_are_answered_or_refused() {
    run(&corpus::queries(), corpus::QUERY_WORDS, entry::query);
}

/// What fuzzing or thinking of it found, once each.
#[test]
fn known_traps_are_survived() {
    for template in corpus::TEMPLATE_TRAPS {
        entry::template(template.as_bytes());
    }
    for file in corpus::rule_file_traps() {
        entry::rule_file(file.as_bytes());
    }
    for query in corpus::QUERY_TRAPS {
        entry::query(query.as_bytes());
    }
}
