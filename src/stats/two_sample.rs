//! Do two samples share one split? Counts of two ingresses that were asked the same, cell by cell.
//!
//! Neither side is the truth, so both vary: that takes twice the requests on each side.

use super::chi_square::normal_survival;
use super::homogeneity::homogeneity;
use super::sample_size::fixed_sample_size;

/// What two samples say of each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoSample {
    /// Small when they do not share one split.
    pub p_value: f64,
    /// Small when no cell's shares are apart by its margin or more.
    pub equivalence_p_value: f64,
}

impl TwoSample {
    /// Compares the counts of two samples: `one[i]` and `other[i]` belong to cell `i`, whose shares may be apart by
    /// less than `margins[i]`.
    ///
    /// The difference is tested by [`homogeneity`]. The equivalence is an intersection–union test (Berger
    /// 1982) of two one-sided score tests for each cell, so that each may use the whole level.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn new(one: &[u64], other: &[u64], margins: &[f64]) -> Self {
        assert!(
            one.len() == other.len() && one.len() == margins.len(),
            "a margin for each cell"
        );
        let sizes = [one, other].map(total);
        let cells = one.iter().zip(other).zip(margins);
        let largest = cells
            .map(|((&one, &other), &margin)| {
                apart_p_value([one as f64, other as f64], sizes, margin)
            })
            .fold(0.0, f64::max);
        let tested = homogeneity(&[one.to_vec(), other.to_vec()], 0.0);
        Self {
            p_value: tested.map_or(1.0, |tested| tested.p_value),
            equivalence_p_value: if sizes.contains(&0.0) { 1.0 } else { largest },
        }
    }

    /// What two comparisons of the same requests say together: that one of them differs, or that both are alike.
    pub fn and(self, other: Self) -> Self {
        Self {
            // Bonferroni: that one of two differs.
            p_value: (2.0 * self.p_value.min(other.p_value)).min(1.0),
            equivalence_p_value: self.equivalence_p_value.max(other.equivalence_p_value),
        }
    }
}

/// The requests for each side after which equal splits are found alike, and those apart by the tolerance are not:
/// twice those of one sample, since the variance of a difference is twice that of a share.
pub fn sample_size(shares: &[f64], tolerance: f64, alpha: f64) -> u64 {
    fixed_sample_size(shares, tolerance, alpha).saturating_mul(2)
}

/// The least margin by which no cell of two samples is apart at error rate `alpha`, where the variance of their counts
/// is `design_effect` times that of independent ones; 1 where either is empty.
///
/// # Panics
/// If the slices differ in length.
#[must_use]
pub fn largest_difference(one: &[u64], other: &[u64], design_effect: f64, alpha: f64) -> f64 {
    assert_eq!(one.len(), other.len(), "samples of the same cells");
    let sizes = [one, other].map(|counts| total(counts) / design_effect);
    if sizes.contains(&0.0) {
        return 1.0;
    }
    let is_refuted = |margin: f64| {
        let mut cells = one.iter().zip(other);
        cells.all(|(&one, &other)| {
            let hits = [one, other].map(|count| count as f64 / design_effect);
            apart_p_value(hits, sizes, margin) <= alpha
        })
    };
    let (mut open, mut refuted) = (0.0, 1.0);
    for _ in 0..40 {
        let middle = f64::midpoint(open, refuted);
        if is_refuted(middle) {
            refuted = middle;
        } else {
            open = middle;
        }
    }
    refuted
}

fn total(counts: &[u64]) -> f64 {
    counts.iter().sum::<u64>() as f64
}

/// The p-value of "the shares are apart by `margin` or more": the larger of two one-sided score tests.
fn apart_p_value(hits: [f64; 2], sizes: [f64; 2], margin: f64) -> f64 {
    let [above, below] = [hits, [hits[1], hits[0]]];
    let score = score(above, sizes, margin).min(score(below, [sizes[1], sizes[0]], margin));
    normal_survival(score)
}

/// The score of "the first share is below the second by `margin` or more" (Farrington & Manning 1990, *Statist.
/// Med.* 9, 1447–1454): the larger, the less so. NaN without requests.
fn score(hits: [f64; 2], sizes: [f64; 2], margin: f64) -> f64 {
    let share = [hits[0] / sizes[0], hits[1] / sizes[1]];
    let restricted = restricted(share, sizes[1] / sizes[0], -margin);
    let variance: f64 = restricted
        .iter()
        .zip(sizes)
        .map(|(share, size)| share * (1.0 - share) / size)
        .sum();
    (share[0] - share[1] + margin) / variance.sqrt()
}

