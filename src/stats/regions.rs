//! Which counts pass and which fail, found by bisection instead of testing every count.
//!
//! The equivalence tests make the counts of each backend that can pass an interval; with two backends,
//! the exact test makes the counts that are not rejected one, too. Probabilities of verdicts then are
//! binomial tails.

use super::binomial::Binomial;
use super::equivalence::tolerances;
use super::exact::binomial_p_value;
use super::judge::Judge;

/// A run of counts, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountRange {
    /// The smallest count.
    pub low: u64,
    /// The largest count; below `low` where there is none.
    pub high: u64,
}

impl CountRange {
    /// Whether it holds no count.
    pub fn is_empty(self) -> bool {
        self.low > self.high
    }

    /// Whether it holds `count`.
    pub fn contains(self, count: u64) -> bool {
        (self.low..=self.high).contains(&count)
    }

    fn probability(self, binomial: Binomial) -> f64 {
        binomial.between(self.low, self.high)
    }

    /// The counts of `0..=n` below it and those above it.
    fn outside(self, n: u64) -> [Self; 2] {
        if self.is_empty() {
            return [Self { low: 0, high: n }, Self::EMPTY];
        }
        let below = self
            .low
            .checked_sub(1)
            .map_or(Self::EMPTY, |high| Self { low: 0, high });
        let above = Self {
            low: self.high.saturating_add(1),
            high: n,
        };
        [below, above]
    }

    fn intersection(self, other: Self) -> Self {
        Self {
            low: self.low.max(other.low),
            high: self.high.min(other.high),
        }
    }

    const EMPTY: Self = Self { low: 1, high: 0 };
}

/// The counts of a backend with which, out of `n`, a shift by `margin` from `share` is refuted at `alpha`
/// in either direction.
pub fn equivalent_counts(n: u64, share: f64, margin: f64, alpha: f64) -> CountRange {
    if n == 0 {
        return CountRange::EMPTY;
    }
    let lower = Binomial::new(n, share - margin);
    let low = first_count(0, n.saturating_add(1), |x| {
        lower.ln_at_least(x).exp() <= alpha
    });
    let upper_share = share + margin;
    let high = if upper_share < 1.0 - f64::EPSILON {
        let upper = Binomial::new(n, upper_share);
        match first_count(0, n, |x| upper.ln_at_most(x).exp() > alpha).checked_sub(1) {
            Some(high) => high,
            None => return CountRange::EMPTY,
        }
    } else {
        n
    };
    CountRange { low, high }
}

/// Whether any counts of `n` requests could pass the equivalence tests: if not, the answer can only be
/// INCONCLUSIVE or FAIL, which is worth saying before load is sent.
pub fn can_pass(n: u64, shares: &[f64], tolerance: f64, alpha: f64) -> bool {
    let (mut least, mut most) = (0_u64, 0_u64);
    let margins = tolerances(shares, tolerance);
    for (&share, margin) in shares.iter().zip(margins) {
        if share > 0.0 {
            let range = equivalent_counts(n, share, margin, alpha);
            if range.is_empty() {
                return false;
            }
            least = least.saturating_add(range.low);
            most = most.saturating_add(range.high);
        }
    }
    least <= n && n <= most
}

/// What each count of the first of two backends leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Regions {
    n: u64,
    /// Counts that the exact test does not reject; never empty.
    fitting: CountRange,
    /// Counts for which every shift that matters is refuted.
    equivalent: CountRange,
}

impl Regions {
    /// For `n` requests to two backends with positive `shares`.
    ///
    /// The exact p-value falls from the mode outward, on both sides: two bisections.
    pub fn new(n: u64, shares: [f64; 2], tolerance: f64, alpha: f64) -> Self {
        let margins = tolerances(&shares, tolerance);
        let first = equivalent_counts(n, shares[0], margins[0], alpha);
        let second = equivalent_counts(n, shares[1], margins[1], alpha);
        let equivalent = if first.is_empty() || second.is_empty() {
            CountRange::EMPTY
        } else {
            first.intersection(CountRange {
                low: n.saturating_sub(second.high),
                high: n.saturating_sub(second.low),
            })
        };
        Self {
            n,
            fitting: fitting_counts(n, shares, alpha),
            equivalent,
        }
    }

    /// As [`Regions::new`] without the equivalence tests; quickest where `near`, the fitting counts of
    /// about as many requests, is known.
    pub(crate) fn of_fit_alone(
        n: u64,
        shares: [f64; 2],
        alpha: f64,
        near: Option<CountRange>,
    ) -> Self {
        Self {
            n,
            fitting: near.map_or_else(
                || fitting_counts(n, shares, alpha),
                |near| fitting_counts_near(n, shares, alpha, near),
            ),
            equivalent: CountRange::EMPTY,
        }
    }

    /// The counts of the first backend that the exact test does not reject.
    pub fn fitting(&self) -> CountRange {
        self.fitting
    }

    /// The probability that the exact test rejects when the first backend's true share is `truth`.
    pub fn rejection(&self, truth: f64) -> f64 {
        let binomial = Binomial::new(self.n, truth);
        let rejected = self.fitting.outside(self.n);
        rejected
            .map(|range| range.probability(binomial))
            .iter()
            .sum()
    }

