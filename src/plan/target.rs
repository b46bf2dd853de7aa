//! Where the ingress listens, what is spoken with it, and the request that it is sent.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::endpoint::{DetourError, Detours, Endpoint, printable, unbracketed};
use super::tls::{ClientIdentity, Tls, TlsError, Trust};

/// Where the ingress listens, and what is spoken with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL as it was given, for messages and reports.
    pub url: String,
    /// The URL's name or address, an IPv6 address without its brackets.
    pub host: String,
    /// The URL's port.
    pub port: u16,
    /// Where connections go.
    pub endpoint: Endpoint,
    /// How connections are secured; `None` for `http://` and `tcp://`.
    pub tls: Option<Tls>,
    /// What is spoken.
    pub protocol: Protocol,
}

/// What is spoken: a version of HTTP, or what the service itself speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: agreed by ALPN over TLS, else by prior knowledge (RFC 9113 §3.3).
    Http2,
    /// gRPC over HTTP/2.
    Grpc,
    /// Bytes of the service's own over TCP, as a `tcp://` or `tls://` URL says.
    Tcp,
}

impl Protocol {
    /// As reports name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }

    /// What reports call so.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Http1, Self::Http2, Self::Grpc, Self::Tcp];
        all.into_iter().find(|protocol| protocol.name() == name)
    }

    /// As ALPN names the version of HTTP, where that is what is spoken.
    pub const fn alpn(self) -> Option<&'static str> {
        match self {
            Self::Http1 => Some("http/1.1"),
            Self::Http2 | Self::Grpc => Some("h2"),
            Self::Tcp => None,
        }
    }
}

/// How connections to the target are made, as far as the URL does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dialling {
    /// The version of HTTP.
    pub protocol: Protocol,
    /// The name that TLS asks for, in place of the `Host` header's.
    pub sni: Option<String>,
    /// Who vouches for the peer's certificate; `None` for the default.
    pub trust: Option<Trust>,
    /// What the client shows of itself.
    pub identity: Option<Arc<ClientIdentity>>,
    /// Where connections go, if not where the URL says.
    pub detours: Detours,
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
    /// What is asked for: in origin-form for HTTP/1.1 (RFC 9112 §3.2.1), absolute for HTTP/2, where the
    /// `Host` header becomes the authority (RFC 9113 §8.3.1).
    pub uri: Uri,
    /// The headers, `Host` among them.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}

