//! What is refused, where and in which words; what is accepted.

use super::super::{Matcher, Options, Query, Series, Source};
use crate::model::Timestamp;

#[test]
fn refuses_what_prometheus_refuses_and_says_where() {
    for (text, why) in [
        ("", "1:1: parse error: no expression found in input"),
        ("sum(x", "1:6: parse error: unclosed left parenthesis"),
        (
            "x{a=\"b\"",
            "1:8: parse error: unexpected end of input inside braces",
        ),
        ("x)", "1:2: parse error: unexpected right parenthesis ')'"),
        ("x +\n  * y", "2:3: parse error: unexpected <op:*>"),
        (r#"x{a="b}"#, "1:5: parse error: unterminated quoted string"),
        (
            r#"{a="b" or c="d"}"#,
            r#"1:8: parse error: unexpected identifier "or" in label matching, expected "," or "}""#,
        ),
        (
            "limitk(1, x)",
            r#"1:1: parse error: function "limitk" is not enabled: it is experimental in Prometheus 3.5"#,
        ),
        (
            "x + fill(0) y",
            r#"1:5: parse error: unknown function with name "fill""#,
        ),
        (
            "mad_over_time(x[5m])",
            r#"1:1: parse error: function "mad_over_time" is not enabled: it is experimental in Prometheus 3.5"#,
        ),
        (
            "1 + histogram_count(x)",
            r#"1:5: parse error: function "histogram_count" is for native histograms, which are not supported"#,
        ),
        ("x[0s]", "1:3: parse error: duration must be greater than 0"),
        ("x[9.5e10]", "1:3: parse error: duration out of range"),
        (
            "ln(Inf)",
            r#"1:4: parse error: expected type instant vector in call to function "ln", got scalar"#,
        ),
        (
            "sum(x) + rate(x)",
            r#"1:15: parse error: expected type range vector in call to function "rate", got instant vector"#,
        ),
        (
            r#"{a=""}"#,
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
        ),
        (
            "1 < 2",
            "1:3: parse error: comparisons between scalars must use BOOL modifier",
        ),
    ] {
        assert_eq!(Query::parse(text).unwrap_err().0, why, "{text}");
    }
}

#[test]
fn refuses_what_cannot_be_matched_as_re2_does() {
    for (text, why) in [
        (r#"x{a=~"a{1001}"}"#, "1000"),
        (r#"x{a=~"a**"}"#, "repet"),
        (r#"x{a="\xff"}"#, "not UTF-8"),
    ] {
        let error = Query::parse(text).unwrap_err();
        assert!(error.0.starts_with("1:") && error.0.contains(why), "{error}");
    }
}

#[test]
fn refuses_what_would_use_up_the_stack() {
    for text in [
        format!("{}1{}", "(".repeat(3000), ")".repeat(3000)),
        format!("{}x", "-".repeat(3000)),
        format!("1{}", "^1".repeat(3000)),
        format!("{}1{}", "(".repeat(90_000), ")".repeat(90_000)),
        format!("{}1", "- ".repeat(90_000)),
        format!("1{}", " ^ 1".repeat(90_000)),
        format!("x{}", "[5m:]".repeat(3000)),
    ] {
        assert!(Query::parse(&text).is_err());
    }
}

#[test]
fn only_so_many_regular_expressions_are_compiled() {
    let most = super::MAX_PATTERNS;
    let selectors = |count: usize| vec![r#"x{a=~"b.*"}"#; count].join(" or ");
    Query::parse(&selectors(most)).unwrap();
    let replaced = format!(r#"label_replace({}, "a", "$1", "b", "(.*)")"#, selectors(most));
    for text in [selectors(most + 1), replaced] {
        let error = Query::parse(&text).unwrap_err();
        assert!(error.0.contains("more than 64 regular expressions"), "{error}");
    }
}

#[test]
fn the_deepest_expression_can_be_evaluated() {
    struct Nothing;
    impl Source for Nothing {
        fn select(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Vec<Series> {
            Vec::new()
        }
    }
    let depth = super::MAX_DEPTH - 1;
    for text in [
        format!("{}vector(1){}", "abs(".repeat(depth - 1), ")".repeat(depth - 1)),
        format!("{}1", "-".repeat(depth - 1)),
        format!("1{}", " ^ 1".repeat(depth - 1)),
        format!("vector(1){}", " or vector(2)".repeat(5000)),
    ] {
        let query = Query::parse(&text).unwrap();
        query
            .instant(&Nothing, Timestamp::from_millis(0), &Options::default())
            .unwrap();
    }
}

#[test]
fn accepts_comments_and_long_flat_rules() {
    let text = format!("# (\nabsent(x) # \"\n{}", "or absent(y)\n".repeat(60));
    Query::parse(&text).unwrap();
    Query::parse(r#"x{a="\"(", b='\u00e9', c=`\xff`}"#).unwrap();
}
