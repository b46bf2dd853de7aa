//! Permutation tests with a fixed seed, a bounded cost, and a p-value that is valid however few permutations it took.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::density::binomial_probability;

/// The number of permutations where they are cheap.
const MOST: u64 = 9_999;
/// The least number of permutations: enough to tell .01 from .001.
const LEAST: u64 = 999;
/// A clear case is left after this many permutations at least as extreme as the data.
const EXCEEDANCES: u64 = 50;
/// The work allowed for one test, in units of about a nanosecond.
const WORK: u64 = 120_000_000;

/// The outcome of a permutation test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PermutationTest {
    /// `(1 + #)/(B + 1)` over `B` permutations of which `#` are at least as extreme as the data.
    /// After 50 such the test stops early, at permutation `l`, with `50/l` (Besag & Clifford 1991):
    /// both have size at most α at every α.
    pub p_value: f64,
    /// How many permutations were drawn.
    pub permutations: u64,
}

/// Draws up to `most` permuted statistics and counts those `at_least` as extreme as the data.
pub(super) fn permutation_test(most: u64, mut at_least: impl FnMut() -> bool) -> PermutationTest {
    let mut extreme = 0;
    for permutation in 1..=most {
        extreme += u64::from(at_least());
        if extreme == EXCEEDANCES {
            return PermutationTest {
                p_value: extreme as f64 / permutation as f64,
                permutations: permutation,
            };
        }
    }
    PermutationTest {
        p_value: (1 + extreme) as f64 / (most + 1) as f64,
        permutations: most,
    }
}

/// How many permutations the allowed work buys, at `cost` units each.
pub(super) fn affordable(cost: u64) -> u64 {
    (WORK / cost.max(1)).clamp(LEAST, MOST)
}

/// The generator behind every permutation test.
pub(super) fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Do connections share one split? The permutation test of homogeneity of connections × backends.
///
/// `counts` holds one row of `cells` counts for each connection, row after row; empty rows are skipped. The responses
/// are dealt anew over the connections, whose sizes stay. The statistic `Σ xᵢⱼ²/nᵢ` is large where connections keep to
/// a backend. `None` where no dealing could differ: fewer than two connections, one backend, or one response each.
///
/// The cost is bounded (about 0.1 s) by taking a seeded random subset of the connections where there are many. What
/// grows with the sample then is only the power, and a few hundred connections suffice to see any dependence that
/// would matter: it is the number of connections, not of responses, that limits it.
///
/// # Panics
/// If `cells` is 0, or `counts` is not whole rows.
pub fn homogeneity(counts: &[u32], cells: usize, seed: u64) -> Option<PermutationTest> {
    assert!(
        cells > 0 && counts.len().is_multiple_of(cells),
        "counts are whole rows"
    );
    let mut random = generator(seed);
    let mut rows: Vec<&[u32]> = counts
        .chunks_exact(cells)
        .filter(|row| row.iter().any(|&count| count > 0))
        .collect();
    rows.shuffle(&mut random);

    let mut cost = 0;
    let mut taken = 0;
    for row in &rows {
        let row_cost = row_cost(row_size(row), cells as u64);
        if taken >= 2 && cost + row_cost > WORK / LEAST {
            break;
        }
        cost += row_cost;
        taken += 1;
    }
    rows.truncate(taken);

    let mut totals = vec![0_u64; cells];
    let mut sizes = Vec::with_capacity(rows.len());
    let mut observed = 0.0;
    for row in &rows {
        let size = row_size(row);
        sizes.push(size);
        for (total, &count) in totals.iter_mut().zip(*row) {
            *total += u64::from(count);
            observed += f64::from(count) * f64::from(count) / size as f64;
        }
    }
    totals.retain(|&total| total > 0);
    if rows.len() < 2 || totals.len() < 2 || sizes.iter().all(|&size| size == 1) {
        return None;
    }
    // Large cells first, so that a single draw seldom looks far.
    totals.sort_unstable_by(|a, b| b.cmp(a));
    let mut urn = totals.clone();
    let mut hand = vec![0; totals.len()];
    // Sums of the same fractions in another order differ by rounding alone: those are ties.
    let limit = observed * (1.0 - 1e-12);
    Some(permutation_test(affordable(cost), || {
        urn.copy_from_slice(&totals);
        let mut statistic = 0.0;
        for &size in &sizes {
            deal(&mut urn, size, &mut hand, &mut random);
            let squares: f64 = hand.iter().map(|&count| (count as f64).powi(2)).sum();
            statistic += squares / size as f64;
        }
        statistic >= limit
    }))
}

