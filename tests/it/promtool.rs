//! Prometheus 3.5's promtool as the judge: what it refuses is refused here, what it accepts is accepted, its templates
//! give the same texts, and unit tests of rules the same verdicts.
//!
//! The cases are in `tests/promtool/`: expressions, one a line (`\n` is a line's end); rule files, with `====` between;
//! templates, one a line; series with their values, `series|values`, one a line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

use crate::support::{Doctor, program};

/// The values that every template is expanded with.
const VALUES: [&str; 33] = [
    "0",
    "1",
    "-1.5",
    "1234567",
    "1e21",
    "1e-7",
    "0.00001234",
    "123456",
    "NaN",
    "+Inf",
    "-Inf",
    "1700000000",
    "59.9",
    "86399",
    "90061.5",
    "1023",
    "1024",
    "0.999",
    "1e300",
    "-0",
    "4294967296",
    "0.1",
    "0.3333333333333333",
    "2.5",
    "999999.5",
    "1e15",
    "123456789012345680000",
    "0.5",
    "-0.25",
    "1700000000.123",
    "3600",
    "60",
    "5e-324",
];

fn promtool() -> PathBuf {
    program("prometheus-3", "promtool")
}

fn cases(file: &str, separator: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/promtool")
        .join(file);
    let text = fs::read_to_string(path).unwrap();
    let cases = text.split(separator).filter(|case| !case.is_empty());
    cases.map(str::to_owned).collect()
}

/// What a command printed, and whether it ended well.
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) good: bool,
}

pub(crate) fn run(program: &Path, args: &[&str], files: &[PathBuf]) -> Ran {
    let output = Command::new(program).args(args).args(files).output().unwrap();
    Ran {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        good: output.status.success(),
    }
}

/// JSON is YAML, and quotes everything.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A rule file with a recording rule of each expression, `r0`, `r1` and so on.
pub(crate) fn rules_of(expressions: &[String]) -> String {
    let mut text = "groups:\n- name: g\n  rules:\n".to_owned();
    for (at, expression) in expressions.iter().enumerate() {
        let expression = quoted(&expression.replace("\\n", "\n"));
        text += &format!("  - {{record: r{at}, expr: {expression}}}\n");
    }
    text
}

/// The indices of the rules that a report names.
fn named(report: &str, pattern: &str) -> BTreeSet<usize> {
    let pattern = Regex::new(pattern).unwrap();
    let found = pattern.captures_iter(report);
    found.map(|found| found[1].parse().unwrap()).collect()
}

