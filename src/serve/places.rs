//! The connections in the order in which they last mattered, so that slow clients cannot keep others out:
//! when all places are taken, the one that has waited longest for a request gives its up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The places of all connections.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Order>);

#[derive(Debug, Default)]
struct Order {
    /// By the ordinal of what last happened on the connection.
    places: BTreeMap<u64, Arc<Notify>>,
    next: u64,
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
        if let Some((_, leave)) = self.order().places.pop_first() {
            leave.notify_one();
        }
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Order {
    fn push(&mut self, leave: Arc<Notify>) -> u64 {
        let ordinal = self.next;
        self.next += 1;
        self.places.insert(ordinal, leave);
        ordinal
    }
}

impl Place {
    /// Goes behind all others again: a request was answered.
    pub(super) fn renew(&self) {
        let mut ordinal = self.ordinal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut order = self.all.order();
        // Who was told to leave does not come back.
        if let Some(leave) = order.places.remove(&ordinal) {
            *ordinal = order.push(leave);
        }
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
        self.all.order().places.remove(ordinal);
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
}
