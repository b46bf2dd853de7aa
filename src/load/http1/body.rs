//! A body, gathered from the pieces in which it comes.

use super::chunks::{Chunks, ChunksError, Next};
use super::framing::Framing;
use crate::load::buffer::{BodyEnd, gather};

/// How much of a body is still to come.
#[derive(Debug)]
pub struct Gathering {
    rest: Rest,
    limit: usize,
}

#[derive(Debug)]
enum Rest {
    Length(u64),
    Chunks(Chunks),
    Close,
}

impl Gathering {
    /// Before the first piece; at most `limit` bytes are gathered.
    pub fn new(framing: Framing, limit: usize) -> Self {
        let rest = match framing {
            Framing::Empty => Rest::Length(0),
            Framing::Length(length) => Rest::Length(length),
            Framing::Chunked => Rest::Chunks(Chunks::default()),
            Framing::Close => Rest::Close,
        };
        Self { rest, limit }
    }

    /// Takes what came of the body off `rest`, into `body`; how it ended, if it did.
    ///
    /// # Errors
    /// It is not made of chunks, and should be.
    pub fn take(
        &mut self,
        rest: &mut &[u8],
        body: &mut Vec<u8>,
    ) -> Result<Option<BodyEnd>, ChunksError> {
        match &mut self.rest {
            Rest::Length(left) => {
                let there = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                let (data, behind) = rest.split_at(there);
                *left -= there as u64;
                *rest = behind;
                let whole = (*left == 0).then_some(BodyEnd::Whole);
                Ok(gather(body, data, self.limit).or(whole))
            }
            Rest::Chunks(chunks) => loop {
                match chunks.next(rest)? {
                    Next::More => return Ok(None),
                    Next::End => return Ok(Some(BodyEnd::Whole)),
                    Next::Data(data) => {
                        if let Some(end) = gather(body, data, self.limit) {
                            return Ok(Some(end));
                        }
                    }
                }
            },
            Rest::Close => Ok(gather(body, std::mem::take(rest), self.limit)),
        }
    }

    /// How the body ends where the connection does; `None`: too early.
    pub fn at_close(&self) -> Option<BodyEnd> {
        matches!(self.rest, Rest::Close | Rest::Length(0)).then_some(BodyEnd::Whole)
    }
}
