//! All routes → the routing table: a row for each host, path and match, and which row takes a request.
//!
//! Where rules compete, Gateway API's order counts: the host that says more, an exact path, the longer
//! prefix, the method, the number of headers, that of query parameters, the order of the manifests (the
//! API's reference, `HTTPRouteRule`); other kinds agree where they overlap. In a `VirtualService` the first
//! rule that fits counts.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::condition::{Asks, Condition};
use super::object::Object;
use super::pattern::{self, NOBODY, is_like};
use super::route::{PathRule, Route};
use super::workload::Workloads;
use super::{ManifestError, join, kind};

/// The routing table of some objects, and what else says where its requests go.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) objects: &'a [Object],
    pub(super) workloads: Workloads<'a>,
    /// As [`rows`] makes them, of the rules that requests reach.
    pub(super) rows: Vec<Route<'a>>,
    /// The rules that another before them hides.
    pub(super) hidden: Vec<Route<'a>>,
    /// Why objects can't be what their kind says.
    pub(super) refused: Vec<ManifestError>,
}

impl<'a> Table<'a> {
    /// The table of `objects` at `step` of a rollout, or that of the rules that answer to `host`.
    ///
    /// # Errors
    /// Objects that can't be joined.
    pub(super) fn read(
        objects: &'a [Object],
        step: Option<usize>,
        host: Option<&str>,
    ) -> Result<Self, ManifestError> {
        let reading = kind::read(objects, step);
        let workloads = Workloads::read(objects);
        let refused = reading
            .refused
            .into_iter()
            .chain(workloads.refused.iter().cloned());
        let refused = refused.map(|(_, error)| error).collect();
        let mut routes = join::joined(reading.routes, &workloads)?;
        routes.retain(|route| host.is_none_or(|host| route.answers(host)));
        let doors: BTreeSet<&String> = routes.iter().flat_map(|route| &route.doors).collect();
        if doors.len() < 2 {
            // Where all come in by one door, that tells nothing.
            for route in &mut routes {
                route.doors.clear();
            }
        }
        let (hidden, reached): (Vec<_>, Vec<_>) = routes
            .into_iter()
            .partition(|route| route.hidden_by.is_some());
        Ok(Self {
            objects,
            workloads,
            rows: rows(&reached),
            hidden,
            refused,
        })
    }
}

/// A request that is to take a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    /// Where it comes in; `None` for anywhere.
    pub(super) door: Option<String>,
    /// `None` for whatever host the URL has.
    pub(super) host: Option<String>,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) cookies: Vec<(String, String)>,
    pub(super) method: Option<String>,
}

/// What a row does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Yes,
    No,
    Unknown,
}

/// The rows of `routes`, in their order: one for each door, host and match, and one for each pin before the
/// weights. Each has the one door, the one host and the one match, and no pin.
fn rows<'a>(routes: &[Route<'a>]) -> Vec<Route<'a>> {
    let mut rows = Vec::new();
    for route in routes {
        let own = (route.path.clone(), route.conditions.clone());
        let hosts: Vec<Vec<String>> = match &route.hosts[..] {
            [] => vec![Vec::new()],
            hosts => hosts.iter().map(|host| vec![host.clone()]).collect(),
        };
        let doors: Vec<Vec<String>> = match &route.doors[..] {
            [] => vec![Vec::new()],
            doors => doors.iter().map(|door| vec![door.clone()]).collect(),
        };
        let places = doors
            .iter()
            .flat_map(|door| hosts.iter().map(move |host| (door, host)));
        for (doors, hosts) in places {
            for (path, conditions) in std::iter::once(&own).chain(&route.alternatives) {
                let row = Route {
                    doors: doors.clone(),
                    hosts: hosts.clone(),
                    path: path.clone(),
                    conditions: conditions.clone(),
                    alternatives: Vec::new(),
                    pins: Vec::new(),
                    ..route.clone()
                };
                rows.extend(route.pins.iter().map(|pin| pinned(&row, pin)));
                rows.push(row);
            }
        }
    }
    rows
}

