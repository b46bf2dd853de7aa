//! A request's body, read within limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::EXPECT;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::places::Place;

/// Flagger's payload is a few hundred bytes.
const MOST_BYTES: usize = 64 * 1024;

/// The body is to be there within this.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A body that is too large is thrown away for this long, so that a client that only listens after it has
/// written hears the answer.
const DISCARD: Duration = Duration::from_millis(500);

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// It is larger than the limit.
    TooLarge,
    /// It did not come in time.
    Slow,
    /// The client went away.
    Broken,
}

/// Reads a body of at most 64 KiB.
///
/// Dropping the future leaves the rest unread; the connection can carry no further request then.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Incoming,
    place: &Place,
) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > MOST_BYTES as u64 {
        // Who expects 100 Continue sends nothing before that.
        if !headers.contains_key(EXPECT) {
            discard(&mut body, place).await;
        }
        return Err(BodyError::TooLarge);
    }
    let read = tokio::time::timeout(TIMEOUT, whole(&mut body)).await;
    let read = read.unwrap_or(Err(BodyError::Slow));
    if read == Err(BodyError::TooLarge) {
        discard(&mut body, place).await;
    }
    read
}

/// The body in one piece: a chunk of one byte costs one byte.
async fn whole(body: &mut Incoming) -> Result<Bytes, BodyError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Broken)?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if whole.len() + data.len() > MOST_BYTES {
            return Err(BodyError::TooLarge);
        }
        whole.extend_from_slice(data);
    }
    Ok(whole.freeze())
}

/// Throws a body away as it comes.
async fn discard(body: &mut Incoming, place: &Place) {
    let all = async {
        while let Some(Ok(_)) = body.frame().await {
            place.let_go();
        }
    };
    let _ = tokio::time::timeout(DISCARD, all).await;
}
