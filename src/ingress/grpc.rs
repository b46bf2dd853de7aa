//! Unary gRPC calls (gRPC over HTTP/2): a health check, and the echo of Gateway API's conformance tests.
//!
//! Every answer of a pod names it in its metadata (`x-pod-name`) and in its trailers; the echo's message
//! does too, at field 1.4.4 (`assertions.context.pod`).

use std::convert::Infallible;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::WithTrailers;
use http_body_util::{BodyExt, Either, Full};

use bytes::Bytes;

/// An answer: its body was made beforehand, and only that of a gRPC call has trailers.
pub(super) type Answer = Response<Either<Full<Bytes>, WithTrailers<Full<Bytes>, Trailers>>>;
type Trailers = std::future::Ready<Option<Result<HeaderMap, Infallible>>>;

/// The service that gRPC servers answer health checks with (grpc/health/v1/health.proto).
const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// Gateway API's echo-basic over gRPC.
const ECHO: &str = "/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/Echo";
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");

/// gRPC's numbers for how a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Ok = 0,
    Unknown = 2,
    PermissionDenied = 7,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// The code that stands for an HTTP status (grpc/doc/http-grpc-status-mapping.md).
pub(super) fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        200 => Code::Ok,
        400 | 500 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// What a pod answers a request with.
pub(super) fn answer(head: &Parts, pod: &str, code: Code) -> Answer {
    let is_call = head.headers.get(header::CONTENT_TYPE);
    if !is_call.is_some_and(|kind| kind.as_bytes().starts_with(CONTENT_TYPE.as_bytes())) {
        let mut answer = Response::new(Either::Left(Full::default()));
        *answer.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return answer;
    }
    let name = HeaderValue::from_str(pod).expect("a pod's name is visible ASCII");
    let message = match head.uri.path() {
        HEALTH => vec![0x08, 1],
        ECHO => field(1, &field(4, &field(4, pod.as_bytes()))),
        _ => return ended(Code::Unimplemented, Some(name)),
    };
    if code != Code::Ok {
        return ended(code, Some(name));
    }
    let length = u32::try_from(message.len()).expect("a message of a few hundred bytes");
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("x-pod-name", name.clone());
    let body = Full::new(Bytes::from(framed)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut answer = Response::new(Either::Right(body));
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, CONTENT_TYPE);
    answer.headers_mut().insert("x-pod-name", name);
    answer
}

/// A call that ended without a message: its status stands in the head (a trailers-only response).
pub(super) fn ended(code: Code, pod: Option<HeaderValue>) -> Answer {
    let mut answer = Response::new(Either::Left(Full::default()));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert("grpc-status", HeaderValue::from(code as u16));
    if let Some(pod) = pod {
        headers.insert("x-pod-name", pod);
    }
    answer
}

/// A length-delimited field of a protobuf message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        field.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    field.push(u8::try_from(length).expect("seven bits"));
    field.extend_from_slice(content);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str, content_type: &str) -> Answer {
        let request = http::Request::builder()
            .uri(path)
            .header(header::CONTENT_TYPE, content_type)
            .body(());
        let (head, ()) = request.unwrap().into_parts();
        answer(&head, "app-v2-6b8464cddd-x7kfd", Code::Ok)
    }

    #[tokio::test]
    async fn the_echo_names_its_pod_in_message_metadata_and_trailers() {
        let answer = call(ECHO, "application/grpc+proto");
        assert_eq!(answer.headers()["x-pod-name"], "app-v2-6b8464cddd-x7kfd");
        let collected = answer.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        let message = collected.to_bytes();
        assert_eq!(message[..5], [0, 0, 0, 0, 29]);
        assert_eq!(
            message[5..11],
            [0x0a, 27, 0x22, 25, 0x22, 23],
            "field 1.4.4"
        );
    }

    #[test]
    fn an_unknown_method_is_unimplemented_and_a_plain_request_is_no_call() {
        let answer = call("/shop.Cart/Get", "application/grpc");
        assert_eq!(answer.headers()["grpc-status"], "12");
        assert_eq!(call(HEALTH, "text/plain").status(), 415);
    }
}
