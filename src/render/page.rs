//! Lines for a terminal: words wrapped, columns aligned, colours, and nothing that a terminal would obey.

use std::borrow::Cow;
use std::fmt::Write;

/// The narrowest terminal that is laid out for.
const MIN_WIDTH: usize = 60;
/// Longer lines are hard to read: prose is never wider, however wide the terminal.
const MAX_WIDTH: usize = 100;

/// What the terminal can do. Finding that out is the caller's business.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TextStyle {
    /// Its width in columns; below 60 it is taken for 60.
    pub width: usize,
    /// Whether it shows ANSI colours.
    pub color: bool,
    /// Whether it shows only ASCII.
    pub ascii: bool,
}

/// How a piece of text looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ink {
    Plain,
    Bold,
    Dim,
    Red,
    Yellow,
    Green,
    Magenta,
    Cyan,
}

impl Ink {
    /// The ANSI attributes. Colours that carry a verdict are bold, so that they also differ without colours.
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "1;31",
            Self::Yellow => "1;33",
            Self::Green => "1;32",
            Self::Magenta => "1;35",
            Self::Cyan => "36",
        }
    }
}

/// A text in the making.
pub(super) struct Page {
    style: TextStyle,
    text: String,
}

impl Page {
    pub(super) fn new(style: TextStyle) -> Self {
        let width = style.width.clamp(MIN_WIDTH, MAX_WIDTH);
        Self {
            style: TextStyle { width, ..style },
            text: String::new(),
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    pub(super) fn width(&self) -> usize {
        self.style.width
    }

    /// One of two spellings, by what the terminal can show.
    pub(super) fn glyph(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.style.ascii { ascii } else { unicode }
    }

    /// An empty line, unless the page is empty or has one already.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// One line as it is, never broken.
    pub(super) fn line(&mut self, indent: usize, ink: Ink, text: &str) {
        self.pad(indent);
        self.paint(ink, &clean(text, self.style.ascii));
        self.end();
    }

    /// A paragraph: a lead, then words that go on at `hang` on the following lines. A word that is too long for a line, and what
    /// stands in backquotes, is not broken.
    pub(super) fn paragraph(&mut self, lead: &[(Ink, &str)], hang: usize, ink: Ink, text: &str) {
        let mut column = 0;
        for (ink, text) in lead {
            let text = clean(text, self.style.ascii);
            column += text.chars().count();
            self.paint(*ink, &text);
        }
        let mut line = String::new();
        for word in words(text) {
            let word = clean(word, self.style.ascii);
            let length = word.chars().count();
            let blank = usize::from(!line.is_empty());
            if column + blank + length > self.style.width && column > hang {
                self.paint(ink, &line);
                self.end();
                self.pad(hang);
                (line, column) = (String::new(), hang);
            } else if blank == 1 {
                line.push(' ');
                column += 1;
            }
            line.push_str(&word);
            column += length;
        }
        self.paint(ink, &line);
        self.end();
    }

    fn pad(&mut self, columns: usize) {
        self.text.extend(std::iter::repeat_n(' ', columns));
    }

    fn end(&mut self) {
        let kept = self.text.trim_end_matches(' ').len();
        self.text.truncate(kept);
        self.text.push('\n');
    }

    /// Blanks around are not painted, so that no line ends in coloured blanks.
    fn paint(&mut self, ink: Ink, text: &str) {
        let inner = text.trim_matches(' ');
        if !self.style.color || ink == Ink::Plain || inner.is_empty() {
            self.text.push_str(text);
            return;
        }
        let before = text.len() - text.trim_start_matches(' ').len();
        let after = text.len() - text.trim_end_matches(' ').len();
        self.pad(before);
        // Writing to a String cannot fail.
        let _ = write!(self.text, "\x1b[{}m{inner}\x1b[0m", ink.code());
        self.pad(after);
    }
}

/// Pads to a column with two blanks behind it.
pub(super) fn column(text: &str, width: usize) -> String {
    format!("{text:<width$}  ")
}

/// Units as the reports write them, with a blank after the number.
const UNITS: [&str; 12] = [
    "B", "KiB", "MiB", "GiB", "TiB", "PiB", "s", "ms", "µs", "min", "h", "days",
];

/// Where the first word and its unit end, when the text begins with a number and a unit.
fn quantity(text: &str) -> Option<usize> {
    let number = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let unit = text[number..].strip_prefix(' ')?;
    let length = unit
        .find(|letter: char| !letter.is_alphabetic())
        .unwrap_or(unit.len());
    let rest = unit[length..]
        .find(char::is_whitespace)
        .unwrap_or(unit.len() - length);
    (number > 0 && UNITS.contains(&&unit[..length])).then_some(number + 1 + length + rest)
}

/// The words of a text; what stands in a pair of backquotes belongs together, and so do a number and its unit.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_start();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut inside = false;
        let end = rest.char_indices().find(|(at, letter)| {
            if *letter == '`' {
                inside = !inside && rest[at + 1..].contains('`');
            }
            letter.is_whitespace() && !inside
        });
        let end = quantity(rest).or(end.map(|(at, _)| at));
        let (word, more) = rest.split_at(end.unwrap_or(rest.len()));
        rest = more.trim_start();
        Some(word)
    })
}

