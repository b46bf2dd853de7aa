//! Changes to a JSON value, by path.

use serde_json::{Map, Value};

use super::{ManifestError, refused};

/// A label whose value is the canary's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relabel {
    /// The label.
    pub(super) key: String,
    /// Its value on stable pods.
    pub(super) from: String,
    /// Its value on canary pods.
    pub(super) to: String,
}

pub(super) fn entry<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

fn parent<'v>(value: &'v mut Value, path: &[&str]) -> Option<&'v mut Map<String, Value>> {
    let mut value = value;
    for key in path {
        value = value.get_mut(key)?;
    }
    value.as_object_mut()
}

/// Removes what stands at `path`.
pub(super) fn remove(value: &mut Value, path: &[&str]) {
    if let Some((key, way)) = path.split_last()
        && let Some(map) = parent(value, way)
    {
        map.remove(*key);
    }
}

/// Puts `new` at `path`, whose parent is there.
pub(super) fn set(value: &mut Value, path: &[&str], new: Value) {
    if let Some((key, way)) = path.split_last()
        && let Some(map) = parent(value, way)
    {
        map.insert((*key).to_owned(), new);
    }
}

/// Gives the labels at `path` the canary's values.
pub(super) fn relabel(value: &mut Value, path: &[&str], labels: &[Relabel]) {
    let Some(map) = parent(value, path) else {
        return;
    };
    for label in labels {
        if let Some(value) = map.get_mut(&label.key)
            && *value == label.from
        {
            *value = label.to.as_str().into();
        }
    }
}

/// As [`relabel`], in every `matchLabels` and in the values of every `matchExpressions` below `value`.
pub(super) fn relabel_everywhere(value: &mut Value, labels: &[Relabel]) {
    match value {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| relabel_everywhere(item, labels)),
        Value::Object(map) => {
            let key = map.get("key").and_then(Value::as_str).map(str::to_owned);
            if let (Some(key), Some(Value::Array(values))) = (key, map.get_mut("values")) {
                for label in labels.iter().filter(|label| label.key == key) {
                    for value in values.iter_mut().filter(|value| **value == label.from) {
                        *value = label.to.as_str().into();
                    }
                }
            }
            for (key, value) in map {
                if key == "matchLabels" {
                    relabel(value, &[], labels);
                } else {
                    relabel_everywhere(value, labels);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `name-suffix`, if it is a name.
pub(super) fn suffixed(name: &str, suffix: &str, longest: usize) -> Result<String, ManifestError> {
    let suffixed = format!("{name}-{suffix}");
    if suffixed.len() > longest {
        return Err(refused(format!(
            "the canary's name '{suffixed}' has {} characters, and {longest} are allowed: choose a shorter --suffix",
            suffixed.len()
        )));
    }
    Ok(suffixed)
}
