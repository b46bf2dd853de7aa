//! Counts by group over blocks of the dispatch order, for drift and for charts.
//!
//! There are at most [`MAX_BLOCKS`] blocks; when a ticket lies beyond them, neighbouring blocks join and
//! the block length doubles, so that memory stays bounded however long the run is.

use std::time::Duration;

/// The largest number of blocks.
pub const MAX_BLOCKS: usize = 256;

/// Counts over blocks of [`Windows::length`] tickets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Windows {
    doublings: u32,
    blocks: Vec<Block>,
}

/// What was seen of one block of tickets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// When its first request was dispatched, from the start of the run; `None` when empty.
    pub start: Option<Duration>,
    /// Identified responses by group; missing entries are 0.
    pub counts: Vec<u64>,
    /// Requests that were sent and brought no identity.
    pub unidentified: u64,
}

impl Block {
    fn begin(&mut self, dispatched: Duration) {
        let start = self.start.get_or_insert(dispatched);
        *start = dispatched.min(*start);
    }

    fn add(&mut self, other: &Self) {
        self.start = match (self.start, other.start) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        self.unidentified += other.unidentified;
        if let Some(last) = other.counts.len().checked_sub(1) {
            super::grow(&mut self.counts, last);
            super::add(&mut self.counts, &other.counts);
        }
    }
}

impl Windows {
    /// Counts an identified response of `group` to the request with this place in the dispatch order.
    pub fn record(&mut self, ticket: u64, group: usize, dispatched: Duration) {
        let block = self.block(ticket);
        super::grow(&mut block.counts, group);
        block.counts[group] += 1;
        block.begin(dispatched);
    }

    /// Counts a request with this place that brought no identity; `u64::MAX` stands for no place.
    pub fn record_unidentified(&mut self, ticket: u64, dispatched: Duration) {
        if ticket < u64::MAX {
            let block = self.block(ticket);
            block.unidentified += 1;
            block.begin(dispatched);
        }
    }

    fn block(&mut self, ticket: u64) -> &mut Block {
        while (ticket >> self.doublings) >= MAX_BLOCKS as u64 {
            self.join_neighbours();
        }
        let block = usize::try_from(ticket >> self.doublings).expect("below MAX_BLOCKS");
        super::grow(&mut self.blocks, block);
        &mut self.blocks[block]
    }

    /// Adds the counts of another thread.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        while self.doublings < other.doublings {
            self.join_neighbours();
        }
        while other.doublings < self.doublings {
            other.join_neighbours();
        }
        super::grow(&mut self.blocks, other.blocks.len().saturating_sub(1));
        for (mine, theirs) in self.blocks.iter_mut().zip(&other.blocks) {
            mine.add(theirs);
        }
    }

    /// The blocks that were counted elsewhere; `None` when a block's length is no power of two, or there are
    /// more than [`MAX_BLOCKS`].
    pub fn restore(length: u64, blocks: Vec<Block>) -> Option<Self> {
        (length.is_power_of_two() && blocks.len() <= MAX_BLOCKS).then(|| Self {
            doublings: length.trailing_zeros(),
            blocks,
        })
    }

    /// The same blocks, where group `g` is called `renumbered[g]`; groups beyond it keep their number.
    pub fn renumbered(&self, renumbered: &[usize]) -> Self {
        let blocks = self.blocks.iter().map(|block| Block {
            start: block.start,
            unidentified: block.unidentified,
            counts: super::renumbered(&block.counts, renumbered),
        });
        Self {
            doublings: self.doublings,
            blocks: blocks.collect(),
        }
    }

    /// How many tickets a block spans.
    pub fn length(&self) -> u64 {
        1 << self.doublings
    }

    /// The blocks, in dispatch order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    fn join_neighbours(&mut self) {
        let joined = self.blocks.chunks(2).map(|pair| {
            let mut block = pair[0].clone();
            if let Some(second) = pair.get(1) {
                block.add(second);
            }
            block
        });
        self.blocks = joined.collect();
        self.doublings += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_double_and_lose_no_count() {
        let mut windows = Windows::default();
        for ticket in 0..100_000 {
            windows.record(
                ticket,
                usize::from(ticket % 10 == 0),
                Duration::from_millis(ticket),
            );
        }
        assert_eq!(windows.length(), 512);
        assert!(windows.blocks().len() <= MAX_BLOCKS);
        let total = |group: usize| -> u64 {
            let rows = windows.blocks().iter();
            rows.map(|row| row.counts.get(group).copied().unwrap_or(0))
                .sum()
        };
        assert_eq!((total(0), total(1)), (90_000, 10_000));
        assert_eq!(windows.blocks()[3].counts, [461, 51]);
        assert_eq!(windows.blocks()[3].start, Some(Duration::from_millis(1536)));
    }

    #[test]
    fn requests_without_an_identity_are_counted_where_they_were_sent() {
        let mut windows = Windows::default();
        for ticket in 0..64 {
            if ticket % 4 == 0 {
                windows.record_unidentified(ticket, Duration::ZERO);
            } else {
                windows.record(ticket, 0, Duration::ZERO);
            }
        }
        windows.record_unidentified(u64::MAX, Duration::ZERO);
        let blocks = windows.blocks().iter();
        let missing: Vec<u64> = blocks.map(|block| block.unidentified).collect();
        assert_eq!(missing, [1, 0, 0, 0].repeat(16));
        windows.record(1 << 20, 0, Duration::ZERO);
        let blocks = windows.blocks().iter();
        assert_eq!(blocks.map(|block| block.unidentified).sum::<u64>(), 16);
    }

    #[test]
    fn a_coarse_and_a_fine_part_merge_in_either_order() {
        let (mut coarse, mut fine) = (Windows::default(), Windows::default());
        coarse.record(1_000_000, 1, Duration::from_secs(9));
        fine.record(3, 0, Duration::ZERO);
        let mut other = fine.clone();
        other.merge(&coarse);
        coarse.merge(&fine);
        assert_eq!(coarse, other);
    }
}
