//! Prometheus' text format 0.0.4, and OpenMetrics as far as metrics pages use it: text to lines, nothing else.
//!
//! A page of etcd has 1,700 lines and is read every few seconds for every member, so the parser borrows from the
//! page and allocates only for a label value with an escape in it.

use std::borrow::Cow;

/// A sample line of a page.
#[derive(Clone, PartialEq, Debug)]
pub struct Line<'a> {
    /// The metric's name as written, with `_bucket`, `_sum` or `_count` where it has one.
    pub name: &'a str,
    /// The labels in the order of the page, with `le` and `quantile` as Prometheus 3 writes them.
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
    /// The value.
    pub value: f64,
    /// The time in milliseconds since the epoch, where the page gives one.
    pub timestamp: Option<i64>,
    /// The type that a `# TYPE` line gave to the family of this sample.
    pub kind: Kind,
}

/// The type of a family.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// A counter.
    Counter,
    /// A gauge.
    Gauge,
    /// A histogram.
    Histogram,
    /// A summary.
    Summary,
    /// No type was given, or one that this parser does not tell apart.
    #[default]
    Untyped,
}

/// A page that does not follow the format.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Reads a page and hands every sample to `each`. The line's label list is reused from one sample to the next.
///
/// # Errors
/// With the number of the first line that is not in the format. Samples before it were handed out already.
pub fn parse<'a>(page: &'a str, mut each: impl FnMut(&Line<'a>)) -> Result<(), ParseError> {
    let mut family: (&str, Kind) = ("", Kind::Untyped);
    let mut sample = Line {
        name: "",
        labels: Vec::new(),
        value: 0.0,
        timestamp: None,
        kind: Kind::Untyped,
    };
    for (at, line) in page.split('\n').enumerate() {
        let line = trim(line.strip_suffix('\r').unwrap_or(line));
        if line.is_empty() {
            continue;
        }
        if let Some(comment) = line.strip_prefix('#') {
            if let Some(declared) = declaration(comment) {
                family = declared;
            } else if trim(comment) == "EOF" {
                return Ok(());
            }
            continue;
        }
        let parsed = read_sample(line, family, &mut sample);
        parsed.map_err(|message| ParseError {
            line: at + 1,
            message,
        })?;
        each(&sample);
    }
    Ok(())
}

/// `TYPE name kind` behind the `#`.
fn declaration(comment: &str) -> Option<(&str, Kind)> {
    let mut words = comment.split([' ', '\t']).filter(|word| !word.is_empty());
    if words.next()? != "TYPE" {
        return None;
    }
    let name = words.next()?;
    let kind = match words.next()? {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        _ => Kind::Untyped,
    };
    Some((name, kind))
}

fn read_sample<'a>(line: &'a str, family: (&str, Kind), sample: &mut Line<'a>) -> Result<(), String> {
    let end = line
        .bytes()
        .position(|byte| matches!(byte, b'{' | b' ' | b'\t'))
        .ok_or("a name without a value")?;
    let (name, rest) = line.split_at(end);
    if !is_name(name) {
        return Err(format!("{name:?} is not a metric name"));
    }
    sample.name = name;
    sample.kind = kind_of(name, family);
    sample.labels.clear();
    let rest = match trim(rest).strip_prefix('{') {
        Some(labels) => read_labels(labels, &mut sample.labels)?,
        None => rest,
    };
    // An exemplar of OpenMetrics follows behind ` # `.
    let rest = rest.split_once(" # ").map_or(rest, |(before, _)| before);
    let mut words = rest.split([' ', '\t']).filter(|word| !word.is_empty());
    let value = words.next().ok_or("no value")?;
    sample.value = value.parse().map_err(|_| format!("{value:?} is not a number"))?;
    sample.timestamp = match words.next() {
        None => None,
        Some(time) => Some(timestamp(time).ok_or_else(|| format!("{time:?} is not a timestamp"))?),
    };
    if let Some(extra) = words.next() {
        return Err(format!("unexpected {extra:?} behind the timestamp"));
    }
    let bound = match sample.kind {
        Kind::Histogram if name.ends_with("_bucket") => "le",
        Kind::Summary if name == family.0 => "quantile",
        _ => return Ok(()),
    };
    for (label, value) in &mut sample.labels {
        if *label == bound
            && let Some(normal) = normal_number(value)
        {
            *value = Cow::Owned(normal);
        }
    }
    Ok(())
}

