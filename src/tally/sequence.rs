//! Who answered the first requests, in dispatch order: a number each, for what depends on the order.

use std::sync::atomic::{AtomicU16, Ordering};

/// How many requests are remembered: enough to place a change to the request, little enough that a run of
/// a million takes no more memory than one of ten thousand, within a quarter of a MiB.
pub const REMEMBERED: usize = 1 << 17;

/// Stands for a request without an identity, or one not answered yet.
pub const NOBODY: u16 = 0;
/// Stands for the groups that a number does not tell apart.
const OTHERS: u16 = u16::MAX;

/// Shared by the threads of a run; each writes the places of its own requests.
#[derive(Debug, Default)]
pub struct Sequence {
    codes: Vec<AtomicU16>,
}

impl Sequence {
    /// Room for the first `requests` requests, at most [`REMEMBERED`].
    pub fn new(requests: u64) -> Self {
        let room = usize::try_from(requests).map_or(REMEMBERED, |room| room.min(REMEMBERED));
        let codes = std::iter::repeat_with(AtomicU16::default);
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

    /// A number for each of the first requests, in dispatch order, up to the last that was answered; see
    /// [`group_of`].
    pub fn codes(&self) -> Vec<u16> {
        let codes = self.codes.iter().map(|code| code.load(Ordering::Relaxed));
        let mut codes: Vec<u16> = codes.collect();
        let answered = codes.iter().rposition(|&code| code != NOBODY);
        codes.truncate(answered.map_or(0, |last| last + 1));
        codes
    }
}

/// The number that stands for a group.
pub fn code_of(group: usize) -> u16 {
    u16::try_from(group + 1).unwrap_or(OTHERS)
}

/// The group that a number stands for; `None` for none, and the last one also stands for those beyond it.
pub fn group_of(code: u16) -> Option<usize> {
    usize::from(code).checked_sub(1)
}

/// Stands before a number that takes two bytes.
const WIDE: u8 = u8::MAX;

/// Codes as bytes, one each where that is enough.
pub fn packed(codes: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(codes.len());
    for &code in codes {
        match u8::try_from(code) {
            Ok(byte) if byte < WIDE => bytes.push(byte),
            _ => {
                let [low, high] = code.to_le_bytes();
                bytes.extend([WIDE, low, high]);
            }
        }
    }
    bytes
}

/// The codes that these bytes stand for; `None` where the last is not whole.
pub fn unpacked(mut bytes: &[u8]) -> Option<Vec<u16>> {
    let mut codes = Vec::with_capacity(bytes.len());
    loop {
        match bytes {
            [] => return Some(codes),
            [WIDE, low, high, rest @ ..] => {
                codes.push(u16::from_le_bytes([*low, *high]));
                bytes = rest;
            }
            [WIDE, ..] => return None,
            [code, rest @ ..] => {
                codes.push(u16::from(*code));
                bytes = rest;
            }
        }
    }
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
    fn a_number_stands_for_every_group_and_bytes_for_numbers() {
        for group in [0, 253, 254, 999, 60_000] {
            assert_eq!(group_of(code_of(group)), Some(group));
        }
        assert_eq!(group_of(NOBODY), None);
        assert_eq!(group_of(code_of(100_000)), Some(usize::from(OTHERS) - 1));
        let codes = [0, 1, 254, 255, 256, 1000, u16::MAX];
        let bytes = packed(&codes);
        assert_eq!((&bytes[..3], bytes.len()), (&[0, 1, 254][..], 3 + 4 * 3));
        assert_eq!(unpacked(&bytes), Some(codes.to_vec()));
        assert_eq!(unpacked(&bytes[..bytes.len() - 1]), None);
    }
}
