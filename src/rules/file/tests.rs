//! Rule files that load, and those that are refused, as promtool does.

use super::*;

fn errors(text: &str) -> Vec<String> {
    let errors = load("r.yaml", text).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

/// One rule of group `g`, its fields given as lines.
fn rule(fields: &str) -> String {
    let fields = fields.trim().replace('\n', "\n      ");
    format!("groups:\n  - name: g\n    rules:\n    - {fields}\n")
}

const FULL: &str = r#"
groups:
  - name: storage
    interval: 30s
    query_offset: 1m
    limit: 10
    labels: {team: db, severity: info}
    rules:
      - record: cluster:up:sum
        expr: sum(up)
        labels: {tier: "1"}
      - alert: Down
        expr: |
          up == 0
        for: 5m
        keep_firing_for: 10m
        labels:
          severity: critical
        annotations:
          summary: '{{ $labels.instance }} is down'
          description: at {{ $value }}
"#;

#[test]
fn reads_every_field() {
    let groups = load("r.yaml", FULL).unwrap();
    let [group] = &groups[..] else {
        panic!("{groups:?}")
    };
    assert_eq!((&*group.file, &*group.name), ("r.yaml", "storage"));
    assert_eq!(group.interval, Some(Duration::from_secs(30)));
    assert_eq!(
        (group.query_offset, group.limit),
        (Duration::from_secs(60), Some(10))
    );
    let [Rule::Recording(record), Rule::Alerting(alert)] = &group.rules[..] else {
        panic!("{groups:?}")
    };
    assert_eq!(
        (&*record.record, record.query.text()),
        ("cluster:up:sum", "sum(up)")
    );
    let labels = |rule: &Rule| rule.labels().to_string();
    assert_eq!(
        labels(&group.rules[0]),
        r#"{severity="info", team="db", tier="1"}"#
    );
    assert_eq!(labels(&group.rules[1]), r#"{severity="critical", team="db"}"#);
    assert_eq!((&*alert.alert, alert.query.text().trim()), ("Down", "up == 0"));
    assert_eq!(
        (alert.hold, alert.keep_firing),
        (Duration::from_secs(300), Duration::from_secs(600))
    );
    let names: Vec<&str> = alert.annotations.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["summary", "description"], "the order of the file");
    assert_eq!(alert.position, (12, 16));
}

#[test]
fn an_error_says_where_it_is() {
    let text = FULL.replace("up == 0", "up == (0");
    let shown = errors(&text);
    assert_eq!(shown.len(), 1, "{shown:?}");
    let start = "r.yaml:14:11: group \"storage\", rule \"Down\": ";
    assert!(shown[0].starts_with(start), "{}", shown[0]);
}

#[test]
fn all_errors_are_told_at_once() {
    let text = FULL
        .replace("5m", "5 minutes")
        .replace("sum(up)", "sum(")
        .replace("$value", "$valu");
    let shown = errors(&text);
    assert_eq!(shown.len(), 3, "{shown:?}");
}

/// A file that `promtool check rules` refuses too, and what the message must say.
#[test]
fn refuses_what_prometheus_refuses() {
    for (text, expected) in [
        (
            "groups:\n  - name: g\n    color: red\n".to_owned(),
            "r.yaml:3:5: ",
        ),
        (
            "groups:\n  - name: g\n    color: red\n".to_owned(),
            r#"unknown field "color""#,
        ),
        ("group: []\n".to_owned(), r#"unknown field "group""#),
        (
            rule("alert: A\nexpr: up\nannotation: {a: b}"),
            r#"unknown field "annotation""#,
        ),
        ("groups:\n  - rules: []\n".to_owned(), "a group needs a name"),
        ("groups:\n  - name: \"\"\n".to_owned(), "a group needs a name"),
        (
            "groups:\n  - name: g\n  - name: g\n".to_owned(),
            "r.yaml:3:11: group \"g\": the name of this group stands",
        ),
        ("groups: [\n".to_owned(), "r.yaml:"),
        (
            "groups:\n  - name: g\n    name: h\n".to_owned(),
            "stands here twice",
        ),
        (
            "groups:\n  - name: g\n    limit: many\n".to_owned(),
            "r.yaml:3:5: ",
        ),
        (
            "groups:\n  - name: g\n    interval: 1.5m\n".to_owned(),
            "r.yaml:3:15: group \"g\": interval: \"1.5m\" is not",
        ),
        (rule("expr: up"), "one of record and alert"),
        (rule("alert: A\nrecord: b\nexpr: up"), "not both"),
        (rule("alert: A"), "needs an expr"),
        (rule("alert: A\nexpr: \"\""), "needs an expr"),
        (
            rule("alert: A\nexpr: up ==="),
            "r.yaml:5:13: group \"g\", rule \"A\": could not parse expression: 1:6: parse error: ",
        ),
        (
            rule("alert: A\nexpr: up\nfor: 5"),
            "r.yaml:6:12: group \"g\", rule \"A\": for: \"5\" is not a duration",
        ),
        (
            rule("alert: A\nexpr: up\nfor: \"\""),
            "for: \"\" is not a duration",
        ),
        (
            rule("alert: A\nexpr: up\nkeep_firing_for: 1m1h"),
            "keep_firing_for: ",
        ),
        (
            rule("record: a\nexpr: up\nfor: 5m"),
            "a recording rule has no for",
        ),
        (
            rule("record: a\nexpr: up\nkeep_firing_for: 5m"),
            "a recording rule has no keep_firing_for",
        ),
        (
            rule("record: a\nexpr: up\nannotations: {a: b}"),
            "a recording rule has no annotations",
        ),
        (
            rule("record: up{a=\"b\"}\nexpr: up"),
            "is not the name of a series",
        ),
        (
            rule("alert: A\nexpr: up\nlabels: {__name__: b}"),
            "cannot be the name of a label",
        ),
        (
            rule("alert: A\nexpr: up\nlabels: {\"\": b}"),
            "cannot be the name of a label",
        ),
        (
            rule("alert: A\nexpr: up\nannotations: {\"\": b}"),
            "an annotation needs a name",
        ),
        (
            rule("alert: A\nexpr: up\nlabels: {a: '{{ nope }}'}"),
            "the label \"a\" cannot be used: function \"nope\"",
        ),
        (
            rule("alert: A\nexpr: up\nannotations: {a: '{{ end }}'}"),
            "unexpected {{end}}",
        ),
        (rule("alert: A\nexpr: up\nlabels: [a, b]"), "r.yaml:6:"),
    ] {
        let shown = errors(&text);
        assert!(
            shown.iter().any(|error| error.contains(expected)),
            "{text}{expected}: {shown:?}"
        );
    }
}

/// Files that `promtool check rules` accepts too.
#[test]
fn accepts_what_prometheus_accepts() {
    for (text, rules) in [
        (String::new(), 0),
        ("# nothing\n".to_owned(), 0),
        ("groups:\n".to_owned(), 0),
        ("groups:\n  - name: g\n".to_owned(), 0),
        (rule("record: a:b\nexpr: up\nfor: 0s"), 1),
        (rule("alert: A\nexpr: 1\nfor: 0\nlabels:\nannotations:"), 1),
        (
            rule("alert: A\nexpr: up\nlabels: {a: 1, b: true, c: no, d: 1.50}"),
            1,
        ),
        (rule("alert: A\nexpr: up\n") + "    - {alert: A, expr: up}\n", 2),
        (rule("alert: A\nexpr: up") + "---\nnot: a rule file\n", 1),
        (
            rule("alert: A\nexpr: up\nlabels: &l {a: b}") + "    - {alert: B, expr: up, labels: *l}\n",
            2,
        ),
    ] {
        match load("r.yaml", &text) {
            Ok(groups) => assert_eq!(
                groups.iter().map(|group| group.rules.len()).sum::<usize>(),
                rules,
                "{text}"
            ),
            Err(errors) => panic!("{text}: {errors:?}"),
        }
    }
}

#[test]
fn label_values_are_texts_as_written() {
    let text = rule("alert: A\nexpr: up\nlabels: {a: 1, b: true, c: no, d: 1.50, e: }");
    let groups = load("r.yaml", &text).unwrap();
    assert_eq!(
        groups[0].rules[0].labels().to_string(),
        r#"{a="1", b="true", c="no", d="1.50"}"#
    );
}
