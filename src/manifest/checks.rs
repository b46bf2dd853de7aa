//! The routing table → checks that prove it: for each row a request that takes it and, for what it asks
//! beside host and path, one that does not, with the split that each must get.

use std::collections::HashMap;

use serde::Serialize;

use super::expectation::Expectation;
use super::object::same_namespace;
use super::probe::Probe;
use super::route::{Backend, PodsOf, Route};
use super::table::Table;
use super::{ManifestError, Manifests, sets};
use crate::plan::config::Config;

/// A check, by the keys of `lbtest.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DerivedCheck {
    /// What it checks, for a person.
    #[serde(skip)]
    pub about: String,
    name: String,
    expect: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    header: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookie: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    backend: Vec<String>,
}

/// The checks of some manifests.
#[derive(Debug, Clone, Default)]
pub struct Derived {
    /// In the order of the manifests.
    pub checks: Vec<DerivedCheck>,
    /// The rules that have no check, each with the reason.
    pub left_out: Vec<String>,
}

impl Derived {
    /// The checks as the text of an `lbtest.toml`.
    ///
    /// # Errors
    /// What TOML can't say.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut text = String::new();
        let comment = |line: &str| format!("# {}\n", line.escape_debug());
        for reason in &self.left_out {
            text.push_str(&comment(&format!("Not checked: {reason}")));
        }
        for check in &self.checks {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&comment(&check.about));
            text.push_str("[[check]]\n");
            text.push_str(&toml::to_string(check)?);
        }
        Ok(text)
    }
}

