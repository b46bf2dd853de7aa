//! A bound on what a peer sends without telling anything: neither a head of a response, nor a piece of a body.
//!
//! A head is bounded, but informational responses (RFC 9110 §15.2) are read past for as long as they come, and
//! over HTTP/2 hyper keeps them until the request's task runs; frames that only ask for an answer,
//! and TLS messages that carry no data, may come as endlessly. So what is read is counted below TLS.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What may come without progress: several times the largest head, and what is read before a body's reader runs.
const MOST: usize = 512 * 1024;
/// After so many bytes without progress other tasks run, those that wait for the response among them.
const TURN: usize = 64 * 1024;

/// What a peer has sent since the last progress; shared by a connection and its byte stream.
#[derive(Debug, Clone, Default)]
pub struct Allowance(Rc<Cell<usize>>);

impl Allowance {
    /// A request was sent, or something came that it asked for.
    pub fn renew(&self) {
        self.0.set(0);
    }
}

/// A byte stream that breaks when its [`Allowance`] is used up.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    used: Allowance,
    /// Whether other tasks are to run before more is read.
    yields: bool,
}

impl<S> Metered<S> {
    /// Meters what is read from `stream`.
    pub fn new(stream: S, used: Allowance) -> Self {
        Self {
            stream,
            used,
            yields: false,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self {
            stream,
            used,
            yields,
        } = self.get_mut();
        if std::mem::take(yields) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let filled = buffer.filled().len();
        let polled = Pin::new(stream).poll_read(cx, buffer);
        let before = used.0.get();
        let after = before + (buffer.filled().len() - filled);
        if after > MOST {
            let message = format!("more than {MOST} bytes without a response");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
        }
        *yields = before / TURN != after / TURN;
        used.0.set(after);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Does nothing: hyper and rustls shut a stream down right before they drop it, and what closes then says
    /// the same to the peer with one system call less.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_is_read_beyond_the_allowance_breaks_the_stream_unless_it_is_renewed() {
        let allowance = Allowance::default();
        let mut stream = Metered::new(tokio::io::repeat(b'x'), allowance.clone());
        let mut bytes = vec![0; MOST / 4 * 3];
        stream.read_exact(&mut bytes).await.unwrap();
        allowance.renew();
        stream.read_exact(&mut bytes).await.unwrap();
        let error = stream.read_exact(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(
            error.to_string(),
            "more than 524288 bytes without a response"
        );
    }

    #[tokio::test]
    async fn other_tasks_run_before_much_is_read() {
        let mut stream = Metered::new(tokio::io::repeat(b'x'), Allowance::default());
        let mut bytes = vec![0; TURN];
        let mut pending = 0;
        for _ in 0..3 {
            let mut buffer = ReadBuf::new(&mut bytes);
            let mut is_first = true;
            poll_fn(|cx| {
                let polled = Pin::new(&mut stream).poll_read(cx, &mut buffer);
                pending += usize::from(is_first && polled.is_pending());
                is_first = false;
                polled
            })
            .await
            .unwrap();
        }
        assert_eq!(pending, 2);
    }
}
