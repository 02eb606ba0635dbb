//! The functions that templates of rule files may call.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use gotmpl::{FuncMap, TemplateError, Value, ValueFunc};

use super::{budget, compare, gofmt, humanize};
use crate::promql::{duration, quote};

/// Under this name [`super::syntax`] calls [`gofmt::text`] at the end of each `{{ … }}`. No template can spell it.
pub(super) const PRINT: &str = "%v";

/// Under this name [`super::syntax`] calls [`field`] for each `.Name`. No template can spell it.
pub(super) const FIELD: &str = ".";

/// Under this name [`super::syntax`] gives `{{template "name"}}` nothing to work on. No template can spell it.
pub(super) const NOTHING: &str = "%nil";

/// Functions that depend on where a template is expanded; they are bound on each expansion.
pub(super) const BOUND: [&str; 3] = ["query", "externalURL", "pathPrefix"];

/// Functions that gotmpl brings and that are right as they are.
const BUILT_IN: [&str; 6] = ["and", "call", "len", "not", "or", "slice"];

type Function = fn(&[Value]) -> Result<Value, String>;

/// Name, number of arguments (none when it varies) and body.
const FUNCTIONS: &[(&str, Option<usize>, Function)] = &[
    (PRINT, Some(1), |args| {
        Ok(string(match &args[0] {
            Value::Nil => "<no value>".to_owned(),
            value => gofmt::text(value),
        }))
    }),
    (NOTHING, Some(0), |_| Ok(Value::Nil)),
    ("eq", None, |args| compare::equals_any(args).map(Value::Bool)),
    ("ne", Some(2), |args| {
        compare::equal(&args[0], &args[1]).map(|equal| Value::Bool(!equal))
    }),
    ("lt", Some(2), |args| {
        compare::less(&args[0], &args[1]).map(Value::Bool)
    }),
    ("le", Some(2), |args| {
        compare::less_or_equal(&args[0], &args[1]).map(Value::Bool)
    }),
    // As Go has it, also of NaN: what is not less or equal is greater.
    ("gt", Some(2), |args| {
        compare::less_or_equal(&args[0], &args[1]).map(|not| Value::Bool(!not))
    }),
    ("ge", Some(2), |args| {
        compare::less(&args[0], &args[1]).map(|not| Value::Bool(!not))
    }),
    (FIELD, None, |args| field(args)),
    ("print", None, |args| Ok(string(gofmt::print(args)))),
    ("println", None, |args| Ok(string(gofmt::println(args)))),
    ("printf", None, |args| printf(args)),
    ("html", None, |args| {
        Ok(string(gotmpl::html_escape(&gofmt::print(args)).to_string()))
    }),
    ("js", None, |args| {
        Ok(string(gotmpl::js_escape(&gofmt::print(args)).to_string()))
    }),
    ("urlquery", None, |args| {
        Ok(string(gotmpl::url_encode(&gofmt::print(args)).to_string()))
    }),
    ("index", None, |args| index(args)),
    ("first", Some(1), |args| first(&args[0])),
    ("label", Some(2), |args| label(str(&args[0])?, &args[1])),
    ("value", Some(1), |args| {
        field(&[args[0].clone(), Value::String("Value".into())])
    }),
    ("strvalue", Some(1), |args| label("__value__", &args[0])),
    ("sortByLabel", Some(2), |args| {
        sort_by_label(str(&args[0])?, &args[1])
    }),
    ("args", None, |args| Ok(numbered(args))),
    ("humanize", Some(1), |args| {
        Ok(string(humanize::metric(number(&args[0])?)))
    }),
    ("humanize1024", Some(1), |args| {
        Ok(string(humanize::binary(number(&args[0])?)))
    }),
    ("humanizePercentage", Some(1), |args| {
        Ok(string(humanize::percentage(number(&args[0])?)))
    }),
    ("humanizeDuration", Some(1), |args| {
        Ok(string(humanize::duration(number(&args[0])?)))
    }),
    ("humanizeTimestamp", Some(1), |args| {
        humanize::timestamp(number(&args[0])?).map(string)
    }),
    // Of a time Prometheus makes an object with methods; here it is its text, which is all that is printed of it.
    ("toTime", Some(1), |args| {
        humanize::time(number(&args[0])?).map(string)
    }),
    ("parseDuration", Some(1), |args| parse_duration(str(&args[0])?)),
    ("title", Some(1), |args| Ok(string(title(str(&args[0])?)))),
    ("toUpper", Some(1), |args| {
        Ok(string(str(&args[0])?.to_uppercase()))
    }),
    ("toLower", Some(1), |args| {
        Ok(string(str(&args[0])?.to_lowercase()))
    }),
    ("stripPort", Some(1), |args| {
        Ok(string(strip_port(str(&args[0])?)))
    }),
    ("stripDomain", Some(1), |args| {
        Ok(string(strip_domain(str(&args[0])?)))
    }),
    ("match", Some(2), |args| {
        let regex = budget::pattern(str(&args[0])?)?;
        Ok(Value::Bool(regex.is_match(str(&args[1])?)))
    }),
    ("reReplaceAll", Some(3), |args| {
        let regex = budget::pattern(str(&args[0])?)?;
        budget::replaced(&regex, str(&args[2])?, str(&args[1])?).map(string)
    }),
    ("safeHtml", Some(1), |args| Ok(args[0].clone())),
    ("graphLink", Some(1), |args| {
        Ok(string(graph_link(str(&args[0])?, 0)))
    }),
    ("tableLink", Some(1), |args| {
        Ok(string(graph_link(str(&args[0])?, 1)))
    }),
];

