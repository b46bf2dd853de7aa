//! The exchanges on one connection, one after the other.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::body::Gathering;
use super::chunks::ChunksError;
use super::framing::Framing;
use super::head::{Asked, Head, HeadError};
use crate::headers::Headers;
use crate::load::allowance::Allowance;
use crate::load::buffer::{BodyEnd, Buffer, Lender};
use crate::load::transport;
use crate::observation::Failure;

/// The largest head that a response may have.
const MOST_HEAD_BYTES: usize = 128 * 1024;

/// Why an exchange ended before its response was whole.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The peer closed before the end.
    #[error("the connection was closed before the response was whole")]
    Closed,
    /// The peer sent something before it was asked.
    #[error("something came on the connection before anything was asked")]
    Unasked,
    /// What came is no response.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The head does not end.
    #[error("the response has a head of more than 128 KiB")]
    LongHead,
    /// The chunks of the body are none.
    #[error("the body is not as it was announced: {0}")]
    Chunks(#[from] ChunksError),
    /// The transport broke.
    #[error("the connection broke: {0}")]
    Transport(#[from] io::Error),
}

impl Broken {
    /// How reports count it, unless it is the body that broke off.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Closed => Failure::Reset,
            Self::Transport(error) => transport::failure(error),
            Self::Unasked | Self::Head(_) | Self::LongHead | Self::Chunks(_) => Failure::Protocol,
        }
    }
}

/// Why there is no response.
#[derive(Debug)]
pub enum SendError {
    /// Nothing of the request was written.
    Unsent(Broken),
    /// Some of it was.
    Failed(Broken),
}

/// A connection, on which one exchange follows the other.
#[derive(Debug)]
pub struct Exchanges<S> {
    stream: S,
    lender: Lender,
    /// What the peer has sent without progress.
    allowance: Allowance,
    /// What has come of the response; none before its first byte.
    buffer: Option<Box<Buffer>>,
    head: Head,
    /// The body's length, if it lies behind its head as it came.
    whole_behind_head: Option<usize>,
    /// Whether a request may be written.
    is_ready: bool,
}

/// How far a request has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The peer may still have closed.
    Unsent,
    Writing,
    Written,
}

