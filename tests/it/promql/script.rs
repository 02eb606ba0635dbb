//! The grammar of the scripts: `load`, `clear`, `eval`, a block each, ended by an empty line.

use std::sync::LazyLock;
use std::time::Duration;

use etcd_doctor::model::{Labels, Timestamp, stale_nan};
use etcd_doctor::promql::Point;
use regex::Regex;

/// One command.
pub enum Block {
    Clear,
    Load(Vec<(Labels, Vec<Point>)>),
    Eval(Eval),
}

/// An `eval` command with what it expects.
pub struct Eval {
    /// The line of the command, from 1.
    pub line: usize,
    pub expr: String,
    pub when: When,
    pub fails: bool,
    pub ordered: bool,
    pub expected: Expected,
}

pub enum When {
    At(Timestamp),
    Range {
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    },
}

#[derive(Debug)]
pub enum Expected {
    Scalar(f64),
    String(String),
    Series {
        series: Vec<(Labels, Vec<Option<f64>>)>,
        /// When an instant query is expected to give a range vector: its first time and its step.
        range: Option<(Timestamp, Duration)>,
    },
}

static NUMBER: &str = r"[+-]?(?:inf|nan|[0-9.][0-9._]*(?:e[+-]?[0-9]+)?)";
/// A value, or a first value with what is added each time, either repeated.
static ITEM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!(
        r"(?i)^(_|stale|{NUMBER})([+-](?:{NUMBER}))?(?:x([0-9]+))?$"
    ))
    .unwrap()
});
static DURATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$").unwrap()
});

/// Reads a script. Series with native histograms are left out.
pub fn parse(text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .map(|line| if line.starts_with('#') { "" } else { line })
        .collect();
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let body_end = (at..lines.len())
            .find(|i| lines[*i].is_empty())
            .unwrap_or(lines.len());
        let command = lines[at].split_whitespace().next().unwrap_or("").to_lowercase();
        if command.starts_with("load") {
            blocks.push(Block::Load(load(lines[at], &lines[at + 1..body_end])));
            at = body_end;
        } else if command.starts_with("eval") {
            let (eval, read) = eval(at + 1, lines[at], &lines[at + 1..body_end]);
            blocks.push(Block::Eval(eval));
            at += 1 + read;
        } else {
            match &*command {
                "" => {}
                "clear" => blocks.push(Block::Clear),
                other => panic!("line {}: unknown command {other:?}", at + 1),
            }
            at += 1;
        }
    }
    blocks
}

fn load(command: &str, lines: &[&str]) -> Vec<(Labels, Vec<Point>)> {
    let step = duration(command.split_whitespace().nth(1).unwrap());
    let mut loaded = Vec::new();
    for line in lines {
        if line.contains("{{") || line.contains("@st") {
            continue;
        }
        let (labels, items) = series(line);
        let mut time = Timestamp::from_millis(0);
        let mut points = Vec::new();
        for value in values(items) {
            points.extend(value.map(|value| Point { time, value }));
            time = time.plus(step);
        }
        loaded.push((labels, points));
    }
    loaded
}

/// The command and how many of the lines after it belong to it.
fn eval(line: usize, command: &str, lines: &[&str]) -> (Eval, usize) {
    let (kind, rest) = command.split_once(char::is_whitespace).unwrap();
    let (mode, mut rest) = rest.trim_start().split_once(char::is_whitespace).unwrap();
    let word = |rest: &mut &str| {
        let (word, after) = rest.trim_start().split_once(char::is_whitespace).unwrap();
        *rest = after;
        word.to_owned()
    };
    let when = if mode == "range" {
        let words: Vec<String> = (0..6).map(|_| word(&mut rest)).collect();
        When::Range {
            from: time(&words[1]),
            to: time(&words[3]),
            step: duration(&words[5]),
        }
    } else if rest.trim_start().starts_with("at ") {
        word(&mut rest);
        When::At(time(&word(&mut rest)))
    } else {
        When::At(time("0"))
    };
    let mut eval = Eval {
        line,
        expr: rest.trim().to_owned(),
        when,
        fails: kind == "eval_fail",
        ordered: kind == "eval_ordered",
        expected: Expected::Series {
            series: Vec::new(),
            range: None,
        },
    };
    for (at, line) in lines.iter().enumerate() {
        if expectation(&mut eval, line) {
            return (eval, at + 1);
        }
    }
    (eval, lines.len())
}

