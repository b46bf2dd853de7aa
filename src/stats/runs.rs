//! Do answers come in clumps? The number of runs of equal backends in dispatch order, for any number of
//! backends.

use statrs::distribution::{DiscreteCDF, Poisson};
use statrs::function::erf::erfc;

/// A backend that is expected to follow itself fewer times than this is told by Poisson's law: the number
/// of runs is far from normal then.
const LEAST_PAIRS: f64 = 10.0;

/// The runs of a sequence, against what independent answers would give.
#[derive(Debug, Clone, PartialEq)]
pub struct Runs {
    /// The chance of at least as much clumping from independent answers with the same counts.
    pub p_value: f64,
    /// The correlation of two neighbouring answers, at least 0: how far the changes from backend to backend
    /// fall short of those of independent answers.
    pub correlation: f64,
    /// The length of the longest run.
    pub longest: u64,
    /// The answers of each backend.
    pub counts: Vec<u64>,
    /// The runs of each backend.
    pub stretches: Vec<u64>,
}

/// The runs of `labels`, in dispatch order; labels of `cells` or more are passed over.
///
/// Given the counts `xᵢ`, the number of runs has mean `1 + (n² − s₂)/n` and variance
/// `[s₂(s₂ + n(n+1)) − 2n·s₃ − n³]/[n²(n−1)]`, `s_r = Σxᵢʳ` (Barton & David 1957), and is normal in the limit.
/// How often a rare backend follows itself is Poisson's in the limit; it is tested alone, and left out of
/// the runs (Bonferroni).
pub fn runs(labels: &[u16], cells: usize) -> Runs {
    let mut counted = Counted::new(cells);
    labels
        .iter()
        .filter(|&&label| usize::from(label) < cells)
        .for_each(|&label| counted.take(label));
    let n = counted.responses as f64;
    let pairs = |x: u64| x as f64 * (x as f64 - 1.0) / n;
    let rare = |label: usize| pairs(counted.counts[label]) < LEAST_PAIRS;
    let mut common = Counted::new(cells);
    labels
        .iter()
        .filter(|&&label| usize::from(label) < cells && !rare(label.into()))
        .for_each(|&label| common.take(label));
    let mut p_values: Vec<f64> = common.p_value().into_iter().collect();
    let seldom = (0..cells).filter(|&label| counted.counts[label] > 1 && rare(label));
    p_values.extend(seldom.filter_map(|label| {
        let law = Poisson::new(pairs(counted.counts[label])).ok()?;
        let repeats = counted.repeats[label];
        Some(repeats.checked_sub(1).map_or(1.0, |below| law.sf(below)))
    }));
    let smallest = p_values.iter().copied().fold(1.0, f64::min);
    Runs {
        p_value: (smallest * p_values.len().max(1) as f64).min(1.0),
        correlation: counted.correlation(),
        longest: counted.longest,
        stretches: counted
            .counts
            .iter()
            .zip(&counted.repeats)
            .map(|(count, repeats)| count - repeats)
            .collect(),
        counts: counted.counts,
    }
}

/// A sequence's counts and repeats.
struct Counted {
    responses: u64,
    counts: Vec<u64>,
    repeats: Vec<u64>,
    last: Option<u16>,
    run: u64,
    longest: u64,
}

impl Counted {
    fn new(cells: usize) -> Self {
        Self {
            responses: 0,
            counts: vec![0; cells],
            repeats: vec![0; cells],
            last: None,
            run: 0,
            longest: 0,
        }
    }

    fn take(&mut self, label: u16) {
        self.responses += 1;
        self.counts[usize::from(label)] += 1;
        if self.last == Some(label) {
            self.repeats[usize::from(label)] += 1;
            self.run += 1;
        } else {
            self.run = 1;
        }
        self.longest = self.longest.max(self.run);
        self.last = Some(label);
    }

    fn power_sum(&self, power: i32) -> f64 {
        self.counts.iter().map(|&x| (x as f64).powi(power)).sum()
    }

