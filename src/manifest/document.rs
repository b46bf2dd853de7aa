//! Bytes → documents: YAML of several documents, JSON, or JSON documents one after the other.
//!
//! A manifest may come from anyone, so everything is bounded before it is built: the size of an input, the
//! depth, the number of values, and what aliases expand to. serde-saphyr counts those in YAML while it
//! parses; JSON goes through [`Bounded`], which counts the same way.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::DuplicateKeyPolicy;

use super::lines::{Lines, Located};
use super::template;

/// The largest input, in bytes; what a namespace of some 1500 pods prints as JSON.
pub const MAX_BYTES: u64 = 16 << 20;
/// The largest number of scalars, lists and mappings of an input, so that it takes at most some 100 MiB.
const MAX_VALUES: usize = 500_000;
/// The deepest nesting; a pod's has about 12 levels.
const MAX_DEPTH: usize = 64;
/// How many values aliases may stand for.
const MAX_REPLAYED: usize = 100_000;
/// The largest number of anchors, of aliases, and of merge keys of an input.
const MAX_ALIASES: usize = 1000;
/// The largest number of documents of an input.
const MAX_DOCUMENTS: usize = 10_000;

/// One document, and the lines of what it holds (JSON documents have none).
#[derive(Debug)]
pub(super) struct Document {
    pub(super) lines: Option<Lines>,
    pub(super) value: Value,
}

/// Reads the documents of `bytes`; empty ones are left out. Of a key that stands twice the last counts in
/// what was found in a folder, as it does for the API server.
///
/// # Errors
/// What is wrong and where, as a fragment that follows the input's name.
pub(super) fn documents(bytes: &[u8], is_found: bool) -> Result<Vec<Document>, String> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large());
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("is UTF-16: write it as UTF-8".to_owned());
    }
    if let Some(place) = bytes.iter().position(|&byte| byte == 0) {
        return Err(format!(
            "is neither YAML nor JSON: it holds a NUL byte at offset {place}"
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        format!(
            "is neither YAML nor JSON: it is not UTF-8 at offset {}",
            error.valid_up_to()
        )
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if template::hides_in_comments(text) {
        return Err(format!("has ytt's marks: {}", template::REMEDY));
    }
    let start = text.trim_start();
    let read =
        if !start.starts_with(['{', '[']) || start.starts_with("{{") || start.starts_with("{%") {
            yaml(text, is_found)
        } else {
            // YAML's flow style begins like JSON. Where neither fits, it was most likely meant to be JSON.
            json(text).or_else(|error| yaml(text, is_found).map_err(|_| error))
        };
    read.map_err(|error| {
        if template::has_marks(text) {
            format!("{error}; {}", template::REMEDY)
        } else {
            error
        }
    })
}

/// What is said of an input beyond [`MAX_BYTES`].
pub(super) fn too_large() -> String {
    format!(
        "is larger than {} MiB: narrow it down, for example with kubectl get -n NAMESPACE -l LABEL=VALUE",
        MAX_BYTES >> 20
    )
}

/// `documents` as YAML, divided by `---`.
///
/// # Panics
/// Never: a JSON value can always be written.
pub fn to_yaml(documents: &[Value]) -> String {
    let options = serde_saphyr::ser_options! {
        compact_list_indent: true,
        folded_wrap_chars: 1 << 20,
    };
    serde_saphyr::to_string_multiple_with_options(documents, options)
        .expect("a JSON value can be written as YAML")
}

/// What a kustomization does to the manifests that it puts together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kustomization {
    /// The files that it names as patches: parts of objects, which mean nothing by themselves.
    pub patches: Vec<String>,
    /// The first of its fields that makes objects other than their files say.
    pub changes: Option<&'static str>,
}

impl Kustomization {
    /// Reads one; what cannot be read says nothing.
    pub fn read(text: &[u8]) -> Self {
        const PATCHES: [&str; 3] = ["patches", "patchesStrategicMerge", "patchesJson6902"];
        const OTHERS: [&str; 7] = [
            "replacements",
            "replicas",
            "namePrefix",
            "nameSuffix",
            "components",
            "transformers",
            "vars",
        ];
        let mut read = Self::default();
        for document in documents(text, true).unwrap_or_default() {
            for key in PATCHES {
                let entries = document.value.get(key).and_then(Value::as_array);
                for entry in entries.into_iter().flatten() {
                    let file = entry.as_str().or_else(|| entry.get("path")?.as_str());
                    read.patches.extend(file.map(str::to_owned));
                }
            }
            let says = |key: &&&str| {
                document
                    .value
                    .get(**key)
                    .is_some_and(|value| !value.is_null())
            };
            let first = PATCHES.iter().chain(&OTHERS).find(says);
            read.changes = read.changes.or(first.copied());
        }
        read
    }
}

fn yaml(text: &str, is_found: bool) -> Result<Vec<Document>, String> {
    let options = serde_saphyr::options! {
        duplicate_keys: if is_found { DuplicateKeyPolicy::LastWins } else { DuplicateKeyPolicy::Error },
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_VALUES,
            max_events: 3 * MAX_VALUES,
            max_documents: MAX_DOCUMENTS,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_recorded_anchor_events: MAX_REPLAYED,
            max_merge_keys: MAX_ALIASES,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED,
            max_replay_stack_depth: 16,
        },
    };
    let read = serde_saphyr::from_multiple_with_options::<Spanned<Located>>(text, options);
    let read = read.map_err(|error| unusable(error.without_snippet()))?;
    let document = |spanned: Spanned<Located>| {
        let (value, lines) = spanned.value.at(spanned.referenced.line());
        Document {
            lines: Some(lines),
            value,
        }
    };
    Ok(read
        .into_iter()
        .map(document)
        .filter(|document| !document.value.is_null())
        .collect())
}

