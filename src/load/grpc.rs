//! What a gRPC call brought: its message, taken out of its frame, and its status.

use http::{HeaderMap, HeaderName, header};

use crate::identity::encoding;
use crate::observation::status;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// A byte that says whether the message is compressed, and four with its length.
const FRAME_HEAD: usize = 5;

/// Why what came is no answer to a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrpcError {
    /// Somebody else answered.
    #[error(
        "the answer is plain HTTP (200): check the port and the path, and that the ingress speaks gRPC to its backends"
    )]
    Plain,
    /// Nothing says how the call ended.
    #[error(
        "the call ended without trailers, so without a grpc-status: something on the way drops them"
    )]
    NoStatus,
    /// Fewer bytes than a message's head has.
    #[error("the message ends within its head, after {0} of 5 bytes")]
    Head(usize),
    /// The message was cut.
    #[error("the message is announced with {announced} bytes, and {came} came")]
    Length {
        /// Its length, as its head says.
        announced: u32,
        /// What there is of it.
        came: usize,
    },
    /// The coding is not named.
    #[error("the message is said to be compressed, and not how (grpc-encoding)")]
    Flag,
    /// The coding is unknown, or what came is not in it.
    #[error("the message is compressed in a way that lbtest does not read")]
    Encoding,
}

/// Whether a response with this head belongs to a call at all: what proxies answer by themselves may not.
///
/// # Errors
/// It is a 200 of plain HTTP.
pub fn is_call(status: u16, headers: &HeaderMap) -> Result<bool, GrpcError> {
    if status != 200 {
        return Ok(false);
    }
    let kind = headers.get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        Ok(true)
    } else {
        Err(GrpcError::Plain)
    }
}

/// The status of a call that has ended: in its trailers, or in the head where nothing else came.
///
/// # Errors
/// Neither has one.
pub fn status(headers: &HeaderMap, trailers: &HeaderMap) -> Result<u16, GrpcError> {
    let code = trailers
        .get(&GRPC_STATUS)
        .or_else(|| headers.get(&GRPC_STATUS));
    let code = code.ok_or(GrpcError::NoStatus)?;
    Ok(status::of_grpc(code.as_bytes()))
}

/// The message of a call in plain, at most `limit` bytes of it where it is compressed; empty where none came.
///
/// # Errors
/// It was cut, or is compressed in an unknown way.
pub fn message(headers: &HeaderMap, body: &[u8], limit: usize) -> Result<Vec<u8>, GrpcError> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let (&[flag, a, b, c, d], rest) = body
        .split_first_chunk::<FRAME_HEAD>()
        .ok_or(GrpcError::Head(body.len()))?;
    let announced = u32::from_be_bytes([a, b, c, d]);
    let came = rest.len();
    let message = usize::try_from(announced)
        .ok()
        .and_then(|length| rest.get(..length));
    let message = message.ok_or(GrpcError::Length { announced, came })?;
    if flag == 0 {
        return Ok(message.to_vec());
    }
    let coding = headers.get(&GRPC_ENCODING).map(http::HeaderValue::as_bytes);
    let coding = coding
        .filter(|coding| *coding != b"identity")
        .ok_or(GrpcError::Flag)?;
    encoding::decoded_of(coding, message, limit).ok_or(GrpcError::Encoding)
}
