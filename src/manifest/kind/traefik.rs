//! Traefik: `IngressRoute` and `TraefikService`; a service without a weight has weight 1.
//!
//! A rule's service may be a `TraefikService`, which splits further: its shares are multiplied into the
//! rule's. One that no rule names stands by itself. Of the rules that take a request the one with the highest priority
//! answers; where none is written, that is the length of `match`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::{Context, Kind, Read, Reading};
use crate::manifest::ManifestError;
use crate::manifest::condition::{Asks, Condition};
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, Place, PodsOf, Remark, Route};

/// How deep `TraefikService`s may name each other, and how often in all.
const MAX_DEPTH: usize = 8;
const MAX_NAMED: usize = 10_000;

pub(super) const KIND: Kind = Kind {
    names: &["IngressRoute", "IngressRouteTCP", "TraefikService"],
    groups: &["traefik.io", "traefik.containo.us"],
    weights: "spec.routes[].services[].weight, spec.weighted.services[].weight",
    meaning: "relative; left out: 1; a TraefikService in a rule divides that rule's share",
    read: Read::All(routes),
};

/// The rules of all `IngressRoute`s, and the `TraefikService`s that none of them names.
fn routes<'a>(own: &[&'a Object], context: &Context<'a>, reading: &mut Reading<'a>) {
    let mut reader = Reader {
        objects: context.objects,
        named: BTreeSet::new(),
        followed: 0,
        absent: Vec::new(),
    };
    let (services, rules): (Vec<&Object>, Vec<&Object>) = own
        .iter()
        .partition(|object| object.kind == "TraefikService");
    for object in rules {
        reading.take(object, reader.rules(object));
    }
    let mut alone = Vec::new();
    for object in services {
        match entries(object).and_then(|entries| reader.backends(object, &entries, 0)) {
            Ok(backends) => alone.push((object, backends, std::mem::take(&mut reader.absent))),
            Err(error) => reading.refused.push((object, error)),
        }
    }
    for (object, backends, absent) in alone {
        if !reader.named.contains(&object.index) && !backends.is_empty() {
            let mut route = Route::new(object, 1, backends);
            route.remarks = absent;
            route.place = Place::Behind(object.name.clone());
            reading.routes.push(route);
        }
    }
}

struct Reader<'a> {
    objects: &'a [Object],
    /// The indices of the `TraefikService`s that something names.
    named: BTreeSet<usize>,
    /// How many names were followed.
    followed: usize,
    /// What the rule at hand names and what is not there.
    absent: Vec<Remark<'a>>,
}

impl<'a> Reader<'a> {
    fn rules(&mut self, object: &'a Object) -> Result<Vec<Route<'a>>, ManifestError> {
        let mut rules: Vec<(&str, Route<'a>)> = Vec::new();
        for (index, rule) in object
            .root()
            .along(&["spec", "routes"])?
            .items()?
            .iter()
            .enumerate()
        {
            let services = rule.at("services")?.items()?;
            if services.is_empty() {
                continue;
            }
            let backends = self.backends(object, &services, 0)?;
            let mut route = Route::new(object, index + 1, backends);
            let matched = rule.at("match")?.required()?;
            read_match(matched, &mut route);
            route.priority = Some(priority(rule, matched)?);
            route.remarks.append(&mut self.absent);
            rules.push((matched, route));
        }
        for index in 0..rules.len() {
            let (matched, route) = &rules[index];
            let before = rules.iter().find(|(other, earlier)| {
                earlier.priority > route.priority && covers((other, earlier), (matched, route))
            });
            rules[index].1.hidden_by = before.map(|(_, earlier)| earlier.rule);
        }
        Ok(rules.into_iter().map(|(_, route)| route).collect())
    }

    fn backends(
        &mut self,
        object: &'a Object,
        services: &[Field<'a>],
        depth: usize,
    ) -> Result<Vec<Backend<'a>>, ManifestError> {
        let mut backends = Vec::new();
        for service in services {
            let name = service.at("name")?.required()?;
            let weight = service.at("weight")?;
            let value = weight.whole()?.unwrap_or(1) as f64;
            // `NAME@PROVIDER` is a service that Traefik knows from elsewhere, or a `TraefikService` of any namespace.
            let (bare, provider) = name.split_once('@').unwrap_or((name, ""));
            let mut backend = Backend::service(object, bare, value, &weight);
            let known = self.find_of_provider(bare, provider);
            if !provider.is_empty() && known.is_none() {
                backend.variant = Some(provider.to_owned());
                backend.pods = PodsOf::Unknown;
                backends.push(backend);
                continue;
            }
            if let Some(namespace) = service.at("namespace")?.text()? {
                backend.namespace = Some(namespace.to_owned());
            }
            let kind = service.at("kind")?.text()?.unwrap_or("Service");
            if known.is_some() || kind == "TraefikService" {
                let Some(inner) = known.or_else(|| self.find(&backend)) else {
                    let field = service.at("name")?;
                    self.absent
                        .push(Remark::absent(object, &field, "TraefikService", name));
                    backend.pods = PodsOf::Unknown;
                    backends.push(backend);
                    continue;
                };
                self.named.insert(inner.index);
                self.followed += 1;
                if depth == MAX_DEPTH || self.followed > MAX_NAMED {
                    return Err(service.at("name")?.error(&format!(
                        "is a TraefikService below {depth} others: do they name each other in a circle?"
                    )));
                }
                let parts = self.backends(inner, &entries(inner)?, depth + 1)?;
                let total: f64 = parts.iter().map(|part| part.weight).sum();
                let part = |part: Backend<'a>| Backend {
                    weight: if total > 0.0 {
                        value * part.weight / total
                    } else {
                        0.0
                    },
                    ..part
                };
                // A single service keeps the inner weights as they are written.
                let is_single = services.len() == 1 && value > 0.0;
                backends.extend(
                    parts
                        .into_iter()
                        .map(|one| if is_single { one } else { part(one) }),
                );
            } else {
                backend.variant = match service.at("port")?.value() {
                    Some(serde_json::Value::String(port)) => Some(port.clone()),
                    Some(port) => Some(port.to_string()),
                    None => None,
                };
                backends.push(backend);
            }
        }
        Ok(backends)
    }

    /// What Traefik's provider for Kubernetes calls `NAMESPACE-NAME@kubernetescrd`.
    fn find_of_provider(&self, name: &str, provider: &str) -> Option<&'a Object> {
        let is_meant = |object: &&Object| {
            let namespace = object.namespace.as_deref().unwrap_or("default");
            object.is("TraefikService", KIND.groups)
                && format!("{namespace}-{}", object.name) == name
        };
        let of_provider = (provider == "kubernetescrd").then_some(self.objects);
        of_provider?.iter().find(is_meant)
    }

