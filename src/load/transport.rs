//! The byte streams that everything is spoken over: TCP or a Unix domain socket, with or without TLS.

use std::io;

use rustls_pki_types::CertificateDer;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::allowance::Metered;
use crate::observation::Failure;

/// A connected socket: TCP without Nagle's delay, or a Unix domain socket.
pub type Socket = Either<TcpStream, UnixStream>;

/// A connected socket, as it is or within TLS.
pub type Transport = Either<Metered<Socket>, Box<TlsStream<Metered<Socket>>>>;

/// The peer's own certificate, where the stream is secured.
pub fn certificate(transport: &Transport) -> Option<CertificateDer<'static>> {
    let Either::Right(stream) = transport else {
        return None;
    };
    let chain = stream.get_ref().1.peer_certificates()?;
    chain.first().map(|own| own.clone().into_owned())
}

/// The kind of failure that an error of a byte stream stands for.
pub fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::TimedOut => Failure::Timeout,
        io::ErrorKind::InvalidData => Failure::Protocol,
        _ => Failure::Reset,
    }
}
