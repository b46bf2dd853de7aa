//! Do the parts of a run share one split? The table of parts × backends, and which part stands out.
//!
//! Two tests, each at half of the level. Pearson's X² over the whole table sees many small differences; it
//! counts where every expected count is at least 100, as everywhere in this crate. The exact test of each
//! part against all others (Fisher's, by the hypergeometric distribution of its counts given the totals),
//! Bonferroni-corrected over parts and backends, sees one part that differs, however small its counts.

use super::chi_square::survival;
use super::density::ln_binomial;

/// Pearson's X² counts where every expected count is at least this (as for the goodness of fit).
const LEAST_EXPECTED: f64 = 100.0;
/// A count within so many standard deviations of its expectation is taken for no evidence at all, which is
/// conservative, and saves its exact tail.
const UNREMARKABLE: f64 = 2.0;

/// What the table says.
#[derive(Debug, Clone, PartialEq)]
pub struct Homogeneity {
    /// Pearson's X² of independence.
    pub statistic: f64,
    /// `(parts − 1)(backends − 1)`, over those that have any count.
    pub degrees_of_freedom: u64,
    /// The upper tail of χ², which is approximate.
    pub chi_square_p_value: f64,
    /// The p-value that gates: small when the parts did not share one split.
    pub p_value: f64,
    /// The parts (indices of rows) that differ from the others, the most different first, or all parts where
    /// no majority agrees; empty where `p_value` exceeds the level.
    pub outliers: Vec<usize>,
}

/// Tests whether the rows, counts by backend of one part each, share one split; `None` where no table could
/// differ: fewer than two parts or backends with a count.
///
/// While the rest differs at `alpha`, the part that differs most from the others is set apart, so that one
/// part that saw another split does not make outliers of those that did not. Where half of them would be, no
/// part is the odd one, and all are named.
///
/// # Panics
/// If the rows differ in length.
pub fn homogeneity(rows: &[Vec<u64>], alpha: f64) -> Option<Homogeneity> {
    let mut left: Vec<usize> = (0..rows.len())
        .filter(|&row| rows[row].iter().any(|&count| count > 0))
        .collect();
    let (whole, mut worst) = Table::new(rows, &left)?.test();
    let mut outliers = Vec::new();
    let most = left.len() / 2;
    let mut p_value = whole.p_value;
    while p_value <= alpha && outliers.len() < most {
        outliers.push(left.remove(worst));
        let Some(rest) = Table::new(rows, &left) else {
            break;
        };
        let (rest, next) = rest.test();
        (p_value, worst) = (rest.p_value, next);
    }
    if outliers.len() >= left.len() {
        outliers.append(&mut left);
    }
    Some(Homogeneity { outliers, ..whole })
}

/// The rows of some parts, with their sums.
struct Table<'a> {
    rows: Vec<(&'a [u64], u64)>,
    totals: Vec<u64>,
    total: u64,
}

impl<'a> Table<'a> {
    fn new(rows: &'a [Vec<u64>], parts: &[usize]) -> Option<Self> {
        let mut totals = vec![0; rows.first()?.len()];
        let mut kept = Vec::with_capacity(parts.len());
        for row in parts.iter().map(|&part| &rows[part]) {
            assert_eq!(row.len(), totals.len(), "one count for each backend");
            for (total, count) in totals.iter_mut().zip(row) {
                *total += count;
            }
            kept.push((row.as_slice(), row.iter().sum()));
        }
        let backends = totals.iter().filter(|&&total| total > 0).count();
        (kept.len() >= 2 && backends >= 2).then(|| Self {
            rows: kept,
            total: totals.iter().sum(),
            totals,
        })
    }

    /// The tests, and the row that differs most from the others.
    fn test(&self) -> (Homogeneity, usize) {
        let backends: Vec<usize> = (0..self.totals.len())
            .filter(|&backend| self.totals[backend] > 0)
            .collect();
        let (mut statistic, mut least) = (0.0, f64::INFINITY);
        // The most extreme count: its p-value, and its distance in standard deviations for ties at 0.
        let (mut smallest, mut farthest, mut worst) = (f64::INFINITY, 0.0, 0);
        for (row, &(counts, size)) in self.rows.iter().enumerate() {
            for &backend in &backends {
                let (count, hits) = (counts[backend], self.totals[backend]);
                let (n, hit_share) = (size as f64, hits as f64 / self.total as f64);
                let expected = n * hit_share;
                let variance =
                    expected * (1.0 - hit_share) * (self.total - size) as f64 / self.total as f64;
                let distance = count as f64 - expected;
                statistic += distance * distance / expected;
                least = least.min(expected);
                let deviations = distance.abs() / variance.max(f64::MIN_POSITIVE).sqrt();
                let p_value = if deviations <= UNREMARKABLE {
                    1.0
                } else {
                    two_sided(count, size, hits, self.total)
                };
                if p_value < smallest || (p_value <= smallest && deviations > farthest) {
                    (smallest, farthest, worst) = (p_value, deviations, row);
                }
            }
        }
        // Two backends mirror each other: their counts make one test.
        let cells = if backends.len() == 2 {
            1
        } else {
            backends.len()
        };
        let exact = smallest * (self.rows.len() * cells) as f64;
        let degrees_of_freedom = (self.rows.len() - 1) * (backends.len() - 1);
        let chi_square_p_value = survival(statistic, degrees_of_freedom);
        let pearson = if least >= LEAST_EXPECTED {
            chi_square_p_value
        } else {
            1.0
        };
        let tested = Homogeneity {
            statistic,
            degrees_of_freedom: degrees_of_freedom as u64,
            chi_square_p_value,
            p_value: (2.0 * exact.min(pearson)).min(1.0),
            outliers: Vec::new(),
        };
        (tested, worst)
    }
}

