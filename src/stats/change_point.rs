//! Where a split that changed once is most likely to have changed.

use std::ops::RangeInclusive;

/// The most likely single change of the split.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangePoint {
    /// How many attributed responses, in dispatch order, lie before the change.
    pub index: u64,
    /// The backends' shares of the responses before it.
    pub before: Vec<f64>,
    /// The backends' shares of the responses after it.
    pub after: Vec<f64>,
    /// The log-likelihood gained by two splits instead of one. It says how sharp the change is, not whether there is one:
    /// that is for the drift test, since a best place always exists.
    pub log_likelihood_gain: f64,
}

/// The maximum-likelihood change point of a run.
///
/// `windows[t][j]` counts backend `j` in time block `t`, in dispatch order. The best boundary between windows is found first.
/// `labels` may hold a prefix of the sequence of backends in dispatch order (any value of no backend stands for a response
/// without an identity, and is passed over); where it covers the two windows beside that boundary, each place in them is
/// tried. Linear in windows and labels. `None` where there is no place to try.
///
/// # Panics
/// If the windows differ in length.
pub fn change_point(windows: &[impl AsRef<[u64]>], labels: &[u16]) -> Option<ChangePoint> {
    let cells = windows.first()?.as_ref().len();
    let mut total = vec![0_u64; cells];
    let mut ends = Vec::with_capacity(windows.len());
    for window in windows {
        add(&mut total, window.as_ref());
        ends.push(total.iter().sum::<u64>());
    }
    let mut search = Search::new(&total);
    let mut before = vec![0; cells];
    let mut best_window = None;
    for (index, window) in windows.iter().enumerate() {
        add(&mut before, window.as_ref());
        if search.consider(&before) {
            best_window = Some(index);
        }
    }
    // Between the end of the window before the one that ends at the boundary and the end of the one after it.
    let around = match best_window {
        Some(window) => {
            let start = window.checked_sub(1).map_or(0, |previous| ends[previous]);
            start..=*ends.get(window + 1)?
        }
        None => 0..=*ends.last()?,
    };
    let refined = search.clone();
    search = refine(refined, labels, cells, around).unwrap_or(search);
    search.found(&total)
}

/// Tries every place within `around`; `None` if the labels do not reach, or contradict the windows.
fn refine(
    mut search: Search,
    labels: &[u16],
    cells: usize,
    around: RangeInclusive<u64>,
) -> Option<Search> {
    let mut before = vec![0_u64; cells];
    let attributed = labels
        .iter()
        .copied()
        .map(usize::from)
        .filter(|&cell| cell < cells);
    for (index, cell) in (1..=*around.end()).zip(attributed) {
        before[cell] += 1;
        if before[cell] > search.total[cell] {
            return None;
        }
        if around.contains(&index) {
            search.consider(&before);
        }
        if index == *around.end() {
            return Some(search);
        }
    }
    None
}

/// The best division of `total` so far.
#[derive(Clone)]
struct Search {
    total: Vec<u64>,
    responses: u64,
    undivided: f64,
    best: Option<(f64, Vec<u64>)>,
}

impl Search {
    fn new(total: &[u64]) -> Self {
        let responses = total.iter().sum();
        Self {
            undivided: total.iter().map(|&x| x_log_x(x)).sum::<f64>() - x_log_x(responses),
            total: total.to_vec(),
            responses,
            best: None,
        }
    }

    /// Whether dividing after `before` is better than every division before.
    fn consider(&mut self, before: &[u64]) -> bool {
        let first: u64 = before.iter().sum();
        if first == 0 || first == self.responses {
            return false;
        }
        let divided: f64 = before
            .iter()
            .zip(&self.total)
            .map(|(&x, &total)| x_log_x(x) + x_log_x(total - x))
            .sum();
        let gain = divided - x_log_x(first) - x_log_x(self.responses - first) - self.undivided;
        match &mut self.best {
            Some((best, _)) if gain <= *best => false,
            Some((best, counts)) => {
                *best = gain;
                counts.copy_from_slice(before);
                true
            }
            None => {
                self.best = Some((gain, before.to_vec()));
                true
            }
        }
    }

