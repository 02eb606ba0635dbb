//! Whether the scripts of `tests/promql` use everything that the language has.

use super::ast::{AGGREGATIONS, OPERATORS};
use super::functions;

const SCRIPTS: [&str; 5] = [
    include_str!("../../tests/promql/aggregation.test"),
    include_str!("../../tests/promql/arithmetic.test"),
    include_str!("../../tests/promql/functions.test"),
    include_str!("../../tests/promql/operators.test"),
    include_str!("../../tests/promql/selection.test"),
];

/// Words and symbols with a meaning that are neither a function nor an operator.
const MODIFIERS: [&str; 12] = [
    "by (",
    "without (",
    "on (",
    "ignoring (",
    "group_left (",
    "group_right (",
    " bool ",
    " offset ",
    " offset -",
    "@ ",
    "start()",
    "end()",
];

/// The expressions of all scripts, with spaces around the words.
fn expressions() -> Vec<String> {
    let lines = SCRIPTS.iter().flat_map(|script| script.lines());
    let evals = lines.filter(|line| line.starts_with("eval"));
    evals.map(str::to_owned).collect()
}

#[test]
fn every_function_aggregation_operator_and_modifier_occurs_in_the_scripts() {
    let expressions = expressions();
    let occurs = |word: &str| expressions.iter().any(|line| line.contains(word));
    let called = |name: &str| {
        expressions.iter().any(|line| {
            line.match_indices(name).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                let after = line[at + name.len()..].trim_start();
                let grouped = ["(", "by ", "without "]
                    .iter()
                    .any(|word| after.starts_with(word));
                grouped && !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            })
        })
    };
    let mut missing: Vec<String> = functions::names()
        .chain(AGGREGATIONS.iter().map(|(name, _)| *name))
        .filter(|name| !called(name))
        .map(str::to_owned)
        .collect();
    let operators = OPERATORS.iter().map(|(text, ..)| format!(" {text} "));
    let words = operators.chain(MODIFIERS.map(str::to_owned));
    missing.extend(words.filter(|word| !occurs(word)));
    assert!(missing.is_empty(), "no script uses {missing:?}");
}
