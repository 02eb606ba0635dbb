//! Texts as promtool expands them. Each expected text was printed by `promtool test rules` 2.42 for the sample
//! `m{instance="db1.example.org:2379", member="m0", quoted="a\"b", zed="9"}` with the value at the left, beside the series
//! `up{job="b", host="x"} 3` and `up{job="a", host="y"} 7`.

use super::*;
use crate::model::{Labels, Timestamp};
use crate::promql::{Matcher, Options, Point, Series, Source};

/// Serves `up` of two jobs, whatever is asked but for `job`.
struct TwoTargets;

impl Source for TwoTargets {
    fn select(&self, matchers: &[Matcher], _: Timestamp, through: Timestamp) -> Vec<Series> {
        let series = [("a", "y", 7.0), ("b", "x", 3.0)].map(|(job, host, value)| Series {
            labels: Labels::new([("__name__", "up"), ("job", job), ("host", host)]),
            points: vec![Point { time: through, value }].into(),
        });
        let wanted = |series: &Series| {
            matchers
                .iter()
                .all(|matcher| series.labels.get(&matcher.label) == matcher.value)
        };
        series.into_iter().filter(wanted).collect()
    }
}

fn expand(value: f64, template: &str) -> Result<String, String> {
    let labels = [
        ("instance", "db1.example.org:2379"),
        ("member", "m0"),
        ("quoted", "a\"b"),
        ("zed", "9"),
    ];
    let scope = Scope {
        source: &TwoTargets,
        at: Timestamp::from_millis(60_000),
        options: &Options::default(),
        external_labels: &Labels::empty(),
        external_url: "",
    };
    Template::parse(template)?.expand(&Labels::new(labels), value, &scope)
}

