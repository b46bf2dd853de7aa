//! Who calls a gate without a token: a program of this machine, or a web page in its user's browser.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;

/// Whether the call may come from a web page: by a name that its own DNS server points here (DNS rebinding), or from
/// another origin.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    !text(headers, HOST.as_str()).is_none_or(is_loopback) || is_of_another_origin(headers)
}

/// Whether a page of another origin asks (Fetch Metadata, W3C; RFC 6454 §7 for browsers without it, and for addresses
/// without TLS, where they send none).
pub(super) fn is_of_another_origin(headers: &HeaderMap) -> bool {
    let host = text(headers, HOST.as_str());
    let is_own_origin = |origin: &str| origin.split_once("://").map(|(_, rest)| rest) == host;
    !text(headers, "sec-fetch-site").is_none_or(|site| ["none", "same-origin"].contains(&site))
        || !text(headers, ORIGIN.as_str()).is_none_or(is_own_origin)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?;
    Some(value.to_str().unwrap_or("?"))
}

/// Whether this is the loopback's name or address, with a port or without.
fn is_loopback(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|authority| {
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || address
                .parse()
                .is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(lines: &[(&'static str, &'static str)]) -> bool {
        let line = |(name, value): &(&'static str, &'static str)| {
            (name.parse().unwrap(), value.parse().unwrap())
        };
        is_foreign(&lines.iter().map(line).collect::<HeaderMap>())
    }

    #[test]
    fn programs_of_this_machine_are_answered_and_web_pages_are_not() {
        for host in [
            "localhost:8090",
            "LOCALHOST",
            "127.0.0.1:8090",
            "127.9.9.9",
            "[::1]:8090",
        ] {
            assert!(!foreign(&[("host", host)]), "{host}");
        }
        assert!(!foreign(&[]));
        for host in [
            "evil.example:8090",
            "localhost.evil.example",
            "10.0.0.1",
            "",
            "a b",
        ] {
            assert!(foreign(&[("host", host)]), "{host}");
        }
        for (name, value, is) in [
            ("sec-fetch-site", "cross-site", true),
            ("sec-fetch-site", "same-site", true),
            ("sec-fetch-site", "same-origin", false),
            ("sec-fetch-site", "none", false),
            ("origin", "http://evil.example", true),
            ("origin", "null", true),
            ("origin", "http://localhost:8090", false),
        ] {
            assert_eq!(
                foreign(&[("host", "localhost:8090"), (name, value)]),
                is,
                "{value}"
            );
        }
    }
}
