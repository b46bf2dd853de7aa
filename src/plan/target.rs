//! Where the ingress listens, and the request that it is sent.

use std::fmt;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

/// Where the ingress listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL as it was given, for messages and reports.
    pub url: String,
    /// The name or address to dial, an IPv6 address without its brackets.
    pub host: String,
    /// The port to dial.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// What every request of the run looks like; `Host` stands in `headers` exactly once.
#[derive(Debug, Clone)]
pub struct RequestTemplate {
    /// The method.
    pub method: Method,
    /// Path and query: requests are sent in origin-form (RFC 9112 §3.2.1).
    pub path: PathAndQuery,
    /// The headers, `Host` first.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}

/// Why what was typed does not make a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The URL does not parse, or lacks a host.
    #[error("'{0}' is not a URL: write it as http://HOST[:PORT]/[PATH]")]
    Url(String),
    /// The URL's scheme is not one that is spoken.
    #[error("'{0}' is not spoken: write the URL as http://HOST[:PORT]/[PATH]")]
    Scheme(String),
    /// The URL holds credentials.
    #[error("the URL holds credentials: pass them as -H 'Authorization: …'")]
    Credentials,
    /// `--host` is not a host name with an optional port.
    #[error("--host '{0}' is not a host name: write it as NAME or NAME:PORT")]
    Host(String),
    /// `-H` is not `Name: value`.
    #[error("-H '{0}' is not a header: write it as 'Name: value'")]
    Header(String),
    /// `-H` names a header that the client itself decides.
    #[error("-H '{0}' is set by lbtest itself: {1}")]
    OwnHeader(String, &'static str),
    /// `-m` is not a method.
    #[error("-m '{0}' is not an HTTP method")]
    Method(String),
}

fn printable(text: &str) -> String {
    text.escape_debug().to_string()
}

/// Reads the URL and what is sent to it.
///
/// `host` replaces the URL's authority in the `Host` header; `headers` are `Name: value` texts.
///
/// # Errors
/// Names the part that cannot be used.
pub fn target(
    url: &str,
    host: Option<&str>,
    method: &str,
    headers: &[String],
    body: Bytes,
) -> Result<(Target, RequestTemplate), TargetError> {
    let refused = || TargetError::Url(printable(url));
    let written = if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    let uri: Uri = written.parse().map_err(|_| refused())?;
    match uri.scheme_str() {
        Some("http") => {}
        Some(other) => return Err(TargetError::Scheme(printable(other))),
        None => return Err(refused()),
    }
    let authority = uri.authority().ok_or_else(refused)?;
    if authority.as_str().contains('@') {
        return Err(TargetError::Credentials);
    }
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let port = match &authority.as_str()[authority.host().len()..] {
        "" => Some(80),
        written => written[1..].parse().ok().filter(|&port: &u16| port > 0),
    };
    let port = port.filter(|_| !name.is_empty()).ok_or_else(refused)?;
    let target = Target {
        url: written.clone(),
        host: name.to_owned(),
        port,
    };
    let request = RequestTemplate {
        method: Method::from_bytes(method.as_bytes())
            .map_err(|_| TargetError::Method(printable(method)))?,
        path: uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/")),
        headers: request_headers(host.unwrap_or(authority.as_str()), headers)?,
        body,
    };
    Ok((target, request))
}

fn request_headers(host: &str, headers: &[String]) -> Result<HeaderMap, TargetError> {
    let is_authority = host.parse::<http::uri::Authority>().is_ok() && !host.contains('@');
    let value = HeaderValue::from_str(host).ok().filter(|_| is_authority);
    let value = value.ok_or_else(|| TargetError::Host(printable(host)))?;
    let mut map = HeaderMap::new();
    map.insert(HOST, value);
    for text in headers {
        let refused = || TargetError::Header(printable(text));
        let (name, value) = text.split_once(':').ok_or_else(refused)?;
        let name: HeaderName = name.trim().parse().map_err(|_| refused())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| refused())?;
        let own = match name {
            HOST => Some("use --host NAME, which sends it exactly once"),
            CONTENT_LENGTH | TRANSFER_ENCODING => Some("it follows from -d"),
            http::header::CONNECTION => Some("use --requests-per-connection or --keep-alive"),
            _ => None,
        };
        if let Some(remedy) = own {
            return Err(TargetError::OwnHeader(printable(text), remedy));
        }
        map.append(name, value);
    }
    let defaults = [
        (USER_AGENT, concat!("lbtest/", env!("CARGO_PKG_VERSION"))),
        (ACCEPT, "*/*"),
        (ACCEPT_ENCODING, "identity"),
    ];
    for (name, value) in defaults {
        map.entry(name).or_insert(HeaderValue::from_static(value));
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(
        url: &str,
        host: Option<&str>,
        headers: &[&str],
    ) -> Result<(Target, RequestTemplate), TargetError> {
        let headers: Vec<String> = headers.iter().map(ToString::to_string).collect();
        target(url, host, "GET", &headers, Bytes::new())
    }

    #[test]
    fn the_host_header_is_the_authority_unless_a_name_is_given() {
        let (target, request) = parse("http://127.0.0.1:8080/a?b=c", None, &[]).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("127.0.0.1", 8080));
        assert_eq!(request.path.as_str(), "/a?b=c");
        assert_eq!(request.headers[HOST], "127.0.0.1:8080");
        let (_, request) = parse("localhost", Some("edu.challenger-03"), &[]).unwrap();
        assert_eq!(request.headers.get_all(HOST).iter().count(), 1);
        assert_eq!(request.headers[HOST], "edu.challenger-03");
    }

    #[test]
    fn an_ipv6_address_is_dialled_without_its_brackets() {
        let (target, request) = parse("http://[::1]:81/", None, &[]).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 81));
        assert_eq!(request.headers[HOST], "[::1]:81");
    }

    #[test]
    fn headers_that_decide_framing_or_routing_are_refused() {
        for header in [
            "Host: x",
            "content-length: 3",
            "Transfer-Encoding: chunked",
            "Connection: close",
        ] {
            let error = parse("localhost", None, &[header]).unwrap_err();
            assert!(matches!(error, TargetError::OwnHeader(..)), "{header}");
        }
        assert!(parse("localhost", None, &["no colon"]).is_err());
        assert!(parse("localhost", None, &["X: a\r\nHost: b"]).is_err());
    }

    #[test]
    fn what_is_no_plain_http_url_is_refused() {
        for url in [
            "",
            "http://",
            "ftp://x/",
            "http://u:p@x/",
            "http://x:0/",
            "http://x:99999/",
            "http://x:/",
            "http://a b/",
        ] {
            assert!(parse(url, None, &[]).is_err(), "{url}");
        }
        assert!(parse("localhost", Some("a b"), &[]).is_err());
        assert!(parse("localhost", Some(""), &[]).is_err());
    }

    #[test]
    fn a_user_agent_of_the_users_own_is_kept() {
        let (_, request) = parse("localhost", None, &["User-Agent: probe"]).unwrap();
        assert_eq!(request.headers[USER_AGENT], "probe");
    }
}
