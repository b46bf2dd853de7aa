//! Apache APISIX: `ApisixRoute`, `spec.http[].backends[].weight`; relative, and 100 where it is left out
//! (`DefaultWeight` of apisix-ingress-controller).

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, PodsOf, Route, hosts};

pub(super) const KIND: Kind = Kind {
    names: &["ApisixRoute"],
    groups: &["apisix.apache.org"],
    weights: "spec.http[].backends[].weight, spec.http[].upstreams[].weight",
    meaning: "relative; left out: 100",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let mut routes = Vec::new();
    for (index, rule) in object
        .root()
        .along(&["spec", "http"])?
        .items()?
        .iter()
        .enumerate()
    {
        let mut backends = Vec::new();
        for entry in rule.at("backends")?.items()? {
            backends.push(backend(object, &entry, "serviceName")?);
        }
        for entry in rule.at("upstreams")?.items()? {
            let mut upstream = backend(object, &entry, "name")?;
            upstream.pods = PodsOf::Unknown;
            backends.push(upstream);
        }
        if backends.is_empty() {
            continue;
        }
        let mut route = Route::new(object, index + 1, backends);
        route.rule_name = rule.at("name")?.text()?;
        let matched = rule.at("match")?;
        route.hosts = hosts(&matched.at("hosts")?)?;
        if let Some(path) = matched.at("paths")?.items()?.first() {
            let path = path.required()?;
            route.path = match path.strip_suffix('*') {
                Some(prefix) => PathRule::Prefix(prefix.to_owned()),
                None => PathRule::Exact(path.to_owned()),
            };
        }
        for expression in matched.at("exprs")?.items()? {
            let subject = expression.at("subject")?;
            let scope = subject
                .at("scope")?
                .text()?
                .unwrap_or("variable")
                .to_lowercase();
            let name = subject.at("name")?.text()?.unwrap_or_default();
            route.conditions.push(format!("{scope} {name}").into());
        }
        routes.push(route);
    }
    Ok(routes)
}

fn backend<'a>(
    object: &'a Object,
    entry: &Field<'a>,
    key: &str,
) -> Result<Backend<'a>, ManifestError> {
    let weight = entry.at("weight")?;
    let value = weight.whole()?.unwrap_or(100);
    Ok(Backend::service(
        object,
        entry.at(key)?.required()?,
        value as f64,
        &weight,
    ))
}
