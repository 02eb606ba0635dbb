//! Go's `fmt` for the values that templates handle: what `{{ $value }}`, `print` and `printf` give in Prometheus.

use gotmpl::Value;

use crate::promql::{format_general, quote};

/// The widest field and the most digits after the point that a template may ask for. Nothing sensible needs more, and
/// `printf "%999999999d"` must not fill the memory.
const MAX_WIDTH: usize = 1024;

/// A value as `%v` and `{{ … }}` print it.
pub(super) fn text(value: &Value) -> String {
    if let Some((labels, number)) = as_sample(value) {
        return format!("{{{} {}}}", text(labels), float(number, 'g', None));
    }
    match value {
        Value::Nil => "<nil>".to_owned(),
        Value::Float(number) => float(*number, 'g', None),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(text).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{key}:{}", text(value)))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
        other => other.to_string(),
    }
}

/// The parts of a sample that a query gave, which Go prints as a structure.
fn as_sample(value: &Value) -> Option<(&Value, f64)> {
    let Value::Map(entries) = value else { return None };
    match (entries.len(), entries.get("Labels"), entries.get("Value")) {
        (2, Some(labels), Some(Value::Float(number))) => Some((labels, *number)),
        _ => None,
    }
}

/// A float as Go's `strconv.FormatFloat` gives it for the verbs `e E f F g G`; no precision means as few digits as
/// tell it apart from its neighbours (`g`) or 6 (the others).
pub(super) fn float(value: f64, verb: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    match (verb, precision) {
        ('f' | 'F', _) => format!("{value:.*}", precision.unwrap_or(6)),
        ('e' | 'E', _) => exponential(&format!("{value:.*e}", precision.unwrap_or(6)), verb),
        ('G', None) => format_general(value).to_uppercase(),
        (_, None) => format_general(value),
        (_, Some(digits)) => general(value, verb, digits.max(1)),
    }
}

/// `%g` with a number of significant digits: fixed notation for middling exponents, else exponential, without
/// trailing zeros.
fn general(value: f64, verb: char, digits: usize) -> String {
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = split_exponent(&scientific);
    let mantissa = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        return exponential(&format!("{mantissa}e{exponent}"), verb);
    }
    let kept = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let kept = i32::try_from(kept).unwrap_or(i32::MAX);
    let decimals = usize::try_from(kept - 1 - exponent).unwrap_or(0);
    // Of the rounded digits, not of the value, so that nothing is rounded twice.
    let rounded: f64 = scientific.parse().unwrap_or(value);
    format!("{rounded:.decimals$}")
}

/// Rust's `1.5e9` as Go's `1.5e+09`.
fn exponential(scientific: &str, letter: char) -> String {
    let (mantissa, exponent) = split_exponent(scientific);
    let letter = if letter.is_ascii_uppercase() { 'E' } else { 'e' };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}{letter}{sign}{:02}", exponent.unsigned_abs())
}

fn split_exponent(scientific: &str) -> (&str, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    (mantissa, exponent.parse().unwrap_or(0))
}

/// `%b`: the mantissa and the exponent of two, both in decimals.
fn binary(value: f64) -> String {
    if !value.is_finite() {
        return float(value, 'g', None);
    }
    let (sign, mantissa, exponent) = parts(value);
    format!("{sign}{mantissa}p{exponent:+}")
}

/// The sign, the mantissa as a whole number, and the exponent of two that goes with it.
fn parts(value: f64) -> (&'static str, u64, i64) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = i64::try_from((bits >> 52) & 0x7ff).unwrap_or_default();
    let sign = if value.is_sign_negative() { "-" } else { "" };
    match exponent {
        0 => (sign, fraction, -1074),
        exponent => (sign, fraction | (1 << 52), exponent - 1075),
    }
}

