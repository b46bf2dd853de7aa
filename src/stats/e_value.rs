//! The e-value of a split: how much a bet against "the split is as expected" has won.
//!
//! While the split is correct, an e-process starts at 1 and is expected to stay there; by Ville's
//! inequality (1939) it ever reaches 1/α in at most a share α of the runs, however often one looks.
//! Half of the stake goes to the Dirichlet–multinomial Bayes factor of Lindon & Malek
//! (*Anytime-Valid Inference for Multinomial Count Data*, 2022), which finds any departure, and half
//! evenly to the *faces*: for each backend `i` of share `pᵢ` the alternatives `b = pᵢ ± τᵢ`,
//! `τᵢ = min(τ, pᵢ/2)`, with the likelihood ratio
//! `S = xᵢ ln(b/pᵢ) + (n − xᵢ) ln((1−b)/(1−pᵢ))`, which find a shift of the tolerance soonest. The reciprocal of
//! a face's ratio is in turn an e-process against every share at or beyond `b` (Wald 1945),
//! so that a small ratio on all the faces refutes every shift of the tolerance or more.

use statrs::function::gamma::digamma;

use super::density::{deviance, stirling_error};
use super::wedge::{Shift, thresholds};

/// An alternative that sets one backend's share to the edge of the tolerance.
#[derive(Debug, Clone, Copy)]
struct Face {
    /// Index among the positive shares.
    cell: usize,
    /// What a response of that backend adds to the log-likelihood ratio.
    hit: f64,
    /// What any other response adds.
    miss: f64,
    /// By how much less than ln(1/α) the ratio must fall for PASS.
    credit: f64,
}

impl Face {
    fn log_ratio(&self, hits: u64, responses: u64) -> f64 {
        hits as f64 * self.hit + (responses - hits) as f64 * self.miss
    }

    fn is_upper(&self) -> bool {
        self.hit > 0.0
    }

    /// The range of the log ratio over every way in which `unattributed` of `responses` may have fallen:
    /// it is linear in the backend's hits. With a single backend there is one way alone.
    fn range(&self, hits: u64, unattributed: u64, responses: u64, single: bool) -> (f64, f64) {
        let without = self.log_ratio(hits, responses);
        let with = self.log_ratio(hits + unattributed, responses);
        match (single, self.is_upper()) {
            (true, _) => (with, with),
            (false, true) => (without, with),
            (false, false) => (with, without),
        }
    }
}

/// The bets that are placed against an expected split; made once, evaluated at any counts.
///
/// Backends of weight zero take no part: a hit on one is a certain failure, which the caller handles.
/// `counts[j]` below pairs with the `j`-th *positive* share.
#[derive(Debug, Clone)]
pub struct Bets {
    shares: Vec<f64>,
    concentration: f64,
    faces: Vec<Face>,
    /// `G` of [`Bets::log_bayes_factor`] at no counts.
    origin: f64,
}

impl Bets {
    /// The bets against `shares` (each in `0..=1`, summing to 1) at `tolerance`, a share.
    ///
    /// The prior's concentration is `c = max(2, maxᵢ pᵢ(1−pᵢ)/(4τᵢ²))`: its standard deviation about the
    /// expected share is then near twice the tolerance.
    ///
    /// # Panics
    /// If no share is positive or the tolerance is not.
    pub fn new(shares: &[f64], tolerance: f64) -> Self {
        assert!(tolerance > 0.0, "the tolerance is positive");
        let shares: Vec<f64> = shares.iter().copied().filter(|&p| p > 0.0).collect();
        assert!(!shares.is_empty(), "an expected split has a positive share");
        let mut concentration = 2.0_f64;
        let mut faces = Vec::with_capacity(2 * shares.len());
        for (cell, &share) in shares.iter().enumerate() {
            // Summed, since 1 − p is 0 for a share that rounds to 1.
            let others: f64 = shares
                .iter()
                .enumerate()
                .filter_map(|(other, &p)| (other != cell).then_some(p))
                .sum();
            let shift = tolerance.min(share / 2.0);
            concentration = concentration.max(share * others / (4.0 * shift * shift));
            // An edge that rounds to 1 is no alternative: a single response elsewhere would refute it.
            if others - shift > 1e-12 {
                faces.push(Face {
                    cell,
                    hit: (shift / share).ln_1p(),
                    miss: (-shift / others).ln_1p(),
                    credit: 0.0,
                });
            }
            faces.push(Face {
                cell,
                hit: (-shift / share).ln_1p(),
                // A backend that has the whole share cannot be missed.
                miss: if others > 0.0 {
                    (shift / others).ln_1p()
                } else {
                    0.0
                },
                credit: 0.0,
            });
        }
        let mut bets = Self {
            shares,
            concentration,
            faces,
            origin: 0.0,
        };
        bets.origin = bets.saddle(|_| 0.0, 0.0);
        bets
    }

