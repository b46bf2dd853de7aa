//! A stream in memory on which a peer does what a script says.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One thing that comes from the peer.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// These bytes, at once.
    Bytes(Bytes),
    /// Nothing for a moment.
    Wait,
    /// The end of its side.
    Close,
    /// A reset.
    Reset,
}

/// What comes before the first request, behind the first, behind the second …
pub(super) type Turns = Vec<Vec<Piece>>;

#[derive(Debug, Default)]
struct State {
    turns: VecDeque<Vec<Piece>>,
    /// What has come and was not read yet.
    pieces: VecDeque<Piece>,
    written: Vec<u8>,
    reader: Option<Waker>,
}

impl State {
    fn begin_turn(&mut self) {
        self.pieces
            .extend(self.turns.pop_front().unwrap_or_default());
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// The client's end; clones are the same stream.
#[derive(Debug, Clone)]
pub(super) struct Stream(Rc<RefCell<State>>);

impl Stream {
    pub(super) fn new(turns: &Turns) -> Self {
        let mut state = State {
            turns: turns.iter().cloned().collect(),
            ..State::default()
        };
        state.begin_turn();
        Self(Rc::new(RefCell::new(state)))
    }

    /// Lets everything arrive that the peer has sent so far: between requests there is time.
    pub(super) fn settle(&self) {
        let mut state = self.0.borrow_mut();
        state.pieces.retain(|piece| !matches!(piece, Piece::Wait));
    }

    /// What the client has written.
    pub(super) fn written(&self) -> Vec<u8> {
        self.0.borrow().written.clone()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        match state.pieces.front_mut() {
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(Piece::Wait) => {
                state.pieces.pop_front();
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Piece::Bytes(bytes)) => {
                let part = bytes.split_to(bytes.len().min(buffer.remaining()));
                buffer.put_slice(&part);
                if bytes.is_empty() {
                    state.pieces.pop_front();
                }
                Poll::Ready(Ok(()))
            }
            Some(Piece::Close) => Poll::Ready(Ok(())),
            Some(Piece::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        state.written.extend_from_slice(bytes);
        if state.written.ends_with(b"\r\n\r\n") {
            state.begin_turn();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a future comes to; `None` where nothing would ever wake it again.
pub(super) fn run<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        if !flag.0.swap(false, Ordering::Relaxed) {
            return None;
        }
    }
}
