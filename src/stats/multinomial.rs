//! The exact test for three backends or more, by a pruned recursion over the backends.
//!
//! The probability of all outcomes that are no more probable than the observed one is summed without
//! visiting them all. The cells are taken in ascending order of share, each count conditional on the
//! ones before it. Counts that are too improbable whatever follows are added as two binomial tails;
//! a count whose most probable continuation is still no more probable than the observed outcome is
//! added whole; only the rest is descended into, and the last two cells are closed form again. All
//! terms are positive, so that a tiny p-value keeps its digits.

use std::f64::consts::PI;

use statrs::function::gamma::ln_gamma;

use super::binomial::{Binomial, to_count};
use super::cells::{Cells, total};
use super::chi_square::critical_value;
use super::density::{ln_add, ln_multinomial};
use super::exact::{PValue, TIE, binomial_p_value, ln_no_more_probable};

/// The most lines that the recursion for a p-value may be estimated to take: about a tenth of a second.
pub const MOST_LINES: u64 = 50_000;

/// How many times its estimate a recursion may take before it is given up.
const ESTIMATE_MARGIN: u64 = 10;

/// Whether the exact test of `n` responses is short, for every count whose p-value is a tenth of `alpha` or more.
///
/// The counts have no say: a method that hung on them would have another error rate than either.
pub(crate) fn is_short(shares: &[f64], n: u64, alpha: f64) -> bool {
    let freedom = shares.len().saturating_sub(1);
    let radius_squared = critical_value(freedom, alpha / 10.0);
    shares.len() < 3
        || n == 0
        || Recursion::new(shares, 0.0, 0).expected_lines(n, radius_squared) <= MOST_LINES as f64
}

/// The exact multinomial test in probability order; any number of backends from one on.
///
/// Where the recursion would take more than about `most_lines`, which only a count far off the shares does in a test
/// that is short, the p-value is a bound from above: that of a more probable outcome, or the probability of
/// the observed one times the number of outcomes. `None` if that is too long as well.
///
/// # Panics
/// If the slices differ in length.
pub fn multinomial_p_value(observed: &[u64], shares: &[f64], most_lines: u64) -> Option<PValue> {
    let cells = Cells::new(observed, shares);
    if cells.leaked > 0 {
        return Some(PValue::ZERO);
    }
    if let ([x, y], &[p, q]) = (&cells.observed[..], &cells.shares[..]) {
        // The smaller share is the one that floating point holds exactly enough.
        let (hits, share) = if p <= q { (*x, p) } else { (*y, q) };
        return Some(binomial_p_value(hits, cells.total(), share));
    }
    let ln_cut = ln_multinomial(&cells.observed, &cells.shares) + TIE;
    let (shares, n) = (&cells.shares, cells.total());
    let exact = ln_mass_no_more_probable(shares, n, ln_cut, most_lines);
    exact
        .or_else(|| ln_bound(shares, n, ln_cut, most_lines))
        .map(PValue::from_ln)
}

/// A bound from above of [`ln_mass_no_more_probable`] that takes about `most_lines`.
fn ln_bound(shares: &[f64], n: u64, ln_cut: f64, most_lines: u64) -> Option<f64> {
    let recursion = Recursion::new(shares, ln_cut, 0);
    let ln_peak = recursion.ln_mode(0, n);
    let mut radius_squared = 1.6 * (ln_peak - ln_cut);
    while recursion.expected_lines(n, radius_squared) > most_lines as f64 && radius_squared > 1.0 {
        radius_squared *= 0.8;
    }
    let nearer = ln_peak - radius_squared / 2.0;
    let mass = ln_mass_no_more_probable(shares, n, nearer, most_lines)?;
    Some(mass.min(ln_cut + ln_compositions(n, shares.len() - 1)))
}

/// ln of the number of ways to spread `n` over one cell more than there are `dimensions`.
fn ln_compositions(n: u64, dimensions: usize) -> f64 {
    let factor = |place: usize| (n as f64 / place as f64).ln_1p();
    (1..=dimensions).map(factor).sum()
}

