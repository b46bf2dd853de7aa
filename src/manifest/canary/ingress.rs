//! The canary's Ingress: the stable one's rules with the canary's Service, and what counts of its annotations.

use serde_json::{Map, Value, json};

use super::choosing::Stable;
use super::edit::{relabel, remove, set, suffixed};
use super::{CanaryOptions, MAX_LABEL, ManifestError, copy};
use crate::manifest::kind::rule::PREFIX;
use crate::manifest::lint::counts_on_a_canary;
use crate::manifest::object::Object;

pub(super) fn derived(
    stable: &Stable<'_>,
    options: &CanaryOptions,
    notes: &mut Vec<String>,
) -> Result<Value, ManifestError> {
    let object = stable.ingress;
    let mut value = copy(object, options, 253)?;
    let annotations = annotations(object, options, notes)?;
    set(
        &mut value,
        &["metadata", "annotations"],
        Value::Object(annotations),
    );
    relabel(&mut value, &["metadata", "labels"], &stable.labels);
    if value["spec"]
        .as_object_mut()
        .is_some_and(|spec| spec.remove("tls").is_some())
    {
        notes.push(format!(
            "{}: spec.tls is left out: a canary Ingress has no effect on TLS",
            object.title()
        ));
    }
    rules(&mut value, stable, options, notes)?;
    Ok(value)
}

/// The canary's annotations, and those of `object` that count on a canary.
fn annotations(
    object: &Object,
    options: &CanaryOptions,
    notes: &mut Vec<String>,
) -> Result<Map<String, Value>, ManifestError> {
    let mut annotations = Map::new();
    for (key, text) in object
        .root()
        .along(&["metadata", "annotations"])?
        .strings()?
    {
        let counts = key.strip_prefix(PREFIX).is_some_and(counts_on_a_canary);
        if counts || key == "kubernetes.io/ingress.class" {
            annotations.insert(key.to_owned(), text.into());
        } else if key != "kubectl.kubernetes.io/last-applied-configuration" {
            let why = if key.starts_with(PREFIX) {
                "has no effect on a canary Ingress, which takes it from its primary"
            } else {
                "is about the primary"
            };
            notes.push(format!(
                "{}: the annotation {key} is left out: it {why}",
                object.title()
            ));
        }
    }
    annotations.insert(format!("{PREFIX}canary"), "true".into());
    annotations.insert(
        format!("{PREFIX}canary-weight"),
        options.weight.to_string().into(),
    );
    if let Some(total) = options.weight_total {
        annotations.insert(
            format!("{PREFIX}canary-weight-total"),
            total.to_string().into(),
        );
    }
    Ok(annotations)
}

/// Renames the Services that the canary has, and drops the paths to others.
fn rules(
    value: &mut Value,
    stable: &Stable<'_>,
    options: &CanaryOptions,
    notes: &mut Vec<String>,
) -> Result<(), ManifestError> {
    let object = stable.ingress;
    let rename = |backend: &mut Value| {
        let names = ["/service/name", "/serviceName"];
        let path = names
            .into_iter()
            .find(|path| backend.pointer(path).is_some());
        let Some(Value::String(name)) = path.and_then(|path| backend.pointer_mut(path)) else {
            return Ok(false);
        };
        if !stable.services.iter().any(|service| service.name == *name) {
            return Ok(false);
        }
        *name = suffixed(name, &options.suffix, MAX_LABEL)?;
        Ok::<_, ManifestError>(true)
    };
    let rules = value
        .pointer_mut("/spec/rules")
        .and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten() {
        let host = rule["host"].as_str().unwrap_or("(any)").to_owned();
        let Some(Value::Array(paths)) = rule.pointer_mut("/http/paths") else {
            continue;
        };
        let mut kept = Vec::new();
        for mut path in std::mem::take(paths) {
            if path.get_mut("backend").map(rename).transpose()? == Some(true) {
                kept.push(path);
            } else {
                let path = path["path"].as_str().unwrap_or("/");
                notes.push(format!(
                    "{}: host {host}, path {path} is left out: it leads to another service",
                    object.title()
                ));
            }
        }
        *paths = kept;
    }
    if let Some(rules) = value
        .pointer_mut("/spec/rules")
        .and_then(Value::as_array_mut)
    {
        rules.retain(|rule| {
            rule.pointer("/http/paths")
                .is_some_and(|paths| *paths != json!([]))
        });
    }
    for key in ["defaultBackend", "backend"] {
        let renamed = value["spec"].get_mut(key).map(rename).transpose()?;
        if renamed == Some(false) {
            remove(value, &["spec", key]);
            notes.push(format!(
                "{}: spec.{key} is left out: it leads to another service",
                object.title()
            ));
        }
    }
    Ok(())
}