    /// The bets as a PASS at error rate `alpha` asks for them: both shifts of a backend must be refuted at once, so
    /// that either may be refuted a little less.
    pub fn with_credit(mut self, alpha: f64) -> Self {
        for first in 1..self.faces.len() {
            let [above, below] = [self.faces[first - 1], self.faces[first]];
            if above.cell != below.cell {
                continue;
            }
            let share = self.shares[above.cell];
            let upper = Shift {
                edge: share * above.hit.exp(),
                hit: above.hit,
                miss: above.miss,
            };
            let lower = Shift {
                edge: (1.0 - share) * below.miss.exp(),
                hit: below.miss,
                miss: below.hit,
            };
            let [of_upper, of_lower] = thresholds(share, upper, lower, alpha);
            self.faces[first - 1].credit = -alpha.ln() - of_upper;
            self.faces[first].credit = -alpha.ln() - of_lower;
        }
        self
    }

    /// The positive shares, in their order.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// The log of the factor by which one more response of `cell` multiplies the Bayes factor, after `hits`
    /// of `responses`: `(c·p + x) / ((c + n)·p)`.
    pub fn log_step(&self, cell: usize, hits: u64, responses: u64) -> f64 {
        let (c, share) = (self.concentration, self.shares[cell]);
        ((c * share + hits as f64) / ((c + responses as f64) * share)).ln()
    }

    /// The log of the Dirichlet–multinomial Bayes factor
    /// `lnΓ(c) − lnΓ(c+n) + Σ[lnΓ(c·pᵢ+xᵢ) − lnΓ(c·pᵢ) − xᵢ ln pᵢ]`.
    ///
    /// Written as `G(x) − G(0)`, `G = Σ D(yᵢ, Y·pᵢ) − ½Σ ln yᵢ + ½ ln Y + Σδ(yᵢ) − δ(Y)` with `yᵢ = c·pᵢ + xᵢ`,
    /// `Y = c + n`, the deviance `D` and Stirling's remainder `δ`, in which the large terms have cancelled by
    /// algebra: the difference of `lnΓ` is off by 3e-6 at n = 10⁹, this form by 1e-11.
    pub fn log_bayes_factor(&self, counts: &[u64]) -> f64 {
        let responses: u64 = counts.iter().sum();
        self.saddle(|cell| counts[cell] as f64, responses as f64) - self.origin
    }

    fn saddle(&self, count: impl Fn(usize) -> f64, responses: f64) -> f64 {
        let total = self.concentration + responses;
        let cells: f64 = self
            .shares
            .iter()
            .enumerate()
            .map(|(cell, &share)| {
                let y = self.concentration * share + count(cell);
                deviance(y, total * share) - 0.5 * y.ln() + stirling_error(y)
            })
            .sum();
        cells + 0.5 * total.ln() - stirling_error(total)
    }

    /// The largest log-likelihood ratio of a face, less its credit, over every way of attributing `unattributed`
    /// further responses.
    ///
    /// Exact: each ratio is linear in its backend's hits, so that an upper face is largest with all of them
    /// and a lower face with none.
    pub fn max_face(&self, counts: &[u64], unattributed: u64) -> f64 {
        let highs = self.face_ranges(counts, unattributed);
        highs
            .zip(&self.faces)
            .map(|((_, high), face)| high - face.credit)
            .fold(f64::NEG_INFINITY, f64::max)
    }

    fn face_ranges(
        &self,
        counts: &[u64],
        unattributed: u64,
    ) -> impl Iterator<Item = (f64, f64)> + Clone {
        let responses = counts.iter().sum::<u64>() + unattributed;
        let single = self.shares.len() == 1;
        self.faces
            .iter()
            .map(move |face| face.range(counts[face.cell], unattributed, responses, single))
    }

