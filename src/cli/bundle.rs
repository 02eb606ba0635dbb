//! Support bundles on the command line: made by `diagnose --save`, judged again by `diagnose --bundle` and by
//! `rules test --bundle`.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use crate::app::{self, Rules};
use crate::bundle::{self, Bundle, Change, Recording, Replay, Retrial, Secrets};
use crate::client;
use crate::config::Config;
use crate::cycle;
use crate::diagnosis::{Diagnosis, Problem};
use crate::model::{Labels, Timestamp};
use crate::render::{self, Report};
use crate::rules::{AlertState, builtin};

/// Writes what a report was made from.
pub(super) fn save(
    file: &Path,
    config: &Config,
    rules: &Rules,
    report: &Report<'_>,
    recordings: Vec<Recording>,
) -> anyhow::Result<()> {
    let bundle = Bundle {
        created: report.time,
        version: report.tool.version.clone(),
        rules_digest: report.tool.rules_digest.clone(),
        config: config.to_yaml(),
        rules: rules.texts.to_vec(),
        report: serde_json::from_str(&render::json::render(report)).context("could not write the report")?,
        recordings,
    };
    let bytes = bundle::write(&bundle, &Secrets::new(config.secrets()))?;
    keep(file, &bytes)
}

/// Puts a bundle into its file: all of it or nothing, and for its owner's eyes, since it tells much of a cluster.
pub(super) fn keep(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let why = || format!("could not write the bundle {}", file.display());
    let name = file.file_name().with_context(why)?;
    let mut part = name.to_owned();
    part.push(".part");
    let part = file.with_file_name(part);
    let written = write_privately(&part, bytes).and_then(|()| std::fs::rename(&part, file));
    if written.is_err() {
        // What is left of it helps nobody, and may not even be there.
        let _ = std::fs::remove_file(&part);
    }
    written.with_context(why)?;
    super::run::complain(&format!(
        "saved to {} ({} KiB); show it with: etcd-doctor diagnose --bundle {0}",
        file.display(),
        bytes.len().div_ceil(1024)
    ));
    Ok(())
}

fn write_privately(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Reads a bundle's file, and says on standard error whence it is.
pub(super) fn open(file: &Path) -> anyhow::Result<Bundle> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|opened| {
            opened
                .take(bundle::MAX_COMPRESSED as u64 + 1)
                .read_to_end(&mut bytes)
        })
        .with_context(|| format!("could not read the bundle {}", file.display()))?;
    let bundle = bundle::read(&bytes).with_context(|| format!("cannot use {}", file.display()))?;
    super::run::complain(&format!(
        "{}: as it was at {}, saved by etcd-doctor {}",
        file.display(),
        bundle.created,
        printable(&bundle.version)
    ));
    Ok(bundle)
}

/// The bundle with only the cluster that is wanted.
pub(super) fn only(bundle: &mut Bundle, wanted: Option<&str>) -> anyhow::Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let names: Vec<String> = bundle
        .recordings
        .iter()
        .map(|recording| printable(&recording.cluster))
        .collect();
    bundle
        .recordings
        .retain(|recording| &*recording.cluster == wanted);
    if bundle.recordings.is_empty() {
        bail!(
            "--cluster: there is no cluster {wanted:?}; there are: {}",
            names.join(", ")
        );
    }
    Ok(())
}

/// The rules that a bundle carries.
pub(super) fn rules(bundle: &Bundle) -> anyhow::Result<Rules> {
    app::rules_of(bundle.rules.clone()).context("this version cannot use the rules of the bundle")
}

/// The diagnoses of a bundle, made anew by the rules that it carries, and these rules.
pub(super) fn diagnoses(bundle: &Bundle) -> anyhow::Result<(Rules, Vec<Diagnosis>)> {
    let rules = rules(bundle)?;
    let providers = cycle::providers();
    let diagnoses = bundle.recordings.iter().map(|recording| {
        let replay = Replay::new(recording, &providers);
        warn_of_unknown(&replay);
        replay.diagnosis(&rules.set)
    });
    let diagnoses = diagnoses.collect();
    Ok((rules, diagnoses))
}

fn warn_of_unknown(replay: &Replay<'_>) {
    let unknown = replay.unknown_collectors();
    if !unknown.is_empty() {
        let names: Vec<String> = unknown.into_iter().map(printable).collect();
        super::run::complain(&format!(
            "this version does not know these collectors of the bundle, and leaves out how they fared: {}",
            names.join(", ")
        ));
    }
}

