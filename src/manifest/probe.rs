//! Requests that are to take a row, and whether a row takes them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::condition::{Asks, Condition};
use super::pattern::{self, NOBODY, is_like};
use super::route::{PathRule, Route};

/// A request that is to take a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
pub(super) enum Takes {
    Yes,
    No,
    Unknown,
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
    fn reaches(&self, row: &Route<'_>) -> bool {
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

    pub(super) fn takes(&self, row: &Route<'_>) -> Takes {
        if row.takes_connections() || !self.reaches(row) {
            return Takes::No;
        }
        let mut takes = match &row.path {
            PathRule::Pattern(pattern) => match is_like(pattern, &self.path) {
                Some(true) => Takes::Yes,
                Some(false) => return Takes::No,
                None => Takes::Unknown,
            },
            PathRule::Prefix(prefix) if row.is_ordered() && self.path.starts_with(&**prefix) => {
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