/// The family's kind when the sample belongs to it: by its own name, or with the suffix of a part.
fn kind_of(name: &str, (family, kind): (&str, Kind)) -> Kind {
    let Some(suffix) = name.strip_prefix(family).filter(|_| !family.is_empty()) else {
        return Kind::Untyped;
    };
    match suffix {
        "" | "_bucket" | "_sum" | "_count" | "_total" => kind,
        _ => Kind::Untyped,
    }
}

/// Reads `name="value",…}` and gives what follows the brace.
fn read_labels<'a>(mut rest: &'a str, labels: &mut Vec<(&'a str, Cow<'a, str>)>) -> Result<&'a str, String> {
    loop {
        rest = trim_start(rest);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok(after);
        }
        let (name, after) = rest.split_once('=').ok_or("a label without a value")?;
        let name = trim(name);
        if !is_name(name) || name.contains(':') {
            return Err(format!("{name:?} is not a label name"));
        }
        let value = trim_start(after)
            .strip_prefix('"')
            .ok_or_else(|| format!("the value of {name:?} is not quoted"))?;
        let (value, after) =
            read_quoted(value).ok_or_else(|| format!("the value of {name:?} has no closing quote"))?;
        labels.push((name, value));
        rest = trim_start(after);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => {
                return Err(format!(
                    "neither a comma nor a brace behind the value of {name:?}"
                ));
            }
        }
    }
}

