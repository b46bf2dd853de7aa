//! One connection, one request, one response.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Shared;
use super::answer::{Answer, AnswerVerdict};
use super::body::{self, BodyError};
use super::call::{Call, CallError, Payload};
use super::check::QueueFull;
use super::metrics;
use super::moment::Moment;
use super::origin;
use super::page;
use super::places::{Metered, Place};
use super::response::{Answered, allowed, json, last, refused, text, with};
use crate::serving::{self, Stage};

/// A request's head is to be there within this, the wait for it on an idle connection included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A head is no larger; hyper answers 431 beyond it, and takes no smaller bound.
const MOST_HEAD_BYTES: usize = 8 * 1024;

/// A connection ends after this, whatever it carries: a client that reads nothing holds it no longer.
const LIFETIME: Duration = Duration::from_mins(2);

/// What a response may still take once its connection's time is over.
const LAST: Duration = Duration::from_secs(5);

/// The client went away before its request was there.
#[derive(Debug, thiserror::Error)]
#[error("the request did not arrive whole")]
struct Gone;

/// Serves one connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    place: Place,
    shared: Arc<Shared>,
    mut stage: watch::Receiver<Stage>,
) {
    let place = Arc::new(place);
    let own_place = Arc::clone(&place);
    let mut exchanges = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MOST_HEAD_BYTES)
        .serve_connection(
            TokioIo::new(Metered::new(stream, Arc::clone(&place))),
            service_fn(move |request| {
                respond(Arc::clone(&shared), Arc::clone(&own_place), request)
            }),
        );
    let whole = async {
        let all = serving::exchange(&mut exchanges, &mut stage);
        if tokio::time::timeout(LIFETIME, all).await.is_err() {
            Pin::new(&mut exchanges).graceful_shutdown();
            let last = serving::exchange(&mut exchanges, &mut stage);
            let _ = tokio::time::timeout(LAST, last).await;
        }
    };
    tokio::select! {
        () = whole => {}
        () = place.left() => {}
    }
}

