//! What etcd was told: by flags, by its environment or by its configuration file.

use std::collections::BTreeMap;
use std::path::Path;

use super::proc::read_text;
use crate::model::{CollectError, Reason};

/// The settings of etcd that are read from a process, as its flags are called. A closed list, so that no secret
/// (`--initial-cluster-token`, `--auth-token`, a proxy's password in the environment) is ever kept;
/// of keys and certificates only the paths.
const SETTINGS: &[&str] = &[
    "name",
    "data-dir",
    "wal-dir",
    "advertise-client-urls",
    "listen-client-urls",
    "listen-metrics-urls",
    "listen-peer-urls",
    "trusted-ca-file",
    "cert-file",
    "key-file",
    "client-cert-file",
    "peer-trusted-ca-file",
    "peer-cert-file",
    "peer-client-cert-file",
    "quota-backend-bytes",
    "max-request-bytes",
    "heartbeat-interval",
    "election-timeout",
    "snapshot-count",
    "auto-compaction-mode",
    "auto-compaction-retention",
    "log-outputs",
    "corrupt-check-time",
    "feature-gates",
];

/// Those that are true or false, and that Go takes without a value.
const SWITCHES: &[&str] = &[
    "client-cert-auth",
    "auto-tls",
    "peer-client-cert-auth",
    "peer-auto-tls",
    "pre-vote",
    "initial-corrupt-check",
    "compact-hash-check-enabled",
];

/// What etcd before 3.6 writes before the names of settings that were new then.
const EXPERIMENTAL: &str = "experimental-";

/// Sections of the configuration file, and what the flags have before the names of the settings there.
const SECTIONS: [(&str, &str); 2] = [
    ("client-transport-security", ""),
    ("peer-transport-security", "peer-"),
];

/// What tells etcd to read a file and to ignore every other flag and variable.
pub(super) const CONFIG_FILE: &str = "config-file";

fn known(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix(EXPERIMENTAL).unwrap_or(name);
    let settings = SETTINGS.iter().chain(SWITCHES).chain([&CONFIG_FILE]);
    settings.copied().find(|setting| *setting == name)
}

/// Where a process has a setting from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Its command line.
    Flag,
    /// Its environment.
    Environment,
    /// Its configuration file.
    File,
}

impl Origin {
    /// Its name in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
        }
    }
}

/// Reads Go's forms of a flag: `-name x`, `--name x` and `--name=x`; the last one counts.
pub(super) fn from_arguments(arguments: &[String]) -> BTreeMap<&'static str, String> {
    let mut settings = BTreeMap::new();
    let mut rest = arguments.iter().skip(1).take_while(|argument| *argument != "--");
    while let Some(argument) = rest.next() {
        let Some(flag) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            continue;
        };
        let (name, inline) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        let mut value = |setting| match inline {
            Some(value) => Some(value.to_owned()),
            None if SWITCHES.contains(&setting) => Some("true".to_owned()),
            None => rest.next().cloned(),
        };
        if let Some(setting) = known(name)
            && let Some(value) = value(setting)
        {
            settings.insert(setting, value);
        }
    }
    settings
}

/// Reads `ETCD_DATA_DIR=…`, the variable of each flag.
pub(super) fn from_environment(variables: &[String]) -> BTreeMap<&'static str, String> {
    let setting = |variable: &String| {
        let (name, value) = variable.strip_prefix("ETCD_")?.split_once('=')?;
        let setting = known(&name.to_ascii_lowercase().replace('_', "-"))?;
        (!value.is_empty()).then(|| (setting, value.to_owned()))
    };
    variables.iter().filter_map(setting).collect()
}

/// Reads etcd's configuration file.
pub(super) fn from_file(path: &Path) -> Result<BTreeMap<&'static str, String>, CollectError> {
    from_yaml(&read_text(path)?).map_err(|error| CollectError {
        reason: Reason::Malformed,
        message: format!(
            "could not read {} as etcd's configuration file: {error}",
            path.display()
        ),
        fix: String::new(),
    })
}

/// Reads etcd's YAML configuration file, whose keys are the flags' names, those of certificates in sections.
pub(super) fn from_yaml(text: &str) -> Result<BTreeMap<&'static str, String>, String> {
    type Keys = BTreeMap<String, serde_json::Value>;
    let mut keys: Keys = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    for (section, prefix) in SECTIONS {
        if let Some(serde_json::Value::Object(inner)) = keys.remove(section) {
            keys.extend(
                inner
                    .into_iter()
                    .map(|(name, value)| (format!("{prefix}{name}"), value)),
            );
        }
    }
    let setting = |(name, value): (String, serde_json::Value)| {
        let value = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            serde_json::Value::Bool(switch) => switch.to_string(),
            serde_json::Value::Array(items) => {
                let items: Option<Vec<&str>> = items.iter().map(serde_json::Value::as_str).collect();
                items?.join(",")
            }
            _ => return None,
        };
        Some((known(&name)?, value)).filter(|(_, value)| !value.is_empty())
    };
    Ok(keys
        .into_iter()
        .filter_map(setting)
        .filter(|(name, _)| *name != CONFIG_FILE)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn reads_all_forms_of_a_flag_and_keeps_no_secret() {
        let line = "etcd -name a --pre-vote --data-dir=/d --initial-cluster-token s3cret --quota-backend-bytes -1 --data-dir /e \
                    -- --wal-dir /no";
        let settings = from_arguments(&words(line));
        let expected = [
            ("data-dir", "/e"),
            ("name", "a"),
            ("pre-vote", "true"),
            ("quota-backend-bytes", "-1"),
        ];
        assert_eq!(
            settings,
            expected.map(|(name, value)| (name, value.to_owned())).into()
        );
    }

    #[test]
    fn a_switch_takes_no_value_and_an_experimental_name_is_the_later_one() {
        let line = "etcd --client-cert-auth --name a --pre-vote=false --experimental-corrupt-check-time 4h \
                    --experimental-initial-corrupt-check";
        let expected = [
            ("client-cert-auth", "true"),
            ("corrupt-check-time", "4h"),
            ("initial-corrupt-check", "true"),
            ("name", "a"),
            ("pre-vote", "false"),
        ];
        assert_eq!(
            from_arguments(&words(line)),
            expected.map(|(name, value)| (name, value.to_owned())).into()
        );
    }

    #[test]
    fn reads_the_environment_of_a_closed_list() {
        let variables =
            words("ETCD_NAME=b ETCD_WAL_DIR=/w ETCD_DATA_DIR= ETCD_INITIAL_CLUSTER_TOKEN=s PASSWORD=p");
        let expected = [("name", "b"), ("wal-dir", "/w")];
        assert_eq!(
            from_environment(&variables),
            expected.map(|(name, value)| (name, value.to_owned())).into()
        );
    }

    #[test]
    fn reads_a_configuration_file() {
        let text = "name: 'c'\ndata-dir: /d\nquota-backend-bytes: 8589934592\ninitial-cluster-token: t\n\
                    client-transport-security:\n  key-file: k\n  client-cert-auth: true\n\
                    peer-transport-security:\n  cert-file: p\n  password: secret\n";
        let expected = [
            ("client-cert-auth", "true"),
            ("data-dir", "/d"),
            ("key-file", "k"),
            ("name", "c"),
            ("peer-cert-file", "p"),
            ("quota-backend-bytes", "8589934592"),
        ];
        assert_eq!(
            from_yaml(text).unwrap(),
            expected.map(|(name, value)| (name, value.to_owned())).into()
        );
        assert!(from_yaml("name: [").is_err());
    }
}
