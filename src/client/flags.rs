//! What etcd was told: by flags, by its environment or by its configuration file.

use std::collections::BTreeMap;
use std::path::Path;

use super::proc::read_text;
use crate::model::{CollectError, Reason};

/// The settings of etcd that are read from a process, as its flags are called. A closed list, so that no secret
/// (`--initial-cluster-token`, `--auth-token`, a proxy's password in the environment) is ever kept;
/// of keys and certificates only the paths.
const SETTINGS: [&str; 16] = [
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
    "quota-backend-bytes",
    "heartbeat-interval",
    "election-timeout",
    "snapshot-count",
    "auto-compaction-mode",
    "auto-compaction-retention",
];

/// What tells etcd to read a file and to ignore every other flag and variable.
pub(super) const CONFIG_FILE: &str = "config-file";

fn known(name: &str) -> Option<&'static str> {
    SETTINGS
        .into_iter()
        .chain([CONFIG_FILE])
        .find(|setting| *setting == name)
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
        if let Some(setting) = known(name)
            && let Some(value) = inline.map(str::to_owned).or_else(|| rest.next().cloned())
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

/// Reads etcd's YAML configuration file, whose keys are the flags' names.
fn from_yaml(text: &str) -> Result<BTreeMap<&'static str, String>, String> {
    let values: BTreeMap<String, serde_json::Value> =
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let setting = |(name, value): (String, serde_json::Value)| {
        let value = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            _ => return None,
        };
        Some((known(&name)?, value)).filter(|(_, value)| !value.is_empty())
    };
    Ok(values
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
        let expected = [("data-dir", "/e"), ("name", "a"), ("quota-backend-bytes", "-1")];
        assert_eq!(
            settings,
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
        let text = "name: 'c'\ndata-dir: /d\nquota-backend-bytes: 8589934592\nclient-transport-security:\n  key-file: k\n";
        let expected = [
            ("data-dir", "/d"),
            ("name", "c"),
            ("quota-backend-bytes", "8589934592"),
        ];
        assert_eq!(
            from_yaml(text).unwrap(),
            expected.map(|(name, value)| (name, value.to_owned())).into()
        );
        assert!(from_yaml("name: [").is_err());
    }
}
