//! RE2 expressions, as rule files write them, in the dialect of the `regex` crate.
//!
//! The two differ in small ways that would silently match other series: `\d`, `\w`, `\s` and `\b` are ASCII in RE2,
//! classes know no set operators there, `\Q…\E` quotes, and a repetition is at most 1000. What cannot be said exactly is
//! refused.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

use super::ParseError;

/// RE2's bound on a counted repetition.
const MAX_REPEAT: u32 = 1000;

/// Compiles an expression so that it matches a whole value, and `.` matches a line break too, as in Prometheus 3.
pub(super) fn anchored(written: &str) -> Result<Regex, ParseError> {
    let refuse = |why: String| ParseError(format!("cannot use the regular expression {written:?}: {why}"));
    let translated = Translator::new(written).run().map_err(refuse)?;
    Regex::new(&format!("^(?s:{translated})$")).map_err(|error| refuse(error.to_string()))
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    /// Whether the last thing written was a repetition, after which RE2 allows no other.
    repeated: bool,
}

impl<'a> Translator<'a> {
    fn new(written: &'a str) -> Self {
        Self {
            rest: written.chars().peekable(),
            out: String::with_capacity(written.len() + 8),
            repeated: false,
        }
    }

    fn run(mut self) -> Result<String, String> {
        while let Some(next) = self.rest.next() {
            let was_repeated = std::mem::take(&mut self.repeated);
            match next {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '*' | '+' | '?' => self.repetition(&next.to_string(), was_repeated)?,
                '{' => match self.counted()? {
                    Some(count) => self.repetition(&count, was_repeated)?,
                    // RE2 takes a brace that counts nothing literally.
                    None => self.out.push_str(r"\{"),
                },
                '}' => self.out.push_str(r"\}"),
                other => self.out.push(other),
            }
        }
        Ok(self.out)
    }

    fn repetition(&mut self, operator: &str, was_repeated: bool) -> Result<(), String> {
        if was_repeated {
            return Err(format!("{operator:?} repeats a repetition, which RE2 refuses"));
        }
        self.out.push_str(operator);
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        self.repeated = true;
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}` after the opening brace; nothing is consumed when it is none of them.
    fn counted(&mut self) -> Result<Option<String>, String> {
        let ahead: String = self.rest.clone().take_while(|c| *c != '}').collect();
        let closed = self.rest.clone().nth(ahead.chars().count()) == Some('}');
        let (low, high) = ahead.split_once(',').unwrap_or((&ahead, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !closed || low.is_empty() || !digits(low) || !digits(high) {
            return Ok(None);
        }
        for bound in [low, high] {
            if !bound.is_empty() && bound.parse::<u32>().map_or(true, |n| n > MAX_REPEAT) {
                return Err(format!("it repeats {bound} times and RE2 at most {MAX_REPEAT}"));
            }
        }
        for _ in 0..=ahead.chars().count() {
            self.rest.next();
        }
        Ok(Some(format!("{{{ahead}}}")))
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(next) = self.rest.next() else {
            return Err("it ends in a backslash".to_owned());
        };
        match next {
            'd' => self.out.push_str("[0-9]"),
            'D' => self.out.push_str("[^0-9]"),
            'w' => self.out.push_str("[0-9A-Za-z_]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            's' => self.out.push_str(r"[\t\n\f\r ]"),
            'S' => self.out.push_str(r"[^\t\n\f\r ]"),
            'b' => self.out.push_str(r"(?-u:\b)"),
            'Q' => self.quoted(),
            'E' => {}
            other => self.other_escape(other)?,
        }
        Ok(())
    }

    /// Everything up to `\E` or the end stands for itself.
    fn quoted(&mut self) {
        let mut text = String::new();
        while let Some(next) = self.rest.next() {
            if next == '\\' && self.rest.next_if_eq(&'E').is_some() {
                break;
            }
            text.push(next);
        }
        self.out.push_str(&regex::escape(&text));
    }

    /// An escape that is the same inside and outside of classes.
    fn other_escape(&mut self, escaped: char) -> Result<(), String> {
        match escaped {
            'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'x' | 'p' | 'P' | 'A' | 'z' => {
                self.out.push('\\');
                self.out.push(escaped);
                // `\x{…}` and `\p{…}` are not repetitions.
                if matches!(escaped, 'x' | 'p' | 'P') && self.rest.next_if_eq(&'{').is_some() {
                    self.out.push('{');
                    for inner in self.rest.by_ref() {
                        self.out.push(inner);
                        if inner == '}' {
                            break;
                        }
                    }
                }
                Ok(())
            }
            punctuation if punctuation.is_ascii_punctuation() => {
                self.out.push_str(&regex::escape(&punctuation.to_string()));
                Ok(())
            }
            other => Err(format!(r"the escape \{other} is not supported")),
        }
    }

    /// After `(`: passes named groups on and refuses flags that RE2 does not have.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        if matches!(self.rest.peek(), Some('P' | '<')) {
            return Ok(());
        }
        for flag in self.rest.by_ref() {
            self.out.push(flag);
            match flag {
                'i' | 'm' | 's' | 'U' | '-' => {}
                ':' | ')' => return Ok(()),
                other => return Err(format!("the group flag {other:?} is not in RE2")),
            }
        }
        Ok(())
    }

    /// After `[`: what looks like a set operator or a nested class is literal in RE2.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        if self.rest.next_if_eq(&']').is_some() {
            self.out.push_str(r"\]");
        }
        while let Some(next) = self.rest.next() {
            match next {
                ']' => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' if self.rest.peek() == Some(&':') => self.posix_class(),
                '[' | '&' | '~' => {
                    self.out.push('\\');
                    self.out.push(next);
                }
                '-' if self.rest.peek() == Some(&'-') => {
                    return Err("\"--\" in a class is not supported".to_owned());
                }
                '\\' => self.class_escape()?,
                other => self.out.push(other),
            }
        }
        Err("a class is not closed".to_owned())
    }

    /// `[:alpha:]`, or a literal `[` when it is not closed that way.
    fn posix_class(&mut self) {
        let ahead: String = self.rest.clone().take_while(|c| *c != ']').collect();
        if ahead.len() > 1 && ahead.ends_with(':') {
            self.out.push('[');
            self.out.push_str(&ahead);
            self.out.push(']');
            for _ in 0..=ahead.chars().count() {
                self.rest.next();
            }
        } else {
            self.out.push_str(r"\[");
        }
    }

    fn class_escape(&mut self) -> Result<(), String> {
        let Some(next) = self.rest.next() else {
            return Err("it ends in a backslash".to_owned());
        };
        match next {
            'd' => self.out.push_str("0-9"),
            'w' => self.out.push_str("0-9A-Za-z_"),
            's' => self.out.push_str(r"\t\n\f\r\x20"),
            'D' => self.out.push_str("[^0-9]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            'S' => self.out.push_str(r"[^\t\n\f\r\x20]"),
            punctuation if punctuation.is_ascii_punctuation() => {
                self.out.push('\\');
                self.out.push(punctuation);
            }
            other => self.other_escape(other)?,
        }
        Ok(())
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
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for written in ["a{1001}", "a**", "(?x)a", "[a", "(a", r"\u0041", r"a\", r"\1"] {
            assert!(anchored(written).is_err(), "{written}");
        }
    }
}
