//! Two splits: whether they give the same pods the same shares, and what is only written in another way.

use std::collections::BTreeSet;

use crate::format::percent;
use crate::manifest::object::Object;
use crate::manifest::route::{PodsOf, Route};
use crate::manifest::table::Table;
use crate::manifest::{ManifestError, sets};

/// A backend that gets requests.
#[derive(Debug)]
pub(super) struct Part {
    name: String,
    subset: Option<String>,
    port: Option<u16>,
    weight: f64,
    share: f64,
    /// Kind and name of what runs its pods, as far as the manifests say so.
    pods: BTreeSet<String>,
}

impl Part {
    /// Whether both have the same pods, as far as names tell.
    fn is_same(&self, other: &Self) -> bool {
        (self.name == other.name && self.subset == other.subset)
            || (!self.pods.is_empty() && self.pods == other.pods)
    }

    fn description(&self) -> String {
        match &self.subset {
            Some(subset) => format!("{}/{subset}", self.name),
            None => self.name.clone(),
        }
    }
}

/// The backends of `row` that get requests.
pub(super) fn parts<'a>(row: &Route<'a>, side: &Table<'a>) -> Result<Vec<Part>, ManifestError> {
    if let Some(error) = &row.unready {
        return Err(error.clone());
    }
    sets::once(row, &side.twins)?;
    let mut parts: Vec<Part> = Vec::new();
    for backend in row.backends.iter().filter(|backend| backend.weight > 0.0) {
        let is_subset = backend.pods != PodsOf::Service;
        let found = side.workloads.of(backend)?;
        let name = |object: &Object| format!("{} {}", object.kind, object.name);
        let part = Part {
            name: backend.name.clone(),
            subset: backend.variant.clone().filter(|_| is_subset),
            port: backend
                .variant
                .as_ref()
                .filter(|_| !is_subset)
                .and_then(|port| port.parse().ok()),
            weight: backend.weight,
            share: backend.weight / row.total(),
            pods: found
                .iter()
                .map(|workload| name(workload.object()))
                .collect(),
        };
        match parts
            .iter_mut()
            .find(|known| known.is_same(&part) && known.port == part.port)
        {
            Some(known) => {
                known.weight += part.weight;
                known.share += part.share;
            }
            None => parts.push(part),
        }
    }
    Ok(parts)
}

/// What differs between two splits, one sentence a backend.
pub(super) fn differences(old: &[Part], new: &[Part]) -> Vec<String> {
    let mut parts = Vec::new();
    for part in old {
        let Some(other) = new.iter().find(|other| other.is_same(part)) else {
            parts.push(format!(
                "{} gets {} in old and nothing in new",
                part.description(),
                percent(part.share)
            ));
            continue;
        };
        if (part.share - other.share).abs() > 1e-9 {
            parts.push(format!(
                "{} gets {} in old and {} in new",
                part.description(),
                percent(part.share),
                percent(other.share)
            ));
        }
        if let (Some(port), Some(new)) = (part.port, other.port)
            && port != new
        {
            parts.push(format!(
                "{} is asked on port {port} in old and on {new} in new",
                part.description()
            ));
        }
    }
    for part in new
        .iter()
        .filter(|part| !old.iter().any(|other| other.is_same(part)))
    {
        parts.push(format!(
            "{} gets nothing in old and {} in new",
            part.description(),
            percent(part.share)
        ));
    }
    parts
}

/// Weights and names that are written in another way and mean the same.
pub(super) fn other_forms(old: &[Part], new: &[Part]) -> Vec<String> {
    let mut parts = Vec::new();
    let pairs: Vec<(&Part, &Part)> = old
        .iter()
        .filter_map(|part| Some((part, new.iter().find(|other| other.is_same(part))?)))
        .collect();
    if old.len() > 1
        && pairs
            .iter()
            .any(|(one, other)| one.weight.to_bits() != other.weight.to_bits())
    {
        let weights = |side: fn(&(&Part, &Part)) -> f64| {
            pairs
                .iter()
                .map(|pair| side(pair).to_string())
                .collect::<Vec<_>>()
                .join("/")
        };
        let (old, new) = (
            weights(|(old, _)| old.weight),
            weights(|(_, new)| new.weight),
        );
        parts.push(format!("{old} in old and {new} in new are the same shares"));
    }
    for (one, other) in pairs
        .iter()
        .filter(|(one, other)| one.description() != other.description())
    {
        parts.push(format!(
            "{} of old and {} of new have the same pods",
            one.description(),
            other.description()
        ));
    }
    parts
}
