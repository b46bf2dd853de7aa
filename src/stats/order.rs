//! Do the answers depend on those before them? What the counts are then worth.
//!
//! Answers that come in clumps (bursts, workers that start alike, a long round-robin) carry less information
//! than their number says. The order of dispatch shows it; where it does, the counts are judged by the
//! variance that the run itself shows, instead of the one of independent answers:
//!
//! - by batch means with Student's t, while a batch is long against the correlation (Law & Carson 1979);
//! - where it is not, before a FAIL, or where the split drifts, also by the self-normalised statistic
//!   `√n(p̂ − p)/√∫B²`, `B` the partial sums tied down at both ends, whose law holds whatever the correlation
//!   (Kiefer, Vogelsang & Bunzel 2000; Shao 2010);
//! - where a backend answered in a few stretches alone, which say nothing of its variance, by the largest of
//!   the others, and by how long they can be by chance.

use statrs::function::beta::beta_reg;

use super::drift::{clumped_p_value, drift};
use super::expected::Expected;
use super::runs::{Runs, runs};
use super::student::{Cell, Shown};

/// The number of batches that the run is cut into.
const BATCHES: usize = 32;
/// Fewer batches than this say nothing of their own variance.
const LEAST_BATCHES: usize = 8;
/// Independent answers are taken for clumped with at most this probability; their verdict then rests on
/// Student's t, so that it only costs some of the PASSes.
const LEVEL: f64 = 0.03;
/// With fewer effective answers a batch is too short for a FAIL by batch means alone: 16 effective ones a batch.
const LEAST_FOR_BATCHES: f64 = 512.0;
/// With fewer effective answers nothing is judged.
const LEAST_EFFECTIVE: f64 = 64.0;
/// Batches that vary less than answers repeat by this factor are of a balancer that evens itself out.
const MOST_REGULAR: f64 = 4.0;
/// With fewer stretches a backend says nothing of its own variance.
const LEAST_STRETCHES: u64 = 8;

