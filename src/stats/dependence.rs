//! Responses on one connection may repeat its backend; what the counts are then worth.
//!
//! Connections that stick to a backend (L4 balancing, keep-alive) inflate the variance of the counts by the design
//! effect `1 + (Σn_c²/n − 1)·ρ`, ρ the intraclass correlation (Kish 1965; Rao & Scott 1981 for the test).

use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::student::{Cell, Expected, Shown};

/// With fewer degrees of freedom the variance between connections is unknown.
const LEAST_FREEDOM: f64 = 2.0;
/// The dispatch order is cut into so many batches to see whether connections balance one another.
const BATCHES: usize = 64;

/// Sums over connections from which the design effect follows; mergeable, and bounded whatever the number of
/// requests. Cells are what responses were seen to come from (pods, say), appear as they are recorded, and may be
/// pooled into backends later.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConnectionSums {
    connections: u64,
    unidentified_first: u64,
    squared_sizes: f64,
    observed: Vec<u64>,
    first: Vec<u64>,
    /// `Σ_c xᵢxⱼ/n_c` over connections for `j ≤ i`, at `i(i + 1)/2 + j`.
    products: Vec<f64>,
}

/// What the connections of a run say about the independence of its responses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clustering {
    /// Connections with at least one attributed response.
    pub connections: u64,
    /// Attributed responses.
    pub responses: u64,
    /// The estimated correlation ρ̂ of two responses on one connection, in `0..=1`; 1 where nothing varies or there is
    /// a single connection, so that nothing can be told.
    pub intraclass_correlation: f64,
    /// How much the variance of the counts exceeds that of independent responses; at least 1.
    pub design_effect: f64,
    /// The number of independent responses that carry the same information.
    pub effective_responses: f64,
}

/// What connections leave of the expected split, judged by the variance between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConnectionTest {
    /// The p-value of the expected split.
    pub fit_p_value: f64,
    /// The p-value of "some backend is off by its tolerance or more".
    pub equivalence_p_value: f64,
}

impl ConnectionSums {
    /// Cells beyond this number are counted together in the last, so that the matrix stays within 4 MiB.
    pub const MAX_CELLS: usize = 1024;

    /// Folds in one closed connection: its attributed responses by cell, and the cell of its first response, `None` if
    /// that one has no identity.
    pub fn record(&mut self, counts: &[u32], first: Option<usize>) {
        match first {
            Some(cell) => {
                let cell = cell.min(Self::MAX_CELLS - 1);
                self.grow(cell + 1);
                self.first[cell] += 1;
            }
            None => self.unidentified_first += 1,
        }
        let size: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        if size == 0 {
            return;
        }
        let cells = counts.len().min(Self::MAX_CELLS);
        self.grow(cells);
        let overflow: u64 = counts[cells..].iter().map(|&count| u64::from(count)).sum();
        let count = |cell: usize| {
            let rest = if cell + 1 == Self::MAX_CELLS {
                overflow
            } else {
                0
            };
            u64::from(counts[cell]) + rest
        };
        self.connections += 1;
        self.squared_sizes += (size as f64).powi(2);
        for row in 0..cells {
            let x = count(row);
            if x == 0 {
                continue;
            }
            self.observed[row] += x;
            for (column, product) in self.products[row_of(row)..]
                .iter_mut()
                .take(row + 1)
                .enumerate()
            {
                let y = count(column);
                if y > 0 {
                    *product += x as f64 * (y as f64 / size as f64);
                }
            }
        }
    }

    fn grow(&mut self, cells: usize) {
        if cells > self.observed.len() {
            self.observed.resize(cells, 0);
            self.first.resize(cells, 0);
            self.products.resize(row_of(cells), 0.0);
        }
    }

    /// Adds the connections of another thread or shard, whose cells mean the same.
    pub fn merge(&mut self, other: &Self) {
        self.grow(other.observed.len());
        self.connections += other.connections;
        self.unidentified_first += other.unidentified_first;
        self.squared_sizes += other.squared_sizes;
        add(&mut self.observed, &other.observed);
        add(&mut self.first, &other.first);
        add(&mut self.products, &other.products);
    }