fn row_size(row: &[u32]) -> u64 {
    row.iter().map(|&count| u64::from(count)).sum()
}

/// What [`deal`] costs, in units of about a nanosecond.
fn row_cost(size: u64, cells: u64) -> u64 {
    20 + cells + (size * (8 + cells / 2)).min(whole_draw_cost(size) * (cells - 1))
}

/// One hypergeometric draw: a constant for the probabilities, and a walk of about a standard deviation.
fn whole_draw_cost(size: u64) -> u64 {
    400 + 4 * size.isqrt()
}

/// Moves `size` items from `urn` into `hand`, at random without replacement.
fn deal(urn: &mut [u64], size: u64, hand: &mut [u64], random: &mut ChaCha8Rng) {
    hand.fill(0);
    let cells = urn.len() as u64;
    let mut left: u64 = urn.iter().sum();
    let mut wanted = size;
    if size * (8 + cells / 2) <= whole_draw_cost(size) * (cells - 1) {
        for _ in 0..size {
            let mut place = random.random_range(0..left);
            for (cell, items) in urn.iter_mut().enumerate() {
                if place < *items {
                    *items -= 1;
                    hand[cell] += 1;
                    break;
                }
                place -= *items;
            }
            left -= 1;
        }
        return;
    }
    for (items, taken) in urn.iter_mut().zip(hand) {
        *taken = hypergeometric(*items, left - *items, wanted, random);
        left -= *items;
        *items -= *taken;
        wanted -= *taken;
    }
}

