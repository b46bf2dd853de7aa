//! Who answered the first requests, in dispatch order: a byte each, for what depends on the order.

use std::sync::atomic::{AtomicU8, Ordering};

/// How many requests are remembered: enough to place a change to the request, little enough that a run of
/// a million takes no more memory than one of ten thousand, within a quarter of a MiB.
pub const REMEMBERED: usize = 1 << 18;

/// Stands for a request without an identity, or one not answered yet.
pub const NOBODY: u8 = 0;
/// Stands for the groups that a byte does not tell apart.
const OTHERS: u8 = u8::MAX;

/// Shared by the threads of a run; each writes the places of its own requests.
#[derive(Debug, Default)]
pub struct Sequence {
    codes: Vec<AtomicU8>,
}

impl Sequence {
    /// Room for the first `requests` requests, at most [`REMEMBERED`].
    #[must_use]
    pub fn new(requests: u64) -> Self {
        let room = usize::try_from(requests).map_or(REMEMBERED, |room| room.min(REMEMBERED));
        let codes = std::iter::repeat_with(AtomicU8::default);
        Self {
            codes: codes.take(room).collect(),
        }
    }

    /// Remembers that `group` answered the request with this place in the dispatch order.
    pub fn record(&self, ticket: u64, group: usize) {
        let place = usize::try_from(ticket).ok();
        if let Some(code) = place.and_then(|place| self.codes.get(place)) {
            code.store(code_of(group), Ordering::Relaxed);
        }
    }

    /// A byte for each of the first requests, in dispatch order, up to the last that was answered; see
    /// [`group_of`].
    #[must_use]
    pub fn codes(&self) -> Vec<u8> {
        let codes = self.codes.iter().map(|code| code.load(Ordering::Relaxed));
        let mut codes: Vec<u8> = codes.collect();
        let answered = codes.iter().rposition(|&code| code != NOBODY);
        codes.truncate(answered.map_or(0, |last| last + 1));
        codes
    }
}

/// The byte that stands for a group.
#[must_use]
pub fn code_of(group: usize) -> u8 {
    u8::try_from(group + 1).unwrap_or(OTHERS)
}

/// The group that a byte stands for; `None` for none, and the last one also stands for those beyond it.
#[must_use]
pub fn group_of(code: u8) -> Option<usize> {
    usize::from(code).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_by_dispatch_and_what_is_beyond_is_forgotten() {
        let sequence = Sequence::new(4);
        for (ticket, group) in [(2, 1), (0, 7), (9, 3)] {
            sequence.record(ticket, group);
        }
        assert_eq!(sequence.codes(), [8, 0, 2]);
    }

    #[test]
    fn a_byte_stands_for_every_group() {
        assert_eq!(group_of(code_of(0)), Some(0));
        assert_eq!(group_of(code_of(253)), Some(253));
        assert_eq!(group_of(code_of(5000)), Some(254));
        assert_eq!(group_of(NOBODY), None);
    }
}
