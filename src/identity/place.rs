//! Where a response names its pod when it has none of the usual forms: a header, a key, or the shape of a name alone.
//!
//! A place is taken only where it leaves no doubt. A response that holds two names leaves some, unless a key calls one of
//! them a pod; so do responses that name their pods in different places.

use std::fmt;

use http::header::{HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName};

use super::shape::{self, Says};
use super::workload::{is_generated_name, workload};
use crate::headers::Headers;

/// Where a response names its pod.
#[derive(Debug, Clone, Eq)]
pub enum Place {
    Header(HeaderName),
    /// In the body, behind a key.
    Key {
        /// The key, which the place goes by.
        key: String,
        /// What stands between the key and the name, as first seen.
        between: String,
    },
    /// In the body, by its shape.
    Shape,
}

/// What a response says of its pod.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Nobody,
    One(Place, &'a str),
    /// Several names, and the places to choose from.
    Several(Vec<Place>),
}

/// A name, and what speaks for it.
#[derive(Debug)]
struct Candidate<'a> {
    place: Place,
    says: Option<Says>,
    name: &'a str,
}

impl Place {
    /// The place where a response names its pod; `is_echo` says of a name that it was sent with the request.
    pub(super) fn find<'a>(
        headers: &'a HeaderMap,
        body: &'a [u8],
        is_echo: &dyn Fn(&str) -> bool,
    ) -> Found<'a> {
        let mut candidates: Vec<Candidate<'_>> = candidates(headers, body).collect();
        candidates.retain(|candidate| !is_echo(candidate.name));
        if candidates.iter().any(|one| one.says == Some(Says::Pod)) {
            candidates.retain(|one| one.says == Some(Says::Pod));
        }
        let Some(first) = candidates.first() else {
            return Found::Nobody;
        };
        if candidates.iter().all(|one| one.name == first.name) {
            return Found::One(first.place.clone(), first.name);
        }
        let mut places: Vec<Place> = candidates.into_iter().map(|one| one.place).collect();
        places.dedup();
        Found::Several(places)
    }

    /// Whether a response that names `name` names a pod of another workload too; `is_echo` as for [`Place::find`].
    pub(super) fn is_besides<'a>(
        name: &str,
        headers: &'a HeaderMap,
        body: &'a [u8],
        is_echo: &dyn Fn(&str) -> bool,
    ) -> bool {
        let own = workload(name);
        candidates(headers, body).any(|one| {
            one.says != Some(Says::Host) && workload(one.name) != own && !is_echo(one.name)
        })
    }

    /// The one name that stands there.
    pub(super) fn read<'a>(&'a self, headers: Headers<'a>, body: &'a [u8]) -> Option<&'a str> {
        match self {
            Self::Header(header) => only(headers.get_all(header).filter_map(in_value)),
            Self::Key { key, .. } => only(
                shape::keyed(body)
                    .filter(|keyed| keyed.key == key)
                    .map(|keyed| keyed.name),
            ),
            Self::Shape => only(shape::tokens(body).map(|token| token.name)),
        }
    }

    /// The `--identify` rule that reads the name there, whatever other responses hold.
    pub fn rule(&self) -> String {
        match self {
            Self::Header(header) => format!("header:{header}"),
            Self::Key { key, between } => {
                let before = regex::escape(&format!("{key}{between}")).replace('\n', r"\n");
                format!("{before}([A-Za-z0-9][-A-Za-z0-9]*)")
            }
            Self::Shape => shape::PATTERN.to_owned(),
        }
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Header(one), Self::Header(other)) => one == other,
            (Self::Key { key, .. }, Self::Key { key: other, .. }) => key == other,
            (one, other) => matches!((one, other), (Self::Shape, Self::Shape)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(header) => write!(f, "the header {header}"),
            Self::Key { key, .. } => write!(f, "what follows \"{key}\" in the body"),
            Self::Shape => {
                f.write_str("the one text in the body that has the shape of a pod's name")
            }
        }
    }
}

/// The pod's name in a header's value: its one token of that shape.
pub(super) fn in_value(value: &[u8]) -> Option<&str> {
    only(shape::tokens(value).map(|token| token.name))
        .or_else(|| whole(value).filter(|name| is_generated_name(name)))
}

fn whole(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value.trim_ascii()).ok()
}

fn candidates<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> impl Iterator<Item = Candidate<'a>> {
    in_headers(headers).chain(in_body(body))
}