    /// Sums that were taken elsewhere, in the shape of the accessors.
    ///
    /// `None` where no connections could have them: lists of other lengths, more cells than [`Self::MAX_CELLS`],
    /// sums that are not finite, or sizes that contradict the counts.
    #[must_use]
    pub fn restore(
        connections: u64,
        unidentified_first: u64,
        squared_sizes: f64,
        observed: Vec<u64>,
        first: Vec<u64>,
        products: Vec<f64>,
    ) -> Option<Self> {
        let cells = observed.len();
        let mut responses = 0_u64;
        for &count in &observed {
            responses = responses.checked_add(count)?;
        }
        let n = responses as f64;
        let is_whole = cells <= Self::MAX_CELLS
            && first.len() == cells
            && products.len() == row_of(cells)
            && connections <= responses
            && first.iter().zip(&observed).all(|(first, all)| first <= all)
            && (n..=n * n).contains(&squared_sizes)
            && products.iter().all(|product| (0.0..=n).contains(product));
        is_whole.then_some(Self {
            connections,
            unidentified_first,
            squared_sizes,
            observed,
            first,
            products,
        })
    }

    /// Connections with at least one attributed response.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// `Σ_c n_c²` over connections of `n_c` attributed responses.
    #[must_use]
    pub fn squared_sizes(&self) -> f64 {
        self.squared_sizes
    }

    /// `Σ_c xᵢxⱼ/n_c` over connections for `j ≤ i`, at `i(i + 1)/2 + j`.
    #[must_use]
    pub fn products(&self) -> &[f64] {
        &self.products
    }

    /// The same connections over `labels` coarser cells: cell `i` becomes `label_of[i]`.
    ///
    /// # Panics
    /// If `label_of` is shorter than the number of cells seen, or names a label of `labels` or more.
    #[must_use]
    pub fn pool(&self, label_of: &[usize], labels: usize) -> Self {
        let mut pooled = Self {
            connections: self.connections,
            unidentified_first: self.unidentified_first,
            squared_sizes: self.squared_sizes,
            ..Self::default()
        };
        pooled.grow(labels);
        for row in 0..self.observed.len() {
            let label = label_of[row];
            pooled.observed[label] += self.observed[row];
            pooled.first[label] += self.first[row];
            for (column, product) in self.products[row_of(row)..=row_of(row) + row]
                .iter()
                .enumerate()
            {
                let other = label_of[column];
                let (low, high) = (label.min(other), label.max(other));
                // Off the diagonal one entry stands for two; both fall on the diagonal where the labels meet.
                let times = if row != column && low == high {
                    2.0
                } else {
                    1.0
                };
                pooled.products[row_of(high) + low] += times * product;
            }
        }
        pooled
    }

    /// Attributed responses by cell.
    #[must_use]
    pub fn observed(&self) -> &[u64] {
        &self.observed
    }

    /// The first response of each connection, by cell: independent draws even where connections stick.
    #[must_use]
    pub fn first_responses(&self) -> &[u64] {
        &self.first
    }

    /// Connections whose first response has no identity.
    #[must_use]
    pub fn unidentified_first(&self) -> u64 {
        self.unidentified_first
    }

    /// The correlation within connections, and what it costs, over the cells as they stand.
    ///
    /// One-way analysis of variance of the cells' indicators, summed over the cells:
    /// `ρ̂ = (MSB − MSW)/(MSB + (n₀ − 1)MSW)`, `n₀ = (n − Σn_c²/n)/(m − 1)` (Donner 1986), clipped to `0..=1`.
    #[must_use]
    pub fn clustering(&self) -> Clustering {
        let responses: u64 = self.observed.iter().sum();
        let (n, m) = (responses as f64, self.connections as f64);
        let mean_size = if responses == 0 {
            1.0
        } else {
            self.squared_sizes / n
        };
        let correlation = self.intraclass_correlation(n, m);
        let design_effect = (1.0 + (mean_size - 1.0) * correlation).max(1.0);
        Clustering {
            connections: self.connections,
            responses,
            intraclass_correlation: correlation,
            design_effect,
            effective_responses: n / design_effect,
        }
    }

    fn intraclass_correlation(&self, n: f64, m: f64) -> f64 {
        let cells = 0..self.observed.len();
        let squares = cells.map(|cell| self.products[row_of(cell) + cell]).sum();
        let expected = self.observed.iter().map(|&x| (x as f64).powi(2) / n).sum();
        self.correlation(n, m, n, squares, expected)
    }

