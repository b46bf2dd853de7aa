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
    /// None of an option's entries is for what is dialled.
    #[error(
        "{option} '{entry}' is for another name or port than {dialled}, which is dialled (--host does not change that): \
         write {dialled}:{form}, or drop it"
    )]
    Idle {
        option: &'static str,
        /// The first entry.
        entry: String,
        /// The name and port that they are compared with.
        dialled: String,
        /// What follows those in an entry.
        form: &'static str,
    },
}

/// The longest path of a socket (`sun_path` of unix(7), less its terminating zero).
const LONGEST_SOCKET_PATH: usize = 107;

impl Detours {
    /// Where connections to `host` and `port` go.
    ///
    /// # Errors
    /// A detour is not in the form that curl takes, whether or not it would count.
    pub fn endpoint(&self, host: &str, port: u16) -> Result<Endpoint, DetourError> {
        let (to_host, to_port) = self
            .redirected(host, port)?
            .unwrap_or((host.to_owned(), port));
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

    /// Where `--connect-to` leads from there; `None` where no entry fits.
    fn redirected(&self, host: &str, port: u16) -> Result<Option<(String, u16)>, DetourError> {
        let mut to = None;
        for text in &self.connect_to {
            let detour = ConnectTo::parse(text)?;
            if to.is_none() && detour.fits(host, port) {
                to = Some((
                    detour.to_host.unwrap_or_else(|| host.to_owned()),
                    detour.to_port.unwrap_or(port),
                ));
            }
        }
        Ok(to)
    }

    /// Refuses an option of `asked`, a part of these detours, of which no entry is for what is dialled on the way to `host`
    /// and `port`. One entry that fits excuses others, as of scripts that list a name's ports.
    ///
    /// # Errors
    /// Names the option's first entry, or what is not in the form that curl takes.
    pub fn refuse_idle(&self, asked: &Self, host: &str, port: u16) -> Result<(), DetourError> {
        let redirected = self.redirected(host, port)?;
        let is_redirected = redirected.is_some();
        let (to_host, to_port) = redirected.unwrap_or((host.to_owned(), port));
        let mut is_resolved = false;
        for text in &self.resolve {
            is_resolved |= Resolve::parse(text)?.fits(&to_host, to_port);
        }
        let idle = |option, entries: &[String], (host, port): (&str, u16), form| {
            let entry = printable(entries.first()?);
            let bracketed = host.contains(':').then(|| format!("[{host}]"));
            let dialled = format!("{}:{port}", bracketed.as_deref().unwrap_or(host));
            Some(DetourError::Idle {
                option,
                entry,
                dialled,
                form,
            })
        };
        let from = (host, port);
        let connect_to = idle("--connect-to", &asked.connect_to, from, "HOST2:PORT2");
        let resolve = idle("--resolve", &asked.resolve, (&to_host, to_port), "ADDRESS");
        let found = connect_to
            .filter(|_| !is_redirected)
            .or_else(|| resolve.filter(|_| !is_resolved));
        found.map_or(Ok(()), Err)
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
    fn entries_of_which_none_is_for_what_is_dialled_are_refused() {
        let idle = |connect_to: &[&str], resolve: &[&str]| {
            let detours = detours(connect_to, resolve);
            let refused = detours.refuse_idle(&detours, "shop.example", 80);
            refused.err().map(|error| error.to_string())
        };
        for (connect_to, resolve, told) in [
            (
                &[][..],
                &["shop.example:443:127.0.0.1"][..],
                "shop.example:80:ADDRESS",
            ),
            (
                &[],
                &["a:80:127.0.0.1", "b:80:127.0.0.1"],
                "'a:80:127.0.0.1'",
            ),
            (
                &["::inner:81"],
                &["shop.example:80:127.0.0.1"],
                "inner:81:ADDRESS",
            ),
            (&["::[::1]:81"], &["a:80:127.0.0.1"], "[::1]:81:ADDRESS"),
            (&["other::inner:81"], &[], "shop.example:80:HOST2:PORT2"),
        ] {
            let refused = idle(connect_to, resolve).unwrap();
            assert!(refused.contains(told), "{refused}");
        }
        for (connect_to, resolve) in [
            (
                &[][..],
                &["a:80:127.0.0.1", "SHOP.example:80:127.0.0.1"][..],
            ),
            (&["other::x:1", "::inner:81"], &["*:81:127.0.0.1"]),
            (&[], &[]),
        ] {
            assert_eq!(
                idle(connect_to, resolve),
                None,
                "{connect_to:?} {resolve:?}"
            );
        }
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
