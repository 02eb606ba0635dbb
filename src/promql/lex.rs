//! The words of an expression. What may stand where depends on the brackets around it, as in Prometheus.

/// One word, where it starts (in bytes), and what it is.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) at: usize,
    pub(super) text: &'a str,
    pub(super) kind: Kind,
}

/// What a word is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Number,
    Duration,
    /// With its quotes.
    String,
    /// A keyword or a name.
    Word,
    /// A name inside of braces, where no word is a keyword.
    Label,
    /// A name with a colon in it, which only metrics have.
    MetricName,
    /// An operator or a bracket.
    Symbol,
    End,
    /// What cannot be read, and why.
    Bad(String),
}

/// Which brackets the next word stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Braces,
    Brackets,
}

/// The words of a text. The last one is [`Kind::End`] or [`Kind::Bad`].
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer {
        text,
        at: 0,
        inside: Inside::Nothing,
        open: 0,
        colon: false,
    };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next();
        let last = matches!(token.kind, Kind::End | Kind::Bad(_));
        tokens.push(token);
        if last {
            return tokens;
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    inside: Inside,
    /// How many parentheses are open.
    open: usize,
    /// Whether the brackets had their colon.
    colon: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The next `length` bytes as one word.
    fn take(&mut self, length: usize, kind: Kind) -> Token<'a> {
        let at = self.at;
        self.at += length;
        Token {
            at,
            text: &self.text[at..self.at],
            kind,
        }
    }

    fn symbol(&mut self, length: usize) -> Token<'a> {
        self.take(length, Kind::Symbol)
    }

    fn bad(&mut self, why: impl Into<String>) -> Token<'a> {
        self.take(0, Kind::Bad(why.into()))
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn next(&mut self) -> Token<'a> {
        self.skip_space();
        let Some(next) = self.peek() else {
            return match self.inside {
                Inside::Braces => self.bad("unexpected end of input inside braces"),
                Inside::Brackets => self.bad("unexpected end of input in duration expression"),
                Inside::Nothing if self.open > 0 => self.bad("unclosed left parenthesis"),
                Inside::Nothing => self.take(0, Kind::End),
            };
        };
        match self.inside {
            Inside::Nothing => self.plain(next),
            Inside::Braces => self.in_braces(next),
            Inside::Brackets => self.in_brackets(next),
        }
    }

    fn plain(&mut self, next: char) -> Token<'a> {
        let follows = self.rest()[next.len_utf8()..].chars().next();
        match (next, follows) {
            ('=', Some('~')) => self.bad("unexpected character after '=': '~'"),
            ('=' | '!' | '<' | '>', Some('=')) => self.symbol(2),
            ('!', None) => self.bad("unexpected end of input after '!'"),
            ('!', Some(other)) => self.bad(format!("unexpected character after '!': {other:?}")),
            ('=' | '<' | '>' | '+' | '-' | '*' | '/' | '%' | '^' | '@' | ',', _) => self.symbol(1),
            ('(', _) => {
                self.open += 1;
                self.symbol(1)
            }
            (')', _) if self.open == 0 => self.bad("unexpected right parenthesis ')'"),
            (')', _) => {
                self.open -= 1;
                self.symbol(1)
            }
            ('{', _) => {
                self.inside = Inside::Braces;
                self.symbol(1)
            }
            ('[', _) => {
                self.inside = Inside::Brackets;
                self.colon = false;
                self.symbol(1)
            }
            (']', _) => self.bad("unexpected right bracket ']'"),
            ('"' | '\'' | '`', _) => self.string(next),
            ('0'..='9', _) | ('.', Some('0'..='9')) => self.number(),
            ('a'..='z' | 'A'..='Z' | '_' | ':', _) => {
                let word = self.rest();
                let length = word
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
                    .unwrap_or(word.len());
                let kind = if word[..length].contains(':') {
                    Kind::MetricName
                } else {
                    Kind::Word
                };
                self.take(length, kind)
            }
            (other, _) => self.bad(format!("unexpected character: {other:?}")),
        }
    }

    fn in_braces(&mut self, next: char) -> Token<'a> {
        let rest = self.rest();
        match next {
            '}' => {
                self.inside = Inside::Nothing;
                self.symbol(1)
            }
            '{' => self.bad("unexpected left brace '{'"),
            ',' => self.symbol(1),
            '"' | '\'' | '`' => self.string(next),
            '=' if rest.starts_with("=~") => self.symbol(2),
            '=' => self.symbol(1),
            '!' if rest.starts_with("!=") || rest.starts_with("!~") => self.symbol(2),
            '!' => self.bad("unexpected character after '!' inside braces"),
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                self.take(length, Kind::Label)
            }
            other => self.bad(format!("unexpected character inside braces: {other:?}")),
        }
    }

    fn in_brackets(&mut self, next: char) -> Token<'a> {
        match next {
            ']' => {
                self.inside = Inside::Nothing;
                self.symbol(1)
            }
            ':' if self.colon => self.bad("unexpected colon ':'"),
            ':' => {
                self.colon = true;
                self.symbol(1)
            }
            '+' | '-' | '*' | '/' | '%' | '^' | '(' | ')' => self.symbol(1),
            '0'..='9' | '.' => self.number(),
            other => self.bad(format!("unexpected character in duration expression: {other:?}")),
        }
    }

    /// A quoted string with its quotes. Only raw ones may go over several lines.
    fn string(&mut self, quote: char) -> Token<'a> {
        let rest = self.rest();
        let mut chars = rest.char_indices().skip(1);
        while let Some((at, next)) = chars.next() {
            match next {
                end if end == quote => return self.take(at + 1, Kind::String),
                '\n' if quote != '`' => break,
                '\\' if quote != '`' => {
                    chars.next();
                }
                _ => {}
            }
        }
        self.bad(if quote == '`' {
            "unterminated raw string"
        } else {
            "unterminated quoted string"
        })
    }

    /// A number or a duration.
    fn number(&mut self) -> Token<'a> {
        let rest = self.rest();
        let duration = duration_length(rest);
        let (length, kind) = match duration {
            0 => (number_length(rest), Kind::Number),
            length => (length, Kind::Duration),
        };
        let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if length == 0 || rest[length..].starts_with(part_of_word) || rest[length..].starts_with('.') {
            let end = rest
                .find(|c: char| !part_of_word(c) && c != '.')
                .unwrap_or(rest.len());
            return self.bad(format!("bad number or duration syntax: {:?}", &rest[..end]));
        }
        self.take(length, kind)
    }
}

