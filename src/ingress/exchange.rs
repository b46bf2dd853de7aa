//! From one request to its answer.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Incoming};
use tokio::sync::Notify;

use super::discipline::Discipline;
use super::draw;
use super::fault::FaultKind;
use super::grpc::{self, Answer};
use super::host::{bare_host, host_of};
use super::limiter::LimitStatus;
use super::page::{self, Page};
use super::router::Choice;
use super::rule::Route;
use super::shared::{Pod, Shared};

/// ingress-nginx's default `proxy-body-size`.
const MAX_BODY: usize = 1 << 20;

/// nginx's default `client_body_timeout`, here for the whole body.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// The connection is to be ended without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is ended without an answer")]
pub(super) struct Ended;

/// What came of a request that was routed.
#[derive(Debug)]
enum Forwarded<'a> {
    /// The pod answered, with this status.
    Answered(StatusCode, &'a Pod),
    /// The ingress answers for it, with this status.
    Faulted(StatusCode),
}

/// One TCP connection of a client.
#[derive(Debug)]
pub(super) struct Connection {
    shared: Arc<Shared>,
    client: IpAddr,
    answered: AtomicU64,
    /// The connection's ordinal, taken with its first routed request, and that request's own ordinal.
    pinned: OnceLock<(u64, u64)>,
    reset: AtomicBool,
    /// Told when the connection has carried as many requests as it may.
    spent: Notify,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, client: IpAddr) -> Self {
        Self {
            shared,
            client: client.to_canonical(),
            answered: AtomicU64::new(0),
            pinned: OnceLock::new(),
            reset: AtomicBool::new(false),
            spent: Notify::new(),
        }
    }

    /// Waits until the connection has carried as many requests as it may.
    pub(super) async fn spent(&self) {
        self.spent.notified().await;
    }

    /// Whether the connection is to end with a reset.
    pub(super) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }

    /// Answers one request.
    ///
    /// Dropping the future gives the request up; an ordinal that it took stays taken.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Answer, Ended> {
        let (head, body) = request.into_parts();
        // Read before anything is decided, so that the connection can carry the next request and a
        // request that never arrives whole takes no ordinal.
        let mut answer = if drain(body).await? {
            self.route(&head).await?
        } else {
            self.shared.refuse(StatusCode::PAYLOAD_TOO_LARGE)
        };
        let nth = self.answered.fetch_add(1, Ordering::Relaxed) + 1;
        let spent = |limit: NonZeroU64| nth >= limit.get();
        if self.shared.close_after.is_some_and(spent)
            || answer.status() == StatusCode::PAYLOAD_TOO_LARGE
        {
            self.spent.notify_one();
            // HTTP/2 has no such header, and hyper leaves it out there.
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        Ok(answer)
    }

    /// Decides in nginx's order: the Host, the redirect to https, the limiter, the backend.
    ///
    /// Neither a refusal nor a rejection by the limiter takes an ordinal: which requests the limiter
    /// rejects depends on the clock, and the draws of those that it lets through must not. Only a limiter
    /// inside one backend stands behind the routing, and rejects requests that have their ordinal.
    async fn route(&self, head: &Parts) -> Result<Answer, Ended> {
        let shared = &*self.shared;
        let Some(host) = host_of(head) else {
            return Ok(shared.refuse(StatusCode::BAD_REQUEST));
        };
        if let Some(only) = &shared.host
            && !only.eq_ignore_ascii_case(bare_host(host))
        {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            return Ok(default_backend());
        }
        if shared.ssl_redirect {
            return Ok(shared.redirect(host, head));
        }
        if shared.limited_backend.is_none()
            && let Err(wait) = self.admit()
        {
            return Ok(shared.reject(wait));
        }
        if shared.router.is_empty() {
            return Ok(shared.refuse(StatusCode::SERVICE_UNAVAILABLE));
        }
        let ordinal = shared.requests.fetch_add(1, Ordering::Relaxed);
        let route = shared.rules.route(head);
        let is_sticky = shared.discipline == Discipline::Sticky && !matches!(route, Route::Path(_));
        let kept = is_sticky.then(|| shared.affinity_of(head)).flatten();
        let choice = kept.unwrap_or_else(|| self.choose(ordinal, route));
        if shared.limited_backend == Some(choice.backend)
            && let Err(wait) = self.admit()
        {
            return Ok(shared.reject(wait));
        }
        let (status, pod) = match self.forward(ordinal, choice).await? {
            Forwarded::Answered(status, pod) => (status, pod),
            Forwarded::Faulted(status) if shared.page == Page::Grpc => {
                return Ok(grpc::ended(grpc::code_of(status), None));
            }
            Forwarded::Faulted(status) => return Ok(plain(status)),
        };
        let mut answer = if shared.page == Page::Grpc {
            grpc::answer(head, &pod.name, grpc::code_of(status))
        } else {
            let mut answer = page_of(pod.body.clone(), shared.content_type.clone());
            *answer.status_mut() = status;
            answer
        };
        let headers = answer.headers_mut();
        for (name, value) in &pod.headers {
            headers.append(name, value.clone());
        }
        if is_sticky && kept.is_none() {
            headers.append(header::SET_COOKIE, pod.cookie.clone());
        }
        Ok(answer)
    }

    /// Has the chosen pod answer the request with this ordinal, late or in error where it is told to.
    async fn forward(&self, ordinal: u64, choice: Choice) -> Result<Forwarded<'_>, Ended> {
        let shared = &*self.shared;
        let backend = &shared.backends[choice.backend];
        if !backend.delay.is_zero() {
            tokio::time::sleep(backend.delay).await;
        }
        let fault = if backend.faults.is_empty() {
            None
        } else {
            backend.faults.at(ordinal, shared.router.fault(ordinal))
        };
        let status = match fault {
            None => StatusCode::OK,
            Some(FaultKind::Error) => StatusCode::INTERNAL_SERVER_ERROR,
            Some(fault) => {
                backend.count_fault();
                if fault == FaultKind::Reset {
                    self.reset.store(true, Ordering::Relaxed);
                }
                return match fault {
                    FaultKind::Status(status) => Ok(Forwarded::Faulted(status)),
                    _ => Err(Ended),
                };
            }
        };
        let pod = &backend.pods[choice.pod];
        pod.answered.fetch_add(1, Ordering::Relaxed);
        Ok(Forwarded::Answered(status, pod))
    }

    /// The line with which a pod greets a TCP connection; `None` where none does.
    pub(super) async fn greet(&self) -> Option<Bytes> {
        let shared = &*self.shared;
        if shared.router.is_empty() {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let ordinal = shared.requests.fetch_add(1, Ordering::Relaxed);
        let choice = self.choose(ordinal, Route::Weights);
        match self.forward(ordinal, choice).await {
            Ok(Forwarded::Answered(_, pod)) => Some(Bytes::from(format!("{}\n", pod.name))),
            Ok(Forwarded::Faulted(_)) | Err(Ended) => None,
        }
    }

    /// The choice by the rule and the discipline, for the request with this ordinal.
    fn choose(&self, ordinal: u64, route: Route) -> Choice {
        let shared = &*self.shared;
        match shared.discipline {
            Discipline::Random | Discipline::RoundRobin | Discipline::Sticky => {
                shared.router.choose(ordinal, ordinal, route)
            }
            Discipline::PerConnection => {
                let (connection, first) = *self.pinned.get_or_init(|| {
                    let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
                    (connection, ordinal)
                });
                shared.router.choose(first, connection, route)
            }
            Discipline::PerClient => {
                let client = match self.client {
                    IpAddr::V4(address) => draw::hash(&address.octets()),
                    IpAddr::V6(address) => draw::hash(&address.octets()),
                };
                shared.router.choose(ordinal, client, route)
            }
        }
    }

    /// Asks the limiter, where there is one.
    fn admit(&self) -> Result<(), Duration> {
        let Some(limiter) = &self.shared.limiter else {
            return Ok(());
        };
        let now = self.shared.started.elapsed().as_millis();
        limiter.admit(self.client, u64::try_from(now).unwrap_or(u64::MAX))
    }
}

