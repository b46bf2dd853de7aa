//! Where connections go: the target's own name and port, or what `--connect-to`, `--resolve` and
//! `--unix-socket` say instead, with the meaning that curl gives them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Where connections go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A name or address that the resolver turns into addresses.
    Name {
        /// An IPv6 address stands without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// These addresses.
    Addresses(Vec<SocketAddr>),
    /// A Unix domain socket.
    UnixSocket(PathBuf),
}

/// What was said about where connections go, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detours {
    /// `HOST1:PORT1:HOST2:PORT2`, as `--connect-to` takes them; the first that fits counts.
    pub connect_to: Vec<String>,
    /// `HOST:PORT:ADDRESS[,ADDRESS]…`, as `--resolve` takes them; the first that fits counts.
    pub resolve: Vec<String>,
    /// A Unix domain socket, which goes before everything else.
    pub unix_socket: Option<PathBuf>,
}

/// A detour that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DetourError {
    /// Not in curl's form.
    #[error(
        "--connect-to '{0}' is not HOST1:PORT1:HOST2:PORT2 (each may be empty; IPv6 addresses stand in brackets)"
    )]
    ConnectTo(String),
    /// Not in curl's form.
    #[error("--resolve '{0}' is not HOST:PORT:ADDRESS[,ADDRESS]..., with * for any host")]
    Resolve(String),
    /// The path of a socket is empty, or longer than the system takes.
    #[error("--unix-socket '{0}' is not the path of a socket: it must have 1 to 107 bytes")]
    UnixSocket(String),
}

/// The longest path of a socket (`sun_path` of unix(7), less its terminating zero).
const LONGEST_SOCKET_PATH: usize = 107;

impl Detours {
    /// Where connections to `host` and `port` go.
    ///
    /// # Errors
    /// A detour is not in the form that curl takes, whether or not it would count.
    pub fn endpoint(&self, host: &str, port: u16) -> Result<Endpoint, DetourError> {
        let (mut to_host, mut to_port) = (host.to_owned(), port);
        let mut is_redirected = false;
        for text in &self.connect_to {
            let detour = ConnectTo::parse(text)?;
            if !is_redirected && detour.fits(host, port) {
                is_redirected = true;
                to_host = detour.to_host.unwrap_or(to_host);
                to_port = detour.to_port.unwrap_or(to_port);
            }
        }
        let mut endpoint = None;
        for text in &self.resolve {
            let known = Resolve::parse(text)?;
            if endpoint.is_none() && known.fits(&to_host, to_port) {
                let addresses = known.addresses.iter();
                let addresses = addresses.map(|&address| SocketAddr::new(address, to_port));
                endpoint = Some(Endpoint::Addresses(addresses.collect()));
            }
        }
        if let Some(path) = &self.unix_socket {
            if !(1..=LONGEST_SOCKET_PATH).contains(&path.as_os_str().len()) {
                return Err(DetourError::UnixSocket(printable(&path.to_string_lossy())));
            }
            return Ok(Endpoint::UnixSocket(path.clone()));
        }
        Ok(endpoint.unwrap_or(Endpoint::Name {
            host: to_host,
            port: to_port,
        }))
    }
}

/// One `--connect-to`; `None` fits, or keeps, whatever there is.
struct ConnectTo {
    host: Option<String>,
    port: Option<u16>,
    to_host: Option<String>,
    to_port: Option<u16>,
}

impl ConnectTo {
    fn parse(text: &str) -> Result<Self, DetourError> {
        let refused = || DetourError::ConnectTo(printable(text));
        let parts = parts(text, 4);
        let [host, port, to_host, to_port] = parts[..] else {
            return Err(refused());
        };
        let port_of = |text: &str| match text {
            "" => Ok(None),
            digits => parse_port(digits).map(Some).ok_or_else(refused),
        };
        Ok(Self {
            host: name(host),
            port: port_of(port)?,
            to_host: name(to_host),
            to_port: port_of(to_port)?,
        })
    }

    fn fits(&self, host: &str, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
            && self
                .host
                .as_ref()
                .is_none_or(|own| own.eq_ignore_ascii_case(host))
    }
}

/// One `--resolve`.
struct Resolve {
    /// `None` for `*`.
    host: Option<String>,
    port: u16,
    addresses: Vec<IpAddr>,
}