fn in_headers(headers: &HeaderMap) -> impl Iterator<Item = Candidate<'_>> {
    // A cookie is the proxy's, and comes back with the next request; a redirect names whom to ask next.
    let is_another = |header: &HeaderName| {
        [SET_COOKIE, LOCATION, HOST].contains(header)
            || shape::is_header_of_a_proxy(header.as_str())
    };
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for (header, value) in headers.iter().filter(|(header, _)| !is_another(header)) {
        let says = shape::says(header.as_str());
        let candidate = |name| Candidate {
            place: Place::Header(header.clone()),
            says,
            name,
        };
        let value = value.as_bytes();
        let shaped = shape::tokens(value).map(|token| token.name);
        let by_key = whole(value).filter(|name| says.is_some() && is_generated_name(name));
        let before = candidates.len();
        candidates.extend(shaped.map(candidate));
        if candidates.len() == before {
            candidates.extend(by_key.map(candidate));
        }
    }
    candidates.into_iter()
}

fn in_body(body: &[u8]) -> impl Iterator<Item = Candidate<'_>> {
    let keyed = shape::keyed(body).map(|keyed| Candidate {
        place: Place::Key {
            key: keyed.key.to_owned(),
            between: keyed.between.to_owned(),
        },
        says: Some(keyed.says),
        name: keyed.name,
    });
    let shaped = shape::tokens(body).map(|token| Candidate {
        place: Place::Shape,
        says: None,
        name: token.name,
    });
    keyed.chain(shaped)
}

/// The one value, however often it comes.
fn only<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let first = names.next()?;
    names.all(|name| name == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::rule::Rules;

    const POD: &str = "shop-7c5ddbdf54-x7kfd";
    const OTHER: &str = "shop-v2-6b8464cddd-nnjmj";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        lines.iter().map(pair).collect()
    }

    fn find<'a>(headers: &'a HeaderMap, body: &'a str) -> Found<'a> {
        Place::find(headers, body.as_bytes(), &|_| false)
    }

    #[test]
    fn the_rule_that_pins_a_place_reads_the_same_name() {
        let none = HeaderMap::new();
        let in_header = headers(&[("x-upstream", POD)]);
        let in_words = headers(&[("via", "1.1 shop-7c5ddbdf54-x7kfd (edge)")]);
        let ordinal = headers(&[("x-pod-name", "web-0")]);
        for (headers, body, name) in [
            (&in_header, "<html>shop</html>", POD),
            (&in_words, "", POD),
            (&ordinal, "", "web-0"),
            (&none, "Running on: shop-7c5ddbdf54-x7kfd | v=1", POD),
            (&none, "{\"id\": 7, \"podname\": \"web-0\"}", "web-0"),
            (&none, "<th>pod:</th>\n <td>web-0</td>", "web-0"),
            (
                &none,
                "{\"pod\": {\"name\": \"web-0\"}, \"host\": {\"name\": \"beat-2lq8x\"}}",
                "web-0",
            ),
            (
                &none,
                "{\"a\":{\"pod_id\":\"web-0\",\"peer\":\"shop-7c5ddbdf54-x7kfd\"}}",
                "web-0",
            ),
        ] {
            let Found::One(place, found) = find(headers, body) else {
                panic!("{body}")
            };
            assert_eq!(found, name, "{body}");
            assert_eq!(
                place.read(headers.into(), body.as_bytes()),
                Some(name),
                "{body}"
            );
            let rules = Rules::parse(&[place.rule()]).unwrap();
            assert_eq!(
                rules.identify(headers, body.as_bytes()).as_deref(),
                Some(name),
                "{place}"
            );
        }
    }

    #[test]
    fn two_names_in_one_response_leave_doubt_unless_one_is_called_a_pod() {
        let none = HeaderMap::new();
        let both = format!("here {POD}, next {OTHER}");
        assert!(matches!(find(&none, &both), Found::Several(_)));
        let called = format!("pod: {POD}, next {OTHER}");
        assert!(matches!(
            find(&none, &called),
            Found::One(Place::Key { .. }, POD)
        ));
        let via = headers(&[("via", OTHER)]);
        assert!(matches!(find(&via, POD), Found::Several(_)));
        let pods = format!("pod: {POD} peerPod: {OTHER}");
        assert!(matches!(find(&none, &pods), Found::Several(_)));
    }

    #[test]
    fn what_the_request_said_is_nobodys_name() {
        let none = HeaderMap::new();
        let found = Place::find(&none, POD.as_bytes(), &|name| name == POD);
        assert_eq!(found, Found::Nobody);
        let echoed = format!(
            "{{\"headers\":{{\"x-forwarded-server\":\"traefik-57b79cf995-mx6zv\"}},\"by\":\"{POD}\"}}"
        );
        assert_eq!(find(&none, &echoed), Found::One(Place::Shape, POD));
        let cookie = headers(&[
            ("set-cookie", "route=shop-7c5ddbdf54-x7kfd"),
            ("location", "/shop-7c5ddbdf54-x7kfd"),
        ]);
        assert_eq!(find(&cookie, ""), Found::Nobody);
    }
}
