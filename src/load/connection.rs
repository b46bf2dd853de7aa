//! One HTTP/1.1 connection, driven in the task of the request that uses it.
//!
//! hyper's connection future is polled beside the response future instead of being spawned, so that a
//! response costs no task switch.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::dial::{self, DialError};
use crate::observation::Failure;

/// A request as it is handed to hyper.
pub type Outgoing = Request<Full<Bytes>>;

type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// `None` once the connection has ended.
    driver: Option<Driver>,
    served: u64,
}

/// Why an exchange brought no response.
#[derive(Debug)]
pub enum ExchangeError {
    /// hyper hands the request back: it was not written, since the idle connection had closed.
    Unsent(Box<Outgoing>),
    /// The request was written, or the connection was fresh, and no whole response came.
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
    /// Dials `address` and prepares HTTP/1.1 on it.
    ///
    /// # Errors
    /// As [`dial::connect`].
    ///
    /// # Cancel safety
    /// Dropping it closes the socket.
    pub async fn open(address: SocketAddr, limit: Duration) -> Result<Self, DialError> {
        let stream = dial::connect(address, limit).await?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, driver) = handshake.map_err(|error| DialError {
            failure: Failure::Protocol,
            message: error.to_string(),
        })?;
        Ok(Self {
            sender,
            driver: Some(driver),
            served: 0,
        })
    }

    /// How many responses this connection has brought.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served
    }

    /// Waits until another request may be written; `false` when the connection has ended.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn is_reusable(&mut self) -> bool {
        let Self { sender, driver, .. } = self;
        drive(driver, poll_fn(|cx| sender.poll_ready(cx)))
            .await
            .is_ok()
    }

    /// Writes a request and reads the head of its response.
    ///
    /// # Errors
    /// [`ExchangeError::Unsent`] on a connection that has served before, if nothing was written;
    /// otherwise how it failed.
    ///
    /// # Cancel safety
    /// Dropping it leaves the connection in the middle of an exchange: drop the connection too.
    pub async fn send(&mut self, request: Outgoing) -> Result<Response<Incoming>, ExchangeError> {
        let response = self.sender.try_send_request(request);
        match drive(&mut self.driver, response).await {
            Ok(response) => {
                self.served += 1;
                Ok(response)
            }
            Err(mut error) => match error.take_message() {
                Some(request) if self.served > 0 => Err(ExchangeError::Unsent(Box::new(request))),
                _ => {
                    let error = error.into_error();
                    Err(ExchangeError::Failed(classify(&error), describe(&error)))
                }
            },
        }
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
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<(T, BodyEnd), String> {
        buffer.clear();
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            let frame = match drive(&mut self.driver, frame).await {
                Some(frame) => frame.map_err(|error| describe(&error))?,
                None => return Ok((read(buffer), BodyEnd::Whole)),
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let fits = data.len() <= limit.saturating_sub(buffer.len());
            if fits && buffer.is_empty() && body.is_end_stream() {
                return Ok((read(&data), BodyEnd::Whole));
            }
            let room = limit - buffer.len();
            buffer.extend_from_slice(&data[..data.len().min(room)]);
            if !fits {
                return Ok((read(buffer), BodyEnd::Truncated));
            }
        }
    }
}

/// Polls the connection, then `future`, until `future` is ready.
async fn drive<F: Future>(driver: &mut Option<Driver>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Some(running) = driver
            && Pin::new(running).poll(cx).is_ready()
        {
            *driver = None;
        }
        future.as_mut().poll(cx)
    })
    .await
}

/// The kind of failure that hyper's error stands for.
fn classify(error: &hyper::Error) -> Failure {
    if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
        return Failure::Protocol;
    }
    let closed = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
    match io_error(error).map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => Failure::Timeout,
        Some(io::ErrorKind::InvalidData) => Failure::Protocol,
        None if !closed => Failure::Protocol,
        _ => Failure::Reset,
    }
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
