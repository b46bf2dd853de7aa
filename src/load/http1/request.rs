//! The bytes of a request.

use http::header::{CONNECTION, CONTENT_LENGTH};

use crate::plan::target::RequestTemplate;

/// A request as it goes out, body and all; the last on its connection says so.
pub fn encode(request: &RequestTemplate, is_last: bool) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, request.uri).into_bytes();
    let mut line = |name: &str, value: &[u8]| {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    };
    for (name, value) in &request.headers {
        line(name.as_str(), value.as_bytes());
    }
    if is_last {
        line(CONNECTION.as_str(), b"close");
    }
    if !request.body.is_empty() {
        let length = request.body.len().to_string();
        line(CONTENT_LENGTH.as_str(), length.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&request.body);
    bytes
}
