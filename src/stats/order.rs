//! Do the answers depend on those before them? What the counts are then worth.
//!
//! Answers that come in clumps (bursts, workers that start alike, a long round-robin) carry less information
//! than their number says. The order of dispatch shows it; where it does, the counts are judged by the
//! variance that the run itself shows, instead of the one of independent answers:
//!
//! - by batch means with Student's t, while a batch is long against the correlation (Law & Carson 1979);
//! - where it is not, or the split drifts, also by the self-normalised statistic `√n(p̂ − p)/√∫B²`, `B` the
//!   partial sums tied down at both ends, whose law holds whatever the correlation (Kiefer, Vogelsang &
//!   Bunzel 2000; Shao 2010).

use super::drift::{clumped_p_value, drift};
use super::expected::Expected;
use super::runs::runs;
use super::student::{Cell, Shown};

/// The number of batches that the run is cut into.
const BATCHES: usize = 32;
/// Fewer batches than this say nothing of their own variance.
const LEAST_BATCHES: usize = 8;
/// Independent answers are taken for clumped with at most this probability; their verdict then rests on
/// Student's t, so that it only costs some of the PASSes.
const LEVEL: f64 = 0.03;
/// With fewer effective answers a batch is too short for batch means alone: 16 effective ones a batch.
const LEAST_FOR_BATCHES: f64 = 512.0;
/// With fewer effective answers nothing is judged.
const LEAST_EFFECTIVE: f64 = 64.0;

/// What the order of dispatch says of the independence of the answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    /// The chance that independent answers would be as clumped.
    pub p_value: f64,
    /// How much the variance of the counts exceeds that of independent answers, over batches; at least 1.
    pub design_effect: f64,
    /// The number of independent answers that carry the same information.
    pub effective_responses: f64,
    /// What two neighbouring answers alone say of the design effect: `(1 + ρ)/(1 − ρ)`, at least 1.
    pub neighbour_effect: f64,
    /// The length of the longest run of one backend.
    pub longest_run: u64,
    /// The p-value of the expected split that this variance leaves.
    pub fit_p_value: f64,
    /// The p-value of "some backend is off by its tolerance or more" that it leaves.
    pub equivalence_p_value: f64,
}

impl Order {
    /// The degrees of freedom of the design effect, with all batches.
    pub const FREEDOM: f64 = (BATCHES - 1) as f64;

    /// The order of answers: `windows[t][i]` counts those of backend `i` in block `t` of the dispatch order,
    /// `labels` are the backends of the first ones, one by one. `unattributed` more could have come from any.
    ///
    /// `None` with too few blocks.
    pub fn new(
        windows: &[Vec<u64>],
        labels: &[u16],
        unattributed: u64,
        expected: &Expected<'_>,
    ) -> Option<Self> {
        let backends = expected.shares.len();
        let blocks = Blocks::new(windows, backends)?;
        let runs = runs(labels, backends);
        let drift = drift(windows).map_or(1.0, |drift| drift.p_value);
        let uneven = clumped_p_value(windows, BATCHES).unwrap_or(1.0);
        let cells = (0..backends).map(|cell| blocks.cell(cell));
        let (mut cells, spreads): (Vec<Cell>, Vec<f64>) = cells.unzip();
        let design_effect = cells
            .iter()
            .map(|cell| cell.design_effect)
            .fold(1.0, f64::max);
        let effective_responses = blocks.responses / design_effect;
        let is_long = effective_responses < LEAST_FOR_BATCHES || drift <= expected.alpha;
        if is_long {
            for (cell, spread) in cells.iter_mut().zip(spreads) {
                cell.spread = Some(spread);
            }
        }
        let shown = Shown {
            cells: &cells,
            responses: blocks.responses,
            missing: unattributed as f64 / (blocks.responses + unattributed as f64),
            freedom: (blocks.batches() - 1) as f64,
        };
        let is_enough = effective_responses >= LEAST_EFFECTIVE;
        let judged = |p_value: f64| if is_enough { p_value } else { 1.0 };
        Some(Self {
            p_value: (3.0 * runs.p_value.min(drift).min(uneven)).min(1.0),
            design_effect,
            effective_responses,
            neighbour_effect: (1.0 + runs.correlation) / (1.0 - runs.correlation).max(1e-9),
            longest_run: runs.longest,
            fit_p_value: judged(shown.fit(expected)),
            equivalence_p_value: judged(shown.equivalence(expected)),
        })
    }

    /// Whether what answers share with their neighbours accounts for how the counts of the batches vary: bursts, not
    /// a split that changed.
    pub fn is_short_range(&self) -> bool {
        self.is_clumped()
            && self.neighbour_effect > 1.3
            && self.design_effect <= 2.0 * self.neighbour_effect
    }

    /// Whether the answers come in clumps, so that the counts are judged by the variance of the run.
    pub fn is_clumped(&self) -> bool {
        self.p_value <= LEVEL
    }
}

/// Counts over blocks of the dispatch order.
struct Blocks<'a> {
    windows: &'a [Vec<u64>],
    /// The first window of each batch, and the number of windows.
    edges: Vec<usize>,
    sizes: Vec<f64>,
    responses: f64,
}