/// `row` for the requests that meet the condition, which one backend takes.
fn pinned<'a>(row: &Route<'a>, (condition, taker): &(Condition, usize)) -> Route<'a> {
    let mut row = row.clone();
    row.conditions.push(condition.clone());
    for (index, backend) in row.backends.iter_mut().enumerate() {
        backend.weight = if index == *taker { 100.0 } else { 0.0 };
    }
    row
}

impl Probe {
    /// Requests that `row` may take; none if one can't be made up.
    pub(super) fn of(row: &Route<'_>) -> Vec<Self> {
        let host = row.hosts.first().map(|host| host.replace('*', NOBODY));
        let Some(path) = path_of(row) else {
            return Vec::new();
        };
        let mut probe = Self {
            door: row.doors.first().cloned(),
            host,
            path,
            query: Vec::new(),
            headers: Vec::new(),
            cookies: Vec::new(),
            method: None,
        };
        if !row.conditions.iter().all(|condition| probe.meet(condition)) {
            return Vec::new();
        }
        let mut probes = vec![probe.clone()];
        if let PathRule::Prefix(prefix) = &row.path {
            probe.path = format!("{}/{NOBODY}", prefix.trim_end_matches('/'));
            probes.push(probe);
        }
        probes
    }

    /// Makes the request meet a condition; says whether it can.
    fn meet(&mut self, condition: &Condition) -> bool {
        let pair = |name: &String, value: &String| (name.clone(), value.clone());
        match &condition.asks {
            Asks::Header(name, value) => self.headers.push(pair(name, value)),
            Asks::Query(name, value) => self.query.push(pair(name, value)),
            Asks::Cookie(name, value) => self.cookies.push(pair(name, value)),
            Asks::Method(method) => self.method = Some(method.clone()),
            Asks::HeaderLike(name, pattern) | Asks::QueryLike(name, pattern) => {
                let Some(value) = pattern::example(pattern) else {
                    return false;
                };
                match condition.asks {
                    Asks::QueryLike(..) => self.query.push(pair(name, &value)),
                    // Cookies have a place of their own.
                    _ if name.eq_ignore_ascii_case("cookie") => return false,
                    _ => self.headers.push(pair(name, &value)),
                }
            }
            Asks::Special | Asks::Unknown => return false,
        }
        true
    }

    /// The same request with other values of what the row asks for beside host and path, one at a time; and
    /// below a path that must be exact. Beside it, what is wrong with each, for a person.
    pub(super) fn misses(&self, row: &Route<'_>) -> Vec<(String, Self)> {
        let mut misses = Vec::new();
        for condition in &row.conditions {
            let mut miss = self.clone();
            let (pairs, name) = match &condition.asks {
                Asks::Header(name, _) | Asks::HeaderLike(name, _) => (&mut miss.headers, name),
                Asks::Query(name, _) | Asks::QueryLike(name, _) => (&mut miss.query, name),
                Asks::Cookie(name, _) => (&mut miss.cookies, name),
                Asks::Method(_) | Asks::Special | Asks::Unknown => continue,
            };
            for (own, value) in pairs.iter_mut() {
                if own == name {
                    NOBODY.clone_into(value);
                }
            }
            misses.push((format!("no {condition}"), miss));
        }
        if let PathRule::Exact(path) = &row.path {
            let mut miss = self.clone();
            miss.path = format!("{}/{NOBODY}", path.trim_end_matches('/'));
            misses.push((format!("below {path}"), miss));
        }
        misses
    }

    /// The same request to a host that no rule names, where it has none.
    pub(super) fn with_any_host(&self) -> Self {
        let host = self
            .host
            .clone()
            .or_else(|| Some(format!("{NOBODY}.invalid")));
        Self {
            host,
            ..self.clone()
        }
    }

