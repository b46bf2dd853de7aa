//! The cells that a test looks at: backends of positive share, with what leaked past them set apart.

/// Counts and shares without the zero-weight backends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cells {
    /// Counts of the backends of positive share, in their order.
    pub(crate) observed: Vec<u64>,
    /// Their shares, scaled to sum 1.
    pub(crate) shares: Vec<f64>,
    /// Hits on zero-weight backends.
    pub(crate) leaked: u64,
}

impl Cells {
    /// # Panics
    /// If the slices differ in length.
    pub(crate) fn new(observed: &[u64], shares: &[f64]) -> Self {
        assert_eq!(
            observed.len(),
            shares.len(),
            "a count stands beside each share"
        );
        let positive = || {
            observed
                .iter()
                .zip(shares)
                .filter(|&(_, &share)| share > 0.0)
        };
        let sum: f64 = positive().map(|(_, &share)| share).sum();
        let kept: Vec<u64> = positive().map(|(&count, _)| count).collect();
        Self {
            leaked: total(observed) - total(&kept),
            observed: kept,
            shares: positive().map(|(_, &share)| share / sum).collect(),
        }
    }

    /// All counts on backends of positive share.
    pub(crate) fn total(&self) -> u64 {
        total(&self.observed)
    }
}

/// The sum of counts; the largest number there is, should they exceed it.
pub(crate) fn total(counts: &[u64]) -> u64 {
    counts
        .iter()
        .fold(0, |sum, &count| sum.saturating_add(count))
}

/// The positive shares, scaled to sum 1.
pub(crate) fn positive(shares: &[f64]) -> Vec<f64> {
    let positive = || shares.iter().filter(|&&share| share > 0.0);
    let sum: f64 = positive().sum();
    positive().map(|share| share / sum).collect()
}