    fn runs(&self) -> f64 {
        (self.responses - self.repeats.iter().sum::<u64>()) as f64
    }

    fn expected(&self) -> f64 {
        let n = self.responses as f64;
        1.0 + (n * n - self.power_sum(2)) / n
    }

    fn variance(&self) -> f64 {
        let n = self.responses as f64;
        let (squares, cubes) = (self.power_sum(2), self.power_sum(3));
        (squares * (squares + n * (n + 1.0)) - 2.0 * n * cubes - n * n * n) / (n * n * (n - 1.0))
    }

    /// `None` where the number of runs is fixed: one backend, or fewer than three answers.
    fn p_value(&self) -> Option<f64> {
        if self.responses < 3 {
            return None;
        }
        let variance = self.variance();
        // Zero but for rounding where nothing can vary.
        (variance > 1e-9).then(|| {
            let missing = self.expected() - self.runs() - 0.5;
            0.5 * erfc(missing / (2.0 * variance).sqrt())
        })
    }

    fn correlation(&self) -> f64 {
        let changes = self.expected() - 1.0;
        if self.responses < 3 || changes < 1e-9 {
            return 0.0;
        }
        (1.0 - (self.runs() - 1.0) / changes).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Every order of the labels, equal ones told apart.
    fn orders(labels: &[u16]) -> Vec<Vec<u16>> {
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

    fn counted(labels: &[u16]) -> Counted {
        let mut counted = Counted::new(256);
        for &label in labels {
            counted.take(label);
        }
        counted
    }

    #[test]
    fn mean_and_variance_are_those_of_all_orders() {
        for labels in [
            &[0, 0, 0, 1, 1, 1, 1][..],
            &[0, 0, 1, 1, 2, 2, 2],
            &[0, 0, 0, 0, 1, 2, 3],
        ] {
            let all: Vec<f64> = orders(labels)
                .iter()
                .map(|order| counted(order).runs())
                .collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64;
            let counted = counted(labels);
            assert!((counted.expected() - mean).abs() < 1e-9);
            assert!((counted.variance() - variance).abs() < 1e-9);
        }
    }

    fn draws(length: usize, share: f64, repeat: f64, seed: u64) -> Vec<u16> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut last = 0;
        (0..length)
            .map(|_| {
                if random.random::<f64>() >= repeat {
                    last = u16::from(random.random::<f64>() >= share);
                }
                last
            })
            .collect()
    }

    #[test]
    fn clumps_are_seen_and_turns_are_none() {
        let clumped = runs(&draws(2000, 0.7, 0.2, 1), 2);
        assert!(clumped.p_value < 1e-6);
        assert!((clumped.correlation - 0.2).abs() < 0.06);
        let rare = runs(&draws(2000, 0.99, 0.5, 1), 2);
        assert!(rare.p_value < 1e-6);
        let smooth: Vec<u16> = (0..2000_u32)
            .map(|request| u16::from(request * 3 % 10 < 3))
            .collect();
        assert!(runs(&smooth, 2).p_value > 0.999);
    }

    #[test]
    fn independent_answers_raise_no_more_alarms_than_promised() {
        for (length, share) in [(1000, 0.7), (2000, 0.98), (200, 0.98)] {
            let alarms = (0..1000)
                .filter(|&seed| runs(&draws(length, share, 0.0, seed), 2).p_value <= 0.05)
                .count();
            // 50 in the mean at most, standard deviation 7.
            assert!(alarms <= 75, "{share}: {alarms}");
        }
    }

    #[test]
    fn anonymous_answers_are_passed_over_and_too_few_say_nothing() {
        let labels = draws(1000, 0.7, 0.0, 3);
        let mut with = labels.clone();
        with.splice(500..500, [255; 99]);
        assert_eq!(runs(&labels, 2), runs(&with, 2));
        for labels in [&[][..], &[0, 1], &[0; 100], &[0, 1, 2, 3]] {
            assert!((runs(labels, 4).p_value - 1.0).abs() < f64::EPSILON);
        }
        assert_eq!(runs(&[0; 100], 2).longest, 100);
    }
}
