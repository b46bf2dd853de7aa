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

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::drift::{clumped_p_value, drift};
use super::equivalence::faces;
use super::runs::runs;

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

/// The expected split that the order is judged against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Its shares.
    pub shares: &'a [f64],
    /// The tolerance, a share.
    pub tolerance: f64,
    /// The promised error rate, beyond which a drift is one.
    pub alpha: f64,
}

impl Order {
    /// The order of answers: `windows[t][i]` counts those of backend `i` in block `t` of the dispatch order,
    /// `labels` are the backends of the first ones, one by one. `unattributed` more could have come from any.
    ///
    /// `None` with too few blocks.
    #[must_use]
    pub fn new(
        windows: &[Vec<u64>],
        labels: &[u8],
        unattributed: u64,
        expected: &Expected<'_>,
    ) -> Option<Self> {
        let backends = expected.shares.len();
        let blocks = Blocks::new(windows, backends)?;
        let runs = runs(labels, backends);
        let drift = drift(windows).map_or(1.0, |drift| drift.p_value);
        let uneven = clumped_p_value(windows, BATCHES).unwrap_or(1.0);
        let cells: Vec<Cell> = (0..backends).map(|cell| blocks.cell(cell)).collect();
        let design_effect = cells
            .iter()
            .map(|cell| cell.design_effect)
            .fold(1.0, f64::max);
        let effective_responses = blocks.responses / design_effect;
        let is_long = effective_responses < LEAST_FOR_BATCHES || drift <= expected.alpha;
        let tests = Tests {
            blocks: &blocks,
            cells: &cells,
            expected,
            missing: unattributed as f64 / (blocks.responses + unattributed as f64),
            is_long,
        };
        let is_enough = effective_responses >= LEAST_EFFECTIVE;
        let judged = |p_value: f64| if is_enough { p_value } else { 1.0 };
        Some(Self {
            p_value: (3.0 * runs.p_value.min(drift).min(uneven)).min(1.0),
            design_effect,
            effective_responses,
            neighbour_effect: (1.0 + runs.correlation) / (1.0 - runs.correlation).max(1e-9),
            longest_run: runs.longest,
            fit_p_value: judged(tests.fit()),
            equivalence_p_value: judged(tests.equivalence()),
        })
    }

    /// Whether what answers share with their neighbours accounts for how the counts of the batches vary: bursts, not
    /// a split that changed.
    #[must_use]
    pub fn is_short_range(&self) -> bool {
        self.is_clumped()
            && self.neighbour_effect > 1.3
            && self.design_effect <= 2.0 * self.neighbour_effect
    }

    /// Whether the answers come in clumps, so that the counts are judged by the variance of the run.
    #[must_use]
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

/// One backend's variance, as the run shows it.
struct Cell {
    share: f64,
    design_effect: f64,
    /// `√∫B²` over n: stands in for a standard error.
    spread: f64,
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

    fn cell(&self, cell: usize) -> Cell {
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
        Cell {
            share,
            design_effect: if variance > 0.0 {
                (statistic / freedom / variance).max(1.0)
            } else {
                1.0
            },
            spread: integral.sqrt() / self.responses,
        }
    }
}

struct Tests<'a> {
    blocks: &'a Blocks<'a>,
    cells: &'a [Cell],
    expected: &'a Expected<'a>,
    missing: f64,
    is_long: bool,
}

