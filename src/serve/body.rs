//! A request's body, read within limits.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};

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
pub(super) async fn read(headers: &HeaderMap, mut body: Incoming) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > MOST_BYTES as u64 {
        // Who expects 100 Continue sends nothing before that.
        if !headers.contains_key(EXPECT) {
            discard(&mut body).await;
        }
        return Err(BodyError::TooLarge);
    }
    let limited = Limited::new(&mut body, MOST_BYTES).collect();
    match tokio::time::timeout(TIMEOUT, limited).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            discard(&mut body).await;
            Err(BodyError::TooLarge)
        }
        Ok(Err(_)) => Err(BodyError::Broken),
        Err(_) => Err(BodyError::Slow),
    }
}

/// Throws a body away as it comes.
async fn discard(body: &mut Incoming) {
    let all = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(DISCARD, all).await;
}
