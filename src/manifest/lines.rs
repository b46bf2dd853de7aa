//! Where in its file a value stands: a line for each, in the shape of the value.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

/// The line of a value, and those of what it holds: of a list in its order, of a mapping in that of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    own: u32,
    inner: Arc<[Lines]>,
}

impl Lines {
    /// The line that the value begins on, from 1.
    pub fn line(&self) -> u64 {
        self.own.into()
    }

    /// Those of entry `index`, of a list or of a mapping in the order of its keys.
    pub(super) fn entry(&self, index: usize) -> Option<&Self> {
        self.inner.get(index)
    }

    /// The line of the field at `path` of `value`, or of the last on the way that is there: a field that is missing
    /// stands nowhere.
    pub(super) fn of(&self, value: &Value, path: &str) -> u64 {
        let (mut lines, mut value, mut rest) = (self, value, path);
        while let Some((step, more)) = step(rest) {
            let found = match (step, value) {
                // What was filled in since then has no line.
                (Step::Key(key), Value::Object(map)) if map.len() == lines.inner.len() => {
                    let place = map.keys().position(|own| *own == key);
                    place.and_then(|place| Some((lines.entry(place)?, map.get(&key)?)))
                }
                (Step::Index(index), Value::Array(list)) => lines.entry(index).zip(list.get(index)),
                _ => None,
            };
            let Some(found) = found else { break };
            (lines, value) = found;
            rest = more;
        }
        lines.line()
    }
}

/// A part of a path.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// The first part of a path as [`super::field`] writes it, and what follows.
fn step(path: &str) -> Option<(Step, &str)> {
    let path = path.strip_prefix('.').unwrap_or(path);
    if let Some(quoted) = path.strip_prefix("[\"") {
        let (key, rest) = quoted.split_once("\"]")?;
        return Some((Step::Key(key.to_owned()), rest));
    }
    if let Some(index) = path.strip_prefix('[') {
        let (index, rest) = index.split_once(']')?;
        return Some((Step::Index(index.parse().ok()?), rest));
    }
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (key, rest) = path.split_at(end);
    (!key.is_empty()).then(|| (Step::Key(key.to_owned()), rest))
}

/// A value as it is built, with the lines of what it holds.
#[derive(Debug)]
pub(super) struct Located {
    value: Value,
    inner: Vec<Lines>,
}

impl Located {
    /// The value, which begins on `line`.
    pub(super) fn at(self, line: u64) -> (Value, Lines) {
        let lines = Lines {
            own: u32::try_from(line).unwrap_or(u32::MAX),
            inner: self.inner.into(),
        };
        (self.value, lines)
    }

    fn plain(value: impl Into<Value>) -> Self {
        Self {
            value: value.into(),
            inner: Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Build)
    }
}

struct Build;

impl<'de> Visitor<'de> for Build {
    type Value = Located;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Located, E> {
        Ok(Located::plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Located, E> {
        Ok(Located::plain(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Located, D::Error> {
        Located::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Located, E> {
        Ok(Located::plain(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Located, E> {
        Ok(Located::plain(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Located, E> {
        Ok(Located::plain(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Located, E> {
        Ok(Located::plain(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Located, E> {
        Ok(Located::plain(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Located, A::Error> {
        let (mut values, mut inner) = (Vec::new(), Vec::new());
        while let Some(entry) = list.next_element::<Spanned<Located>>()? {
            let (value, lines) = entry.value.at(entry.referenced.line());
            values.push(value);
            inner.push(lines);
        }
        let value = Value::Array(values);
        Ok(Located { value, inner })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Located, A::Error> {
        let mut found: BTreeMap<String, (Value, Lines)> = BTreeMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            let entry = entries.next_value::<Spanned<Located>>()?;
            found.insert(key, entry.value.at(entry.referenced.line()));
        }
        let (mut map, mut inner) = (Map::new(), Vec::with_capacity(found.len()));
        for (key, (value, lines)) in found {
            map.insert(key, value);
            inner.push(lines);
        }
        let value = Value::Object(map);
        Ok(Located { value, inner })
    }
}

#[cfg(test)]
mod tests {
    use crate::manifest::document::documents;

    #[test]
    fn a_field_is_found_by_its_path_and_a_missing_one_by_what_holds_it() {
        let text = "# a comment\na: 1\nspec:\n  rules:\n  - {host: x}\n  - host: y\n    paths:\n    - weight: 3\n\
                    metadata:\n  annotations:\n    a.b/c: \"d\"\n";
        let document = documents(text.as_bytes(), false).unwrap().remove(0);
        let line = |path: &str| document.lines.as_ref().unwrap().of(&document.value, path);
        for (path, expected) in [
            ("", 2),
            ("a", 2),
            ("spec.rules[0].host", 5),
            ("spec.rules[1].paths[0].weight", 8),
            ("spec.rules[1].paths[0].name", 8),
            ("spec.rules[7]", 5),
            ("metadata.annotations[\"a.b/c\"]: more[0]", 11),
            ("metadata.labels.x", 10),
        ] {
            assert_eq!(line(path), expected, "{path}");
        }
    }
}
