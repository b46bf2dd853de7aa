//! Skipper: `RouteGroup`, `spec.defaultBackends[].weight` and `spec.routes[].backends[].weight`; relative.
//!
//! Where no backend of a rule has a weight they share evenly; beside others that have one, a backend
//! without gets nothing.

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, PodsOf, Remark, Route, hosts};

pub(super) const KIND: Kind = Kind {
    names: &["RouteGroup"],
    groups: &["zalando.org"],
    weights: "spec.defaultBackends[].weight, spec.routes[].backends[].weight",
    meaning: "relative; all left out: even",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let spec = object.root().at("spec")?;
    let hosts = hosts(&spec.at("hosts")?)?;
    let rules = spec.at("routes")?.items()?;
    let defaults = spec.at("defaultBackends")?;
    let mut routes = Vec::new();
    let whole = [spec.clone()];
    let rules = if rules.is_empty() { &whole[..] } else { &rules };
    for (index, rule) in rules.iter().enumerate() {
        let own = rule.at("backends")?;
        // The group's own `backends` are definitions.
        let references = if own.is_there() && rule.path() != spec.path() {
            own
        } else {
            defaults.clone()
        };
        let backends = backends(object, &spec, &references)?;
        if backends.is_empty() {
            continue;
        }
        let mut route = Route::new(object, index + 1, backends);
        route.hosts.clone_from(&hosts);
        for (key, make) in [
            ("pathSubtree", PathRule::Prefix as fn(String) -> PathRule),
            ("path", PathRule::Exact),
            ("pathRegexp", PathRule::Pattern),
        ] {
            if let Some(path) = rule.at(key)?.text()? {
                route.path = make(path.to_owned());
            }
        }
        let methods = rule.at("methods")?.items()?;
        if let [method] = &methods[..] {
            route.conditions.push(Condition::method(method.required()?));
        }
        for predicate in rule.at("predicates")?.items()? {
            let text = predicate.required()?;
            if text.starts_with("Traffic") {
                let problem =
                    "divides requests, and lbtest does not read it: say the split with --expect";
                route.not_read(&predicate, problem);
            } else {
                route.conditions.push(condition(text));
            }
        }
        if let [first, _, ..] = &references.items()?[..]
            && backends_are_written_as_zero(&references)?
        {
            let field = (object, format!("{}.weight", first.path()));
            let message = "is 0 for all of them, which Skipper takes as even shares, not as none";
            route.remarks.push(Remark::zero(field, message));
        }
        routes.push(route);
    }
    Ok(routes)
}

/// A predicate: `Header("X-Next", "yes")`, `QueryParam("next", "yes")`, or one that no request is made of.
fn condition(text: &str) -> Condition {
    let unquoted = |part: &str| {
        let part = part.trim();
        let inner = part.strip_prefix('"')?.strip_suffix('"')?;
        (!inner.contains('"')).then(|| inner.to_owned())
    };
    let parts = || {
        let (name, rest) = text.split_once('(')?;
        let (first, second) = rest.trim_end().strip_suffix(')')?.split_once(',')?;
        Some((name.trim(), unquoted(first)?, unquoted(second)?))
    };
    match parts() {
        Some(("Header", name, value)) => Condition::header(&name, Some(&value)),
        Some(("HeaderRegexp", name, value)) => {
            Condition::header_like(&name, &value, text.to_owned())
        }
        Some(("QueryParam", name, value)) => Condition::query_like(&name, &value, text.to_owned()),
        _ => text.to_owned().into(),
    }
}

/// Whether all of them have a weight, and that is 0.
fn backends_are_written_as_zero(references: &Field<'_>) -> Result<bool, ManifestError> {
    let mut all = true;
    for reference in references.items()? {
        all &= reference.at("weight")?.whole()? == Some(0);
    }
    Ok(all)
}

fn backends<'a>(
    object: &'a Object,
    spec: &Field<'a>,
    references: &Field<'a>,
) -> Result<Vec<Backend<'a>>, ManifestError> {
    let mut backends = Vec::new();
    for reference in references.items()? {
        let weight = reference.at("weight")?;
        let name = reference.at("backendName")?.required()?;
        let value = weight.whole()?.unwrap_or(0) as f64;
        let mut backend = Backend::service(object, name, value, &weight);
        backend.pods = PodsOf::Unknown;
        for known in spec.at("backends")?.items()? {
            let service = known.at("serviceName")?.text()?;
            if known.at("name")?.text()? == Some(name)
                && let Some(service) = service
            {
                service.clone_into(&mut backend.name);
                backend.pods = PodsOf::Service;
            }
        }
        backends.push(backend);
    }
    if backends.iter().all(|backend| backend.weight <= 0.0) {
        for backend in &mut backends {
            backend.weight = 1.0;
        }
    }
    Ok(backends)
}