impl<'a> Blocks<'a> {
    fn new(windows: &'a [Vec<u64>], backends: usize) -> Option<Self> {
        if windows.iter().any(|window| window.len() != backends) {
            return None;
        }
        let size = |window: &Vec<u64>| window.iter().sum::<u64>() as f64;
        let sizes: Vec<f64> = windows.iter().map(size).collect();
        let responses: f64 = sizes.iter().sum();
        let mut edges = vec![0];
        let mut before = 0.0;
        for (place, size) in sizes.iter().enumerate() {
            before += size;
            if before >= responses * edges.len() as f64 / BATCHES as f64 - 1e-6 {
                edges.push(place + 1);
            }
        }
        (edges.len() > LEAST_BATCHES && responses > 0.0).then_some(Self {
            windows,
            edges,
            sizes,
            responses,
        })
    }

    fn batches(&self) -> usize {
        self.edges.len() - 1
    }

    /// A backend's share and variance over the batches, and `√∫B²` over n.
    fn cell(&self, cell: usize) -> (Cell, f64) {
        let hits = |window: &Vec<u64>| window[cell] as f64;
        let share = self.windows.iter().map(hits).sum::<f64>() / self.responses;
        let excess = |place: usize| hits(&self.windows[place]) - self.sizes[place] * share;
        let mut statistic = 0.0;
        for edge in self.edges.windows(2) {
            let size: f64 = self.sizes[edge[0]..edge[1]].iter().sum();
            let sum: f64 = (edge[0]..edge[1]).map(excess).sum();
            statistic += sum * sum / size.max(1.0);
        }
        let variance = share * (1.0 - share);
        let (mut bridge, mut integral) = (0.0, 0.0);
        for (place, size) in self.sizes.iter().enumerate() {
            bridge += excess(place);
            integral += bridge * bridge * size / self.responses;
        }
        let freedom = (self.batches() - 1) as f64;
        let shown = Cell {
            share,
            design_effect: if variance > 0.0 {
                (statistic / freedom / variance).max(1.0)
            } else {
                1.0
            },
            spread: None,
        };
        (shown, integral.sqrt() / self.responses)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::intervals::Basis;

    const EXPECTED: Expected<'_> = Expected {
        shares: &[0.7, 0.3],
        tolerance: 0.05,
        alpha: 0.001,
    };

    fn order(labels: &[u16]) -> Order {
        let windows: Vec<Vec<u64>> = labels
            .chunks(16)
            .map(|block| {
                let others = block.iter().map(|&label| u64::from(label)).sum::<u64>();
                vec![block.len() as u64 - others, others]
            })
            .collect();
        Order::new(&windows, labels, 0, &EXPECTED).unwrap()
    }

    /// Draws that hold for `length` answers each.
    fn bursts(length: usize, share: f64, seed: u64) -> Order {
        order(&labels(length, share, seed))
    }

    fn order_hits(length: usize, seed: u64) -> u64 {
        let labels = labels(length, 0.7, seed);
        3664 - labels.iter().map(|&label| u64::from(label)).sum::<u64>()
    }

    fn labels(length: usize, share: f64, seed: u64) -> Vec<u16> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut last = 0;
        let draw = |request: usize| {
            if request.is_multiple_of(length) {
                last = u16::from(random.random::<f64>() >= share);
            }
            last
        };
        (0..3664).map(draw).collect()
    }

    #[test]
    fn independent_answers_are_seldom_taken_for_clumped() {
        let clumped = (0..1000).filter(|&seed| bursts(1, 0.7, seed).is_clumped());
        // 30 in the mean at most, standard deviation 5.4.
        assert!(clumped.count() <= 54);
    }

    #[test]
    fn bursts_of_a_right_split_are_seen_and_refute_nothing() {
        for length in [2, 4, 10, 50, 200] {
            for seed in 0..50 {
                let order = bursts(length, 0.7, seed);
                assert!(order.is_clumped(), "{length} {seed}");
                assert!(order.fit_p_value > 0.001, "{length} {seed} {order:?}");
            }
        }
        let effect = bursts(10, 0.7, 1).design_effect;
        assert!((5.0..20.0).contains(&effect), "{effect}");
    }

    #[test]
    fn bursts_of_a_split_that_is_far_off_refute_it() {
        for seed in 0..20 {
            assert!(bursts(2, 0.5, seed).fit_p_value <= 0.001, "{seed}");
        }
    }

    #[test]
    fn weighted_round_robin_in_long_runs_shows_the_split() {
        let turns: Vec<u16> = (0..3664_u32)
            .map(|request| u16::from(request % 100 >= 70))
            .collect();
        let order = order(&turns);
        assert!(order.is_clumped());
        assert!(order.fit_p_value > 0.5 && order.equivalence_p_value <= 0.001);
    }

    #[test]
    fn intervals_from_the_effective_number_hold_the_share_in_bursts() {
        for length in [2, 4, 10] {
            let held = (0..500).filter(|&seed| {
                let order = bursts(length, 0.7, seed);
                let basis = Basis::Clustered {
                    design_effect: order.design_effect,
                    freedom: Order::FREEDOM,
                };
                let interval = basis.interval(order_hits(length, seed), 3664, 0.05);
                interval.low <= 0.7 && 0.7 <= interval.high
            });
            // 475 in the mean, standard deviation 4.9.
            let held = held.count();
            assert!(held >= 455, "{length}: {held}");
        }
    }

    #[test]
    fn too_few_blocks_say_nothing() {
        assert_eq!(
            Order::new(&[vec![7, 3], vec![6, 4]], &[], 0, &EXPECTED),
            None
        );
    }
}
