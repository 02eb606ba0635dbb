//! One line of a log: what wraps it (a container runtime's formats, syslog) and how etcd wrote it (zap as JSON or for
//! people, capnslog), down to its level, message and error. No I/O.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// How bad etcd says it is, as far as that matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Level {
    /// The process ends after this.
    Fatal,
    /// The process breaks off here.
    Panic,
    /// Anything else, or not told.
    #[default]
    Other,
}

/// What a line says.
#[derive(PartialEq, Debug, Default)]
pub(super) struct Entry<'a> {
    pub level: Level,
    /// The message, without the name of the package that wrote it.
    pub message: Cow<'a, str>,
    /// The field `error`, where there is one.
    pub error: Cow<'a, str>,
    /// When, in milliseconds since the epoch, where the line says so with its time zone.
    pub time: Option<i64>,
}

/// A line without its wrapping.
#[derive(PartialEq, Debug)]
pub(super) struct Unwrapped<'a> {
    /// What etcd wrote.
    pub text: Cow<'a, str>,
    /// When the runtime received it.
    pub time: Option<i64>,
    /// Whether the runtime cut it, so that its next line goes on with it.
    pub goes_on: bool,
}

/// Takes off what a container runtime or syslog put around a line.
pub(super) fn unwrap(line: &str) -> Unwrapped<'_> {
    cri(line).or_else(|| docker(line)).unwrap_or_else(|| Unwrapped {
        text: after_syslog(line).into(),
        time: None,
        goes_on: false,
    })
}

/// `2026-11-22T17:00:00.1Z stderr F text`, of containerd and CRI-O.
fn cri(line: &str) -> Option<Unwrapped<'_>> {
    let mut parts = line.splitn(4, ' ');
    let (time, stream, tags) = (parts.next()?, parts.next()?, parts.next()?);
    if !matches!(stream, "stdout" | "stderr") {
        return None;
    }
    let first = tags.split(':').next()?;
    if !matches!(first, "F" | "P") {
        return None;
    }
    Some(Unwrapped {
        text: parts.next().unwrap_or_default().into(),
        time: Some(millis(time)?),
        goes_on: first == "P",
    })
}

/// `{"log":"text\n","stream":"stderr","time":"…"}`, of docker.
fn docker(line: &str) -> Option<Unwrapped<'_>> {
    line.strip_prefix("{\"log\":")?;
    let fields = Fields::of(line);
    let text = fields.log?;
    Some(Unwrapped {
        time: fields.time.as_deref().and_then(millis),
        goes_on: !text.ends_with('\n'),
        text: text.trim_end_matches('\n').to_owned().into(),
    })
}

/// Without `Nov 22 17:00:00 host etcd[123]: `, as rsyslog writes.
fn after_syslog(line: &str) -> &str {
    let after = || {
        let (before, after) = line.split_once("]: ")?;
        let (before, pid) = before.rsplit_once('[')?;
        let written_by_etcd = before.ends_with(" etcd") && pid.bytes().all(|byte| byte.is_ascii_digit());
        written_by_etcd.then_some(after)
    };
    after().unwrap_or(line)
}

/// Reads a line as etcd wrote it.
pub(super) fn parse(text: &str) -> Entry<'_> {
    let text = text.trim_end();
    if text.starts_with('{') {
        return json(text);
    }
    console(text)
        .or_else(|| capnslog(text))
        .or_else(|| raft(text))
        .unwrap_or_else(|| plain(text))
}

/// `{"level":"warn","ts":"…","caller":"…","msg":"…",…}`
fn json(text: &str) -> Entry<'_> {
    let fields = Fields::of(text);
    Entry {
        level: fields.level.as_deref().map_or(Level::Other, zap_level),
        message: fields.message.unwrap_or_default().into(),
        error: fields.error.unwrap_or_default().into(),
        time: fields.ts.as_deref().and_then(millis),
    }
}

