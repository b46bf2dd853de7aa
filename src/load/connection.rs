//! One HTTP connection.
//!
//! Over HTTP/1.1 it is driven in the task of the request that uses it: hyper's connection future is polled
//! beside the response future instead of being spawned, so that a response costs no task switch. Over
//! HTTP/2 hyper's futures are tasks of the same thread, since several requests may share the connection.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::allowance::Allowance;
use super::deadline::Deadline;
use super::dial::{DialError, Dialler};
use super::transport::Transport;
use crate::measured::Address;
use crate::observation::Failure;
use crate::plan::target::Protocol;

/// A request as it is handed to hyper.
pub type Outgoing = Request<Full<Bytes>>;

type Driver = http1::Connection<TokioIo<Transport>, Full<Bytes>>;

/// The largest head that a response may have; over HTTP/1.1 it is the most that is buffered of anything.
const MOST_HEAD_BYTES: u32 = 128 * 1024;
/// What may come of the bodies on an HTTP/2 connection before they are read.
const WINDOW: u32 = 256 * 1024;

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    /// What the peer has sent without progress.
    allowance: Allowance,
    begun: Rc<Cell<u64>>,
}

#[derive(Debug)]
enum Sender {
    Http1 {
        sender: http1::SendRequest<Full<Bytes>>,
        /// `None` once the connection has ended.
        driver: Option<Box<Driver>>,
    },
    Http2 {
        sender: http2::SendRequest<Full<Bytes>>,
        tasks: Tasks,
    },
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

/// What was read of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEnd {
    /// All of it.
    Whole,
    /// As much as is read for identification; the rest is still to come, so the connection must close.
    Truncated,
}

