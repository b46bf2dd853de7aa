//! Documents → Kubernetes objects: what they are, where they stand, and nothing of what they mean.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::ManifestError;
use super::document::documents;
use super::field::Field;
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
    /// The file.
    pub file: String,
    /// Why it was passed over, for a person.
    pub reason: String,
}

/// Where an object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The name of its [`Input`].
    pub file: Arc<str>,
    /// The number of its document, from 1.
    pub document: usize,
    /// The line that the document begins on; JSON documents have none.
    pub line: Option<u64>,
    /// Its index in a `List`.
    pub item: Option<usize>,
}

/// A Kubernetes object.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its number among all objects, from 0.
    pub index: usize,
    /// Where it stands.
    pub origin: Origin,
    /// The API group of `apiVersion`; empty for the core group.
    pub group: String,
    /// The version of `apiVersion`.
    pub version: String,
    /// What it is.
    pub kind: String,
    /// Its namespace; `None` where the manifest leaves that to whoever applies it.
    pub namespace: Option<String>,
    /// Its name, or `generateName`.
    pub name: String,
    /// The whole of it.
    pub value: Value,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.escape_debug())?;
        write!(f, ", document {}", self.document)?;
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        if let Some(item) = self.item {
            write!(f, ", items[{item}]")?;
        }
        Ok(())
    }
}

impl Object {
    /// `NAMESPACE/NAME`, or the name alone where the manifest has no namespace.
    #[must_use]
    pub fn full_name(&self) -> String {
        full_name(self.namespace.as_deref(), &self.name)
    }

    /// Kind and name, for a person.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.kind, self.full_name())
    }

    /// Whether it is of `kind` in one of `groups`.
    pub(super) fn is(&self, kind: &str, groups: &[&str]) -> bool {
        self.kind == kind && groups.contains(&self.group.as_str())
    }

    /// Its fields.
    pub(super) fn root(&self) -> Field<'_> {
        Field::root(self)
    }

    /// Why its field at `path` can't be used: `problem` follows the path.
    pub(super) fn refused(&self, path: &str, problem: &str) -> ManifestError {
        ManifestError::Field {
            place: format!("{}, {}", self.origin, self.title().escape_debug()),
            path: path.to_owned(),
            problem: problem.to_owned(),
        }
    }

    /// Its labels.
    pub(super) fn labels(&self) -> Result<BTreeMap<&str, &str>, ManifestError> {
        self.root().at("metadata")?.at("labels")?.strings()
    }
}

/// `NAMESPACE/NAME`, or the name alone.
pub(super) fn full_name(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// Whether two namespaces may be the same: one that a manifest leaves open is any.
pub(super) fn same_namespace(one: Option<&str>, other: Option<&str>) -> bool {
    one.is_none() || other.is_none() || one == other
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
            line: document.line,
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
                super::field::described(&value)
            ),
        ));
    };
    let text = |key: &str| match map.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(other) if !other.is_null() => Err(refused(
            key,
            format!("is {}: it must be a name", super::field::described(other)),
        )),
        _ => Err(refused(
            key,
            "is missing: every Kubernetes object has apiVersion and kind".to_owned(),
        )),
    };
    let (api_version, kind) = (text("apiVersion")?, text("kind")?);
    if kind.ends_with("List")
        && let Some(items) = map.remove("items")
    {
        let items = match items {
            Value::Array(items) => items,
            Value::Null => Vec::new(),
            other => {
                return Err(refused(
                    "items",
                    format!("is {}: it must be a list", super::field::described(&other)),
                ));
            }
        };
        for (index, mut item) in items.into_iter().enumerate() {
            // The items of a typed list may leave out what the list's kind says.
            if let (Value::Object(item), Some(kind)) = (&mut item, kind.strip_suffix("List"))
                && !kind.is_empty()
            {
                item.entry("kind").or_insert_with(|| kind.into());
                item.entry("apiVersion")
                    .or_insert_with(|| api_version.as_str().into());
            }
            let origin = Origin {
                item: Some(index),
                ..origin.clone()
            };
            add(item, origin, objects)?;
        }
        return Ok(());
    }
    if template::is_assertion(&map) {
        let told =
            "has expressions for names of fields: it is an assertion of a test, not a manifest";
        return Err(refused("the document", told.to_owned()));
    }
    if kind == "Template" && map.contains_key("objects") {
        for (index, item) in template::processed(&map).into_iter().enumerate() {
            let origin = Origin {
                item: Some(index),
                ..origin.clone()
            };
            add(item, origin, objects)?;
        }
        return Ok(());
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    if group == KUSTOMIZE {
        return Ok(());
    }
    let mut object = Object {
        index: objects.len(),
        origin,
        group: group.to_owned(),
        version: version.to_owned(),
        kind,
        namespace: None,
        name: "(no name)".to_owned(),
        value: Value::Object(map),
    };
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
    objects.push(object);
    Ok(())
}
