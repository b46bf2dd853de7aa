//! Does a response depend on the one before it? The runs test for any number of backends.

use rand::seq::SliceRandom;
use statrs::function::erf::erfc;

use super::permutation::{affordable, generator, permutation_test};

/// Below this expected number of adjacent pairs of one backend the number of runs is far from normal.
const LEAST_PAIRS: f64 = 10.0;
/// The labels that a permutation shuffles at most; the rest of a longer sequence is left out.
const PERMUTED_LABELS: usize = 16_384;

/// The number of runs of equal backends against what independent responses would give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Runs {
    /// Attributed responses in the sequence.
    pub responses: u64,
    /// Maximal stretches of one backend.
    pub runs: u64,
    /// Their mean for independent responses with the same counts.
    pub expected: f64,
    /// The deviation in standard deviations: negative where backends come in clumps, positive where they take turns.
    pub z: f64,
    /// Two-sided.
    pub p_value: f64,
    /// Whether the p-value is a permutation test's rather than the normal approximation's.
    pub permuted: bool,
}

/// Tests the sequence of backends in dispatch order; labels of `cells` or more are responses without an identity, and are
/// passed over.
///
/// Given the counts `xᵢ`, the number of runs has mean `1 + (n² − s₂)/n` and variance
/// `[s₂(s₂ + n(n+1)) − 2n·s₃ − n³]/[n²(n−1)]`, `s_r = Σxᵢʳ` (Barton & David 1957), and is normal in the limit. Where a
/// backend is so rare that it is expected to follow itself fewer than ten times, labels are permuted instead (seeded;
/// over the first 16,384 responses, to which all the figures then refer). `None` where the number of runs is fixed:
/// fewer than two backends, or fewer than three responses.
#[must_use]
pub fn runs(labels: &[u8], cells: usize, seed: u64) -> Option<Runs> {
    let attributed: Vec<u8> = labels
        .iter()
        .copied()
        .filter(|&label| usize::from(label) < cells)
        .collect();
    let counted = Counted::new(&attributed)?;
    if counted.fewest_pairs >= LEAST_PAIRS {
        return Some(counted.result(erfc(counted.z().abs() / std::f64::consts::SQRT_2), false));
    }
    let mut shuffled = attributed;
    shuffled.truncate(PERMUTED_LABELS);
    let counted = Counted::new(&shuffled)?;
    let mut random = generator(seed);
    let deviation = (counted.runs as f64 - counted.expected).abs() - 1e-9;
    let test = permutation_test(affordable(4 * shuffled.len() as u64), || {
        shuffled.shuffle(&mut random);
        (run_count(&shuffled) as f64 - counted.expected).abs() >= deviation
    });
    Some(counted.result(test.p_value, true))
}

/// A sequence's runs and their moments under permutation.
struct Counted {
    responses: u64,
    runs: u64,
    expected: f64,
    variance: f64,
    /// The expected number of times that the rarest backend follows itself.
    fewest_pairs: f64,
}

impl Counted {
    fn new(labels: &[u8]) -> Option<Self> {
        let mut counts = [0_u64; 256];
        for &label in labels {
            counts[usize::from(label)] += 1;
        }
        let n = labels.len() as f64;
        let (mut squares, mut cubes) = (0.0, 0.0);
        let mut fewest_pairs = f64::INFINITY;
        for x in counts.into_iter().filter(|&count| count > 0) {
            let x = x as f64;
            squares += x * x;
            cubes += x * x * x;
            fewest_pairs = fewest_pairs.min(x * (x - 1.0) / n);
        }
        let numerator = squares * (squares + n * (n + 1.0)) - 2.0 * n * cubes - n * n * n;
        let variance = numerator / (n * n * (n - 1.0));
        // Zero but for rounding where one backend has everything, or every backend one response.
        (labels.len() > 2 && variance > 1e-9).then(|| Self {
            responses: labels.len() as u64,
            runs: run_count(labels),
            expected: 1.0 + (n * n - squares) / n,
            variance,
            fewest_pairs,
        })
    }

    fn z(&self) -> f64 {
        (self.runs as f64 - self.expected) / self.variance.sqrt()
    }