impl Connection {
    /// Dials `address` and prepares HTTP on it; `deadline` is the timer that bounds the dial.
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
    ) -> Result<Self, DialError> {
        let allowance = Allowance::default();
        let io = TokioIo::new(dialler.open(address, allowance.clone(), deadline).await?);
        let failed = |error: hyper::Error| DialError {
            failure: Failure::Protocol,
            message: error.to_string(),
        };
        let sender = match dialler.protocol() {
            Protocol::Http1 => {
                let (sender, driver) = http1::Builder::new()
                    .max_buf_size(MOST_HEAD_BYTES as usize)
                    .writev(dialler.sends_bodies())
                    .handshake(io)
                    .await
                    .map_err(failed)?;
                let driver = Some(Box::new(driver));
                Sender::Http1 { sender, driver }
            }
            Protocol::Http2 => {
                let tasks = Tasks::default();
                let spawner = Spawner(Rc::downgrade(&tasks));
                let (sender, driver) = http2::Builder::new(spawner.clone())
                    .max_header_list_size(MOST_HEAD_BYTES)
                    .initial_stream_window_size(WINDOW)
                    .initial_connection_window_size(WINDOW)
                    .handshake(io)
                    .await
                    .map_err(failed)?;
                spawner.execute(driver);
                Sender::Http2 { sender, tasks }
            }
        };
        Ok(Self {
            sender,
            allowance,
            begun: Rc::default(),
        })
    }

    /// The same connection for a further request beside those in flight; `None` over HTTP/1.1, which has
    /// no such thing.
    #[must_use]
    pub fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1 { .. } => None,
            Sender::Http2 { sender, tasks } => Some(Self {
                sender: Sender::Http2 {
                    sender: sender.clone(),
                    tasks: Rc::clone(tasks),
                },
                allowance: self.allowance.clone(),
                begun: Rc::clone(&self.begun),
            }),
        }
    }

    /// How many requests were given to this connection.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun.get()
    }

    /// Waits until another request may be written; `false` when the connection has ended.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn is_reusable(&mut self) -> bool {
        match &mut self.sender {
            // Whether the peer has closed it meanwhile, the connection finds out before it takes a request.
            Sender::Http1 { sender, .. } if sender.is_ready() => true,
            Sender::Http1 { sender, driver } => {
                let ready = poll_fn(|cx| sender.poll_ready(cx));
                drive(driver, ready).await.is_ok()
            }
            Sender::Http2 { sender, .. } => sender.ready().await.is_ok(),
        }
    }

    /// Writes a request and reads the head of its response.
    ///
    /// # Errors
    /// [`ExchangeError::Unsent`] on a connection that was given a request before this one, if no backend can have
    /// got it; otherwise how it failed.
    ///
    /// # Cancel safety
    /// Dropping it leaves an HTTP/1.1 connection in the middle of an exchange: drop the connection too.
    pub async fn send(&mut self, request: Outgoing) -> Result<Response<Incoming>, ExchangeError> {
        self.allowance.renew();
        // Where several are sent at once the others may be refused before the first is answered.
        let is_first = self.begun.replace(self.begun() + 1) == 0;
        let ended = match &mut self.sender {
            Sender::Http1 { sender, driver } => {
                let response = sender.try_send_request(request);
                drive(driver, response).await
            }
            Sender::Http2 { sender, .. } => sender.try_send_request(request).await,
        };
        let mut error = match ended {
            Ok(response) => {
                self.allowance.renew();
                return Ok(response);
            }
            Err(error) => error,
        };
        let is_unwritten = error.take_message().is_some();
        let error = error.into_error();
        if !is_first && (is_unwritten || was_held_back(&error) || was_refused_unseen(&error)) {
            return Err(ExchangeError::Unsent);
        }
        Err(ExchangeError::Failed(classify(&error), describe(&error)))
    }

    /// Reads a body into `buffer` (emptied first), at most `limit` bytes of it, and hands what was read
    /// to `read`; a body that comes in one piece is handed over where it lies.
    ///
    /// # Errors
    /// The body broke off.
    ///
    /// # Cancel safety
    /// Dropping it leaves the connection in the middle of an exchange: drop the connection too.
    pub async fn read_body<T>(
        &mut self,
        mut body: Incoming,
        buffer: &mut Vec<u8>,
        limit: usize,
        read: impl FnOnce(&[u8], BodyEnd) -> T,
    ) -> Result<(T, BodyEnd), String> {
        buffer.clear();
        loop {
            let next = poll_fn(|cx| {
                // A short body came with the head and waits already.
                if let ready @ Poll::Ready(_) = Pin::new(&mut body).poll_frame(cx) {
                    return ready;
                }
                if let Sender::Http1 { driver, .. } = &mut self.sender {
                    advance(driver, cx);
                    return Pin::new(&mut body).poll_frame(cx);
                }
                Poll::Pending
            });
            let frame = next.await;
            let frame = match frame {
                Some(frame) => frame.map_err(|error| describe(&error))?,
                None => return Ok((read(buffer, BodyEnd::Whole), BodyEnd::Whole)),
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if !data.is_empty() {
                self.allowance.renew();
            }
            let fits = data.len() <= limit.saturating_sub(buffer.len());
            if fits && buffer.is_empty() && body.is_end_stream() {
                return Ok((read(&data, BodyEnd::Whole), BodyEnd::Whole));
            }
            let room = limit - buffer.len();
            buffer.extend_from_slice(&data[..data.len().min(room)]);
            if !fits {
                return Ok((read(buffer, BodyEnd::Truncated), BodyEnd::Truncated));
            }
        }
    }
}

/// Polls the connection, then `future`, until `future` is ready.
async fn drive<F: Future>(driver: &mut Option<Box<Driver>>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        advance(driver, cx);
        future.as_mut().poll(cx)
    })
    .await
}

/// Polls the connection until it can get no further, or has ended.
fn advance(driver: &mut Option<Box<Driver>>, cx: &mut Context<'_>) {
    if let Some(running) = driver
        && Pin::new(running).poll(cx).is_ready()
    {
        *driver = None;
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
    match io_error(error).map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => Failure::Timeout,
        Some(io::ErrorKind::InvalidData) => Failure::Protocol,
        None if !closed => Failure::Protocol,
        _ => Failure::Reset,
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
