//! The two clients: ours, and hyper's as the measuring path drove it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lbtest::parts::{
    Allowance, Asked, BodyEnd, Broken, Exchanges, Failure, Lender, Metered, SendError, gather,
};

use super::script::{Stream, Turns, run};

/// Most exchanges on a connection.
pub(super) const EXCHANGES: usize = 3;

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// With a response.
    Answered {
        status: u16,
        body: Vec<u8>,
        end: BodyEnd,
    },
    /// Nothing was written.
    Unsent,
    /// Without one.
    Failed(Failure),
    /// It goes on until its time is up.
    Stalled,
}

impl Ended {
    /// The kind of ending.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Answered { end, .. } => format!("{end:?}").to_lowercase(),
            Self::Unsent => "unsent".to_owned(),
            Self::Failed(failure) => failure.to_string(),
            Self::Stalled => "stalled".to_owned(),
        }
    }

    fn is_last(&self) -> bool {
        !matches!(
            self,
            Self::Answered {
                end: BodyEnd::Whole,
                ..
            }
        )
    }
}

/// What is done on a connection.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) turns: Turns,
    pub(super) method: Method,
    /// Most bytes that are read of a body.
    pub(super) limit: usize,
}

/// How the exchanges on a connection ended, what was written, and, for ours, the last error.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) ended: Vec<Ended>,
    pub(super) written: Vec<u8>,
    pub(super) broken: Option<Broken>,
}

/// The course of a case with our client.
pub(super) fn ours(case: &Case, lender: &Lender) -> Course {
    let allowance = Allowance::default();
    let stream = Stream::new(&case.turns);
    let metered = Metered::new(stream.clone(), allowance.clone());
    let mut exchanges = Exchanges::new(metered, lender.clone(), allowance);
    let request = format!("{} / HTTP/1.1\r\nhost: x\r\n\r\n", case.method);
    let asked = match case.method {
        Method::HEAD => Asked::Head,
        Method::CONNECT => Asked::Connect,
        _ => Asked::Whole,
    };
    let mut course = Course {
        ended: vec![],
        written: vec![],
        broken: None,
    };
    for place in 0..EXCHANGES {
        let exchange = async {
            let status = match exchanges.send(request.as_bytes(), asked).await {
                Ok(status) => status,
                Err(SendError::Unsent(_)) if place > 0 => return Ended::Unsent,
                Err(SendError::Unsent(broken) | SendError::Failed(broken)) => {
                    let failure = broken.failure();
                    course.broken = Some(broken);
                    return Ended::Failed(failure);
                }
            };
            match exchanges.read_body(case.limit).await {
                Ok(end) => {
                    let body = exchanges.body().to_vec();
                    exchanges.finish();
                    Ended::Answered { status, body, end }
                }
                Err(broken) => {
                    course.broken = Some(broken);
                    Ended::Failed(Failure::Body)
                }
            }
        };
        let ended = run(exchange).unwrap_or(Ended::Stalled);
        stream.settle();
        let is_last = ended.is_last();
        course.ended.push(ended);
        if is_last {
            break;
        }
    }
    course.written = stream.written();
    course
}

type Driver = http1::Connection<TokioIo<Metered<Stream>>, Full<Bytes>>;

struct Hyper {
    sender: http1::SendRequest<Full<Bytes>>,
    /// `None` once the connection has ended.
    driver: Option<Driver>,
    allowance: Allowance,
    begun: usize,
}

/// The course of a case with hyper's client.
pub(super) fn hypers(case: &Case) -> Course {
    let allowance = Allowance::default();
    let stream = Stream::new(&case.turns);
    let metered = Metered::new(stream.clone(), allowance.clone());
    let handshake = http1::Builder::new()
        .max_buf_size(128 * 1024)
        .writev(false)
        .handshake(TokioIo::new(metered));
    let (sender, driver) = run(handshake)
        .expect("it is ready")
        .expect("nothing is read");
    let mut hyper = Hyper {
        sender,
        driver: Some(driver),
        allowance,
        begun: 0,
    };
    let mut ended = vec![];
    for _ in 0..EXCHANGES {
        let exchange = run(hyper.exchange(case)).unwrap_or(Ended::Stalled);
        stream.settle();
        let is_last = exchange.is_last();
        ended.push(exchange);
        if is_last {
            break;
        }
    }
    Course {
        ended,
        written: stream.written(),
        broken: None,
    }
}

impl Hyper {
    async fn exchange(&mut self, case: &Case) -> Ended {
        if self.begun > 0 && !self.is_reusable().await {
            return Ended::Unsent;
        }
        self.allowance.renew();
        self.begun += 1;
        let request = Request::builder()
            .method(&case.method)
            .uri("/")
            .header("host", "x")
            .body(Full::default())
            .expect("a request");
        let response = self.sender.try_send_request(request);
        let (head, body) = match drive(&mut self.driver, response).await {
            Ok(response) => response.into_parts(),
            Err(mut error) => {
                let is_unwritten = error.take_message().is_some();
                let is_unsent = is_unwritten && self.begun > 1;
                return if is_unsent {
                    Ended::Unsent
                } else {
                    Ended::Failed(classify(&error.into_error()))
                };
            }
        };
        self.allowance.renew();
        let status = head.status.as_u16();
        match self.read_body(body, case.limit).await {
            Ok((body, end)) => Ended::Answered { status, body, end },
            Err(_) => Ended::Failed(Failure::Body),
        }
    }

    async fn is_reusable(&mut self) -> bool {
        if self.sender.is_ready() {
            return true;
        }
        let Self { sender, driver, .. } = self;
        let ready = poll_fn(|cx| sender.poll_ready(cx));
        drive(driver, ready).await.is_ok()
    }

    async fn read_body(
        &mut self,
        mut body: Incoming,
        limit: usize,
    ) -> Result<(Vec<u8>, BodyEnd), hyper::Error> {
        let mut read = Vec::new();
        loop {
            let next = poll_fn(|cx| {
                if let ready @ Poll::Ready(_) = Pin::new(&mut body).poll_frame(cx) {
                    return ready;
                }
                advance(&mut self.driver, cx);
                Pin::new(&mut body).poll_frame(cx)
            });
            let Some(frame) = next.await else {
                return Ok((read, BodyEnd::Whole));
            };
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            if !data.is_empty() {
                self.allowance.renew();
            }
            if let Some(end) = gather(&mut read, &data, limit) {
                return Ok((read, end));
            }
        }
    }
}

/// Polls the connection, then `future`, until `future` is ready.
async fn drive<F: Future>(driver: &mut Option<Driver>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        advance(driver, cx);
        future.as_mut().poll(cx)
    })
    .await
}

fn advance(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if let Some(running) = driver
        && Pin::new(running).poll(cx).is_ready()
    {
        *driver = None;
    }
}

/// The kind of failure that hyper's error stands for.
fn classify(error: &hyper::Error) -> Failure {
    let source = || std::error::Error::source(error);
    // What ended the connection says more than that the request was given up.
    let cause = source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    if let Some(cause) = cause.filter(|_| error.is_canceled()) {
        return classify(cause);
    }
    if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
        return Failure::Protocol;
    }
    let closed = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
    let transport = source().and_then(|cause| cause.downcast_ref::<io::Error>());
    match transport.map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => Failure::Timeout,
        Some(io::ErrorKind::InvalidData) => Failure::Protocol,
        None if !closed => Failure::Protocol,
        _ => Failure::Reset,
    }
}