/// Why what was typed does not make a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The URL does not parse, or lacks a host.
    #[error("'{0}' is not a URL: write it as http[s]://HOST[:PORT]/[PATH]")]
    Url(String),
    /// The URL holds a sign that weights have, and no host.
    #[error(
        "'{0}' is taken for the URL: are these weights? Write them as one, --expect v1=70,v2=30"
    )]
    Weights(String),
    /// The URL or `--host` holds a letter that no host name in HTTP has (RFC 9110, 4.2: ASCII).
    #[error("'{0}' is not in ASCII: write an international name as DNS has it, xn--…")]
    NotAscii(String),
    /// The URL's scheme is not one that is spoken.
    #[error(
        "'{0}' is not spoken: write the URL as http[s]://HOST[:PORT]/[PATH], or tcp://HOST:PORT or tls://HOST:PORT"
    )]
    Scheme(String),
    /// Something about TLS was said of a URL without TLS.
    #[error("{0} is about TLS, and the URL is not: write it as {1}")]
    NotSecured(&'static str, String),
    /// A URL of TCP without a port, or with more behind it.
    #[error(
        "'{0}' says no port, or more than that: write it as tcp://HOST:PORT or tls://HOST:PORT"
    )]
    Tcp(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A detour cannot be understood.
    #[error(transparent)]
    Detour(#[from] DetourError),
    /// The URL holds credentials.
    #[error("the URL holds credentials: pass them with -u NAME:PASSWORD")]
    Credentials,
    /// `--host` is not a host name with an optional port.
    #[error("the host '{0}' is not a host name: give one as --host NAME or --host NAME:PORT")]
    Host(String),
    /// `-H` is not `Name: value`.
    #[error("--header '{0}' is not a header: write it as 'Name: value'")]
    Header(String),
    /// `-H` names a header that the client itself decides.
    #[error("--header '{0}' is set by lbtest itself: {1}")]
    OwnHeader(String, &'static str),
    /// `-m` is not a method.
    #[error("--method '{0}' is not an HTTP method, such as GET or POST (a time limit is -t)")]
    Method(String),
}

/// Where requests go: a URL, and the name that they ask for there.
#[derive(Debug, Clone)]
pub struct Destination {
    url: String,
    uri: Uri,
    scheme: Scheme,
    authority: Authority,
    port: u16,
    /// What `--host` asks for in place of the URL's authority.
    host: Option<Authority>,
}

impl Destination {
    /// Reads a URL; `host` replaces its authority in the `Host` header.
    ///
    /// # Errors
    /// Names the part that cannot be used.
    pub fn parse(url: &str, host: Option<&str>) -> Result<Self, TargetError> {
        let refused = || TargetError::Url(printable(url));
        let is_name = !url.contains(['/', ':']);
        if is_name && url.contains('=') {
            return Err(TargetError::Weights(printable(url)));
        }
        let written = if url.contains("://") {
            url.to_owned()
        } else {
            format!("http://{url}")
        };
        if !url.is_ascii() && written.parse::<Uri>().is_err() {
            return Err(TargetError::NotAscii(printable(url)));
        }
        let uri: Uri = written.parse().map_err(|_| refused())?;
        let scheme = uri.scheme().cloned().ok_or_else(refused)?;
        let usual_port = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            "tcp" | "tls" => None,
            other => return Err(TargetError::Scheme(printable(other))),
        };
        let authority = uri.authority().cloned().ok_or_else(refused)?;
        if authority.as_str().contains('@') {
            return Err(TargetError::Credentials);
        }
        let port = match &authority.as_str()[authority.host().len()..] {
            "" => usual_port,
            written => written[1..].parse().ok().filter(|&port: &u16| port > 0),
        };
        let is_bare = uri.query().is_none() && matches!(uri.path(), "" | "/");
        if usual_port.is_none() && (port.is_none() || !is_bare) {
            return Err(TargetError::Tcp(printable(url)));
        }
        let has_name = !unbracketed(authority.host()).is_empty();
        Ok(Self {
            port: port.filter(|_| has_name).ok_or_else(refused)?,
            host: host.map(host_authority).transpose()?,
            url: written,
            uri,
            scheme,
            authority,
        })
    }

    /// Refuses detours of `asked`, a part of all, that lead away from something else.
    ///
    /// # Errors
    /// Names the first such entry.
    pub fn refuse_idle(&self, all: &Detours, asked: &Detours) -> Result<(), TargetError> {
        let name = unbracketed(self.authority.host());
        Ok(all.refuse_idle(asked, name, self.port)?)
    }

    /// How it is dialled.
    ///
    /// # Errors
    /// Names the part that cannot be used.
    pub fn target(&self, dialling: &Dialling) -> Result<Target, TargetError> {
        let name = unbracketed(self.authority.host());
        Ok(Target {
            url: self.url.clone(),
            host: name.to_owned(),
            port: self.port,
            endpoint: dialling.detours.endpoint(name, self.port)?,
            tls: self.tls(dialling)?,
            protocol: match self.scheme.as_str() {
                "tcp" | "tls" => Protocol::Tcp,
                _ => dialling.protocol,
            },
        })
    }

    /// What is sent to it; `headers` are `Name: value` texts.
    ///
    /// # Errors
    /// Names the part that cannot be used.
    pub fn request(
        &self,
        protocol: Protocol,
        method: &str,
        headers: &[String],
        body: Bytes,
    ) -> Result<RequestTemplate, TargetError> {
        let asked = self.host.as_ref().unwrap_or(&self.authority);
        let path = self.uri.path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(RequestTemplate {
            method: Method::from_bytes(method.as_bytes())
                .ok()
                .filter(|method| method.as_str().starts_with(char::is_alphabetic))
                .ok_or_else(|| TargetError::Method(printable(method)))?,
            headers: request_headers(asked, headers)?,
            uri: match protocol {
                Protocol::Http1 | Protocol::Tcp => path.into(),
                Protocol::Http2 | Protocol::Grpc => {
                    absolute(self.scheme.clone(), asked.clone(), path)
                }
            },
            body,
        })
    }

    /// How connections are secured: for the name of `--sni`, else that of `--host`, else the URL's.
    fn tls(&self, dialling: &Dialling) -> Result<Option<Tls>, TargetError> {
        let Dialling {
            sni,
            trust,
            identity,
            ..
        } = dialling;
        let secured = match self.scheme.as_str() {
            "https" | "tls" => None,
            "tcp" => Some("tls"),
            _ => Some("https"),
        };
        if let Some(secured) = secured {
            let flag = match (sni, trust, identity) {
                (Some(_), _, _) => "--sni",
                (None, Some(Trust::Anyone), _) => "-k",
                (None, Some(_), _) => "--cacert",
                (None, None, Some(_)) => "--cert",
                (None, None, None) => return Ok(None),
            };
            let rest = self.uri.to_string();
            let rest = rest.split_once("://").map_or("", |(_, rest)| rest);
            let rest = rest
                .strip_suffix('/')
                .filter(|_| secured == "tls")
                .unwrap_or(rest);
            let written = format!("{secured}://{rest}");
            return Err(TargetError::NotSecured(flag, printable(&written)));
        }
        let (flag, name) = match (sni, &self.host) {
            (Some(sni), _) => ("--sni", sni.as_str()),
            (None, Some(host)) => ("--host", unbracketed(host.host())),
            (None, None) => ("the URL's host", unbracketed(self.authority.host())),
        };
        Ok(Some(Tls {
            identity: identity.clone(),
            ..Tls::new(flag, name, trust.clone().unwrap_or_default())?
        }))
    }
}

fn absolute(scheme: Scheme, authority: Authority, path: PathAndQuery) -> Uri {
    let parts = Uri::builder().scheme(scheme).authority(authority);
    let uri = parts.path_and_query(path).build();
    uri.expect("scheme, authority and path, each of them valid, make a URI")
}

/// What the `Host` header says: a name with or without a port.
fn host_authority(host: &str) -> Result<Authority, TargetError> {
    if !host.is_ascii() {
        return Err(TargetError::NotAscii(printable(host)));
    }
    let authority = host.parse().ok().filter(|_| !host.contains('@'));
    authority.ok_or_else(|| TargetError::Host(printable(host)))
}

fn request_headers(host: &Authority, headers: &[String]) -> Result<HeaderMap, TargetError> {
    let value = HeaderValue::from_str(host.as_str());
    let value = value.map_err(|_| TargetError::Host(printable(host.as_str())))?;
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
        let destination = Destination::parse(url, host)?;
        let target = destination.target(&Dialling::default())?;
        let request = destination.request(target.protocol, "GET", &headers, Bytes::new())?;
        Ok((target, request))
    }

    #[test]
    fn the_host_header_is_the_authority_unless_a_name_is_given() {
        let (target, request) = parse("http://127.0.0.1:8080/a?b=c", None, &[]).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("127.0.0.1", 8080));
        assert_eq!(request.uri, "/a?b=c");
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
        for (url, host) in [
            ("http://b\u{fc}cher.example/", None),
            ("b\u{fc}cher.example", None),
            ("localhost", Some("b\u{fc}cher.example")),
        ] {
            let error = parse(url, host, &[]).unwrap_err();
            assert!(matches!(error, TargetError::NotAscii(_)), "{url} {host:?}");
        }
        assert!(parse("localhost", Some("a b"), &[]).is_err());
        assert!(parse("localhost", Some(""), &[]).is_err());
    }

    #[test]
    fn tls_asks_for_the_host_that_is_meant() {
        let secured = |url: &str, host: Option<&str>, sni: Option<&str>| {
            let dialling = Dialling {
                sni: sni.map(str::to_owned),
                ..Dialling::default()
            };
            let destination = Destination::parse(url, host).unwrap();
            let target = destination.target(&dialling).unwrap();
            (
                target.tls.unwrap().server_name.to_str().into_owned(),
                target.port,
            )
        };
        let named = |name: &str, port| (name.to_owned(), port);
        assert_eq!(
            secured("https://127.0.0.1/", None, None),
            named("127.0.0.1", 443)
        );
        assert_eq!(
            secured("https://[::1]:8443/", None, None),
            named("::1", 8443)
        );
        assert_eq!(
            secured("https://10.0.0.7/", Some("shop.example:444"), None),
            named("shop.example", 443)
        );
        assert_eq!(
            secured(
                "https://10.0.0.7/",
                Some("shop.example"),
                Some("edge.example")
            ),
            named("edge.example", 443)
        );
    }

    #[test]
    fn tls_options_need_a_url_with_tls() {
        let dialling = Dialling {
            trust: Some(Trust::Anyone),
            ..Dialling::default()
        };
        let destination = Destination::parse("http://x/a", None).unwrap();
        let error = destination.target(&dialling).unwrap_err();
        assert_eq!(
            error.to_string(),
            "-k is about TLS, and the URL is not: write it as https://x/a"
        );
    }

    #[test]
    fn a_url_of_tcp_has_a_port_and_nothing_else() {
        let (target, _) = parse("tcp://[::1]:5432", None, &[]).unwrap();
        assert_eq!((target.protocol, target.port), (Protocol::Tcp, 5432));
        assert!(target.tls.is_none());
        let (target, _) = parse("tls://db.example:5432/", None, &[]).unwrap();
        let name = target.tls.unwrap().server_name;
        assert_eq!(
            (target.protocol, &*name.to_str()),
            (Protocol::Tcp, "db.example")
        );
        for url in [
            "tcp://db.example",
            "tcp://db.example:5432/path",
            "tls://x:1?a",
        ] {
            let error = parse(url, None, &[]).unwrap_err();
            assert!(matches!(error, TargetError::Tcp(_)), "{url}: {error}");
        }
    }

    #[test]
    fn http2_asks_for_the_absolute_url_of_the_host_that_is_meant() {
        let destination = Destination::parse("https://10.0.0.7/a?b", Some("shop.example")).unwrap();
        let request = destination.request(Protocol::Http2, "GET", &[], Bytes::new());
        let request = request.unwrap();
        assert_eq!(request.uri, "https://shop.example/a?b");
    }

    #[test]
    fn a_user_agent_of_the_users_own_is_kept() {
        let (_, request) = parse("localhost", None, &["User-Agent: probe"]).unwrap();
        assert_eq!(request.headers[USER_AGENT], "probe");
    }
}