impl Tests<'_> {
    /// The chance of a deviation of a cell's share by as much or more to one side.
    fn upper_tail(&self, cell: usize, share: f64, deviation: f64) -> f64 {
        let Cell {
            share: seen,
            design_effect,
            spread,
        } = self.cells[cell];
        let variance = (seen * (1.0 - seen)).max(share * (1.0 - share));
        let error = (variance * design_effect / self.blocks.responses).sqrt();
        let freedom = (self.blocks.batches() - 1) as f64;
        let student =
            StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |law| law.sf(deviation / error));
        if self.is_long {
            student.max(self_normalised_upper_tail(deviation / spread))
        } else {
            student
        }
    }

    /// Two-sided for each backend; for more than two, Bonferroni over them.
    fn fit(&self) -> f64 {
        let shares = self.expected.shares;
        let positive = shares.iter().filter(|&&share| share > 0.0).count();
        let times = if positive > 2 { positive } else { 1 };
        let p_values = (0..shares.len())
            .filter(|&cell| shares[cell] > 0.0)
            .map(|cell| {
                let deviation = (self.cells[cell].share - shares[cell]).abs() - self.missing;
                if deviation <= 0.0 {
                    return 1.0;
                }
                2.0 * times as f64 * self.upper_tail(cell, shares[cell], deviation)
            });
        p_values.fold(1.0, f64::min)
    }

    fn equivalence(&self) -> f64 {
        let Expected {
            shares, tolerance, ..
        } = *self.expected;
        let p_values = faces(shares, tolerance).into_iter().map(|face| {
            let seen = self.cells[face.backend].share;
            let room = if face.is_upper {
                face.share - seen
            } else {
                seen - face.share
            };
            let room = room - self.missing;
            if room <= 0.0 {
                return 1.0;
            }
            self.upper_tail(face.backend, face.share, room)
        });
        p_values.fold(0.0, f64::max)
    }
}

/// P(Z/√Q ≥ x) for a standard normal Z and an independent `Q = ∫B²`, B a Brownian bridge; x ≥ 0.
///
/// By Craig's form of the normal tail (1991) and `E exp(−sQ) = (√2s/sinh √2s)^½`:
/// `(1/π)∫₀^{π/2} (v/sinh v)^½ dθ`, `v = x/sin θ`, by the midpoint rule, which converges geometrically here.
fn self_normalised_upper_tail(x: f64) -> f64 {
    const STEPS: u32 = 256;
    if x.is_nan() {
        return 1.0;
    }
    let height = |step: u32| {
        let angle = (f64::from(step) + 0.5) / f64::from(STEPS) * std::f64::consts::FRAC_PI_2;
        let v = x / angle.sin();
        if v < 1e-6 { 1.0 } else { (v / v.sinh()).sqrt() }
    };
    0.5 * (0..STEPS)
        .map(height)
        .filter(|height| height.is_finite())
        .sum::<f64>()
        / f64::from(STEPS)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const EXPECTED: Expected<'_> = Expected {
        shares: &[0.7, 0.3],
        tolerance: 0.05,
        alpha: 0.001,
    };

    fn order(labels: &[u8]) -> Order {
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
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut last = 0;
        let draw = |request: usize| {
            if request.is_multiple_of(length) {
                last = u8::from(random.random::<f64>() >= share);
            }
            last
        };
        order(&(0..3664).map(draw).collect::<Vec<u8>>())
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
        let turns: Vec<u8> = (0..3664_u32)
            .map(|request| u8::from(request % 100 >= 70))
            .collect();
        let order = order(&turns);
        assert!(order.is_clumped());
        assert!(order.fit_p_value > 0.5 && order.equivalence_p_value <= 0.001);
    }

    #[test]
    fn the_self_normalised_tail_is_that_of_kiefer_vogelsang_and_bunzel() {
        // Their table 1 (2000), for Z/√(2Q): 90, 95, 97.5 and 99 %.
        for (quantile, tail) in [(2.740, 0.1), (3.764, 0.05), (4.771, 0.025), (6.090, 0.01)] {
            let p = self_normalised_upper_tail(quantile * std::f64::consts::SQRT_2);
            assert!((p / tail - 1.0).abs() < 0.02, "{quantile}: {p}");
        }
        assert!((self_normalised_upper_tail(0.0) - 0.5).abs() < 1e-12);
        assert!(self_normalised_upper_tail(f64::INFINITY) < 1e-300);
        assert!((self_normalised_upper_tail(f64::NAN) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn too_few_blocks_say_nothing() {
        assert_eq!(
            Order::new(&[vec![7, 3], vec![6, 4]], &[], 0, &EXPECTED),
            None
        );
    }
}
