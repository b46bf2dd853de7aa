//! What the headers of responses tell beside the pod: a cache, or an affinity cookie.

use http::header::{AGE, HeaderName, SET_COOKIE, STRICT_TRANSPORT_SECURITY};

use crate::headers::Headers;

/// Headers whose value says whether a cache served the response: `Cache-Status` (RFC 9211) and what
/// caches wrote before it.
const CACHE_HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("cache-status"),
    HeaderName::from_static("x-cache"),
    HeaderName::from_static("x-cache-status"),
    HeaderName::from_static("cf-cache-status"),
];

/// How ingress-nginx begins this header over TLS unless it is told otherwise (`hsts-max-age` of its configuration); no
/// other proxy is known to choose this age.
const NGINX_POLICY: &[u8] = b"max-age=15724800";

/// Responses are looked at until so many were, by each thread; signs that matter are on most of them.
const INSPECTED: u64 = 1000;

/// How many of the first responses bore which sign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs {
    /// Responses that were looked at.
    pub inspected: u64,
    /// Those that came from a cache: with an `Age` above 0 (RFC 9111 §5.1: not generated for this request), or
    /// a cache's own word for a hit.
    pub cached: u64,
    pub set_cookie: u64,
    /// Those with the `Strict-Transport-Security` that ingress-nginx writes by itself.
    pub ingress_nginx: u64,
}

impl Signs {
    /// Looks at a response, unless enough were looked at.
    pub fn record(&mut self, headers: Headers<'_>) {
        if self.inspected == INSPECTED {
            return;
        }
        self.inspected += 1;
        self.cached += u64::from(is_cached(headers));
        self.set_cookie += u64::from(headers.contains(&SET_COOKIE));
        let mut policies = headers.get_all(&STRICT_TRANSPORT_SECURITY);
        self.ingress_nginx += u64::from(policies.any(|policy| policy.starts_with(NGINX_POLICY)));
    }

    /// Adds what another thread saw.
    pub fn merge(&mut self, other: Self) {
        self.inspected += other.inspected;
        self.cached += other.cached;
        self.set_cookie += other.set_cookie;
        self.ingress_nginx += other.ingress_nginx;
    }
}

fn is_cached(headers: Headers<'_>) -> bool {
    headers.get_all(&AGE).any(says_aged)
        || CACHE_HEADERS
            .iter()
            .any(|name| headers.get_all(name).any(says_hit))
}

/// Whether an age is above 0: a proxy that passes everything on writes 0 as well.
fn says_aged(value: &[u8]) -> bool {
    value.iter().any(|byte| (b'1'..=b'9').contains(byte))
}

/// Whether `hit` stands in the value as a word, whatever its case.
fn says_hit(value: &[u8]) -> bool {
    value
        .split(|byte| !byte.is_ascii_alphanumeric())
        .any(|word| word.eq_ignore_ascii_case(b"hit"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn seen(name: &'static str, value: &'static str) -> Signs {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        let mut signs = Signs::default();
        signs.record(Headers::from(&headers));
        signs
    }

    #[test]
    fn a_hit_is_a_sign_of_a_cache_and_a_miss_is_none() {
        for (name, value) in [
            ("age", "7"),
            ("x-cache", "HIT from edge-1"),
            ("cf-cache-status", "HIT"),
            ("cache-status", "Edge; hit; ttl=30"),
        ] {
            assert_eq!(seen(name, value).cached, 1, "{name}");
        }
        for (name, value) in [
            ("age", "0"),
            ("x-cache", "MISS"),
            ("cf-cache-status", "DYNAMIC"),
            ("cache-status", "Edge; fwd=uri-miss"),
            ("x-cache", "white"),
        ] {
            assert_eq!(seen(name, value).cached, 0, "{name}");
        }
        assert_eq!(seen("set-cookie", "route=1").set_cookie, 1);
        let policy = |value| seen("strict-transport-security", value).ingress_nginx;
        assert_eq!(policy("max-age=15724800; includeSubDomains"), 1);
        assert_eq!(policy("max-age=31536000"), 0);
    }

    #[test]
    fn only_the_first_responses_are_looked_at_and_threads_add_up() {
        let mut signs = Signs::default();
        for _ in 0..5000 {
            signs.record(Headers::from(&HeaderMap::new()));
        }
        assert_eq!(signs.inspected, INSPECTED);
        signs.merge(seen("age", "1"));
        assert_eq!((signs.inspected, signs.cached), (INSPECTED + 1, 1));
    }
}
