//! One connection, whatever is spoken over it.
//!
//! Over HTTP/1.1 and TCP its exchanges run in the task of the request that uses it. Over HTTP/2 several requests
//! may share it.

use std::cell::Cell;
use std::rc::Rc;

use rustls_pki_types::CertificateDer;

use super::allowance::Allowance;
use super::buffer::{BodyEnd, Lender};
use super::deadline::Deadline;
use super::dial::{DialError, Dialler};
use super::http1::exchange::{Broken, Exchanges, SendError};
use super::http2::Streams;
use super::outgoing::Outgoing;
use super::tcp::Bytestream;
use super::transport::{self, Transport};
use crate::headers::Headers;
use crate::identity::rule::Answer;
use crate::measured::Address;
use crate::observation::{Failure, status};
use crate::plan::target::Protocol;

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    begun: Rc<Cell<u64>>,
    /// The peer's own, where the connection is secured.
    certificate: Option<Rc<CertificateDer<'static>>>,
}

#[derive(Debug)]
enum Wire {
    Http1(Exchanges<Transport>),
    Http2(Streams),
    Tcp(Bytestream),
}

/// Why an exchange brought no response.
#[derive(Debug)]
pub enum ExchangeError {
    /// No backend can have got the request: the connection had closed before it was written, or the peer
    /// says that it did not look at it (RFC 9113 §8.7).
    Unsent,
    /// The request was written, or was the connection's first, and no whole response came.
    Failed(Failure, String),
}

impl Connection {
    /// Dials `address` and prepares HTTP on it; `deadline` is the timer that bounds the dial, and `lender` has
    /// the buffers of this thread.
    ///
    /// # Errors
    /// As [`Dialler::open`].
    ///
    /// # Panics
    /// Over HTTP/2 outside of a [`tokio::runtime::LocalRuntime`].
    ///
    /// # Cancel safety
    /// Dropping it closes the socket.
    pub async fn open(
        dialler: &Dialler,
        address: &Address,
        deadline: &mut Deadline,
        lender: &Lender,
    ) -> Result<Self, DialError> {
        let allowance = Allowance::default();
        let lender = lender.clone();
        let transport = dialler.open(address, allowance.clone(), deadline).await?;
        let certificate = transport::certificate(&transport).map(Rc::new);
        let wire = match dialler.protocol() {
            Protocol::Http1 => Wire::Http1(Exchanges::new(transport, lender, allowance)),
            protocol @ (Protocol::Http2 | Protocol::Grpc) => {
                let is_grpc = protocol == Protocol::Grpc;
                Wire::Http2(Streams::open(transport, lender, allowance, is_grpc).await?)
            }
            Protocol::Tcp => Wire::Tcp(Bytestream::new(transport, lender, allowance)),
        };
        Ok(Self {
            wire,
            begun: Rc::default(),
            certificate,
        })
    }

    /// The same connection for a further request beside those in flight; `None` where there is
    /// no such thing.
    pub fn share(&self) -> Option<Self> {
        match &self.wire {
            Wire::Http1(_) | Wire::Tcp(_) => None,
            Wire::Http2(streams) => Some(Self {
                wire: Wire::Http2(streams.share()),
                begun: Rc::clone(&self.begun),
                certificate: self.certificate.clone(),
            }),
        }
    }

    /// How many requests were given to this connection.
    pub fn begun(&self) -> u64 {
        self.begun.get()
    }

