//! Confidence intervals of shares, for display; none of them gates.

use super::cells::total;
use super::chi_square::{critical_value, normal_quantile};

/// A range of shares, `0.0 <= low <= high <= 1.0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The score interval of one share (Wilson 1927), for `hits` of `n`; `alpha` is its error rate.
///
/// All of `0..=1` where `n` is 0.
#[must_use]
pub fn wilson(hits: u64, n: u64, alpha: f64) -> Interval {
    score_interval(hits, n, normal_quantile(alpha / 2.0).powi(2))
}

/// Intervals that cover all shares at once with error rate `alpha` (Goodman 1965); `observed[i]` gives
/// the `i`th. Zero-weight backends count among the cells.
#[must_use]
pub fn goodman(observed: &[u64], alpha: f64) -> Vec<Interval> {
    let n = total(observed);
    let critical = critical_value(1, alpha / observed.len() as f64);
    observed
        .iter()
        .map(|&count| score_interval(count, n, critical))
        .collect()
}

/// The shares whose score test does not reach `critical`: the roots of a quadratic.
fn score_interval(hits: u64, n: u64, critical: f64) -> Interval {
    if n == 0 {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    let (x, y, n) = (hits as f64, n.saturating_sub(hits) as f64, n as f64);
    let centre = x + critical / 2.0;
    let reach = (critical * (x * y / n + critical / 4.0)).sqrt();
    Interval {
        low: if x > 0.0 {
            (centre - reach) / (n + critical)
        } else {
            0.0
        },
        high: if y > 0.0 {
            (centre + reach) / (n + critical)
        } else {
            1.0
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_and_nothing_end_exactly_at_the_edge() {
        assert_eq!(wilson(0, 50, 0.05).low, 0.0);
        assert_eq!(wilson(50, 50, 0.05).high, 1.0);
        assert_eq!(
            wilson(0, 0, 0.05),
            Interval {
                low: 0.0,
                high: 1.0
            }
        );
    }

    #[test]
    fn simultaneous_intervals_are_wider() {
        let single = wilson(69, 99, 0.05);
        let joint = goodman(&[69, 30], 0.05)[0];
        assert!(joint.low < single.low && single.high < joint.high);
    }
}