    fn log_mean(&self, terms: impl Iterator<Item = f64> + Clone) -> f64 {
        let max = terms.clone().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = terms.map(|term| (term - max).exp()).sum();
        max + (sum / self.faces.len() as f64).ln()
    }

    /// A lower bound of the log e-value over every way of attributing `unattributed` further responses to the
    /// backends of positive weight; exact where there are none. `log_bayes_factor` is that of `counts`.
    ///
    /// The minimum of a sum is at least the sum of the minima: each face counts at its own minimum (its ratio
    /// is linear in its backend's hits), the Bayes factor at the bound of `least_bayes_factor`.
    pub fn log_e_value_floor(
        &self,
        counts: &[u64],
        unattributed: u64,
        log_bayes_factor: f64,
    ) -> f64 {
        let faces = self.log_mean(self.face_ranges(counts, unattributed).map(|(low, _)| low));
        let bayes = if unattributed == 0 {
            log_bayes_factor
        } else {
            self.least_bayes_factor(counts, unattributed)
        };
        log_half_sum(faces, bayes)
    }

    /// A lower bound of the log Bayes factor over every way of attributing `unattributed` further responses.
    ///
    /// With `n` fixed it is, but for a constant, `Σ g(yᵢ)` with `g(y) = lnΓ(c·pᵢ+y) − y ln pᵢ`, convex. Over real `y` it
    /// is smallest near the allocation that fills the backends up to one level of `(c·pᵢ + yᵢ − ½)/pᵢ` (since
    /// `ψ(z) ≈ ln(z − ½)`). A convex function lies above its tangent there, and the tangent's minimum over all
    /// allocations gives everything to the backend of least slope: a bound that holds whatever the level, and
    /// misses the true minimum by about `u/(24 y²)`. O(k) for each step of the level, of which there are few.
    fn least_bayes_factor(&self, counts: &[u64], unattributed: u64) -> f64 {
        let extra = unattributed as f64;
        let height = |cell: usize| {
            let share = self.shares[cell];
            (self.concentration * share + counts[cell] as f64 - 0.5) / share
        };
        let Some(level) = water_level(&self.shares, height, extra) else {
            return f64::NEG_INFINITY;
        };
        let allotted = |cell: usize| self.shares[cell] * (level - height(cell)).max(0.0);
        let total: f64 = (0..counts.len()).map(allotted).sum();
        let responses = counts.iter().sum::<u64>() as f64 + total;
        let value = self.saddle(|cell| counts[cell] as f64 + allotted(cell), responses);
        let mut least = f64::INFINITY;
        let mut along = 0.0;
        for (cell, &share) in self.shares.iter().enumerate() {
            let given = allotted(cell);
            let slope =
                digamma(self.concentration * share + counts[cell] as f64 + given) - share.ln();
            least = least.min(slope);
            along += given * slope;
        }
        value - self.origin + extra * least - along
    }
}

/// The level at which vessels of ground area `areas[i]` and bottom `bottom(i)` hold `volume` together, by
/// Newton's method from above on a convex, piecewise linear function: monotone, and exact once the set of
/// vessels that hold anything is found. `None` if it is not found in 64 steps.
fn water_level(areas: &[f64], bottom: impl Fn(usize) -> f64, volume: f64) -> Option<f64> {
    let mut level = f64::INFINITY;
    let mut holding = usize::MAX;
    for _ in 0..64 {
        let (mut area, mut below, mut vessels) = (0.0, 0.0, 0);
        for (cell, &ground) in areas.iter().enumerate() {
            if bottom(cell) < level {
                area += ground;
                below += ground * bottom(cell);
                vessels += 1;
            }
        }
        if vessels == holding {
            return Some(level);
        }
        holding = vessels;
        level = (volume + below) / area;
    }
    None
}

/// `ln(½ eᵃ + ½ eᵇ)`, for finite `a` and `b` or one of them `−∞`.
fn log_half_sum(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    high + (low - high).exp().ln_1p() - std::f64::consts::LN_2
}

#[cfg(test)]
mod tests;
