//! Inputs → documents → objects; what is none among files that were found is passed over.

use std::sync::Arc;

use serde_json::Value;

use super::ManifestError;
use super::document::documents;
use super::field::described;
use super::lines::Lines;
use super::object::{Object, Origin};
use super::template;

/// What says how manifests are put together is none itself, though it lies beside them.
const KUSTOMIZE: &str = "kustomize.config.k8s.io";

/// One file, or standard input, as it was read.
#[derive(Debug, Clone)]
pub struct Input {
    /// What to call it in messages.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Whether it lies in a folder that was given as a whole, so that it may be no manifest.
    pub is_found: bool,
}

/// Something that lies among manifests and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    pub file: String,
    /// Why it was passed over, for a person.
    pub reason: String,
}

/// The objects of all inputs, in order; a `List` stands for its items.
///
/// # Errors
/// An input that is neither YAML nor JSON, or beyond the limits; a document that is no Kubernetes object.
/// In inputs that were found in a folder these are passed over.
pub(super) fn objects(inputs: &[Input]) -> Result<(Vec<Object>, Vec<PassedOver>), ManifestError> {
    let mut objects = Vec::new();
    let mut passed_over = Vec::new();
    for input in inputs {
        if let Err(error) = read(input, &mut objects, &mut passed_over) {
            if !input.is_found {
                return Err(error);
            }
            passed_over.push(PassedOver::new(input, &error));
        }
    }
    Ok((objects, passed_over))
}

impl PassedOver {
    fn new(input: &Input, error: &ManifestError) -> Self {
        let reason = match error {
            ManifestError::Input { problem, .. } => format!("it {problem}"),
            other => other
                .to_string()
                .replacen(&format!("{}, ", input.name.escape_debug()), "", 1),
        };
        Self {
            file: input.name.clone(),
            reason,
        }
    }
}

fn read(
    input: &Input,
    objects: &mut Vec<Object>,
    passed_over: &mut Vec<PassedOver>,
) -> Result<(), ManifestError> {
    let file: Arc<str> = input.name.as_str().into();
    let documents =
        documents(&input.bytes, input.is_found).map_err(|problem| ManifestError::Input {
            file: input.name.escape_debug().to_string(),
            problem,
        })?;
    for (index, document) in documents.into_iter().enumerate() {
        let origin = Origin {
            file: Arc::clone(&file),
            document: index + 1,
            lines: document.lines,
            item: None,
        };
        if let Err(error) = add(document.value, origin, objects) {
            if !input.is_found {
                return Err(error);
            }
            passed_over.push(PassedOver::new(input, &error));
        }
    }
    Ok(())
}

#[expect(
    clippy::too_many_lines,
    reason = "each kind of document is told apart in turn"
)]
fn add(value: Value, origin: Origin, objects: &mut Vec<Object>) -> Result<(), ManifestError> {
    let refused = |path: &str, problem: String| ManifestError::Field {
        place: origin.to_string(),
        path: path.to_owned(),
        problem,
    };
    let Value::Object(mut map) = value else {
        return Err(refused(
            "the document",
            format!(
                "is {}: a Kubernetes object is a mapping with apiVersion and kind",
                described(&value)
            ),
        ));
    };
    let text = |key: &str| match map.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(other) if !other.is_null() => Err(refused(
            key,
            format!("is {}: it must be a name", described(other)),
        )),
        _ => Err(refused(
            key,
            "is missing: every Kubernetes object has apiVersion and kind".to_owned(),
        )),
    };
    let (api_version, kind) = (text("apiVersion")?, text("kind")?);
    // The lines of a field, while all are there.
    let places: Vec<String> = map.keys().cloned().collect();
    let at = |key: &str| {
        let place = places.iter().position(|own| own == key)?;
        origin.lines.as_ref()?.entry(place)
    };
    if kind.ends_with("List")
        && let Some(items) = map.remove("items")
    {
        let items = match items {
            Value::Array(items) => items,
            Value::Null => Vec::new(),
            other => {
                return Err(refused(
                    "items",
                    format!("is {}: it must be a list", described(&other)),
                ));
            }
        };
        let items = items
            .into_iter()
            .map(|item| of_list(item, &kind, &api_version));
        return add_each(items, &origin, at("items"), objects);
    }
    if template::is_assertion(&map) {
        let message =
            "has expressions for names of fields: it is an assertion of a test, not a manifest";
        return Err(refused("the document", message.to_owned()));
    }
    if kind == "Template" && map.contains_key("objects") {
        let processed = template::processed(&map).into_iter();
        return add_each(processed, &origin, at("objects"), objects);
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    if group == KUSTOMIZE {
        return Ok(());
    }
    let object = Object {
        index: objects.len(),
        origin,
        group: group.to_owned(),
        version: version.to_owned(),
        kind,
        namespace: None,
        name: "(no name)".to_owned(),
        value: Value::Object(map),
    };
    objects.push(named(object)?);
    Ok(())
}

/// Adds what one document holds.
fn add_each(
    items: impl Iterator<Item = Value>,
    origin: &Origin,
    lines: Option<&Lines>,
    objects: &mut Vec<Object>,
) -> Result<(), ManifestError> {
    for (index, item) in items.enumerate() {
        let own = lines.and_then(|lines| lines.entry(index)).cloned();
        let item_of = Origin {
            item: Some(index),
            lines: own,
            ..origin.clone()
        };
        add(item, item_of, objects)?;
    }
    Ok(())
}

/// An item of a typed list, which may leave out what the list's kind says.
fn of_list(mut item: Value, kind: &str, api_version: &str) -> Value {
    if let (Value::Object(item), Some(kind)) = (&mut item, kind.strip_suffix("List"))
        && !kind.is_empty()
    {
        item.entry("kind").or_insert_with(|| kind.into());
        item.entry("apiVersion")
            .or_insert_with(|| api_version.into());
    }
    item
}

/// The object with the name and namespace that its metadata say.
fn named(mut object: Object) -> Result<Object, ManifestError> {
    let metadata = object.root().at("metadata")?;
    let namespace = metadata.at("namespace")?.text()?.map(str::to_owned);
    let name = match metadata.at("name")?.text()? {
        Some(name) => Some(name.to_owned()),
        None => metadata.at("generateName")?.text()?.map(str::to_owned),
    };
    let name = name.filter(|name| !name.is_empty());
    let Some(name) = name else {
        return Err(metadata.at("name")?.error("is missing"));
    };
    object.namespace = namespace.filter(|namespace| !namespace.is_empty());
    object.name = name;
    Ok(object)
}
