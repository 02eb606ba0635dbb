//! The file: YAML in, a layer of text with line and column out. No I/O.

use std::fmt;

use figment::value::{Dict, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::layer::{Layer, Path};
use super::{Error, Problem};

/// The layer's name.
pub(super) const LAYER: &str = "file";

/// Reads a file's text. `name` is how its places are called.
pub(super) fn parse(name: &str, text: &str) -> Result<Layer, Error> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
    };
    let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error
            .location()
            .map_or_else(|| name.to_owned(), |location| place(name, &location));
        Error::from(Problem {
            place,
            path: String::new(),
            what: in_words(&error),
        })
    })?;
    let mut reader = Reader {
        name,
        text,
        layer: Layer::new(LAYER),
    };
    let start = root.referenced;
    match reader.value(root, &mut Vec::new()) {
        Value::Dict(_, dict) => reader.layer.dict = dict,
        Value::Empty(..) => {}
        _ => {
            return Err(Error::from(Problem {
                place: place(name, &start),
                path: String::new(),
                what: "expected keys and values such as `interval: 5s`".into(),
            }));
        }
    }
    Ok(reader.layer)
}

/// The parser's own words, without the position that stands before them already.
fn in_words(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    text.split(", set DuplicateKeyPolicy")
        .next()
        .unwrap_or(text)
        .to_owned()
}

fn place(name: &str, location: &Location) -> String {
    format!("{name}:{}:{}", location.line(), location.column())
}

/// A YAML node as it was written.
enum Node {
    Null,
    /// A scalar that YAML takes for a number or a truth value. Its text is in the source.
    Literal,
    Text(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Literal)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Literal)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Literal)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Literal)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Literal)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Literal)
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

/// Turns nodes into figment's values and notes where each stands.
struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    layer: Layer,
}

impl Reader<'_> {
    fn value(&mut self, node: Spanned<Node>, path: &mut Path) -> Value {
        self.layer
            .places
            .entry(path.clone())
            .or_insert_with(|| place(self.name, &node.referenced));
        match node.value {
            Node::Null => Value::from(figment::value::Empty::Unit),
            Node::Literal => Value::from(self.written(&node.defined)),
            Node::Text(text) => Value::from(text),
            Node::List(items) => {
                let mut list = Vec::new();
                for (index, item) in items.into_iter().enumerate() {
                    path.push(index.to_string());
                    list.push(self.value(item, path));
                    path.pop();
                }
                Value::from(list)
            }
            Node::Map(entries) => {
                let mut dict = Dict::new();
                for (key, value) in entries {
                    path.push(key.value.clone());
                    // The key's own place, so that an unknown key and a value that spans lines are found at once.
                    self.layer
                        .places
                        .insert(path.clone(), place(self.name, &key.referenced));
                    dict.insert(key.value, self.value(value, path));
                    path.pop();
                }
                Value::from(dict)
            }
        }
    }

    /// The source text of a scalar.
    fn written(&self, location: &Location) -> String {
        let span = location.span();
        span.byte_offset()
            .zip(span.byte_len())
            .and_then(|(start, length)| {
                let start = usize::try_from(start).ok()?;
                self.text
                    .get(start..start.checked_add(usize::try_from(length).ok()?)?)
            })
            .unwrap_or_default()
            .trim()
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<'a>(layer: &'a Layer, key: &str) -> &'a str {
        layer.dict[key].as_str().unwrap()
    }

    #[test]
    fn scalars_stay_as_written() {
        let layer = parse("f", "# ü\na: no\nb: 0x10\nc: 'q'\nd: 1e3\ne: &x 012\nf: *x\ng: .inf\nh: 340282366920938463463374607431768211456\n").unwrap();
        for (key, value) in [
            ("a", "no"),
            ("b", "0x10"),
            ("c", "q"),
            ("d", "1e3"),
            ("e", "012"),
            ("f", "012"),
            ("g", ".inf"),
        ] {
            assert_eq!(text(&layer, key), value);
        }
        assert_eq!(text(&layer, "h"), "340282366920938463463374607431768211456");
    }

    #[test]
    fn places_are_those_of_keys_and_of_list_items() {
        let layer = parse("f", "clusters:\n  - name: a\n    endpoints: [x:1,\n      y:2]\n").unwrap();
        for (path, place) in [
            ("clusters", "f:1:1"),
            ("clusters.0.name", "f:2:5"),
            ("clusters.0.endpoints.1", "f:4:7"),
        ] {
            let path: Path = path.split('.').map(str::to_owned).collect();
            assert_eq!(layer.place(&path), Some(place));
        }
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert!(parse("f", "").unwrap().dict.is_empty());
        assert!(parse("f", "# only a comment\n").unwrap().dict.is_empty());
    }

    #[test]
    fn broken_yaml_is_refused_with_its_place() {
        for (yaml, says) in [
            ("a: 1\nb: 2\na: 3\n", "f:3:1: duplicate mapping key: a"),
            ("a: [1,\n", "f:1:4: "),
            ("- a\n", "f:1:1: expected keys and values"),
            ("a: 1\n---\nb: 2\n", "f:3:1: multiple YAML documents"),
        ] {
            let error = parse("f", yaml).err().unwrap().to_string();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
