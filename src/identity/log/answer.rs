//! What one unit of a text says: whom it names, or what else it is.

use std::sync::LazyLock;

use http::HeaderMap;
use regex::bytes::Regex;

use super::super::place::{Found, Place};
use super::super::rule::Rules;
use super::super::shape::{self, Says};
use crate::headers::Headers;

/// More names in a line are not looked for.
pub(super) const MOST_IN_A_LINE: usize = 10_000;

/// A name in a line, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// The word before it.
    pub context: String,
    /// How much stands between the name before it and itself.
    pub gap: usize,
    pub name: String,
    /// Where it was found, where it has none of the usual forms.
    pub place: Option<Place>,
}

/// What a line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub named: Vec<Named>,
    /// Whether it is of a pod's own log, which has other lines than requests.
    pub is_of_pod: bool,
}

/// Whom a page, a value or a request's lines name.
pub(super) fn of_unit(rules: &Rules, text: &[u8]) -> Option<(String, Option<Place>)> {
    let bare = text.trim_ascii();
    let quoted = bare
        .strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""));
    let text = quoted.filter(|_| rules.are_builtin()).unwrap_or(text);
    let known = |text| rules.identify(Headers::NONE, text);
    if let Some(name) = below_the_head(text).and_then(known).or_else(|| known(text)) {
        return Some((name.into_owned(), None));
    }
    if !rules.are_builtin() {
        return None;
    }
    match Place::find(&HeaderMap::new(), text, &|_| false) {
        Found::One(place, name) => Some((name.to_owned(), Some(place))),
        Found::Nobody | Found::Several(_) => None,
    }
}

/// The body of a response that begins with its head, as `curl -i` and `curl -v` show it.
fn below_the_head(text: &[u8]) -> Option<&[u8]> {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| {
        expression(r"(?-us)^(?:< )?HTTP/.*?\n(?:< )?\r?\n(?:\{ \[\d+ bytes data\]\r?\n)?")
    });
    Some(&text[HEAD.find(text)?.end()..])
}

/// Everybody whom a line names.
pub(super) fn of_line(rules: &Rules, text: &[u8]) -> Line {
    if !rules.are_builtin() {
        return Line {
            named: listed(text, rules.identify_all(text)),
            is_of_pod: false,
        };
    }
    if let Some(line) = of_pod(text) {
        return line;
    }
    if is_no_request(text) {
        return Line {
            named: Vec::new(),
            is_of_pod: true,
        };
    }
    let mut named = known(rules, text);
    if named.is_empty() {
        named = unknown(text);
    }
    Line {
        named,
        is_of_pod: false,
    }
}

/// A line of `kubectl logs --prefix`: `[pod/NAME/CONTAINER] what the pod wrote`.
fn of_pod(text: &[u8]) -> Option<Line> {
    static PREFIX: LazyLock<Regex> =
        LazyLock::new(|| expression(r"^\[pod/([^/\]]+)(?:/[^\]]*)?\]\s(.*)"));
    let found = PREFIX.captures(text)?;
    let name = std::str::from_utf8(found.get(1)?.as_bytes()).ok()?;
    let is_request = is_request_of_pod(found.get(2)?.as_bytes());
    let named = Named {
        context: "pod".to_owned(),
        gap: 0,
        name: name.to_owned(),
        place: None,
    };
    Some(Line {
        named: is_request.then_some(named).into_iter().collect(),
        is_of_pod: true,
    })
}

