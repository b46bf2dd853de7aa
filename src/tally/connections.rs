//! What each connection brought, folded when it closes: whether its responses depend on one another.

use crate::stats::dependence::ConnectionSums;

/// How many connections are kept one by one, for the permutation test of their homogeneity.
pub const SAMPLED: usize = 4096;

/// Groups beyond this number are counted together.
pub const MAX_CELLS: usize = ConnectionSums::MAX_CELLS;

/// The responses of one open connection.
#[derive(Debug, Clone, Default)]
pub struct OneConnection {
    counts: Vec<u32>,
    first: Option<usize>,
    responses: u64,
}

impl OneConnection {
    /// Counts a response of `group`, `None` for one without an identity.
    pub fn record(&mut self, group: Option<usize>) {
        if self.responses == 0 {
            self.first = group;
        }
        self.responses += 1;
        if let Some(group) = group {
            super::grow(&mut self.counts, group);
            self.counts[group] = self.counts[group].saturating_add(1);
        }
    }
}

/// The closed connections of a thread, or of a run once merged.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    sums: ConnectionSums,
    sample: Vec<Vec<u32>>,
}

impl Connections {
    /// Folds in a connection that has closed; one without a response tells nothing.
    pub fn close(&mut self, connection: OneConnection) {
        if connection.responses == 0 {
            return;
        }
        self.sums.record(&connection.counts, connection.first);
        if self.sample.len() < SAMPLED {
            self.sample.push(connection.counts);
        }
    }

    /// Connections that were folded elsewhere; the sample is cut to [`SAMPLED`].
    pub fn restore(sums: ConnectionSums, mut sample: Vec<Vec<u32>>) -> Self {
        sample.truncate(SAMPLED);
        Self { sums, sample }
    }

    /// The same connections, where group `g` is called `renumbered[g]`, one of `groups`.
    pub fn renumbered(&self, renumbered: &[usize], groups: usize) -> Self {
        let cells = self.sums.observed().len();
        let cell_of: Vec<usize> = (0..cells)
            .map(|cell| renumbered.get(cell).copied().unwrap_or(cell))
            .collect();
        let sample = self.sample.iter();
        Self {
            sums: self.sums.pool(&cell_of, groups.max(cells)),
            sample: sample
                .map(|row| super::renumbered(row, renumbered))
                .collect(),
        }
    }

    /// Adds the connections of another thread.
    pub fn merge(&mut self, other: &Self) {
        self.sums.merge(&other.sums);
        let room = SAMPLED - self.sample.len();
        self.sample.extend(other.sample.iter().take(room).cloned());
    }

    /// The sums, by group.
    pub fn sums(&self) -> &ConnectionSums {
        &self.sums
    }

    /// Responses by group of the first [`SAMPLED`] connections; missing entries are 0.
    pub fn sample(&self) -> &[Vec<u32>] {
        &self.sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_connection_counts_with_its_first_response() {
        let mut connections = Connections::default();
        let mut one = OneConnection::default();
        for group in [Some(1), Some(0), None, Some(1)] {
            one.record(group);
        }
        connections.close(one);
        connections.close(OneConnection::default());
        assert_eq!(connections.sums().observed(), [1, 2]);
        assert_eq!(connections.sums().first_responses(), [0, 1]);
        assert_eq!(connections.sample(), [[1, 2]]);
    }
}