async fn respond(
    shared: Arc<Shared>,
    place: Arc<Place>,
    request: Request<Incoming>,
) -> Result<Answered, Gone> {
    let (head, body) = request.into_parts();
    let resource = Resource::of(head.uri.path());
    let mut response = match read(&shared, resource, &head, (body, &place)).await {
        Ok(body) => resource.answer(&shared, &head, &body),
        Err(BodyError::Broken) => return Err(Gone),
        Err(BodyError::TooLarge) => last(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        Err(BodyError::Slow) => last(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    place.renew();
    let status = response.status().as_u16();
    shared.requests.count(resource.name(), status);
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    Ok(response)
}

/// The body, read before anything is decided, so that the connection can carry the next request. Whoever has not
/// presented the token in the head is heard further only where Flagger's stands in the body.
async fn read(
    shared: &Shared,
    resource: Resource<'_>,
    head: &Parts,
    (body, place): (Incoming, &Place),
) -> Result<Bytes, BodyError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if !is_admitted(shared, resource, head, None) && !matches!(resource, Resource::Flagger(_)) {
        return Ok(Bytes::new());
    }
    body::read(&head.headers, body, place).await
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource<'a> {
    Health,
    Readiness,
    Metrics,
    Verdict(&'a str),
    Flagger(&'a str),
    /// Every check, for browsers.
    Page,
    /// The report of one run, for browsers.
    Report(&'a str),
    /// A check to be run now.
    Run(&'a str),
    Unknown,
}

impl<'a> Resource<'a> {
    fn of(path: &'a str) -> Self {
        match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Readiness,
            "/metrics" => Self::Metrics,
            "/" => Self::Page,
            _ => {
                let named = |prefix| path.strip_prefix(prefix);
                named("/verdict/")
                    .map(Self::Verdict)
                    .or_else(|| named("/flagger/").map(Self::Flagger))
                    .or_else(|| named("/report/").map(Self::Report))
                    .or_else(|| named("/run/").map(Self::Run))
                    .unwrap_or(Self::Unknown)
            }
        }
    }

    /// Whether people open it, whose browsers ask for a password and know no bearer.
    const fn is_for_browsers(self) -> bool {
        matches!(self, Self::Page | Self::Report(_) | Self::Run(_))
    }

    /// The resource without a caller's words, for the metrics.
    const fn name(self) -> &'static str {
        match self {
            Self::Health => "healthz",
            Self::Readiness => "readyz",
            Self::Metrics => "metrics",
            Self::Verdict(_) => "verdict",
            Self::Flagger(_) => "flagger",
            Self::Page => "page",
            Self::Report(_) => "report",
            Self::Run(_) => "run",
            Self::Unknown => "unknown",
        }
    }

    fn answer(self, shared: &Shared, head: &Parts, body: &[u8]) -> Answered {
        // Probes cannot present a token, and learn nothing.
        match self {
            Self::Health => return probe(head, true),
            Self::Readiness => return probe(head, !shared.is_stopping()),
            _ => {}
        }
        if shared.token.is_none() && origin::is_foreign(&head.headers) {
            return refused(
                StatusCode::FORBIDDEN,
                "without a token only programs of this machine are answered, under localhost or its address: \
                 set a token for others",
            );
        }
        let payload = match self {
            Self::Flagger(_) => Some(Payload::parse(body)),
            _ => None,
        };
        // Before anything else, so that strangers learn no names.
        let read = payload.as_ref().and_then(|read| read.as_ref().ok());
        if !is_admitted(shared, self, head, read) {
            return self.unauthorized();
        }
        let query = head.uri.query().unwrap_or_default();
        let reading = [Method::GET, Method::HEAD];
        let methods = match self {
            Self::Flagger(_) | Self::Run(_) => &[Method::POST][..],
            _ => &reading,
        };
        let is_known = self != Self::Unknown;
        if let Some(refusal) = allowed(head, methods).filter(|_| is_known) {
            return refusal;
        }
        match (self, payload) {
            (Self::Metrics, _) => {
                let format = metrics::format(&head.headers);
                let document = metrics::render(shared, format, Moment::now());
                text(StatusCode::OK, format.media_type(), document)
            }
            (Self::Verdict(name), _) => {
                verdict_of(shared, name, || Call::of_query(query), |_| StatusCode::OK)
            }
            (Self::Flagger(name), Some(payload)) => {
                verdict_of(shared, name, || payload?.call(query), flagger_status)
            }
            (Self::Page, _) => page::status(shared, Moment::now()),
            (Self::Report(path), _) => page::report(shared, path, &head.headers),
            (Self::Run(name), _) => page::run(shared, name, &head.headers),
            _ => refused(
                StatusCode::NOT_FOUND,
                "there are the page at /, /verdict/NAME, /flagger/NAME, /metrics, /healthz and /readyz",
            ),
        }
    }

    /// The refusal of who has not presented the token.
    fn unauthorized(self) -> Answered {
        let refusal = refused(StatusCode::UNAUTHORIZED, "a bearer token is needed");
        let refusal = with(refusal, WWW_AUTHENTICATE, "Bearer realm=\"lbtest\"");
        if self.is_for_browsers() {
            let scheme =
                "Basic realm=\"lbtest: any name, the token as password\", charset=\"UTF-8\"";
            return with(refusal, WWW_AUTHENTICATE, scheme);
        }
        refusal
    }
}

/// Whether the caller has presented the token, where there is one. That of a browser, which sends it along whoever's page
/// asks for it, opens only what tells that page nothing.
fn is_admitted(
    shared: &Shared,
    resource: Resource<'_>,
    head: &Parts,
    payload: Option<&Payload>,
) -> bool {
    let Some(token) = &shared.token else {
        return true;
    };
    let in_payload = payload.and_then(Payload::token);
    token.is_in(&head.headers)
        || resource.is_for_browsers() && token.is_password_in(&head.headers)
        || in_payload.is_some_and(|text| token.is(text.as_bytes()))
}

/// The status that Flagger acts on: it advances on 200, and calls again by itself on a 5xx, which would be
/// no news. A 4xx counts as a failed check, or keeps a confirming hook waiting.
fn flagger_status(verdict: AnswerVerdict) -> StatusCode {
    match verdict {
        AnswerVerdict::Pass => StatusCode::OK,
        AnswerVerdict::Fail => StatusCode::CONFLICT,
        AnswerVerdict::Inconclusive | AnswerVerdict::Error | AnswerVerdict::Running => {
            StatusCode::TOO_EARLY
        }
    }
}

/// What is known about the check of this name.
fn verdict_of(
    shared: &Shared,
    name: &str,
    call: impl FnOnce() -> Result<Call, CallError>,
    status: impl FnOnce(AnswerVerdict) -> StatusCode,
) -> Answered {
    let Some(check) = shared.check(name) else {
        return refused(StatusCode::NOT_FOUND, "there is no check of this name");
    };
    let now = Moment::now();
    let asked = || {
        let call = call()?;
        Ok::<_, CallError>((call.step(&check.1.split)?, call.not_before(now.wall)?))
    };
    let (step, not_before) = match asked() {
        Ok(asked) => asked,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let answer: Result<Answer, QueueFull> = shared.board().ask(check, &step, not_before, now);
    match answer {
        Ok(answer) => {
            shared.wake.notify_one();
            json(status(answer.verdict), &answer)
        }
        Err(error) => {
            let refusal = refused(StatusCode::TOO_MANY_REQUESTS, &error.to_string());
            with(refusal, RETRY_AFTER, "10")
        }
    }
}

fn probe(head: &Parts, is_well: bool) -> Answered {
    allowed(head, &[Method::GET, Method::HEAD]).unwrap_or_else(|| {
        let (status, body) = if is_well {
            (StatusCode::OK, "ok\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
        };
        text(status, "text/plain; charset=utf-8", body)
    })
}
