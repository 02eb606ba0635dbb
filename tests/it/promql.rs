//! Runs PromQL test scripts: `load` series, `eval` expressions, compare.
//!
//! `tests/promql/*.test` are this project's own and must all pass. Prometheus' own scripts are not part of it: the folder
//! named by `PROMQLTEST_DIR` (or `../shared/promqltest`) may hold them with a `manifest.tsv` that classes each `eval`
//! by file and line; those of class `gate` must pass, the rest is counted and reported.

mod script;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_doctor::model::{Labels, Timestamp};
use etcd_doctor::promql::{Element, Matcher, Options, Point, Query, QueryValue, Series, Source};
use script::{Block, Eval, Expected, When};

/// What became of one `eval`.
enum Outcome {
    Passed,
    Failed(String),
    /// The expression is refused, and the script does not expect that.
    Unsupported(String),
}

/// The series that the script has loaded.
#[derive(Default)]
struct Storage(HashMap<Labels, Vec<Point>>);

impl Source for Storage {
    fn select(&self, matchers: &[Matcher], after: Timestamp, through: Timestamp) -> Vec<Series> {
        let matching = self
            .0
            .iter()
            .filter(|(labels, _)| matchers.iter().all(|m| m.matches(labels)));
        matching
            .map(|(labels, points)| Series {
                labels: labels.clone(),
                points: points
                    .iter()
                    .filter(|point| after < point.time && point.time <= through)
                    .copied()
                    .collect(),
            })
            .collect()
    }
}

/// How many evals passed, failed, and were refused although the script expects a result.
#[derive(Clone, Copy, Default)]
struct Count {
    passed: usize,
    failed: usize,
    unsupported: usize,
}

impl Count {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Unsupported(_) => self.unsupported += 1,
        }
    }

    fn all(self) -> usize {
        self.passed + self.failed + self.unsupported
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            passed,
            failed,
            unsupported,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {unsupported} unsupported")
    }
}

/// Runs the scripts of a folder, prints the count of each file and of all, and gives the evals that did not pass and
/// `must`.
fn failures(folder: &Path, must: impl Fn(&str, &Eval) -> bool) -> (Vec<String>, Count, Count) {
    let mut failures = Vec::new();
    let (mut total, mut required) = (Count::default(), Count::default());
    for file in scripts(folder) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let mut of_file = Count::default();
        for (eval, outcome) in run(&file) {
            of_file.add(&outcome);
            total.add(&outcome);
            if !must(&name, &eval) {
                continue;
            }
            required.add(&outcome);
            if let Outcome::Failed(why) | Outcome::Unsupported(why) = outcome {
                failures.push(format!("{name}:{}: {}\n    {why}", eval.line, eval.expr));
            }
        }
        eprintln!("{name}: {of_file}");
    }
    eprintln!("total: {total}");
    (failures, total, required)
}

fn assert_none(failures: &[String]) {
    let listed = failures.join("\n");
    assert!(failures.is_empty(), "{} failures:\n{listed}", failures.len());
}

#[test]
fn our_own_scripts_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promql");
    let (failures, total, _) = failures(&folder, |_, _| true);
    assert_none(&failures);
    assert!(total.passed > 0, "there are no scripts in {}", folder.display());
}

#[test]
fn prometheus_scripts_pass() {
    let Some(folder) = upstream() else {
        eprintln!(
            "Prometheus' own test scripts are not here, so nothing was compared with them: set PROMQLTEST_DIR"
        );
        return;
    };
    let classes = manifest(&folder);
    let gate = |name: &str, eval: &Eval| {
        let class = classes.get(&(name.to_owned(), eval.line));
        class.is_some_and(|class| class == "gate")
    };
    let (failures, _, required) = failures(&folder, gate);
    let rows = classes.values().filter(|class| *class == "gate").count();
    eprintln!("gate: {required} ({rows} in the manifest)");
    assert_none(&failures);
    assert_eq!(
        required.all(),
        rows,
        "the runner did not meet every eval of class gate"
    );
}