/// What is wrong with YAML, in words of manifests.
fn unusable(error: &serde_saphyr::Error) -> String {
    let mut error = error;
    while let serde_saphyr::Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    let reason = match error {
        serde_saphyr::Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "an alias stands in what it refers to".to_owned()
        }
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key '{}' stands twice", key.escape_debug())
        }
        serde_saphyr::Error::DuplicateMappingKey { .. } => "a key stands twice".to_owned(),
        serde_saphyr::Error::Budget { breach, .. } => beyond(breach),
        serde_saphyr::Error::AliasReplayLimitExceeded { .. }
        | serde_saphyr::Error::AliasReplayStackDepthExceeded { .. } => {
            format!("its aliases stand for more than {MAX_REPLAYED} values")
        }
        other => {
            let message = other.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
            message.chars().take(200).collect()
        }
    };
    let place = error.location().map_or(String::new(), |place| {
        format!(" (line {}, column {})", place.line(), place.column())
    });
    format!("is not YAML that can be used: {reason}{place}")
}

fn beyond(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => format!("it is nested deeper than {MAX_DEPTH} levels"),
        BudgetBreach::Documents { .. } => format!("it has more than {MAX_DOCUMENTS} documents"),
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
            format!("it has more than {MAX_VALUES} values")
        }
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::MergeKeys { .. } => {
            format!("it has more than {MAX_ALIASES} anchors, aliases or merge keys")
        }
        BudgetBreach::RecordedAnchorEvents { .. } | BudgetBreach::RecordedAnchorBytes { .. } => {
            format!("its aliases stand for more than {MAX_REPLAYED} values")
        }
        _ => "it is beyond the limits of a manifest".to_owned(),
    }
}

fn json(text: &str) -> Result<Vec<Document>, String> {
    let left = Cell::new(MAX_VALUES);
    let mut documents = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // `end` passes over white space alone.
    while deserializer.end().is_err() {
        let bounded = Bounded {
            left: &left,
            depth: 0,
        };
        let value = bounded
            .deserialize(&mut deserializer)
            .map_err(|error| format!("is not JSON that can be used: {error}"))?;
        if documents.len() == MAX_DOCUMENTS {
            return Err(format!("has more than {MAX_DOCUMENTS} documents"));
        }
        if !value.is_null() {
            documents.push(Document { lines: None, value });
        }
    }
    Ok(documents)
}

/// Builds a value, counting down what may still be built.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    left: &'a Cell<usize>,
    depth: usize,
}

impl Bounded<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > MAX_DEPTH {
            return Err(E::custom(format_args!(
                "it is nested deeper than {MAX_DEPTH} levels"
            )));
        }
        Ok(Self { depth, ..self })
    }

    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        let left = self.left.get().checked_sub(1);
        self.left.set(
            left.ok_or_else(|| E::custom(format_args!("it has more than {MAX_VALUES} values")))?,
        );
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                let key = key.escape_debug();
                return Err(A::Error::custom(format_args!(
                    "the key \"{key}\" stands twice"
                )));
            }
            let value = entries.next_value_seed(inner)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
