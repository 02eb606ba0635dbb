//! Layers: what one source of settings says, as text, and where each value stands.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Tag, Value};
use figment::{Metadata, Profile, Provider};

/// The keys that lead to a value: `["clusters", "0", "name"]`.
pub(super) type Path = Vec<String>;

/// One source of settings. Every value in it is text, a list or a map: what type a key has is decided once, in `raw`,
/// so that a file, a variable and a flag are read alike, and `no` or `0x10` stay what was written.
#[derive(Clone, Default)]
pub(super) struct Layer {
    /// Its name, unique among the layers of a load.
    pub name: &'static str,
    /// What it says.
    pub dict: Dict,
    /// Where each value stands: `etcd-doctor.yaml:3:5`, `--endpoints`.
    pub places: BTreeMap<Path, String>,
}

impl Layer {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Sets a value, making the maps on the way. A value on the way that is no map is replaced by one.
    pub fn set(&mut self, path: &[&str], value: impl Into<Value>, place: &str) {
        let path: Path = path.iter().map(|key| (*key).to_owned()).collect();
        insert(&mut self.dict, &path, value.into());
        self.places.insert(path, place.to_owned());
    }

    /// Where the value at a path stands, or else what holds it.
    pub fn place(&self, path: &[String]) -> Option<&str> {
        (0..=path.len())
            .rev()
            .find_map(|depth| self.places.get(&path[..depth]))
            .map(String::as_str)
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            dict.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let slot = dict
                .entry(key.clone())
                .or_insert_with(|| Value::from(Dict::new()));
            if slot.as_dict().is_none() {
                *slot = Value::from(Dict::new());
            }
            if let Value::Dict(_, inner) = slot {
                insert(inner, rest, value);
            }
        }
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.dict.clone())]))
    }
}

/// The tag of the value at a path, or else of what holds it.
pub(super) fn tag(root: &Value, path: &[String]) -> Tag {
    let mut at = root;
    for key in path {
        let inner = match at {
            Value::Dict(_, dict) => dict.get(key),
            Value::Array(_, list) => key.parse().ok().and_then(|index: usize| list.get(index)),
            _ => None,
        };
        match inner {
            Some(inner) => at = inner,
            None => break,
        }
    }
    at.tag()
}

/// A path in words: `clusters[0].tls.ca_file`.
pub(super) fn dotted(path: &[String]) -> String {
    let mut text = String::new();
    for key in path {
        if key.bytes().all(|byte| byte.is_ascii_digit()) {
            text += &format!("[{key}]");
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text += key;
        }
    }
    text
}
