//! Bytes over TCP: something may go first, and whatever comes back is the answer.
//!
//! No protocol says where an answer ends. It is enough when a line in it names somebody, when the peer closes, or
//! when a name stands at the end of what came and nothing follows for a moment.

use std::future::poll_fn;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::allowance::Allowance;
use super::buffer::{BodyEnd, Buffer, Lender, gather};
use super::http1::exchange::Broken;
use super::transport::Transport;
use crate::identity::rule::before_the_cut;

/// A name at the end of what came is whole when nothing follows for so long.
const QUIET: Duration = Duration::from_millis(250);
/// As many bytes are looked through as often as lines end; more of them only when they are a quarter more.
const FEW: usize = 4096;

/// A connection over which bytes go and come.
#[derive(Debug)]
pub(super) struct Bytestream {
    stream: Transport,
    lender: Lender,
    /// What the peer has sent without progress.
    allowance: Allowance,
    /// What has come; none before its first byte.
    buffer: Option<Box<Buffer>>,
    /// As many bytes as have been looked through.
    known: usize,
}

impl Bytestream {
    pub(super) fn new(stream: Transport, lender: Lender, allowance: Allowance) -> Self {
        Self {
            stream,
            lender,
            allowance,
            buffer: None,
            known: 0,
        }
    }

    /// Writes what goes first.
    pub(super) async fn send(&mut self, first: &[u8]) -> Result<(), Broken> {
        self.allowance.renew();
        self.stream.write_all(first).await?;
        Ok(self.stream.flush().await?)
    }

    /// Reads until that `names` somebody, at most `limit` bytes.
    ///
    /// # Errors
    /// The connection broke, or the peer closed it before the first byte.
    ///
    /// # Cancel safety
    /// Dropping it keeps what has come.
    pub(super) async fn read(
        &mut self,
        limit: usize,
        names: impl Fn(&[u8]) -> bool,
    ) -> Result<BodyEnd, Broken> {
        // A certificate does, before a byte.
        if names(&[]) {
            return Ok(BodyEnd::Whole);
        }
        loop {
            let known = self.heard().len();
            if known > self.known {
                let Ok(filled) = tokio::time::timeout(QUIET, self.fill(limit)).await else {
                    self.known = known;
                    if names(self.heard()) {
                        return Ok(BodyEnd::Whole);
                    }
                    continue;
                };
                if let Some(end) = filled? {
                    return Ok(end);
                }
            } else if let Some(end) = self.fill(limit).await? {
                return Ok(end);
            }
            if self.names_in_a_line(known, &names) {
                return Ok(BodyEnd::Truncated);
            }
        }
    }

    /// Whether a line names somebody that has ended behind the first `before` bytes.
    fn names_in_a_line(&mut self, before: usize, names: impl Fn(&[u8]) -> bool) -> bool {
        let length = self.heard().len();
        let lines = before_the_cut(self.heard()).len();
        let is_time = length <= FEW || length >= self.known + self.known / 4;
        if lines <= before || !is_time {
            return false;
        }
        self.known = lines;
        names(&self.heard()[..lines])
    }

    /// Takes what comes next; how the answer ends, if it does.
    async fn fill(&mut self, limit: usize) -> Result<Option<BodyEnd>, Broken> {
        let Self {
            stream,
            lender,
            buffer,
            ..
        } = self;
        let buffer = buffer.get_or_insert_with(|| lender.lend());
        let read = poll_fn(|cx| buffer.poll_read(stream, cx)).await?;
        let (data, body) = buffer.behind(0);
        let end = gather(body, data, limit);
        buffer.truncate(0);
        self.allowance.renew();
        match (read, self.heard()) {
            (0, []) => Err(Broken::Closed),
            (0, _) => Ok(Some(BodyEnd::Whole)),
            _ => Ok(end),
        }
    }

    /// What has come.
    pub(super) fn heard(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer.body)
    }
}

impl Drop for Bytestream {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.lender.take_back(buffer);
        }
    }
}
