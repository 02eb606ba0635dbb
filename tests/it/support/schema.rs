//! JSON against its JSON Schema: every diagnosis that any test reads, and the dashboards.

use serde_json::Value;

/// Panics where a diagnosis is not what the schema declares.
pub fn validate(diagnosis: &Value) {
    let schema: Value = serde_json::from_str(etcd_doctor::render::json::SCHEMA).expect("the schema is JSON");
    let mut wrong = Vec::new();
    check(diagnosis, &schema, &schema, "$", &mut wrong);
    assert!(
        wrong.is_empty(),
        "not as the schema says:\n{}\n{diagnosis:#}",
        wrong.join("\n")
    );
}

/// What is wrong with a value by one definition of a schema.
pub fn violations(value: &Value, schema: &Value, definition: &str) -> Vec<String> {
    let part = &schema["definitions"][definition];
    assert!(part.is_object(), "the schema has no {definition}");
    let mut wrong = Vec::new();
    check(value, part, schema, "$", &mut wrong);
    wrong
}

/// The part of JSON Schema that is used; a keyword that is not here would be one that nobody checks.
const KNOWN: [&str; 19] = [
    "$schema",
    "$id",
    "$defs",
    "definitions",
    "anyOf",
    "const",
    "$ref",
    "title",
    "description",
    "deprecated",
    "type",
    "enum",
    "minimum",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "format",
    "pattern",
];

fn check(value: &Value, part: &Value, schema: &Value, at: &str, wrong: &mut Vec<String>) {
    for keyword in part.as_object().into_iter().flatten().map(|(keyword, _)| keyword) {
        assert!(
            KNOWN.contains(&&**keyword),
            "{at}: the schema's {keyword} is not checked here"
        );
    }
    // A part that says nothing at all takes anything.
    if part.as_object().is_some_and(serde_json::Map::is_empty) {
        return;
    }
    if let Some(reference) = part["$ref"].as_str() {
        let target = schema
            .pointer(reference.trim_start_matches('#'))
            .expect("it refers to a definition");
        return check(value, target, schema, at, wrong);
    }
    if let Some(choices) = part["anyOf"].as_array() {
        let mut best: Option<Vec<String>> = None;
        for choice in choices {
            let mut instead = Vec::new();
            check(value, choice, schema, at, &mut instead);
            if best.as_ref().is_none_or(|best| instead.len() < best.len()) {
                best = Some(instead);
            }
        }
        wrong.extend(best.unwrap_or_default());
        return;
    }
    if part.get("const").is_some_and(|only| only != value) {
        wrong.push(format!("{at} is {value} and not {}", part["const"]));
    }
    let types: Vec<&str> = match &part["type"] {
        Value::String(one) => vec![one],
        several => several
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect(),
    };
    let is = |kind: &&str| match *kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    if !types.iter().any(is) {
        wrong.push(format!("{at} is {value} and not {types:?}"));
        return;
    }
    if part["enum"]
        .as_array()
        .is_some_and(|allowed| !allowed.contains(value))
    {
        wrong.push(format!("{at} is {value}, which is not one of {}", part["enum"]));
    }
    if let (Some(least), Some(number)) = (part["minimum"].as_f64(), value.as_f64())
        && number < least
    {
        wrong.push(format!("{at} is {value}, which is less than {least}"));
    }
    if let (Some(pattern), Some(text)) = (part["pattern"].as_str(), value.as_str()) {
        let pattern = regex::Regex::new(pattern).expect("it is a pattern");
        if !pattern.is_match(text) {
            wrong.push(format!("{at} is {text:?} and not {pattern}"));
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(item, &part["items"], schema, &format!("{at}[{index}]"), wrong);
    }
    let Some(fields) = value.as_object() else { return };
    for name in part["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !fields.contains_key(name) {
            wrong.push(format!("{at}.{name} is missing"));
        }
    }
    for (name, field) in fields {
        let declared = part["properties"].get(name).or(part.get("additionalProperties"));
        match declared {
            Some(Value::Bool(true)) => {}
            Some(declared) if declared.is_object() => {
                check(field, declared, schema, &format!("{at}.{name}"), wrong)
            }
            _ => wrong.push(format!("{at}.{name} is not declared")),
        }
    }
}

#[test]
fn choices_constants_and_closed_parts_are_checked() {
    let schema = serde_json::json!({"definitions": {"of": {
        "type": "object", "additionalProperties": false,
        "properties": {
            "kind": {"type": "string", "const": "row"},
            "size": {"anyOf": [{"type": "number"}, {"type": "string", "enum": ["auto"]}]},
            "free": {},
        }
    }}});
    let good = serde_json::json!({"kind": "row", "size": "auto", "free": {"a": [1]}});
    assert_eq!(violations(&good, &schema, "of"), Vec::<String>::new());
    let bad = serde_json::json!({"kind": "panel", "size": "big", "other": 1});
    assert_eq!(
        violations(&bad, &schema, "of"),
        [
            "$.kind is \"panel\" and not \"row\"",
            "$.size is \"big\" and not [\"number\"]",
            "$.other is not declared",
        ]
    );
}

#[test]
fn what_is_wrong_is_found() {
    let mut wrong = Vec::new();
    let part = serde_json::json!({
        "type": "object", "required": ["a", "b"],
        "properties": {"a": {"type": ["string", "null"], "enum": ["x", null]}, "c": {"type": "array", "items": {"type": "integer", "minimum": 0}}}
    });
    check(
        &serde_json::json!({"a": "y", "c": [1, 1.5, -1], "d": 0}),
        &part,
        &part,
        "$",
        &mut wrong,
    );
    assert_eq!(
        wrong,
        [
            "$.b is missing",
            "$.a is \"y\", which is not one of [\"x\",null]",
            "$.c[1] is 1.5 and not [\"integer\"]",
            "$.c[2] is -1, which is less than 0",
            "$.d is not declared",
        ]
    );
}
