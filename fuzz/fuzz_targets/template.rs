//! A template.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/it/hostile/entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::template(data));
