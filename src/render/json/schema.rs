//! The JSON Schema of the diagnosis, generated from its types, against the file that is shipped; and what of it is kept.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// What a best practice can be: one that is not kept is no failure.
#[derive(JsonSchema)]
#[schemars(inline, rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is asked for")]
pub(super) enum PracticeStatus {
    Pass,
    Warn,
    Unknown,
}

/// The best practices came later than the rest of version 1: a report without them is one as well.
pub(super) fn allow_without_best_practices(cluster: &mut Schema) {
    let required = cluster.get_mut("required").and_then(Value::as_array_mut);
    required
        .expect("a cluster has required fields")
        .retain(|name| name != "bestPractices");
}

/// The schema of the types, as the file has it.
fn generated() -> String {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with_transform(RecursiveTransform(plain));
    let schema = settings
        .into_generator()
        .into_root_schema_for::<super::Document<'_>>();
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}

/// Says the same with fewer keywords: widths of integers are no formats of JSON Schema, a line of a comment does not end a
/// line of a description, and words are an `enum`, be they explained one by one or not.
fn plain(schema: &mut Schema) {
    if schema.get("format").is_some_and(|format| format != "date-time") {
        schema.remove("format");
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    let nullable = match schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) {
        Some([words, null]) if *null == json!({ "type": "null" }) => Some(words.clone()),
        _ => None,
    };
    let words = nullable.as_ref().unwrap_or(schema.as_value());
    let Some(variants) = words["oneOf"].as_array() else {
        return;
    };
    let mut words: Vec<Value> = variants.iter().map(|variant| variant["const"].clone()).collect();
    assert!(words.iter().all(Value::is_string), "not only words: {schema:?}");
    schema.remove("oneOf");
    if nullable.is_some() {
        schema.remove("anyOf");
        words.push(Value::Null);
        schema.insert("type".to_owned(), json!(["string", "null"]));
    } else {
        schema.insert("type".to_owned(), json!("string"));
    }
    schema.insert("enum".to_owned(), words.into());
}

#[cfg(test)]
mod tests {
    use super::super::{SCHEMA, tests::rendered};
    use super::*;
    use crate::render::fixture;

    /// Where the schema is kept.
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/render/diagnosis.schema.json");

    #[test]
    fn the_file_is_the_schema_of_the_types() {
        let generated = generated();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(FILE, generated).unwrap();
            return;
        }
        let differs = SCHEMA.lines().zip(generated.lines()).position(|(a, b)| a != b);
        let at = differs.unwrap_or_else(|| SCHEMA.lines().count().min(generated.lines().count()));
        assert!(
            SCHEMA == generated,
            "{FILE} is not what the types say; write it anew with\n\n    UPDATE_DOCS=1 cargo test --lib json::schema\n\nline {}:\n  it is     {:?}\n  should be {:?}",
            at + 1,
            SCHEMA.lines().nth(at),
            generated.lines().nth(at)
        );
    }

    /// Every object that is rendered has exactly the properties that the schema declares, and all of them.
    #[test]
    fn the_schema_declares_every_field() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let document = rendered(&[fixture::quota(), fixture::quorum_lost()]);
        conforms(&document, &schema, &schema, "$");
    }

    /// Version 1 only grows: what a field is called, its type and its words stay. A new field goes into the file as well, and
    /// from then on it is kept, too.
    #[test]
    fn version_one_is_kept() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let mut now = Vec::new();
        fields("Diagnosis", &schema, &mut now);
        for (name, part) in schema["$defs"].as_object().unwrap() {
            fields(name, part, &mut now);
        }
        let kept: Vec<&str> = include_str!("../diagnosis.v1.txt").lines().collect();
        let gone: Vec<_> = kept
            .iter()
            .filter(|line| !now.iter().any(|now| now == *line))
            .collect();
        assert!(gone.is_empty(), "removed or changed: {gone:#?}");
        let new: Vec<_> = now.iter().filter(|now| !kept.contains(&&***now)).collect();
        assert!(new.is_empty(), "new, to be added to diagnosis.v1.txt: {new:#?}");
    }

    fn fields(name: &str, part: &Value, into: &mut Vec<String>) {
        let Some(properties) = part["properties"].as_object() else {
            into.push(format!("{name}: {}", kind(part)));
            return;
        };
        let required: Vec<&str> = part["required"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|name| name.as_str())
            .collect();
        for (field, part) in properties {
            let name = format!(
                "{name}.{field}{}",
                if required.contains(&&**field) { "" } else { "?" }
            );
            if part["properties"].is_object() {
                fields(&name, part, into);
                continue;
            }
            into.push(format!("{name}: {}", kind(part)));
            if part["items"]["properties"].is_object() {
                fields(&format!("{name}[]"), &part["items"], into);
            }
        }
    }

    fn kind(part: &Value) -> String {
        if let Some(reference) = part["$ref"].as_str() {
            return reference.rsplit('/').next().unwrap().to_owned();
        }
        let mut text = part["type"].to_string();
        if part["items"].is_object() {
            text += &format!(" of {}", kind(&part["items"]));
        }
        if part["additionalProperties"].is_object() {
            text += &format!(" of {}", kind(&part["additionalProperties"]));
        }
        if part["enum"].is_array() {
            text += &format!(" = {}", part["enum"]);
        }
        text
    }

    fn conforms(value: &Value, part: &Value, schema: &Value, at: &str) {
        if let Some(reference) = part["$ref"].as_str() {
            return conforms(
                value,
                schema.pointer(reference.trim_start_matches('#')).unwrap(),
                schema,
                at,
            );
        }
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let types: Vec<&str> = match &part["type"] {
            Value::String(one) => vec![one],
            several => several
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one.as_str().unwrap())
                .collect(),
        };
        let fits = types.contains(&kind) || (kind == "integer" && types.contains(&"number"));
        assert!(fits, "{at} is {kind} and not {types:?}");
        if let Some(allowed) = part["enum"].as_array() {
            assert!(allowed.contains(value), "{at} is {value}");
        }
        if let Some(items) = value.as_array() {
            items
                .iter()
                .enumerate()
                .for_each(|(i, item)| conforms(item, &part["items"], schema, &format!("{at}[{i}]")));
        }
        if let (Some(fields), Some(declared)) = (value.as_object(), part["properties"].as_object()) {
            assert_eq!(
                fields.keys().collect::<Vec<_>>(),
                declared.keys().collect::<Vec<_>>(),
                "{at}"
            );
            fields
                .iter()
                .for_each(|(name, field)| conforms(field, &declared[name], schema, &format!("{at}.{name}")));
        }
    }
}