    /// For a person: `shop.example/api with X-Canary: always`.
    pub(super) fn description(&self) -> String {
        let mut message = format!(
            "{}{}",
            self.host.as_deref().unwrap_or_default(),
            self.target()
        );
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"));
        let cookies = self
            .cookies
            .iter()
            .map(|(name, value)| format!("cookie {name}={value}"));
        for (index, more) in headers.chain(cookies).enumerate() {
            message.push_str(if index == 0 { " with " } else { " and " });
            message.push_str(&more);
        }
        if let Some(door) = &self.door {
            message.push_str(" at ");
            message.push_str(door);
        }
        match &self.method {
            Some(method) => format!("{method} {message}"),
            None => message,
        }
    }

    /// The same request, come in by `door`.
    pub(super) fn at(&self, door: Option<String>) -> Self {
        Self {
            door,
            ..self.clone()
        }
    }

    /// Whether it may come to the rule of `row`, by host and door.
    pub(super) fn reaches(&self, row: &Route<'_>) -> bool {
        let is_here = |door: &String| row.doors.is_empty() || row.doors.contains(door);
        self.door.as_ref().is_none_or(is_here)
            && self.host.as_deref().is_none_or(|host| row.answers(host))
    }

    /// Path and query, as a URL has them.
    pub(super) fn target(&self) -> String {
        let pair = |(name, value): &(String, String)| {
            let [name, value] =
                [name, value].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
            format!("{name}={value}")
        };
        let query: Vec<String> = self.query.iter().map(pair).collect();
        match &query[..] {
            [] => self.path.clone(),
            query => format!("{}?{}", self.path, query.join("&")),
        }
    }

    fn takes(&self, row: &Route<'_>) -> Takes {
        if takes_connections(row) || !self.reaches(row) {
            return Takes::No;
        }
        let mut takes = match &row.path {
            PathRule::Pattern(pattern) => match is_like(pattern, &self.path) {
                Some(true) => Takes::Yes,
                Some(false) => return Takes::No,
                None => Takes::Unknown,
            },
            PathRule::Prefix(prefix) if is_ordered(row) && self.path.starts_with(&**prefix) => {
                Takes::Yes
            }
            path if path.fit(&self.path).is_some() => Takes::Yes,
            _ => return Takes::No,
        };
        for condition in &row.conditions {
            let is_met = match &condition.asks {
                Asks::Header(name, value) => self
                    .headers
                    .iter()
                    .any(|(own, held)| own.eq_ignore_ascii_case(name) && held == value),
                Asks::Query(name, value) => has(&self.query, name, value),
                Asks::Cookie(name, value) => has(&self.cookies, name, value),
                Asks::Method(method) => self.method.as_deref().unwrap_or("GET") == method.as_str(),
                Asks::HeaderLike(name, pattern) => {
                    open(self.has_header_like(name, pattern), &mut takes)
                }
                Asks::QueryLike(name, pattern) => {
                    let own = self.query.iter().find(|(own, _)| own == name);
                    let is_met = own.map_or(Some(false), |(_, held)| is_like(pattern, held));
                    open(is_met, &mut takes)
                }
                Asks::Special => false,
                Asks::Unknown => {
                    takes = Takes::Unknown;
                    true
                }
            };
            if !is_met {
                return Takes::No;
            }
        }
        takes
    }

    /// Whether the header `name` matches `pattern`, a cookie's included; `None` if it depends on whether the
    /// pattern must match the whole of it, or can't be told.
    fn has_header_like(&self, name: &str, pattern: &str) -> Option<bool> {
        let pair = |(name, value): &(String, String)| format!("{name}={value}");
        let cookies: Vec<String> = self.cookies.iter().map(pair).collect();
        let own = |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        let held = match self.headers.iter().find(own) {
            Some((_, held)) => held.clone(),
            None if name.eq_ignore_ascii_case("cookie") && !cookies.is_empty() => {
                cookies.join("; ")
            }
            None => return Some(false),
        };
        is_like(pattern, &held)
    }

