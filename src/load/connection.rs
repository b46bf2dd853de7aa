//! One HTTP connection.
//!
//! Over HTTP/1.1 its exchanges run in the task of the request that uses it. Over HTTP/2 hyper's futures are tasks
//! of the same thread, since several requests may share the connection.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::rc::{Rc, Weak};

use bytes::Bytes;
use http::response::Parts;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::allowance::Allowance;
use super::buffer::{BodyEnd, Buffer, Lender, gather};
use super::deadline::Deadline;
use super::dial::{DialError, Dialler};
use super::http1::exchange::{Exchanges, SendError};
use super::outgoing::Outgoing;
use super::transport::{self, Transport};
use crate::headers::Headers;
use crate::measured::Address;
use crate::observation::Failure;
use crate::plan::target::Protocol;

/// The largest head that a response may have over HTTP/2.
const MOST_HEAD_BYTES: u32 = 128 * 1024;
/// What may come of the bodies on an HTTP/2 connection before they are read.
const WINDOW: u32 = 256 * 1024;

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    begun: Rc<Cell<u64>>,
}

#[derive(Debug)]
enum Wire {
    Http1(Exchanges<Transport>),
    Http2(Streams),
}

/// A share of an HTTP/2 connection.
#[derive(Debug)]
struct Streams {
    sender: http2::SendRequest<Full<Bytes>>,
    tasks: Tasks,
    /// What the peer has sent without progress.
    allowance: Allowance,
    lender: Lender,
    response: Option<Received>,
}

/// A response over HTTP/2.
#[derive(Debug)]
struct Received {
    head: Parts,
    body: Incoming,
    buffer: Box<Buffer>,
}

/// The tasks behind an HTTP/2 connection; they end when the last of its users has gone, whatever they wait for.
type Tasks = Rc<RefCell<JoinSet<()>>>;

/// Starts such tasks. They hold it themselves, so that it must not hold them.
#[derive(Debug, Clone)]
struct Spawner(Weak<RefCell<JoinSet<()>>>);

impl<F: Future + 'static> Executor<F> for Spawner {
    fn execute(&self, future: F) {
        let Some(tasks) = self.0.upgrade() else {
            return;
        };
        let mut tasks = tasks.borrow_mut();
        // The set remembers tasks until they are asked after.
        while tasks.try_join_next().is_some() {}
        tasks.spawn_local(async move {
            future.await;
        });
    }
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
        let wire = match dialler.protocol() {
            Protocol::Http1 => Wire::Http1(Exchanges::new(transport, lender, allowance)),
            Protocol::Http2 => Wire::Http2(Streams::open(transport, lender, allowance).await?),
        };
        Ok(Self {
            wire,
            begun: Rc::default(),
        })
    }

    /// The same connection for a further request beside those in flight; `None` over HTTP/1.1, which has
    /// no such thing.
    #[must_use]
    pub fn share(&self) -> Option<Self> {
        match &self.wire {
            Wire::Http1(_) => None,
            Wire::Http2(streams) => Some(Self {
                wire: Wire::Http2(streams.share()),
                begun: Rc::clone(&self.begun),
            }),
        }
    }

    /// How many requests were given to this connection.
    #[must_use]
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
            Wire::Http2(streams) => streams.sender.ready().await.is_ok(),
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
                    Err(SendError::Unsent(broken)) => {
                        (true, (broken.failure(), broken.to_string()))
                    }
                    Err(SendError::Failed(broken)) => {
                        (false, (broken.failure(), broken.to_string()))
                    }
                }
            }
            Wire::Http2(streams) => match streams.send(request.request()).await {
                Ok(status) => return Ok(status),
                Err(failed) => failed,
            },
        };
        if is_unsent && !is_first {
            return Err(ExchangeError::Unsent);
        }
        let (failure, message) = failed;
        Err(ExchangeError::Failed(failure, message))
    }

    /// Reads the body of the response, at most `limit` bytes of it.
    ///
    /// # Errors
    /// The body broke off.
    ///
    /// # Cancel safety
    /// Dropping it leaves the connection in the middle of an exchange: drop the connection too.
    pub async fn read_body(&mut self, limit: usize) -> Result<BodyEnd, ExchangeError> {
        let ended = match &mut self.wire {
            Wire::Http1(exchanges) => {
                let ended = exchanges.read_body(limit).await;
                ended.map_err(|broken| broken.to_string())
            }
            Wire::Http2(streams) => streams.read_body(limit).await,
        };
        ended.map_err(|message| ExchangeError::Failed(Failure::Body, message))
    }

    /// The headers of the response.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        match &self.wire {
            Wire::Http1(exchanges) => exchanges.headers(),
            Wire::Http2(streams) => streams.headers(),
        }
    }

    /// What was read of the body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        match &self.wire {
            Wire::Http1(exchanges) => exchanges.body(),
            Wire::Http2(streams) => streams.body(),
        }
    }

    /// Forgets the response.
    pub fn finish(&mut self) {
        match &mut self.wire {
            Wire::Http1(exchanges) => exchanges.finish(),
            Wire::Http2(streams) => streams.finish(),
        }
    }
}

