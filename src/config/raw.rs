//! The shape of the settings: every key with its type. What is absent is `None`; defaults are a layer of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Unexpected, Visitor};

use super::duration;
use crate::client::Secret;
use crate::client::proc::HostAccess;
use crate::telemetry::LogFormat;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Root {
    pub interval: Leaf<Duration>,
    pub timeout: Leaf<Duration>,
    pub window: Leaf<Duration>,
    pub clusters: Option<Vec<Cluster>>,
    pub rules: Rules,
    pub alerting: Alerting,
    pub web: Web,
    pub store: Store,
    pub log: Log,
    pub paths: Paths,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cluster {
    pub name: Option<Leaf<String>>,
    pub endpoints: Option<List<String>>,
    pub tls: Option<Tls>,
    pub username: Option<Leaf<String>>,
    pub password: Option<Leaf<Secret>>,
    pub password_file: Option<Leaf<PathBuf>>,
    pub metrics_urls: Option<BTreeMap<String, Leaf<String>>>,
    pub quota_bytes: Option<Leaf<Bytes>>,
    pub host: Option<Leaf<HostAccess>>,
    pub backups: Option<List<PathBuf>>,
    pub logs: Option<OneOrEach>,
    pub peer_ports: Option<Leaf<bool>>,
    pub peer_tls: Option<Tls>,
    pub hashkv_interval: Option<Leaf<Duration>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub ca_file: Option<Leaf<PathBuf>>,
    pub cert_file: Option<Leaf<PathBuf>>,
    pub key_file: Option<Leaf<PathBuf>>,
    pub server_name: Option<Leaf<String>>,
    pub insecure_skip_verify: Option<Leaf<bool>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    pub builtin: Leaf<bool>,
    pub files: Option<List<PathBuf>>,
    pub external_labels: Option<BTreeMap<String, Leaf<String>>>,
    pub state_dir: Option<Leaf<PathBuf>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alerting {
    pub resend_delay: Leaf<Duration>,
    pub watchdog: Leaf<bool>,
    pub alert_relabel_configs: Option<Vec<Relabel>>,
    pub alertmanagers: Option<Vec<Alertmanagers>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alertmanagers {
    pub urls: Option<List<String>>,
    pub tls: Option<Tls>,
    pub username: Option<Leaf<String>>,
    pub password_file: Option<Leaf<PathBuf>>,
    pub bearer_token_file: Option<Leaf<PathBuf>>,
    pub timeout: Option<Leaf<Duration>>,
    pub alert_relabel_configs: Option<Vec<Relabel>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Relabel {
    pub source_labels: Option<List<String>>,
    pub separator: Option<Leaf<String>>,
    pub regex: Option<Leaf<String>>,
    pub modulus: Option<Leaf<String>>,
    pub target_label: Option<Leaf<String>>,
    pub replacement: Option<Leaf<String>>,
    pub action: Option<Leaf<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Web {
    pub external_url: Option<Leaf<String>>,
    pub listen_address: Leaf<String>,
    pub enable_remote_reload: Leaf<bool>,
    pub config_file: Option<Leaf<PathBuf>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    pub max_series: Leaf<usize>,
    pub etcd_job: Leaf<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub level: Leaf<tracing::level_filters::LevelFilter>,
    pub format: Leaf<LogFormat>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paths {
    pub proc: Leaf<PathBuf>,
    pub sys: Leaf<PathBuf>,
    pub rootfs: Leaf<PathBuf>,
}

/// A single value, read from its text.
#[derive(Debug)]
pub(super) struct Leaf<T>(pub T);

/// What a leaf may be.
pub(super) trait FromText: Sized {
    /// What is expected, in words.
    const EXPECTED: &'static str;

    /// None when the text is not that.
    fn from_text(text: &str) -> Option<Self>;
}

impl<'de, T: FromText> Deserialize<'de> for Leaf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LeafVisitor<T>(PhantomData<T>);

        impl<T: FromText> Visitor<'_> for LeafVisitor<T> {
            type Value = Leaf<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Leaf<T>, E> {
                T::from_text(text)
                    .map(Leaf)
                    .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(LeafVisitor(PhantomData))
    }
}

/// A list of values; one text with commas will do, as variables and etcdctl's flags need it.
pub(super) struct List<T>(pub Vec<T>);

impl<'de, T: FromText> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: FromText> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list, or a text with commas, of {}", T::EXPECTED)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<List<T>, E> {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                items
                    .map(T::from_text)
                    .collect::<Option<_>>()
                    .map(List)
                    .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(Leaf(item)) = seq.next_element()? {
                    items.push(item);
                }
                Ok(List(items))
            }
        }

        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// One text, or one for each of several names.
pub(super) enum OneOrEach {
    One(String),
    Each(BTreeMap<String, Leaf<String>>),
}

impl<'de> Deserialize<'de> for OneOrEach {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrEachVisitor;

        impl<'de> Visitor<'de> for OneOrEachVisitor {
            type Value = OneOrEach;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or names with a text for each")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OneOrEach, E> {
                Ok(OneOrEach::One(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOrEach, A::Error> {
                BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(OneOrEach::Each)
            }
        }

        deserializer.deserialize_any(OneOrEachVisitor)
    }
}

/// A number of bytes, without a unit.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl FromText for String {
    const EXPECTED: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl FromText for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }
}

impl FromText for Secret {
    const EXPECTED: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::new(text))
    }
}

