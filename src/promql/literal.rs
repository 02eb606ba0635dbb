//! What numbers and strings in an expression stand for.

use super::lex::number_length;

/// The value of a number: decimal, hexadecimal or, as Go has it, octal after a leading zero; with single underscores
/// between digits. None for anything else, and for what is out of range.
pub fn number(written: &str) -> Option<f64> {
    let begins = written.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !begins || number_length(written) < written.len() {
        return None;
    }
    let digits = written.replace('_', "");
    if let Some(hexadecimal) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return i64::from_str_radix(hexadecimal, 16)
            .ok()
            .map(|value| value as f64);
    }
    if let Some(octal) = digits.strip_prefix('0').filter(|rest| !rest.is_empty())
        && let Ok(value) = i64::from_str_radix(octal, 8)
    {
        return Some(value as f64);
    }
    digits.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The text of a quoted string.
///
/// # Errors
/// In words, for an escape that Go does not know, and for bytes that are not UTF-8, which no label here can hold.
pub(super) fn unquoted(written: &str) -> Result<String, String> {
    let inner = &written[1..written.len() - 1];
    let quote = written.as_bytes()[0];
    if quote == b'`' || !inner.contains('\\') {
        return Ok(inner.to_owned());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let code = rest[at + 1..]
            .chars()
            .next()
            .ok_or("escape sequence not terminated")?;
        rest = &rest[at + 1 + code.len_utf8()..];
        let simple = match code {
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 0x0b,
            '\\' => b'\\',
            '"' | '\'' if code as u32 == u32::from(quote) => quote,
            '0'..='7' => {
                let octal = "01234567".find(code).and_then(|first| {
                    let more = u32::from_str_radix(rest.get(..2)?, 8).ok()?;
                    u8::try_from(first as u32 * 64 + more).ok()
                });
                rest = rest.get(2..).unwrap_or("");
                octal.ok_or("illegal octal escape")?
            }
            'x' => {
                let value = hexadecimal(&mut rest, 2)?;
                u8::try_from(value).map_err(|_| "illegal hexadecimal escape")?
            }
            'u' | 'U' => {
                let value = hexadecimal(&mut rest, if code == 'u' { 4 } else { 8 })?;
                let letter =
                    char::from_u32(value).ok_or("escape sequence is an invalid Unicode code point")?;
                bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => {
                return Err(format!(
                    "unknown escape sequence U+{:04X} '{other}'",
                    other as u32
                ));
            }
        };
        bytes.push(simple);
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes)
        .map_err(|_| "the escapes give bytes that are not UTF-8, which is not supported".to_owned())
}

/// A string as Go's `strconv.Quote` writes it. It is also how PromQL writes a string.
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' || control == '\u{7f}' => {
                out.push_str(&format!("\\x{:02x}", u32::from(control)));
            }
            control if control.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn hexadecimal(rest: &mut &str, digits: usize) -> Result<u32, String> {
    let written = rest
        .get(..digits)
        .filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
    let value = written.and_then(|text| u32::from_str_radix(text, 16).ok());
    *rest = rest.get(digits..).unwrap_or("");
    value.ok_or_else(|| "illegal character in escape sequence".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, value) in [
            ("1_000.5", 1000.5),
            ("0755", 493.0),
            ("08", 8.0),
            ("0x1F", 31.0),
            ("0X_ff", 255.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e-3", 0.001),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        assert_eq!(number("1e400"), None);
        assert_eq!(number("0x"), None);
    }

    #[test]
    fn strings_are_read_as_go_reads_them() {
        for (written, text) in [
            (r#""a\"b\n""#, "a\"b\n"),
            (r"'\''", "'"),
            (r"`\n`", r"\n"),
            (r#""\xc3\xa9\u00e9\U0001F600\101""#, "éé😀A"),
        ] {
            assert_eq!(unquoted(written).as_deref(), Ok(text), "{written}");
        }
        for written in [
            r#""\q""#,
            r#""\'""#,
            r#""\xff""#,
            r#""\ud800""#,
            r#""\x1""#,
            r#""\777""#,
        ] {
            assert!(unquoted(written).is_err(), "{written}");
        }
    }
}