    /// The correlation of indicators that are 1 for `hits` of the n responses on m connections; `squares` is
    /// their `Σ x²/n_c`, `expected` what that is where all connections have the same share.
    fn correlation(&self, n: f64, m: f64, hits: f64, squares: f64, expected: f64) -> f64 {
        if m < 2.0 || n <= m {
            return 1.0;
        }
        let between = ((squares - expected) / (m - 1.0)).max(0.0);
        let within = ((hits - squares) / (n - m)).max(0.0);
        let size = (n - self.squared_sizes / n) / (m - 1.0);
        let total = between + (size - 1.0) * within;
        // Rounding of sums near n leaves dust where there is exactly nothing.
        if total <= 1e-12 {
            return 1.0;
        }
        ((between - within) / total).clamp(0.0, 1.0)
    }

    /// Judges the cells, one for each backend of `expected` (further ones are passed over), by the variance
    /// between connections: Student's t with `(Σn_c)²/Σn_c² − 1` degrees of freedom, the number of connections
    /// less one where they are equally long. `unattributed` more responses could have come from any backend.
    ///
    /// `None` where one or two connections carry so much that the variance between them is unknown.
    ///
    /// # Panics
    /// If there are fewer cells than expected shares.
    #[must_use]
    pub fn test(&self, unattributed: u64, expected: &Expected<'_>) -> Option<ConnectionTest> {
        let n = self.observed.iter().sum::<u64>() as f64;
        let m = self.connections as f64;
        let freedom = n * n / self.squared_sizes - 1.0;
        if n <= 0.0 || freedom < LEAST_FREEDOM {
            return None;
        }
        let cells: Vec<Cell> = (0..expected.shares.len())
            .map(|cell| {
                let hits = self.observed[cell] as f64;
                let squares = self.products[row_of(cell) + cell];
                let varies = hits > 0.0 && hits < n;
                let correlation = if varies {
                    self.correlation(n, m, hits, squares, hits * hits / n)
                } else {
                    0.0
                };
                Cell {
                    share: hits / n,
                    design_effect: (1.0 + (self.squared_sizes / n - 1.0) * correlation).max(1.0),
                    spread: None,
                }
            })
            .collect();
        let shown = Shown {
            cells: &cells,
            responses: n,
            missing: unattributed as f64 / (n + unattributed as f64),
            freedom,
        };
        Some(ConnectionTest {
            fit_p_value: shown.fit(expected),
            equivalence_p_value: shown.equivalence(expected),
        })
    }

    /// The chance that connections that answer independently of each other would balance one another as well:
    /// that the counts over batches of the dispatch order vary as little. Small for a round robin in step with
    /// the connections, which makes the responses of each alike; 1 where it cannot be told.
    ///
    /// `windows[t][i]` counts the responses of cell `i` in block `t` of the dispatch order.
    #[must_use]
    pub fn balance_p_value(&self, windows: &[Vec<u64>]) -> f64 {
        let all: u64 = self.observed.iter().sum();
        let n = all as f64;
        let most = (0..self.observed.len())
            .min_by_key(|&cell| self.observed[cell].saturating_mul(2).abs_diff(all));
        let Some(cell) = most.filter(|_| windows.len() >= BATCHES && self.connections > 1) else {
            return 1.0;
        };
        let hits = self.observed[cell] as f64;
        let share = hits / n;
        let squares = self.products[row_of(cell) + cell];
        let within = (hits - squares).max(0.0) / (n - self.connections as f64);
        if within.is_nan() || within <= 0.0 {
            return 1.0;
        }
        let batches: Vec<&[Vec<u64>]> = windows.chunks(windows.len().div_ceil(BATCHES)).collect();
        let statistic: f64 = batches
            .iter()
            .map(|batch| {
                let size: u64 = batch.iter().flatten().sum();
                let hits: u64 = batch.iter().filter_map(|window| window.get(cell)).sum();
                (hits as f64 - size as f64 * share).powi(2) / (size as f64 * within).max(1e-9)
            })
            .sum();
        ChiSquared::new((batches.len() - 1) as f64).map_or(1.0, |law| law.cdf(statistic))
    }
}

fn row_of(cell: usize) -> usize {
    cell * (cell + 1) / 2
}