/// Whether what a pod wrote tells of a request that is no probe.
pub(super) fn is_request_of_pod(wrote: &[u8]) -> bool {
    static REQUEST: LazyLock<Regex> =
        LazyLock::new(|| expression(r"\b(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)\b.{0,3}\s/"));
    // The status of a record in JSON.
    static STATUS: LazyLock<Regex> = LazyLock::new(|| {
        expression(
            r#"(?i-u)"(?:(?:http|response)_?)?(?:status|status_?code|code)"\s*:\s*"?[1-5]\d\d\b"#,
        )
    });
    static PROBED: LazyLock<Regex> =
        LazyLock::new(|| expression(r#"[\s"]/(?:healthz?|readyz?|livez?|metrics|ping)\b"#));
    (REQUEST.is_match(wrote) || STATUS.is_match(wrote))
        && !is_no_request(wrote)
        && !PROBED.is_match(wrote)
}

/// Whether a line of pods' logs is of a probe, or is what `stern` says of a pod that comes or goes.
fn is_no_request(text: &[u8]) -> bool {
    static OTHER: LazyLock<Regex> = LazyLock::new(|| {
        expression(
            r"kube-probe/|ELB-HealthChecker|GoogleHC/|Prometheus/|^[+-] \S+ (?:\S+ )?› \S+\s*$",
        )
    });
    OTHER.is_match(text)
}

/// The names in the usual forms.
fn known(rules: &Rules, text: &[u8]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut at = 0;
    while found.len() < MOST_IN_A_LINE
        && let Some(std::borrow::Cow::Borrowed(name)) = rules.identify(Headers::NONE, &text[at..])
    {
        // Borrowed from the text, it lies within it.
        let start = name.as_ptr() as usize - text.as_ptr() as usize;
        at = start + name.len();
        found.push((start, name));
    }
    listed(text, found)
}

/// The names by their key or their shape.
fn unknown(text: &[u8]) -> Vec<Named> {
    let keyed: Vec<_> = shape::keyed(text).collect();
    let by_key = |says: Says| -> Vec<Named> {
        let of_kind = keyed.iter().filter(|one| one.says == says);
        let mut last = 0;
        let gaps = of_kind.clone().map(|one| {
            // Borrowed from the text, it lies within it.
            let start = one.name.as_ptr() as usize - text.as_ptr() as usize;
            let gap = start - last;
            last = start + one.name.len();
            gap
        });
        let gaps: Vec<usize> = gaps.collect();
        let named = of_kind.zip(gaps).map(|(one, gap)| Named {
            context: one.key.to_owned(),
            gap,
            name: one.name.to_owned(),
            place: Some(Place::Key {
                key: one.key.to_owned(),
                between: one.between.to_owned(),
            }),
        });
        named.collect()
    };
    let pods = by_key(Says::Pod);
    if !pods.is_empty() {
        return pods;
    }
    let tokens = shape::tokens(text).map(|token| (token.start, token.name));
    let mut shaped = listed(text, tokens.take(MOST_IN_A_LINE).collect());
    for one in &mut shaped {
        one.place = Some(Place::Shape);
    }
    if shaped.is_empty() {
        by_key(Says::Host)
    } else {
        shaped
    }
}

/// Names with the words before them.
fn listed(text: &[u8], found: Vec<(usize, &str)>) -> Vec<Named> {
    let mut last = 0;
    let named = found.into_iter().map(|(start, name)| {
        let context = last_word(&text[last..start]);
        let gap = start - last;
        last = start + name.len();
        Named {
            context,
            gap,
            name: name.to_owned(),
            place: None,
        }
    });
    named.collect()
}

/// The last word of a text, letters alone.
fn last_word(text: &[u8]) -> String {
    let letters = |byte: &&u8| byte.is_ascii_alphabetic();
    let after = text.iter().rev().take_while(|byte| !letters(byte)).count();
    let text = &text[..text.len() - after];
    let length = text.iter().rev().take(32).take_while(letters).count();
    String::from_utf8_lossy(&text[text.len() - length..]).into_owned()
}

/// What another program wrote that tells no answers, by one of its lines.
pub(super) fn foreign_line(text: &[u8]) -> Option<&'static str> {
    static KNOWN: LazyLock<[(Regex, &str); 3]> = LazyLock::new(|| {
        [
            (
                expression(
                    r"^(?:Requests/sec:|Status code distribution:|Requests per second:|Success rate:|Response time histogram|Running \d+\w+ test @|response-time,DNS|Requests\s+\[total)",
                ),
                "the summary of a load generator (hey, oha, wrk, ab, vegeta)",
            ),
            (
                expression(
                    r"^(?:http_req(?:s|_duration|_failed)|iterations|checks(?:_total)?|vus)[ .]*\.*:|^execution: local|^running \(\d",
                ),
                "the summary of k6",
            ),
            (
                expression(
                    r"^(?:NAMESPACE\s+)?NAME\s+(?:READY|CPU|STATUS|TYPE|CLASS|ENDPOINTS|DESIRED)\b|^LAST SEEN\s+TYPE",
                ),
                "a listing of kubectl",
            ),
        ]
    });
    let known = KNOWN
        .iter()
        .find(|(expression, _)| expression.is_match(text));
    known.map(|&(_, what)| what)
}

/// The same, by a value of JSON.
pub(super) fn foreign_value(text: &[u8]) -> Option<&'static str> {
    let has = |key: &str| memchr::memmem::find(text, key.as_bytes()).is_some();
    if has("\"metric\"") && (has("\"Point\"") || has("\"Metric\"")) || has("\"http_req_duration\"")
    {
        Some("k6's own output")
    } else if has("\"apiVersion\"") && has("\"kind\"") {
        Some("an object of Kubernetes")
    } else if has("\"latencies\"") && has("\"status_codes\"") {
        Some("vegeta's own output")
    } else {
        None
    }
}

/// Whether a value of JSON is a row of counts: a name's number, or little more than a name and one.
pub(super) fn counts_something(text: &[u8]) -> bool {
    static BY_NAME: LazyLock<Regex> = LazyLock::new(|| {
        expression(&format!(
            r#""{}"\s*:\s*\d"#,
            shape::PATTERN.trim_end_matches(r"\b")
        ))
    });
    static COUNT: LazyLock<Regex> = LazyLock::new(|| {
        expression(
            r#"(?i)"(?:count|counts|requests|hits|total|n|num|number|responses|observed|times|freq|frequency|value)"\s*:\s*"?\d+"?\s*[,}]"#,
        )
    });
    let keys = memchr::memchr_iter(b':', text).take(8).count();
    BY_NAME.is_match(text) || (keys <= 4 && COUNT.is_match(text))
}

fn expression(text: &str) -> Regex {
    Regex::new(text).expect("the expression is one")
}
