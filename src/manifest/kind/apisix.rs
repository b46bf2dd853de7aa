//! Apache APISIX: `ApisixRoute`, `spec.http[].backends[].weight`; relative, and 100 where it is left out
//! (`DefaultWeight` of apisix-ingress-controller).

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
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
    let rules = object.root().along(&["spec", "http"])?.items()?;
    for (index, rule) in rules.iter().enumerate() {
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
        let asked = rule.at("match")?;
        route.hosts = hosts(&asked.at("hosts")?)?;
        let mut conditions = Vec::new();
        for expression in asked.at("exprs")?.items()? {
            conditions.push(condition(&expression)?);
        }
        let methods = asked.at("methods")?.items()?;
        if let [method] = &methods[..] {
            conditions.push(Condition::method(method.required()?));
        }
        for field in ["remoteAddrs", "filter_func"] {
            if asked.at(field)?.is_there() {
                conditions.push(field.to_owned().into());
            }
        }
        let mut matches = Vec::new();
        for path in asked.at("paths")?.items()? {
            let path = path.required()?;
            let path = match path.strip_suffix('*') {
                Some(prefix) => PathRule::Prefix(prefix.to_owned()),
                None => PathRule::Exact(path.to_owned()),
            };
            matches.push((path, conditions.clone()));
        }
        if matches.is_empty() {
            matches.push((PathRule::any(), conditions));
        }
        route.match_any(matches);
        plugins(&mut route, rule)?;
        routes.push(route);
    }
    Ok(routes)
}

/// A plugin that splits by weights of its own, before those of the backends.
fn plugins<'a>(route: &mut Route<'a>, rule: &Field<'a>) -> Result<(), ManifestError> {
    for plugin in rule.at("plugins")?.items()? {
        let is_on = plugin.at("enable")?.value() != Some(&false.into());
        if is_on && plugin.at("name")?.text()? == Some("traffic-split") {
            let problem =
                "is traffic-split, whose rules lbtest does not read: say the split with --expect";
            route.not_read(&plugin.at("name")?, problem);
        }
    }
    Ok(())
}

fn condition(expression: &Field<'_>) -> Result<Condition, ManifestError> {
    let subject = expression.at("subject")?;
    let scope = subject.at("scope")?.text()?.unwrap_or("Variable");
    let name = subject.at("name")?.text()?.unwrap_or_default();
    let value = expression.at("value")?.text()?;
    let operator = expression.at("op")?.text()?.unwrap_or_default();
    let describe = || format!("{} {name} {operator}", scope.to_lowercase());
    Ok(match (scope, operator, value) {
        ("Header", "Equal", value @ Some(_)) => Condition::header(name, value),
        ("Cookie", "Equal", value @ Some(_)) => Condition::cookie(name, value),
        ("Query", "Equal", value @ Some(_)) => Condition::query(name, value),
        ("Header", "RegexMatch", Some(pattern)) => {
            Condition::header_like(name, pattern, describe())
        }
        ("Query", "RegexMatch", Some(pattern)) => Condition::query_like(name, pattern, describe()),
        _ => describe().into(),
    })
}

fn backend<'a>(
    object: &'a Object,
    entry: &Field<'a>,
    key: &str,
) -> Result<Backend<'a>, ManifestError> {
    let weight = entry.at("weight")?;
    let value = weight.whole()?.unwrap_or(100);
    let name = entry.at(key)?.required()?;
    let mut backend = Backend::service(object, name, value as f64, &weight);
    if let Some(subset) = entry.at("subset")?.text()? {
        // The labels of a subset stand in an ApisixUpstream.
        backend.variant = Some(subset.to_owned());
        backend.pods = PodsOf::Unknown;
    }
    Ok(backend)
}
