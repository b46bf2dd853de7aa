//! Which host a request is for.

use http::request::Parts;
use http::{Version, header};

/// The request's host: of an absolute URI, else of its one Host header (RFC 9112, 3.2.2). `None` where
/// nginx answers 400: no Host in HTTP/1.1, two of them, or one that is not text.
pub(super) fn host_of(head: &Parts) -> Option<&str> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() {
        return None;
    }
    if let Some(authority) = head.uri.authority() {
        return Some(authority.as_str());
    }
    match first {
        Some(host) => host.to_str().ok(),
        None if head.version == Version::HTTP_11 => None,
        None => Some(""),
    }
}

/// A host without its port and final dot.
pub(super) fn bare_host(host: &str) -> &str {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    };
    bare.strip_suffix('.').unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn ports_and_final_dots_do_not_belong_to_a_host() {
        for (host, bare) in [
            ("a.example", "a.example"),
            ("a.example:8080", "a.example"),
            ("a.example.:80", "a.example"),
            ("a.example:", "a.example"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(bare_host(host), bare);
        }
    }

    #[test]
    fn the_host_is_that_of_the_uri_else_of_the_only_header() {
        let host = |uri: &str, version: Version, hosts: &[&[u8]]| {
            let mut request = Request::builder().uri(uri).version(version);
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            host_of(&head).map(str::to_owned)
        };
        let new = Version::HTTP_11;
        assert_eq!(host("/", new, &[b"a"]).as_deref(), Some("a"));
        assert_eq!(host("http://b/", new, &[b"a"]).as_deref(), Some("b"));
        assert_eq!(host("/", new, &[]), None);
        assert_eq!(host("/", Version::HTTP_10, &[]).as_deref(), Some(""));
        assert_eq!(host("/", new, &[b"a", b"a"]), None);
        assert_eq!(host("/", new, &[b"\xff"]), None);
    }
}
