//! An explanation as its readers see it, to the letter.

use std::time::Duration;

use super::*;
use crate::diagnosis::inspection::{Episode, History};
use crate::diagnosis::{Gap, Severity};
use crate::render::{TextStyle, ToolInfo};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn reading(member: &str, value: f64, threshold: f64) -> Reading {
    Reading {
        labels: Labels::new([("cluster", "prod"), ("member", member)]),
        value,
        threshold: Some(threshold),
        passes: value > threshold,
    }
}

fn part(joined_by: &str, text: &str, left: usize, readings: Vec<Reading>) -> Part {
    Part {
        depth: 0,
        joined_by: joined_by.to_owned(),
        text: text.to_owned(),
        is_group: false,
        expr: text.to_owned(),
        comparison: text.contains('>').then(|| ("size".to_owned(), ">")),
        threshold: None,
        passing: readings.iter().filter(|reading| reading.passes).count(),
        readings,
        left_out: 0,
        left: Some(left),
        error: None,
    }
}

fn inspection(parts: Vec<Part>) -> Inspection {
    let rule = Inspected {
        file: "rules/quota.yaml".to_owned(),
        severity: Severity::Warning,
        category: "quota".to_owned(),
        summary: "<member> is nearly full".to_owned(),
        expr: "size > 10\nunless down".to_owned(),
        hold: Duration::from_secs(120),
        keep_firing: Duration::from_secs(15),
        runbook_url: "https://example.org/Low".to_owned(),
        error: None,
        active: Vec::new(),
        parts,
    };
    let episode = Episode {
        labels: Labels::new([("cluster", "prod"), ("member", "a"), ("severity", "warning")]),
        firing: true,
        from: NOW.minus(Duration::from_secs(600)),
        to: Some(NOW.minus(Duration::from_secs(300))),
    };
    Inspection {
        alert: "Low".to_owned(),
        cluster: "prod".into(),
        time: NOW,
        rules: vec![rule],
        gaps: Vec::new(),
        history: History {
            episodes: vec![episode],
            left_out: 0,
        },
        explains: vec![Relative {
            alert: "Slow".to_owned(),
            same_member: true,
            activity: Activity::Silent,
        }],
        explained_by: Vec::new(),
    }
}

fn text(inspection: Inspection) -> String {
    let style = TextStyle {
        width: 60,
        color: false,
        ascii: true,
    };
    text::render(&[inspection], style)
}

#[test]
fn a_silent_alert_shows_each_part_with_values_beside_thresholds() {
    let parts = vec![
        part(
            "",
            "size > 10",
            0,
            vec![reading("b", 9.5, 10.0), reading("long", 4.0, 10.0)],
        ),
        part("unless", "down", 0, vec![]),
    ];
    let expected = "\
SILENT  Low in cluster prod
  Seen at 2023-11-14T22:13:20.000Z. It does not fire.

  warning; quota; fires after 2 min, and on for 15 s when
  its condition has gone; rules/quota.yaml
  <member> is nearly full
  Part 1 does not hold; the nearest series lacks 0.5.

  Expression
    size > 10
    unless down

  Its parts now
    1. size > 10
       0 of 2 hold
       member=b     9.5  > 10  0.5 below
       member=long  4    > 10  6 below
    2. unless down
       takes away 0, 0 left

  Runbook: https://example.org/Low

  When it was active, in the window
    firing   from 2023-11-14T22:03:20.000Z for 5 min:
             member=a

  It explains
    Slow (on the same member): silent
";
    assert_eq!(text(inspection(parts)), expected);
}

#[test]
fn what_keeps_an_alert_silent_is_named() {
    let full = || vec![reading("a", 11.0, 10.0)];
    let low = || vec![reading("a", 1.0, 10.0)];
    for (parts, expected) in [
        (
            vec![part("", "a > 10", 1, full()), part("unless", "b", 0, full())],
            "Part 2 takes away what the parts before it give.",
        ),
        (
            vec![part("", "a > 10", 1, full()), part("and", "b > 10", 0, full())],
            "Part 2 holds for no series of the parts before it.",
        ),
        (
            vec![part("", "a > 10", 0, vec![])],
            "Part 1 has no series to judge by.",
        ),
        (
            vec![part("", "a > 10", 0, low()), part("or", "b > 10", 0, low())],
            "None of its alternatives holds.",
        ),
        (
            vec![part("", "a > 10", 1, full())],
            "Its condition holds now and did not when its rules were last evaluated.",
        ),
    ] {
        assert_eq!(obstacle(&inspection(parts).rules[0]).unwrap(), expected);
    }
}

#[test]
fn a_blind_alert_is_not_called_fine() {
    let mut blind = inspection(vec![part("", "a > 10", 0, vec![])]);
    blind.gaps = vec![Gap {
        alert: "Low".to_owned(),
        reason: "status: refused\u{1b}[2J".to_owned(),
        fix: "update etcd".to_owned(),
        blind: true,
        applies: true,
        looks_back: None,
    }];
    let text = text(blind);
    assert!(text.contains("its silence says nothing"), "{text}");
    assert!(
        text.contains("Cannot see: status: refused") && text.contains("-> update etcd"),
        "{text}"
    );
    assert!(
        !text.contains('\u{1b}'),
        "what a terminal would obey is not passed on: {text}"
    );
}

#[test]
fn numbers_that_json_lacks_are_null() {
    let parts = vec![part("", "a > 10", 0, vec![reading("a", f64::NAN, 10.0)])];
    let tool = ToolInfo {
        version: "0.1.0".to_owned(),
        rules_digest: "ab".to_owned(),
    };
    let json = json::render("Low", &[inspection(parts)], &tool);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let cluster = &json["clusters"][0];
    let reading = &cluster["rules"][0]["parts"][0]["readings"][0];
    assert!(
        reading["value"].is_null() && reading["threshold"] == 10.0,
        "{reading}"
    );
    assert_eq!(cluster["history"][0]["to"], "2023-11-14T22:08:20.000Z");
    assert_eq!(cluster["explains"][0]["state"], "silent");
}
