//! Good input to start from, words that are worth putting in, and what mutates them.

use std::io::Read;

use etcd_doctor::rules::builtin;
use fastrand::Rng;

pub const PAGE_WORDS: &[&str] = &[
    "# TYPE x histogram\n",
    "# HELP",
    "\\\"",
    "\\\\",
    "{",
    "}",
    "=\"",
    "\",",
    "NaN",
    "+Inf",
    "1e999",
    "-0",
    " # {}",
    "# EOF",
    "\n",
    "\r\n",
    "le=\"",
    "_bucket",
    "é",
    "\u{0}",
];
pub const RULE_WORDS: &[&str] = &[
    "groups:",
    "- name:",
    "  rules:\n",
    "record:",
    "alert:",
    "expr:",
    "for:",
    "labels:",
    "annotations:",
    "&a",
    "*a",
    "<<: *a",
    "!!binary",
    "|\n",
    ">-\n",
    "{",
    "}",
    "[",
    "]",
    "'",
    "\"",
    "\t",
    "- ",
    ": ",
    "{{",
    "}}",
    "limit: -1",
    "interval: 1000000y",
    "\n---\n",
    "é",
    "\u{0}",
    "evidence",
    "explains",
];
pub const TEMPLATE_WORDS: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    "$value",
    "$labels",
    ".Labels",
    "range",
    "end",
    "if",
    "else",
    "with",
    "define \"a\"",
    "template \"a\" .",
    "block \"b\" .",
    "query \"up\"",
    "| first",
    "| value",
    "printf \"%s\"",
    "printf \"%09999999d\"",
    "humanize",
    "index",
    "slice",
    "len",
    "(",
    ")",
    "\"",
    "`",
    ":=",
    "$x",
    "1e309",
    "-1",
    "nil",
    "break",
    "and",
    "call",
    "html",
];
pub const QUERY_WORDS: &[&str] = &[
    "query=",
    "&",
    "start=",
    "end=",
    "step=",
    "time=",
    "match[]=",
    "limit=",
    "timeout=",
    "%28",
    "%29",
    "(",
    ")",
    "[5m]",
    "[1m:1s]",
    "[1d:1ms]",
    "{",
    "}",
    "=~",
    "\"",
    "by+(le)",
    "on()",
    "group_left",
    "offset+1h",
    "@+end()",
    "rate",
    "sum",
    "topk",
    "1e309",
    "NaN",
    "0x",
    "or",
    "and",
    "bool",
    "^",
    "%25",
    "histogram_quantile",
    "label_replace",
    "(.*)*",
    "a{1000}",
    "é",
    "%FF",
    "%00",
];

