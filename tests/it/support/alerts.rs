//! Alerts as the two evaluators give them, and whether they are the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A firing alert: its labels, and its annotations.
pub type Alert = (BTreeMap<String, String>, BTreeMap<String, String>);

/// Whether both fire the same, with these alert names among them and without those; else what differs, in words.
pub fn agreement(
    ours: &BTreeSet<Alert>,
    theirs: &BTreeSet<Alert>,
    with: &[&str],
    without: &[&str],
) -> Result<(), String> {
    let names: BTreeSet<&str> = ours.iter().map(|(labels, _)| &*labels["alertname"]).collect();
    let complete =
        with.iter().all(|name| names.contains(name)) && !without.iter().any(|name| names.contains(name));
    if complete && ours == theirs {
        return Ok(());
    }
    let only = |these: &BTreeSet<Alert>, those: &BTreeSet<Alert>| {
        let lines: Vec<_> = these
            .difference(those)
            .map(|alert| format!("{alert:#?}"))
            .collect();
        lines.join("\n")
    };
    Err(format!(
        "etcd-doctor fires {names:?}\nonly etcd-doctor: {}\nonly Prometheus: {}",
        only(ours, theirs),
        only(theirs, ours)
    ))
}

/// The texts of a JSON object by their names: labels, or annotations.
pub fn texts(object: &Value) -> BTreeMap<String, String> {
    let pairs = object.as_object().into_iter().flatten();
    pairs
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}
