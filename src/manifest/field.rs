//! One field of an object, with the path that leads to it, for messages that name it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ManifestError;
use super::object::Object;
use super::template;

/// The largest weight of any kind: the largest 32-bit integer, which is what the APIs hold.
const MAX_WEIGHT: u64 = 2_147_483_647;

/// A field that may be absent; a `null` counts as absent, as it does for the API server.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    object: &'a Object,
    value: Option<&'a Value>,
    path: String,
}

impl Object {
    pub(super) fn root(&self) -> Field<'_> {
        Field {
            object: self,
            value: Some(&self.value),
            path: String::new(),
        }
    }

    /// That the field whose text holds `text`, a name with a place that is yet to be filled in, can't be used.
    pub(super) fn unfilled(&self, text: &str) -> ManifestError {
        let path = ["spec", "metadata"].iter().find_map(|key| {
            let value = self.value.get(key)?;
            holding(value, text, (*key).to_owned())
        });
        let path = path.unwrap_or_else(|| "spec".to_owned());
        let problem = format!("has {}: {}", text.escape_debug(), template::remedy(text));
        self.refused(&path, &problem)
    }

    pub(super) fn labels(&self) -> Result<BTreeMap<&str, &str>, ManifestError> {
        self.root().at("metadata")?.at("labels")?.strings()
    }
}

impl<'a> Field<'a> {
    /// The field `key` of a mapping.
    pub(super) fn at(&self, key: &str) -> Result<Self, ManifestError> {
        let value = match self.value {
            None => None,
            Some(Value::Object(map)) => map.get(key).filter(|value| !value.is_null()),
            Some(other) => return Err(self.wrong(other, "a mapping")),
        };
        Ok(Self {
            object: self.object,
            value,
            path: joined(&self.path, key),
        })
    }

    /// The fields on the way along `keys`.
    pub(super) fn along(&self, keys: &[&str]) -> Result<Self, ManifestError> {
        keys.iter()
            .try_fold(self.clone(), |field, key| field.at(key))
    }

    /// The entries of a list; none if it is absent.
    pub(super) fn items(&self) -> Result<Vec<Self>, ManifestError> {
        let list = match self.value {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(other) => return Err(self.wrong(other, "a list")),
        };
        let item = |(index, value): (usize, &'a Value)| Self {
            object: self.object,
            value: Some(value).filter(|value| !value.is_null()),
            path: format!("{}[{index}]", self.path),
        };
        Ok(list.iter().enumerate().map(item).collect())
    }

    /// A text, if it is there.
    pub(super) fn text(&self) -> Result<Option<&'a str>, ManifestError> {
        match self.value {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(other, "a string (put it in quotes)")),
        }
    }

    /// A text that must be there.
    pub(super) fn required(&self) -> Result<&'a str, ManifestError> {
        match self.text()? {
            Some("") => Err(self.error("is empty")),
            Some(text) => Ok(text),
            None => Err(self.error("is missing")),
        }
    }

    /// A whole number of at least 0, if it is there.
    pub(super) fn whole(&self) -> Result<Option<u64>, ManifestError> {
        let whole = format!("a whole number from 0 to {MAX_WEIGHT}");
        match self.value {
            None => Ok(None),
            Some(Value::Number(number)) => match number.as_u64() {
                Some(number) if number <= MAX_WEIGHT => Ok(Some(number)),
                _ => Err(self.error(&format!("is {number}: it must be {whole}"))),
            },
            Some(other) => Err(self.wrong(other, &whole)),
        }
    }

    /// A whole number from 0 to 100, if it is there.
    pub(super) fn percent(&self) -> Result<Option<u64>, ManifestError> {
        match self.whole()? {
            Some(value) if value > 100 => {
                Err(self.error(&format!("is {value}: it is a percentage, at most 100")))
            }
            value => Ok(value),
        }
    }

    /// A number of at least 0, if it is there.
    pub(super) fn decimal(&self) -> Result<Option<f64>, ManifestError> {
        match self.value {
            None => Ok(None),
            Some(Value::Number(number)) => match number.as_f64() {
                Some(number) if number >= 0.0 && number <= MAX_WEIGHT as f64 => Ok(Some(number)),
                _ => Err(self.error(&format!("is {number}: it must be from 0 to {MAX_WEIGHT}"))),
            },
            Some(other) => Err(self.wrong(other, "a number of at least 0")),
        }
    }

    /// Whether a switch is on; off if it is absent.
    pub(super) fn flag(&self) -> Result<bool, ManifestError> {
        match self.value {
            None => Ok(false),
            Some(Value::Bool(on)) => Ok(*on),
            Some(other) => Err(self.wrong(other, "true or false")),
        }
    }

    /// A mapping of strings, as labels and annotations are; empty if it is absent.
    pub(super) fn strings(&self) -> Result<BTreeMap<&'a str, &'a str>, ManifestError> {
        let map = match self.value {
            None => return Ok(BTreeMap::new()),
            Some(Value::Object(map)) => map,
            Some(other) => return Err(self.wrong(other, "a mapping of strings")),
        };
        let entry = |(key, value): (&'a String, &'a Value)| match value {
            Value::String(text) => Ok((key.as_str(), text.as_str())),
            Value::Null => Ok((key.as_str(), "")),
            other => Err(self.at(key)?.wrong(other, "a string (put it in quotes)")),
        };
        map.iter().map(entry).collect()
    }

    /// The keys of a mapping.
    pub(super) fn keys(&self) -> Result<Vec<&'a str>, ManifestError> {
        match self.value {
            None => Ok(Vec::new()),
            Some(Value::Object(map)) => Ok(map.keys().map(String::as_str).collect()),
            Some(other) => Err(self.wrong(other, "a mapping")),
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.value.is_some()
    }

    pub(super) fn value(&self) -> Option<&'a Value> {
        self.value
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Why the field can't be used: `problem` follows its path.
    pub(super) fn error(&self, problem: &str) -> ManifestError {
        self.object.refused(&self.path, problem)
    }

    fn wrong(&self, value: &Value, wanted: &str) -> ManifestError {
        if let Value::String(text) = value
            && template::is_placeholder(text)
        {
            return self.error(&format!(
                "is {}: {}",
                described(value),
                template::remedy(text)
            ));
        }
        self.error(&format!("is {}: it must be {wanted}", described(value)))
    }
}

/// The path of the first text in `value`, which stands at `path`, that holds `text`.
fn holding(value: &Value, text: &str, path: String) -> Option<String> {
    match value {
        Value::String(own) => own.contains(text).then_some(path),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .find_map(|(index, item)| holding(item, text, format!("{path}[{index}]"))),
        Value::Object(map) => map
            .iter()
            .find_map(|(key, value)| holding(value, text, joined(&path, key))),
        _ => None,
    }
}

/// `path.key`, with brackets where the key is no plain word.
pub(super) fn joined(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !key.chars().all(plain) || key.is_empty() {
        return format!("{path}[\"{}\"]", key.escape_debug());
    }
    if path.is_empty() {
        return key.to_owned();
    }
    format!("{path}.{key}")
}

/// A value, for a message.
pub(super) fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => {
            let short: String = text.chars().take(60).collect();
            let dots = if short.len() < text.len() { "…" } else { "" };
            format!("the string \"{}{dots}\"", short.escape_debug())
        }
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}