/// How many of `draws` without replacement from `hits` and `misses` are hits: inversion from the mode outwards.
///
/// `draws` is at most `hits + misses`.
fn hypergeometric(hits: u64, misses: u64, draws: u64, random: &mut impl Rng) -> u64 {
    let least = draws.saturating_sub(misses);
    let most = draws.min(hits);
    if least == most {
        return least;
    }
    let items = hits + misses;
    let scaled = u128::from(draws + 1) * u128::from(hits + 1) / u128::from(items + 2);
    let mode = u64::try_from(scaled).unwrap_or(most).clamp(least, most);
    let share = draws as f64 / items as f64;
    let peak = binomial_probability(mode, hits, share)
        * binomial_probability(draws - mode, misses, share)
        / binomial_probability(draws, items, share);

    let mut rest = random.random::<f64>() - peak;
    let (mut low, mut at_low) = (mode, peak);
    let (mut high, mut at_high) = (mode, peak);
    while rest >= 0.0 && (low > least || high < most) {
        if high < most {
            let step = (hits - high) as f64 * (draws - high) as f64;
            at_high *= step / ((high + 1) as f64 * (misses + high + 1 - draws) as f64);
            high += 1;
            rest -= at_high;
            if rest < 0.0 {
                return high;
            }
        }
        if low > least {
            let step = low as f64 * (misses + low - draws) as f64;
            at_low *= step / ((hits + 1 - low) as f64 * (draws + 1 - low) as f64);
            low -= 1;
            rest -= at_low;
            if rest < 0.0 {
                return low;
            }
        }
        // Rounding left a crumb that no term will fill.
        if at_low + at_high < 1e-18 {
            break;
        }
    }
    mode
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hypergeometric_draws_follow_their_probabilities() {
        let mut random = generator(1);
        for (hits, misses, draws) in [
            (7_u64, 5_u64, 6_u64),
            (30, 700, 90),
            (3, 2, 4),
            (400, 600, 500),
        ] {
            let runs = 20_000;
            let mut seen = vec![0_u64; usize::try_from(hits).unwrap() + 1];
            for _ in 0..runs {
                let taken = hypergeometric(hits, misses, draws, &mut random);
                assert!(taken <= hits && draws - taken <= misses);
                seen[usize::try_from(taken).unwrap()] += 1;
            }
            let share = draws as f64 / (hits + misses) as f64;
            for (taken, &count) in (0..).zip(&seen) {
                if taken > draws || draws - taken > misses {
                    continue;
                }
                let probability = binomial_probability(taken, hits, share)
                    * binomial_probability(draws - taken, misses, share)
                    / binomial_probability(draws, hits + misses, share);
                let mean = f64::from(runs) * probability;
                assert!(
                    (count as f64 - mean).abs() < 4.5 * mean.sqrt() + 4.0,
                    "{taken}: {count} {mean}"
                );
            }
        }
    }

    #[test]
    fn both_ways_of_dealing_keep_the_urn() {
        let mut random = generator(2);
        for size in [3, 5_000] {
            let mut urn = [60_000_u64, 30_000, 10];
            let mut hand = [0; 3];
            deal(&mut urn, size, &mut hand, &mut random);
            assert_eq!(hand.iter().sum::<u64>(), size);
            assert_eq!(urn.iter().sum::<u64>(), 90_010 - size);
        }
    }

    /// `connections` rows of `size` draws at 70/30; a share `pinned` of the connections keep to one backend.
    fn connections(number: usize, size: u32, pinned: f64, seed: u64) -> Vec<u32> {
        let mut random = generator(seed);
        let mut counts = Vec::new();
        for _ in 0..number {
            let hits = if random.random::<f64>() < pinned {
                size * u32::from(random.random::<f64>() < 0.7)
            } else {
                u32::try_from((0..size).filter(|_| random.random::<f64>() < 0.7).count()).unwrap()
            };
            counts.extend([hits, size - hits]);
        }
        counts
    }

    #[test]
    fn pinned_connections_are_seen_and_independent_ones_are_not() {
        let pinned = homogeneity(&connections(20, 10, 1.0, 3), 2, 1).unwrap();
        assert!(pinned.p_value <= 0.001, "{pinned:?}");
        let half = homogeneity(&connections(30, 10, 0.6, 3), 2, 1).unwrap();
        assert!(half.p_value <= 0.001, "{half:?}");
        // 200 p-values of independent draws: at most .1 of them below .1, within four standard errors.
        let low = (0..200)
            .filter(|&seed| {
                let test = homogeneity(&connections(20, 10, 0.0, seed), 2, seed).unwrap();
                test.p_value <= 0.1
            })
            .count();
        assert!((5..=37).contains(&low), "{low}");
    }

    #[test]
    fn nothing_to_permute_is_no_test() {
        assert_eq!(homogeneity(&[], 2, 1), None);
        assert_eq!(homogeneity(&[5, 3], 2, 1), None);
        assert_eq!(homogeneity(&[5, 0, 9, 0], 2, 1), None);
        assert_eq!(homogeneity(&[1, 0, 0, 1, 1, 0, 0, 0], 2, 1), None);
        assert!(homogeneity(&[2, 0, 0, 1], 2, 1).is_some());
    }

    #[test]
    fn large_runs_cost_a_bounded_amount() {
        for counts in [
            connections(50, 20_000, 0.0, 4),
            connections(20_000, 50, 0.0, 4),
        ] {
            let test = homogeneity(&counts, 2, 1).unwrap();
            assert!(test.permutations <= MOST && test.p_value > 0.001);
        }
        // Nothing stops this one early.
        let test = homogeneity(&connections(50, 20_000, 1.0, 4), 2, 1).unwrap();
        assert!(test.permutations >= LEAST && test.p_value <= 0.001);
        // As wide as can be, and every response alone.
        let wide: Vec<u32> = (0..2 * 400_u32).map(|cell| cell % 7).collect();
        assert!(homogeneity(&wide, 400, 1).is_some());
    }
}
