//! What to expect of a run over many backends of equal shares, of which at most one is off: without a simulation.
//!
//! Given the count x of the one that is off, the others share the rest equally. Pearson's statistic is then a
//! constant and m/np times a χ² with k − 2 degrees of freedom, m their mean; and each keeps its range nearly
//! independently of the others (Levin 1981). What is left is a sum over x.

use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::binomial::{Binomial, to_count};
use super::density::binomial_probability;
use super::regions::CountRange;

/// With fewer backends a simulation takes no time, and the approximation is coarser.
const LEAST_BACKENDS: usize = 10;
/// Shares that differ by less are equal.
const SAME: f64 = 1e-9;
/// Counts farther from their mean than so many standard deviations are not met.
const FARTHEST: f64 = 8.5;
/// Steps in a standard deviation.
const FINEST: f64 = 50.0;

/// The chances of the four combinations; `of[rejected][equivalent]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Combined {
    pub of: [[f64; 2]; 2],
}

/// The run: its requests, its number of backends, and what parts the counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct EqualShares {
    pub requests: u64,
    pub backends: usize,
    /// The counts of each that pass the equivalence tests.
    pub range: CountRange,
    /// What Pearson's statistic must not reach.
    pub critical: f64,
}

impl EqualShares {
    /// Whether such `shares` are meant.
    pub(super) fn are(shares: &[f64]) -> bool {
        let equal = 1.0 / shares.len() as f64;
        shares.len() >= LEAST_BACKENDS && shares.iter().all(|share| (share - equal).abs() < SAME)
    }

    /// The chances where the true shares are `truth`; `None` where more than one is off.
    pub(super) fn chances(&self, truth: &[f64]) -> Option<Combined> {
        let equal = 1.0 / self.backends as f64;
        let off = |share: &&f64| (**share - equal).abs();
        let moved = *truth.iter().max_by(|a, b| off(a).total_cmp(&off(b)))?;
        let rest = (1.0 - moved) / (self.backends - 1) as f64;
        let others = truth.iter().filter(|share| (**share - rest).abs() < SAME);
        let is_one = others.count() + 1 >= truth.len();
        is_one.then(|| self.over(moved, rest / (1.0 - moved)))
    }

    fn over(&self, moved: f64, of_rest: f64) -> Combined {
        let n = self.requests as f64;
        let (mean, spread) = (n * moved, (n * moved * (1.0 - moved)).sqrt());
        let step = (spread / FINEST).max(1.0).floor();
        let low = (mean - FARTHEST * spread).max(0.0).floor();
        let steps = ((mean + FARTHEST * spread).min(n) - low) / step;
        let mut combined = Combined { of: [[0.0; 2]; 2] };
        let mut whole = 0.0;
        for count in 0..=to_count(steps) {
            let x = low + count as f64 * step;
            let hits = to_count(x);
            let weight = binomial_probability(hits, self.requests, moved);
            let kept = self.kept(x);
            let equivalent = if self.range.contains(hits) {
                self.others_in_range(self.requests - hits, of_rest)
            } else {
                0.0
            };
            whole += weight;
            for (rejected, fit) in [kept, 1.0 - kept].into_iter().enumerate() {
                combined.of[rejected][0] += weight * fit * (1.0 - equivalent);
                combined.of[rejected][1] += weight * fit * equivalent;
            }
        }
        combined.of = combined.of.map(|row| row.map(|chance| chance / whole));
        combined
    }

    /// The chance that the fit is kept, given the count of the one that is off.
    fn kept(&self, x: f64) -> f64 {
        let others = (self.backends - 1) as f64;
        let expected = self.requests as f64 / self.backends as f64;
        let mean = (self.requests as f64 - x) / others;
        let known = ((x - expected).powi(2) + others * (mean - expected).powi(2)) / expected;
        let left = (self.critical - known) * expected / mean;
        let law = ChiSquared::new(others - 1.0);
        law.map_or(0.0, |law| if left > 0.0 { law.cdf(left) } else { 0.0 })
    }

    /// The chance that all others keep the range, sharing so many requests.
    fn others_in_range(&self, requests: u64, share: f64) -> f64 {
        let each = Binomial::new(requests, share).between(self.range.low, self.range.high);
        each.powf((self.backends - 1) as f64)
    }
}
