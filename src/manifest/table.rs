//! All routes → the routing table: a row for each host, path and match, and which row takes a request.
//!
//! Where rules compete, Gateway API's order counts: the host that says more, an exact path, the longer
//! prefix, the method, the number of headers, that of query parameters, the order of the manifests (the
//! API's reference, `HTTPRouteRule`); other kinds agree where they overlap. In a `VirtualService` the first
//! rule that fits counts.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::condition::{Asks, Condition};
use super::join::Joined;
use super::object::Object;
use super::probe::{Probe, Takes};
use super::route::{PathRule, Route, bare};
use super::workload::Workloads;
use super::{ManifestError, sets};

/// The routing table of some objects, and what else says where its requests go.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) objects: &'a [Object],
    pub(super) workloads: Workloads<'a>,
    /// Objects that stand twice, as [`sets::twins`] finds them.
    pub(super) twins: Vec<(&'a Object, &'a Object)>,
    /// As [`rows`] makes them, of the rules that requests reach.
    pub(super) rows: Vec<Route<'a>>,
    /// The rows by their host in lower case; `""` is any.
    hosts: HashMap<String, Host>,
    /// The rules that another before them hides.
    pub(super) hidden: Vec<Route<'a>>,
    /// Why objects can't be what their kind says.
    pub(super) refused: Vec<ManifestError>,
}

