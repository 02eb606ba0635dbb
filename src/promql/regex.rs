//! RE2 expressions, as rule files write them, compiled by the `regex` crate.

mod re2;
mod replacement;

use std::cell::RefCell;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use super::ParseError;
pub use replacement::expand;

/// Memory of one compiled expression. An alternative of a thousand names takes a tenth; a query may have many.
const MAX_COMPILED_BYTES: usize = 2 << 20;

/// Compiles an expression so that it matches a whole value, and `.` matches a line break too, as in Prometheus 3.
pub fn anchored(written: &str) -> Result<Regex, ParseError> {
    let refuse = |why: String| ParseError(format!("cannot use the regular expression {written:?}: {why}"));
    let translated = re2::translated(written).map_err(refuse)?;
    build(&format!("^(?s:{translated})$")).map_err(refuse)
}

/// Compiles an expression in RE2's dialect as it stands, as the functions of templates take it.
pub fn unanchored(written: &str) -> Result<Regex, ParseError> {
    let refuse = |why: String| ParseError(format!("cannot use the regular expression {written:?}: {why}"));
    let translated = re2::translated(written).map_err(refuse)?;
    build(&translated).map_err(refuse)
}

fn build(translated: &str) -> Result<Regex, String> {
    let regex = RegexBuilder::new(translated)
        .size_limit(MAX_COMPILED_BYTES)
        .build();
    regex.map_err(|error| error.to_string())
}

/// The regular expressions that functions of one evaluation take, each compiled once however many steps there are.
#[derive(Default)]
pub(super) struct Patterns(RefCell<HashMap<String, Regex>>);

impl Patterns {
    /// The expression, so that it matches a whole value.
    pub(super) fn get(&self, written: &str) -> Result<Regex, ParseError> {
        let mut known = self.0.borrow_mut();
        if let Some(regex) = known.get(written) {
            return Ok(regex.clone());
        }
        let regex = anchored(written)?;
        known.insert(written.to_owned(), regex.clone());
        Ok(regex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(written: &str, value: &str) -> bool {
        anchored(written).unwrap().is_match(value)
    }

    #[test]
    fn perl_classes_are_ascii_as_in_re2() {
        assert!(matches(r"\d+", "12"));
        assert!(!matches(r"\d", "٣"));
        assert!(!matches(r"\w", "é"));
        assert!(matches(r"[\w-]+", "a-b"));
        assert!(matches(r"[\D]+", "ab"));
    }

    #[test]
    fn set_operators_and_nested_brackets_are_literal() {
        assert!(matches("[a&&b]", "&"));
        assert!(matches("[[a]", "["));
        assert!(matches("[[:alpha:]]", "x"));
        assert!(matches("[]a]", "]"));
    }

    #[test]
    fn quoting_and_braces() {
        assert!(matches(r"\Qa.b\E.", "a.bc"));
        assert!(!matches(r"\Qa.b\E", "axb"));
        assert!(matches("a{b}", "a{b}"));
        assert!(matches("a{2}", "aa"));
        assert!(matches(r"\<a\>", "<a>"));
        assert!(matches(r"\x{41}\.", "A."));
        assert!(matches(r"\101\x42\ ", "AB "));
        assert!(matches(r"\p{^Greek}\p{Greek}\pL", "aλa"));
        assert!(matches("(?)a", "a"));
        // Together a thousand, or one beside the other, or none at all.
        assert!(matches("(a{100}){10}", &"a".repeat(1000)));
        assert!(matches("(a{600}b{600})+", &("a".repeat(600) + &"b".repeat(600))));
        assert!(matches("(a{1000}){0}x", "x"));
        assert!(matches("((a{500})*){2}", ""));
        assert!(matches("(?P<a_1>x)(?i)y", "xY"));
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for written in [
            "a{1001}",
            "a**",
            "(?x)a",
            "[a",
            "(a",
            r"\u0041",
            r"a\",
            r"\1",
            r"\E",
            "[[:foo:]]",
            r"\pl",
            r"\p{IsGreek}",
            r"\p{lu}",
            r"\xg1",
            r"\x{110000}",
            r"\x4",
            "(x{30}){40}",
            "(a{2}){501}",
            "(a{0,500}){3}",
            "((a{10}|b)c{2,}){101}",
            "(?:a{40,}){26}",
            "((a{600}){0,}){2}",
            r"\p{Lu",
            r"\x{4",
            "(?P<é>x)",
            "(?<a.b>x)",
            "(?P",
            "(?P=a)",
        ] {
            assert!(anchored(written).is_err(), "{written}");
        }
    }
}
