//! RE2's dialect → that of the `regex` crate.
//!
//! The two differ in small ways that would silently match other series: `\d`, `\w`, `\s` and `\b` are ASCII in RE2,
//! classes know no set operators there, `\Q…\E` quotes, and a repetition is at most 1000. What cannot be said exactly is
//! refused.

use std::iter::Peekable;
use std::str::Chars;

/// RE2's bound on a counted repetition.
const MAX_REPEAT: u32 = 1000;

/// Unicode's categories as RE2 spells them.
const CATEGORIES: [&str; 37] = [
    "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl",
    "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
    "Any",
];

/// The classes that stand between `[:` and `:]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// The length of the longest of them.
const LONGEST_POSIX: usize = 6;

/// The same expression for the `regex` crate.
///
/// # Errors
/// In words, when RE2 refuses it or it cannot be said exactly.
pub(super) fn translated(written: &str) -> Result<String, String> {
    Translator::new(written).run()
}

/// A counted repetition.
struct Count {
    written: String,
    most: u32,
}

/// How often a repetition of at most `most` repeats what is in something that repeats it `inner` times. What is repeated
/// no times at all does not count.
fn nested(inner: u32, most: u32) -> Result<u32, String> {
    if most == 0 {
        return Ok(1);
    }
    let times = inner.saturating_mul(most);
    if times > MAX_REPEAT {
        return Err(format!(
            "its repetitions within each other repeat {times} times and RE2 at most {MAX_REPEAT}"
        ));
    }
    Ok(times)
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    /// Whether the last thing written was a repetition, after which RE2 allows no other.
    repeated: bool,
    /// How often the last thing written repeats what is in it, at most: counts within counts multiply.
    times: u32,
    /// The same of what stands in each open group so far.
    open: Vec<u32>,
}

impl<'a> Translator<'a> {
    fn new(written: &'a str) -> Self {
        Self {
            rest: written.chars().peekable(),
            out: String::with_capacity(written.len() + 8),
            repeated: false,
            times: 1,
            open: Vec::new(),
        }
    }

    fn run(mut self) -> Result<String, String> {
        while let Some(next) = self.rest.next() {
            let was_repeated = std::mem::take(&mut self.repeated);
            let before = std::mem::replace(&mut self.times, 1);
            match next {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' => self.close(),
                '*' | '+' | '?' => {
                    self.times = before;
                    self.repetition(&next.to_string(), was_repeated)?;
                }
                '{' => match self.counted()? {
                    Some(count) => {
                        self.times = nested(before, count.most)?;
                        self.repetition(&count.written, was_repeated)?;
                    }
                    // RE2 takes a brace that counts nothing literally.
                    None => self.out.push_str(r"\{"),
                },
                '}' => self.out.push_str(r"\}"),
                other => self.out.push(other),
            }
            if let Some(inside) = self.open.last_mut() {
                *inside = self.times.max(*inside);
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
    fn counted(&mut self) -> Result<Option<Count>, String> {
        let part = |c: &char| c.is_ascii_digit() || *c == ',';
        let ahead: String = self.rest.clone().take_while(part).collect();
        let closed = self.rest.clone().nth(ahead.chars().count()) == Some('}');
        let (low, high) = ahead.split_once(',').unwrap_or((&ahead, ""));
        // RE2 takes a count with a leading zero literally.
        let digits = |text: &str| {
            text.bytes().all(|b| b.is_ascii_digit()) && !(text.len() > 1 && text.starts_with('0'))
        };
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
        // Of `{n,}` RE2 counts n, and what is repeated at least no times is there all the same.
        let (most, least) = match (ahead.contains(','), high) {
            (true, "") => (low, 1),
            (true, high) => (high, 0),
            (false, _) => (low, 0),
        };
        let most = most.parse().unwrap_or(MAX_REPEAT).max(least);
        let written = format!("{{{ahead}}}");
        Ok(Some(Count { written, most }))
    }

    /// After `)`: the group is one thing, which may be repeated.
    fn close(&mut self) {
        self.out.push(')');
        self.times = self.open.pop().unwrap_or(1);
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
            'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'A' | 'z' => {
                self.out.push('\\');
                self.out.push(escaped);
                Ok(())
            }
            'x' => self.hexadecimal(),
            'p' | 'P' => self.property(escaped == 'P'),
            '0'..='7' => self.octal(escaped),
            plain if plain.is_ascii() && !plain.is_ascii_alphanumeric() => {
                self.literal(plain);
                Ok(())
            }
            other => Err(format!(r"the escape \{other} is not supported")),
        }
    }

    /// A letter that stands for itself, also in a class.
    fn literal(&mut self, letter: char) {
        self.out.push_str(&format!(r"\x{{{:x}}}", u32::from(letter)));
    }

    /// After `\x`: two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Result<(), String> {
        let braced = self.rest.next_if_eq(&'{').is_some();
        let digits: String = if braced {
            let inner: String = self.rest.clone().take_while(|c| *c != '}').collect();
            self.skip_closed(&inner)?;
            inner
        } else {
            (0..2).filter_map(|_| self.rest.next()).collect()
        };
        let digits_only = (if braced {
            !digits.is_empty()
        } else {
            digits.len() == 2
        }) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let letter = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
        let letter = letter.filter(|_| digits_only);
        self.literal(letter.ok_or_else(|| format!(r"\x{digits} is no character"))?);
        Ok(())
    }