/// ln of the probability, under `n` draws from positive `shares`, of all outcomes whose own probability
/// is at most e^`ln_cut`; `None` beyond `most_lines`.
pub(crate) fn ln_mass_no_more_probable(
    shares: &[f64],
    n: u64,
    ln_cut: f64,
    most_lines: u64,
) -> Option<f64> {
    if shares.len() < 2 || n == 0 {
        return Some(0.0);
    }
    let limit = most_lines.saturating_mul(ESTIMATE_MARGIN);
    let mut recursion = Recursion::new(shares, ln_cut, limit);
    let ln_peak = recursion.ln_mode(0, n);
    if ln_peak <= ln_cut {
        return Some(0.0);
    }
    if recursion.expected_lines(n, 2.0 * (ln_peak - ln_cut)) > most_lines as f64 {
        return None;
    }
    recursion.descend(0, n, 0.0)?;
    Some(recursion.ln_mass)
}

struct Recursion {
    /// Positive, ascending.
    shares: Vec<f64>,
    /// `rest[i]` = the sum of `shares[i..]`.
    rest: Vec<f64>,
    ln_cut: f64,
    lines_left: u64,
    steps_left: u64,
    ln_mass: f64,
}

impl Recursion {
    fn new(shares: &[f64], ln_cut: f64, most_lines: u64) -> Self {
        let mut shares = shares.to_vec();
        shares.sort_by(f64::total_cmp);
        let mut rest = vec![0.0; shares.len() + 1];
        for index in (0..shares.len()).rev() {
            rest[index] = rest[index + 1] + shares[index];
        }
        Self {
            shares,
            rest,
            ln_cut,
            lines_left: most_lines,
            steps_left: most_lines.saturating_mul(20),
            ln_mass: f64::NEG_INFINITY,
        }
    }

    fn add(&mut self, ln_mass: f64) {
        self.ln_mass = ln_add(self.ln_mass, ln_mass);
    }

    /// Adds what the cells from `level` on contribute when `left` draws fall on them and the cells
    /// before have probability e^`ln_prefix`; `None` once the lines are used up.
    fn descend(&mut self, level: usize, left: u64, ln_prefix: f64) -> Option<()> {
        self.lines_left = self.lines_left.checked_sub(1)?;
        let binomial = Binomial::with_complement(
            left,
            self.shares[level] / self.rest[level],
            self.rest[level + 1] / self.rest[level],
        );
        let ln_cut = self.ln_cut - ln_prefix;
        self.add(ln_prefix + ln_no_more_probable(binomial, ln_cut));
        let is_last_pair = level + 2 == self.shares.len();
        if is_last_pair || binomial.ln_mass(binomial.mode()) <= ln_cut {
            return Some(());
        }
        let first = binomial.last_before_mode(ln_cut).map_or(0, |x| x + 1);
        for x in first..binomial.first_beyond_mode(ln_cut) {
            self.steps_left = self.steps_left.checked_sub(1)?;
            let ln_here = ln_prefix + binomial.ln_mass(x);
            if ln_here + self.ln_mode(level + 1, left - x) <= self.ln_cut {
                self.add(ln_here);
            } else {
                self.descend(level + 1, left - x, ln_here)?;
            }
        }
        Some(())
    }

    /// ln of the probability of a most probable way to spread `left` draws over the cells from `level` on.
    ///
    /// A mode has at least ⌊left·p⌋ in every cell (Finucan 1964), and the few draws that are then left go,
    /// one by one, to the cell that makes them most probable.
    fn ln_mode(&self, level: usize, left: u64) -> f64 {
        let shares: Vec<f64> = self.shares[level..]
            .iter()
            .map(|share| share / self.rest[level])
            .collect();
        if let [smaller, larger] = shares[..] {
            let binomial = Binomial::with_complement(left, smaller, larger);
            return binomial.ln_mass(binomial.mode());
        }
        let mut counts: Vec<u64> = shares
            .iter()
            .map(|share| to_count(left as f64 * share))
            .collect();
        // Rounding may give a whole expectation one draw too many.
        let mut placed = total(&counts);
        while placed > left {
            let index = extreme(&counts, &shares, |count, share| -(count as f64) / share);
            counts[index] = counts[index].saturating_sub(1);
            placed -= 1;
        }
        while placed < left {
            let index = extreme(&counts, &shares, |count, share| {
                (count as f64 + 1.0) / share
            });
            counts[index] += 1;
            placed += 1;
        }
        ln_multinomial(&counts, &shares)
    }