/// The rows of one host, by their places among all.
#[derive(Debug, Default)]
struct Host {
    rows: BTreeSet<usize>,
    /// Where its requests come in; `None` is anywhere.
    doors: BTreeSet<Option<String>>,
    /// The rows by the text that every path which they take begins with, in order.
    paths: HashMap<String, Vec<usize>>,
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
        let Joined {
            mut routes,
            workloads,
            refused,
        } = Joined::read(objects, step)?;
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
        let rows = rows(&reached);
        let mut hosts: HashMap<String, Host> = HashMap::new();
        for (order, row) in rows.iter().enumerate() {
            let host = hosts.entry(host_of(row)).or_default();
            host.rows.insert(order);
            host.doors.insert(row.doors.first().cloned());
            let orders = host.paths.entry(begin_of(row).to_owned()).or_default();
            orders.push(order);
        }
        Ok(Self {
            objects,
            workloads,
            twins: sets::twins(objects),
            rows,
            hosts,
            hidden,
            refused,
        })
    }

    /// The hosts of rules that answer to `host`; all where it is `None`.
    fn answering(&self, host: Option<&str>) -> Vec<(&str, &Host)> {
        let Some(host) = host else {
            return self
                .hosts
                .iter()
                .map(|(own, host)| (&**own, host))
                .collect();
        };
        let bare = bare(host);
        let ends = bare
            .char_indices()
            .map(|(at, c)| &bare[at + c.len_utf8()..]);
        let wildcards = ends.map(|end| format!("*{end}"));
        let names = wildcards.chain([bare.clone(), String::new()]);
        let own = names.filter_map(|name| self.hosts.get_key_value(&name));
        own.map(|(own, host)| (&**own, host)).collect()
    }

    /// The doors of rules that answer to `host`.
    pub(super) fn doors(&self, host: Option<&str>) -> BTreeSet<&String> {
        let answering = self.answering(host).into_iter();
        answering
            .flat_map(|(_, host)| host.doors.iter().flatten())
            .collect()
    }

    /// The rows for the host of `row`, and those for any, in order; all where `row` is for any.
    pub(super) fn competing(&self, row: &Route<'_>) -> impl Iterator<Item = &Route<'a>> {
        let none = const { &BTreeSet::new() };
        let rows = |host: &str| self.hosts.get(host).map_or(none, |host| &host.rows);
        let host = host_of(row);
        let is_any = host.is_empty();
        let all = (0..self.rows.len()).filter(move |_| is_any);
        let own = rows(&host)
            .union(rows(""))
            .filter(move |_| !is_any)
            .copied();
        all.chain(own).map(|order| &self.rows[order])
    }

    /// The first row that asks for the same as `row`, where `is_counterpart` says so of those that may.
    pub(super) fn counterpart(
        &self,
        row: &Route<'_>,
        is_counterpart: impl Fn(&Route<'_>) -> bool,
    ) -> Option<&Route<'a>> {
        if row.takes_connections() {
            return self.rows.iter().find(|other| is_counterpart(other));
        }
        let orders = self.hosts.get(&host_of(row))?.paths.get(begin_of(row))?;
        let mut others = orders.iter().map(|&order| &self.rows[order]);
        others.find(|other| is_counterpart(other))
    }

    /// The row that takes a request, if any does.
    ///
    /// # Errors
    /// A row of which that can't be told.
    pub(super) fn taker(&self, probe: &Probe) -> Result<Option<&Route<'a>>, &Route<'a>> {
        let answering = self.answering(probe.host.as_deref());
        let is_here = |(_, host): &&(&str, &Host)| {
            probe.door.is_none() || host.doors.contains(&None) || host.doors.contains(&probe.door)
        };
        // Where another rule has the better host, whether this one is asked at all is its program's choice.
        let best_host = answering
            .iter()
            .filter(is_here)
            .map(|(own, _)| host_rank(own))
            .max();
        let path = &probe.path;
        let ends = path.char_indices().map(|(at, _)| at).chain([path.len()]);
        let begins: Vec<&str> = ends.map(|end| &path[..end]).collect();
        let orders = answering.iter().flat_map(|(_, host)| {
            let found = begins.iter().filter_map(|begin| host.paths.get(*begin));
            found.flatten().copied()
        });
        let candidate = |order: usize| {
            let row = &self.rows[order];
            (rank(row, order), row, probe.takes(row))
        };
        let mut candidates: Vec<_> = orders
            .map(candidate)
            .filter(|(.., takes)| *takes != Takes::No)
            .collect();
        candidates.sort_by_key(|(rank, ..)| Reverse(*rank));
        let Some(&(best, first, takes)) = candidates.first() else {
            return Ok(None);
        };
        if best.priority.is_some() {
            // No host comes before it, and no path.
            return if takes == Takes::Yes {
                Ok(Some(first))
            } else {
                Err(first)
            };
        }
        let mut rivals = candidates
            .iter()
            .filter(|(rank, ..)| rank.host == best.host);
        match rivals.find(|(_, other, _)| is_rival(first, other)) {
            Some((_, rival, _)) => Err(rival),
            None if takes == Takes::Yes && Some(best.host) == best_host => Ok(Some(first)),
            None => Err(first),
        }
    }
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

/// Whether a pattern takes a request before another path does is its program's choice, unless that is every path.
fn is_rival(first: &Route<'_>, other: &Route<'_>) -> bool {
    matches!(first.path, PathRule::Pattern(_))
        && !first.is_ordered()
        && other.path != first.path
        && other.path != PathRule::any()
}

/// The host of a row in lower case; `""` is any.
fn host_of(row: &Route<'_>) -> String {
    row.hosts
        .first()
        .map_or_else(String::new, |host| host.to_ascii_lowercase())
}

/// What every path that a row takes begins with.
fn begin_of<'r>(row: &'r Route<'_>) -> &'r str {
    match &row.path {
        PathRule::Prefix(path) | PathRule::Exact(path) => path.trim_end_matches('/'),
        PathRule::Pattern(_) => "",
    }
}

/// How much a host says, of which `""` is any.
fn host_rank(host: &str) -> usize {
    if host.is_empty() || host.contains('*') {
        host.len()
    } else {
        usize::MAX
    }
}

/// What goes before what, the largest first: what stands above counts before what stands below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    priority: Option<i64>,
    host: usize,
    path: usize,
    has_method: bool,
    headers: usize,
    queries: usize,
    order: Reverse<usize>,
}

fn rank(row: &Route<'_>, order: usize) -> Rank {
    let by_order = Rank {
        priority: row.priority,
        host: host_rank(&host_of(row)),
        path: 0,
        has_method: false,
        headers: 0,
        queries: 0,
        order: Reverse(order),
    };
    if row.is_ordered() {
        return by_order;
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
    Rank {
        path,
        has_method,
        headers,
        queries,
        ..by_order
    }
}