    /// The row that takes the request, if any does.
    ///
    /// # Errors
    /// A row of which that can't be told.
    pub(super) fn taker<'r, 'a>(
        &self,
        rows: &'r [Route<'a>],
    ) -> Result<Option<&'r Route<'a>>, &'r Route<'a>> {
        let is_here = |row: &&Route<'_>| self.reaches(row);
        // Where another rule has the better host, whether this one is asked at all is its program's choice.
        let best_host = rows.iter().filter(is_here).map(host_rank).max();
        let mut candidates: Vec<(_, &Route<'a>, Takes)> = rows
            .iter()
            .enumerate()
            .map(|(order, row)| (rank(row, order), row, self.takes(row)))
            .filter(|(.., takes)| *takes != Takes::No)
            .collect();
        candidates.sort_by_key(|(rank, ..)| Reverse(*rank));
        let Some(&(_, first, takes)) = candidates.first() else {
            return Ok(None);
        };
        let is_rival = |other: &&Route<'_>| is_rival(first, other);
        match candidates.iter().map(|(_, row, _)| *row).find(is_rival) {
            Some(rival) => Err(rival),
            None if takes == Takes::Yes && Some(host_rank(first)) == best_host => Ok(Some(first)),
            None => Err(first),
        }
    }
}

/// Whether a pattern takes a request before another path does is its program's choice, unless that is every path.
fn is_rival(first: &Route<'_>, other: &Route<'_>) -> bool {
    matches!(first.path, PathRule::Pattern(_))
        && !is_ordered(first)
        && other.path != first.path
        && other.path != PathRule::any()
        && host_rank(other) == host_rank(first)
}

/// A path that the row answers to.
fn path_of(row: &Route<'_>) -> Option<String> {
    match &row.path {
        PathRule::Pattern(pattern) => {
            let path = pattern::example(pattern)?;
            let is_path = path.starts_with('/') && !path.contains(['?', '#', '%']);
            is_path.then_some(path)
        }
        path => path.example().map(str::to_owned),
    }
}

/// Whether a condition may be met; where that can't be told, neither can whether the rule takes the request.
fn open(is_met: Option<bool>, takes: &mut Takes) -> bool {
    if is_met.is_none() {
        *takes = Takes::Unknown;
    }
    is_met.unwrap_or(true)
}

fn has(pairs: &[(String, String)], name: &str, value: &str) -> bool {
    pairs.iter().any(|(own, held)| own == name && held == value)
}

/// Whether it takes connections, of which no request is seen.
pub(super) fn takes_connections(row: &Route<'_>) -> bool {
    matches!(
        &*row.object.kind,
        "TCPRoute" | "TLSRoute" | "IngressRouteTCP" | "MeshTCPRoute"
    )
}

/// Whether the first rule that fits counts.
fn is_ordered(row: &Route<'_>) -> bool {
    row.object.is("VirtualService", &["networking.istio.io"])
}

fn host_rank(row: &Route<'_>) -> usize {
    match row.host() {
        Some(_) => usize::MAX,
        None => row.hosts.first().map_or(0, String::len),
    }
}

/// What goes before what, the largest first.
type Rank = (usize, usize, bool, usize, usize, Reverse<usize>);

fn rank(row: &Route<'_>, order: usize) -> Rank {
    let host = host_rank(row);
    if is_ordered(row) {
        return (host, 0, false, 0, 0, Reverse(order));
    }
    let path = match &row.path {
        PathRule::Exact(_) => usize::MAX,
        PathRule::Pattern(_) => usize::MAX - 1,
        PathRule::Prefix(prefix) => prefix.trim_end_matches('/').len(),
    };
    let is_method = |condition: &Condition| matches!(condition.asks, Asks::Method(_));
    let is_query =
        |condition: &&Condition| matches!(condition.asks, Asks::Query(..) | Asks::QueryLike(..));
    let queries = row.conditions.iter().filter(is_query).count();
    let has_method = row.conditions.iter().any(is_method);
    let headers = row.conditions.len() - queries - usize::from(has_method);
    (host, path, has_method, headers, queries, Reverse(order))
}
