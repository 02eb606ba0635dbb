//! What rule files and others have in common as YAML: mappings in their order, and what the reader refuses, in words for
//! who wrote the file.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_saphyr::{Error, Location, Spanned};

/// A mapping of names to texts, in the order of the file.
#[derive(Default)]
pub(crate) struct Pairs(pub(crate) Vec<(Spanned<String>, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of names to texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, text)) = map.next_entry::<Spanned<String>, Option<String>>()? {
                    pairs.push((name, text.unwrap_or_default()));
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}

/// Where a file has not the shape that it should have, and why.
pub(crate) fn refused(error: &Error) -> (Location, String) {
    let text = error.without_snippet().to_string();
    // The place is told apart from it.
    let text = text.split(" at line ").next().unwrap_or(&text);
    (error.location().unwrap_or(Location::UNKNOWN), in_words(text))
}

/// The reader speaks of its own types and settings.
fn in_words(text: &str) -> String {
    let quoted = |name: &str| format!("{:?}", name.trim_matches('`'));
    if let Some((field, known)) = text
        .strip_prefix("unknown field ")
        .and_then(|rest| rest.split_once(", expected "))
    {
        let known = known.trim_start_matches("one of ").replace('`', "");
        return format!("unknown field {}; the fields here are {known}", quoted(field));
    }
    if let Some(rest) = text.strip_prefix("duplicate mapping key: ") {
        let name = rest.rsplit_once(", set ").map_or(rest, |(name, _)| name);
        return format!("{} stands here twice", quoted(name));
    }
    if let Some((_, expected)) = text
        .strip_prefix("invalid type: ")
        .and_then(|rest| rest.rsplit_once(", expected "))
    {
        return format!("{expected} is expected here");
    }
    match text {
        "expected sequence start" => "a list is expected here".to_owned(),
        "expected mapping start" => "a mapping of fields to values is expected here".to_owned(),
        "expected string scalar" => "a text is expected here".to_owned(),
        "recursion limit exceeded" => "this is nested too deeply".to_owned(),
        "recursive references require weak recursion types" => "an alias names what it stands in".to_owned(),
        "cannot deserialize null into string; use Option<String>" => "a name cannot be null".to_owned(),
        _ if text.starts_with("!!binary ") => "the bytes of !!binary are no text in UTF-8".to_owned(),
        other => format!("this is no YAML that can be read: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::load;

    #[test]
    fn no_word_is_of_the_reader() {
        let rule = |field: &str| format!("groups: [{{name: g, rules: [{{alert: A, expr: up, {field}}}]}}]");
        for (text, expected) in [
            ("groups: x", "1:9: a list is expected here"),
            (
                "groups: [x]",
                "1:10: a mapping of fields to values is expected here",
            ),
            ("groups: [{name: [g]}]", "1:17: a text is expected here"),
            (
                "foo: 1",
                r#"1:1: unknown field "foo"; the fields here are groups"#,
            ),
            (
                "groups: [{name: g, name: h}]",
                r#"1:20: "name" stands here twice"#,
            ),
            (&rule("labels: {a: b, a: c}"), r#""a" stands here twice"#),
            (&rule("labels: {null: c}"), "a name cannot be null"),
            (
                "groups: [{name: g, limit: x}]",
                "1:20: a whole number is expected here",
            ),
            ("groups: &a [*a]", "an alias names what it stands in"),
            (
                &format!("groups: {}", "[".repeat(3000)),
                "this is nested too deeply",
            ),
            (
                r#"groups: [{name: !!binary "//79"}]"#,
                "the bytes of !!binary are no text",
            ),
            (
                r#"groups: [{name: "g}]"#,
                "this is no YAML that can be read: unclosed quote",
            ),
        ] {
            let errors = load("r.yaml", text).unwrap_err();
            let [error] = &errors[..] else {
                panic!("{errors:?}")
            };
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }
}
