//! The words of a template's actions, as Go's lexer reads them: gotmpl's takes more.

/// Words after which a parenthesis may follow at once.
const KEYWORDS: [&str; 3] = ["if", "range", "with"];

/// What stands in each `{{ … }}`, a quoted text shown as `""`. Comments are empty.
///
/// # Errors
/// What Go's lexer or parser refuses whatever it means.
pub(super) fn actions(text: &str) -> Result<Vec<String>, String> {
    let mut actions = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let (words, after) = action(&rest[at + 2..])?;
        rest = after;
        check_characters(&words)?;
        check_tokens(&words)?;
        actions.push(words);
    }
    Ok(actions)
}

/// Splits what follows `{{` into the action's words and what follows its `}}`.
fn action(text: &str) -> Result<(String, &str), String> {
    let trimmed = ["- ", "-\t", "-\r", "-\n"]
        .iter()
        .find_map(|marker| text.strip_prefix(marker));
    let mut rest = trimmed.unwrap_or(text);
    let mut words = String::new();
    if rest.starts_with("/*") {
        rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
    }
    loop {
        if let Some(after) = rest.strip_prefix("}}") {
            return Ok((words, after));
        }
        let Some(letter) = rest.chars().next() else {
            // Not closed: the parser says so.
            return Ok((words, ""));
        };
        rest = &rest[letter.len_utf8()..];
        match letter {
            '"' | '\'' | '`' => {
                rest = after_quote(rest, letter)?;
                words.push_str("\"\"");
            }
            '-' if rest.starts_with("}}") => {}
            letter => words.push(letter),
        }
    }
}

/// What follows the end of a string that begins before `text`.
fn after_quote(text: &str, quote: char) -> Result<&str, String> {
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match letter {
            letter if letter == quote => return Ok(rest),
            '\\' if quote != '`' => rest = after_escape(rest, quote)?,
            '\n' if quote != '`' => break,
            _ => {}
        }
    }
    // An end that is missing is told by the parser too, where there is one at all.
    Err("unterminated quoted string".to_owned())
}

/// What follows the escape that begins before `text`.
fn after_escape(text: &str, quote: char) -> Result<&str, String> {
    let refused = || "invalid syntax: a string has an escape that is none".to_owned();
    let letter = text.chars().next().ok_or_else(refused)?;
    let (digits, base) = match letter {
        'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(&text[1..]),
        letter if letter == quote => return Ok(&text[1..]),
        'x' => (1..3, 16),
        'u' => (1..5, 16),
        'U' => (1..9, 16),
        '0'..='7' => (0..3, 8),
        _ => return Err(refused()),
    };
    let end = digits.end;
    let written = text.get(digits).ok_or_else(refused)?;
    if written.chars().all(|digit| digit.is_digit(base)) {
        Ok(&text[end..])
    } else {
        Err(refused())
    }
}

/// Whether there are only characters that mean something, and space between operands.
fn check_characters(words: &str) -> Result<(), String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut before = ' ';
    let mut quoted = false;
    for (at, letter) in words.char_indices() {
        if !is_word(letter) && !" \t\r\n.$()|,=:+-\"".contains(letter) {
            return Err(format!("unexpected {letter:?} in an action"));
        }
        let opens = letter == '"' && !quoted;
        let closed = before == ')' || (before == '"' && !quoted);
        let ended = closed || is_word(before) || before == '.';
        let keyword = || {
            let word = words[..at].rsplit(|c| !is_word(c)).next();
            word.is_some_and(|word| KEYWORDS.contains(&word))
        };
        let joined = match letter {
            '(' => ended && !keyword(),
            '$' => ended,
            '"' => opens && ended,
            '.' => before == '"',
            letter => is_word(letter) && closed,
        };
        if joined {
            return Err(format!("unexpected {letter:?} in operand"));
        }
        quoted = opens;
        before = letter;
    }
    Ok(())
}

/// Refuses dots without a name, and numbers that are none.
fn check_tokens(words: &str) -> Result<(), String> {
    if words.contains("..") {
        return Err("unexpected <.> in operand".to_owned());
    }
    let tokens = words.split(|c: char| c.is_whitespace() || "()|,=:".contains(c));
    for token in tokens {
        let unsigned = token.strip_prefix(['+', '-']).unwrap_or(token);
        let digit_at = |at| unsigned[at..].starts_with(|c: char| c.is_ascii_digit());
        if digit_at(0) || (unsigned.starts_with('.') && digit_at(1)) {
            if !is_number(unsigned) {
                return Err(format!("bad number syntax: {token:?}"));
            }
            continue;
        }
        let (base, names) = token.split_once('.').unwrap_or((token, "x"));
        if ["nil", "true", "false"].contains(&base) && token.contains('.') {
            return Err(format!("unexpected . after term {base:?}"));
        }
        let begins_badly = |name: &str| name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit());
        if token != "." && names.split('.').any(begins_badly) {
            return Err(format!("unexpected <.> in operand {token:?}"));
        }
    }
    Ok(())
}

/// Whether Go reads a text that starts with a digit or a dot as a number, and not as a complex or a hexadecimal one with a
/// point.
fn is_number(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    // One underscore stands between two digits, or between the base and one.
    if lower.contains("__")
        || lower.ends_with('_')
        || ["_.", "._", "_e", "e_"].iter().any(|pair| lower.contains(pair))
    {
        return false;
    }
    let digits = lower.replace('_', "");
    let all = |text: &str, base: u32| !text.is_empty() && text.chars().all(|c| c.is_digit(base));
    match (digits.get(..2), digits.get(2..)) {
        (Some("0x"), Some(rest)) => all(rest, 16),
        (Some("0b"), Some(rest)) => all(rest, 2),
        (Some("0o"), Some(rest)) => all(rest, 8),
        // A leading zero means octal.
        (Some(_), _) if digits.starts_with('0') && all(&digits, 10) => all(&digits, 8),
        _ => digits.parse::<f64>().is_ok_and(f64::is_finite),
    }
}
