//! Relabelling as Prometheus does it: a list of steps that labels go through, or end at.

use regex::Regex;

use crate::model::Labels;
use crate::promql;

/// The longest label value that a replacement may make. Labels are shown in a page's title.
const MAX_VALUE: usize = 4 << 10;

/// What stands where nothing is written, as in Prometheus.
const SEPARATOR: &str = ";";
const REGEX: &str = "(.*)";
const REPLACEMENT: &str = "$1";

/// A step as it was written. What is absent has Prometheus' default.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// The labels whose values are joined.
    pub source_labels: Vec<String>,
    /// What is put between them; `;`.
    pub separator: Option<String>,
    /// What the joined value, or a label's name, must match as a whole; `(.*)`.
    pub regex: Option<String>,
    /// The label that is set or compared.
    pub target_label: Option<String>,
    /// The new value, with `$1`, `${name}` for what was matched; `$1`.
    pub replacement: Option<String>,
    /// The action's word; `replace`.
    pub action: Option<String>,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Relabel {
    written: Written,
    regex: Regex,
    action: Action,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

const ACTIONS: [(&str, Action); 10] = [
    ("replace", Action::Replace),
    ("keep", Action::Keep),
    ("drop", Action::Drop),
    ("keepequal", Action::KeepEqual),
    ("dropequal", Action::DropEqual),
    ("labelmap", Action::LabelMap),
    ("labeldrop", Action::LabelDrop),
    ("labelkeep", Action::LabelKeep),
    ("lowercase", Action::Lowercase),
    ("uppercase", Action::Uppercase),
];

/// What is wrong with a step: the key, and in words what.
pub type Refusal = (&'static str, String);

impl Relabel {
    /// A step, if Prometheus would take it.
    ///
    /// # Errors
    /// The key that is wrong or missing, and what is expected of it.
    pub fn new(written: Written) -> Result<Self, Refusal> {
        let action = action(written.action.as_deref().unwrap_or("replace"))?;
        let pattern = written.regex.as_deref().unwrap_or(REGEX);
        let regex = promql::anchored(pattern).map_err(|error| ("regex", error.0))?;
        for name in &written.source_labels {
            if !is_label_name(name) {
                return Err(("source_labels", no_label_name(name)));
            }
        }
        written.check_target(action)?;
        written.check_beside(action)?;
        Ok(Self {
            written,
            regex,
            action,
        })
    }

    /// As it was written.
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// The labels after this step; none when it drops what they belong to.
    fn apply(&self, labels: Labels) -> Option<Labels> {
        let target = self.written.target_label.as_deref().unwrap_or_default();
        let value = || {
            let values = self.written.source_labels.iter();
            let values: Vec<&str> = values.map(|name| labels.get(name)).collect();
            values.join(self.written.separator.as_deref().unwrap_or(SEPARATOR))
        };
        let kept = |keep: bool| keep.then(|| labels.clone());
        match self.action {
            Action::Replace => Some(self.replaced(&labels, &value())),
            Action::Keep => kept(self.regex.is_match(&value())),
            Action::Drop => kept(!self.regex.is_match(&value())),
            Action::KeepEqual => kept(labels.get(target) == value()),
            Action::DropEqual => kept(labels.get(target) != value()),
            Action::Lowercase => Some(labels.with(target, &value().to_lowercase())),
            Action::Uppercase => Some(labels.with(target, &value().to_uppercase())),
            Action::LabelMap => Some(self.mapped(&labels)),
            Action::LabelDrop => Some(self.filtered(&labels, false)),
            Action::LabelKeep => Some(self.filtered(&labels, true)),
        }
    }

    fn replacement(&self) -> &str {
        self.written.replacement.as_deref().unwrap_or(REPLACEMENT)
    }

    fn replaced(&self, labels: &Labels, value: &str) -> Labels {
        let target = self.written.target_label.as_deref().unwrap_or_default();
        let Some(captures) = self.regex.captures(value) else {
            return labels.clone();
        };
        let expanded = |text| promql::expand(&captures, text, MAX_VALUE);
        match (expanded(target), expanded(self.replacement())) {
            (Some(name), Some(value)) if is_label_name(&name) => labels.with(&name, &value),
            // As in Prometheus, what gives no name for a label changes nothing.
            _ => labels.clone(),
        }
    }

    fn mapped(&self, labels: &Labels) -> Labels {
        let mut mapped = labels.clone();
        for (name, value) in labels.iter() {
            let Some(captures) = self.regex.captures(name) else {
                continue;
            };
            let name = promql::expand(&captures, self.replacement(), MAX_VALUE);
            if let Some(name) = name.filter(|name| is_label_name(name)) {
                mapped = mapped.with(&name, value);
            }
        }
        mapped
    }

    fn filtered(&self, labels: &Labels, matching: bool) -> Labels {
        let kept = labels
            .iter()
            .filter(|(name, _)| self.regex.is_match(name) == matching);
        Labels::new(kept)
    }
}

impl PartialEq for Relabel {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

/// The labels after all steps; none when one of them drops what they belong to, or nothing is left of them.
pub fn apply(steps: &[Relabel], labels: Labels) -> Option<Labels> {
    let labels = steps.iter().try_fold(labels, |labels, step| step.apply(labels))?;
    (!labels.is_empty()).then_some(labels)
}

fn action(word: &str) -> Result<Action, Refusal> {
    let lower = word.to_lowercase();
    if lower == "hashmod" {
        let why = "hashmod, which spreads targets over several Prometheus servers, is not supported: every alert goes to \
                   every Alertmanager";
        return Err(("action", why.to_owned()));
    }
    let found = ACTIONS.iter().find(|(known, _)| *known == lower);
    found.map(|(_, action)| *action).ok_or_else(|| {
        let known: Vec<&str> = ACTIONS.iter().map(|(known, _)| *known).collect();
        let why = format!("expected one of {}, found {word:?}", known.join(", "));
        ("action", why)
    })
}

impl Written {
    fn check_target(&self, action: Action) -> Result<(), Refusal> {
        let name = action_name(action);
        match (action, self.target_label.as_deref().unwrap_or_default()) {
            (
                Action::Replace
                | Action::KeepEqual
                | Action::DropEqual
                | Action::Lowercase
                | Action::Uppercase,
                "",
            ) => Err(("target_label", format!("the action {name} needs it"))),
            // A name that is made of what was matched is known only then.
            (Action::Replace, target) if target.contains('$') => Ok(()),
            (_, target) if target.is_empty() || is_label_name(target) => Ok(()),
            (_, target) => Err(("target_label", no_label_name(target))),
        }
    }

    /// Prometheus refuses what an action would not look at, where it is likely a mistake.
    fn check_beside(&self, action: Action) -> Result<(), Refusal> {
        let name = action_name(action);
        let given = [
            ("source_labels", !self.source_labels.is_empty()),
            ("separator", self.separator.is_some()),
            ("regex", self.regex.is_some()),
            ("target_label", self.target_label.is_some()),
            ("replacement", self.replacement.is_some()),
        ];
        let takes: &[&str] = match action {
            Action::KeepEqual | Action::DropEqual => &["source_labels", "target_label"],
            Action::LabelDrop | Action::LabelKeep => &["regex"],
            _ => return Ok(()),
        };
        match given.iter().find(|(key, given)| *given && !takes.contains(key)) {
            Some((key, _)) => Err((
                key,
                format!("the action {name} takes only {}", takes.join(" and ")),
            )),
            None => Ok(()),
        }
    }
}

fn action_name(action: Action) -> &'static str {
    let found = ACTIONS.iter().find(|(_, other)| *other == action);
    found.map_or("", |(name, _)| name)
}

/// Whether every Alertmanager takes this as the name of a label.
fn is_label_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(word) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn no_label_name(name: &str) -> String {
    format!("{name:?} is no label name: expected letters, digits and _, not a digit at the start")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step from `key=value` pairs.
    fn step(pairs: &str) -> Result<Relabel, Refusal> {
        let mut written = Written::default();
        for pair in pairs.split_whitespace() {
            let (key, value) = pair.split_once('=').unwrap();
            let names = value.split(',').map(str::to_owned);
            let value = Some(value.to_owned());
            match key {
                "source" => written.source_labels = names.collect(),
                "separator" => written.separator = value,
                "regex" => written.regex = value,
                "target" => written.target_label = value,
                "replacement" => written.replacement = value,
                "action" => written.action = value,
                _ => panic!("{key}"),
            }
        }
        Relabel::new(written)
    }

    fn after(steps: &[&str]) -> Option<String> {
        let steps: Vec<Relabel> = steps.iter().map(|pairs| step(pairs).unwrap()).collect();
        let labels = Labels::new([("alertname", "Full"), ("cluster", "prod-1"), ("severity", "Info")]);
        apply(&steps, labels).map(|labels| labels.to_string())
    }

    #[test]
    fn each_action_does_what_it_does_in_prometheus() {
        let same = r#"{alertname="Full", cluster="prod-1", severity="Info"}"#;
        for (pairs, expected) in [
            (
                "source=cluster regex=(.*)-(.*) target=env replacement=$1",
                r#"{alertname="Full", cluster="prod-1", env="prod", severity="Info"}"#,
            ),
            (
                "source=cluster,severity target=both",
                r#"{alertname="Full", both="prod-1;Info", cluster="prod-1", severity="Info"}"#,
            ),
            (
                "source=cluster,severity separator=/ target=both",
                r#"{alertname="Full", both="prod-1/Info", cluster="prod-1", severity="Info"}"#,
            ),
            // It must match as a whole.
            ("source=cluster regex=prod target=env", same),
            // A value that is empty takes the label away.
            (
                "target=severity replacement=",
                r#"{alertname="Full", cluster="prod-1"}"#,
            ),
            (
                "target=site replacement=ams",
                r#"{alertname="Full", cluster="prod-1", severity="Info", site="ams"}"#,
            ),
            (
                "source=cluster regex=(.*)-1 target=${1}_x replacement=y",
                r#"{alertname="Full", cluster="prod-1", prod_x="y", severity="Info"}"#,
            ),
            ("source=cluster target=$1 replacement=y", same),
            ("source=severity regex=Info action=keep", same),
            ("source=severity regex=info action=drop", same),
            ("source=severity target=cluster action=dropequal", same),
            (
                "source=severity target=severity action=lowercase",
                r#"{alertname="Full", cluster="prod-1", severity="info"}"#,
            ),
            (
                "source=severity target=severity action=UPPERCASE",
                r#"{alertname="Full", cluster="prod-1", severity="INFO"}"#,
            ),
            (
                "regex=(s.*)y replacement=my_$1 action=labelmap",
                r#"{alertname="Full", cluster="prod-1", my_severit="Info", severity="Info"}"#,
            ),
            (
                "regex=c.* action=labeldrop",
                r#"{alertname="Full", severity="Info"}"#,
            ),
            ("regex=alertname action=labelkeep", r#"{alertname="Full"}"#),
        ] {
            assert_eq!(after(&[pairs]).as_deref(), Some(expected), "{pairs}");
        }
    }

    #[test]
    fn what_is_dropped_goes_no_further() {
        for pairs in [
            "source=severity regex=Info action=drop",
            "source=severity regex=critical action=keep",
            "source=severity target=cluster action=keepequal",
        ] {
            assert_eq!(after(&[pairs, "target=a replacement=b"]), None, "{pairs}");
        }
        assert_eq!(
            after(&["regex=none action=labelkeep"]),
            None,
            "no labels are left"
        );
    }

    #[test]
    fn what_prometheus_refuses_is_refused_by_its_key() {
        for (pairs, key, why) in [
            ("action=hashmod", "action", "not supported"),
            (
                "action=replce target=a",
                "action",
                "expected one of replace, keep",
            ),
            ("source=a", "target_label", "the action replace needs it"),
            ("action=lowercase source=a", "target_label", "lowercase needs it"),
            ("target=a-b", "target_label", "no label name"),
            ("action=uppercase target=$1", "target_label", "no label name"),
            ("source=1a target=a", "source_labels", "no label name"),
            ("regex=( target=a", "regex", "regular expression"),
            ("action=labeldrop regex=a source=a", "source_labels", "only regex"),
            (
                "action=keepequal source=a target=b regex=c",
                "regex",
                "only source_labels and target_label",
            ),
        ] {
            let (at, what) = step(pairs).unwrap_err();
            assert_eq!(at, key, "{pairs}: {what}");
            assert!(what.contains(why), "{pairs}: {what}");
        }
    }
}