impl Streams {
    async fn open(
        transport: Transport,
        lender: Lender,
        allowance: Allowance,
    ) -> Result<Self, DialError> {
        let tasks = Tasks::default();
        let spawner = Spawner(Rc::downgrade(&tasks));
        let opened = http2::Builder::new(spawner.clone())
            .max_header_list_size(MOST_HEAD_BYTES)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(TokioIo::new(transport))
            .await;
        let (sender, driver) = opened.map_err(|error| DialError {
            failure: Failure::Protocol,
            message: error.to_string(),
        })?;
        spawner.execute(driver);
        Ok(Self {
            sender,
            tasks,
            allowance,
            lender,
            response: None,
        })
    }

    fn share(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            tasks: Rc::clone(&self.tasks),
            allowance: self.allowance.clone(),
            lender: self.lender.clone(),
            response: None,
        }
    }

    /// The status; or how it failed, and whether no backend can have got the request.
    async fn send(
        &mut self,
        request: http::Request<Full<Bytes>>,
    ) -> Result<u16, (bool, (Failure, String))> {
        self.allowance.renew();
        let ended = self.sender.try_send_request(request).await;
        let (head, body) = ended
            .map_err(|mut error| {
                let is_unwritten = error.take_message().is_some();
                let error = error.into_error();
                let is_unsent = is_unwritten || was_held_back(&error) || was_refused_unseen(&error);
                (is_unsent, (classify(&error), describe(&error)))
            })?
            .into_parts();
        self.allowance.renew();
        let status = head.status.as_u16();
        let buffer = self.lender.lend();
        self.response = Some(Received { head, body, buffer });
        Ok(status)
    }

    async fn read_body(&mut self, limit: usize) -> Result<BodyEnd, String> {
        let Some(Received { body, buffer, .. }) = &mut self.response else {
            return Ok(BodyEnd::Whole);
        };
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| describe(&error))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if !data.is_empty() {
                self.allowance.renew();
            }
            if let Some(end) = gather(&mut buffer.body, &data, limit) {
                return Ok(end);
            }
        }
        Ok(BodyEnd::Whole)
    }

    fn headers(&self) -> Headers<'_> {
        let response = self.response.as_ref();
        response.map_or(Headers::NONE, |response| {
            Headers::from(&response.head.headers)
        })
    }

    fn body(&self) -> &[u8] {
        self.response
            .as_ref()
            .map_or(&[], |response| &response.buffer.body)
    }

    fn finish(&mut self) {
        if let Some(response) = self.response.take() {
            self.lender.take_back(response.buffer);
        }
    }
}

/// The kind of failure that hyper's error stands for.
fn classify(error: &hyper::Error) -> Failure {
    // What ended the connection says more than that the request was given up.
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    if let Some(cause) = cause.filter(|_| error.is_canceled()) {
        return classify(cause);
    }
    if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
        return Failure::Protocol;
    }
    if let Some(error) = http2_error(error)
        && !error.is_io()
    {
        return if error.is_remote() {
            Failure::Reset
        } else {
            Failure::Protocol
        };
    }
    let closed = error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || was_held_back(error);
    match io_error(error) {
        Some(error) => transport::failure(error),
        None if closed => Failure::Reset,
        None => Failure::Protocol,
    }
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    if let Some(error) = http2_error(error) {
        return error.get_io();
    }
    std::error::Error::source(error)?.downcast_ref()
}

fn http2_error(error: &hyper::Error) -> Option<&h2::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// Whether the connection ended while the request waited for the peer to allow a further stream: hyper then drops
/// what it has not written, and calls that an error of its user's, which a request of ours never is.
fn was_held_back(error: &hyper::Error) -> bool {
    error.is_user()
}

/// Whether the peer says that it has not looked at the request: it refused the stream, or closed the
/// connection in order before it (RFC 9113 §8.7).
fn was_refused_unseen(error: &hyper::Error) -> bool {
    http2_error(error).is_some_and(|error| {
        let reason = error.reason();
        error.is_remote()
            && (error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM)
                || error.is_go_away() && reason == Some(h2::Reason::NO_ERROR))
    })
}

fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
