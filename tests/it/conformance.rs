//! The same answers as a real Prometheus 3.5: the same series go to it, by remote write, and into the window here, and
//! both are asked the same.
//!
//! A short part runs with all other tests. `make conformance` runs everything; `CONFORMANCE_SEED` and
//! `CONFORMANCE_COUNT` choose which random expressions and how many, `COMPLIANCE_QUERIES` names the file of the PromQL
//! compliance test, which is not part of this project.

mod compare;
mod data;
mod drift;
mod generate;
mod live;
mod pair;
mod remote_write;
mod written;

use std::path::Path;

use generate::Generator;
use pair::{Ask, Pair};

/// How many random expressions, each asked at one time and over a range.
const COUNT: u64 = 2500;
/// Of these `make test` takes so many.
const SHORT_COUNT: u64 = 150;
const SEED: u64 = 20_261_125;

/// Differences shown in full; past it one sees only how many there are.
const SHOWN: usize = 20;

#[tokio::test]
async fn a_few_expressions_give_what_prometheus_gives() {
    let pair = Pair::start().await;
    let mut differences = pair.all(written::ours().into_iter().flat_map(Ask::both)).await;
    differences.extend(random(&pair, SEED, SHORT_COUNT).await);
    differences.extend(pair.pages().await);
    verdict(&differences);
}

#[tokio::test]
#[ignore = "make conformance"]
async fn every_expression_gives_what_prometheus_gives() {
    let pair = Pair::start().await;
    let mut differences = Vec::new();
    match std::env::var_os("COMPLIANCE_QUERIES") {
        None => eprintln!("the PromQL compliance queries are not compared: COMPLIANCE_QUERIES names no file"),
        Some(file) => {
            let queries = written::compliance(Path::new(&file));
            eprintln!("PromQL compliance: {} queries", queries.len());
            differences.extend(pair.all(queries.into_iter().map(Ask::compliance)).await);
        }
    }
    let number = |name: &str, default| {
        let set = std::env::var(name).ok().filter(|text| !text.is_empty());
        set.map_or(default, |text| {
            text.parse()
                .unwrap_or_else(|_| panic!("{name} is no number: {text}"))
        })
    };
    let (seed, count) = (
        number("CONFORMANCE_SEED", SEED),
        number("CONFORMANCE_COUNT", COUNT),
    );
    differences.extend(random(&pair, seed, count).await);
    eprintln!(
        "asked {} questions, {} of them gave something",
        pair.asked(),
        pair.with_result()
    );
    for (reason, count) in pair.drifted() {
        eprintln!("{count} times otherwise for a known reason: {reason}");
    }
    verdict(&differences);
}

/// Asks both for random expressions. What differs is made as small as it can be while it still does.
async fn random(pair: &Pair, seed: u64, count: u64) -> Vec<String> {
    let mut differences = Vec::new();
    for case in seed..seed + count {
        let (expr, ask) = Generator::new(case).case();
        for ask in ask {
            let Some(_) = pair.difference(&ask.with(expr.to_string())).await else {
                continue;
            };
            let mut smallest = expr.clone();
            'smaller: loop {
                for candidate in smallest.smaller() {
                    if pair.difference(&ask.with(candidate.to_string())).await.is_some() {
                        smallest = candidate;
                        continue 'smaller;
                    }
                }
                break;
            }
            let why = pair
                .difference(&ask.with(smallest.to_string()))
                .await
                .unwrap_or_default();
            differences.push(format!("CONFORMANCE_SEED={case} CONFORMANCE_COUNT=1: {why}"));
            break;
        }
    }
    differences
}

fn verdict(differences: &[String]) {
    let shown = differences
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n\n");
    assert!(
        differences.is_empty(),
        "{} differences:\n{shown}",
        differences.len()
    );
}