/// A request under way.
struct Sending<'a> {
    stage: Stage,
    unwritten: &'a [u8],
    asked: Asked,
    /// What has been looked through for the head's end, in vain.
    known: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchanges<S> {
    /// On a stream that nothing was written to.
    pub fn new(stream: S, lender: Lender, allowance: Allowance) -> Self {
        Self {
            stream,
            lender,
            allowance,
            buffer: None,
            head: Head {
                status: 0,
                length: 0,
                framing: Framing::Empty,
                keeps_open: true,
            },
            whole_behind_head: None,
            is_ready: true,
        }
    }

    /// Writes a request and reads the head of its response; the status.
    ///
    /// # Errors
    /// The connection had ended before, or the response is none.
    ///
    /// # Cancel safety
    /// Dropping it leaves the connection in the middle of an exchange, and it takes no other request.
    pub async fn send(&mut self, request: &[u8], asked: Asked) -> Result<u16, SendError> {
        if !std::mem::take(&mut self.is_ready) {
            return Err(SendError::Unsent(Broken::Closed));
        }
        let mut sending = Sending {
            stage: Stage::Unsent,
            unwritten: request,
            asked,
            known: 0,
        };
        self.allowance.renew();
        let ended = poll_fn(|cx| self.poll_send(cx, &mut sending)).await;
        self.head = ended.map_err(|error| match sending.stage {
            Stage::Unsent => SendError::Unsent(error),
            Stage::Writing | Stage::Written => SendError::Failed(error),
        })?;
        self.allowance.renew();
        // A response that comes before the request is written leaves the rest of it unread.
        self.head.keeps_open &= sending.stage == Stage::Written;
        Ok(self.head.status)
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        sending: &mut Sending<'_>,
    ) -> Poll<Result<Head, Broken>> {
        if sending.stage == Stage::Unsent {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Broken::Closed)),
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(Broken::Unasked)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => sending.stage = Stage::Writing,
            }
        } else if let Poll::Ready(ended) = self.poll_head(cx, sending) {
            return Poll::Ready(ended);
        }
        // That nothing could be read is known, so that what comes now wakes this task.
        if sending.stage == Stage::Writing {
            ready!(self.poll_write(cx, &mut sending.unwritten))?;
            sending.stage = Stage::Written;
        }
        Poll::Pending
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, unwritten: &mut &[u8]) -> Poll<io::Result<()>> {
        while !unwritten.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, unwritten))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *unwritten = &unwritten[written..];
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Reads until the head of the response proper is there.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        sending: &mut Sending<'_>,
    ) -> Poll<Result<Head, Broken>> {
        loop {
            if let Some(head) = self.find_head(sending)? {
                return Poll::Ready(Ok(head));
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(Broken::Closed));
            }
        }
    }

    fn find_head(&mut self, sending: &mut Sending<'_>) -> Result<Option<Head>, Broken> {
        while let Some(buffer) = &mut self.buffer {
            let read = buffer.read();
            let is_new = sending.known == 0;
            let length = read.len();
            if (is_new || Head::may_end_in(read, sending.known))
                && let Some(head) = Head::parse(read, sending.asked)?
            {
                if !head.is_informational() {
                    return Ok(Some(head));
                }
                buffer.forget(head.length);
                sending.known = 0;
                if buffer.read().is_empty() {
                    self.give_back();
                }
                continue;
            }
            sending.known = length;
            return if length < MOST_HEAD_BYTES {
                Ok(None)
            } else {
                Err(Broken::LongHead)
            };
        }
        Ok(None)
    }

    /// Reads the body, at most `limit` bytes of it.
    ///
    /// # Errors
    /// The body broke off.
    ///
    /// # Cancel safety
    /// As [`Exchanges::send`].
    pub async fn read_body(&mut self, limit: usize) -> Result<BodyEnd, Broken> {
        let behind_head = self.read().len() - self.head.length;
        let length = match self.head.framing {
            Framing::Empty => Some(0),
            Framing::Length(length) => usize::try_from(length).ok(),
            Framing::Chunked | Framing::Close => None,
        };
        self.whole_behind_head = length.filter(|&length| length <= behind_head.min(limit));
        if let Some(length) = self.whole_behind_head {
            self.head.keeps_open &= length == behind_head;
            return Ok(BodyEnd::Whole);
        }
        let mut gathering = Gathering::new(self.head.framing, limit);
        let end = poll_fn(|cx| self.poll_body(cx, &mut gathering)).await?;
        self.head.keeps_open &= end == BodyEnd::Whole;
        Ok(end)
    }

    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        gathering: &mut Gathering,
    ) -> Poll<Result<BodyEnd, Broken>> {
        loop {
            if let Some(end) = self.gather(gathering)? {
                return Poll::Ready(Ok(end));
            }
            if ready!(self.poll_fill(cx))? == 0 {
                self.head.keeps_open = false;
                return Poll::Ready(gathering.at_close().ok_or(Broken::Closed));
            }
        }
    }

    /// Takes what has come of the body.
    fn gather(&mut self, gathering: &mut Gathering) -> Result<Option<BodyEnd>, Broken> {
        let Some(buffer) = &mut self.buffer else {
            return Ok(None);
        };
        let known = buffer.body.len();
        let (mut rest, body) = buffer.behind(self.head.length);
        let end = gathering.take(&mut rest, body)?;
        self.head.keeps_open &= rest.is_empty();
        if body.len() > known {
            self.allowance.renew();
        }
        buffer.truncate(self.head.length);
        Ok(end)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let lent = self.buffer.take();
        let mut buffer = lent.unwrap_or_else(|| self.lender.lend());
        let polled = buffer.poll_read(&mut self.stream, cx);
        if buffer.read().is_empty() {
            self.lender.take_back(buffer);
        } else {
            self.buffer = Some(buffer);
        }
        polled
    }

    fn read(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| buffer.read())
    }

    /// The headers of the response.
    pub fn headers(&self) -> Headers<'_> {
        Headers::of_head(self.read().get(..self.head.length).unwrap_or_default())
    }

    /// What was read of the body.
    pub fn body(&self) -> &[u8] {
        match (&self.buffer, self.whole_behind_head) {
            (Some(buffer), Some(length)) => &buffer.read()[self.head.length..][..length],
            (Some(buffer), None) => &buffer.body,
            (None, _) => &[],
        }
    }

    /// Forgets the response, which was read to its end.
    pub fn finish(&mut self) {
        self.give_back();
        self.is_ready = self.head.keeps_open;
    }

    /// Whether another request may be sent, as far as is known before it is.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn give_back(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.lender.take_back(buffer);
        }
    }
}
