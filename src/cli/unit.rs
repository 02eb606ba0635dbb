//! `rules test`: reads unit tests and the rule files that they name, and prints what promtool prints.

use std::path::{Path, PathBuf};

use crate::client;
use crate::rules::{self, Group, UnitTests};

use super::terminal;

/// Runs the unit tests of each file. Whether all passed.
///
/// # Errors
/// When standard output is closed.
pub(super) fn test(files: &[PathBuf]) -> anyhow::Result<bool> {
    let mut good = true;
    for path in files {
        let failures = failures(path);
        let verdict = if failures.is_empty() { "  SUCCESS\n" } else { "" };
        terminal::print(&format!("Unit Testing:  {}\n{verdict}\n", path.display()))?;
        if !failures.is_empty() {
            good = false;
            eprintln!("  FAILED:\n{}", failures.join("\n"));
        }
    }
    Ok(good)
}

/// What failed, a text each.
fn failures(path: &Path) -> Vec<String> {
    let outcome = read(path).and_then(|text| {
        let tests = UnitTests::parse(&text).map_err(|why| vec![format!("{}:{why}", path.display())])?;
        let groups = groups(&tests, path.parent().unwrap_or(Path::new("")))?;
        Ok(tests.run(groups))
    });
    outcome.unwrap_or_else(|errors| errors)
}

fn read(path: &Path) -> Result<String, Vec<String>> {
    client::read_text(path).map_err(|why| vec![why])
}

/// The groups of all rule files that the tests name, relative to their own folder; a pattern may name several.
fn groups(tests: &UnitTests, folder: &Path) -> Result<Vec<Group>, Vec<String>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for pattern in tests.rule_files() {
        let whole = folder.join(pattern);
        let refused = |why: &dyn std::fmt::Display| vec![format!("rule_files: {pattern}: {why}")];
        let found = glob::glob(&whole.to_string_lossy()).map_err(|why| refused(&why))?;
        let found: Vec<PathBuf> = found.collect::<Result<_, _>>().map_err(|why| refused(&why))?;
        if found.is_empty() {
            eprintln!("  WARNING: no file match pattern {}", whole.display());
        }
        let new: Vec<PathBuf> = found.into_iter().filter(|path| !paths.contains(path)).collect();
        paths.extend(new);
    }
    let (mut groups, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match rules::load(&path.display().to_string(), &read(&path)?) {
            Ok(loaded) => groups.extend(loaded),
            Err(refused) => errors.extend(refused.iter().map(ToString::to_string)),
        }
    }
    if errors.is_empty() {
        Ok(groups)
    } else {
        Err(errors)
    }
}