impl Resolve {
    fn parse(text: &str) -> Result<Self, DetourError> {
        let refused = || DetourError::Resolve(printable(text));
        // curl's `+` lets the entry time out of its cache, which a single run does not notice.
        let parts = parts(text.strip_prefix('+').unwrap_or(text), 3);
        let [host, port, addresses] = parts[..] else {
            return Err(refused());
        };
        let addresses = addresses
            .split(',')
            .map(|address| unbracketed(address.trim()).parse().map_err(|_| refused()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            host: match name(host).ok_or_else(refused)? {
                any if any == "*" => None,
                host => Some(host),
            },
            port: parse_port(port).ok_or_else(refused)?,
            addresses,
        })
    }

    fn fits(&self, host: &str, port: u16) -> bool {
        self.port == port
            && self
                .host
                .as_ref()
                .is_none_or(|own| own.eq_ignore_ascii_case(host))
    }
}

/// `text` at its first colons outside of brackets, in at most `most` parts.
fn parts(text: &str, most: usize) -> Vec<&str> {
    let mut is_inside = false;
    text.splitn(most, |c| {
        is_inside = match c {
            '[' => true,
            ']' => false,
            _ => is_inside,
        };
        c == ':' && !is_inside
    })
    .collect()
}

fn name(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| unbracketed(text).to_owned())
}

/// An IPv6 address without its brackets; anything else as it is.
pub(super) fn unbracketed(text: &str) -> &str {
    text.strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(text)
}

fn parse_port(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|&port| port > 0)
}

/// A text as an error message may hold it.
pub(super) fn printable(text: &str) -> String {
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detours(connect_to: &[&str], resolve: &[&str]) -> Detours {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        Detours {
            connect_to: owned(connect_to),
            resolve: owned(resolve),
            unix_socket: None,
        }
    }

    fn named(host: &str, port: u16) -> Endpoint {
        Endpoint::Name {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn the_first_connect_to_that_fits_counts() {
        let to = |texts: &[&str]| detours(texts, &[]).endpoint("shop.example", 443).unwrap();
        assert_eq!(to(&["::[::1]:8443"]), named("::1", 8443));
        assert_eq!(
            to(&["SHOP.example:443:10.0.0.7:", "::other:1"]),
            named("10.0.0.7", 443)
        );
        assert_eq!(
            to(&["shop.example:80:x:1", "other:443:y:2"]),
            named("shop.example", 443)
        );
        assert_eq!(to(&[":443::8443"]), named("shop.example", 8443));
    }

    #[test]
    fn resolve_gives_addresses_to_the_name_that_is_dialled() {
        let to = |connect_to: &[&str], resolve: &[&str]| {
            detours(connect_to, resolve).endpoint("shop.example", 80)
        };
        let addresses = |texts: &[&str]| {
            let parsed = texts.iter().map(|text| text.parse().unwrap());
            Endpoint::Addresses(parsed.collect())
        };
        assert_eq!(
            to(&[], &["shop.example:80:127.0.0.1,[::1]"]).unwrap(),
            addresses(&["127.0.0.1:80", "[::1]:80"])
        );
        assert_eq!(to(&[], &["*:80:::1"]).unwrap(), addresses(&["[::1]:80"]));
        assert_eq!(
            to(
                &["::inner:81"],
                &["shop.example:80:127.0.0.1", "+inner:81:127.0.0.2"]
            )
            .unwrap(),
            addresses(&["127.0.0.2:81"])
        );
    }

    #[test]
    fn what_curl_would_not_take_is_refused() {
        for text in ["", "a:b", "a:x:b:1", "a:1:b:99999", "a:1:b:2:3"] {
            assert!(detours(&[text], &[]).endpoint("a", 1).is_err(), "{text}");
        }
        for text in [
            "",
            "a:80",
            "a:80:",
            "a:80:name",
            "a:0:127.0.0.1",
            ":80:::1",
            "-a:80",
        ] {
            assert!(detours(&[], &[text]).endpoint("a", 1).is_err(), "{text}");
        }
        let socket = Detours {
            unix_socket: Some("x".repeat(108).into()),
            ..Detours::default()
        };
        assert!(socket.endpoint("a", 1).is_err());
    }
}
