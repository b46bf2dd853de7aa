//! Puts results that arrive in completion order back into the order in which they were dispatched.
//!
//! A sequential test must never look in completion order: while a slow backend's responses are still in
//! flight the fast backend is over-represented, and a correct split fails.

use std::collections::VecDeque;

/// A bounded buffer that takes `(ticket, result)` in any order and gives the results back by ticket, from 0.
///
/// Every ticket must come exactly once, whatever became of its request: one that is missing holds back all that
/// follow it. `T` is meant to be a byte or two; the buffer grows to at most `capacity` slots of `Option<T>`.
#[derive(Debug, Clone)]
pub struct DispatchOrder<T> {
    /// `slots[i]` belongs to ticket `next + i`; `None` is in flight.
    slots: VecDeque<Option<T>>,
    next: u64,
    capacity: usize,
}

/// Why a result was not taken; the buffer is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// The ticket was placed before.
    #[error("ticket {0} was placed twice")]
    Twice(u64),
    /// The ticket lies `capacity` or more beyond the oldest one in flight: dispatch should have waited.
    #[error("ticket {0} lies beyond the buffer of results in dispatch order")]
    Beyond(u64),
}

impl<T: Copy> DispatchOrder<T> {
    /// A buffer for tickets from 0 that spans at most `capacity` tickets at a time; it starts small and grows.
    pub fn new(capacity: usize) -> Self {
        Self {
            slots: VecDeque::new(),
            next: 0,
            capacity,
        }
    }

    /// Takes the result of `ticket`.
    ///
    /// # Errors
    /// The ticket was placed before, or lies beyond the buffer.
    pub fn place(&mut self, ticket: u64, result: T) -> Result<(), Misplaced> {
        let offset = ticket
            .checked_sub(self.next)
            .ok_or(Misplaced::Twice(ticket))?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        if offset >= self.capacity {
            return Err(Misplaced::Beyond(ticket));
        }
        if offset >= self.slots.len() {
            self.slots.resize(offset + 1, None);
        }
        let slot = &mut self.slots[offset];
        if slot.is_some() {
            return Err(Misplaced::Twice(ticket));
        }
        *slot = Some(result);
        Ok(())
    }

    /// The result of the next ticket in dispatch order; `None` while it is in flight.
    pub fn pop(&mut self) -> Option<T> {
        let result = self.slots.front().copied().flatten()?;
        self.slots.pop_front();
        self.next += 1;
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::seq::SliceRandom;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn results_leave_in_ticket_order_whatever_the_completion_order() {
        let mut order = DispatchOrder::new(64);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut seen = Vec::new();
        for batch in 0..50_u64 {
            let mut tickets: Vec<u64> = (batch * 64..(batch + 1) * 64).collect();
            tickets.shuffle(&mut random);
            for ticket in tickets {
                order.place(ticket, ticket).unwrap();
                while let Some(result) = order.pop() {
                    seen.push(result);
                }
            }
            assert_eq!(order.pop(), None);
        }
        assert_eq!(seen, (0..3200).collect::<Vec<_>>());
        assert!(order.slots.capacity() <= 128);
    }

    #[test]
    fn a_request_in_flight_holds_back_what_follows_it() {
        let mut order = DispatchOrder::new(4);
        order.place(1, 'b').unwrap();
        order.place(2, 'c').unwrap();
        assert_eq!(order.pop(), None);
        order.place(0, 'a').unwrap();
        assert_eq!(
            [order.pop(), order.pop(), order.pop()],
            ['a', 'b', 'c'].map(Some)
        );
        assert_eq!(order.pop(), None);
    }

    #[test]
    fn misplaced_tickets_are_refused_and_change_nothing() {
        let mut order = DispatchOrder::new(4);
        assert_eq!(order.place(4, 0), Err(Misplaced::Beyond(4)));
        assert_eq!(order.place(u64::MAX, 0), Err(Misplaced::Beyond(u64::MAX)));
        order.place(0, 1).unwrap();
        assert_eq!(order.place(0, 2), Err(Misplaced::Twice(0)));
        assert_eq!(order.pop(), Some(1));
        assert_eq!(order.place(0, 3), Err(Misplaced::Twice(0)));
        assert_eq!(order.pop(), None);
    }
}
