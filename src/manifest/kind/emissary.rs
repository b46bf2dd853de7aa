//! Emissary (Ambassador): `Mapping`, `spec.weight`, in percent among the mappings of one host and prefix.
//!
//! Those without a weight share the rest, or get nothing beside a full hundred; a single mapping gets all
//! (`normalize_weights_in_mappings` of emissary). Where all have weights, the rest falls through to a wider prefix.

use std::collections::BTreeMap;

use super::{Context, Kind, Read, Reading};
use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, Route};

pub(super) const KIND: Kind = Kind {
    names: &["Mapping", "AmbassadorMapping"],
    groups: &["getambassador.io", "x.getambassador.io"],
    weights: "spec.weight",
    meaning: "percent among the Mappings of one host and prefix; those without share the rest",
    read: Read::All(routes),
};

/// Host, prefix with its type, and further conditions.
type Place = (
    String,
    &'static str,
    String,
    Vec<(&'static str, String, Option<String>)>,
);

struct Mapping<'a> {
    object: &'a Object,
    backend: Backend<'a>,
    weight: Field<'a>,
    value: Option<u64>,
}

fn routes<'a>(own: &[&'a Object], _: &Context<'a>, reading: &mut Reading<'a>) {
    let mut groups: BTreeMap<Place, Vec<Mapping<'a>>> = BTreeMap::new();
    for &object in own {
        match read(object) {
            Ok((place, mapping)) => groups.entry(place).or_default().push(mapping),
            Err(error) => reading.refused.push((object, error)),
        }
    }
    for (place, mappings) in groups {
        let object = mappings[0].object;
        let read = route(place, mappings).map(|route| vec![route]);
        reading.take(object, read);
    }
}

fn route(place: Place, mut mappings: Vec<Mapping<'_>>) -> Result<Route<'_>, ManifestError> {
    let (host, kind, prefix, conditions) = place;
    let given: u64 = mappings.iter().filter_map(|mapping| mapping.value).sum();
    let open = mappings.iter().filter(|one| one.value.is_none()).count();
    mappings.sort_by_key(|mapping| mapping.value.is_some());
    if let [only] = &mut mappings[..] {
        only.value = Some(100);
    } else if given > 100 || open == 0 && given < 100 {
        let last = &mappings[mappings.len() - 1].weight;
        return Err(last.error(&format!(
            "makes the weights of this host and prefix sum to {given}: at most 100, and without a Mapping for the rest 100"
        )));
    }
    let rest = 100_u64.saturating_sub(given) as f64 / open.max(1) as f64;
    for mapping in &mut mappings {
        mapping.backend.weight = mapping.value.map_or(rest, |weight| weight as f64);
    }
    let related = mappings[1..].iter().map(|mapping| mapping.object).collect();
    let object = mappings[0].object;
    let backends = mappings.into_iter().map(|one| one.backend).collect();
    let mut route = Route::new(object, 1, backends);
    route.related = related;
    if !host.is_empty() && host != "*" {
        route.hosts.push(host);
    }
    route.path = match kind {
        "exact" => PathRule::Exact(prefix),
        "regex" => PathRule::Pattern(prefix),
        _ => PathRule::Prefix(prefix),
    };
    let read = |(noun, name, value): (&str, String, Option<String>)| match (noun, value) {
        ("header", value) => Condition::header(&name, value.as_deref()),
        ("method", _) => Condition::method(&name),
        ("regex header", Some(pattern)) => {
            Condition::header_like(&name, &pattern, format!("header {name}: {pattern}"))
        }
        (_, value) => Condition::query(&name, value.as_deref()),
    };
    route.conditions = conditions.into_iter().map(read).collect();
    Ok(route)
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
    let kind = match (
        spec.at("prefix_exact")?.flag()?,
        spec.at("prefix_regex")?.flag()?,
    ) {
        (true, _) => "exact",
        (_, true) => "regex",
        _ => "prefix",
    };
    let mut conditions = Vec::new();
    for (key, noun) in [
        ("headers", "header"),
        ("regex_headers", "regex header"),
        ("query_parameters", "query parameter"),
    ] {
        let field = spec.at(key)?;
        for name in field.keys()? {
            // `true` stands for any value.
            let value = field.at(name)?.text().ok().flatten().map(str::to_owned);
            conditions.push((noun, name.to_owned(), value));
        }
    }
    if let Some(method) = spec.at("method")?.text()? {
        conditions.push(("method", method.to_owned(), None));
    }
    let weight = spec.at("weight")?;
    let value = weight.percent()?;
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
        weight,
        value,
    };
    let host = host.to_ascii_lowercase();
    Ok(((host, kind, prefix.to_owned(), conditions), mapping))
}
