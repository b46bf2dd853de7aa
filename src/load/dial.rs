//! Names to addresses, addresses to sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::observation::Failure;
use crate::plan::target::Target;

/// Why a connection did not come about: its kind, and the words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialError {
    /// How reports count it.
    pub failure: Failure,
    /// What the system said.
    pub message: String,
}

/// The addresses of the target's name, in the resolver's order, each once.
///
/// # Errors
/// The name has no address, or none came within `limit`.
///
/// # Cancel safety
/// Dropping it leaves a resolver thread behind, which ends by itself.
pub async fn resolve(target: &Target, limit: Duration) -> Result<Vec<SocketAddr>, DialError> {
    let refused = |message: String| DialError {
        failure: Failure::Resolve,
        message,
    };
    let lookup = tokio::net::lookup_host((target.host.as_str(), target.port));
    let found = match tokio::time::timeout(limit, lookup).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(refused(error.to_string())),
        Err(_) => return Err(refused(format!("no answer within {limit:?}"))),
    };
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(refused("the name has no address".to_owned()));
    }
    Ok(addresses)
}

/// Opens a TCP connection, without Nagle's delay.
///
/// # Errors
/// The dial failed or took longer than `limit`.
///
/// # Cancel safety
/// Dropping it closes the socket.
pub async fn connect(address: SocketAddr, limit: Duration) -> Result<TcpStream, DialError> {
    match tokio::time::timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            stream.set_nodelay(true).map_err(|error| failed(&error))?;
            Ok(stream)
        }
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => Err(DialError {
            failure: Failure::Connect,
            message: format!("no connection within {limit:?}"),
        }),
    }
}

fn failed(error: &io::Error) -> DialError {
    // ENFILE, EMFILE, EADDRNOTAVAIL, ENOBUFS, ENOMEM (asm-generic/errno-base.h, errno.h): the shortage is ours.
    let ours = matches!(error.raw_os_error(), Some(23 | 24 | 99 | 105 | 12));
    DialError {
        failure: if ours {
            Failure::Local
        } else {
            Failure::Connect
        },
        message: error.to_string(),
    }
}