    /// Waits until another request may be sent; `false` when the connection is known to have ended.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn is_reusable(&mut self) -> bool {
        match &mut self.wire {
            // Whether the peer has closed it meanwhile is found out before a request is written.
            Wire::Http1(exchanges) => exchanges.is_ready(),
            Wire::Http2(streams) => streams.is_ready().await,
            Wire::Tcp(_) => false,
        }
    }

    /// Sends a request, the last on its connection or not, and reads the head of its response; the status.
    ///
    /// # Errors
    /// [`ExchangeError::Unsent`] on a connection that was given a request before this one, if no backend can have
    /// got it; otherwise how it failed.
    ///
    /// # Cancel safety
    /// Dropping it leaves an HTTP/1.1 connection in the middle of an exchange: drop the connection too.
    pub async fn send(&mut self, request: &Outgoing, is_last: bool) -> Result<u16, ExchangeError> {
        // Where several are sent at once the others may be refused before the first is answered.
        let is_first = self.begun.replace(self.begun() + 1) == 0;
        let (is_unsent, failed) = match &mut self.wire {
            Wire::Http1(exchanges) => {
                match exchanges
                    .send(request.bytes(is_last), request.asked())
                    .await
                {
                    Ok(status) => return Ok(status),
                    Err(SendError::Unsent(broken)) => (true, failure_of(&broken)),
                    Err(SendError::Failed(broken)) => (false, failure_of(&broken)),
                }
            }
            Wire::Http2(streams) => match streams.send(request.request()).await {
                Ok(status) => return Ok(status),
                Err(failed) => failed,
            },
            Wire::Tcp(stream) => match stream.send(request.body()).await {
                Ok(()) => return Ok(status::ANSWERED),
                Err(broken) => (false, failure_of(&broken)),
            },
        };
        if is_unsent && !is_first {
            return Err(ExchangeError::Unsent);
        }
        let (failure, message) = failed;
        Err(ExchangeError::Failed(failure, message))
    }

    /// Reads the body of the response, at most `limit` bytes of it, and the status of a call; over TCP, what comes until
    /// that `names` somebody.
    ///
    /// # Errors
    /// The body broke off, or nothing came over TCP.
    ///
    /// # Cancel safety
    /// Dropping it leaves the connection in the middle of an exchange: drop the connection too. What came over TCP
    /// can still be looked at.
    pub async fn read_body(
        &mut self,
        limit: usize,
        names: impl Fn(Answer<'_>) -> bool,
    ) -> Result<(BodyEnd, Option<u16>), ExchangeError> {
        let certificate = self
            .certificate
            .as_deref()
            .map(|certificate| &**certificate);
        let ended = match &mut self.wire {
            Wire::Http1(exchanges) => {
                let ended = exchanges.read_body(limit).await;
                ended
                    .map(|end| (end, None))
                    .map_err(|broken| (Failure::Body, broken.to_string()))
            }
            Wire::Http2(streams) => streams.read_body(limit).await,
            Wire::Tcp(stream) => {
                let names = |body: &[u8]| {
                    names(Answer {
                        headers: Headers::NONE,
                        trailers: Headers::NONE,
                        body,
                        certificate,
                    })
                };
                let ended = stream.read(limit, names).await;
                let ended = ended.map(|end| (end, None));
                ended.map_err(|broken| match stream.heard() {
                    [] => failure_of(&broken),
                    _ => (Failure::Body, broken.to_string()),
                })
            }
        };
        ended.map_err(|(failure, message)| ExchangeError::Failed(failure, message))
    }

    /// Whether bytes have come over TCP, which has no end of a response: they count though no more came in time.
    pub fn has_heard(&self) -> bool {
        matches!(&self.wire, Wire::Tcp(stream) if !stream.heard().is_empty())
    }

    /// What the response tells.
    pub fn answer(&self) -> Answer<'_> {
        Answer {
            headers: self.headers(),
            trailers: match &self.wire {
                Wire::Http2(streams) => streams.trailers(),
                Wire::Http1(_) | Wire::Tcp(_) => Headers::NONE,
            },
            body: self.body(),
            certificate: self
                .certificate
                .as_deref()
                .map(|certificate| &**certificate),
        }
    }

    /// The headers of the response.
    pub fn headers(&self) -> Headers<'_> {
        match &self.wire {
            Wire::Http1(exchanges) => exchanges.headers(),
            Wire::Http2(streams) => streams.headers(),
            Wire::Tcp(_) => Headers::NONE,
        }
    }

    fn body(&self) -> &[u8] {
        match &self.wire {
            Wire::Http1(exchanges) => exchanges.body(),
            Wire::Http2(streams) => streams.body(),
            Wire::Tcp(stream) => stream.heard(),
        }
    }

    /// Forgets the response.
    pub fn finish(&mut self) {
        match &mut self.wire {
            Wire::Http1(exchanges) => exchanges.finish(),
            Wire::Http2(streams) => streams.finish(),
            Wire::Tcp(_) => {}
        }
    }
}

fn failure_of(broken: &Broken) -> (Failure, String) {
    (broken.failure(), broken.to_string())
}
