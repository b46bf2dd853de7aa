//! Confidence intervals of shares, for display; none of them gates.

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::gamma::ln_gamma;

use super::chi_square::normal_quantile;

/// What an interval rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Basis {
    /// Independent responses, of a number fixed beforehand: Wilson's interval.
    Independent,
    /// Responses that depend on each other: Wilson's over the effective number, with Student's t, since the design
    /// effect is an estimate with so many degrees of freedom.
    Clustered {
        /// How much the variance of the counts exceeds that of independent responses; at least 1.
        design_effect: f64,
        /// Of its estimate.
        freedom: f64,
    },
    /// A run that stopped on what it saw: a confidence sequence, over the effective number of responses.
    Stopped {
        /// As above.
        design_effect: f64,
    },
}

impl Basis {
    /// The interval of the share of `hits` of `n` responses; `alpha` is its error rate. All of `0..=1` where `n` is 0.
    pub fn interval(self, hits: u64, n: u64, alpha: f64) -> Interval {
        match self {
            Self::Independent => wilson(hits, n, alpha),
            Self::Clustered {
                design_effect,
                freedom,
            } => {
                let law = StudentsT::new(0.0, 1.0, freedom);
                let quantile = law.map_or(f64::INFINITY, |law| law.inverse_cdf(1.0 - alpha / 2.0));
                let scale = |count: u64| count as f64 / design_effect;
                score_interval(scale(hits), scale(n), quantile.powi(2))
            }
            Self::Stopped { design_effect } => {
                let scale = |count: u64| count as f64 / design_effect;
                confidence_sequence(scale(hits), scale(n), alpha)
            }
        }
    }
}

/// The shares against which a bet with a Beta(½, ½) prior has not won 1/`alpha`: they hold the true share at every
/// look at once with error rate `alpha` (Robbins 1970; Ville 1939).
fn confidence_sequence(hits: f64, n: f64, alpha: f64) -> Interval {
    let others = (n - hits).max(0.0);
    if n <= 0.0 {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    let ln_beta = ln_gamma(hits + 0.5) + ln_gamma(others + 0.5) - ln_gamma(n + 1.0);
    let least = ln_beta - std::f64::consts::PI.ln() + alpha.ln();
    let times = |count: f64, share: f64| if count > 0.0 { count * share.ln() } else { 0.0 };
    let is_left = |share: f64| times(hits, share) + times(others, 1.0 - share) >= least;
    // The likelihood rises to the observed share and falls from there.
    let edge = |mut inside: f64, mut outside: f64| {
        if is_left(outside) {
            return outside;
        }
        for _ in 0..60 {
            let middle = f64::midpoint(inside, outside);
            if is_left(middle) {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        outside
    };
    let share = hits / n;
    Interval {
        low: edge(share, 0.0),
        high: edge(share, 1.0),
    }
}

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
pub fn wilson(hits: u64, n: u64, alpha: f64) -> Interval {
    score_interval(hits as f64, n as f64, normal_quantile(alpha / 2.0).powi(2))
}

/// The shares whose score test does not reach `critical`: the roots of a quadratic.
fn score_interval(x: f64, n: f64, critical: f64) -> Interval {
    if n <= 0.0 {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    let y = (n - x).max(0.0);
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
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

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
    fn dependence_widens_an_interval_and_one_backend_alone_still_ends_at_the_edge() {
        let clustered = Basis::Clustered {
            design_effect: 10.0,
            freedom: 31.0,
        };
        let (plain, wide) = (wilson(700, 1000, 0.05), clustered.interval(700, 1000, 0.05));
        let widening = (wide.high - wide.low) / (plain.high - plain.low);
        assert!((3.1..3.5).contains(&widening), "{widening}");
        let stopped = Basis::Stopped { design_effect: 1.0 };
        for basis in [clustered, stopped] {
            assert_eq!(basis.interval(1000, 1000, 0.05).high, 1.0);
            assert_eq!(basis.interval(0, 1000, 0.05).low, 0.0);
            assert_eq!(basis.interval(0, 0, 0.05), wilson(0, 0, 0.05));
        }
    }

    #[test]
    fn a_confidence_sequence_holds_the_share_at_every_look() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let looks = [20_u64, 50, 100, 200, 400, 800, 1600, 3200];
        let missed = (0..1000).filter(|_| {
            let (mut hits, mut n) = (0, 0);
            looks.iter().any(|&look| {
                while n < look {
                    n += 1;
                    hits += u64::from(random.random::<f64>() < 0.7);
                }
                let interval = Basis::Stopped { design_effect: 1.0 }.interval(hits, n, 0.05);
                0.7 < interval.low || 0.7 > interval.high
            })
        });
        // 50 in the mean at most, standard deviation 7.
        assert!(missed.count() <= 75);
    }
}