    fn find(&self, backend: &Backend<'_>) -> Option<&'a Object> {
        let namespace = backend.namespace.as_deref();
        self.objects.iter().find(|object| {
            object.is("TraefikService", KIND.groups) && object.is_called(&backend.name, namespace)
        })
    }
}

/// What a `TraefikService` splits over; mirrors get copies, and no share of the requests.
fn entries(object: &Object) -> Result<Vec<Field<'_>>, ManifestError> {
    let spec = object.root().at("spec")?;
    for kind in ["weighted", "highestRandomWeight"] {
        let field = spec.at(kind)?;
        if field.is_there() {
            let services = field.at("services")?;
            let items = services.items()?;
            if items.is_empty() {
                return Err(services.error("is empty: there is nothing to split over"));
            }
            return Ok(items);
        }
    }
    let mirroring = spec.at("mirroring")?;
    if mirroring.is_there() {
        return Ok(vec![mirroring]);
    }
    let failover = spec.at("failover")?;
    if failover.is_there() {
        // The fallback gets what the service can't take, and that is nothing while it lives.
        return Ok(vec![failover.at("service")?]);
    }
    Err(spec.at("weighted")?.error(
        "is missing: a TraefikService has weighted, mirroring, failover or highestRandomWeight",
    ))
}

/// The priority of a rule: what is written, but for 0, or the length of its `match`.
fn priority(rule: &Field<'_>, matched: &str) -> Result<i64, ManifestError> {
    let field = rule.at("priority")?;
    let default = i64::try_from(matched.len()).unwrap_or(i64::MAX);
    match field.value().map(serde_json::Value::as_i64) {
        None | Some(Some(0)) => Ok(default),
        Some(Some(written)) => Ok(written),
        Some(None) => Err(field.error("is no whole number")),
    }
}

/// Whether one rule takes every request of another, as far as their texts tell.
fn covers((text, rule): (&str, &Route<'_>), (other_text, other): (&str, &Route<'_>)) -> bool {
    // A method is passed over in the first, and alternatives in the second.
    let is_plain = !text.contains("Method") && !other_text.contains("||");
    let is_met = |condition: &Condition| {
        condition.asks != Asks::Unknown && other.conditions.contains(condition)
    };
    let has = |host: &String| rule.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
    let has_hosts = rule.hosts.is_empty() || !other.hosts.is_empty() && other.hosts.iter().all(has);
    is_plain && has_hosts && rule.path.covers(&other.path) && rule.conditions.iter().all(is_met)
}

/// A matcher of a rule with its arguments: `` Host(`a`, `b`) ``.
static MATCHER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(!?)\s*\b([A-Za-z]+)\(([^()]*)\)").expect("the pattern is constant")
});
static ARGUMENT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("[`\"']([^`\"']*)[`\"']").expect("the pattern is constant"));

fn read_match(matched: &str, route: &mut Route<'_>) {
    for matcher in MATCHER.captures_iter(matched) {
        let arguments: Vec<&str> = ARGUMENT
            .captures_iter(&matcher[3])
            .filter_map(|argument| Some(argument.get(1)?.as_str()))
            .collect();
        let first = arguments.first().copied().unwrap_or_default();
        match (&matcher[1], &matcher[2]) {
            ("", "Host" | "HostHeader" | "HostSNI") if first == "*" => {}
            ("", "Host" | "HostHeader" | "HostSNI") => {
                route
                    .hosts
                    .extend(arguments.iter().map(ToString::to_string));
            }
            ("", "Path") => route.path = PathRule::Exact(first.to_owned()),
            ("", "PathPrefix") => route.path = PathRule::Prefix(first.to_owned()),
            ("", "PathRegexp") => route.path = PathRule::Pattern(first.to_owned()),
            ("", "Method") if arguments.contains(&"GET") => {}
            ("", "Header" | "Headers") => {
                route
                    .conditions
                    .push(Condition::header(first, arguments.get(1).copied()));
            }
            ("", "Query") if arguments.len() == 2 => {
                route
                    .conditions
                    .push(Condition::query(first, Some(arguments[1])));
            }
            (not, other) => route
                .conditions
                .push(format!("{not}{other}({first})").into()),
        }
    }
}
