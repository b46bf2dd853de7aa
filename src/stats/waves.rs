//! Did workers that deal in turn, each for itself, all begin at the same place?
//!
//! Every worker of such a balancer gives a backend of share p its requests number ½/p, 1½/p, 2½/p and so on. Where all of
//! them began together, the backend is silent until each has come half way, and its answers then come in waves of
//! `workers / p` requests, which even out as the workers get apart.

use super::density::deviance;

/// Counts are looked at over at most this many stretches of the run.
const STRETCHES: usize = 48;
/// Numbers of workers that are tried: from 4 to 512, 8 % apart.
const WORKERS: u32 = 64;
const FEWEST: f64 = 4.0;
const RATIO: f64 = 128.0;
/// How uneven the workers' numbers of requests are that are tried: multiples of the variance of a draw for each request.
const SPREADS: [f64; 3] = [0.3, 1.0, 4.0];
/// Counts are given at least this part of their share, since no wave is without a leak.
const LEAST: f64 = 1e-4;

/// Waves that a run's counts show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waves {
    /// About how many workers there are.
    pub workers: f64,
    /// The requests from one wave to the next.
    pub period: f64,
    /// By how much likelier the waves make the counts than a share that stays the same: a natural logarithm.
    pub log_likelihood_gain: f64,
    /// The part of the variation beyond chance that the waves account for.
    pub explained: f64,
    /// The chance that independent draws fit some waves so much better: Markov's bound of a likelihood ratio, for each
    /// number of workers and spread that is tried (Bonferroni).
    pub p_value: f64,
}

/// The waves that fit best of a backend with this expected `share`; `windows[t][backend]` counts its answers in block `t` of
/// the dispatch order. `None` where nothing varies beyond chance, or the share is 0 or 1.
pub fn waves(windows: &[Vec<u64>], backend: usize, share: f64) -> Option<Waves> {
    if share <= 0.0 || share >= 1.0 {
        return None;
    }
    let run = Stretches::new(windows, backend, share);
    let constant = run.deviance(|_| share);
    let excess = constant - run.cells.len() as f64;
    if excess <= 0.0 {
        return None;
    }
    let numbers = (0..WORKERS).map(|step| {
        let part = f64::from(step) / f64::from(WORKERS - 1);
        FEWEST * RATIO.powf(part)
    });
    let tried = numbers.flat_map(|workers| SPREADS.map(|spread| (workers, spread)));
    let fitted = tried.map(|(workers, spread)| (workers, run.of_waves(workers, spread)));
    let (workers, left) = fitted.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let gain = (constant - left) / 2.0;
    let number = f64::from(WORKERS) * SPREADS.len() as f64;
    Some(Waves {
        workers,
        period: workers / share,
        log_likelihood_gain: gain,
        explained: (constant - left) / excess,
        p_value: (number * (-gain).exp()).min(1.0),
    })
}

/// Counts of one backend over stretches of the dispatch order.
struct Stretches {
    share: f64,
    /// The backend's answers, and all.
    cells: Vec<[f64; 2]>,
}

impl Stretches {
    fn new(windows: &[Vec<u64>], backend: usize, share: f64) -> Self {
        let each = windows.len().div_ceil(STRETCHES).max(1);
        let sum = |stretch: &[Vec<u64>]| {
            let own: u64 = stretch
                .iter()
                .filter_map(|window| window.get(backend))
                .sum();
            let all: u64 = stretch.iter().flatten().sum();
            [own as f64, all as f64]
        };
        let cells = windows.chunks(each).map(sum);
        Self {
            share,
            cells: cells.filter(|&[_, all]| all > 0.0).collect(),
        }
    }

    /// Twice the log-likelihood that shares by stretch leave to the best there can be.
    fn deviance(&self, share: impl Fn(usize) -> f64) -> f64 {
        let of = |(place, &[own, all]): (usize, &[f64; 2])| {
            let least = LEAST * self.share.min(1.0 - self.share);
            let share = share(place).clamp(least, 1.0 - least);
            deviance(own, all * share) + deviance(all - own, all * (1.0 - share))
        };
        2.0 * self.cells.iter().enumerate().map(of).sum::<f64>()
    }

    /// The same of waves. A worker's own number of requests varies around its part of all, which smears the waves; the logistic
    /// distribution stands for the normal one.
    fn of_waves(&self, workers: f64, spread: f64) -> f64 {
        let responses: f64 = self.cells.iter().map(|&[_, all]| all).sum();
        // Waves that lie two standard deviations beyond the end have begun.
        let last = responses / workers;
        let last = self.share * (last + 2.0 * (spread * last).sqrt()) + 1.0;
        let mut waves = Vec::new();
        let mut turn = 0.5;
        while turn < last {
            let place = turn / self.share;
            let scale = (3.0 * spread * place).sqrt() / std::f64::consts::PI;
            waves.push((place * workers, scale * workers));
            turn += 1.0;
        }
        let given = |at: f64| -> f64 {
            let begun = waves
                .iter()
                .map(|(place, scale)| 1.0 / (1.0 + ((place - at) / scale).exp()));
            workers * begun.sum::<f64>()
        };
        let (mut at, mut before) = (0.0, given(0.0));
        let shares: Vec<f64> = self
            .cells
            .iter()
            .map(|&[_, all]| {
                at += all;
                let now = given(at);
                let share = (now - before) / all;
                before = now;
                share
            })
            .collect();
        self.deviance(|place| shares[place])
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Blocks of 128 answers; `draw` says whether the rare backend gives the answer with this number.
    fn blocks(responses: usize, mut draw: impl FnMut(usize) -> bool) -> Vec<Vec<u64>> {
        let answers: Vec<bool> = (0..responses).map(&mut draw).collect();
        let count = |block: &[bool]| {
            let own = block.iter().filter(|&&own| own).count() as u64;
            vec![block.len() as u64 - own, own]
        };
        answers.chunks(128).map(count).collect()
    }

    /// Requests that fall to workers at random, each of which gives every hundredth from its fiftieth on away.
    fn alike(workers: usize, seed: u64) -> Vec<Vec<u64>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut served = vec![0_u64; workers];
        blocks(20_364, |_| {
            let own = &mut served[random.random_range(0..workers)];
            *own += 1;
            *own % 100 == 50
        })
    }

    #[test]
    fn workers_that_began_together_are_counted() {
        for workers in [32, 64] {
            for seed in 0..10 {
                let found = waves(&alike(workers, seed), 1, 0.01).unwrap();
                let close = found.workers / workers as f64;
                assert!((0.9..1.1).contains(&close), "{workers} {seed} {found:?}");
                assert!(found.explained > 0.8 && found.p_value < 1e-9, "{found:?}");
            }
        }
    }

    #[test]
    fn neither_bursts_nor_a_change_are_waves() {
        for seed in 0..40 {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut last = false;
            let bursts = blocks(20_364, |request| {
                if request % 200 == 0 {
                    last = random.random::<f64>() < 0.3;
                }
                last
            });
            let late = blocks(20_364, |request| {
                request >= 2000 && random.random::<f64>() < 0.3
            });
            for windows in [bursts, late] {
                let found = waves(&windows, 1, 0.3).unwrap();
                assert!(found.explained < 0.35, "{seed} {found:?}");
            }
        }
    }

    #[test]
    fn independent_answers_show_no_waves() {
        let seen = (0..300).filter(|&seed| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let windows = blocks(5000, |_| random.random::<f64>() < 0.05);
            waves(&windows, 1, 0.05).is_some_and(|found| found.p_value <= 0.05)
        });
        // 15 in the mean at most.
        assert!(seen.count() <= 15);
    }
}