impl Shared {
    /// An answer of the ingress itself to a request that it does not route.
    fn refuse(&self, status: StatusCode) -> Answer {
        self.refused.fetch_add(1, Ordering::Relaxed);
        plain(status)
    }

    /// The limiter's answer; a 429 says when to come back, in whole seconds.
    fn reject(&self, wait: Duration) -> Answer {
        self.limited.fetch_add(1, Ordering::Relaxed);
        let mut answer = plain(self.limit_status.code());
        if self.limit_status == LimitStatus::TooManyRequests {
            let seconds = wait.as_millis().div_ceil(1000);
            let seconds = HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX));
            answer.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        answer
    }

    /// To the same place over https, as `ssl-redirect` does.
    fn redirect(&self, host: &str, head: &Parts) -> Answer {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut answer = self.refuse(StatusCode::PERMANENT_REDIRECT);
        // A Host that can't stand in a header came in one all the same only if it was none.
        if let Ok(location) = HeaderValue::from_str(&format!("https://{}{path}", bare_host(host))) {
            answer.headers_mut().insert(header::LOCATION, location);
        }
        answer
    }
}

/// nginx's page for a status.
fn plain(status: StatusCode) -> Answer {
    let mut answer = page_of(page::nginx(status), page::HTML);
    *answer.status_mut() = status;
    answer
}

/// An answer with status 200 and this body.
fn page_of(body: Bytes, content_type: HeaderValue) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(body)));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    answer
}

/// What ingress-nginx's default backend answers.
fn default_backend() -> Answer {
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    let mut answer = page_of(Bytes::from_static(b"default backend - 404"), text);
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

/// Reads a body to its end: whether it stayed within [`MAX_BODY`].
async fn drain(body: Incoming) -> Result<bool, Ended> {
    if body.is_end_stream() {
        return Ok(true);
    }
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Ok(false);
    }
    let mut body = Limited::new(body, MAX_BODY);
    let read = async {
        while let Some(frame) = body.frame().await {
            if let Err(error) = frame {
                return if error.is::<http_body_util::LengthLimitError>() {
                    Ok(false)
                } else {
                    Err(Ended)
                };
            }
        }
        Ok(true)
    };
    tokio::time::timeout(BODY_TIMEOUT, read)
        .await
        .map_err(|_| Ended)?
}