impl FromText for Duration {
    const EXPECTED: &'static str = "a duration such as 5s or 1m30s";

    fn from_text(text: &str) -> Option<Self> {
        duration::parse(text)
    }
}

impl FromText for HostAccess {
    const EXPECTED: &'static str = "true, limited or false";

    fn from_text(text: &str) -> Option<Self> {
        match bool::from_text(text) {
            Some(true) => Some(Self::Full),
            Some(false) => Some(Self::None),
            None => text.eq_ignore_ascii_case("limited").then_some(Self::Limited),
        }
    }
}

impl FromText for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            // What YAML 1.1 takes for truth values; etcdctl's variables may be 1 and 0.
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        }
    }
}

impl FromText for Bytes {
    const EXPECTED: &'static str = "a whole number of bytes, such as 8589934592 for 8 GiB";

    fn from_text(text: &str) -> Option<Self> {
        text.replace('_', "").parse().ok().map(Self)
    }
}

impl FromText for usize {
    const EXPECTED: &'static str = "a whole number";

    fn from_text(text: &str) -> Option<Self> {
        text.replace('_', "").parse().ok()
    }
}

impl FromText for tracing::level_filters::LevelFilter {
    const EXPECTED: &'static str = "one of off, error, warn, info, debug, trace";

    fn from_text(text: &str) -> Option<Self> {
        // `from_str` would take numbers as well.
        text.bytes()
            .all(|byte| byte.is_ascii_alphabetic())
            .then(|| Self::from_str(text).ok())?
    }
}

impl FromText for LogFormat {
    const EXPECTED: &'static str = "one of logfmt, json";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "logfmt" => Some(Self::Logfmt),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Absent and empty (`name:` without a value) are the same thing for keys that may be absent; the rest must have a value.
pub(super) fn in_words(kind: &figment::error::Kind) -> String {
    use figment::error::{Actual, Kind};
    let found = |actual: &Actual| match actual {
        Actual::Unit | Actual::Option => "nothing".to_owned(),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "keys and values".to_owned(),
        Actual::Str(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    let expected = |words: &str| match words
        .strip_prefix("struct ")
        .or_else(|| words.strip_prefix("a map"))
    {
        Some(_) => "keys and values".to_owned(),
        None if words.starts_with("a sequence") => "a list".to_owned(),
        None => words.to_owned(),
    };
    match kind {
        Kind::UnknownField(_, []) => "unknown key".into(),
        Kind::UnknownField(_, known) => format!("unknown key; known here: {}", known.join(", ")),
        Kind::InvalidType(actual, words) | Kind::InvalidValue(actual, words) => {
            format!("expected {}, found {}", expected(words), found(actual))
        }
        Kind::MissingField(name) => format!("{name} is missing"),
        other => other.to_string(),
    }
}