/// Twice the smaller tail, at most 1, of `count` hits in `size` draws without replacement from `total` items
/// with `hits` among them.
fn two_sided(count: u64, size: u64, hits: u64, total: u64) -> f64 {
    let mean = size as f64 * (hits as f64 / total as f64);
    let misses = total - hits;
    let (low, high) = (size.saturating_sub(misses), size.min(hits));
    let share = size as f64 / total as f64;
    let rest = 1.0 - share;
    let ln = |x: u64, y: u64| ln_binomial(x as f64, y as f64, share, rest);
    // The hypergeometric probability as three binomial ones, whose share cancels out.
    let ln_mass = ln(count, hits - count) + ln(size - count, misses - (size - count))
        - ln(size, total - size);
    let (mut sum, mut term, mut x) = (1.0, 1.0, count);
    let is_upper = count as f64 > mean;
    while (if is_upper { x < high } else { x > low }) && term > sum * 1e-17 {
        let up = |x: u64| {
            (hits - x) as f64 * (size - x) as f64
                / ((x + 1) as f64 * (misses + x + 1 - size) as f64)
        };
        if is_upper {
            term *= up(x);
            x += 1;
        } else {
            x -= 1;
            term /= up(x);
        }
        sum += term;
    }
    (2.0 * (ln_mass + f64::ln(sum)).exp()).min(1.0)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Binomial, Distribution};

    use super::*;
    use crate::stats::scipy_reference;

    #[test]
    fn the_exact_tail_agrees_with_the_hypergeometric_distribution() {
        for row in scipy_reference::of("hypergeometric_two_sided") {
            let (counts, urn) = (row.counts(0), row.counts(1));
            row.assert_close(two_sided(counts[0], counts[1], urn[0], urn[1]), 1e-9);
        }
    }

    #[test]
    fn the_statistic_agrees_with_that_of_a_contingency_table() {
        for row in scipy_reference::of("block_p_value") {
            let backends = usize::try_from(row.counts(1)[1]).unwrap();
            let table = row.counts(0);
            let rows: Vec<Vec<u64>> = table.chunks(backends).map(<[u64]>::to_vec).collect();
            let test = homogeneity(&rows, 0.001).unwrap();
            row.assert_close(test.chi_square_p_value, 1e-9);
        }
    }

    #[test]
    fn the_part_that_saw_another_split_stands_out_alone() {
        let mut rows = vec![vec![321, 137]; 8];
        rows[5] = vec![229, 229];
        let test = homogeneity(&rows, 0.001).unwrap();
        assert_eq!(test.outliers, [5]);
        assert!(test.p_value < 1e-6, "{test:?}");
        assert_eq!(test.degrees_of_freedom, 7);
        rows[2] = vec![450, 8];
        let mut two = homogeneity(&rows, 0.001).unwrap().outliers;
        two.sort_unstable();
        assert_eq!(two, [2, 5]);
        let pair = homogeneity(&[vec![700, 300], vec![500, 500]], 0.001).unwrap();
        assert_eq!(pair.outliers.len(), 2);
    }

    #[test]
    fn parts_that_agree_are_no_evidence_however_few_their_counts() {
        let test = homogeneity(&vec![vec![7, 3]; 4], 0.001).unwrap();
        assert_eq!((test.p_value, test.outliers.len()), (1.0, 0));
        for rows in [
            vec![],
            vec![vec![7, 3]],
            vec![vec![7, 3], vec![0, 0]],
            vec![vec![7, 0], vec![5, 0]],
        ] {
            assert_eq!(homogeneity(&rows, 0.001), None, "{rows:?}");
        }
        // A part that answers nothing but once is an outlier only if that is improbable.
        assert!(
            homogeneity(&[vec![0, 1], vec![700, 300]], 0.05)
                .unwrap()
                .p_value
                > 0.05
        );
    }

    #[test]
    fn parts_of_one_split_differ_at_most_as_often_as_promised() {
        // 4000 seeded tables at a level of 5 %: beyond 5 % + 3 standard errors would be 240.
        let mut random = ChaCha8Rng::seed_from_u64(8);
        for size in [40, 458] {
            let draw = Binomial::new(size, 0.3).unwrap();
            let differing = (0..4000)
                .filter(|_| {
                    let row = |_| {
                        let hits = draw.sample(&mut random);
                        vec![size - hits, hits]
                    };
                    let rows: Vec<Vec<u64>> = (0..8).map(row).collect();
                    homogeneity(&rows, 0.05).unwrap().p_value <= 0.05
                })
                .count();
            assert!((20..=240).contains(&differing), "{size}: {differing}");
        }
    }
}
