//! Responses on one connection may repeat its backend; what the counts are then worth.
//!
//! Connections that stick to a backend (L4 balancing, keep-alive) inflate the variance of the counts by the design
//! effect `1 + (Σn_c²/n − 1)·ρ`, ρ the intraclass correlation (Kish 1965; Rao & Scott 1981 for the test).

use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::expected::Expected;
use super::student::{Cell, Shown};

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
    /// The degrees of freedom of the variance between connections, `(Σn_c)²/Σn_c² − 1`: the number of connections
    /// less one where they are equally long.
    pub freedom: f64,
}

impl Clustering {
    /// The design effect and the degrees of freedom of its estimate; where one or two connections carry so much that
    /// there is none, the largest that connections of these lengths have, at one degree.
    pub fn variance(&self) -> (f64, f64) {
        if self.freedom < LEAST_FREEDOM {
            (self.responses as f64 / (self.freedom + 1.0), 1.0)
        } else {
            (self.design_effect, self.freedom)
        }
    }
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
    #[expect(clippy::too_many_arguments, reason = "the parts of the sums")]
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
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// `Σ_c n_c²` over connections of `n_c` attributed responses.
    pub fn squared_sizes(&self) -> f64 {
        self.squared_sizes
    }

    /// `Σ_c xᵢxⱼ/n_c` over connections for `j ≤ i`, at `i(i + 1)/2 + j`.
    pub fn products(&self) -> &[f64] {
        &self.products
    }

    /// The same connections over `labels` coarser cells: cell `i` becomes `label_of[i]`.
    ///
    /// # Panics
    /// If `label_of` is shorter than the number of cells seen, or names a label of `labels` or more.
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
    pub fn observed(&self) -> &[u64] {
        &self.observed
    }

    /// The first response of each connection, by cell: independent draws even where connections stick.
    pub fn first_responses(&self) -> &[u64] {
        &self.first
    }

    /// Connections whose first response has no identity.
    pub fn unidentified_first(&self) -> u64 {
        self.unidentified_first
    }

    /// The correlation within connections, and what it costs, over the cells as they stand.
    ///
    /// One-way analysis of variance of the cells' indicators, summed over the cells:
    /// `ρ̂ = (MSB − MSW)/(MSB + (n₀ − 1)MSW)`, `n₀ = (n − Σn_c²/n)/(m − 1)` (Donner 1986), clipped to `0..=1`.
    pub fn clustering(&self) -> Clustering {
        let responses: u64 = self.observed.iter().sum();
        let n = responses as f64;
        let mean_size = if responses == 0 {
            1.0
        } else {
            self.squared_sizes / n
        };
        let correlation = self.intraclass_correlation(n);
        let design_effect = (1.0 + (mean_size - 1.0) * correlation).max(1.0);
        Clustering {
            connections: self.connections,
            responses,
            intraclass_correlation: correlation,
            design_effect,
            effective_responses: n / design_effect,
            freedom: self.freedom(n),
        }
    }

    fn freedom(&self, n: f64) -> f64 {
        if n > 0.0 {
            n * n / self.squared_sizes - 1.0
        } else {
            0.0
        }
    }

    fn intraclass_correlation(&self, n: f64) -> f64 {
        let cells = 0..self.observed.len();
        let squares = cells.map(|cell| self.products[row_of(cell) + cell]).sum();
        let expected = self.observed.iter().map(|&x| (x as f64).powi(2) / n).sum();
        self.correlation(n, n, squares, expected)
    }

    /// The correlation of indicators that are 1 for `hits` of all `n` responses; `squares` is
    /// their `Σ x²/n_c`, `expected` what that is where all connections have the same share.
    fn correlation(&self, n: f64, hits: f64, squares: f64, expected: f64) -> f64 {
        let m = self.connections as f64;
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
    /// between connections: Student's t with [`Clustering::freedom`]. `unattributed` more responses could have come from any backend.
    ///
    /// `None` where one or two connections carry so much that the variance between them is unknown.
    ///
    /// # Panics
    /// If there are fewer cells than expected shares.
    pub fn test(&self, unattributed: u64, expected: &Expected<'_>) -> Option<ConnectionTest> {
        let n = self.observed.iter().sum::<u64>() as f64;
        let freedom = self.freedom(n);
        if n <= 0.0 || freedom < LEAST_FREEDOM {
            return None;
        }
        let cells: Vec<Cell> = (0..expected.shares.len())
            .map(|cell| {
                let hits = self.observed[cell] as f64;
                let squares = self.products[row_of(cell) + cell];
                let varies = hits > 0.0 && hits < n;
                let correlation = if varies {
                    self.correlation(n, hits, squares, hits * hits / n)
                } else {
                    0.0
                };
                Cell {
                    share: hits / n,
                    design_effect: (1.0 + (self.squared_sizes / n - 1.0) * correlation).max(1.0),
                    spread: None,
                    least_tail: 0.0,
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
mod tests;