/// How long the duration at the start is, 0 for none.
fn duration_length(text: &str) -> usize {
    let mut length = 0;
    loop {
        let rest = &text[length..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let unit = match &rest.as_bytes()[digits..] {
            [b'm', b's', ..] => 2,
            [b'y' | b'w' | b'd' | b'h' | b'm' | b's', ..] => 1,
            _ => 0,
        };
        if digits == 0 || unit == 0 {
            return length;
        }
        length += digits + unit;
    }
}

/// How long the number at the start is, 0 for none: decimal or hexadecimal, with underscores between digits.
pub(super) fn number_length(text: &str) -> usize {
    let run = |from: usize, digit: fn(&char) -> bool| {
        let run = text[from..].chars().take_while(|c| digit(c) || *c == '_');
        from + run.count()
    };
    let decimal: fn(&char) -> bool = char::is_ascii_digit;
    let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let mut length = if hexadecimal {
        run(2, char::is_ascii_hexdigit)
    } else {
        run(0, decimal)
    };
    if !hexadecimal {
        if text[length..].starts_with('.') {
            length = run(length + 1, decimal);
        }
        if text[length..].starts_with(['e', 'E']) {
            let signed = text[length + 1..].starts_with(['+', '-']);
            length = run(length + 1 + usize::from(signed), decimal);
        }
    }
    let written = &text[..length];
    let misplaced: &[&str] = match hexadecimal {
        true => &["__"],
        false => &["__", "_.", "._", "e_", "E_", "_e", "_E", "+_", "-_"],
    };
    let digitless = written.ends_with(['e', 'E', '+', '-', '_']) && !hexadecimal;
    if digitless
        || written == "."
        || written.ends_with('_')
        || misplaced.iter().any(|pair| written.contains(pair))
    {
        0
    } else {
        length
    }
}