/// The folder of Prometheus' scripts; none when nobody named one and none is beside the project.
fn upstream() -> Option<PathBuf> {
    let has_manifest = |folder: &PathBuf| folder.join("manifest.tsv").is_file();
    if let Some(named) = std::env::var_os("PROMQLTEST_DIR").map(PathBuf::from) {
        assert!(
            has_manifest(&named),
            "PROMQLTEST_DIR is {}, which has no manifest.tsv",
            named.display()
        );
        return Some(named);
    }
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/promqltest");
    Some(beside).filter(has_manifest)
}

fn manifest(folder: &Path) -> HashMap<(String, usize), String> {
    let text = fs::read_to_string(folder.join("manifest.tsv")).unwrap();
    let rows = text.lines().skip(1).map(|row| {
        let columns: Vec<&str> = row.split('\t').collect();
        (
            (columns[0].to_owned(), columns[1].parse().unwrap()),
            columns[2].to_owned(),
        )
    });
    rows.collect()
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .collect();
    files.sort();
    files
}

fn run(file: &Path) -> Vec<(Eval, Outcome)> {
    let text = fs::read_to_string(file).unwrap();
    let mut storage = Storage::default();
    let mut outcomes = Vec::new();
    for block in script::parse(&text) {
        match block {
            Block::Clear => storage.0.clear(),
            Block::Load(series) => storage.0.extend(series),
            Block::Eval(eval) => {
                let outcome = judge(&eval, &storage);
                outcomes.push((eval, outcome));
            }
        }
    }
    outcomes
}

fn judge(eval: &Eval, storage: &Storage) -> Outcome {
    let query = match Query::parse(&eval.expr) {
        Ok(query) => query,
        Err(_) if eval.fails => return Outcome::Passed,
        Err(error) => return Outcome::Unsupported(error.to_string()),
    };
    match (evaluate(eval, &query, storage), eval.fails) {
        (Err(_), true) => Outcome::Passed,
        (Err(why), false) => Outcome::Failed(why),
        (Ok(()), true) => Outcome::Failed("it must fail and did not".to_owned()),
        (Ok(()), false) => {
            let again = again_in_a_range(eval, &query, storage)
                .map_err(|why| format!("as the middle step of a range: {why}"))
                .and_then(|()| {
                    again_at_other_times(eval, &query, storage).map_err(|why| format!("with @ forced: {why}"))
                });
            again.map_or_else(Outcome::Failed, |()| Outcome::Passed)
        }
    }
}

fn evaluate(eval: &Eval, query: &Query, storage: &Storage) -> Result<(), String> {
    let options = Options::default();
    match eval.when {
        When::At(at) => {
            let value = query
                .instant(storage, at, &options)
                .map_err(|error| error.to_string())?;
            compare_instant(eval, value)
        }
        When::Range { from, to, step } => {
            let series = query
                .range(storage, from, to, step, &options)
                .map_err(|error| error.to_string())?;
            // A range that must fail has nothing else to compare.
            if eval.fails {
                Ok(())
            } else {
                compare_series(eval, from, step, &series)
            }
        }
    }
}

fn compare_instant(eval: &Eval, value: QueryValue) -> Result<(), String> {
    match (value, &eval.expected) {
        (QueryValue::Scalar(got), Expected::Scalar(expected)) => same(*expected, got, "the scalar"),
        (QueryValue::String(got), Expected::String(expected)) if got == *expected => Ok(()),
        (QueryValue::Vector(got), Expected::Series { series, .. }) => {
            compare_elements(series, &got, eval.ordered)
        }
        (QueryValue::Matrix(got), Expected::Series { series, range }) => match range {
            Some((from, step)) => compare_series(eval, *from, *step, &got),
            None if got.is_empty() && series.is_empty() => Ok(()),
            None => Err(format!("got a range vector: {got:?}")),
        },
        (got, expected) => Err(format!("expected {expected:?}, got {got:?}")),
    }
}

