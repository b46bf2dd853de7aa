//! What a peer sends: whole responses, and parts of them.

use std::time::Duration;

use bytes::Bytes;

use super::peer::Step;

/// The pod that every well-behaved response names.
pub(crate) const POD: &str = "challenge-app-6f79ff6b8d-fmzvc";

/// The body that names `pod`.
pub(crate) fn body(pod: &str) -> String {
    format!("<p>Pod Name: {pod}</p>\n")
}

/// A head with these header lines, each ended by CR LF, and without a length.
pub(crate) fn head(lines: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n")
}

/// Such a head, and the body of a well-behaved pod.
pub(crate) fn under(lines: &str) -> String {
    head(lines) + &body(POD)
}

/// A response with these header lines and the length of this body.
pub(crate) fn response(lines: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = head(&format!("{lines}Content-Length: {}\r\n", body.len()));
    [head.as_bytes(), body].concat()
}

/// The response of a well-behaved pod, with these header lines before the others.
pub(crate) fn page_with(lines: &str) -> String {
    let length = body(POD).len();
    under(&format!("{lines}Content-Length: {length}\r\n"))
}

/// The response that names `pod`.
pub(crate) fn page(pod: &str) -> String {
    let length = body(pod).len();
    head(&format!("Content-Length: {length}\r\n")) + &body(pod)
}

/// The response of a well-behaved pod, but for its status.
pub(crate) fn status(status: &str) -> String {
    page(POD).replacen("200 OK", status, 1)
}

/// A chunk of a chunked body.
pub(crate) fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

pub(crate) fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(Bytes::copy_from_slice(bytes.as_ref()))
}

/// Sends it for ever.
pub(crate) fn flood(bytes: impl AsRef<[u8]>) -> Step {
    Step::Repeat(Bytes::copy_from_slice(bytes.as_ref()), u64::MAX)
}

/// Sends it so slowly that no client waits for the end.
pub(crate) fn drip(bytes: impl AsRef<[u8]>) -> Step {
    let bytes = Bytes::copy_from_slice(bytes.as_ref());
    Step::Drip(bytes, Duration::from_secs(1))
}

/// Long enough for a client to have read what was sent.
pub(crate) fn pause() -> Step {
    Step::Pause(Duration::from_millis(20))
}

/// Well-behaved on a connection for as long as the client likes.
pub(crate) fn well_behaved() -> Vec<Step> {
    vec![Step::Read, send(page(POD)), Step::Again]
}
