//! A unary gRPC call as a request of HTTP/2 (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, TE};
use http::{HeaderName, HeaderValue, Method};

use super::RequestOptions;
use crate::plan::target::RequestTemplate;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Why settings make no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrpcError {
    /// What is called is no method.
    #[error("--grpc '{0}' is not SERVICE/METHOD, such as grpc.health.v1.Health/Check")]
    Method(String),
    /// An option that a call decides by itself.
    #[error("--grpc and {0} exclude each other, since a call decides that by itself: drop {0}")]
    With(&'static str),
    /// The message is larger than a call can say.
    #[error("--grpc: the message is larger than 4 GiB")]
    Long,
}

/// The path of a call.
///
/// # Errors
/// The text is not `SERVICE/METHOD`, or options contradict it.
pub(super) fn path(asked: &RequestOptions, method: &str) -> Result<String, GrpcError> {
    let options = [
        ("--method", asked.method.is_some()),
        ("--path", asked.path.is_some()),
        ("--send", asked.send.is_some()),
    ];
    if let Some((flag, _)) = options.into_iter().find(|&(_, is_given)| is_given) {
        return Err(GrpcError::With(flag));
    }
    let written = method.strip_prefix('/').unwrap_or(method);
    let is_name = |name: &str| {
        let is_in_names = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !name.is_empty() && name.bytes().all(is_in_names)
    };
    match written.split_once('/') {
        Some((service, name)) if is_name(service) && is_name(name) => Ok(format!("/{written}")),
        _ => Err(GrpcError::Method(method.escape_debug().to_string())),
    }
}

/// Makes a call of the request: its message framed, and what the protocol wants said of it.
///
/// # Errors
/// The message is too large.
pub(super) fn call(request: &mut RequestTemplate, timeout: Duration) -> Result<(), GrpcError> {
    let length = u32::try_from(request.body.len()).map_err(|_| GrpcError::Long)?;
    let framed = [&[0][..], &length.to_be_bytes(), &request.body].concat();
    request.body = Bytes::from(framed);
    request.method = Method::POST;
    let headers = &mut request.headers;
    headers.remove(ACCEPT);
    headers.remove(ACCEPT_ENCODING);
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(
        GRPC_ACCEPT_ENCODING,
        HeaderValue::from_static("identity,gzip"),
    );
    headers.insert(GRPC_TIMEOUT, timeout_value(timeout));
    Ok(())
}

/// At most eight digits and a unit.
fn timeout_value(timeout: Duration) -> HeaderValue {
    let most = 99_999_999;
    let text = match timeout.as_millis() {
        millis @ ..=99_999_999 => format!("{millis}m"),
        _ => format!("{}S", timeout.as_secs().min(most)),
    };
    HeaderValue::from_str(&text).expect("digits and a letter")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::settings::Settings;

    #[test]
    fn a_call_is_a_post_of_the_framed_message_with_its_deadline() {
        let table = json!({
            "expect": "a=1,b=1", "grpc": "shop.Cart/Get", "data": "abc", "timeout": "1500ms"
        });
        let request = Settings::read(|| &table).unwrap().plan().unwrap().request;
        assert_eq!(request.method, Method::POST);
        assert_eq!(request.uri, "http://localhost/shop.Cart/Get");
        assert_eq!(request.body, &b"\0\0\0\0\x03abc"[..]);
        assert_eq!(request.headers["grpc-timeout"], "1500m");
        assert_eq!(request.headers["te"], "trailers");
        assert_eq!(timeout_value(Duration::from_secs(100_000)), "100000S");
    }

    #[test]
    fn what_is_no_method_is_refused() {
        for method in ["", "Check", "a/", "/b", "a/b/c", "http://x/", "a b/c"] {
            assert!(
                path(&RequestOptions::default(), method).is_err(),
                "{method}"
            );
        }
        let with_path = RequestOptions {
            path: Some("/".to_owned()),
            ..RequestOptions::default()
        };
        assert!(path(&with_path, "a/b").is_err());
    }
}