    fn result(&self, p_value: f64, permuted: bool) -> Runs {
        Runs {
            responses: self.responses,
            runs: self.runs,
            expected: self.expected,
            z: self.z(),
            p_value,
            permuted,
        }
    }
}

fn run_count(labels: &[u8]) -> u64 {
    let changes = labels.windows(2).filter(|pair| pair[0] != pair[1]).count();
    u64::from(!labels.is_empty()) + changes as u64
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Every order of the labels, equal ones told apart.
    fn orders(labels: &[u8]) -> Vec<Vec<u8>> {
        if labels.len() < 2 {
            return vec![labels.to_vec()];
        }
        (0..labels.len())
            .flat_map(|first| {
                let mut rest = labels.to_vec();
                let head = rest.remove(first);
                orders(&rest).into_iter().map(move |mut tail| {
                    tail.push(head);
                    tail
                })
            })
            .collect()
    }

    #[test]
    fn mean_and_variance_are_those_of_all_orders() {
        for labels in [
            &[0, 0, 0, 1, 1, 1, 1][..],
            &[0, 0, 1, 1, 2, 2, 2],
            &[0, 0, 0, 0, 1, 2, 3],
        ] {
            let counted = Counted::new(labels).unwrap();
            let all: Vec<f64> = orders(labels)
                .iter()
                .map(|order| run_count(order) as f64)
                .collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64;
            assert!((counted.expected - mean).abs() < 1e-9);
            assert!((counted.variance - variance).abs() < 1e-9);
        }
    }

    fn draws(length: usize, share: f64, repeat: f64, seed: u64) -> Vec<u8> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut last = 0;
        (0..length)
            .map(|_| {
                if random.random::<f64>() >= repeat {
                    last = u8::from(random.random::<f64>() >= share);
                }
                last
            })
            .collect()
    }

    #[test]
    fn clumps_have_few_runs_and_turns_have_many() {
        let clumped = runs(&draws(2000, 0.7, 0.2, 1), 2, 1).unwrap();
        assert!(clumped.z < -5.0 && clumped.p_value < 1e-6 && !clumped.permuted);
        let turns: Vec<u8> = (0..2000_u32)
            .map(|request| u8::from(request % 10 >= 7))
            .collect();
        let blocks = runs(&turns, 2, 1).unwrap();
        assert!(blocks.z < -5.0);
        let smooth: Vec<u8> = (0..2000_u32)
            .map(|request| u8::from(request * 3 % 10 < 3))
            .collect();
        let smooth = runs(&smooth, 2, 1).unwrap();
        assert!(smooth.z > 5.0 && smooth.p_value < 1e-6);
    }

    #[test]
    fn independent_responses_raise_no_more_alarms_than_promised() {
        for (length, share, permuted) in [(1000, 0.7, false), (200, 0.98, true)] {
            let mut alarms = 0;
            for seed in 0..400 {
                if let Some(result) = runs(&draws(length, share, 0.0, seed), 2, seed) {
                    assert_eq!(result.permuted, permuted);
                    alarms += i32::from(result.p_value <= 0.05);
                }
            }
            assert!(alarms <= 20 + 18, "{share}: {alarms}");
        }
    }

    #[test]
    fn anonymous_responses_are_passed_over() {
        let labels = draws(1000, 0.7, 0.0, 3);
        let mut with = labels.clone();
        with.splice(500..500, [255; 99]);
        assert_eq!(runs(&labels, 2, 1), runs(&with, 2, 1));
    }

    #[test]
    fn a_sequence_that_cannot_vary_is_no_test() {
        assert_eq!(runs(&[], 2, 1), None);
        assert_eq!(runs(&[0, 1], 2, 1), None);
        assert_eq!(runs(&[0; 100], 2, 1), None);
        assert_eq!(runs(&[0, 1, 2, 3], 4, 1), None);
        assert!(runs(&[0, 0, 1], 2, 1).unwrap().permuted);
    }

    #[test]
    fn rare_backends_in_long_sequences_cost_a_bounded_amount() {
        let mut labels = vec![0; 1_000_000];
        labels[5] = 1;
        labels[6] = 1;
        let result = runs(&labels, 2, 1).unwrap();
        assert_eq!(result.responses, PERMUTED_LABELS as u64);
        assert!(result.p_value < 0.01 && result.permuted);
    }
}
