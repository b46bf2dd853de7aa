//! HTTP/2 by hyper: a share of a connection, on which several requests may be under way.
//!
//! hyper's futures are tasks of the same thread.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::rc::{Rc, Weak};

use bytes::Bytes;
use http::HeaderMap;
use http::response::Parts;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::allowance::Allowance;
use super::buffer::{BodyEnd, Buffer, Lender, gather};
use super::dial::DialError;
use super::grpc::{self, GrpcError};
use super::transport::{self, Transport};
use crate::format::{TOLD, cut};
use crate::headers::Headers;
use crate::observation::Failure;

/// The largest head that a response may have over HTTP/2.
const MOST_HEAD_BYTES: u32 = 128 * 1024;
/// What may come of the bodies on an HTTP/2 connection before they are read.
const WINDOW: u32 = 256 * 1024;

/// A share of an HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Streams {
    sender: http2::SendRequest<Full<Bytes>>,
    tasks: Tasks,
    /// What the peer has sent without progress.
    allowance: Allowance,
    lender: Lender,
    response: Option<Received>,
    /// Whether requests are gRPC calls.
    is_grpc: bool,
}

/// A response over HTTP/2.
#[derive(Debug)]
struct Received {
    head: Parts,
    body: Incoming,
    buffer: Box<Buffer>,
    trailers: HeaderMap,
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
impl Streams {
    pub(super) async fn open(
        transport: Transport,
        lender: Lender,
        allowance: Allowance,
        is_grpc: bool,
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
            message: describe(&error),
        })?;
        spawner.execute(driver);
        Ok(Self {
            sender,
            tasks,
            allowance,
            lender,
            response: None,
            is_grpc,
        })
    }

    /// Whether another request may be sent.
    pub(super) async fn is_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub(super) fn share(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            tasks: Rc::clone(&self.tasks),
            allowance: self.allowance.clone(),
            lender: self.lender.clone(),
            response: None,
            is_grpc: self.is_grpc,
        }
    }

    /// The status; or how it failed, and whether no backend can have got the request.
    pub(super) async fn send(
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
        self.response = Some(Received {
            head,
            body,
            buffer,
            trailers: HeaderMap::new(),
        });
        Ok(status)
    }

    /// Reads the body, and what follows it; of a call the message is left, and its status returned.
    pub(super) async fn read_body(
        &mut self,
        limit: usize,
    ) -> Result<(BodyEnd, Option<u16>), (Failure, String)> {
        let Some(response) = &mut self.response else {
            return Ok((BodyEnd::Whole, None));
        };
        let is_call = self.is_grpc
            && grpc::is_call(response.head.status.as_u16(), &response.head.headers)
                .map_err(|error| (Failure::Protocol, error.to_string()))?;
        let end = response.gather(limit, &self.allowance).await;
        let end = end.map_err(|message| (Failure::Body, message))?;
        if !is_call {
            return Ok((end, None));
        }
        let ended = response.end_call(limit);
        let status = ended.map_err(|error| (Failure::Body, error.to_string()))?;
        Ok((end, Some(status)))
    }

    pub(super) fn trailers(&self) -> Headers<'_> {
        let response = self.response.as_ref();
        response.map_or(Headers::NONE, |response| Headers::from(&response.trailers))
    }

    pub(super) fn headers(&self) -> Headers<'_> {
        let response = self.response.as_ref();
        response.map_or(Headers::NONE, |response| {
            Headers::from(&response.head.headers)
        })
    }

    pub(super) fn body(&self) -> &[u8] {
        self.response
            .as_ref()
            .map_or(&[], |response| &response.buffer.body)
    }

    pub(super) fn finish(&mut self) {
        if let Some(response) = self.response.take() {
            self.lender.take_back(response.buffer);
        }
    }
}

impl Received {
    async fn gather(&mut self, limit: usize, allowance: &Allowance) -> Result<BodyEnd, String> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| describe(&error))?;
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    self.trailers = frame.into_trailers().unwrap_or_default();
                    continue;
                }
            };
            if !data.is_empty() {
                allowance.renew();
            }
            if let Some(end) = gather(&mut self.buffer.body, &data, limit) {
                return Ok(end);
            }
        }
        Ok(BodyEnd::Whole)
    }

    fn end_call(&mut self, limit: usize) -> Result<u16, GrpcError> {
        let headers = &self.head.headers;
        self.buffer.body = grpc::message(headers, &self.buffer.body, limit)?;
        grpc::status(headers, &self.trailers)
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
    // A GOAWAY may carry any words.
    match std::error::Error::source(error) {
        Some(source) => cut(&format!("{error}: {source}"), TOLD),
        None => cut(&error.to_string(), TOLD),
    }
}