    /// Goes past what stands in braces, and the one that closes them.
    fn skip_closed(&mut self, inner: &str) -> Result<(), String> {
        for _ in inner.chars() {
            self.rest.next();
        }
        match self.rest.next() {
            Some('}') => Ok(()),
            _ => Err(format!("the brace before {inner:?} is not closed")),
        }
    }

    /// After a backslash and `first`: an octal number. A digit alone would refer back to a group, which RE2 cannot.
    fn octal(&mut self, first: char) -> Result<(), String> {
        let mut digits = String::from(first);
        while digits.len() < 3
            && let Some(digit) = self.rest.next_if(|c| ('0'..='7').contains(c))
        {
            digits.push(digit);
        }
        let letter = u32::from_str_radix(&digits, 8).ok().and_then(char::from_u32);
        match letter.filter(|_| digits.len() > 1 || first == '0') {
            Some(letter) => {
                self.literal(letter);
                Ok(())
            }
            None => Err(format!(
                r"the escape \{first} refers to a group, which RE2 cannot"
            )),
        }
    }

    /// After `\p` or `\P`: a category or a script, in exactly its own spelling.
    fn property(&mut self, mut negated: bool) -> Result<(), String> {
        let name: String = if self.rest.next_if_eq(&'{').is_some() {
            negated ^= self.rest.next_if_eq(&'^').is_some();
            let inner: String = self.rest.clone().take_while(|c| *c != '}').collect();
            self.skip_closed(&inner)?;
            inner
        } else {
            self.rest.next().into_iter().collect()
        };
        let letter = if negated { 'P' } else { 'p' };
        if CATEGORIES.contains(&&*name) {
            self.out.push_str(&format!(r"\{letter}{{{name}}}"));
            return Ok(());
        }
        // Rust takes scripts in any spelling and by their short names, too.
        let spelt = name.split('_').all(|word| {
            let mut letters = word.chars();
            letters.next().is_some_and(|c| c.is_ascii_uppercase()) && letters.all(|c| c.is_ascii_alphabetic())
        });
        if !spelt || name.starts_with("Is") {
            return Err(format!(r"\{letter}{{{name}}} is no category or script"));
        }
        self.out.push_str(&format!(r"\{letter}{{Script={name}}}"));
        Ok(())
    }

    /// After `(`: passes named groups on and refuses flags that RE2 does not have.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            self.open.push(1);
            return Ok(());
        }
        self.out.push('?');
        if self.rest.peek() == Some(&')') {
            // No flags, which Rust refuses.
            self.out.push(':');
            self.open.push(1);
            return Ok(());
        }
        if matches!(self.rest.peek(), Some('P' | '<')) {
            self.open.push(1);
            return self.group_name();
        }
        for flag in self.rest.by_ref() {
            self.out.push(flag);
            match flag {
                'i' | 'm' | 's' | 'U' | '-' => {}
                ':' => {
                    self.open.push(1);
                    return Ok(());
                }
                ')' => return Ok(()),
                other => return Err(format!("the group flag {other:?} is not in RE2")),
            }
        }
        Ok(())
    }

    /// The name of a group, `P<name>` or `<name>`: of ASCII, where Rust takes any letter.
    fn group_name(&mut self) -> Result<(), String> {
        if let Some(p) = self.rest.next_if_eq(&'P') {
            self.out.push(p);
        }
        let Some(opening) = self.rest.next_if_eq(&'<') else {
            return Err("a group begins with (?P and has no name".to_owned());
        };
        self.out.push(opening);
        while let Some(letter) = self.rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
            self.out.push(letter);
        }
        match self.rest.next() {
            Some('>') => {
                self.out.push('>');
                Ok(())
            }
            Some(other) => Err(format!("the name of a group cannot have {other:?} in it")),
            None => Err("the name of a group is not closed".to_owned()),
        }
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
                '[' if self.rest.peek() == Some(&':') => self.posix_class()?,
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
    fn posix_class(&mut self) -> Result<(), String> {
        // No name is longer: what is not closed by then is none.
        let ahead = self.rest.clone().take(LONGEST_POSIX + 4);
        let ahead: String = ahead.take_while(|c| *c != ']').collect();
        let Some(name) = ahead.strip_prefix(':').and_then(|name| name.strip_suffix(':')) else {
            self.out.push_str(r"\[");
            return Ok(());
        };
        if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(format!("[:{name}:] is no class"));
        }
        self.out.push_str(&format!("[{ahead}]"));
        for _ in 0..=ahead.chars().count() {
            self.rest.next();
        }
        Ok(())
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
            other => self.other_escape(other)?,
        }
        Ok(())
    }
}