/// Tries rules on a bundle: what would have fired, when, and what is different from then. The second value is whether
/// every rule could be evaluated.
pub(super) fn try_rules(file: &Path, rule_files: &[PathBuf]) -> anyhow::Result<(String, bool)> {
    let bundle = open(file)?;
    let rules = app::rules_of(put_in_force(&bundle.rules, rule_files)?)?;
    let providers = cycle::providers();
    let (mut text, mut good) = (String::new(), true);
    for recording in &bundle.recordings {
        let replay = Replay::new(recording, &providers);
        warn_of_unknown(&replay);
        let retrial = replay.retrial(&rules.set);
        let then = of_report(&bundle.report, &recording.cluster);
        text += &told(recording, &retrial, &then);
        for report in &retrial.reports {
            if let (Some(error), Some(rule)) = (&report.error, rules.set.rule(report.rule)) {
                good = false;
                let _ = writeln!(text, "  error: {}: {}", printable(rule.name()), printable(error));
            }
        }
    }
    Ok((text, good))
}

/// The rules to try: the bundle's, each file replaced by the given one of its name; files of other names come on top.
/// Without a file, the shipped rules of this version take the place of those that the bundle's version shipped.
fn put_in_force(bundled: &[(String, String)], files: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    let mut texts = bundled.to_vec();
    let mut put = |name: &str, text: &str| {
        let base = |path: &str| Path::new(path).file_name().map(std::ffi::OsStr::to_owned);
        match texts.iter_mut().find(|(other, _)| base(other) == base(name)) {
            Some(place) => *place = (name.to_owned(), text.to_owned()),
            None => texts.push((name.to_owned(), text.to_owned())),
        }
    };
    if files.is_empty() {
        builtin::FILES.iter().for_each(|(name, text)| put(name, text));
    }
    for file in files {
        let text = client::read_text(file).map_err(|why| anyhow!("rule file {why}"))?;
        put(&file.display().to_string(), &text);
    }
    Ok(texts)
}

/// What a report says fired in a cluster: names and members.
fn of_report(report: &serde_json::Value, cluster: &str) -> Vec<String> {
    fn collect(problems: &serde_json::Value, into: &mut Vec<String>) {
        for problem in problems.as_array().into_iter().flatten() {
            if problem["state"] == "firing" {
                into.push(named(
                    problem["alert"].as_str().unwrap_or_default(),
                    problem["member"].as_str().unwrap_or_default(),
                ));
            }
            collect(&problem["explains"], into);
        }
    }
    let mut found = Vec::new();
    let clusters = report["clusters"].as_array().into_iter().flatten();
    for shown in clusters.filter(|shown| shown["name"] == cluster) {
        collect(&shown["problems"], &mut found);
    }
    found
}

fn of_problems(problems: &[Problem], into: &mut Vec<String>) {
    for problem in problems {
        if problem.firing {
            into.push(named(
                &problem.alert,
                problem.member.as_deref().unwrap_or_default(),
            ));
        }
        of_problems(&problem.explains, into);
    }
}

fn named(alert: &str, member: &str) -> String {
    match member {
        "" => alert.to_owned(),
        member => format!("{alert} of {member}"),
    }
}

fn of_labels(labels: &Labels) -> String {
    named(labels.get("alertname"), labels.get("member"))
}

/// In words: how the alerts came and went, and how the end differs from what was reported then.
fn told(recording: &Recording, retrial: &Retrial, then: &[String]) -> String {
    let mut now = Vec::new();
    of_problems(&retrial.diagnosis.problems, &mut now);
    let mut text = format!(
        "cluster {}: {} cycles through {}\n",
        printable(&recording.cluster),
        retrial.cycles,
        recording.time
    );
    for change in &retrial.changes {
        let _ = writeln!(text, "  {}  {}", time_of_day(change.time), in_words(change));
    }
    for (mark, what, these, others) in [
        ("=", "fires, as it did", &now, then),
        ("+", "fires, and did not", &now, then),
        ("-", "does not fire, and did", &then.to_vec(), &*now),
    ] {
        for name in these {
            if others.contains(name) == (mark == "=") {
                let _ = writeln!(text, "  {mark} {} {what}", printable(name));
            }
        }
    }
    if now.is_empty() && then.is_empty() {
        text += "  nothing fires, nor did\n";
    }
    let _ = writeln!(
        text,
        "  status: {} ({})",
        retrial.diagnosis.status.as_str(),
        printable(&retrial.diagnosis.summary)
    );
    text
}

fn in_words(change: &Change) -> String {
    let name = printable(&of_labels(&change.labels));
    match change.state {
        Some(AlertState::Pending) => format!("{name} is pending"),
        Some(AlertState::Firing) => format!("{name} fires"),
        Some(AlertState::Inactive) => format!("{name} is over"),
        None => format!("{name} is over, and never fired"),
    }
}

/// `19:04:05`, of the same day as the heading's.
fn time_of_day(time: Timestamp) -> String {
    let text = time.to_string();
    match text.split_once('T') {
        Some((_, clock)) => clock.chars().take(8).collect(),
        None => text,
    }
}

/// What came from a file, made harmless for a terminal.
fn printable(text: &str) -> String {
    render::printable(text).into_owned()
}