    fn found(self, total: &[u64]) -> Option<ChangePoint> {
        let (gain, before) = self.best?;
        let index: u64 = before.iter().sum();
        let rest = (self.responses - index) as f64;
        Some(ChangePoint {
            index,
            after: total
                .iter()
                .zip(&before)
                .map(|(&total, &x)| (total - x) as f64 / rest)
                .collect(),
            before: before.iter().map(|&x| x as f64 / index as f64).collect(),
            log_likelihood_gain: gain.max(0.0),
        })
    }
}

fn add(sums: &mut [u64], counts: &[u64]) {
    assert_eq!(sums.len(), counts.len(), "windows count the same backends");
    for (sum, &count) in sums.iter_mut().zip(counts) {
        *sum += count;
    }
}

fn x_log_x(x: u64) -> f64 {
    if x == 0 {
        0.0
    } else {
        x as f64 * (x as f64).ln()
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const ANONYMOUS: u16 = u16::MAX;

    fn sequence(length: usize, change: usize, shares: [f64; 2], seed: u64) -> Vec<u16> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..length)
            .map(|request| {
                let share = shares[usize::from(request >= change)];
                u16::from(random.random::<f64>() >= share)
            })
            .collect()
    }

    fn windows(labels: &[u16], size: usize) -> Vec<[u64; 2]> {
        labels
            .chunks(size)
            .map(|window| {
                let mut counts = [0; 2];
                for &label in window {
                    counts[usize::from(label)] += 1;
                }
                counts
            })
            .collect()
    }

    #[test]
    fn the_place_of_a_change_is_found_to_a_few_requests() {
        for seed in 0..20 {
            let labels = sequence(3664, 1500, [0.7, 0.3], seed);
            let run = windows(&labels, 37);
            let coarse = change_point(&run, &[]).unwrap();
            assert!(coarse.index.abs_diff(1500) < 100, "{coarse:?}");
            let fine = change_point(&run, &labels).unwrap();
            assert!(fine.index.abs_diff(1500) < 60, "{fine:?}");
            assert!(fine.log_likelihood_gain >= coarse.log_likelihood_gain);
            assert!((fine.before[0] - 0.7).abs() < 0.06, "{fine:?}");
            assert!((fine.after[1] - 0.7).abs() < 0.06, "{fine:?}");
        }
    }

    #[test]
    fn a_clean_cut_is_found_exactly_in_any_window() {
        for change in [3, 100, 137, 990] {
            let labels = sequence(1000, change, [1.0, 0.0], 1);
            for size in [10, 100, 1000] {
                let found = change_point(&windows(&labels, size), &labels).unwrap();
                assert_eq!(found.index, change as u64);
                assert_eq!(
                    (found.before[0].to_bits(), found.after[0].to_bits()),
                    (1.0_f64.to_bits(), 0)
                );
            }
        }
    }

    #[test]
    fn anonymous_responses_are_passed_over() {
        let mut labels = sequence(1000, 500, [1.0, 0.0], 1);
        let run = windows(&labels, 100);
        labels.splice(100..100, [ANONYMOUS; 77]);
        assert_eq!(change_point(&run, &labels).unwrap().index, 500);
    }

    #[test]
    fn labels_that_fall_short_or_contradict_leave_the_coarse_answer() {
        let labels = sequence(1000, 470, [1.0, 0.0], 1);
        let run = windows(&labels, 100);
        let coarse = change_point(&run, &[]).unwrap();
        assert_eq!(coarse.index, 500);
        assert_eq!(change_point(&run, &labels[..450]), Some(coarse.clone()));
        assert_eq!(change_point(&run, &[1; 1000]), Some(coarse));
    }

    #[test]
    fn without_a_place_there_is_no_change() {
        let none: [[u64; 2]; 0] = [];
        assert_eq!(change_point(&none, &[]), None);
        assert_eq!(change_point(&[[3, 4]], &[]), None);
        assert_eq!(change_point(&[[3, 4], [0, 0]], &[]), None);
        assert_eq!(change_point(&[[0, 0]], &[0, 1]), None);
    }
}