impl DerivedCheck {
    /// Whether the gate takes it.
    ///
    /// # Errors
    /// What the gate says against it, such as a host that is no name.
    fn accepted(&self) -> Result<(), String> {
        let text = toml::to_string(self).map_err(|error| error.to_string())?;
        let config = Config::parse("the check", &format!("[[check]]\n{text}"));
        let place = format!("the check, line 1: check '{}': ", self.name);
        let config = config.map_err(|error| error.to_string().replacen(&place, "", 1))?;
        for mut check in config.check {
            check.settings.request.url = Some("http://localhost/".to_owned());
            check.settings.plan().map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// More backends than this are not added to a check.
const MAX_OTHERS: usize = 12;

/// A check's name is at most so long, without the number that tells it from another.
const MAX_NAME: usize = 80;

impl Manifests {
    /// A check of every rule, or of those that answer to `host`, at `step` of a rollout.
    ///
    /// # Errors
    /// Objects that can't be joined; manifests without any rule that can be checked.
    pub fn checks(
        &self,
        step: Option<usize>,
        host: Option<&str>,
    ) -> Result<Derived, ManifestError> {
        let table = Table::read(&self.objects, step, host)?;
        let mut derived = Derived::default();
        derived
            .left_out
            .extend(table.refused.iter().map(ToString::to_string));
        for route in &table.hidden {
            let taker = route.hidden_by.unwrap_or_default();
            let message = format!("{}: rule {taker} takes all its requests", route.describe());
            derived.left_out.push(message);
        }
        let mut names = HashMap::new();
        let mut sent: HashMap<Probe, usize> = HashMap::new();
        for row in &table.rows {
            let found = match table.derive(row) {
                Ok(found) => found,
                Err(reason) => {
                    derived
                        .left_out
                        .push(format!("{}: {reason}", row.describe()));
                    continue;
                }
            };
            for (probe, check) in found {
                if let Err(reason) = check.accepted() {
                    derived.left_out.push(format!("{}: {reason}", check.about));
                    continue;
                }
                // One run knows one address: what comes in by several doors is one request to it.
                match sent.get(&probe.at(None)).copied() {
                    None => {
                        sent.insert(probe.at(None), derived.checks.len());
                        derived.checks.push(named(check, &mut names));
                    }
                    Some(first) if derived.checks[first].expect != check.expect => {
                        let message = format!(
                            "{}: {} is {} at another: check the rules of each by themselves",
                            check.about,
                            probe.description(),
                            derived.checks[first].expect
                        );
                        derived.left_out.push(message);
                    }
                    Some(_) => {}
                }
            }
        }
        if let (true, Some(error)) = (derived.checks.is_empty(), table.refused.first()) {
            return Err(error.clone());
        }
        if derived.checks.is_empty() && derived.left_out.is_empty() {
            return Err(super::choice::no_route(&self.objects));
        }
        Ok(derived)
    }
}

impl<'a> Table<'a> {
    /// The checks of `row`, each with its request.
    ///
    /// # Errors
    /// Why it has none.
    fn derive(&self, row: &Route<'a>) -> Result<Vec<(Probe, DerivedCheck)>, String> {
        if row.takes_connections() {
            return Err(
                "it takes connections, not requests: check it by a tcp:// or tls:// URL".to_owned(),
            );
        }
        let probes = Probe::of(row);
        if probes.is_empty() {
            return Err("no request can be made up that takes it".to_owned());
        }
        let takes = |probe: &Probe| matches!(self.taker(probe), Ok(Some(taker)) if std::ptr::eq(taker, row));
        let Some(probe) = probes.iter().find(|probe| takes(probe)) else {
            return Err(match self.taker(&probes[0]) {
                Ok(Some(other)) => format!("its requests go to {}", other.describe()),
                Ok(None) => "no rule takes its requests".to_owned(),
                Err(other) => format!("its requests may go to {}", other.describe()),
            });
        };
        let mut checks = vec![(probe.clone(), self.check(row, probe, row.describe())?)];
        for (what, miss) in probe.misses(row) {
            // What no rule takes is answered by nobody, and what can't be told is no check.
            if let Ok(Some(taker)) = self.taker(&miss)
                && let Ok(check) = self.check(taker, &miss, format!("{what}: {}", taker.describe()))
            {
                checks.push((miss, check));
            }
        }
        Ok(checks)
    }

    fn check(&self, row: &Route<'a>, probe: &Probe, about: String) -> Result<DerivedCheck, String> {
        let describe = |error: ManifestError| error.to_string();
        sets::once(row, &self.twins).map_err(describe)?;
        let mut whole = row.clone();
        whole.backends.extend(self.others(row));
        let expectation = Expectation::new(&whole, &self.workloads, None)
            .or_else(|_| Expectation::new(row, &self.workloads, None))
            .map_err(describe)?;
        let grpc = if row.is_grpc {
            let method = Some(&probe.path).filter(|path| path.matches('/').count() == 2);
            let method = method.map_or("grpc.health.v1.Health/Check", |path| {
                path.trim_start_matches('/')
            });
            Some(method.to_owned())
        } else {
            None
        };
        let header = |(name, value): &(String, String)| format!("{name}: {value}");
        let pair = |(name, value): &(String, String)| format!("{name}={value}");
        Ok(DerivedCheck {
            name: name(probe),
            about,
            expect: expectation.split.to_string(),
            host: probe.host.clone(),
            path: grpc.is_none().then(|| probe.target()),
            grpc,
            method: probe.method.clone(),
            header: probe.headers.iter().map(header).collect(),
            cookie: probe.cookies.iter().map(pair).collect(),
            backend: expectation.backends,
        })
    }

    /// The backends of other rules for the same host, which must get nothing of this one's requests.
    fn others(&self, row: &Route<'a>) -> Vec<Backend<'a>> {
        let pods = |backend: &Backend<'a>| {
            let found = self.workloads.of(backend).unwrap_or_default();
            found
                .into_iter()
                .map(|workload| workload.object.index)
                .collect::<Vec<_>>()
        };
        let mut known: Vec<(Backend<'a>, Vec<usize>)> = row
            .backends
            .iter()
            .map(|backend| (backend.clone(), pods(backend)))
            .collect();
        let own = known.len();
        for backend in self.competing(row).flat_map(|other| &other.backends) {
            if known.len() == own + MAX_OTHERS {
                break;
            }
            let is_known = |(other, _): &(Backend<'a>, _)| is_same(other, backend);
            if backend.pods == PodsOf::Unknown || known.iter().any(is_known) {
                continue;
            }
            let found = pods(backend);
            let is_apart = |(_, pods): &(_, Vec<usize>)| {
                pods.is_empty() == found.is_empty() && pods.iter().all(|pod| !found.contains(pod))
            };
            if known.iter().all(is_apart) {
                let mut other = backend.clone();
                other.weight = 0.0;
                known.push((other, found));
            }
        }
        known
            .split_off(own)
            .into_iter()
            .map(|(other, _)| other)
            .collect()
    }
}

/// Whether `backend` has the pods of `other`, by its name; the same Service by another port has.
fn is_same(other: &Backend<'_>, backend: &Backend<'_>) -> bool {
    other.name == backend.name
        && (backend.pods == PodsOf::Service
            || other.variant == backend.variant
                && same_namespace(other.namespace.as_deref(), backend.namespace.as_deref()))
}

/// A name out of what the request has, such as `shop.example-api-x-canary-always`.
fn name(probe: &Probe) -> String {
    let mut words: Vec<&str> = probe.host.iter().map(String::as_str).collect();
    words.push(&probe.path);
    words.extend(probe.method.as_deref());
    for (name, value) in probe
        .headers
        .iter()
        .chain(&probe.query)
        .chain(&probe.cookies)
    {
        words.extend([&**name, &**value]);
    }
    let mut name = String::new();
    for c in words.join("-").chars().take(MAX_NAME) {
        if c.is_ascii_alphanumeric() || c == '.' || c == '_' {
            name.push(c);
        } else if !name.ends_with('-') && !name.is_empty() {
            name.push('-');
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() {
        "any".to_owned()
    } else {
        name.to_owned()
    }
}

/// `check` under a name that none of `names` has: by a number behind it, of which each name keeps its last.
fn named(mut check: DerivedCheck, names: &mut HashMap<String, usize>) -> DerivedCheck {
    let own = check.name.clone();
    let mut number = names.get(&own).copied().unwrap_or(1);
    while names.contains_key(&check.name) {
        number += 1;
        check.name = format!("{own}-{number}");
    }
    names.insert(check.name.clone(), 1);
    names.insert(own, number);
    check
}