#[test]
fn expressions_are_refused_and_accepted_as_by_promtool() {
    let dir = tempfile::tempdir().unwrap();
    for (name, good) in [("good.promql", true), ("bad.promql", false)] {
        let expressions = cases(name, "\n");
        assert!(expressions.len() >= 100, "{name} has lost cases");
        let file = dir.path().join("rules.yaml");
        fs::write(&file, rules_of(&expressions)).unwrap();
        let files = [file];
        let theirs = run(&promtool(), &["check", "rules", "--lint=none"], &files);
        let ours = run(&Doctor::program(), &["rules", "check"], &files);
        let theirs = named(&format!("{}{}", theirs.out, theirs.err), r#", "r(\d+)": "#);
        let ours = named(&ours.out, r#"group "g", rule "r(\d+)": "#);
        let all: BTreeSet<usize> = (0..expressions.len()).collect();
        let expected = if good { BTreeSet::new() } else { all };
        let differing = |refused: &BTreeSet<usize>| -> Vec<&str> {
            let differing = refused.symmetric_difference(&expected);
            differing.map(|at| expressions[*at].as_str()).collect()
        };
        assert_eq!(
            differing(&theirs),
            [""; 0],
            "{name}: promtool has another opinion"
        );
        assert_eq!(
            differing(&ours),
            [""; 0],
            "{name}: etcd-doctor has another opinion"
        );
    }
}

#[test]
fn rule_files_are_refused_and_accepted_as_by_promtool() {
    let dir = tempfile::tempdir().unwrap();
    for (name, good) in [("good-files.txt", true), ("bad-files.txt", false)] {
        let texts = cases(name, "====\n");
        assert!(texts.len() >= 90, "{name} has lost cases");
        let files: Vec<PathBuf> = (0..texts.len())
            .map(|at| dir.path().join(format!("{at}.yaml")))
            .collect();
        for (file, text) in files.iter().zip(&texts) {
            fs::write(file, text).unwrap();
        }
        let theirs = run(&promtool(), &["check", "rules", "--lint=none"], &files);
        let accepted = named(&theirs.out, r"/(\d+)\.yaml\n  SUCCESS");
        let ours = run(&Doctor::program(), &["rules", "check"], &files);
        // A template that parses and fails is told here only, and the file loads all the same.
        let accepted_here = named(
            &ours.out,
            r"/(\d+)\.yaml(?:: \d+ rules?, ok|:.*: an alert would show )",
        );
        for (at, text) in texts.iter().enumerate() {
            assert_eq!(
                accepted.contains(&at),
                good,
                "promtool has another opinion of:\n{text}"
            );
            assert_eq!(
                accepted_here.contains(&at),
                good,
                "etcd-doctor has another opinion of:\n{text}"
            );
        }
    }
}

#[test]
fn made_up_series_are_refused_and_accepted_as_by_promtool() {
    let dir = tempfile::tempdir().unwrap();
    for (name, good) in [("good-series.txt", true), ("bad-series.txt", false)] {
        let lines = cases(name, "\n");
        assert!(lines.len() >= 15, "{name} has lost cases");
        for line in &lines {
            let text = ["\\n", "\\t", "\\r"]
                .iter()
                .zip(["\n", "\t", "\r"])
                .fold(line.clone(), |text, (written, meant)| {
                    text.replace(written, meant)
                });
            let (series, values) = text.split_once('|').unwrap();
            let file = dir.path().join("tests.yaml");
            let (series, values) = (quoted(series), quoted(values));
            fs::write(
                &file,
                format!("tests: [{{input_series: [{{series: {series}, values: {values}}}]}}]"),
            )
            .unwrap();
            let [theirs, ours] = verdicts(&file);
            assert_eq!(
                theirs.0, good,
                "promtool has another opinion of {line}: {:?}",
                theirs.1
            );
            assert_eq!(
                ours.0, good,
                "etcd-doctor has another opinion of {line}: {:?}",
                ours.1
            );
        }
    }
}

/// The text that each alert has for each series, by their numbers, from the `got` of unit tests that expect nothing.
fn texts(report: &str) -> BTreeMap<(usize, usize), String> {
    let line = Regex::new(r#"alertname: T(\d+),|Labels:\{.*, n="(\d+)"|Annotations:\{o="(.*)"\}"#).unwrap();
    let (mut texts, mut alert, mut series) = (BTreeMap::new(), 0, 0);
    for found in line.captures_iter(report) {
        if let Some(number) = found.get(1) {
            alert = number.as_str().parse().unwrap();
        } else if let Some(number) = found.get(2) {
            series = number.as_str().parse().unwrap();
        } else {
            texts.insert((alert, series), found[3].to_owned());
        }
    }
    texts
}

#[test]
fn templates_give_the_texts_that_promtool_gives() {
    const FAILED: &str = "<error expanding template: ";
    let templates = cases("templates.txt", "\n");
    let dir = tempfile::tempdir().unwrap();
    let mut rules = "groups:\n- name: g\n  rules:\n".to_owned();
    let mut tests =
        "rule_files: [rules.yaml]\ntests:\n- external_labels: {reg: eu}\n  alert_rule_test:\n".to_owned();
    for (at, template) in templates.iter().enumerate() {
        rules += &format!(
            "  - {{alert: T{at}, expr: s, annotations: {{o: {}}}}}\n",
            quoted(template)
        );
        tests += &format!("  - {{eval_time: 0, alertname: T{at}}}\n");
    }
    tests += "  input_series:\n";
    for (at, value) in VALUES.iter().enumerate() {
        let series = format!(r#"s{{n="{at:02}",text="aB <c>&d é",instance="a.b.c:80"}}"#);
        tests += &format!("  - {{series: {}, values: '{value}'}}\n", quoted(&series));
    }
    fs::write(dir.path().join("rules.yaml"), rules).unwrap();
    let file = dir.path().join("tests.yaml");
    fs::write(&file, tests).unwrap();
    let files = [file];
    let theirs = run(&promtool(), &["test", "rules"], &files);
    let ours = run(&Doctor::program(), &["rules", "test"], &files);
    let (theirs, ours) = (texts(&theirs.err), texts(&ours.err));
    assert_eq!(theirs.len(), templates.len() * VALUES.len(), "promtool's output");
    let mut differing = Vec::new();
    for ((alert, series), expected) in &theirs {
        let got = ours.get(&(*alert, *series)).map_or("nothing", String::as_str);
        // Where it failed is said in other words; that it failed is not.
        let both_failed = [expected.as_str(), got]
            .iter()
            .all(|text| text.starts_with(FAILED));
        if got != expected && !both_failed {
            differing.push(format!(
                "{} of {}: {expected:?}, here {got:?}",
                templates[*alert], VALUES[*series]
            ));
        }
    }
    assert!(
        differing.is_empty(),
        "{} of {} differ:\n{}",
        differing.len(),
        theirs.len(),
        differing.join("\n")
    );
}

/// Promtool's verdict and what it says of failures, and ours. The order of the failures does not matter.
fn verdicts(file: &Path) -> [(bool, Vec<String>); 2] {
    let files = [file.to_owned()];
    let said = |ran: Ran| {
        let mut lines: Vec<String> = ran.err.lines().map(str::to_owned).collect();
        lines.sort();
        (ran.good, lines)
    };
    [
        said(run(&promtool(), &["test", "rules"], &files)),
        said(run(&Doctor::program(), &["rules", "test"], &files)),
    ]
}

#[test]
fn shipped_unit_tests_have_the_same_verdict_in_promtool_and_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/tests");
    let dir = tempfile::tempdir().unwrap();
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let rules = folder.parent().unwrap().display().to_string();
    for file in files {
        let [theirs, ours] = verdicts(&file);
        assert!(theirs.0, "promtool fails {}: {:#?}", file.display(), theirs.1);
        assert_eq!(ours, theirs, "{}", file.display());
        // A value that is not what comes out.
        let text = fs::read_to_string(&file).unwrap();
        let broken = text
            .replacen("value: 1}", "value: 7}", 1)
            .replace("[../", &format!("[{rules}/"));
        assert_ne!(broken, text, "{} could not be broken", file.display());
        let copy = dir.path().join(file.file_name().unwrap());
        fs::write(&copy, broken).unwrap();
        let [theirs, ours] = verdicts(&copy);
        assert!(!theirs.0, "promtool passes a broken copy of {}", file.display());
        assert_eq!(ours, theirs, "a broken copy of {}", file.display());
    }
}

/// The unit tests of etcd's own mixin, which are not part of this project: the file named by `ETCD_MIXIN_TESTS` (or
/// `../shared/corpus/etcd-mixin.test.yaml`), where it is present.
#[test]
fn the_mixins_unit_tests_have_the_same_verdict_in_promtool_and_here() {
    let named = std::env::var_os("ETCD_MIXIN_TESTS").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/etcd-mixin.test.yaml");
    let file = named.unwrap_or_else(beside);
    if !file.exists() {
        eprintln!("etcd's mixin is not here, so its unit tests were not run: set ETCD_MIXIN_TESTS");
        return;
    }
    let [theirs, ours] = verdicts(&file);
    assert_eq!(ours, theirs);
}
