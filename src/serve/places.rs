//! The connections in the order in which they last mattered, so that slow clients cannot keep others out:
//! when all places are taken, or the connections hold more than they may, the one that has waited longest for a
//! request gives its place up.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// What all connections together may have sent without an answer: whoever presents no token can be told from a
/// stranger only then. A small part of the 256 MiB that the manifest grants.
const MOST_HELD: usize = 8 * 1024 * 1024;

/// The places of all connections.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Order>);

#[derive(Debug, Default)]
struct Order {
    /// By the ordinal of what last happened on the connection.
    places: BTreeMap<u64, Taken>,
    next: u64,
    /// What all of them hold.
    held: usize,
}

#[derive(Debug)]
struct Taken {
    leave: Arc<Notify>,
    /// Bytes that came since the last answer.
    held: usize,
}

/// The place of one connection; dropping it leaves.
#[derive(Debug)]
pub(super) struct Place {
    all: Arc<Places>,
    ordinal: Mutex<u64>,
    leave: Arc<Notify>,
}

impl Places {
    /// Takes a place behind all others.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        let leave = Arc::new(Notify::new());
        Place {
            ordinal: Mutex::new(self.order().push(Arc::clone(&leave))),
            all: Arc::clone(self),
            leave,
        }
    }

    /// Tells the connection that has waited longest to leave.
    pub(super) fn make_room(&self) {
        self.order().turn_out_first();
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Order {
    fn push(&mut self, leave: Arc<Notify>) -> u64 {
        let ordinal = self.next;
        self.next += 1;
        self.places.insert(ordinal, Taken { leave, held: 0 });
        ordinal
    }

    /// Takes a place away, with all that it holds.
    fn remove(&mut self, ordinal: u64) -> Option<Arc<Notify>> {
        let taken = self.places.remove(&ordinal)?;
        self.held -= taken.held;
        Some(taken.leave)
    }

    /// Whether there was anyone to turn out.
    fn turn_out_first(&mut self) -> bool {
        let first = self.places.keys().next().copied();
        let leave = first.and_then(|ordinal| self.remove(ordinal));
        leave.inspect(|leave| leave.notify_one()).is_some()
    }

    /// Takes bytes that came, and turns out who has waited longest while all hold more than they may.
    fn hold(&mut self, ordinal: u64, bytes: usize) {
        let Some(taken) = self.places.get_mut(&ordinal) else {
            return;
        };
        taken.held += bytes;
        self.held += bytes;
        while self.held > MOST_HELD && self.turn_out_first() {}
    }
}

impl Place {
    /// Goes behind all others again: a request was answered.
    pub(super) fn renew(&self) {
        let mut ordinal = self.ordinal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut order = self.all.order();
        // Who was told to leave does not come back.
        if let Some(leave) = order.remove(*ordinal) {
            *ordinal = order.push(leave);
        }
    }

    /// What came was thrown away, and is held no longer.
    pub(super) fn let_go(&self) {
        let ordinal = *self.ordinal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut order = self.all.order();
        let held = order.places.get_mut(&ordinal);
        let freed = held.map_or(0, |taken| std::mem::take(&mut taken.held));
        order.held -= freed;
    }

    /// Takes bytes that came on the connection.
    fn hold(&self, bytes: usize) {
        let ordinal = *self.ordinal.lock().unwrap_or_else(PoisonError::into_inner);
        self.all.order().hold(ordinal, bytes);
    }

    /// Waits until the place is needed.
    pub(super) async fn left(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ordinal = self
            .ordinal
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        self.all.order().remove(*ordinal);
    }
}

/// A connection whose place holds what comes on it.
#[derive(Debug)]
pub(super) struct Metered {
    stream: TcpStream,
    place: Arc<Place>,
}

impl Metered {
    pub(super) const fn new(stream: TcpStream, place: Arc<Place>) -> Self {
        Self { stream, place }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.place.hold(buffer.filled().len() - before);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    /// A body that many are given is one, and not copied for each.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_told(place: &Place) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(place.left()).as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn the_one_that_has_waited_longest_leaves() {
        let places = Arc::new(Places::default());
        let [first, second, third] = [(); 3].map(|()| places.enter());
        first.renew();
        places.make_room();
        assert!(is_told(&second) && !is_told(&first) && !is_told(&third));
        second.renew();
        drop(third);
        places.make_room();
        assert!(is_told(&first));
        places.make_room();
        drop((first, second));
        assert!(places.order().places.is_empty());
    }

    #[test]
    fn who_has_waited_longest_leaves_when_all_hold_too_much() {
        let places = Arc::new(Places::default());
        let [silent, slow, answered, last] = [(); 4].map(|()| places.enter());
        answered.hold(MOST_HELD / 2);
        slow.hold(MOST_HELD / 2);
        // What was answered is held no longer.
        answered.renew();
        // Nor is what was thrown away.
        last.hold(MOST_HELD / 2);
        last.let_go();
        last.hold(MOST_HELD / 2);
        assert!(!is_told(&silent));
        last.hold(1);
        assert!(is_told(&silent) && is_told(&slow) && !is_told(&answered) && !is_told(&last));
        // Who holds too much alone leaves as well, and who has left counts no more.
        last.hold(MOST_HELD);
        assert!(is_told(&last) && !is_told(&answered));
        last.hold(1);
        assert_eq!(places.order().held, 0);
    }
}