    /// The probabilities of PASS and of FAIL when the first backend's true share is `truth`.
    pub fn pass_and_fail(&self, judge: Judge, truth: f64) -> (f64, f64) {
        let binomial = Binomial::new(self.n, truth);
        match judge {
            Judge::Significance => (self.fitting.probability(binomial), self.rejection(truth)),
            Judge::Equivalence => {
                let pass = self.equivalent.intersection(self.fitting);
                (pass.probability(binomial), self.rejection(truth))
            }
            Judge::Tolerance => {
                let rejected = self.fitting.outside(self.n);
                let not_passed = self.equivalent.outside(self.n);
                let fail = rejected
                    .iter()
                    .flat_map(|one| not_passed.map(|other| one.intersection(other)))
                    .map(|range| range.probability(binomial))
                    .sum();
                (self.equivalent.probability(binomial), fail)
            }
        }
    }
}

/// The exact p-value of `x` of `n` on the first of two backends.
fn p_value(x: u64, n: u64, [p, q]: [f64; 2]) -> f64 {
    if p <= q {
        binomial_p_value(x, n, p).value
    } else {
        binomial_p_value(n - x, n, q).value
    }
}

/// The counts of the first of two backends whose exact p-value exceeds `alpha`.
fn fitting_counts(n: u64, shares: [f64; 2], alpha: f64) -> CountRange {
    let mode = Binomial::with_complement(n, shares[0], shares[1]).mode();
    let fits = |x: u64| p_value(x, n, shares) > alpha;
    CountRange {
        low: first_count(0, mode, fits),
        high: first_count(mode + 1, n.saturating_add(1), |x| !fits(x)) - 1,
    }
}

/// As [`fitting_counts`], searched for outward and inward from the ends of `near`.
fn fitting_counts_near(n: u64, shares: [f64; 2], alpha: f64, near: CountRange) -> CountRange {
    let mode = Binomial::with_complement(n, shares[0], shares[1]).mode();
    let fits = |x: u64| p_value(x, n, shares) > alpha;
    let mut low = near.low.min(mode);
    while low < mode && !fits(low) {
        low += 1;
    }
    while low > 0 && fits(low - 1) {
        low -= 1;
    }
    let mut high = near.high.clamp(mode, n);
    while high > mode && !fits(high) {
        high -= 1;
    }
    while high < n && fits(high + 1) {
        high += 1;
    }
    CountRange { low, high }
}

/// The first count of `low..high` at which a condition begins to hold; `high` where it never does.
fn first_count(mut low: u64, mut high: u64, holds: impl Fn(u64) -> bool) -> u64 {
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::equivalence::equivalence_p_value;
    use crate::stats::judge::Decision;

    #[test]
    fn regions_agree_with_testing_every_count() {
        for (n, shares, tolerance, alpha) in [
            (1, [0.7, 0.3], 0.05, 0.001),
            (99, [0.7, 0.3], 0.05, 0.001),
            (400, [0.7, 0.3], 0.1, 0.05),
            (300, [0.01, 0.99], 0.05, 0.2),
            (300, [0.99, 0.01], 0.05, 0.4),
            (500, [0.5, 0.5], 0.2, 0.001),
        ] {
            let regions = Regions::new(n, shares, tolerance, alpha);
            for judge in Judge::ALL {
                for truth in [0.0, 0.3, shares[0], 0.995, 1.0] {
                    let (pass, fail) = regions.pass_and_fail(judge, truth);
                    let (mut passed, mut failed) = (0.0, 0.0);
                    for x in 0..=n {
                        let p = binomial_p_value(x, n, shares[0]).value;
                        let equivalence = equivalence_p_value(&[x, n - x], &shares, tolerance);
                        let mass = Binomial::new(n, truth).ln_mass(x).exp();
                        match judge.decide(p, equivalence, alpha) {
                            Decision::Pass => passed += mass,
                            Decision::Fail => failed += mass,
                            Decision::Inconclusive => {}
                        }
                    }
                    assert!(
                        (pass - passed).abs() < 1e-10,
                        "{n} {judge:?} {truth} {pass} {passed}"
                    );
                    assert!(
                        (fail - failed).abs() < 1e-10,
                        "{n} {judge:?} {truth} {fail} {failed}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_search_from_nearby_finds_the_same_counts() {
        let mut near = fitting_counts(990, [0.97, 0.03], 0.01);
        for n in 991..1010 {
            near = fitting_counts_near(n, [0.97, 0.03], 0.01, near);
            assert_eq!(near, fitting_counts(n, [0.97, 0.03], 0.01));
        }
    }

    #[test]
    fn a_hundred_requests_cannot_pass_at_five_points() {
        assert!(!can_pass(99, &[0.7, 0.3], 0.05, 0.001));
        assert!(can_pass(3664, &[0.7, 0.3], 0.05, 0.001));
        assert!(can_pass(4800, &[0.5, 0.3, 0.2, 0.0], 0.05, 0.001));
        assert!(!can_pass(0, &[0.7, 0.3], 0.05, 0.001));
        assert!(can_pass(135, &[1.0], 0.05, 0.001));
        assert!(!can_pass(134, &[1.0], 0.05, 0.001));
    }

    #[test]
    fn the_planned_sample_keeps_its_promise() {
        let regions = Regions::new(3664, [0.7, 0.3], 0.05, 0.001);
        let (pass, fail) = regions.pass_and_fail(Judge::Equivalence, 0.7);
        assert!(
            (pass - 0.99903).abs() < 5e-6 && (fail - 0.00097).abs() < 5e-6,
            "{pass} {fail}"
        );
        for truth in [0.65, 0.75] {
            assert!(regions.pass_and_fail(Judge::Equivalence, truth).0 <= 0.0008);
        }
        for (truth, chance) in [(0.69, 0.02), (0.68, 0.25), (0.67, 0.73), (0.66, 0.97)] {
            assert!((regions.rejection(truth) - chance).abs() < 0.015, "{truth}");
        }
    }
}