#[rustfmt::skip]
const CASES: &[(f64, &str, &str)] = &[
    (1234567.0, r#"{{ $value }}"#, "1.234567e+06"),
    (123456.0, r#"{{ $value }}"#, "123456"),
    (1e21, r#"{{ $value }}"#, "1e+21"),
    (0.0000001, r#"{{$value}}"#, "1e-07"),
    (f64::INFINITY, r#"{{$value}} {{ printf "%.2f|%v|%g|%5.1f|%d" $value $value $value $value $value }}"#, "+Inf +Inf|+Inf|+Inf| +Inf|%!d(float64=+Inf)"),
    (1.0, r#"[{{ $labels.missing }}] {{ if eq $labels.missing "" }}empty{{ end }} {{ printf "%s|%q|%v" $labels.missing $labels.missing $labels.missing }} {{ $labels.member | toUpper }}"#, "[] empty |\"\"| M0"),
    (9999.9, r#"{{ printf "%.4g" $value }} {{ humanize $value }} {{ humanize1024 $value }}"#, "1e+04 10k 9.766ki"),
    (1.0, r#"{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }} {{ len $labels }} {{ $labels }} {{ index $labels "nope" }}|"#, "instance=db1.example.org:2379;member=m0;quoted=a\"b;zed=9; 4 map[instance:db1.example.org:2379 member:m0 quoted:a\"b zed:9] |"),
    (1.0, r#"{{ range query "up" | sortByLabel "job" }}{{ .Labels.job }}={{ .Value }}/{{ .Labels.__name__ }}/{{ .Labels.none }};{{ end }}"#, "a=7/up/;b=3/up/;"),
    (1.0, r#"{{ query "up{job='a'}" | first | value | humanize }} {{ with query "up{job='zz'}" }}some{{ else }}none{{ end }} {{ query "up" | first | label "job" }} {{ printf "up{job=%q}" "b" | query | first | value }}"#, "7 none a 3"),
    (1.5, r#"{{ print $value 1 "a" 2 3 }}|{{ println $value "x" }}|{{ html $value }}|{{ urlquery $labels.instance }}|{{ js $labels.quoted }}"#, "1.5 1a2 3|1.5 x\n|1.5|db1.example.org%3A2379|a\\\"b"),
    (3.0, r#"{{ printf "%d %v %s %q %x %5d|%-5d|%05d %t %c %U %+d %e %E %G %T" 42 42 "s" "a\"b" 255 7 7 7 true 65 0x1F600 5 1.5 1.5 1e9 1 }}"#, "42 42 s \"a\\\"b\" ff     7|7    |00007 true A U+1F600 +5 1.500000e+00 1.500000E+00 1E+09 int"),
    (3.0, r#"{{ printf "%s %d %f" $value "x" 3 }} {{ printf "%d" }} {{ printf "a" 1 2.5 }} {{ printf "%!" }} {{ printf "100%" }} {{ printf "%%" }} {{ printf "%z" 1 }}"#, "%!s(float64=3) %!d(string=x) %!f(int=3) %!d(MISSING) a%!(EXTRA int=1, float64=2.5) %!!(MISSING) 100%!(NOVERB) % %!z(int=1)"),
    (3.0, r#"{{ printf "%8.3f|%-8.2f|%+.1f|%08.2f|% f|%6s|%-6s|%.2s|%*d" $value $value $value $value $value "ab" "ab" "abcdef" 5 42 }}"#, "   3.000|3.00    |+3.0|00003.00| 3.000000|    ab|ab    |ab|   42"),
    (3.0, r#"{{ printf "%[2]d %[1]d" 1 2 }} {{ printf "%v %v %v" true nil $labels.member }}"#, "2 1 true <nil> m0"),
    (0.0, r#"{{ humanize $value }} {{ humanize1024 $value }} {{ humanizeDuration $value }} {{ humanizePercentage $value }} {{ humanizeTimestamp $value }}"#, "0 0 0s 0% 1970-01-01 00:00:00 +0000 UTC"),
    (1234567.8, r#"{{ humanize $value }} {{ humanize1024 $value }} {{ humanizeDuration $value }} {{ humanizePercentage $value }} {{ humanizeTimestamp $value }}"#, "1.235M 1.177Mi 14d 6h 56m 7s 1.235e+08% 1970-01-15 06:56:07.8 +0000 UTC"),
    (0.00123, r#"{{ humanize $value }} {{ humanize1024 $value }} {{ humanizeDuration $value }} {{ humanizePercentage $value }}"#, "1.23m 0.00123 1.23ms 0.123%"),
    (-93784.0, r#"{{ humanize $value }} {{ humanize1024 $value }} {{ humanizeDuration $value }}"#, "-93.78k -91.59ki -1d 2h 3m 4s"),
    (f64::INFINITY, r#"{{ humanize $value }} {{ humanize1024 $value }} {{ humanizeDuration $value }} {{ humanizePercentage $value }} {{ humanizeTimestamp $value }}"#, "+Inf +Inf +Inf +Inf% +Inf"),
    (f64::NAN, r#"{{ $value }} {{ humanize $value }} {{ humanizeDuration $value }}"#, "NaN NaN NaN"),
    (59.5, r#"{{ humanizeDuration $value }} {{ humanizeDuration 3600 }} {{ humanizeDuration 61 }} {{ humanizeDuration "90000.5" }} {{ humanizeDuration 0.0000002 }}"#, "59.5s 1h 0m 0s 1m 1s 1d 1h 0m 0s 200ns"),
    (1700000000.123, r#"{{ humanizeTimestamp $value }} {{ humanizeTimestamp 1700000000 }} {{ humanizeTimestamp 1.7e9 }}"#, "2023-11-14 22:13:20.122 +0000 UTC 2023-11-14 22:13:20 +0000 UTC 2023-11-14 22:13:20 +0000 UTC"),
    (1.0, r#"{{ $labels.instance | stripPort }} {{ $labels.instance | stripDomain }} {{ stripPort "[::1]:80" }} {{ stripPort "plain" }} {{ stripDomain "10.0.0.1:2379" }} {{ stripDomain "a.b.c" }}"#, "db1.example.org db1:2379 ::1 plain 10.0.0.1:2379 a"),
    (1.0, r#"{{ title "hello wORLD it's" }} {{ toLower "ABC" }} {{ reReplaceAll "(.*):(\\d+)" "$2-${1}" $labels.instance }} {{ match "db." $labels.instance }} {{ if match "^m0$" $labels.member }}yes{{ end }}"#, "Hello WORLD It's abc 2379-db1.example.org true yes"),
    (1.0, r#"{{ graphLink "up == 0" }} {{ tableLink "up" }} {{ urlquery "a b&c" }} {{ safeHtml "<b>" }} {{ html "<b>" }}"#, "/graph?g0.expr=up+%3D%3D+0&g0.tab=0 /graph?g0.expr=up&g0.tab=1 a+b%26c <b> &lt;b&gt;"),
    (0.5, r#"{{ if gt $value 0.4 }}high{{ else if lt $value 0.1 }}low{{ else }}mid{{ end }} {{ if and (gt $value 0.1) (lt $value 1.0) }}in{{ end }} {{ eq $labels.member "m0" "m1" }} {{ not true }} {{ or "" "b" }} {{ len "abc" }} {{ slice "abcdef" 1 3 }}"#, "high in true false b 3 bc"),
    (1.0, r#"{{ parseDuration "1h30m" }}"#, "5400"),
    (1.0, r#"{{- $labels.member -}}   x   {{- "y" }} {{ printf "%s is %v" $labels.member $value }} {{ $externalLabels.foo }}|{{ $externalURL }}|{{ .Value }}|{{ .Labels.member }}|{{ $.Labels.member }}"#, "m0xy m0 is 1 ||1|m0|m0"),
    (1.0, r#"{{ range $i, $e := query "up" | sortByLabel "host" }}{{ if $i }}, {{ end }}{{ $e.Labels.host }}={{ $e | value }}{{ end }}"#, "x=3, y=7"),
    (1.0, r#"{{ range query "sort_desc(up)" }}{{ .Value }} {{ end }}{{ (query "up" | sortByLabel "job" | first).Labels.host }} {{ query "1+1" | first | value }}"#, "7 3 y 2"),
    (1.0, r#"{{ with printf "up{job='%s'}" "a" | query }}{{ . | first | value | printf "%.1f" }}{{ end }}"#, "7.0"),
    (1.0, r#"{{ $value }}% of {{ $labels.missing }}x {{ printf "%.2f%%" $value }} {{ printf "%5.1f|%+d|%x|%08.3f" 3.14159 5 255 3.14159 }} {{ printf "%q" "a\"b" }} {{ printf "%v" 1e21 }} {{ 1e6 }} {{ 0.1 }} {{ 12 }} {{ true }}"#, "1% of x 1.00%   3.1|+5|ff|0003.142 \"a\\\"b\" 1e+21 1e+06 0.1 12 true"),
    (1.0, r#"{{ $value | humanize | printf "%s!" }} {{ $value | printf "%.3f" | len }}"#, "1! 5"),
    (1.0, r#"{{ printf "%6.2f|%-8v|%8v|%t|%q|%s" 2.5 "ab" 1.5 false "x" true }}"#, "  2.50|ab      |     1.5|false|\"x\"|%!s(bool=true)"),
    (1.0, r#"{{ printf "%d" $value }} {{ printf "%s" $value }} {{ printf "%.1f" "x" }} {{ printf $labels.member }}"#, "%!d(float64=1) %!s(float64=1) %!f(string=x) m0"),
    (1.0, r#"{{ print 1 2 "x" 3.0 true false }} {{ println }}"#, "1 2x3 true false \n"),
    (1.0, r#"{{ index $labels "member" }} {{ index (query "up" | sortByLabel "job") 0 | value }}"#, "m0 7"),
    (1.0, r#"{{ $x := $labels.member }}{{ with $x }}{{ . }}{{ end }}{{ range $k, $v := $labels }}{{ if eq $k "zed" }}{{ continue }}{{ end }}{{ $k }},{{ end }}"#, "m0instance,member,quoted,"),
    (1.0, r#"{{ "}}" }}{{/* {{ end */}}{{ `{{ if }}` }}"#, "}}{{ if }}"),
    (1.0, r#"{{ range $labels }}{{ . }},{{ else }}none{{ end }}"#, "db1.example.org:2379,m0,a\"b,9,"),
    (1.0, r#"{{ block "x" $labels }}[{{ .member }}]{{ end }}"#, "[m0]"),
    (12345678.0, r#"{{ printf "%v %s %.3v %6v|" $value $value $value 1.0 }}"#, "1.2345678e+07 %!s(float64=1.2345678e+07) 1.23e+07      1|"),
];

#[test]
fn texts_are_those_of_promtool() {
    for (value, template, expected) in CASES {
        assert_eq!(expand(*value, template).as_deref(), Ok(*expected), "{template}");
    }
}

/// Where promtool prints `<error expanding template: …>`; the reason in its words, without the place in the template.
#[rustfmt::skip]
const FAILURES: &[(&str, &str)] = &[
    ("{{ query \"up{job='zz'}\" | first | value }}", "error calling first: first() called on vector with no elements"),
    (r#"{{ query "bad(" | first | value }}"#, "error calling query"),
    ("{{ toUpper $value }}", "wrong type for value; expected string; got float64"),
    (r#"{{ humanize "abc" }}"#, r#"error calling humanize: parsing "abc": invalid syntax"#),
    ("{{ humanize true }}", "error calling humanize: can't convert bool to float"),
    ("{{ humanizeTimestamp 1e12 }}", "cannot be represented"),
    ("{{ $labels.a.b }}", "can't evaluate field b in type string"),
    ("{{ first 3 }}", "expected the result of a query; got int"),
    (r#"{{ reReplaceAll "(" "x" "y" }}"#, "error calling reReplaceAll"),
    ("{{ gt $value 1 }}", "incompatible types for comparison"),
    (r#"{{ template "x" }}"#, "x"),
    ("{{ $y = 2 }}{{ $y.Foo }}", "undefined variable"),
    ("{{ nil }}", "nil is not a command"),
    ("{{ .Foo }}", "can't evaluate field Foo"),
    ("{{ $value.Foo }}", "can't evaluate field Foo in type float64"),
];

#[test]
fn failures_are_those_of_promtool() {
    for (template, expected) in FAILURES {
        let error = expand(1.0, template).unwrap_err();
        assert!(error.contains(expected), "{template}: {error}");
    }
}

/// Where promtool refuses the file.
#[rustfmt::skip]
const REFUSED: &[(&str, &str)] = &[
    ("a {{ end }} b", "unexpected {{end}}"),
    ("{{ if true }}x", "not closed"),
    ("{{ else }}", "unexpected {{else}}"),
    ("{{ if true }}{{ else }}{{ else }}{{ end }}", "found {{else}}"),
    ("{{ break }}", "{{break}} outside {{range}}"),
    ("{{ $foo }}", r#"undefined variable "$foo""#),
    ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", r#"undefined variable "$x""#),
    (r#"{{ define "x" }}{{ $labels.a }}{{ end }}"#, r#"undefined variable "$labels""#),
    ("{{ $labels.foo bar }}", r#"function "bar" is not defined"#),
    ("{{ $labels.member | foo }}", r#"function "foo" is not defined"#),
    ("{{ }}", "empty command"),
    (r#"{{ "abc }}"#, "string"),
    ("{{ $labels.foo", "unclosed action"),
    ("{{ Labels.foo }}", r#"function "Labels" is not defined"#),
    (r#"{{ define "x" }}a{{ end }}{{ define "x" }}b{{ end }}"#, r#"multiple definition of template "x""#),
    (r#"{{ block "x" }}{{ end }}"#, "missing value for block"),
    (r#"{{ "a".x }}"#, "unexpected '.'"),
    ("{{ nil.x }}", "unexpected . after term"),
    ("{{ $.1 }}", "unexpected <.>"),
    ("{{ $labels. }}", "unexpected <.>"),
    ("{{ /* c */ }}", "unexpected '/'"),
    (r#"{{ "\q" }}"#, "escape"),
    ("{{ \"a\nb\" }}", "unterminated quoted string"),
    ("{{ 1__0 }}", "bad number"),
    ("{{ 1e1000 }}", "bad number"),
    ("{{ print(1) }}", "unexpected '('"),
    ("{{ print (1)(2) }}", "unexpected '('"),
    (r#"{{ print"a" }}"#, "unexpected"),
    (r#"{{ print "a""b" }}"#, "unexpected"),
    ("{{ print $labels.a$value }}", "unexpected '$'"),
    ("{{ with 1 }}{{ else if 2 }}{{ end }}", "found {{else}}"),
    ("{{ range 1 }}{{ else }}{{ break }}{{ end }}", "outside {{range}}"),
    ("{{\u{a0}1}}", "unexpected"),
    ("{{ $x = 1 }}", r#"undefined variable "$x""#),
    ("{{ if $x = 1 }}{{ end }}", r#"undefined variable "$x""#),
    ("{{ with $x = 1 }}{{ end }}", r#"undefined variable "$x""#),
    (r#"{{ $labels.a | printf "%s" | 3 }}"#, "non executable command in pipeline stage 3"),
];

#[test]
fn what_promtool_refuses_is_refused() {
    for (template, expected) in REFUSED {
        let error = Template::parse(template).unwrap_err();
        assert!(error.contains(expected), "{template}: {error}");
    }
}

#[test]
fn a_failure_becomes_a_text_and_does_not_lose_the_alert() {
    let scope = Scope {
        source: &TwoTargets,
        at: Timestamp::from_millis(0),
        options: &Options::default(),
        external_labels: &Labels::empty(),
        external_url: "",
    };
    let text = Template::parse("{{ humanize true }}")
        .unwrap()
        .expand_or_complain(&Labels::empty(), 1.0, &scope);
    assert_eq!(
        text,
        "<error expanding template: error calling humanize: can't convert bool to float>"
    );
}

#[test]
fn a_template_shows_which_labels_and_queries_it_uses() {
    let template =
        Template::parse(r#"{{ $labels.member }} {{ .Labels.peer }} {{ query "up == 0" | len }}"#).unwrap();
    assert_eq!(template.labels().collect::<Vec<_>>(), ["member", "peer"]);
    assert_eq!(template.queries().collect::<Vec<_>>(), ["up == 0"]);
}

#[test]
fn a_query_that_always_changes_is_stopped() {
    let template = r#"{{ range 200 }}{{ printf "up + %d" . | query | len }}{{ end }}"#;
    let error = expand(1.0, template).unwrap_err();
    assert!(error.contains("more than 100 queries"), "{error}");
}

#[test]
fn a_template_has_a_budget() {
    let doubled = r#"{{ define "b" }}x{{ end }}{{ define "a0" }}{{ template "b" . }}{{ end }}"#.to_owned()
        + &(1..40)
            .map(|at| {
                let inner = format!(r#"{{{{ template "a{}" . }}}}"#, at - 1);
                format!(r#"{{{{ define "a{at}" }}}}{inner}{inner}{{{{ end }}}}"#)
            })
            .collect::<String>()
        + r#"{{ template "a39" . }}"#;
    let many = (0..70)
        .map(|at| format!(r#"{{{{ match "a{at}" "b" }}}}"#))
        .collect::<String>();
    let long = "x".repeat(2000);
    for (template, expected) in [
        (doubled.as_str(), "more than 250000 calls of functions"),
        (
            r#"{{ range 90000 }}{{ $x := printf "%v" . }}{{ $x }}{{ $x }}{{ end }}"#,
            "more than 250000 calls",
        ),
        (
            &format!("{{{{ range 90000 }}}}{long}{{{{ end }}}}"),
            "more than 1048576 bytes of text",
        ),
        (
            r#"{{ $x := "aaaaaaaa" }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}"#,
            "more than 16777216 bytes of text from functions",
        ),
        (
            r#"{{ $x := "\\" }}{{ range 60 }}{{ $x = js $x }}{{ end }}"#,
            "bytes of text from functions",
        ),
        (
            &format!(r#"{{{{ reReplaceAll "x" "{long}" "{long}" | len }}}}"#),
            "more than 1048576 bytes of text",
        ),
        (&many, "more than 64 regular expressions"),
    ] {
        let error = expand(1.0, template).map(|text| text.len()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    // Each expansion has its own.
    assert_eq!(
        expand(1.0, r#"{{ range 50000 }}{{ end }}{{ match "a" "a" }}"#).unwrap(),
        "true"
    );
}

#[test]
fn replacements_are_those_of_go() {
    for (template, expected) in [
        (
            r#"{{ reReplaceAll "(a)(b)?" "[$1|$01|${1}x|$1x|$$1|$2|${}]" "ab-a" }}"#,
            "[a||ax||$1|b|${}]-[a||ax||$1||${}]",
        ),
        (r#"{{ reReplaceAll "x*" "-" "abxd" }}"#, "-a-b-d-"),
    ] {
        assert_eq!(expand(1.0, template).unwrap(), expected, "{template}");
    }
}