/// The likeliest shares whose difference is `difference`, given the observed ones, where the second sample is `ratio`
/// times as large: the root of a cubic in closed form (Miettinen & Nurminen 1985, *Statist. Med.* 4, 213–226).
fn restricted(share: [f64; 2], ratio: f64, difference: f64) -> [f64; 2] {
    let all = 1.0 + ratio;
    let hits = share[0] + ratio * share[1];
    let square = -(all + hits + difference * (ratio + 2.0)) / all;
    let linear = (difference * (difference + 2.0 * share[0] + all) + hits) / all;
    let constant = -share[0] * difference * (1.0 + difference) / all;
    let third = square / 3.0;
    let skew = third.powi(3) - third * linear / 2.0 + constant / 2.0;
    let reach = (third * third - linear / 3.0)
        .max(0.0)
        .sqrt()
        .copysign(skew);
    let cosine = if reach == 0.0 {
        0.0
    } else {
        (skew / reach.powi(3)).clamp(-1.0, 1.0)
    };
    let angle = (std::f64::consts::PI + cosine.acos()) / 3.0;
    let first = 2.0 * reach * angle.cos() - third;
    let first = first.clamp(difference.max(0.0), (1.0 + difference).min(1.0));
    [first, (first - difference).clamp(0.0, 1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::scipy_reference;

    #[test]
    fn the_score_agrees_with_a_likelihood_that_was_maximised_by_search() {
        for row in scipy_reference::of("score_of_difference") {
            let [hits, sizes] =
                [row.counts(0), row.counts(1)].map(|two| [two[0] as f64, two[1] as f64]);
            let score = score(hits, sizes, row.number(2));
            row.assert_close(score, 1e-6);
        }
    }

    #[test]
    fn equal_splits_are_alike_and_those_apart_by_the_margin_are_not() {
        let margins = [0.05, 0.05];
        let n = sample_size(&[0.7, 0.3], 0.05, 0.001);
        assert_eq!(n, 7328);
        let counts = |percent: u64| [n * percent / 100, n - n * percent / 100];
        let alike = TwoSample::new(&counts(70), &counts(70), &margins);
        assert!(
            alike.p_value > 0.9 && alike.equivalence_p_value < 1e-9,
            "{alike:?}"
        );
        let apart = TwoSample::new(&counts(70), &counts(65), &margins);
        assert!(
            apart.p_value < 1e-6 && apart.equivalence_p_value > 0.4,
            "{apart:?}"
        );
        let same = TwoSample::new(&counts(65), &counts(70), &margins);
        assert_eq!(same.equivalence_p_value, apart.equivalence_p_value);
    }

    #[test]
    fn the_largest_difference_is_the_least_margin_that_is_refuted() {
        let (one, other) = ([1300, 532], [1265, 567]);
        let largest = largest_difference(&one, &other, 1.0, 0.001);
        let p = |margin: f64| TwoSample::new(&one, &other, &[margin; 2]).equivalence_p_value;
        assert!(
            p(largest) <= 0.001 && p(largest - 1e-9) > 0.001,
            "{largest}"
        );
        // Wald's: .0191 + 3.09 × .0152.
        assert!((largest - 0.066).abs() < 5e-4, "{largest}");
        let fewer = [one, other].map(|counts| counts.map(|count| count / 4));
        let quarter = largest_difference(&fewer[0], &fewer[1], 1.0, 0.001);
        let inflated = largest_difference(&one, &other, 4.0, 0.001);
        assert!((quarter - inflated).abs() < 2e-3, "{quarter} {inflated}");
        assert!((largest_difference(&one, &[0, 0], 1.0, 0.001) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn one_backend_alone_and_nothing_at_all_are_judged_too() {
        let n = sample_size(&[1.0, 0.0], 0.05, 0.001);
        let alone = TwoSample::new(&[n, 0], &[n, 0], &[0.05, 0.05]);
        assert!(
            alone.p_value == 1.0 && alone.equivalence_p_value < 0.001,
            "{alone:?}"
        );
        let turned = TwoSample::new(&[n, 0], &[0, n], &[0.05, 0.05]);
        assert!(
            turned.p_value < 1e-50 && turned.equivalence_p_value > 0.999,
            "{turned:?}"
        );
        let nothing = TwoSample::new(&[0, 0], &[n, 0], &[0.05, 0.05]);
        assert_eq!((nothing.p_value, nothing.equivalence_p_value), (1.0, 1.0));
        assert_eq!(
            alone.and(turned).equivalence_p_value,
            turned.equivalence_p_value
        );
    }
}
