//! What replaces a match, in Go's notation.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A replacement with `$1`, `$name` and `${name}` as Go reads them: the longest run of letters, digits and underscores is
/// the name, and a dollar sign that no name follows is itself. None when the text would be longer than `most` bytes.
pub fn expand(captures: &Captures<'_>, replacement: &str, most: usize) -> Option<String> {
    let mut out = String::new();
    let mut rest = replacement;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = match reference(after) {
            Some((name, after)) => {
                // A number with a leading zero is a name, which no group has.
                let number = name
                    .parse()
                    .ok()
                    .filter(|_| name == "0" || !name.starts_with('0'));
                let group = match number {
                    Some(number) => captures.get(number),
                    None => captures.name(name),
                };
                out.push_str(group.map_or("", |group| group.as_str()));
                after
            }
            None => {
                out.push('$');
                after.strip_prefix('$').unwrap_or(after)
            }
        };
        if out.len() > most {
            return None;
        }
    }
    out.push_str(rest);
    (out.len() <= most).then_some(out)
}

/// The name that follows a dollar sign, in braces or not, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    // What Go's unicode package calls letters and digits; Rust's alphanumeric letters are some more.
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[\p{L}\p{Nd}_]+").expect("it is well formed"));
    let (inner, braced) = match text.strip_prefix('{') {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let (name, rest) = inner.split_at(NAME.find(inner)?.end());
    let rest = if braced { rest.strip_prefix('}')? } else { rest };
    Some((name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_are_read_as_go_reads_them() {
        let regex = Regex::new("(?P<name>a)(b)(c)?").unwrap();
        let captures = regex.captures("ab").unwrap();
        for (replacement, expected) in [
            ("$1-$2", "a-b"),
            ("${1}x$1x", "ax"),
            ("$name/${name}", "a/a"),
            ("$0 $3 $4 $9999999999999999999999", "ab   "),
            ("$01 ${00}", " "),
            ("$$1 $", "$1 $"),
            ("${} ${ 1} ${1 $-", "${} ${ 1} ${1 $-"),
            ("$é1! $1² $1\u{300}", "! a² a\u{300}"),
            ("${name}$", "a$"),
        ] {
            assert_eq!(
                expand(&captures, replacement, 100).as_deref(),
                Some(expected),
                "{replacement}"
            );
        }
        assert_eq!(expand(&captures, "$1$1$1", 3).as_deref(), Some("aaa"));
        assert_eq!(expand(&captures, "$1$1$1", 2), None);
    }
}
