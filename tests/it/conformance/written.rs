//! The questions that stand in files.

use std::path::Path;

use serde_json::Value;

/// The project's own expressions, one a line.
pub fn ours() -> Vec<String> {
    lines(include_str!("../../conformance/queries.txt"))
}

/// Paths of the API, one a line.
pub fn pages() -> Vec<String> {
    lines(include_str!("../../conformance/pages.txt"))
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
        .map(str::to_owned)
        .collect()
}

/// What stands for a variable in the compliance test's queries.
const VARIANTS: &[(&str, &[&str])] = &[
    ("range", &["1s", "15s", "1m", "5m", "15m", "1h"]),
    ("offset", &["1m", "5m", "10m"]),
    (
        "simpleAggrOp",
        &["sum", "avg", "max", "min", "count", "stddev", "stdvar"],
    ),
    (
        "simpleTimeAggrOp",
        &[
            "sum", "avg", "max", "min", "count", "stddev", "stdvar", "absent", "last", "present",
        ],
    ),
    ("topBottomOp", &["topk", "bottomk"]),
    (
        "quantile",
        &["-0.5", "0.1", "0.5", "0.75", "0.95", "0.90", "0.99", "1", "1.5"],
    ),
    ("arithBinOp", &["+", "-", "*", "/", "%", "^"]),
    ("compBinOp", &["==", "!=", "<", ">", "<=", ">="]),
    (
        "binOp",
        &["+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">="],
    ),
    (
        "simpleMathFunc",
        &[
            "abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "round",
        ],
    ),
    ("extrapolatedRateFunc", &["delta", "rate", "increase"]),
    ("clampFunc", &["clamp_min", "clamp_max"]),
    ("instantRateFunc", &["idelta", "irate"]),
    (
        "dateFunc",
        &[
            "day_of_month",
            "day_of_week",
            "days_in_month",
            "hour",
            "minute",
            "month",
            "year",
        ],
    ),
];

/// The queries of the PromQL compliance test, with every variant.
pub fn compliance(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let parsed: Value =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let cases = parsed["test_cases"].as_array().cloned().unwrap_or_default();
    cases
        .iter()
        .filter_map(|case| case["query"].as_str())
        .flat_map(variants)
        .collect()
}

fn variants(query: &str) -> Vec<String> {
    let Some((before, rest)) = query.split_once("{{.") else {
        return vec![query.to_owned()];
    };
    let (name, _) = rest.split_once("}}").expect("a variable ends");
    let (_, values) = VARIANTS
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("the variable {name} of {before}… is not known"));
    let variable = format!("{{{{.{name}}}}}");
    values
        .iter()
        .flat_map(|value| variants(&query.replace(&variable, value)))
        .collect()
}