/// Whether a terminal would obey it: control characters, ends of lines, and marks that turn the direction of writing.
pub(super) fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Makes a text harmless: what a terminal would obey is shown as an escape (control characters, and marks that turn the
/// direction of writing). For ASCII, what has a near likeness is replaced by it, and the rest by `?`.
pub(super) fn clean(text: &str, ascii: bool) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            _ if is_obeyed(letter) => cleaned.extend(letter.escape_default()),
            _ if letter.is_ascii() || !ascii => cleaned.push(letter),
            '‘' | '’' => cleaned.push('\''),
            '“' | '”' => cleaned.push('"'),
            '–' | '—' | '−' | '·' => cleaned.push('-'),
            'µ' | 'μ' => cleaned.push('u'),
            '×' => cleaned.push('x'),
            '…' => cleaned.push_str("..."),
            '→' => cleaned.push_str("->"),
            '≥' => cleaned.push_str(">="),
            '≤' => cleaned.push_str("<="),
            _ => cleaned.push('?'),
        }
    }
    Cow::Owned(cleaned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: TextStyle = TextStyle {
        width: 60,
        color: false,
        ascii: false,
    };

    #[test]
    fn wraps_words_and_keeps_code_whole() {
        let mut page = Page::new(PLAIN);
        let code = "`etcdctl --endpoints=https://one.example:2379,https://two.example:2379 endpoint status`";
        page.paragraph(
            &[(Ink::Plain, "  1. ")],
            5,
            Ink::Plain,
            &format!("Now have\na look at {code} and at all that comes out."),
        );
        let expected = format!("  1. Now have a look at\n     {code}\n     and at all that comes out.\n");
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn colours_no_blanks() {
        let mut page = Page::new(TextStyle { color: true, ..PLAIN });
        page.paragraph(&[(Ink::Red, "FAIL  "), (Ink::Bold, "")], 6, Ink::Plain, "x");
        assert_eq!(page.into_text(), "\x1b[1;31mFAIL\x1b[0m  x\n");
    }

    #[test]
    fn shows_nothing_that_a_terminal_obeys() {
        assert_eq!(
            clean("a\x1b[2J\u{9b}1m\u{202e}b\n", false),
            r"a\u{1b}[2J\u{9b}1m\u{202e}b\n"
        );
        assert_eq!(clean("5 µs → “ü”", true), r#"5 us -> "?""#);
        assert_eq!(clean("ü", false), "ü");
    }

    #[test]
    fn a_number_keeps_its_unit() {
        assert_eq!(
            words("for 42 s, 1.5 GiB (3 min) 7 members 12").collect::<Vec<_>>(),
            ["for", "42 s,", "1.5 GiB", "(3", "min)", "7", "members", "12"]
        );
    }

    #[test]
    fn an_unpaired_backquote_holds_nothing_together() {
        assert_eq!(
            words(" a `b c` d `e f ").collect::<Vec<_>>(),
            ["a", "`b c`", "d", "`e", "f"]
        );
    }
}
