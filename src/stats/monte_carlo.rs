//! The goodness-of-fit test by simulation, where enumeration is too long and the χ² tail too crude.
//!
//! The same order as the exact test, on seeded draws: p = (1 + draws no more probable) / (draws + 1),
//! which is itself a valid p-value (Davison & Hinkley 1997, §4.2).

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution};

use super::binomial::to_count;
use super::cells::{Cells, total};
use super::density::ln_poisson;
use super::exact::{PValue, TIE};

/// The fewest draws of a test.
pub const LEAST_DRAWS: u64 = 99_999;

/// The most draws of a test; a significance level below 100 in so many is refused.
pub const MOST_DRAWS: u64 = 10_000_000;

/// Draws of one random stream: the unit of work, so that the result hangs on the seed alone and not on
/// the number of threads.
const DRAWS_PER_STREAM: u64 = 4096;

/// Why a test cannot be carried out.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum StatisticsError {
    /// The significance level is so small that simulation cannot resolve it.
    #[error(
        "alpha {alpha} is too small for the Monte Carlo test that these counts need: use 0.00001 or \
         more, or send more requests"
    )]
    AlphaTooSmall {
        /// The significance level asked for.
        alpha: f64,
    },
}

/// How many draws resolve `alpha`: 100 of them below it, and never fewer than [`LEAST_DRAWS`].
///
/// # Errors
/// More than [`MOST_DRAWS`] would be needed.
pub fn draws_for(alpha: f64) -> Result<u64, StatisticsError> {
    let draws = (100.0 / alpha).round();
    // Written so that a NaN is refused.
    if draws <= MOST_DRAWS as f64 && draws > 0.0 {
        Ok(to_count(draws).max(LEAST_DRAWS))
    } else {
        Err(StatisticsError::AlphaTooSmall { alpha })
    }
}

/// The multinomial test in probability order, by as many draws as `alpha` asks for.
///
/// The same `seed` gives the same p-value on every machine.
///
/// # Errors
/// `alpha` needs more than [`MOST_DRAWS`].
///
/// # Panics
/// If the slices differ in length.
pub fn monte_carlo_p_value(
    observed: &[u64],
    shares: &[f64],
    alpha: f64,
    seed: u64,
) -> Result<PValue, StatisticsError> {
    let draws = draws_for(alpha)?;
    let cells = Cells::new(observed, shares);
    if cells.leaked > 0 {
        return Ok(PValue::ZERO);
    }
    let density = TabledDensity::new(&cells.shares, cells.total());
    let cut = density.relative_ln_mass(&cells.observed) + TIE;
    let sampler = Sampler::new(&cells.shares);
    let visit = |no_more_probable: &mut u64, counts: &[u64]| {
        *no_more_probable += u64::from(density.relative_ln_mass(counts) <= cut);
    };
    let no_more_probable = total(&fold_draws(&sampler, cells.total(), draws, seed, visit));
    let value = (1.0 + no_more_probable as f64) / (draws as f64 + 1.0);
    Ok(PValue {
        value,
        log10: value.log10(),
    })
}