/// Takes one line of an `eval` block; true when it is the last one.
fn expectation(eval: &mut Eval, line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    if let (Some(number), Expected::Series { series, .. }) = (scalar(line), &eval.expected)
        && series.is_empty()
    {
        eval.expected = Expected::Scalar(number);
        return true;
    }
    match &*words {
        ["expect", "ordered"] => eval.ordered = true,
        ["expect", "fail", ..] => eval.fails = true,
        ["expect", "string", ..] => {
            let (_, text) = line.split_once("string").unwrap();
            eval.expected = Expected::String(unquoted(text.trim()));
        }
        ["expect", "range", "vector", "from", from, "to", _, "step", step] => {
            eval.expected = Expected::Series {
                series: Vec::new(),
                range: Some((time(from), duration(step))),
            };
        }
        ["expect" | "expected_fail_message" | "expected_fail_regexp", ..] => {}
        _ => {
            let (labels, items) = series(line);
            // No series has such a value, so that a comparison with it fails.
            let native = line.contains("{{");
            let values = if native {
                vec![Some(f64::MIN)]
            } else {
                values(items).collect()
            };
            if let Expected::Series { series, .. } = &mut eval.expected {
                series.push((labels, values));
            }
        }
    }
    false
}

fn unquoted(text: &str) -> String {
    match text.strip_prefix('`') {
        Some(raw) => raw.trim_end_matches('`').to_owned(),
        None => serde_json::from_str(text).unwrap(),
    }
}

/// A whole line that is one number.
fn scalar(line: &str) -> Option<f64> {
    let digits = line.replace('_', "").to_lowercase();
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let octal = || digits.strip_prefix('0').filter(|rest| !rest.is_empty());
    let whole = match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => octal().and_then(|octal| i64::from_str_radix(octal, 8).ok()),
    };
    let number = whole.map(|whole| whole as f64).or_else(|| digits.parse().ok())?;
    Some(sign * number)
}

/// The labels at the start of a line, and the rest.
fn series(line: &str) -> (Labels, &str) {
    let name_end = line
        .find(|c: char| c == '{' || c.is_whitespace())
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(name_end);
    let mut pairs: Vec<(String, String)> = Vec::new();
    if !name.is_empty() {
        pairs.push(("__name__".to_owned(), name.to_owned()));
    }
    let Some(inside) = rest.strip_prefix('{') else {
        return (Labels::new(pairs), rest);
    };
    let mut rest = inside;
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return (Labels::new(pairs), after);
        }
        let name = match rest.starts_with(['"', '\'', '`']) {
            true => quoted(&mut rest),
            false => {
                let (name, after) = rest.split_at(rest.find(['=', ' ']).unwrap());
                rest = after;
                name.to_owned()
            }
        };
        rest = rest.trim_start();
        match rest.strip_prefix('=') {
            Some(after) => {
                rest = after.trim_start();
                let value = quoted(&mut rest);
                pairs.push((name, value));
            }
            None => pairs.push(("__name__".to_owned(), name)),
        }
    }
}

/// A quoted string at the start of `rest`, which is moved past it.
fn quoted(rest: &mut &str) -> String {
    let mut chars = rest.char_indices();
    let (_, quote) = chars.next().unwrap();
    let mut text = String::new();
    while let Some((at, next)) = chars.next() {
        match next {
            '\\' if quote != '`' => match chars.next().unwrap().1 {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                other => text.push(other),
            },
            end if end == quote => {
                *rest = &rest[at + 1..];
                return text;
            }
            other => text.push(other),
        }
    }
    panic!("a string without an end: {rest}");
}

/// The values of the items, `None` for a gap.
fn values(items: &str) -> impl Iterator<Item = Option<f64>> {
    items.split_whitespace().flat_map(|item| {
        let parts = ITEM
            .captures(item)
            .unwrap_or_else(|| panic!("not a series item: {item:?}"));
        let number = |text: &str| text.replace('_', "").parse::<f64>().unwrap();
        let times: usize = parts.get(3).map_or(0, |times| times.as_str().parse().unwrap());
        let step = parts.get(2).map_or(0.0, |step| number(step.as_str()));
        let (first, count) = match &parts[1] {
            "_" => (None, times.max(1)),
            "stale" => (Some(stale_nan()), times + 1),
            first => (Some(number(first)), times + 1),
        };
        let mut next = first;
        (0..count)
            .map(|_| {
                let value = next;
                // A stale marker is told by its bits, which an addition might not keep.
                next = next.map(|value| if step == 0.0 { value } else { value + step });
                value
            })
            .collect::<Vec<_>>()
    })
}

fn time(text: &str) -> Timestamp {
    Timestamp::from_millis(0).plus(duration(text))
}

fn duration(text: &str) -> Duration {
    if let Ok(seconds) = text.parse() {
        return Duration::from_secs(seconds);
    }
    let parts = DURATION
        .captures(text)
        .unwrap_or_else(|| panic!("not a duration: {text:?}"));
    let units = [
        31_536_000_000,
        604_800_000,
        86_400_000,
        3_600_000,
        60_000,
        1_000,
        1,
    ];
    let millis = units.iter().enumerate().map(|(at, unit)| {
        let count: u64 = parts
            .get(at + 1)
            .map_or(0, |count| count.as_str().parse().unwrap());
        count * unit
    });
    Duration::from_millis(millis.sum())
}
