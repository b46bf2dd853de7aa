//! Buffers for responses, which belong to a client thread and are lent to the connection that is in the middle
//! of a response: ten thousand that wait for theirs have none.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// What a buffer begins with.
const ROOM: usize = 16 * 1024;
/// A buffer that grew beyond this is not kept.
const KEPT: usize = 64 * 1024;
/// As many buffers are kept; there are more only while as many responses come in pieces.
const MOST_KEPT: usize = 16;

/// What was read of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEnd {
    /// All of it.
    Whole,
    /// As much as is read for identification; the rest is still to come, so the connection must close.
    Truncated,
}

/// Adds to what is known of a body, at most up to `limit` bytes; how it ends, if that is beyond the limit.
pub fn gather(body: &mut Vec<u8>, data: &[u8], limit: usize) -> Option<BodyEnd> {
    let room = limit.saturating_sub(body.len());
    body.extend_from_slice(&data[..data.len().min(room)]);
    (data.len() > room).then_some(BodyEnd::Truncated)
}

/// The buffers of a client thread.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::vec_box,
    reason = "lent in their boxes: a connection without one holds a word"
)]
pub struct Lender(Rc<RefCell<Vec<Box<Buffer>>>>);

impl Lender {
    /// An empty buffer.
    pub fn lend(&self) -> Box<Buffer> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub fn take_back(&self, mut buffer: Box<Buffer>) {
        let mut kept = self.0.borrow_mut();
        if buffer.bytes.len() <= KEPT && buffer.body.capacity() <= KEPT && kept.len() < MOST_KEPT {
            buffer.end = 0;
            buffer.body.clear();
            kept.push(buffer);
        }
    }
}

/// What has been read, and the body that it makes up where that did not come in one piece.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    /// Of `bytes` those before this have been read.
    end: usize,
    /// What came of a body.
    pub body: Vec<u8>,
}

impl Buffer {
    pub fn read(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    /// What has been read behind the first `length` bytes, and the body that it goes to.
    pub fn behind(&mut self, length: usize) -> (&[u8], &mut Vec<u8>) {
        (&self.bytes[length..self.end], &mut self.body)
    }

    /// Keeps the first `length` bytes of what has been read, and forgets the others.
    pub fn truncate(&mut self, length: usize) {
        self.end = self.end.min(length);
    }

    /// Forgets the first `length` bytes of what has been read.
    pub fn forget(&mut self, length: usize) {
        self.bytes.copy_within(length..self.end, 0);
        self.end -= length;
    }

    /// Reads more, into twice the room where it is used up; how many bytes came, none where nothing more will.
    pub fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.end == self.bytes.len() {
            self.bytes.resize((2 * self.end).max(ROOM), 0);
        }
        let mut room = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(Pin::new(stream).poll_read(cx, &mut room))?;
        let read = room.filled().len();
        self.end += read;
        Poll::Ready(Ok(read))
    }
}