/// `%x`: hexadecimal digits with an exponent of two; no precision means as many digits as there are.
fn hexadecimal(value: f64, precision: Option<usize>) -> String {
    if !value.is_finite() {
        return float(value, 'g', None);
    }
    let (sign, mut mantissa, mut exponent) = parts(value);
    if mantissa == 0 {
        exponent = 0;
    } else {
        // One digit before the point, which is then 1.
        let shift = mantissa.leading_zeros() - 11;
        mantissa <<= shift;
        exponent += 52 - i64::from(shift);
    }
    if let Some(digits) = precision.filter(|digits| *digits < 13) {
        let dropped = 52 - 4 * digits;
        let half = 1u64 << (dropped - 1);
        let rest = mantissa & ((1 << dropped) - 1);
        mantissa >>= dropped;
        mantissa += u64::from(rest > half || (rest == half && mantissa & 1 == 1));
        mantissa <<= dropped;
        if mantissa >> 53 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let digits = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let digits = match precision {
        None => digits.trim_end_matches('0').to_owned(),
        Some(count) => format!("{digits:0<count$}")[..count].to_owned(),
    };
    let point = if digits.is_empty() { "" } else { "." };
    let sign_of_exponent = if exponent < 0 { '-' } else { '+' };
    format!(
        "{sign}0x{}{point}{digits}p{sign_of_exponent}{:02}",
        mantissa >> 52,
        exponent.unsigned_abs()
    )
}

/// The flag `#` of a float: always a point, and of `%g` all digits, zeros at the end too.
fn with_all_digits(digits: &str, verb: char, precision: Option<usize>) -> String {
    let exponent = if matches!(verb, 'x' | 'X') {
        ['p', 'P']
    } else {
        ['e', 'E']
    };
    let tail_at = digits.find(exponent).unwrap_or(digits.len());
    let (mut number, tail) = (digits[..tail_at].to_owned(), &digits[tail_at..]);
    let wanted = match verb {
        'g' | 'G' | 'v' | 'x' | 'X' => precision.unwrap_or(6),
        _ => 0,
    };
    let unsigned = number.trim_start_matches('-');
    let significant = unsigned.trim_start_matches(['0', '.', 'x', 'X']);
    let mut given = significant.bytes().filter(u8::is_ascii_hexdigit).count();
    if !number.contains('.') {
        given += usize::from(unsigned == "0");
        number.push('.');
    }
    number.extend(std::iter::repeat_n('0', wanted.saturating_sub(given)));
    number + tail
}

/// `print`: a space between two operands when neither is a string.
pub(super) fn print(args: &[Value]) -> String {
    let mut out = String::new();
    for (at, arg) in args.iter().enumerate() {
        let is_string = |value: &Value| matches!(value, Value::String(_));
        if at > 0 && !is_string(arg) && !is_string(&args[at - 1]) {
            out.push(' ');
        }
        out.push_str(&text(arg));
    }
    out
}

/// `println`: a space between all operands, and a line's end.
pub(super) fn println(args: &[Value]) -> String {
    let args: Vec<String> = args.iter().map(text).collect();
    args.join(" ") + "\n"
}

/// A parsed `%…` directive: flags, width and precision.
#[derive(Default)]
struct Directive {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `printf`, with Go's complaints inside the text (`%!d(string=x)`).
pub(super) fn sprintf(format: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut rest = format.chars().peekable();
    let mut next = 0;
    let mut reordered = false;
    while let Some(letter) = rest.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut directive = Directive::default();
        while let Some(flag) = rest.next_if(|letter| "-+# 0".contains(*letter)) {
            match flag {
                '-' => directive.minus = true,
                '+' => directive.plus = true,
                '#' => directive.sharp = true,
                ' ' => directive.space = true,
                _ => directive.zero = true,
            }
        }
        let mut complaint = "";
        let mut bad_index = false;
        index(&mut rest, &mut next, args.len(), &mut reordered, &mut bad_index);
        match size(&mut rest, args, &mut next) {
            Size::Given(width) => {
                directive.minus |= width < 0;
                directive.width = Some(bounded(width));
            }
            Size::None => {}
            Size::Bad => complaint = "%!(BADWIDTH)",
        }
        if rest.next_if_eq(&'.').is_some() {
            index(&mut rest, &mut next, args.len(), &mut reordered, &mut bad_index);
            match size(&mut rest, args, &mut next) {
                Size::Given(digits) if digits >= 0 => directive.precision = Some(bounded(digits)),
                Size::None => directive.precision = Some(0),
                Size::Given(_) | Size::Bad => complaint = "%!(BADPREC)",
            }
        }
        index(&mut rest, &mut next, args.len(), &mut reordered, &mut bad_index);
        out.push_str(complaint);
        let Some(verb) = rest.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == 'v' {
            // They ask for the names of fields and for Go's own notation then.
            (directive.plus, directive.sharp) = (false, false);
        }
        if verb == '%' {
            out.push('%');
        } else if bad_index {
            out.push_str(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(arg) = args.get(next) {
            next += 1;
            out.push_str(&directive.apply(verb, arg));
        } else {
            out.push_str(&format!("%!{verb}(MISSING)"));
        }
    }
    if !reordered && next < args.len() {
        let extra: Vec<String> = args[next..].iter().map(typed).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Reads an explicit argument index, `[2]`.
fn index(rest: &mut Letters<'_>, next: &mut usize, args: usize, reordered: &mut bool, bad: &mut bool) {
    if rest.next_if_eq(&'[').is_none() {
        return;
    }
    *reordered = true;
    let mut number = String::new();
    while let Some(letter) = rest.next_if(|letter| *letter != ']') {
        number.push(letter);
    }
    let closed = rest.next_if_eq(&']').is_some();
    match number.parse::<usize>() {
        Ok(number) if closed && (1..=args).contains(&number) => *next = number - 1,
        _ => *bad = true,
    }
}

/// A width or a precision.
enum Size {
    None,
    Given(i64),
    Bad,
}

fn size(rest: &mut Letters<'_>, args: &[Value], next: &mut usize) -> Size {
    if rest.next_if_eq(&'*').is_some() {
        let arg = args.get(*next);
        *next += 1;
        return match arg {
            Some(Value::Int(size)) => Size::Given(*size),
            _ => Size::Bad,
        };
    }
    let mut digits = String::new();
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    if digits.is_empty() {
        return Size::None;
    }
    digits.parse().map_or(Size::Bad, Size::Given)
}

fn bounded(size: i64) -> usize {
    usize::try_from(size.unsigned_abs())
        .unwrap_or(MAX_WIDTH)
        .min(MAX_WIDTH)
}

/// `type=value`, as in Go's complaints.
fn typed(value: &Value) -> String {
    let kind = match value {
        Value::Nil => return "<nil>".to_owned(),
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]string",
        other => other.type_name(),
    };
    format!("{kind}={}", text(value))
}

impl Directive {
    /// One operand under one verb.
    fn apply(&self, verb: char, arg: &Value) -> String {
        let formatted = match (verb, arg) {
            ('v', Value::Float(number)) => Some(self.float(*number, 'g')),
            ('v', Value::Int(_) | Value::Uint(_)) => self.integer(arg, 'd'),
            ('v', _) => Some(self.pad(&text(arg), false)),
            ('T', _) => Some(self.pad(type_name(arg), false)),
            ('b' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'x' | 'X', Value::Float(number)) => {
                Some(self.float(*number, verb))
            }
            (_, Value::Int(_) | Value::Uint(_)) => self.integer(arg, verb),
            ('s', Value::String(text)) => Some(self.pad(&self.cut(text), false)),
            ('q', Value::String(text)) => Some(self.pad(&self.quote(&self.cut(text)), false)),
            ('x' | 'X', Value::String(text)) => {
                let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                let hex = if verb == 'X' { hex.to_uppercase() } else { hex };
                Some(self.pad(&hex, false))
            }
            ('t', Value::Bool(value)) => Some(self.pad(&value.to_string(), false)),
            // A verb applies to each element of a collection.
            (_, Value::List(items)) => {
                let items: Vec<String> = items.iter().map(|item| self.apply(verb, item)).collect();
                Some(format!("[{}]", items.join(" ")))
            }
            (_, Value::Map(entries)) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| {
                        let key = self.apply(verb, &Value::String(key.clone()));
                        format!("{key}:{}", self.apply(verb, value))
                    })
                    .collect();
                Some(format!("map[{}]", entries.join(" ")))
            }
            _ => None,
        };
        formatted.unwrap_or_else(|| match arg {
            Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Float(_) | Value::String(_) => {
                // The same width and precision count in the complaint.
                format!("%!{verb}({}={})", type_name(arg), self.apply('v', arg))
            }
            _ => format!("%!{verb}({})", typed(arg)),
        })
    }

    fn float(&self, value: f64, verb: char) -> String {
        let digits = match verb {
            'b' => binary(value),
            'x' | 'X' if !value.is_finite() => float(value, 'g', None),
            'x' => hexadecimal(value, self.precision),
            'X' => hexadecimal(value, self.precision).to_uppercase(),
            _ => float(value, verb, self.precision),
        };
        if !value.is_finite() {
            // Only numbers are padded with zeros, and an infinity always has a sign.
            let shown = match digits.strip_prefix('+') {
                Some(unsigned) if self.space && !self.plus => format!(" {unsigned}"),
                _ => self.signed(digits),
            };
            return self.pad(&shown, false);
        }
        let digits = if self.sharp && verb != 'b' {
            with_all_digits(&digits, verb, self.precision)
        } else {
            digits
        };
        self.pad(&self.signed(digits), true)
    }

    fn integer(&self, value: &Value, verb: char) -> Option<String> {
        let (negative, magnitude) = match value {
            Value::Int(number) => (*number < 0, number.unsigned_abs()),
            Value::Uint(number) => (false, *number),
            _ => return None,
        };
        let prefix = |text: &'static str| if self.sharp { text } else { "" };
        let digits = match verb {
            'd' => magnitude.to_string(),
            'b' => format!("{}{magnitude:b}", prefix("0b")),
            'o' => format!("{}{magnitude:o}", prefix("0")),
            'O' => format!("0o{magnitude:o}"),
            'x' => format!("{}{magnitude:x}", prefix("0x")),
            'X' => format!("{}{magnitude:X}", prefix("0X")),
            'c' | 'q' | 'U' => {
                let letter = u32::try_from(magnitude).ok().and_then(char::from_u32);
                let letter = letter
                    .filter(|_| !negative)
                    .unwrap_or(char::REPLACEMENT_CHARACTER);
                let shown = match verb {
                    'c' => letter.to_string(),
                    'q' => format!("{letter:?}"),
                    _ => format!("U+{magnitude:04X}"),
                };
                return Some(self.pad(&shown, false));
            }
            _ => return None,
        };
        // A precision is the least number of digits, and none of a zero at precision 0.
        let least = self.precision.unwrap_or(1);
        let digits = match (self.precision, magnitude) {
            (Some(0), 0) => String::new(),
            _ => format!("{digits:0>least$}"),
        };
        let digits = if negative { format!("-{digits}") } else { digits };
        Some(self.pad(&self.signed(digits), self.precision.is_none()))
    }

    /// With the sign that the flags `+` and space ask for.
    fn signed(&self, digits: String) -> String {
        if digits.starts_with(['-', '+']) {
            digits
        } else if self.plus {
            format!("+{digits}")
        } else if self.space {
            format!(" {digits}")
        } else {
            digits
        }
    }

    /// The first characters of a string, as many as the precision says.
    fn cut(&self, text: &str) -> String {
        match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text.to_owned(),
        }
    }

    fn quote(&self, text: &str) -> String {
        let raw_fits =
            self.sharp && !text.contains('`') && !text.chars().any(|c| c.is_control() && c != '\t');
        if raw_fits {
            format!("`{text}`")
        } else {
            quote(text)
        }
    }

    fn pad(&self, text: &str, number: bool) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        if missing == 0 {
            return text.to_owned();
        }
        if self.minus {
            return format!("{text}{}", " ".repeat(missing));
        }
        if !(self.zero && number) {
            return format!("{}{text}", " ".repeat(missing));
        }
        let signs = text.chars().take_while(|letter| "+- ".contains(*letter)).count();
        format!("{}{}{}", &text[..signs], "0".repeat(missing), &text[signs..])
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]string",
        other => other.type_name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values were printed by Go.
    #[test]
    fn floats_print_as_in_go() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.234567e+06"),
            (0.000_012_34, "1.234e-05"),
            (0.0001, "0.0001"),
            (1e21, "1e+21"),
            (1e100, "1e+100"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(float(value, 'g', None), expected);
        }
        assert_eq!(float(9999.9, 'g', Some(4)), "1e+04");
        assert_eq!(float(9999.9, 'g', Some(5)), "9999.9");
        assert_eq!(float(0.00012345, 'g', Some(2)), "0.00012");
        assert_eq!(float(1e9, 'G', None), "1E+09");
        assert_eq!(float(1.5, 'e', None), "1.500000e+00");
    }

    #[test]
    fn a_huge_width_is_cut() {
        let text = sprintf("%999999999d", &[Value::Int(1)]);
        assert_eq!(text.len(), MAX_WIDTH);
    }
}
