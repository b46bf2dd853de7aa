//! Emissary (Ambassador): `Mapping`, `spec.weight`, in percent among the mappings of one host and prefix.
//!
//! Those without a weight share the rest ("Canary releases" of the documentation).

use std::collections::BTreeMap;

use super::{Context, Kind, Read, Reading};
use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, Route};

pub(super) const KIND: Kind = Kind {
    names: &["Mapping"],
    groups: &["getambassador.io", "x.getambassador.io"],
    weights: "spec.weight",
    meaning: "percent among the Mappings of one host and prefix; those without share the rest",
    read: Read::All(routes),
};

/// Host, prefix and further conditions.
type Place = (String, String, Vec<(&'static str, String, Option<String>)>);

struct Mapping<'a> {
    object: &'a Object,
    backend: Backend<'a>,
    weight: Option<u64>,
}

fn routes<'a>(own: &[&'a Object], _: &Context<'a>, reading: &mut Reading<'a>) {
    let mut groups: BTreeMap<Place, Vec<Mapping<'a>>> = BTreeMap::new();
    for &object in own {
        match read(object) {
            Ok((place, mapping)) => groups.entry(place).or_default().push(mapping),
            Err(error) => reading.refused.push((object, error)),
        }
    }
    for ((host, prefix, conditions), mut mappings) in groups {
        let given: u64 = mappings.iter().filter_map(|mapping| mapping.weight).sum();
        let open = mappings
            .iter()
            .filter(|mapping| mapping.weight.is_none())
            .count();
        mappings.sort_by_key(|mapping| mapping.weight.is_some());
        let rest = 100_u64.saturating_sub(given) as f64 / open.max(1) as f64;
        for mapping in &mut mappings {
            mapping.backend.weight = mapping.weight.map_or(rest, |weight| weight as f64);
        }
        let related = mappings[1..].iter().map(|mapping| mapping.object).collect();
        let object = mappings[0].object;
        let backends = mappings
            .into_iter()
            .map(|mapping| mapping.backend)
            .collect();
        let mut route = Route::new(object, 1, backends);
        route.related = related;
        if !host.is_empty() && host != "*" {
            route.hosts.push(host);
        }
        route.path = PathRule::Prefix(prefix);
        let read = |(noun, name, value): &(&str, String, Option<String>)| match *noun {
            "header" => Condition::header(name, value.as_deref()),
            _ => Condition::query(name, value.as_deref()),
        };
        route.conditions = conditions.iter().map(read).collect();
        reading.routes.push(route);
    }
}

/// Host, prefix and further conditions of a mapping, and where it leads.
fn read(object: &Object) -> Result<(Place, Mapping<'_>), ManifestError> {
    let spec = object.root().at("spec")?;
    let host = spec
        .at("hostname")?
        .text()?
        .or(spec.at("host")?.text()?)
        .unwrap_or_default();
    let prefix = spec.at("prefix")?.required()?;
    let mut conditions = Vec::new();
    for (key, noun) in [
        ("headers", "header"),
        ("query_parameters", "query parameter"),
    ] {
        let field = spec.at(key)?;
        for name in field.keys()? {
            // `true` stands for any value.
            let value = field.at(name)?.text().ok().flatten().map(str::to_owned);
            conditions.push((noun, name.to_owned(), value));
        }
    }
    let weight = spec.at("weight")?;
    let value = weight.whole()?;
    if let Some(value) = value.filter(|value| *value > 100) {
        return Err(weight.error(&format!("is {value}: it is a percentage, at most 100")));
    }
    // [SCHEME://]SERVICE[.NAMESPACE][:PORT]
    let service = spec.at("service")?.required()?;
    let bare = service.split_once("://").map_or(service, |(_, rest)| rest);
    let bare = bare.split([':', '/']).next().unwrap_or(bare);
    let (name, namespace) = bare.split_once('.').unwrap_or((bare, ""));
    let mut backend = Backend::service(object, name, 0.0, &weight);
    let namespace = namespace
        .split('.')
        .next()
        .filter(|namespace| !namespace.is_empty());
    if let Some(namespace) = namespace {
        backend.namespace = Some(namespace.to_owned());
    }
    let mapping = Mapping {
        object,
        backend,
        weight: value,
    };
    Ok((
        (host.to_ascii_lowercase(), prefix.to_owned(), conditions),
        mapping,
    ))
}
