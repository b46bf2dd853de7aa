//! Did the split stay the same during the run, or did it change; is it more regular than chance?
//!
//! A run that is half 50/50 and half 90/10 is 70/30 on average: its counts alone would pass. All functions take
//! windows: `windows[t][j]` counts the responses of backend `j` in time block `t`, in dispatch order.

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// The number of blocks that the run is cut into.
const BLOCKS: usize = 10;
/// The number of blocks for [`over_regular_p_value`]: more see more, as long as a block is long against the requests
/// in flight.
const FINE_BLOCKS: usize = 100;
/// The least count that a cell is to have in an average block. The χ² approximation of p-values near .001 is then
/// within a factor of 1.5.
const LEAST_EXPECTED: u64 = 10;
/// So many answers may stand elsewhere than their requests, however short the log.
const LEAST_DISPLACED: f64 = 100.0;

/// Two tests against a constant split, and their combination.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// The largest `max_t |S_t|/√(n·p̂(1−p̂))` over the backends, `S_t` the excess of a backend's responses
    /// over its mean share up to `t`.
    pub cusum: f64,
    /// Its p-value by Kolmogorov's distribution, Bonferroni-corrected for the backends.
    pub cusum_p_value: f64,
    /// The χ² statistic of blocks × backends; `None` where the counts are too small for two blocks.
    pub block_chi_square: Option<f64>,
    /// Its degrees of freedom.
    pub block_freedom: Option<f64>,
    /// Its upper tail.
    pub block_p_value: Option<f64>,
    /// The smaller of the two p-values, Bonferroni-corrected.
    pub p_value: f64,
}

/// Tests whether the split stayed the same; its shares are estimated, so that a constant wrong split is no drift.
///
/// The CUSUM sees one change or a trend; it is read at the ends of windows alone, which can only miss a maximum, so
/// that its p-value is conservative. The blocks (at most ten, fewer where backends are rare) see changes there and back.
/// `None` with fewer than two windows, or fewer than two backends, that have responses.
///
/// # Panics
/// If the windows differ in length.
pub fn drift(windows: &[impl AsRef<[u64]>]) -> Option<Drift> {
    let table = Table::new(windows)?;
    let (cusum, cusum_p_value) = table.cusum(0.0);
    let block = table.block_chi_square(BLOCKS);
    let block_p_value = block.and_then(|(statistic, freedom)| {
        let distribution = ChiSquared::new(freedom).ok()?;
        Some(distribution.sf(statistic))
    });
    let p_value = match block_p_value {
        Some(p) => (2.0 * p.min(cusum_p_value)).min(1.0),
        None => cusum_p_value,
    };
    Some(Drift {
        cusum,
        cusum_p_value,
        block_chi_square: block.map(|(statistic, _)| statistic),
        block_freedom: block.map(|(_, freedom)| freedom),
        block_p_value,
        p_value,
    })
}

/// The same for answers in the order in which they ended, as in a log: the CUSUM alone, beyond what that order can do.
///
/// With `c` requests in flight the first `t` answers and the first `t` requests differ by at most `c`, so that no sum is off by
/// more: a fiftieth of the answers is left to it, and at least 100 of them. The blocks, which such an order moves at both
/// ends, are not compared.
///
/// # Panics
/// If the windows differ in length.
pub fn drift_as_ended(windows: &[impl AsRef<[u64]>]) -> Option<Drift> {
    let table = Table::new(windows)?;
    let displaced = (table.responses as f64 / 50.0).max(LEAST_DISPLACED);
    let (cusum, cusum_p_value) = table.cusum(displaced);
    Some(Drift {
        cusum,
        cusum_p_value,
        block_chi_square: None,
        block_freedom: None,
        block_p_value: None,
        p_value: cusum_p_value,
    })
}

