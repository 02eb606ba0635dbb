//! The annotation convention: what is read, and what is refused.

use super::*;
use crate::rules::load;

/// What is refused in a file of one rule `Cause`, its labels and annotations given, beside `Symptom`.
fn refused(fields: &str) -> Vec<String> {
    let fields = fields.trim().replace('\n', "\n      ");
    let text = format!(
        "groups:\n  - name: g\n    rules:\n    - alert: Cause\n      expr: up\n      {fields}\n    - {{alert: Symptom, expr: up}}\n"
    );
    let rules = RuleSet::new(load("r.yaml", &text).unwrap());
    check_convention(&rules).iter().map(ToString::to_string).collect()
}

/// With the labels that the convention asks for.
fn refused_annotation(name: &str, text: &str) -> Vec<String> {
    let text = text.replace('\n', "\n    ");
    refused(&format!(
        "labels: {{severity: warning, category: disk}}\nannotations:\n  {name}: |\n    {text}"
    ))
}

#[test]
fn reads_explains() {
    let read = parse_explains("SlowDisk, Elections(member),\n NoLeader").unwrap();
    let shown: Vec<_> = read
        .iter()
        .map(|symptom| (&*symptom.alert, symptom.same_member))
        .collect();
    assert_eq!(
        shown,
        [("SlowDisk", false), ("Elections", true), ("NoLeader", false)]
    );
    assert_eq!(parse_explains(" "), Ok(vec![]));
    for text in ["A(cluster)", "A B", "(member)", "A(member"] {
        assert!(parse_explains(text).is_err(), "{text}");
    }
}

#[test]
fn reads_evidence() {
    let text = "WAL fsyncs within 8 ms [ratio, >= 0.99] = a{x=\"b = c\"} / b\n\n  keys = etcd_keys\nsize [bytes] = s\n";
    let shown: Vec<_> = parse_evidence(text)
        .unwrap()
        .into_iter()
        .map(|line| [line.text, line.unit, line.reference, line.expr])
        .collect();
    assert_eq!(
        shown,
        [
            ["WAL fsyncs within 8 ms", "ratio", ">= 0.99", "a{x=\"b = c\"} / b"],
            ["keys", "", "", "etcd_keys"],
            ["size", "bytes", "", "s"],
        ]
    );
    for text in ["no expression", "= up", "a ] = up", "a ="] {
        assert!(parse_evidence(text).is_err(), "{text}");
    }
}

#[test]
fn a_rule_without_the_convention_is_left_alone() {
    assert_eq!(
        refused("labels: {severity: page}\nannotations: {summary: s, runbook_url: u}"),
        [""; 0]
    );
}

#[test]
fn severity_and_category_are_words_of_the_convention() {
    let shown = refused("labels: {severity: page, category: diks}");
    assert_eq!(
        shown,
        [
            "r.yaml:4:14: group \"g\", rule \"Cause\": label \"severity\" is \"page\"; \
             expected one of critical, warning, info",
            "r.yaml:4:14: group \"g\", rule \"Cause\": label \"category\" is \"diks\"; expected one of availability, \
             quota, election, disk, network, resources, consistency, configuration, security, backup, monitoring",
        ]
    );
    assert_eq!(
        refused("labels: {severity: '{{ if true }}info{{ end }}', category: disk}"),
        [""; 0]
    );
}

#[test]
fn explains_names_rules_that_there_are() {
    assert_eq!(
        refused_annotation("explains", "Symptom, Symptom(member)"),
        [""; 0]
    );
    let shown = refused_annotation("explains", "Symptom, Nothing");
    assert!(
        shown.len() == 1 && shown[0].contains("no rule has the name \"Nothing\""),
        "{shown:?}"
    );
}

#[test]
fn cycles_are_refused_once_each() {
    let rule = |name: &str, explains: &str| {
        format!(
            "    - alert: {name}\n      expr: up\n      labels: {{severity: info, category: disk}}\n      \
             annotations: {{explains: '{explains}'}}\n"
        )
    };
    let text = "groups:\n  - name: g\n    rules:\n".to_owned()
        + &rule("C", "A")
        + &rule("A", "B, D")
        + &rule("B", "C(member)")
        + &rule("D", "")
        + &rule("E", "E");
    let rules = RuleSet::new(load("r.yaml", &text).unwrap());
    let shown: Vec<String> = check_convention(&rules)
        .into_iter()
        .map(|error| error.message)
        .collect();
    assert_eq!(
        shown,
        [
            "annotation \"explains\": alerts explain each other: A -> B -> C -> A",
            "annotation \"explains\": alerts explain each other: E -> E",
        ]
    );
}

#[test]
fn evidence_is_promql_whatever_the_labels() {
    let good = "sent [bytes] = rate(sent{member={{ printf \"%q\" $labels.member }}, x={{ printf \"%q\" $labels.x }}}[5m])";
    assert_eq!(refused_annotation("evidence", good), [""; 0]);
    for (text, expected) in [
        ("sent [bytes] = rate(sent)", "expected type range vector"),
        ("sent [bytes]", "is not of the form"),
        ("sent = sent{member=\"{{ $labels.member }}\"}", "printf \"%q\""),
        ("sent = {{ humanize true }}", "can't convert"),
    ] {
        let shown = refused_annotation("evidence", text);
        assert!(
            shown.len() == 1 && shown[0].contains(expected),
            "{text}: {shown:?}"
        );
    }
}

#[test]
fn the_window_keeps_what_evidence_and_templates_ask_for() {
    let text = r#"
groups:
  - name: g
    query_offset: 1m
    rules:
      - alert: A
        expr: rate(a[5m]) > 0
        labels: {severity: info, category: disk}
        annotations:
          summary: '{{ query "b offset 10m" | len }}'
          evidence: |
            rate [1/s] = rate(c{member={{ printf "%q" $labels.member }}}[30m])
"#;
    let rules = RuleSet::new(load("r.yaml", text).unwrap());
    let shown: Vec<_> = rules
        .selectors()
        .iter()
        .map(|selector| (selector.metric.clone().unwrap(), selector.reach.as_secs() / 60))
        .collect();
    assert_eq!(
        shown,
        [("a".to_owned(), 6), ("b".to_owned(), 15), ("c".to_owned(), 30)]
    );
}

#[test]
fn summaries_are_listed_without_their_templates() {
    for (summary, expected) in [
        ("member {{ $labels.member }} is down", "member <member> is down"),
        ("used {{ $value | humanizePercentage }}", "used <value>"),
        (
            "{{ if eq $value 1.0 }}once{{ else }}{{ $value }} times{{ end }}",
            "once",
        ),
        (
            "{{- $n := query `a` | len -}}\n{{ $n = 1 }}{{ $n }} down, {{ with $n -}}\n most {{ else if $n }}few \
             {{ if $n }}x{{ end }}{{ else }}none {{ end }}of them",
            "<value> down, most of them",
        ),
        ("plain", "plain"),
    ] {
        assert_eq!(imagined(summary), expected);
    }
}