/// Each once brought something down, here or elsewhere.
pub const TEMPLATE_TRAPS: &[&str] = &[
    r#"{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}"#,
    r#"{{ define "a" }}x{{ template "b" . }}{{ end }}{{ define "b" }}{{ template "a" . }}{{ end }}{{ template "a" . }}"#,
    r#"{{ printf "%999999999d" 1 }}"#,
    r#"{{ printf "%.999999999f" $value }}"#,
    r#"{{ printf "%*d" 999999999 1 }}"#,
    r#"{{ $x := "aaaaaaaaaaaaaaaa" }}{{ range query "up" }}{{ $x = printf "%s%s%s%s%s%s%s%s" $x $x $x $x $x $x $x $x }}{{ end }}{{ $x | len }}"#,
    r#"{{ range 1000000000 }}x{{ end }}"#,
    r#"{{ reReplaceAll "(a*)*b" "$1" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }}"#,
    r#"{{ query "sum_over_time(vector(1)[1000y:1ms])" }}"#,
    r#"{{ index $labels 5 }}{{ slice "é" 1 2 }}"#,
    r#"{{ humanizeTimestamp 1e300 }}{{ humanizeDuration -1e300 }}{{ toTime 1e300 }}"#,
    r#"{{ range 90000 }}{{ $x := printf "%0999d" 1 }}{{ $x }}{{ end }}"#,
    r#"{{ $x := "\\" }}{{ range 90 }}{{ $x = js $x }}{{ end }}"#,
    r#"{{ define "c" }}{{ template "b" . }}{{ template "b" . }}{{ end }}{{ define "b" }}{{ range 99 }}x{{ end }}{{ end }}{{ range 999 }}{{ template "c" . }}{{ end }}"#,
    r#"{{ range 90000 }}{{ printf "(a{%v}){9}" . | match "b" }}{{ match (print . "a{999}") "b" }}{{ end }}"#,
    r#"{{ reReplaceAll "" "$0$01${}$1x$$" "aaaaaaaaaaaaaaaaaaaaa" }}{{ reReplaceAll "(((a{30}){30}){30})" "" "a" }}"#,
    "{{/* {{ */}}",
    "{{ `",
];
pub const QUERY_TRAPS: &[&str] = &[
    "query=sum_over_time(vector(1)[1000y:1ms])&start=0&end=1&step=1",
    "query=up&start=-9223372036&end=9223372036&step=9223372036",
    "query=max_over_time(max_over_time(max_over_time(up[1d:1s])[1d:1s])[1d:1s])&timeout=1s&start=0&end=1&step=1",
    "query=up+@+9e18+offset+-292y&start=0&end=1&step=1",
    "query=up{instance=~%22(a*)*(b*)*c%22}&start=0&end=1&step=1",
    "query=label_replace(up,%22a%22,%22$1$1$1$1$1$1%22,%22instance%22,%22(.*)%22)&start=0&end=1&step=1",
    "query=topk(9223372036854775807,up)&start=0&end=1&step=1",
    "query=1&start=NaN&end=Inf&step=NaN",
    "query=1&time=1e309&match[]={__name__!=%22%22}&limit=99999999999999999999",
    "match[]=&match[]=up&exclude_alerts=maybe",
    "query=%FF%zz%&start=0&end=1&step=1",
    "query=up{a=~%22((x{30}){30}){30}%22,b=~%22\\p{Lu%22}&match[]={a=~%22\\x{%22}&start=0&end=1&step=1",
    "query=label_replace(up,%22a%22,%22$01${}$1x$$%22,%22instance%22,%22(.*)%22)&start=0&end=900&step=1",
];

/// Rule files that grow when they are read.
pub fn rule_file_traps() -> Vec<String> {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs += &format!("a{level}: &a{level} [{before}]\n");
    }
    let rule = |field: &str| format!("groups: [{{name: g, rules: [{{alert: A, expr: up, {field}}}]}}]");
    // Each recording rule reads the one before it: once, and twice.
    let recorded = |length: usize, expr: &dyn Fn(usize) -> String| {
        let rules = (1..length).map(|at| format!("{{record: r{at}, expr: {}}}", expr(at - 1)));
        let rules: Vec<String> = rules.collect();
        format!(
            "groups: [{{name: g, rules: [{}, {{alert: A, expr: r{}}}]}}]",
            rules.join(", "),
            length - 1
        )
    };
    vec![
        recorded(3000, &|before| format!("r{before}")),
        recorded(40, &|before| format!("r{before} + r{before}")),
        rule(&format!(
            "annotations: {{a: \"{{{{ if true }}}}{}{{{{ end }}}}\"}}",
            "{{ else if true }}".repeat(5000)
        )),
        format!(
            "groups: [{{name: g, rules: [{{record: r, expr: 'a{{b=~\"{}\"}}'}}]}}]",
            "{".repeat(60_000)
        ),
        format!("{laughs}groups: *a11"),
        format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("groups: {}", "{a: ".repeat(20_000)),
        rule("for: 99999999999999999999y"),
        rule("annotations: {evidence: \"x [a, b = c = d\"}"),
        rule("labels: {a: \"{{ template \\\"x\\\" }}\"}"),
        rule(&format!(
            "annotations: {{a: \"{}\"}}",
            "{{ if true }}".repeat(5000)
        )),
        format!(
            "groups: [{{name: g, rules: [{{record: r, expr: \"{}1{}\"}}]}}]",
            "(".repeat(50_000),
            ")".repeat(50_000)
        ),
    ]
}

