//! A request's body, read within limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::EXPECT;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Flagger's payload is a few hundred bytes.
const MOST_BYTES: usize = 64 * 1024;

/// What all requests with a body may hold together, head and body, while their callers have presented no token:
/// a small part of the 256 MiB that the manifest grants.
pub(super) const MOST_STRANGE_BYTES: usize = 8 * 1024 * 1024;

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
    /// Callers without a token hold as much as they may.
    NoRoom,
}

/// A request's share of what strangers may hold; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Room<'a> {
    all: &'a Semaphore,
    taken: Option<SemaphorePermit<'a>>,
}

impl<'a> Room<'a> {
    /// Room for a head, which is kept while its body comes.
    pub(super) fn of(all: &'a Semaphore, head: &Parts) -> Result<Self, BodyError> {
        let fields = head.headers.iter();
        let fields: usize = fields
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        let mut room = Self { all, taken: None };
        room.take(fields)?;
        Ok(room)
    }

    /// Room for so many bytes more.
    fn take(&mut self, bytes: usize) -> Result<(), BodyError> {
        let bytes = u32::try_from(bytes).map_err(|_| BodyError::NoRoom)?;
        let more = self.all.try_acquire_many(bytes);
        let more = more.map_err(|_| BodyError::NoRoom)?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }
}

/// Reads a body of at most 64 KiB, a stranger's within the room for all of them.
///
/// Dropping the future leaves the rest unread; the connection can carry no further request then.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Incoming,
    room: Option<&mut Room<'_>>,
) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > MOST_BYTES as u64 {
        // Who expects 100 Continue sends nothing before that.
        if !headers.contains_key(EXPECT) {
            discard(&mut body).await;
        }
        return Err(BodyError::TooLarge);
    }
    let read = tokio::time::timeout(TIMEOUT, whole(&mut body, room)).await;
    let read = read.unwrap_or(Err(BodyError::Slow));
    if read == Err(BodyError::TooLarge) {
        discard(&mut body).await;
    }
    read
}

/// The body in one piece: a chunk of one byte costs one byte.
async fn whole(body: &mut Incoming, mut room: Option<&mut Room<'_>>) -> Result<Bytes, BodyError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Broken)?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if whole.len() + data.len() > MOST_BYTES {
            return Err(BodyError::TooLarge);
        }
        if let Some(room) = &mut room {
            room.take(data.len())?;
        }
        whole.extend_from_slice(data);
    }
    Ok(whole.freeze())
}

/// Throws a body away as it comes.
async fn discard(body: &mut Incoming) {
    let all = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(DISCARD, all).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_share_one_room_and_give_it_back() {
        let all = Semaphore::new(30);
        let (head, ()) = http::Request::builder()
            .header("host", "localhost")
            .body(())
            .unwrap()
            .into_parts();
        let mut first = Room::of(&all, &head).unwrap();
        let second = Room::of(&all, &head).unwrap();
        assert_eq!(first.take(5), Err(BodyError::NoRoom));
        assert_eq!(Room::of(&all, &head).unwrap_err(), BodyError::NoRoom);
        drop(second);
        assert_eq!(first.take(5), Ok(()));
        assert_eq!(first.take(usize::MAX), Err(BodyError::NoRoom));
        drop(first);
        assert_eq!(all.available_permits(), 30);
    }
}