/// What the order of dispatch says of the independence of the answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    /// The chance that independent answers would be as clumped.
    pub p_value: f64,
    /// How much the variance of the counts exceeds that of independent answers: over batches, or, where that is more, the
    /// number of answers that come at a time; at least 1.
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
        let mut design_effect = cells
            .iter()
            .map(|cell| cell.design_effect)
            .fold(1.0, f64::max);
        for (place, cell) in cells.iter_mut().enumerate().filter(|_| !labels.is_empty()) {
            if runs.stretches[place] < LEAST_STRETCHES {
                cell.design_effect = design_effect;
                cell.least_tail = stretches_tail(&runs, place, expected.shares[place]);
            }
        }
        let neighbour_effect = (1.0 + runs.correlation) / (1.0 - runs.correlation).max(1e-9);
        // What is dealt out in long turns repeats itself, and varies less than that.
        if design_effect >= at_a_time(neighbour_effect) / MOST_REGULAR {
            design_effect = design_effect.max(at_a_time(neighbour_effect));
        }
        let effective_responses = blocks.responses / design_effect;
        let normalised = cells.iter().zip(spreads).map(|(&cell, spread)| Cell {
            spread: Some(spread),
            ..cell
        });
        let normalised: Vec<Cell> = normalised.collect();
        let shown = |is_normalised| Shown {
            cells: if is_normalised { &normalised } else { &cells },
            responses: blocks.responses,
            missing: unattributed as f64 / (blocks.responses + unattributed as f64),
            freedom: (blocks.batches() - 1) as f64,
        };
        let drifts = drift <= expected.alpha;
        let is_short = effective_responses < LEAST_FOR_BATCHES;
        let is_enough = effective_responses >= LEAST_EFFECTIVE;
        let judged = |p_value: f64| if is_enough { p_value } else { 1.0 };
        Some(Self {
            p_value: (3.0 * runs.p_value.min(drift).min(uneven)).min(1.0),
            design_effect,
            effective_responses,
            neighbour_effect,
            longest_run: runs.longest,
            fit_p_value: judged(shown(drifts || is_short).fit(expected)),
            equivalence_p_value: judged(shown(drifts).equivalence(expected)),
        })
    }

    /// The degrees of freedom of the design effect.
    #[must_use]
    pub fn freedom(&self) -> f64 {
        ((BATCHES - 1) as f64)
            .min(self.effective_responses - 1.0)
            .max(1.0)
    }

    /// How many answers are decided together, where neighbours are alike for that.
    #[must_use]
    pub fn at_a_time(&self) -> f64 {
        at_a_time(self.neighbour_effect)
    }

    /// Whether so few are independent of one another that nothing is judged.
    #[must_use]
    pub fn is_scant(&self) -> bool {
        self.effective_responses < LEAST_EFFECTIVE
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

/// Answers that come b at a time are alike as neighbours with a correlation of 1 − 1/b.
fn at_a_time(neighbour_effect: f64) -> f64 {
    f64::midpoint(neighbour_effect, 1.0)
}

/// The chance that a backend of this share is as much too short, or too long, in its few stretches.
///
/// Stretches of answers that are decided together last about exponentially long, those of the backend and those
/// of the others in the proportion of their shares; so the odds that were seen over the expected ones have the F
/// distribution with twice the number of stretches as both degrees of freedom.
fn stretches_tail(runs: &Runs, cell: usize, share: f64) -> f64 {
    let count = runs.counts[cell] as f64;
    let others = runs.counts.iter().sum::<u64>() as f64 - count;
    let odds = count / others * (1.0 - share) / share;
    let odds = odds.min(1.0 / odds);
    let stretches = runs.stretches[cell] as f64;
    if stretches < 1.0 || odds.is_nan() {
        return 0.0;
    }
    beta_reg(stretches, stretches, odds / (1.0 + odds))
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
            least_tail: 0.0,
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
        order_of(labels, &EXPECTED)
    }

    fn order_of(labels: &[u16], expected: &Expected<'_>) -> Order {
        let windows: Vec<Vec<u64>> = labels
            .chunks(16)
            .map(|block| {
                let others = block.iter().map(|&label| u64::from(label)).sum::<u64>();
                vec![block.len() as u64 - others, others]
            })
            .collect();
        Order::new(&windows, labels, 0, expected).unwrap()
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
    fn a_short_run_of_independent_answers_that_is_taken_for_clumped_is_judged_all_the_same() {
        let wide = Expected {
            tolerance: 0.15,
            ..EXPECTED
        };
        let shaken = (0..2000).filter(|&seed| {
            let labels = &labels(1, 0.7, seed)[..400];
            let order = order_of(labels, &wide);
            order.is_clumped() && order.equivalence_p_value > 0.001
        });
        // 2 in the mean; by the self-normalised statistic 28.
        assert!(shaken.count() <= 12);
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
    fn few_independent_draws_are_counted_and_refute_nothing() {
        let orders: Vec<Order> = (0..200).map(|seed| bursts(200, 0.7, seed)).collect();
        assert!(
            orders
                .iter()
                .all(|order| order.is_scant() && order.fit_p_value >= 1.0)
        );
        // 18 or 19 draws, counted by how often the backend changes.
        let mut effective: Vec<f64> = orders
            .iter()
            .map(|order| order.effective_responses)
            .collect();
        effective.sort_by(f64::total_cmp);
        assert!((17.0..21.0).contains(&effective[100]), "{}", effective[100]);
    }

    #[test]
    fn a_single_stretch_of_a_backend_refutes_nothing_and_as_many_answers_by_themselves_do() {
        let mut labels = vec![0; 3664];
        labels[..20].fill(1);
        let order = order(&labels);
        assert!(order.is_clumped() && !order.is_scant());
        // Stretches of 20 and of 3644, expected as 3 : 7: the upper tail of F with 2 and 2 degrees of freedom.
        let odds: f64 = 20.0 / 3644.0 * 7.0 / 3.0;
        assert!(
            (order.fit_p_value - 2.0 * odds / (1.0 + odds)).abs() < 1e-9,
            "{order:?}"
        );
        let apart = |request: usize| u16::from(request % 180 < 2);
        let pairs: Vec<u16> = (0..3664).map(apart).collect();
        assert!(self::order(&pairs).fit_p_value <= 0.001);
    }

    #[test]
    fn a_rare_backend_that_bursts_left_out_is_not_refuted() {
        let shares = [0.4, 0.3, 0.15, 0.1, 0.05];
        let expected = Expected {
            shares: &shares,
            ..EXPECTED
        };
        // Draws of the other four, 60 answers each: the fifth is missing from 91 draws in .009 of all runs.
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            let mut last = 0;
            let labels: Vec<u16> = (0..5467)
                .map(|request| {
                    if request % 60 == 0 {
                        let edges = [0.4, 0.7, 0.85, 0.95];
                        let unit = 0.95 * random.random::<f64>();
                        last = edges.into_iter().map(|edge| u16::from(unit >= edge)).sum();
                    }
                    last
                })
                .collect();
            let windows: Vec<Vec<u64>> = labels
                .chunks(16)
                .map(|block| {
                    let count =
                        |label: u16| block.iter().filter(|&&seen| seen == label).count() as u64;
                    (0..5).map(count).collect()
                })
                .collect();
            let order = Order::new(&windows, &labels, 0, &expected).unwrap();
            assert!(order.is_clumped() && order.fit_p_value > 0.001, "{order:?}");
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
        for length in [2, 4, 10, 50, 200] {
            let held = (0..500).filter(|&seed| {
                let order = bursts(length, 0.7, seed);
                let basis = Basis::Clustered {
                    design_effect: order.design_effect,
                    freedom: order.freedom(),
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