/// The chance that independent draws would spread so evenly over the blocks: the lower tail of the block χ².
///
/// Small where requests are dealt in turn (weighted round-robin), which in the long run keeps both error rates: a note, never a
/// failure. Taken over 10 and over up to 100 blocks, the smaller doubled. `None` as for [`drift`].
///
/// # Panics
/// If the windows differ in length.
pub fn over_regular_p_value(windows: &[impl AsRef<[u64]>]) -> Option<f64> {
    let table = Table::new(windows)?;
    let lower = |blocks| {
        let (statistic, freedom) = table.block_chi_square(blocks)?;
        Some(ChiSquared::new(freedom).ok()?.cdf(statistic))
    };
    let p = lower(BLOCKS)?.min(lower(FINE_BLOCKS)?);
    Some((2.0 * p).min(1.0))
}

/// The chance that independent draws would spread so unevenly over at most `blocks` blocks: the upper tail of the
/// block χ². `None` as for [`drift`], or where the counts are too small for two blocks.
///
/// # Panics
/// If the windows differ in length.
pub fn clumped_p_value(windows: &[impl AsRef<[u64]>], blocks: usize) -> Option<f64> {
    let (statistic, freedom) = Table::new(windows)?.block_chi_square(blocks)?;
    Some(ChiSquared::new(freedom).ok()?.sf(statistic))
}

