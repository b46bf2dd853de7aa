//! Responses, made whole beforehand.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

/// A response: its body was made beforehand.
pub(super) type Answered = Response<Full<Bytes>>;

/// Why a request gets no answer.
#[derive(Debug, Serialize)]
struct Refusal<'a> {
    error: &'a str,
}

pub(super) fn refused(status: StatusCode, why: &str) -> Answered {
    json(status, &Refusal { error: why })
}

/// The refusal of a request whose rest is not read, which is the connection's last.
pub(super) fn last(status: StatusCode, why: &str) -> Answered {
    with(refused(status, why), CONNECTION, "close")
}

/// The refusal of a method that is not among these.
pub(super) fn allowed(head: &Parts, methods: &[Method]) -> Option<Answered> {
    if methods.contains(&head.method) {
        return None;
    }
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let why = format!("this takes {} alone", names.join(" and "));
    let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, &why);
    if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
        response.headers_mut().insert(ALLOW, names);
    }
    Some(response)
}

pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Answered {
    let mut body = serde_json::to_string(document).expect("the document has text keys alone");
    body.push('\n');
    text(status, "application/json", body)
}

pub(super) fn text(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Answered {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let typed = with(response, CONTENT_TYPE, media_type);
    with(typed, X_CONTENT_TYPE_OPTIONS, "nosniff")
}

/// The same with one more header.
pub(super) fn with(mut response: Answered, name: HeaderName, value: &'static str) -> Answered {
    let value = HeaderValue::from_static(value);
    response.headers_mut().append(name, value);
    response
}