pub fn pages() -> Vec<Vec<u8>> {
    let mut page = String::new();
    let zipped = &include_bytes!("../../fixtures/etcd/metrics-3.5.30.txt.gz")[..];
    flate2::read::GzDecoder::new(zipped)
        .read_to_string(&mut page)
        .expect("the fixture is text");
    // Whole pages are too large to mutate some hundred times.
    let lines: Vec<&str> = page.lines().collect();
    let mut parts: Vec<Vec<u8>> = lines
        .chunks(200)
        .map(|part| part.join("\n").into_bytes())
        .collect();
    parts.push(b"a{b=\"\\\"\\n\\\\\",c=\"\"} 1 1700000000\n# EOF\n".to_vec());
    parts
}

pub fn rule_files() -> Vec<Vec<u8>> {
    let small = "groups:\n- name: g\n  interval: 1m\n  rules:\n  - record: a:b\n    expr: sum(up)\n    labels: {x: y}\n  \
                 - alert: A\n    expr: up == 0\n    for: 5m\n    labels: {severity: critical}\n    annotations:\n      \
                 summary: 'x {{ $value | humanize }}'\n      evidence: 'up [ratio] = up{instance={{ printf \"%q\" $labels.instance }}}'\n";
    // The shortest of the shipped ones: the others say the same at greater length.
    let shortest = builtin::FILES
        .iter()
        .map(|(_, text)| *text)
        .min_by_key(|text| text.len());
    [small]
        .into_iter()
        .chain(shortest)
        .map(|text| text.as_bytes().to_vec())
        .collect()
}

pub fn templates() -> Vec<Vec<u8>> {
    let texts = [
        r#"{{ $labels.instance }} has {{ $value | humanize }} of {{ printf "%.2f" $value }}"#,
        r#"{{ range query "up" }}{{ .Labels.instance }}={{ .Value }} {{ end }}"#,
        r#"{{ with query "sum(up)" }}{{ . | first | value | humanizePercentage }}{{ else }}none{{ end }}"#,
        r#"{{ define "x" }}{{ . }}{{ end }}{{ template "x" "y" }}{{ if gt $value 1.0 }}a{{ else if lt $value 0.0 }}b{{ end }}"#,
        r#"{{ reReplaceAll "(.*):.*" "$1" $labels.instance | toUpper | title }}{{ humanizeDuration 3600 }}{{ humanize1024 1e9 }}"#,
        r#"{{ $x := index $labels "instance" }}{{ len $x }}{{ slice $x 0 1 }}{{ eq $x "a:1" }}{{ stripPort $x }}{{ tableLink "up" }}"#,
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

pub fn queries() -> Vec<Vec<u8>> {
    let expressions = include_str!("../../conformance/queries.txt").lines();
    let expressions = expressions.filter(|line| !line.is_empty() && !line.starts_with("# "));
    let query = |expression: &str| {
        let escaped: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        format!("query={escaped}&match[]={escaped}&start=1699999800&end=1700000000&step=60").into_bytes()
    };
    expressions.map(query).collect()
}

/// Changes input a little.
pub struct Mutator(Rng);

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// One of the seeds with some changes.
    pub fn mutated(&mut self, seeds: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
        let mut input = self.one_of(seeds).clone();
        for _ in 0..self.0.usize(1..6) {
            self.mutate(&mut input, seeds, words);
        }
        input
    }

    fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.0.usize(0..of.len())]
    }

    fn mutate(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str]) {
        let at = self.0.usize(0..=input.len());
        let part = at..input.len().min(at + self.0.usize(0..40));
        match self.0.u8(0..6) {
            0 => drop(input.splice(at..at, self.one_of(words).bytes())),
            1 => drop(input.drain(part)),
            2 => {
                let copy: Vec<u8> = input[part].repeat(self.0.usize(1..30));
                drop(input.splice(at..at, copy));
            }
            3 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = self.0.u8(..128);
                }
            }
            4 => {
                let other = self.one_of(seeds);
                let from = self.0.usize(0..=other.len());
                let to = other.len().min(from + 60);
                drop(input.splice(at..at, other[from..to].iter().copied()));
            }
            _ => drop(input.splice(part, self.one_of(words).bytes())),
        }
    }
}