/// Reads up to the closing quote: `\\`, `\"` and `\n` are escapes, any other backslash stands for itself.
fn read_quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.bytes().position(|byte| matches!(byte, b'"' | b'\\'))?;
    if text.as_bytes()[end] == b'"' {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut value = text[..end].to_owned();
    let mut characters = text[end..].char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((Cow::Owned(value), &text[end + at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('"' | '\\') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    None
}

/// Milliseconds in text 0.0.4, seconds with a fraction in OpenMetrics.
fn timestamp(text: &str) -> Option<i64> {
    if let Ok(millis) = text.parse() {
        return Some(millis);
    }
    let seconds: f64 = text.parse().ok()?;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "saturates, and NaN gives 0, for a time that means nothing"
    )]
    seconds.is_finite().then_some((seconds * 1000.0) as i64)
}

/// A bound as Prometheus 3 writes it: `1` becomes `1.0`, `1000000` becomes `1e+06`. None when it is no number, or is
/// written so already.
fn normal_number(text: &str) -> Option<String> {
    let number: f64 = text.parse().ok()?;
    let mut normal = shortest(number);
    if !normal.contains(['.', 'e', 'N', 'I']) {
        normal.push_str(".0");
    }
    (normal != text).then_some(normal)
}

/// Go's `%g` with the shortest digits that give the number back: with an exponent from 1e+06 and below 1e-04.
fn shortest(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{number:e}");
    match scientific.split_once('e') {
        Some((digits, exponent)) => match exponent.parse::<i32>() {
            Ok(exponent) if !(-4..6).contains(&exponent) => {
                let sign = if exponent < 0 { '-' } else { '+' };
                format!("{digits}e{sign}{:02}", exponent.abs())
            }
            _ => format!("{number}"),
        },
        None => scientific,
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':'))
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(page: &str) -> Line<'_> {
        let mut found = None;
        parse(page, |line| found = Some(line.clone())).unwrap();
        found.unwrap()
    }

    fn label<'a>(line: &'a Line<'_>, name: &str) -> &'a str {
        line.labels
            .iter()
            .find(|(label, _)| *label == name)
            .map_or("", |(_, value)| value)
    }

    fn recorded(zipped: &[u8]) -> String {
        let mut page = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(zipped), &mut page).unwrap();
        page
    }

    #[test]
    fn reads_names_labels_values_and_timestamps() {
        let line = one("a_total { x = \"1\" , y=\"z\", } 1.5e3 1700000000123\n");
        assert_eq!(
            (line.name, line.value, line.timestamp),
            ("a_total", 1500.0, Some(1_700_000_000_123))
        );
        assert_eq!((label(&line, "x"), label(&line, "y")), ("1", "z"));
        assert_eq!(one("a{} +Inf").value, f64::INFINITY);
        assert!(one("a NaN\r\n").value.is_nan());
        assert_eq!(one("a 1 1.5 # {trace=\"x\"} 2\n").timestamp, Some(1500));
    }

    #[test]
    fn undoes_escapes_and_leaves_unknown_ones() {
        let line = one(r#"a{x="q\"b\\n\n\d, }é"} 1"#);
        assert_eq!(label(&line, "x"), "q\"b\\n\n\\d, }é");
    }

    #[test]
    fn a_type_counts_for_its_family_only() {
        let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nhh_bucket{le=\"1\"} 1\n# TYPE s summary\ns{quantile=\"1\"} 1\n";
        let mut seen = Vec::new();
        parse(page, |line| seen.push((line.kind, line.labels[0].1.to_string()))).unwrap();
        assert_eq!(
            seen,
            [
                (Kind::Histogram, "1.0".into()),
                (Kind::Untyped, "1".into()),
                (Kind::Summary, "1.0".into())
            ]
        );
    }

    #[test]
    fn bounds_are_written_as_prometheus_3_does() {
        for (written, normal) in [
            ("1", "1.0"),
            ("0.001", "0.001"),
            ("0.00010", "0.0001"),
            ("0.00001", "1e-05"),
            ("100000", "100000.0"),
            ("1000000", "1e+06"),
            ("2097152.5", "2.0971525e+06"),
            ("+Inf", "+Inf"),
            ("word", "word"),
        ] {
            let page = format!("# TYPE h histogram\nh_bucket{{le=\"{written}\"}} 1\n");
            assert_eq!(label(&one(&page), "le"), normal);
        }
    }

    #[test]
    fn an_error_has_its_line() {
        for (page, words) in [
            ("a 1\nb\n", "line 2: a name without a value"),
            ("a{x=1} 1", "not quoted"),
            ("a{x=\"1} 1", "no closing quote"),
            ("a{x=\"1\" y=\"2\"} 1", "neither a comma"),
            ("a one", "\"one\" is not a number"),
            ("a 1 2 3", "unexpected \"3\""),
            ("1a 1", "not a metric name"),
            ("a{x=\"1\"}", "no value"),
            ("<html> 1", "not a metric name"),
        ] {
            let error = parse(page, |_| {}).unwrap_err().to_string();
            assert!(error.contains(words), "{page:?}: {error}");
        }
    }

    #[test]
    fn reads_recorded_pages_of_etcd_whole() {
        for (zipped, version) in [
            (
                &include_bytes!("../../tests/fixtures/etcd/metrics-3.4.23.txt.gz")[..],
                "3.4.23",
            ),
            (
                &include_bytes!("../../tests/fixtures/etcd/metrics-3.5.30.txt.gz")[..],
                "3.5.30",
            ),
        ] {
            let page = recorded(zipped);
            let written = page.lines().filter(|line| !line.starts_with('#')).count();
            let (mut read, mut found, mut bounds) = (0, String::new(), Vec::new());
            parse(&page, |line| {
                read += 1;
                match line.name {
                    "etcd_server_version" => found = label(line, "server_version").to_owned(),
                    "etcd_disk_wal_fsync_duration_seconds_bucket" => {
                        bounds.push(label(line, "le").to_owned())
                    }
                    _ => {}
                }
            })
            .unwrap();
            assert_eq!((read, found.as_str()), (written, version));
            assert_eq!(
                (bounds.len(), bounds[0].as_str(), bounds[14].as_str()),
                (15, "0.001", "+Inf")
            );
        }
    }

    /// Whatever the page, the parser gives lines or an error, and never panics: every prefix and every single
    /// replaced byte of a small page.
    #[test]
    fn damaged_pages_are_survived() {
        let page = "# TYPE h histogram\nh_bucket{le=\"1\",x=\"a\\n\"} 1 2\n";
        for at in 0..page.len() {
            let _ = parse(&page[..at], |_| {});
            for byte in [b' ', b'"', b'\\', b'{', b'}', b'=', b'\n', b'#', b'0'] {
                let mut damaged = page.as_bytes().to_vec();
                damaged[at] = byte;
                let _ = parse(std::str::from_utf8(&damaged).unwrap(), |_| {});
            }
        }
    }
}