    /// About how many lines the recursion will take: the volume of the ellipsoid of more probable
    /// outcomes, whose χ² is at most `radius_squared`, projected on all cells but the last pair.
    fn expected_lines(&self, n: u64, radius_squared: f64) -> f64 {
        let dimensions = self.shares.len() - 2;
        let half = dimensions as f64 / 2.0;
        let ln_spread: f64 = self.shares[..dimensions]
            .iter()
            .map(|share| (n as f64 * share).ln())
            .sum();
        let ln_volume = half * (PI * radius_squared).ln() - ln_gamma(half + 1.0)
            + 0.5 * (ln_spread + self.rest[dimensions].ln());
        ln_volume.min(ln_compositions(n, dimensions)).exp()
    }
}

/// The index of the cell with the smallest `rank`; the first of equals.
fn extreme(counts: &[u64], shares: &[f64], rank: impl Fn(u64, f64) -> f64) -> usize {
    let ranked = counts
        .iter()
        .zip(shares)
        .map(|(&count, &share)| rank(count, share))
        .enumerate();
    ranked
        .min_by(|(_, a), (_, b)| a.total_cmp(b))
        .map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compositions(n: u64, cells: usize) -> Vec<Vec<u64>> {
        if cells == 1 {
            return vec![vec![n]];
        }
        (0..=n)
            .flat_map(|first| {
                compositions(n - first, cells - 1)
                    .into_iter()
                    .map(move |mut rest| {
                        rest.insert(0, first);
                        rest
                    })
            })
            .collect()
    }

    #[test]
    fn every_outcome_of_small_tests_equals_its_enumeration() {
        for (n, shares) in [
            (1, vec![0.5, 0.3, 0.2]),
            (17, vec![0.5, 0.3, 0.2]),
            (12, vec![0.25; 4]),
            (9, vec![0.97, 0.01, 0.01, 0.01]),
            (6, vec![0.4, 0.3, 0.1, 0.15, 0.05]),
        ] {
            let all = compositions(n, shares.len());
            let ln_masses: Vec<f64> = all.iter().map(|x| ln_multinomial(x, &shares)).collect();
            for (observed, &ln_mass) in all.iter().zip(&ln_masses) {
                let direct: f64 = ln_masses
                    .iter()
                    .filter(|&&other| other <= ln_mass + TIE)
                    .map(|other| other.exp())
                    .sum();
                let tested = multinomial_p_value(observed, &shares, MOST_LINES).unwrap();
                assert!(
                    (tested.value / direct - 1.0).abs() < 1e-11,
                    "{observed:?} {tested:?}"
                );
            }
        }
    }

    #[test]
    fn two_backends_give_the_binomial_test() {
        let multinomial = multinomial_p_value(&[600, 400], &[0.7, 0.3], 0).unwrap();
        let ln_cut = ln_multinomial(&[600, 400], &[0.7, 0.3]) + TIE;
        let recursed = ln_mass_no_more_probable(&[0.7, 0.3], 1000, ln_cut, 2).unwrap();
        assert!((recursed.exp() / multinomial.value - 1.0).abs() < 1e-12);
        let binomial = crate::stats::exact::binomial_p_value(400, 1000, 0.3);
        assert!((multinomial.value / binomial.value - 1.0).abs() < 1e-12);
    }

    #[test]
    fn zero_weights_and_single_backends_need_no_recursion() {
        let p = |observed: &[u64], shares: &[f64]| multinomial_p_value(observed, shares, 0);
        assert_eq!(p(&[50, 0], &[1.0, 0.0]), Some(PValue::ONE));
        assert_eq!(p(&[50, 1], &[1.0, 0.0]), Some(PValue::ZERO));
        assert_eq!(p(&[0, 0, 0], &[0.5, 0.3, 0.2]), Some(PValue::ONE));
    }

    #[test]
    fn more_lines_than_allowed_abort() {
        let observed = [3000, 3100, 3200, 3000, 2900];
        let ln_mass = |observed: &[u64], shares: &[f64], lines| {
            let ln_cut = ln_multinomial(observed, shares) + TIE;
            ln_mass_no_more_probable(shares, total(observed), ln_cut, lines)
        };
        assert_eq!(ln_mass(&observed, &[0.2; 5], 1000), None);
        let even = ln_mass(&[100; 50], &[0.02; 50], MOST_LINES);
        assert_eq!(even, Some(0.0));
        let uneven: Vec<u64> = (0..50).map(|i| 80 + i).collect();
        assert_eq!(ln_mass(&uneven, &[0.02; 50], MOST_LINES), None);
    }

    #[test]
    fn what_is_too_far_off_to_be_summed_is_bounded_from_above() {
        let shares = [0.4, 0.3, 0.2, 0.1];
        for (observed, lines) in [
            ([700, 300, 500, 100], 3000),
            ([400, 330, 130, 140], 3000),
            ([0, 1000, 0, 0], 20_000),
        ] {
            let p = |lines| multinomial_p_value(&observed, &shares, lines).unwrap();
            let (bound, exact) = (p(lines), p(10_000_000));
            assert!(
                bound.log10 >= exact.log10 && bound.value <= 1e-4,
                "{observed:?} {bound:?} {exact:?}"
            );
        }
    }

    #[test]
    fn how_long_a_test_is_hangs_on_the_plan_alone() {
        assert!(is_short(&[0.5, 0.3, 0.2], 1_000_000, 0.001));
        assert!(is_short(&[0.4, 0.3, 0.2, 0.1], 1000, 0.001));
        assert!(!is_short(&[0.96, 0.01, 0.01, 0.01, 0.01], 10_000, 0.001));
        assert!(!is_short(&[0.02; 50], 5000, 0.001));
    }

    #[test]
    fn a_recursion_within_the_cap_is_never_given_up_beforehand() {
        for (observed, shares) in [
            (vec![510, 290, 200], vec![0.5, 0.3, 0.2]),
            (vec![100, 200, 700], vec![0.5, 0.3, 0.2]),
            (vec![60, 20, 20, 0], vec![0.97, 0.01, 0.01, 0.01]),
            (vec![0, 0, 0, 40], vec![0.97, 0.01, 0.01, 0.01]),
            (vec![430, 300, 180, 90], vec![0.4, 0.3, 0.2, 0.1]),
            (vec![20, 5, 30, 5, 5], vec![0.2; 5]),
            (vec![1, 2, 3, 0, 2, 1, 4], vec![1.0 / 7.0; 7]),
        ] {
            let n = total(&observed);
            let ln_cut = ln_multinomial(&observed, &shares) + TIE;
            let most = 10_000_000;
            let mut recursion = Recursion::new(&shares, ln_cut, most);
            let radius_squared = 2.0 * (recursion.ln_mode(0, n) - ln_cut);
            let expected = recursion.expected_lines(n, radius_squared);
            recursion.descend(0, n, 0.0).unwrap();
            let lines = (most - recursion.lines_left) as f64;
            assert!(
                expected < 5.0 * lines && lines < 5.0 * expected.max(1.0),
                "{observed:?} {expected} {lines}"
            );
        }
    }

    #[test]
    fn counts_beyond_any_real_run_are_answered_in_bounded_time() {
        let huge = [u64::MAX / 8, u64::MAX / 4, u64::MAX / 16];
        let p = multinomial_p_value(&huge, &[0.2, 0.3, 0.5], MOST_LINES);
        assert!(p.is_none_or(|p| p.value == 0.0));
    }
}
