//! Contour: `HTTPProxy`, `spec.routes[].services[].weight`; relative.
//!
//! Without any weight the services share evenly; beside others that have one, a service without gets
//! nothing (`internal/envoy/v3/route.go` of contour). A mirror gets copies, and no share. A proxy without a
//! virtual host is reached through those that include it.

use super::{Context, Kind, Read, Reading};
use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, Remark, Route};

/// How deep proxies may include each other, and how often in all.
const MAX_DEPTH: usize = 8;
const MAX_INCLUDED: usize = 10_000;

pub(super) const KIND: Kind = Kind {
    names: &["HTTPProxy"],
    groups: &["projectcontour.io"],
    weights: "spec.routes[].services[].weight, spec.tcpproxy.services[].weight",
    meaning: "relative; all left out: even, some left out: those get nothing",
    read: Read::All(routes),
};

fn routes<'a>(proxies: &[&'a Object], _: &Context<'a>, reading: &mut Reading<'a>) {
    let mut reader = Reader {
        reached: vec![false; proxies.len()],
        proxies: proxies.to_vec(),
        included: 0,
        routes: Vec::new(),
    };
    for is_root in [true, false] {
        for (index, &proxy) in proxies.iter().enumerate() {
            let read = reader.proxy(index, is_root);
            let routes = std::mem::take(&mut reader.routes);
            reading.take(proxy, read.map(|()| routes));
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Conditions {
    prefix: String,
    exact: Option<String>,
    pattern: Option<String>,
    others: Vec<Condition>,
}

impl Conditions {
    /// Makes `route` ask for them.
    fn of(self, route: &mut Route<'_>) {
        route.path = match (self.exact, self.pattern) {
            (Some(exact), _) => PathRule::Exact(exact),
            (None, Some(pattern)) => PathRule::Pattern(pattern),
            (None, None) if self.prefix.is_empty() => PathRule::any(),
            (None, None) => PathRule::Prefix(self.prefix),
        };
        route.conditions = self.others;
    }
}

struct Reader<'a> {
    proxies: Vec<&'a Object>,
    reached: Vec<bool>,
    /// How many inclusions were followed.
    included: usize,
    routes: Vec<Route<'a>>,
}

impl Reader<'_> {
    /// Reads a proxy with a virtual host, or one that none of those has included.
    fn proxy(&mut self, index: usize, is_root: bool) -> Result<(), ManifestError> {
        let host = self.proxies[index].root().along(&["spec", "virtualhost"])?;
        if host.is_there() != is_root || self.reached[index] {
            return Ok(());
        }
        let host = is_root.then(|| host.at("fqdn")?.required()).transpose()?;
        self.read(index, host, &Conditions::default(), 0)
    }

    fn read(
        &mut self,
        index: usize,
        host: Option<&str>,
        outer: &Conditions,
        depth: usize,
    ) -> Result<(), ManifestError> {
        self.reached[index] = true;
        let object = self.proxies[index];
        let spec = object.root().at("spec")?;
        let rules = spec.at("routes")?.items()?;
        let connections = spec.at("tcpproxy")?;
        let all = rules
            .iter()
            .chain(connections.is_there().then_some(&connections));
        for (number, rule) in all.enumerate() {
            let backends = backends(object, rule)?;
            if backends.is_empty() {
                continue;
            }
            let mut route = Route::new(object, number + 1, backends);
            route.hosts.extend(host.map(str::to_owned));
            if number == rules.len() {
                let message = "TCP connections".to_owned();
                route.conditions.push(message.into());
            }
            if let Some(empty) = evened(rule)? {
                let message =
                    "is 0 for all of them, which HTTPProxy takes as even shares, not as none";
                route.remarks.push(Remark::zero((object, empty), message));
            }
            if number < rules.len() {
                conditions(&rule.at("conditions")?, outer)?.of(&mut route);
            }
            self.routes.push(route);
        }
        for (order, include) in spec.at("includes")?.items()?.iter().enumerate() {
            let name = include.at("name")?.required()?;
            let namespace = include
                .at("namespace")?
                .text()?
                .or(object.namespace.as_deref());
            let is_meant = |proxy: &&Object| proxy.is_called(name, namespace);
            let found = self.proxies.iter().position(is_meant);
            let Some(found) = found else {
                let number = rules.len() + order + 1;
                let mut route =
                    Route::elsewhere(object, number, &include.at("name")?, "HTTPProxy", name);
                route.hosts.extend(host.map(str::to_owned));
                conditions(&include.at("conditions")?, outer)?.of(&mut route);
                self.routes.push(route);
                continue;
            };
            self.included += 1;
            if depth == MAX_DEPTH || self.included > MAX_INCLUDED {
                return Err(include.at("name")?.error(&format!(
                    "is included below {depth} others: do the proxies include each other in a circle?"
                )));
            }
            let conditions = conditions(&include.at("conditions")?, outer)?;
            self.read(found, host, &conditions, depth + 1)?;
        }
        Ok(())
    }
}

/// The path of a weight that is written as 0, where all of several are.
fn evened(rule: &Field<'_>) -> Result<Option<String>, ManifestError> {
    let services = rule.at("services")?.items()?;
    let weights: Vec<_> = services
        .iter()
        .map(|service| service.at("weight"))
        .collect::<Result<_, _>>()?;
    let is_zero = |weight: &&Field<'_>| weight.value() == Some(&0.into());
    let all = weights.len() > 1 && weights.iter().all(|weight| is_zero(&weight));
    Ok(weights
        .first()
        .filter(|_| all)
        .map(|weight| weight.path().to_owned()))
}

fn backends<'a>(object: &'a Object, rule: &Field<'a>) -> Result<Vec<Backend<'a>>, ManifestError> {
    let mut backends = Vec::new();
    for service in rule.at("services")?.items()? {
        if service.at("mirror")?.flag()? {
            continue;
        }
        let name = service.at("name")?.required()?;
        let weight = service.at("weight")?;
        let value = weight.whole()?.unwrap_or(0) as f64;
        let mut backend = Backend::service(object, name, value, &weight);
        backend.variant = service.at("port")?.whole()?.map(|port| port.to_string());
        backends.push(backend);
    }
    if backends.iter().all(|backend| backend.weight <= 0.0) {
        for backend in &mut backends {
            backend.weight = 1.0;
        }
    }
    Ok(backends)
}

fn conditions(field: &Field<'_>, outer: &Conditions) -> Result<Conditions, ManifestError> {
    let mut conditions = outer.clone();
    for condition in field.items()? {
        if let Some(prefix) = condition.at("prefix")?.text()? {
            let kept = conditions.prefix.trim_end_matches('/');
            conditions.prefix = format!("{kept}/{}", prefix.trim_start_matches('/'));
        }
        if let Some(exact) = condition.at("exact")?.text()? {
            let kept = conditions.prefix.trim_end_matches('/');
            conditions.exact = Some(format!("{kept}{exact}"));
        }
        if let Some(regex) = condition.at("regex")?.text()? {
            conditions.pattern = Some(regex.to_owned());
        }
        for (key, noun) in [("header", "header"), ("queryParameter", "query parameter")] {
            let named = condition.at(key)?;
            if named.is_there() {
                let name = named.at("name")?.required()?;
                let exact = named.at("exact")?.text()?;
                let is_other = named.keys()?.iter().any(|key| key.starts_with("not"));
                conditions.others.push(match exact {
                    _ if is_other => format!("{noun} {name}").into(),
                    exact if noun == "header" => Condition::header(name, exact),
                    exact => Condition::query(name, exact),
                });
            }
        }
    }
    Ok(conditions)
}