/// `2026-11-22T17:00:00.100Z<tab>warn<tab>caller<tab>message<tab>{fields}`
fn console(text: &str) -> Option<Entry<'_>> {
    let mut parts = text.splitn(5, '\t');
    let (time, level, _caller, message) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let time = millis(time)?;
    let fields = parts.next().map(Fields::of).unwrap_or_default();
    Some(Entry {
        level: zap_level(level),
        message: message.into(),
        error: fields.error.unwrap_or_default().into(),
        time: Some(time),
    })
}

/// `2026-11-22 17:00:00.123456 W | etcdserver: message`, in the zone of etcd's host, which it does not tell.
fn capnslog(text: &str) -> Option<Entry<'_>> {
    let (head, message) = text.split_once(" | ")?;
    let mut parts = head.split(' ');
    let (date, time, level) = (parts.next()?, parts.next()?, parts.next()?);
    if date.len() != 10 || !time.contains(':') || level.len() != 1 || parts.next().is_some() {
        return None;
    }
    Some(Entry {
        level: if level == "C" { Level::Fatal } else { Level::Other },
        message: without_package(message).into(),
        ..Entry::default()
    })
}

/// `raft2026/11/22 17:00:00 INFO: message`, which 3.4 writes past its logger.
fn raft(text: &str) -> Option<Entry<'_>> {
    let rest = text.strip_prefix("raft")?;
    rest.starts_with(|first: char| first.is_ascii_digit())
        .then_some(())?;
    let (head, message) = rest.split_once(": ")?;
    Some(Entry {
        level: match head.rsplit(' ').next() {
            Some("FATAL") => Level::Fatal,
            Some("PANIC") => Level::Panic,
            _ => Level::Other,
        },
        message: message.into(),
        ..Entry::default()
    })
}

/// What Go itself writes, and what the journal keeps of 3.4: the message alone.
fn plain(text: &str) -> Entry<'_> {
    let panics = ["panic: ", "fatal error: "]
        .iter()
        .any(|start| text.starts_with(start));
    Entry {
        level: if panics { Level::Panic } else { Level::Other },
        message: without_package(text).into(),
        ..Entry::default()
    }
}

/// capnslog's package before a message: `etcdserver/membership: `.
fn without_package(message: &str) -> &str {
    match message.split_once(": ") {
        Some((package, rest))
            if matches!(
                package.split('/').next(),
                Some(
                    "etcdserver"
                        | "rafthttp"
                        | "wal"
                        | "mvcc"
                        | "embed"
                        | "etcdmain"
                        | "raft"
                        | "snap"
                        | "pkg"
                        | "auth"
                )
            ) && !package.contains(' ') =>
        {
            rest
        }
        _ => message,
    }
}

fn zap_level(level: &str) -> Level {
    match level {
        "fatal" => Level::Fatal,
        "panic" | "dpanic" => Level::Panic,
        _ => Level::Other,
    }
}

/// A time with its zone, in milliseconds since the epoch.
fn millis(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(|time| time.as_millisecond())
}

/// Of a JSON object those of its own texts that matter. Of one that was cut, as far as it goes.
#[derive(Default)]
struct Fields {
    level: Option<String>,
    ts: Option<String>,
    message: Option<String>,
    error: Option<String>,
    log: Option<String>,
    time: Option<String>,
}

impl Fields {
    fn of(text: &str) -> Self {
        let mut fields = Self::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        // What was read before the end of a cut line stays read.
        let _ = deserializer.deserialize_map(Into(&mut fields));
        fields
    }
}

struct Into<'f>(&'f mut Fields);

impl<'de> Visitor<'de> for Into<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            let slot = match &*key {
                "level" => &mut self.0.level,
                "ts" => &mut self.0.ts,
                "msg" => &mut self.0.message,
                "error" => &mut self.0.error,
                "log" => &mut self.0.log,
                "time" => &mut self.0.time,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if let Value::String(text) = map.next_value()? {
                *slot = Some(text);
            }
        }
        Ok(())
    }
}
