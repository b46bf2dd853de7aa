//! How far the likelihood ratios of a backend's two opposite shifts must fall for a PASS.
//!
//! Each ratio is linear in the backend's hits and misses, so that the counts at which both have fallen far enough
//! form a wedge, which opens at its apex: no run passes sooner. A run whose true share lies at the edge of one shift
//! either stands, at the apex, on the side where that ratio has fallen already (a binomial tail), or its ratio has
//! yet to fall, which happens with a probability of `e^−(S + t)` at most (Ville 1939). Summed over the counts at the
//! apex, the second part is `e^−t` times a tail under the *expected* share, about a half: each threshold `t` may be
//! smaller than `ln(1/α)`, by near `ln 2`, at the same error rate. What a ratio falls beyond its threshold by is
//! neglected, so that the rate stays below α.

use super::binomial::{Binomial, to_count};

/// A shift of a backend: the edge of its tolerance, and the log-likelihood ratio against its expected share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shift {
    /// The backend's share when it is off by so much; above its expected share.
    pub(crate) edge: f64,
    /// What one of its responses adds to the log-likelihood ratio; positive.
    pub(crate) hit: f64,
    /// What any other response adds; negative.
    pub(crate) miss: f64,
}

impl Shift {
    /// The probability that a run with this shift passes, at most, when `n` responses are too few for it to have
    /// passed: that the ratio has fallen to `−threshold` by then, and that it has not and falls later, the latter as
    /// a multiple of `e^−threshold`. `share` is the expected one.
    fn passes(&self, share: f64, threshold: f64, n: u64) -> (f64, f64) {
        let most = (-threshold - self.miss * n as f64) / (self.hit - self.miss);
        if most < 0.0 {
            return (0.0, 1.0);
        }
        let most = to_count(most);
        let fallen = Binomial::new(n, self.edge).ln_at_most(most).exp();
        let later = Binomial::new(n, share).ln_at_least(most + 1).exp();
        (fallen, later)
    }
}

/// The thresholds of two opposite shifts: `above` of the backend with this expected `share`, and `below`, written as the
/// shift above of all others together. A run in which the backend is off by either, or by more, passes with
/// probability `alpha` at most, however often one looks.
pub(crate) fn thresholds(share: f64, above: Shift, below: Shift, alpha: f64) -> [f64; 2] {
    let most = -alpha.ln();
    let sides = [(share, above), (1.0 - share, below)];
    let mut thresholds = [most; 2];
    let rates = |thresholds: [f64; 2]| {
        let n = apex(above, below, thresholds);
        let one = |side: usize| {
            let (share, shift) = sides[side];
            shift.passes(share, thresholds[side], n)
        };
        [one(0), one(1)]
    };
    for _ in 0..12 {
        let now = rates(thresholds);
        for (threshold, (fallen, later)) in thresholds.iter_mut().zip(now) {
            let needed = (later / (alpha - fallen).max(0.0)).ln();
            *threshold = needed.clamp(0.5 * most, most);
        }
    }
    // Counts are whole: what the last step moved may have moved the apex across one.
    while thresholds[0] < most || thresholds[1] < most {
        let rates = rates(thresholds);
        let mut holds = true;
        for (threshold, (fallen, later)) in thresholds.iter_mut().zip(rates) {
            if fallen + (-*threshold).exp() * later > alpha && *threshold < most {
                *threshold = (*threshold + 0.002).min(most);
                holds = false;
            }
        }
        if holds {
            break;
        }
    }
    thresholds
}

/// The last number of responses before both ratios can have fallen to their thresholds.
fn apex(above: Shift, below: Shift, [t, u]: [f64; 2]) -> u64 {
    // Hits and misses where both ratios are at their threshold; those of `below` are exchanged.
    let determinant = above.miss * below.miss - above.hit * below.hit;
    let hits = (t * below.hit - u * above.miss) / determinant;
    let misses = (u * above.hit - t * below.miss) / determinant;
    to_count(hits + misses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shifts(share: f64, tolerance: f64) -> (Shift, Shift) {
        let shift = |share: f64| Shift {
            edge: share + tolerance,
            hit: (tolerance / share).ln_1p(),
            miss: (-tolerance / (1.0 - share)).ln_1p(),
        };
        (shift(share), shift(1.0 - share))
    }

    /// The chance of a PASS at the edge above, by carrying every path of counts forward under the expected share, where a
    /// path that ends at the ratio `S` stands for `e^S` as many at the edge.
    fn passed(share: f64, (above, below): (Shift, Shift), [t, u]: [f64; 2], most: u64) -> f64 {
        let ratio = |shift: Shift, hits: f64, misses: f64| hits * shift.hit + misses * shift.miss;
        let start = apex(above, below, [t, u]);
        let mut masses: Vec<f64> = (0..=start)
            .map(|x| Binomial::new(start, share).ln_mass(x).exp())
            .collect();
        let mut passed = 0.0;
        for n in start..=most {
            for (x, mass) in masses.iter_mut().enumerate() {
                let (x, n) = (x as f64, n as f64);
                let over = ratio(above, x, n - x);
                if *mass > 0.0 && over <= -t && ratio(below, n - x, x) <= -u {
                    passed += *mass * over.exp();
                    *mass = 0.0;
                }
            }
            masses.push(0.0);
            for x in (1..masses.len()).rev() {
                masses[x] = masses[x] * (1.0 - share) + masses[x - 1] * share;
            }
            masses[0] *= 1.0 - share;
        }
        passed
    }

    #[test]
    fn a_shift_of_the_tolerance_passes_at_most_as_often_as_promised() {
        for (share, tolerance, alpha, most) in [
            (0.7, 0.1, 0.001, 1400),
            (0.5, 0.1, 0.05, 1000),
            (0.1, 0.05, 0.001, 2600),
        ] {
            let (above, below) = shifts(share, tolerance);
            let [t, u] = thresholds(share, above, below, alpha);
            let rate = passed(share, (above, below), [t, u], most);
            let other = passed(1.0 - share, (below, above), [u, t], most);
            for rate in [rate, other] {
                assert!(rate <= alpha && rate > 0.8 * alpha, "{share} {rate}");
            }
        }
    }

    #[test]
    fn two_shifts_at_once_need_less_than_either_alone() {
        // Exactly, without the neglected part: 6.256 and 6.470, found by SciPy over all paths of 5,336 responses.
        let (above, below) = shifts(0.7, 0.05);
        let [t, u] = thresholds(0.7, above, below, 0.001);
        assert!((6.256..6.32).contains(&t), "{t}");
        assert!((6.470..6.50).contains(&u), "{u}");
    }
}