/// All functions that do not depend on the expansion.
pub(super) fn functions() -> FuncMap {
    static SHARED: LazyLock<FuncMap> = LazyLock::new(|| {
        let entries = FUNCTIONS.iter().map(|(name, arity, body)| {
            let function: ValueFunc = Arc::new(move |args: &[Value]| {
                if let Some(arity) = arity.filter(|arity| *arity != args.len()) {
                    return Err(TemplateError::Exec(format!(
                        "wrong number of args for {name}: want {arity} got {}",
                        args.len()
                    )));
                }
                let value = budget::call(args)
                    .and_then(|()| body(args))
                    .and_then(budget::made);
                value.map_err(|reason| match *name {
                    FIELD => TemplateError::Exec(reason),
                    _ => TemplateError::Exec(format!("error calling {name}: {reason}")),
                })
            });
            ((*name).to_owned(), function)
        });
        entries.collect()
    });
    SHARED.clone()
}

/// Whether templates may call a function of this name.
pub(super) fn is_known(name: &str) -> bool {
    BUILT_IN.contains(&name) || BOUND.contains(&name) || FUNCTIONS.iter().any(|(known, ..)| *known == name)
}

fn string(text: String) -> Value {
    Value::String(text.into())
}

fn str(value: &Value) -> Result<&str, String> {
    let kind = value.type_name();
    value
        .as_str()
        .ok_or_else(|| format!("wrong type for value; expected string; got {kind}"))
}

/// A number, or a string that is one.
fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::String(text) => text
            .parse()
            .map_err(|_| format!("parsing {}: invalid syntax", quote(text))),
        other => other
            .as_float()
            .ok_or_else(|| format!("can't convert {} to float", other.type_name())),
    }
}

fn printf(args: &[Value]) -> Result<Value, String> {
    let (format, args) = args
        .split_first()
        .ok_or("wrong number of args for printf: want at least 1 got 0")?;
    Ok(string(gofmt::sprintf(str(format)?, args)))
}

/// Follows field names, as `.Labels.member` does: a label that is missing is the empty text.
fn field(args: &[Value]) -> Result<Value, String> {
    let (base, names) = args.split_first().ok_or("no value to take a field of")?;
    let mut value = base.clone();
    for name in names {
        let name = str(name)?;
        let Value::Map(entries) = &value else {
            return Err(format!(
                "can't evaluate field {name} in type {}",
                value.type_name()
            ));
        };
        value = match entries.get(name) {
            Some(found) => found.clone(),
            // The root and the samples of a query are records; a label set's values are strings.
            None if matches!(entries.get("Labels"), Some(Value::Map(_))) => {
                return Err(format!("can't evaluate field {name} in a sample"));
            }
            None => string(String::new()),
        };
    }
    Ok(value)
}

fn index(args: &[Value]) -> Result<Value, String> {
    let (base, keys) = args
        .split_first()
        .ok_or("wrong number of args for index: want at least 1 got 0")?;
    keys.iter()
        .try_fold(base.clone(), |value, key| match value.index(key) {
            Ok(Value::Nil) => Ok(string(String::new())),
            other => other.map_err(|error| error.to_string()),
        })
}

fn samples(value: &Value) -> Result<&[Value], String> {
    match value {
        Value::List(samples) => Ok(samples),
        other => Err(format!(
            "expected the result of a query; got {}",
            other.type_name()
        )),
    }
}

fn first(value: &Value) -> Result<Value, String> {
    let found = samples(value)?.first().cloned();
    found.ok_or_else(|| "first() called on vector with no elements".to_owned())
}

fn label(name: &str, sample: &Value) -> Result<Value, String> {
    field(&[
        sample.clone(),
        Value::String("Labels".into()),
        Value::String(name.into()),
    ])
}

fn sort_by_label(name: &str, value: &Value) -> Result<Value, String> {
    let mut keyed = Vec::new();
    for sample in samples(value)? {
        keyed.push((gofmt::text(&label(name, sample)?), sample.clone()));
    }
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(Value::List(keyed.into_iter().map(|(_, sample)| sample).collect()))
}

/// `args`: arguments for a named template, as `.arg0`, `.arg1`, ….
fn numbered(args: &[Value]) -> Value {
    let named = args
        .iter()
        .enumerate()
        .map(|(at, arg)| (format!("arg{at}").into(), arg.clone()));
    Value::Map(Arc::new(named.collect::<BTreeMap<_, _>>()))
}

fn parse_duration(text: &str) -> Result<Value, String> {
    let duration = duration::parse(text)?;
    Ok(Value::Float(duration.as_secs_f64()))
}

/// Upper-cases the first letter of each word and leaves the others as they are. Words end as Unicode has it: not at
/// an underscore, nor at `'`, `.` or `:` between letters.
fn title(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let is_letter = |at: Option<usize>| {
        at.and_then(|at| letters.get(at))
            .is_some_and(|c| c.is_alphabetic())
    };
    let mut start = true;
    let mut out = String::new();
    for (at, letter) in letters.iter().enumerate() {
        if start {
            out.extend(letter.to_uppercase());
        } else {
            out.push(*letter);
        }
        let joins = "'.:\u{b7}\u{2019}".contains(*letter)
            && is_letter(at.checked_sub(1))
            && is_letter(at.checked_add(1));
        start = !(letter.is_alphanumeric() || *letter == '_' || joins);
    }
    out
}

/// `host:port` or `[host]:port` in its parts; none for anything else.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(inner) => Some((inner.strip_suffix(']')?, port)),
        None if host.contains([':', '[', ']']) => None,
        None => Some((host, port)),
    }
}

fn strip_port(text: &str) -> String {
    split_host_port(text).map_or(text, |(host, _)| host).to_owned()
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let host = host.split('.').next().unwrap_or(host);
    if port.is_empty() {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    }
}

fn graph_link(expr: &str, tab: u8) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", gotmpl::url_encode(expr))
}
