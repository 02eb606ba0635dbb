//! `docs/diagnosis.md`: every field of the report from its schema, and an example from a real fault.

use std::fmt::Write;

use etcd_doctor::render::json::SCHEMA;
use serde_json::Value;

use super::must_be;
use crate::replay;

const HEAD: &str = "\
# The diagnosis

<!-- Generated from the program. To write it anew: UPDATE_DOCS=1 cargo test --test it docs -->

What `etcd-doctor diagnose -o json` prints and `GET /api/v1/diagnosis` gives, version `etcd-doctor/v1`. The JSON Schema
(2020-12) is at `/api/v1/diagnosis/schema`.

- It only grows: fields are added, none is removed, renamed or changes its type. Pass over what you do not know.
- `null` is \"could not be read\". It is never zero and never fine; `coverage` and `errors` say why.
- Ids, revisions, terms and raft indices are strings, since many readers of JSON round large numbers; ids are in hex, as
  etcdctl prints them. Sizes are in bytes, durations in seconds, times in RFC 3339 and UTC.
- Arrays have a stable order: clusters as configured, members by name, problems worst first with their symptoms inside.
- Texts may have come from a cluster: escape them as any input. No password, no key and no value of the store is in it.
- What `rules explain -o json` and `GET /api/v1/explanation` give is another kind, `AlertExplanation`. It has no schema, and
  this promise is not made for it.

The exit status of `diagnose` follows `status`: 0 `pass`, 1 `warn`, 2 `fail`, 3 `unknown`. `unknown` is also what a
cluster is of which no member answers, whatever fires: page on 3, too.
";

/// The example: a database at its quota, as the lab brings it about.
const EXAMPLE: &str = "quota-full-3.5.bundle";

#[test]
fn diagnosis_md_explains_every_field() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let mut page = HEAD.to_owned();
    table(&mut page, "The report", &schema, &schema);
    for (name, part) in schema["$defs"].as_object().into_iter().flatten() {
        if part["properties"].is_object() {
            table(&mut page, &format!("A {name}"), part, &schema);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(page, "\n## A {name}\n\n{} ({})\n", sentence(part), kind(part));
        }
    }
    let example = replay::report(EXAMPLE);
    let _ = write!(
        page,
        "\n## An example\n\nA cluster of three at its quota of 16 MiB, from `tests/fixtures/bundles/{EXAMPLE}`:\n\n```json\n{}\n```\n",
        example.trim_end()
    );
    must_be("docs/diagnosis.md", &page);
}

fn table(page: &mut String, title: &str, part: &Value, schema: &Value) {
    let _ = write!(
        page,
        "\n## {title}\n\n| field | type | what it is |\n|---|---|---|\n"
    );
    rows(page, "", part, schema);
}

fn rows(page: &mut String, before: &str, part: &Value, schema: &Value) {
    for (name, field) in part["properties"].as_object().into_iter().flatten() {
        let name = format!("{before}{name}");
        if field["properties"].is_object() {
            rows(page, &format!("{name}."), field, schema);
            continue;
        }
        let about = match field["$ref"].as_str() {
            Some(reference) => sentence(schema.pointer(reference.trim_start_matches('#')).unwrap_or(field)),
            None => sentence(field),
        };
        let _ = writeln!(
            page,
            "| `{name}` | {} | {} |",
            kind(field),
            about.replace('|', "\\|")
        );
        if field["items"]["properties"].is_object() {
            rows(page, &format!("{name}[]."), &field["items"], schema);
        }
    }
}

fn kind(part: &Value) -> String {
    if let Some(reference) = part["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if part["items"].is_object() {
        return format!("list of {}", kind(&part["items"]));
    }
    if let Some(words) = part["enum"].as_array() {
        let words: Vec<String> = words
            .iter()
            .map(|word| format!("`{}`", word.as_str().unwrap_or("null")))
            .collect();
        return words.join(", ");
    }
    match &part["type"] {
        Value::Array(types) => types
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" or "),
        one => one.as_str().unwrap_or_default().to_owned(),
    }
}

fn sentence(part: &Value) -> &str {
    part["description"].as_str().unwrap_or_default()
}
