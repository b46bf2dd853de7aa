//! Names to addresses, addresses to transports.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::allowance::{Allowance, Metered};
use super::deadline::{Deadline, Elapsed};
use super::machine;
use super::tls;
use super::transport::{Socket, Transport};
use crate::measured::Address;
use crate::observation::Failure;
use crate::plan::Plan;
use crate::plan::endpoint::Endpoint;
use crate::plan::target::Protocol;

/// Why a connection did not come about: its kind, and the words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialError {
    /// How reports count it.
    pub failure: Failure,
    /// What the system said.
    pub message: String,
}

impl DialError {
    fn new(failure: Failure, message: impl Into<String>) -> Self {
        Self {
            failure,
            message: message.into(),
        }
    }
}

/// The addresses of the plan's target, in the resolver's order, each once.
///
/// # Errors
/// The name has no address, or none came within the time allowed for a dial.
///
/// # Cancel safety
/// Dropping it leaves a resolver thread behind, which ends by itself.
pub async fn resolve(plan: &Plan) -> Result<Vec<Address>, DialError> {
    let (host, port) = match &plan.target.endpoint {
        Endpoint::Addresses(addresses) => {
            return Ok(addresses.iter().copied().map(Address::Ip).collect());
        }
        Endpoint::UnixSocket(path) => return Ok(vec![Address::UnixSocket(path.clone())]),
        Endpoint::Name { host, port } => (host.as_str(), *port),
    };
    let refused = |message: String| DialError::new(Failure::Resolve, message);
    let limit = plan.load.connect_timeout;
    let lookup = tokio::net::lookup_host((host, port));
    let found: Vec<SocketAddr> = match tokio::time::timeout(limit, lookup).await {
        Ok(Ok(found)) => found.collect(),
        // That name is the loopback's whatever a resolver says (RFC 6761, 6.3); an image from scratch has no /etc/hosts.
        Ok(Err(_)) if host.eq_ignore_ascii_case("localhost") => {
            vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]
        }
        Ok(Err(error)) => return Err(refused(error.to_string())),
        Err(_) => return Err(refused(format!("no answer within {limit:?}"))),
    };
    let mut addresses = Vec::new();
    for address in found.into_iter().map(Address::Ip) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(refused("the name has no address".to_owned()));
    }
    Ok(addresses)
}

/// Opens transports to a target.
pub struct Dialler {
    limit: Duration,
    port_waits: AtomicU64,
    slow: AtomicU64,
    protocol: Protocol,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl fmt::Debug for Dialler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialler")
            .field("limit", &self.limit)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

impl Dialler {
    /// Prepares what all connections of a plan share.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(plan: &Plan) -> io::Result<Self> {
        let protocol = plan.target.protocol;
        let tls = match &plan.target.tls {
            Some(tls) => {
                let connector = tls::connector(tls, protocol)?;
                Some((connector, tls.server_name.clone()))
            }
            None => None,
        };
        Ok(Self {
            limit: plan.load.connect_timeout,
            port_waits: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            protocol,
            tls,
        })
    }

    /// The version of HTTP that is spoken over the transports.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// How many dials have waited for a local port so far.
    pub fn port_waits(&self) -> u64 {
        self.port_waits.load(Ordering::Relaxed)
    }

    /// How many dials took so long that the first packet of theirs must have been lost or refused.
    pub fn slow(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }

    /// Connects to `address`, the TLS handshake included, which uses up some of `allowance`; `deadline` is
    /// the timer for it.
    ///
    /// # Errors
    /// The dial or the handshake failed, or they took longer than the time allowed for a dial.
    ///
    /// # Cancel safety
    /// Dropping it closes the socket.
    pub async fn open(
        &self,
        address: &Address,
        allowance: Allowance,
        deadline: &mut Deadline,
    ) -> Result<Transport, DialError> {
        let due = Instant::now().checked_add(self.limit);
        let late = |failure, what: &str| {
            DialError::new(failure, format!("no {what} within {:?}", self.limit))
        };
        let begun = Instant::now();
        let connected = {
            let connecting = pin!(self.connect(address, due));
            deadline.until(due, connecting).await
        };
        if begun.elapsed() >= SENT_AGAIN && matches!(connected, Ok(Ok(_))) {
            self.slow.fetch_add(1, Ordering::Relaxed);
        }
        let socket = match connected {
            Ok(connected) => connected.map_err(|error| refused(&error, address))?,
            Err(Elapsed) => return Err(late(Failure::Connect, "connection")),
        };
        let socket = Metered::new(socket, allowance);
        let Some((connector, server_name)) = &self.tls else {
            return Ok(Transport::Left(socket));
        };
        let secured = {
            let handshake = pin!(connector.connect(server_name.clone(), socket));
            deadline.until(due, handshake).await
        };
        let stream = match secured {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(DialError::new(Failure::Tls, tls::explain(&error))),
            Err(Elapsed) => return Err(late(Failure::Tls, "TLS handshake")),
        };
        let agreed = stream.get_ref().1.alpn_protocol();
        let needed = match self.protocol {
            Protocol::Http2 => Some("the ingress did not agree to HTTP/2 (ALPN): drop --http2"),
            Protocol::Grpc => Some(
                "the ingress did not agree to HTTP/2 (ALPN), which gRPC needs: turn it on there",
            ),
            Protocol::Http1 | Protocol::Tcp => None,
        };
        if let Some(message) = needed
            && agreed != self.protocol.alpn().map(str::as_bytes)
        {
            return Err(DialError::new(Failure::Tls, message));
        }
        Ok(Transport::Right(Box::new(stream)))
    }

    /// Connects, if need be as soon as a local port is free again.
    async fn connect(&self, address: &Address, due: Option<Instant>) -> io::Result<Socket> {
        let mut has_waited = false;
        loop {
            let error = match connect(address).await {
                Ok(socket) => return Ok(socket),
                Err(error) => error,
            };
            let is_over = due.is_some_and(|due| Instant::now() + PORT_POLL >= due);
            if error.raw_os_error() != Some(NO_PORT) || is_over || !has_source(address) {
                return Err(error);
            }
            if !has_waited {
                self.port_waits.fetch_add(1, Ordering::Relaxed);
            }
            has_waited = true;
            tokio::time::sleep(PORT_POLL).await;
        }
    }
}

/// Linux's EADDRNOTAVAIL (asm-generic/errno.h).
const NO_PORT: i32 = 99;
/// A first packet without an answer is sent again after this (RFC 6298, 2: the initial timeout).
const SENT_AGAIN: Duration = Duration::from_secs(1);
/// How often a dial without a local port tries again; loopback's ports are free after a second.
const PORT_POLL: Duration = Duration::from_millis(50);

async fn connect(address: &Address) -> io::Result<Socket> {
    match address {
        Address::Ip(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Socket::Left(stream))
        }
        Address::UnixSocket(path) => UnixStream::connect(path).await.map(Socket::Right),
    }
}

/// What the system said of a dial; where this machine is what lacks something, what to do about it.
fn refused(error: &io::Error, address: &Address) -> DialError {
    let remedy = match error.raw_os_error() {
        Some(NO_PORT) if !has_source(address) => {
            "this machine has no address to reach it from (is IPv6 off?): give an IPv4 address, or a name that has one"
        }
        Some(NO_PORT) => {
            "the local ports are used up, each for up to a minute after its connection: add --keep-alive, \
             lower --rate, or widen net.ipv4.ip_local_port_range"
        }
        _ => match machine::remedy(error) {
            Some(remedy) => remedy,
            None => return DialError::new(Failure::Connect, error.to_string()),
        },
    };
    DialError::new(Failure::Local, format!("{error}: {remedy}"))
}

/// Whether this machine has an address of its own to reach `address` from. Connecting a UDP socket looks for one,
/// takes no TCP port and sends nothing.
fn has_source(address: &Address) -> bool {
    let Address::Ip(address) = address else {
        return true;
    };
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    UdpSocket::bind(any).is_ok_and(|socket| socket.connect(address).is_ok())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV6;

    use super::*;

    #[test]
    fn used_up_ports_and_a_missing_address_are_told_apart() {
        let no_port = io::Error::from_raw_os_error(NO_PORT);
        let to = |address: &str| Address::Ip(address.parse().unwrap());
        let refusal = refused(&no_port, &to("127.0.0.1:9"));
        assert!(refusal.message.contains("--keep-alive"), "{refusal:?}");
        // A link that does not exist has no address.
        let link = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 9, 0, 999_999));
        let refusal = refused(&no_port, &Address::Ip(link));
        assert!(
            refusal.message.contains("give an IPv4 address"),
            "{refusal:?}"
        );
    }
}
