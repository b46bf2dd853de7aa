//! Objects that stand several times: in one folder a mistake, in several folders what each is for.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::ManifestError;
use super::lint::finding::Finding;
use super::object::Object;
use super::route::Route;

type Key<'a> = (&'a str, &'a str, Option<&'a str>, &'a str);

fn key(object: &Object) -> Key<'_> {
    (
        &object.group,
        &object.kind,
        object.namespace.as_deref(),
        &object.name,
    )
}

fn folder(object: &Object) -> &Path {
    Path::new(&*object.origin.file)
        .parent()
        .unwrap_or(Path::new(""))
}

/// The object that stands before `object` under the same name with other content, for each that has one.
pub(super) fn twins(objects: &[Object]) -> Vec<(&Object, &Object)> {
    let mut first: HashMap<Key<'_>, &Object> = HashMap::new();
    let mut twins = Vec::new();
    for object in objects.iter().filter(|object| object.name != "(no name)") {
        let known = first.entry(key(object)).or_insert(object);
        if !std::ptr::eq(*known, object) && known.value != object.value {
            twins.push((*known, object));
        }
    }
    twins
}

/// That none of the objects that `route` comes from is among the `twins`.
pub(super) fn once(route: &Route<'_>, twins: &[(&Object, &Object)]) -> Result<(), ManifestError> {
    let own = std::iter::once(route.object).chain(route.related.iter().copied());
    let own: Vec<Key<'_>> = own
        .chain(route.backends.iter().map(|backend| backend.field.0))
        .map(key)
        .collect();
    match twins.iter().find(|(first, _)| own.contains(&key(first))) {
        None => Ok(()),
        Some((first, second)) => Err(second.refused(
            "metadata.name",
            &format!(
                "stands in {} as well, and says something else there: give the one that is applied",
                first.origin
            ),
        )),
    }
}

/// Manifests that are checked by themselves.
#[derive(Debug, Default)]
pub struct Sets {
    pub sets: Vec<Vec<Object>>,
    /// What is said of folders whose files are sets of their own.
    pub findings: Vec<Finding>,
}

/// `objects` in sets: one, unless an object stands in several folders, or in several files of one folder,
/// which then are sets of their own.
pub(super) fn divided(objects: Vec<Object>) -> Sets {
    let mut sets = Sets::default();
    divide(objects, 0, &mut sets);
    for set in &mut sets.sets {
        for (index, object) in set.iter_mut().enumerate() {
            object.index = index;
        }
    }
    sets
}

fn divide(objects: Vec<Object>, depth: usize, sets: &mut Sets) {
    let mut first: HashMap<Key<'_>, &Object> = HashMap::new();
    let mut in_files = Vec::new();
    let mut is_in_folders = false;
    for object in &objects {
        let known = *first.entry(key(object)).or_insert(object);
        if known.origin.file != object.origin.file {
            is_in_folders |= folder(known) != folder(object);
            in_files.push((known, object));
        }
    }
    let Some((known, object)) = in_files.first() else {
        sets.sets.push(objects);
        return;
    };
    if !is_in_folders {
        let others = match in_files.len() {
            1 => String::new(),
            count => format!(", and {} more objects do so", count - 1),
        };
        let message = format!(
            "{} stands in {} as well{others}: what is applied last counts; each file is checked by itself",
            object.title(),
            known.origin.file.escape_debug()
        );
        sets.findings.push(Finding::twice(object, message));
    }
    drop(first);
    let mut parts: BTreeMap<PathBuf, Vec<Object>> = BTreeMap::new();
    for object in objects {
        let part = if is_in_folders {
            folder(&object).components().take(depth + 1).collect()
        } else {
            PathBuf::from(&*object.origin.file)
        };
        parts.entry(part).or_default().push(object);
    }
    for part in parts.into_values() {
        divide(part, depth + 1, sets);
    }
}
