//! `rules check`, `rules list`, `rules inhibit`, and `rules test --bundle`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;

use super::run::FAILED;
use super::settings::variables;
use super::{ListFormat, bundle, terminal};
use crate::config::{self, Found, Loader};
use crate::rules::convention::{check_convention, imagined};
use crate::rules::rehearsal::check_templates;
use crate::rules::{self, AlertingRule, Group, RuleSet, builtin, inhibit};
use crate::{app, client};

pub(super) fn check(files: &[PathBuf]) -> anyhow::Result<u8> {
    let files: Vec<(String, Loaded)> = files
        .iter()
        .map(|file| (file.display().to_string(), load_rule_file(file)))
        .collect();
    let (report, good) = judged(files);
    terminal::print(&report)?;
    Ok(if good { 0 } else { FAILED })
}

/// The groups of a rule file, or all that is wrong with it.
type Loaded = Result<Vec<Group>, Vec<String>>;

fn load_rule_file(path: &Path) -> Loaded {
    let name = path.display().to_string();
    let text = client::read_text(path).map_err(|why| vec![why])?;
    rules::load(&name, &text).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// What is to be said of each file, and whether all are good. Both checks look at all files and the shipped
/// rules at once, since a rule may explain alerts of another file.
fn judged(files: Vec<(String, Loaded)>) -> (String, bool) {
    let (mut groups, mut verdicts) = (Vec::new(), Vec::new());
    for (name, outcome) in files {
        match outcome {
            Ok(loaded) => {
                verdicts.push((
                    name,
                    loaded.iter().map(|group| group.rules.len()).sum::<usize>(),
                    Vec::new(),
                ));
                groups.extend(loaded);
            }
            Err(errors) => verdicts.push((name, 0, errors)),
        }
    }
    let shipped = builtin::FILES.iter();
    groups.extend(shipped.flat_map(|(name, text)| rules::load(name, text).unwrap_or_default()));
    let mut beside = Vec::new();
    let rules = RuleSet::new(groups);
    for error in check_convention(&rules)
        .into_iter()
        .chain(check_templates(&rules))
    {
        match verdicts.iter_mut().find(|(name, ..)| *name == error.file) {
            Some((_, _, errors)) => errors.push(error.to_string()),
            // A shipped rule that one of the files makes part of a circle.
            None => beside.push(error.to_string()),
        }
    }
    let good = beside.is_empty() && verdicts.iter().all(|(_, _, errors)| errors.is_empty());
    let mut report = String::new();
    for (name, count, errors) in verdicts {
        match errors.as_slice() {
            [] => {
                let rules = if count == 1 { "rule" } else { "rules" };
                report += &format!("{name}: {count} {rules}, ok\n");
            }
            _ => report += &(errors.join("\n") + "\n"),
        }
    }
    for error in beside {
        report += &(error + "\n");
    }
    (report, good)
}

/// Stands for the endpoints of a command that asks no cluster.
const NOWHERE: &str = "127.0.0.1:2379";

/// The rules that a configuration puts in force.
async fn in_force(config_file: Option<PathBuf>) -> anyhow::Result<Arc<RuleSet>> {
    let flags = config::Flags {
        config_file,
        given: Vec::new(),
    };
    // No cluster is asked: none is looked for where the configuration names none.
    let nowhere = |_, _| {
        async {
            Ok(vec![Found {
                assumed: true,
                endpoints: vec![NOWHERE.to_owned()],
                ..Found::default()
            }])
        }
        .boxed()
    };
    let config = Loader::new(flags, variables().collect(), Arc::new(nowhere))
        .load()
        .await?;
    Ok(app::load_rules(&config)?.set)
}

pub(super) async fn inhibit(config_file: Option<PathBuf>) -> anyhow::Result<u8> {
    let rules = in_force(config_file).await?;
    terminal::print(&inhibit::yaml(&inhibit::inhibitions(&rules)))?;
    Ok(0)
}

pub(super) async fn list(output: ListFormat, config_file: Option<PathBuf>) -> anyhow::Result<u8> {
    let set = in_force(config_file).await?;
    let alerts: Vec<&AlertingRule> = set.alerting().map(|(_, _, rule)| rule).collect();
    let text = match output {
        ListFormat::Text => table(&alerts),
        ListFormat::Json => {
            let list: Vec<serde_json::Value> = alerts.iter().map(|rule| {
                let [alert, severity, category, hold, summary] = row(rule);
                serde_json::json!({"alert": alert, "severity": severity, "category": category, "for": hold, "summary": summary})
            }).collect();
            format!("{:#}\n", serde_json::Value::from(list))
        }
    };
    terminal::print(&text)?;
    Ok(0)
}

fn row(rule: &AlertingRule) -> [String; 5] {
    [
        rule.alert.clone(),
        rule.label("severity").to_owned(),
        rule.label("category").to_owned(),
        config::format_duration(rule.hold),
        // A template may be written on several lines.
        rule.annotation("summary")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
    ]
}

/// Columns as wide as their widest cell. The last, the summary, may be as long as it likes.
fn table(alerts: &[&AlertingRule]) -> String {
    let head = ["ALERT", "SEVERITY", "CATEGORY", "FOR", "SUMMARY"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(head)
        .chain(alerts.iter().map(|rule| row(rule)))
        .collect();
    let widths: [usize; 4] = std::array::from_fn(|column| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        line += &imagined(&row[4]);
        text += line.trim_end();
        text.push('\n');
    }
    text
}

pub(super) fn test(bundle: &Path, files: &[PathBuf]) -> anyhow::Result<u8> {
    let (report, good) = bundle::try_rules(bundle, files)?;
    terminal::print(&report)?;
    Ok(if good { 0 } else { FAILED })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_files_are_counted_or_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, rules: &str| {
            std::fs::write(path(name), format!("groups: [{{name: g, rules: [{rules}]}}]")).unwrap();
        };
        write(
            "good.yaml",
            "{alert: A, expr: up == 0}, {record: 'a:b', expr: up}",
        );
        write("bad.yaml", "{alert: A, expr: 'up =='}");
        let judge = |names: &[&str]| {
            let (report, good) = judged(
                names
                    .iter()
                    .map(|name| (path(name).display().to_string(), load_rule_file(&path(name))))
                    .collect(),
            );
            (report.replace(&format!("{}/", folder.path().display()), ""), good)
        };
        assert_eq!(judge(&["good.yaml"]), ("good.yaml: 2 rules, ok\n".into(), true));
        let (report, good) = judge(&["bad.yaml", "good.yaml", "none.yaml"]);
        assert!(!good);
        let lines: Vec<&str> = report.lines().collect();
        assert!(lines[0].starts_with("bad.yaml:1:"), "{report}");
        assert_eq!(lines[1], "good.yaml: 2 rules, ok");
        assert!(lines[2].starts_with("none.yaml: could not read it: "), "{report}");
    }

    #[test]
    fn the_list_is_a_table() {
        let text = "groups: [{name: g, rules: [{alert: Etcd, expr: up, for: 90s, labels: {severity: info}, annotations: {summary: s}}]}]";
        let set = RuleSet::new(rules::load("f", text).unwrap());
        let alerts: Vec<&AlertingRule> = set.alerting().map(|(_, _, rule)| rule).collect();
        assert_eq!(
            table(&alerts),
            "ALERT  SEVERITY  CATEGORY  FOR    SUMMARY\nEtcd   info                1m30s  s\n"
        );
    }
}