/// The upper tail of Kolmogorov's distribution, the limit of `sup |B_t|` over a Brownian bridge: two series, each used
/// where it converges fast (Feller 1948).
pub fn kolmogorov_upper_tail(x: f64) -> f64 {
    use std::f64::consts::PI;
    if x <= 0.0 {
        return 1.0;
    }
    let terms = (1..=20_i32).map(f64::from);
    if x < 1.0 {
        let sum: f64 = terms
            .map(|j| (-((2.0 * j - 1.0) * PI / x).powi(2) / 8.0).exp())
            .sum();
        return 1.0 - (2.0 * PI).sqrt() / x * sum;
    }
    let sum: f64 = terms
        .map(|j| {
            let sign = if j % 2.0 > 0.5 { 1.0 } else { -1.0 };
            sign * (-2.0 * (j * x).powi(2)).exp()
        })
        .sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

/// Windows × backends, empty rows and columns left out.
struct Table {
    rows: Vec<Vec<u64>>,
    totals: Vec<u64>,
    responses: u64,
}

impl Table {
    fn new(windows: &[impl AsRef<[u64]>]) -> Option<Self> {
        let cells = windows.first()?.as_ref().len();
        let mut totals = vec![0_u64; cells];
        for window in windows {
            assert_eq!(
                window.as_ref().len(),
                cells,
                "windows count the same backends"
            );
            for (total, &count) in totals.iter_mut().zip(window.as_ref()) {
                *total += count;
            }
        }
        let rows: Vec<Vec<u64>> = windows
            .iter()
            .filter(|window| window.as_ref().iter().any(|&count| count > 0))
            .map(|window| {
                let counts = window.as_ref().iter().zip(&totals);
                counts
                    .filter_map(|(&count, &total)| (total > 0).then_some(count))
                    .collect()
            })
            .collect();
        totals.retain(|&total| total > 0);
        (rows.len() >= 2 && totals.len() >= 2).then(|| Self {
            responses: totals.iter().sum(),
            rows,
            totals,
        })
    }

    /// The CUSUM of sums that may be off by `displaced`, and its p-value.
    fn cusum(&self, displaced: f64) -> (f64, f64) {
        let n = self.responses as f64;
        let mut largest = 0.0_f64;
        for (cell, &total) in self.totals.iter().enumerate() {
            let share = total as f64 / n;
            let scale = (n * share * (1.0 - share)).sqrt();
            let (mut hits, mut responses) = (0, 0);
            for row in &self.rows {
                hits += row[cell];
                responses += row.iter().sum::<u64>();
                let excess = hits as f64 - responses as f64 * share;
                largest = largest.max((excess.abs() - displaced) / scale);
            }
        }
        // Two shares that sum to 1 move as one.
        let backends = match self.totals.len() {
            2 => 1,
            backends => backends,
        };
        let p_value = (kolmogorov_upper_tail(largest) * backends as f64).min(1.0);
        (largest, p_value)
    }

    /// The χ² statistic of homogeneity over at most `most` blocks of about equal size, and its degrees of freedom.
    ///
    /// Backends too rare for two blocks are pooled, then there are as many blocks as leave each backend
    /// [`LEAST_EXPECTED`] responses on average.
    fn block_chi_square(&self, most: usize) -> Option<(f64, f64)> {
        let groups = self.groups();
        let group_count = groups.iter().max()? + 1;
        let mut totals = vec![0; group_count];
        for (&group, &total) in groups.iter().zip(&self.totals) {
            totals[group] += total;
        }
        let rarest = *totals.iter().min()?;
        let most = (most as u64).min(rarest / LEAST_EXPECTED);
        if group_count < 2 || most < 2 {
            return None;
        }
        let n = u128::from(self.responses);
        let mut blocks: Vec<(u128, Vec<u64>)> = Vec::new();
        let mut before = 0_u128;
        for row in &self.rows {
            let size = u128::from(row.iter().sum::<u64>());
            // The block that holds the middle of this window.
            let index = (2 * before + size) * u128::from(most) / (2 * n);
            before += size;
            if blocks.last().is_none_or(|&(last, _)| last != index) {
                blocks.push((index, vec![0; group_count]));
            }
            if let Some((_, counts)) = blocks.last_mut() {
                for (&group, &count) in groups.iter().zip(row) {
                    counts[group] += count;
                }
            }
        }
        if blocks.len() < 2 {
            return None;
        }
        let mut statistic = 0.0;
        for (_, counts) in &blocks {
            let size = counts.iter().sum::<u64>() as f64;
            for (&count, &total) in counts.iter().zip(&totals) {
                let expected = size * (total as f64 / self.responses as f64);
                statistic += (count as f64 - expected).powi(2) / expected;
            }
        }
        Some((statistic, ((blocks.len() - 1) * (group_count - 1)) as f64))
    }

    /// The group of each backend: rare ones share one, which joins the smallest other where it is still rare.
    fn groups(&self) -> Vec<usize> {
        let rare = |total: u64| total < 2 * LEAST_EXPECTED;
        let together: u64 = self.totals.iter().filter(|&&total| rare(total)).sum();
        let mut common = self.totals.iter().copied().enumerate();
        let smallest = common
            .by_ref()
            .filter(|&(_, total)| !rare(total))
            .min_by_key(|&(_, total)| total)
            .map(|(cell, _)| cell);
        let joins = rare(together).then_some(smallest).flatten();
        let mut next = 0;
        let mut own = vec![None; self.totals.len()];
        for (cell, &total) in self.totals.iter().enumerate() {
            if !rare(total) {
                own[cell] = Some(next);
                next += 1;
            }
        }
        let shared = joins.and_then(|cell| own[cell]).unwrap_or(next);
        own.into_iter()
            .map(|group| group.unwrap_or(shared))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::scipy_reference;

    #[test]
    fn the_block_test_is_the_chi_square_test_of_homogeneity() {
        for row in scipy_reference::of("block_p_value") {
            let counts = row.counts(0);
            let cells = counts.len() / usize::try_from(row.counts(1)[0]).unwrap();
            let windows: Vec<&[u64]> = counts.chunks(cells).collect();
            row.assert_close(drift(&windows).unwrap().block_p_value.unwrap(), 1e-11);
        }
    }

    /// `blocks` windows of `size` draws; window `t` draws backend 0 with chance `share(t)`.
    fn windows(blocks: u32, size: u32, share: impl Fn(u32) -> f64, seed: u64) -> Vec<[u64; 2]> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..blocks)
            .map(|block| {
                let hits = (0..size)
                    .filter(|_| random.random::<f64>() < share(block))
                    .count() as u64;
                [hits, u64::from(size) - hits]
            })
            .collect()
    }

    #[test]
    fn the_kolmogorov_tail_agrees_with_scipy() {
        for row in scipy_reference::of("kolmogorov_upper_tail") {
            row.assert_close(kolmogorov_upper_tail(row.number(0)), 1e-12);
        }
        assert!((kolmogorov_upper_tail(0.0) - 1.0).abs() < f64::EPSILON);
        assert!(kolmogorov_upper_tail(1e-3) <= 1.0);
        assert!(kolmogorov_upper_tail(1e9).abs() < f64::MIN_POSITIVE);
    }

    #[test]
    fn half_and_half_is_caught_every_time() {
        for seed in 0..100 {
            let run = windows(36, 100, |t| if t < 18 { 0.5 } else { 0.9 }, seed);
            assert!(drift(&run).unwrap().p_value < 1e-9, "{seed}");
        }
    }

    #[test]
    fn a_small_change_is_seen_in_some_runs_alone() {
        // What docs/statistics.md says of a run of the planned length.
        let seen = |from: f64, to: f64| {
            let share = |t: u32| from + (to - from) * (f64::from(t) + 0.5) / 229.0;
            let runs = (0..500).map(|seed| windows(229, 16, share, seed));
            runs.filter(|run| drift(run).unwrap().p_value <= 0.001)
                .count()
        };
        let rates = [seen(0.75, 0.65), seen(0.73, 0.67), seen(0.80, 0.60)];
        assert_eq!(rates, [235, 36, 499]);
    }

    #[test]
    fn there_and_back_is_caught_by_the_blocks() {
        let there_and_back = |t: u32| if (t / 4).is_multiple_of(2) { 0.6 } else { 0.8 };
        let result = drift(&windows(40, 100, there_and_back, 1)).unwrap();
        assert!(result.block_p_value.unwrap() < 1e-6, "{result:?}");
        assert_eq!(result.block_freedom, Some(9.0));
    }

    #[test]
    fn a_constant_split_drifts_no_more_often_than_promised() {
        let runs = 1000;
        for share in [0.7, 0.95] {
            let mut alarms = 0;
            let mut regular = 0;
            for seed in 0..runs {
                let run = windows(40, 50, |_| share, seed);
                alarms += i32::from(drift(&run).unwrap().p_value <= 0.05);
                regular += i32::from(over_regular_p_value(&run).unwrap() <= 0.05);
            }
            // 50 in the mean at most, standard deviation 7.
            assert!(alarms <= 75, "{share}: {alarms}");
            assert!(regular <= 80, "{share}: {regular}");
        }
    }

    #[test]
    fn round_robin_is_more_regular_than_chance() {
        // 7, 3, 7, 3 … of ten, seen through windows that cut the cycle anywhere.
        let mut run = vec![[0_u64; 2]; 37];
        for request in 0..3663_usize {
            run[request / 99][usize::from(request % 10 >= 7)] += 1;
        }
        assert!(over_regular_p_value(&run).unwrap() < 1e-6);
        assert!(drift(&run).unwrap().p_value > 0.99);
    }

    #[test]
    fn rare_backends_are_pooled_and_absent_ones_left_out() {
        let mut run: Vec<Vec<u64>> = windows(20, 100, |_| 0.7, 3)
            .into_iter()
            .map(|[a, b]| vec![a, 0, b, 0, 0])
            .collect();
        let plain = drift(&run).unwrap();
        assert_eq!(plain.block_freedom, Some(9.0));
        run[2][3] += 1;
        run[7][4] += 2;
        let pooled = drift(&run).unwrap();
        assert_eq!(pooled.block_freedom, Some(9.0));
        assert!(pooled.p_value > 0.001);
    }

    #[test]
    fn too_little_to_compare_is_no_test() {
        let none: [[u64; 2]; 0] = [];
        assert_eq!(drift(&none), None);
        assert_eq!(drift(&[[70, 30], [0, 0]]), None);
        assert_eq!(drift(&[[70, 0], [60, 0]]), None);
        let small = drift(&[[7, 3], [6, 4]]).unwrap();
        assert_eq!(small.block_p_value, None);
        assert!(small.p_value > 0.5);
        assert_eq!(over_regular_p_value(&[[7, 3], [6, 4]]), None);
    }
}
