//! Verdicts and texts of unit tests, taken from promtool 3.5.

use super::*;
use crate::rules::load;

const RULES: &str = r#"
groups:
  - name: g1
    interval: 5m
    rules:
      - record: a:b
        expr: sum(x)
      - alert: A
        expr: x > 2
        for: 1m
        labels: {sev: 'w {{ $labels.i }}'}
        annotations: {s: "v {{ $value }}\nsecond", e: '{{ $externalLabels.reg }} {{ $externalURL }}'}
  - name: g2
    rules:
      - alert: A
        expr: x > 100
      - alert: B
        expr: vector(1)
"#;

fn failures(tests: &str) -> Vec<String> {
    let groups = load("r.yaml", RULES).unwrap();
    UnitTests::parse(tests).unwrap().run(groups)
}

/// One test over a series that rises by 1 every 15 s.
fn failures_of(cases: &str) -> Vec<String> {
    failures(&format!(
        "
evaluation_interval: 1m
tests:
  - name: first
    interval: 15s
    external_labels: {{reg: eu}}
    external_url: http://x/y
    input_series:
      - series: 'x{{i=\"1\"}}'
        values: '0+1x20'
{cases}"
    ))
}

#[test]
fn expected_alerts_are_compared_whole() {
    let good = r#"
    alert_rule_test:
      - eval_time: 2m30s
        alertname: A
        exp_alerts:
          - exp_labels: {sev: w 1, i: 1}
            exp_annotations: {s: "v 8\nsecond", e: "eu http://x/y"}
      - eval_time: 1m
        alertname: A
      - {eval_time: 3m, alertname: Nope}
"#;
    assert_eq!(failures_of(good), [""; 0]);
    let bad = r#"
    alert_rule_test:
      - eval_time: 2m30s
        alertname: A
        exp_alerts:
          - exp_labels: {sev: w 1, i: 1}
          - {}
      - {eval_time: 3m, alertname: B}
"#;
    let expected = "    name: first,
    alertname: A, time: 2m30s, 
        exp:[
            0:
              Labels:{alertname=\"A\"}
              Annotations:{},
            1:
              Labels:{alertname=\"A\", i=\"1\", sev=\"w 1\"}
              Annotations:{}
            ], 
        got:[
            0:
              Labels:{alertname=\"A\", i=\"1\", sev=\"w 1\"}
              Annotations:{e=\"eu http://x/y\", s=\"v 8\\nsecond\"}
            ]";
    let found = failures_of(bad);
    assert_eq!(found[0], expected);
    assert!(
        found[1]
            .starts_with("    name: first,\n    alertname: B, time: 3m, \n        exp:[], \n        got:[\n"),
        "{}",
        found[1]
    );
}

#[test]
fn expressions_are_evaluated_over_what_the_last_step_has_seen() {
    let found = failures_of(
        r#"
    promql_expr_test:
      - {expr: x, eval_time: 2m, exp_samples: [{labels: 'x{i="1"}', value: 8}]}
      - {expr: x, eval_time: 3m30s, exp_samples: [{labels: 'x{i="1"}', value: 14}]}
      - {expr: 'a:b', eval_time: 2m, exp_samples: []}
      - {expr: '1', eval_time: 2m, exp_samples: [{value: 1}]}
      - {expr: 'vector(NaN)', eval_time: 2m, exp_samples: [{labels: '{}', value: .nan}]}
      - {expr: 'x[5m]', eval_time: 2m}
      - {expr: 'x +', eval_time: 2m}
      - {expr: x, eval_time: 1m, exp_samples: [{labels: 'x{', value: 2}]}
      - {expr: 1/3, eval_time: 3m, exp_samples: [{labels: '{}', value: 0.3333333333333334}]}
"#,
    );
    assert_eq!(
        found,
        [
            "    expr: \"x\", time: 3m30s,\n        exp: {__name__=\"x\", i=\"1\"} 1.4E+01\n        got: {__name__=\"x\", \
             i=\"1\"} 1.2E+01",
            "    expr: \"a:b\", time: 2m,\n        exp: nil\n        got: {__name__=\"a:b\"} 8E+00",
            // As in promtool, NaN is not what is expected, whatever that is.
            "    expr: \"vector(NaN)\", time: 2m,\n        exp: {} NaN\n        got: {} NaN",
            "    expr: \"x[5m]\", time: 2m, err: rule result is not a vector or scalar",
            "    expr: \"x +\", time: 2m, err: 1:4: parse error: unexpected end of input",
            "    expr: \"x\", time: 1m, err: labels \"x{\": 1:3: parse error: unexpected end of input inside braces",
            "    expr: \"1/3\", time: 3m,\n        exp: {} 3.333333333333334E-01\n        got: {} 3.333333333333333E-01",
        ]
    );
}

#[test]
fn a_rule_that_fails_ends_the_test() {
    let groups = load(
        "r.yaml",
        r#"groups: [{name: g, rules: [{record: r, expr: 'y + on () {__name__=~"y|z"}'}]}]"#,
    );
    let tests = "
tests:
  - input_series: [{series: y, values: 1x3}, {series: z, values: _ 1x3}]
    promql_expr_test: [{expr: y, eval_time: 3m, exp_samples: []}]";
    let found = UnitTests::parse(tests).unwrap().run(groups.unwrap());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("    rule: r, time: 1m0s, err: found duplicate series"),
        "{found:?}"
    );
}

#[test]
fn fuzzy_comparison_forgives_the_last_bit() {
    let tests = |fuzzy| {
        format!(
            "{{fuzzy_compare: {fuzzy}, tests: [{{promql_expr_test: [{{expr: 0.1 + 0.2, exp_samples: [{{value: 0.3}}]}}]}}]}}"
        )
    };
    assert_eq!(failures(&tests(true)), [""; 0]);
    assert_eq!(failures(&tests(false)).len(), 1);
}

#[test]
fn what_is_no_test_is_refused_with_the_place() {
    for (text, why) in [
        ("tests: 5", "1:8: "),
        ("tests:\n  - intervall: 1m", r#"2:5: unknown field "intervall""#),
        ("evaluation_interval: 1x", "1:22: \"1x\" is not a duration"),
        (
            "group_eval_order: [a, a]",
            "group name repeated in evaluation order: a",
        ),
        (
            "tests:\n  - input_series:\n      - {series: x, values: 1y5}",
            "3:29: \"1y5\" is no item of a series",
        ),
        (
            "tests:\n  - input_series:\n      - {series: 'x{', values: 1}",
            "3:18: 1:3: parse error: ",
        ),
        (
            "tests: [{promql_expr_test: [{exp_samples: [{histogram: '{{}}'}]}]}]",
            "native histograms are not supported",
        ),
    ] {
        let error = UnitTests::parse(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    let unnamed = "tests: [{alert_rule_test: [{eval_time: 3m}]}]";
    assert_eq!(
        failures(unnamed),
        ["an item under alert_rule_test misses required attribute alertname at eval_time 3m"]
    );
    assert_eq!(failures(""), [""; 0]);
}