/// Folds `draws` seeded draws of `n`, over all cores; one value comes back from each thread.
///
/// Which draw lands in which value hangs on the machine: what the caller makes of them all together
/// must not hang on that.
pub(crate) fn fold_draws<T: Default + Send>(
    sampler: &Sampler,
    n: u64,
    draws: u64,
    seed: u64,
    visit: impl Fn(&mut T, &[u64]) + Sync,
) -> Vec<T> {
    let streams = draws.div_ceil(DRAWS_PER_STREAM);
    let next_stream = AtomicU64::new(0);
    let work = || {
        let mut folded = T::default();
        let mut counts = vec![0; sampler.steps.len()];
        loop {
            let stream = next_stream.fetch_add(1, Ordering::Relaxed);
            if stream >= streams {
                break folded;
            }
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(stream);
            for _ in 0..DRAWS_PER_STREAM.min(draws - stream * DRAWS_PER_STREAM) {
                sampler.draw(n, &mut random, &mut counts);
                visit(&mut folded, &counts);
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(usize::try_from(streams).unwrap_or(usize::MAX));
    thread::scope(|scope| {
        // Where the system starts no more threads, this one does the work alone.
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads).map_while(start).collect();
        let mut folded = vec![work()];
        folded.extend(
            others
                .into_iter()
                .map(|thread| thread.join().expect("drawing does not panic")),
        );
        folded
    })
}

/// Draws multinomial counts, each cell conditional on those before it.
#[derive(Debug, Clone)]
pub struct Sampler {
    /// Per cell in descending order of share: its index, and its share of what the cells before left.
    steps: Vec<(usize, f64)>,
}

impl Sampler {
    /// For `shares` ≥ 0 that sum to about 1.
    pub fn new(shares: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
        let mut rest = 0.0;
        let mut steps: Vec<(usize, f64)> = order
            .into_iter()
            .rev()
            .map(|index| {
                rest += shares[index];
                let conditional = if rest > 0.0 {
                    shares[index] / rest
                } else {
                    0.0
                };
                (index, conditional)
            })
            .collect();
        steps.reverse();
        Self { steps }
    }

    /// Spreads `n` draws over `counts`; `counts[i]` belongs to `shares[i]`.
    ///
    /// # Panics
    /// If `counts` has fewer cells than there are shares.
    pub fn draw(&self, n: u64, random: &mut ChaCha8Rng, counts: &mut [u64]) {
        let mut left = n;
        for &(index, conditional) in &self.steps {
            let drawn = if left == 0 || conditional <= 0.0 {
                0
            } else {
                Binomial::new(left, conditional.min(1.0))
                    .expect("a conditional share lies in 0..=1")
                    .sample(random)
            };
            counts[index] = drawn;
            left -= drawn;
        }
    }
}

/// ln of multinomial probabilities up to a constant, with the likely values of every cell tabled.
#[derive(Debug, Clone)]
pub(crate) struct TabledDensity {
    cells: Vec<TabledCell>,
}

#[derive(Debug, Clone)]
struct TabledCell {
    mean: f64,
    first: u64,
    ln_masses: Vec<f64>,
}

impl TabledDensity {
    /// Entries of a cell's table, at most; rarer counts are computed.
    const MOST_ENTRIES: u64 = 4096;

    /// For `n` draws from positive `shares`.
    pub(crate) fn new(shares: &[f64], n: u64) -> Self {
        let cells = shares
            .iter()
            .map(|share| {
                let mean = n as f64 * share;
                let reach = to_count(8.0 * mean.sqrt() + 8.0).min(Self::MOST_ENTRIES / 2);
                let first = to_count(mean).saturating_sub(reach);
                let ln_masses = (first..=first.saturating_add(2 * reach).min(n))
                    .map(|count| ln_poisson(count as f64, mean))
                    .collect();
                TabledCell {
                    mean,
                    first,
                    ln_masses,
                }
            })
            .collect();
        Self { cells }
    }

    /// ln of the probability of `counts`, less what all outcomes of the same n share.
    pub(crate) fn relative_ln_mass(&self, counts: &[u64]) -> f64 {
        let ln_mass = |(cell, &count): (&TabledCell, &u64)| {
            let tabled = count
                .checked_sub(cell.first)
                .and_then(|offset| cell.ln_masses.get(usize::try_from(offset).ok()?));
            tabled.map_or_else(|| ln_poisson(count as f64, cell.mean), |&tabled| tabled)
        };
        self.cells.iter().zip(counts).map(ln_mass).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::multinomial::{MOST_LINES, multinomial_p_value};

    #[test]
    fn the_estimate_agrees_with_the_exact_test() {
        for (observed, shares) in [
            (vec![450, 340, 210], vec![0.5, 0.3, 0.2]),
            (vec![95, 3, 1, 1], vec![0.97, 0.01, 0.01, 0.01]),
            (vec![18, 8, 8, 8, 8], vec![0.2; 5]),
        ] {
            let exact = multinomial_p_value(&observed, &shares, MOST_LINES)
                .unwrap()
                .value;
            let estimate = monte_carlo_p_value(&observed, &shares, 0.001, 1)
                .unwrap()
                .value;
            let standard_error = (exact * (1.0 - exact) / LEAST_DRAWS as f64).sqrt();
            assert!(
                (estimate - exact).abs() < 4.0 * standard_error,
                "{estimate} {exact}"
            );
        }
    }

    #[test]
    fn the_seed_alone_decides() {
        let p = |seed| monte_carlo_p_value(&[30, 35, 20, 15], &[0.4, 0.3, 0.2, 0.1], 0.001, seed);
        assert_eq!(p(7), p(7));
        assert_ne!(p(7), p(8));
    }

    #[test]
    fn an_alpha_that_cannot_be_resolved_is_refused() {
        assert_eq!(draws_for(0.05), Ok(99_999));
        assert_eq!(draws_for(0.001), Ok(100_000));
        assert_eq!(draws_for(1e-5), Ok(10_000_000));
        assert!(draws_for(9e-6).is_err());
        assert!(draws_for(0.0).is_err());
        assert!(draws_for(f64::NAN).is_err());
    }

    #[test]
    fn draws_sum_to_n_and_have_the_means_asked_for() {
        let shares = [0.05, 0.0, 0.7, 0.25];
        let sampler = Sampler::new(&shares);
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut sums = [0; 4];
        let mut counts = [0; 4];
        for _ in 0..1000 {
            sampler.draw(1000, &mut random, &mut counts);
            assert_eq!(total(&counts), 1000);
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        for (sum, share) in sums.into_iter().zip(shares) {
            let deviation = (1e6 * share * (1.0 - share)).sqrt();
            assert!((sum as f64 - 1e6 * share).abs() <= 4.5 * deviation);
        }
    }
}