fn compare_elements(
    expected: &[(Labels, Vec<Option<f64>>)],
    got: &[Element],
    ordered: bool,
) -> Result<(), String> {
    let listed = || format!("expected {expected:?}\n    got {got:?}");
    if expected.len() != got.len() {
        return Err(listed());
    }
    for (at, (labels, values)) in expected.iter().enumerate() {
        let found = if ordered {
            Some(&got[at]).filter(|element| element.labels == *labels)
        } else {
            got.iter().find(|element| element.labels == *labels)
        };
        let Some(element) = found else {
            return Err(format!("{labels} is missing or misplaced: {}", listed()));
        };
        same(values[0].unwrap(), element.value, &labels.to_string())?;
    }
    Ok(())
}

fn compare_series(eval: &Eval, from: Timestamp, step: Duration, got: &[Series]) -> Result<(), String> {
    let Expected::Series { series: expected, .. } = &eval.expected else {
        return Err(format!("expected {:?}, got a range vector", eval.expected));
    };
    if !got.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err("the series are not sorted by their labels".to_owned());
    }
    if expected.len() != got.len() {
        return Err(format!("expected {expected:?}\n    got {got:?}"));
    }
    for (labels, values) in expected {
        let Some(series) = got.iter().find(|series| series.labels == *labels) else {
            return Err(format!("{labels} is missing in {got:?}"));
        };
        let mut points = series.points.iter().peekable();
        let mut time = from;
        for value in values {
            let point = points.next_if(|point| point.time == time);
            match (value, point) {
                (None, None) => {}
                (Some(value), Some(point)) => same(*value, point.value, &format!("{labels} at {time}"))?,
                (value, point) => {
                    return Err(format!("{labels} at {time}: {value:?} and {point:?}"));
                }
            }
            time = time.plus(step);
        }
        if let Some(point) = points.next() {
            return Err(format!("{labels} has a point too many: {point:?}"));
        }
    }
    Ok(())
}

/// An expression gives at one time what it gives at that time in a range.
fn again_in_a_range(eval: &Eval, query: &Query, storage: &Storage) -> Result<(), String> {
    let When::At(at) = eval.when else {
        return Ok(());
    };
    // What refers to the range itself differs; sorting is for instants only.
    let refers_to_range = ["start()", "end()"].iter().any(|word| eval.expr.contains(word));
    let Expected::Series { series, range: None } = &eval.expected else {
        return Ok(());
    };
    if refers_to_range {
        return Ok(());
    }
    let minute = Duration::from_secs(60);
    let given = query
        .range(
            storage,
            at.minus(minute),
            at.plus(minute),
            minute,
            &Options::default(),
        )
        .map_err(|error| error.to_string())?;
    let middle: Vec<Element> = given
        .into_iter()
        .filter_map(|series| {
            let point = series.points.iter().find(|point| point.time == at)?;
            Some(Element {
                value: point.value,
                labels: series.labels,
            })
        })
        .collect();
    compare_elements(series, &middle, false)
}

/// With `@` on every selector an expression gives the same at any time.
fn again_at_other_times(eval: &Eval, query: &Query, storage: &Storage) -> Result<(), String> {
    let When::At(at) = eval.when else {
        return Ok(());
    };
    // `start()` and `end()` are the time of an instant query, which changes here.
    let refers_to_query = ["start()", "end()"].iter().any(|word| eval.expr.contains(word));
    let Some(pinned) = query.pinned(at).filter(|_| !refers_to_query) else {
        return Ok(());
    };
    for minutes in [0, 1, 7, 60, 100_000] {
        let other = Timestamp::from_millis(minutes * 60_000);
        let value = pinned
            .instant(storage, other, &Options::default())
            .map_err(|error| error.to_string())?;
        compare_instant(eval, value).map_err(|why| format!("at {other}: {why}"))?;
    }
    Ok(())
}

/// Equal to within 1e-6 of their size, as upstream compares.
fn same(expected: f64, got: f64, what: &str) -> Result<(), String> {
    let both_nan = expected.is_nan() && got.is_nan();
    let difference = (expected - got).abs();
    let close = if expected == 0.0 || got == 0.0 {
        difference < 1e-6 * f64::MIN_POSITIVE
    } else {
        difference / (expected.abs() + got.abs()).min(f64::MAX) < 1e-6
    };
    if expected == got || both_nan || close {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected}, got {got}"))
    }
}