fn add<T: Copy + std::ops::AddAssign>(sums: &mut [T], others: &[T]) {
    for (sum, &other) in sums.iter_mut().zip(others) {
        *sum += other;
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::density::binomial_probability;
    use crate::stats::scipy_reference;

    const EXPECTED: Expected<'_> = Expected {
        shares: &[0.7, 0.3],
        tolerance: 0.05,
        alpha: 0.001,
    };

    fn close(got: f64, wanted: f64, relative: f64) {
        assert!(
            (got - wanted).abs() <= relative * wanted.abs(),
            "{got}, not {wanted}"
        );
    }

    #[test]
    fn the_correlation_agrees_with_the_analysis_of_variance() {
        for row in scipy_reference::of("intraclass_correlation") {
            let mut sums = ConnectionSums::default();
            for (hits, size) in row.counts(0).into_iter().zip(row.counts(1)) {
                let count = |count: u64| u32::try_from(count).unwrap();
                sums.record(&[count(hits), count(size - hits)], None);
            }
            let got = sums.clustering().intraclass_correlation;
            if row.value < 0.0 {
                assert!(got.abs() < f64::MIN_POSITIVE);
            } else {
                row.assert_close(got, 1e-11);
            }
        }
    }

    /// `number` connections of `size` responses; each response repeats the connection's own draw with chance `stuck`.
    fn run(number: u32, size: u32, stuck: f64, random: &mut ChaCha8Rng) -> ConnectionSums {
        let mut sums = ConnectionSums::default();
        let draw = |random: &mut ChaCha8Rng| usize::from(random.random::<f64>() >= 0.7);
        for _ in 0..number {
            let own = draw(random);
            let mut counts = [0; 2];
            let mut first = None;
            for _ in 0..size {
                let cell = if random.random::<f64>() < stuck {
                    own
                } else {
                    draw(random)
                };
                first.get_or_insert(cell);
                counts[cell] += 1;
            }
            sums.record(&counts, first);
        }
        sums
    }

    #[test]
    fn pinned_connections_have_the_design_effect_of_their_length() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let clustering = run(50, 20, 1.0, &mut random).clustering();
        assert_eq!((clustering.connections, clustering.responses), (50, 1000));
        close(clustering.intraclass_correlation, 1.0, 1e-9);
        close(clustering.design_effect, 20.0, 1e-9);
        close(clustering.effective_responses, 50.0, 1e-9);
    }

    #[test]
    fn the_correlation_is_found_and_independence_has_none() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        // Two responses agree by design with chance stuck², which is their correlation.
        let half = run(2000, 20, 0.5, &mut random).clustering();
        assert!(
            (half.intraclass_correlation - 0.25).abs() < 0.02,
            "{half:?}"
        );
        let none = run(2000, 20, 0.0, &mut random).clustering();
        assert!(none.intraclass_correlation < 0.01, "{none:?}");
        let fresh = run(2000, 1, 0.0, &mut random).clustering();
        close(fresh.design_effect, 1.0, 1e-12);
        close(fresh.effective_responses, 2000.0, 1e-12);
    }

    #[test]
    fn what_never_varies_or_is_one_connection_counts_as_one_response_each() {
        let mut sums = ConnectionSums::default();
        for _ in 0..10 {
            sums.record(&[7, 0], Some(0));
        }
        close(sums.clustering().design_effect, 7.0, 1e-12);
        let mut single = ConnectionSums::default();
        single.record(&[70, 30], None);
        close(single.clustering().effective_responses, 1.0, 1e-12);
        assert_eq!(single.unidentified_first(), 1);
        assert_eq!(single.test(0, &EXPECTED), None);
        let empty = ConnectionSums::default().clustering();
        close(empty.design_effect, 1.0, 1e-12);
        assert_eq!(ConnectionSums::default().test(0, &EXPECTED), None);
    }

    #[test]
    fn merging_equals_recording_and_pooling_equals_recording_pooled() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let label_of = [0, 1, 0, 1, 1];
        let (mut whole, mut left, mut right, mut pooled) = (
            ConnectionSums::default(),
            ConnectionSums::default(),
            ConnectionSums::default(),
            ConnectionSums::default(),
        );
        for connection in 0..300 {
            // Cells appear one after the other, as pods do.
            let cells = (connection / 50 + 2).min(5);
            let counts: Vec<u32> = (0..cells).map(|_| random.random_range(0..9)).collect();
            let first = counts.iter().position(|&count| count > 0);
            whole.record(&counts, first);
            if connection % 3 == 0 {
                &mut left
            } else {
                &mut right
            }
            .record(&counts, first);
            let mut labels = [0; 2];
            for (cell, count) in counts.iter().enumerate() {
                labels[label_of[cell]] += count;
            }
            pooled.record(&labels, first.map(|cell| label_of[cell]));
        }
        left.merge(&right);
        assert_eq!(left.observed(), whole.observed());
        assert_eq!(left.first_responses(), whole.first_responses());
        let (merged, direct) = (left.clustering(), whole.clustering());
        close(merged.design_effect, direct.design_effect, 1e-9);
        let (after, before) = (whole.pool(&label_of, 2), pooled);
        assert_eq!(after.observed(), before.observed());
        assert_eq!(after.first_responses(), before.first_responses());
        close(
            after.clustering().design_effect,
            before.clustering().design_effect,
            1e-9,
        );
        for (got, wanted) in after.products.iter().zip(&before.products) {
            close(*got, *wanted, 1e-9);
        }
    }

    #[test]
    fn cells_without_end_are_counted_together() {
        let mut sums = ConnectionSums::default();
        sums.record(&vec![1; 5000], Some(4999));
        assert_eq!(sums.observed().len(), ConnectionSums::MAX_CELLS);
        assert_eq!(sums.observed().iter().sum::<u64>(), 5000);
        assert_eq!(sums.first_responses()[ConnectionSums::MAX_CELLS - 1], 1);
    }

    /// The exact p-value in probability order.
    fn exact(hits: u64, trials: u64) -> f64 {
        let observed = binomial_probability(hits, trials, 0.7) * (1.0 + 1e-7);
        (0..=trials)
            .map(|x| binomial_probability(x, trials, 0.7))
            .filter(|&probability| probability <= observed)
            .sum()
    }

    #[test]
    fn first_responses_hold_the_error_rate_where_all_responses_do_not() {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let runs = 2000;
        let (mut naive, mut first, mut effect) = (0, 0, 0);
        let chi_square = ChiSquared::new(1.0).unwrap();
        for _ in 0..runs {
            let sums = run(50, 20, 1.0, &mut random);
            let hits = sums.observed()[0] as f64;
            naive += i32::from(chi_square.sf((hits - 700.0).powi(2) / 210.0) <= 0.001);
            first += i32::from(exact(sums.first_responses()[0], 50) <= 0.001);
            effect += i32::from(sums.test(0, &EXPECTED).unwrap().fit_p_value <= 0.001);
        }
        assert!(naive > runs * 35 / 100 && naive < runs / 2, "{naive}");
        assert!(first <= 8, "{first}");
        assert!(effect <= 8, "{effect}");
    }

    #[test]
    fn the_test_over_connections_holds_its_size_on_partly_stuck_connections() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for stuck in [0.0, 0.3, 0.6] {
            let runs = 1000;
            let wrong = (0..runs)
                .filter(|_| {
                    let sums = run(100, 10, stuck, &mut random);
                    sums.test(0, &EXPECTED).unwrap().fit_p_value <= 0.05
                })
                .count();
            // Nominally 50 with a standard deviation of 7; estimating ρ̂ costs a little.
            assert!(wrong < 85, "{stuck}: {wrong}");
        }
    }

    #[test]
    fn one_connection_that_dominates_leaves_no_variance_to_judge_by() {
        let mut sums = ConnectionSums::default();
        sums.record(&[1820, 780], Some(0));
        for connection in 0..1000 {
            let hit = usize::from(connection % 10 >= 7);
            let mut counts = [0; 2];
            counts[hit] = 1;
            sums.record(&counts, Some(hit));
        }
        assert_eq!(sums.test(0, &EXPECTED), None);
    }

    /// 50 connections in turn, each answered by what `backend(place, connection)` says.
    fn in_turn(mut backend: impl FnMut(usize, usize) -> usize) -> (ConnectionSums, Vec<Vec<u64>>) {
        let mut counts = vec![[0_u32; 2]; 50];
        let mut windows = vec![vec![0_u64; 2]; 229];
        for place in 0..3664 {
            let cell = backend(place, place % 50);
            counts[place % 50][cell] += 1;
            windows[place / 16][cell] += 1;
        }
        let mut sums = ConnectionSums::default();
        for counts in counts {
            sums.record(&counts, None);
        }
        (sums, windows)
    }

    #[test]
    fn a_round_robin_in_step_balances_the_connections_and_draws_do_not() {
        // Every twentieth round slips by one, so that a connection is not always answered alike.
        let (sums, windows) = in_turn(|place, _| usize::from((place + place / 1000) % 10 >= 7));
        assert!(sums.clustering().intraclass_correlation > 0.1);
        assert!(sums.balance_p_value(&windows) < 1e-6);
        let mut random = ChaCha8Rng::seed_from_u64(6);
        let own: Vec<f64> = (0..50).map(|_| random.random()).collect();
        let (sums, windows) =
            in_turn(|_, connection| usize::from(random.random::<f64>() >= own[connection]));
        assert!(sums.clustering().intraclass_correlation > 0.1);
        assert!(sums.balance_p_value(&windows) > 0.001);
    }
}
