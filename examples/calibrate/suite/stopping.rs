//! Where a sequential test of two backends stops, exactly: the probability of every path of counts is
//! carried forward, response by response, through [`Sequential`] itself.
//!
//! The verdict depends on the counts alone, so that one test stands for all the paths that lead to them.

use lbtest::parts::{Judge, Look, Sequential, asymptotic_sample_size, cap};

/// The verdicts and stopping times of one true split.
#[derive(Debug, Clone)]
pub(crate) struct Stopping {
    /// The first backend's true share.
    pub(crate) truth: f64,
    pub(crate) pass: f64,
    pub(crate) fail: f64,
    pub(crate) inconclusive: f64,
    /// `stopped[n]` is the probability to stop after `n` responses.
    pub(crate) stopped: Vec<f64>,
}

impl Stopping {
    /// The mean number of responses, of the paths that were followed.
    pub(crate) fn mean(&self) -> f64 {
        let weighted = self
            .stopped
            .iter()
            .enumerate()
            .map(|(n, mass)| n as f64 * mass);
        weighted.sum::<f64>() / self.stopped.iter().sum::<f64>()
    }

    /// The smallest number of responses by which this share of the runs has stopped.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        let mut sum = 0.0;
        let wanted = share * self.stopped.iter().sum::<f64>();
        let reached = self.stopped.iter().position(|mass| {
            sum += mass;
            sum >= wanted
        });
        reached.unwrap_or(self.stopped.len() - 1) as u64
    }
}

/// The most responses that the program waits for.
pub(crate) fn most(shares: &[f64], tolerance: f64, alpha: f64) -> u64 {
    cap(asymptotic_sample_size(shares, tolerance, alpha))
}

/// A sequential test of these shares with the program's cap.
pub(crate) fn sequential(shares: &[f64], tolerance: f64, alpha: f64) -> Sequential {
    let cap = most(shares, tolerance, alpha);
    Sequential::new(shares, tolerance, alpha, Judge::Equivalence, cap)
}

/// A test under way, and how probable it is to get there under each truth.
#[derive(Debug, Clone)]
struct State {
    test: Sequential,
    masses: Vec<f64>,
}

/// Paths less probable than this under every truth are left.
const LEAST_PROBABILITY: f64 = 1e-16;

/// The stopping times of the test of `shares` when the first of the two backends has each of `truths`.
pub(crate) fn stopping(
    shares: [f64; 2],
    tolerance: f64,
    alpha: f64,
    truths: &[f64],
) -> Vec<Stopping> {
    let start = sequential(&shares, tolerance, alpha);
    let most = usize::try_from(most(&shares, tolerance, alpha)).expect("a cap fits the memory");
    let mut results: Vec<Stopping> = truths
        .iter()
        .map(|&truth| Stopping {
            truth,
            pass: 0.0,
            fail: 0.0,
            inconclusive: 0.0,
            stopped: vec![0.0; most + 1],
        })
        .collect();
    // `states[x]` holds the test after x responses of the first backend; `low..=high` spans those alive.
    let mut states: Vec<Option<State>> = vec![None; most + 2];
    states[0] = Some(State {
        test: start,
        masses: vec![1.0; truths.len()],
    });
    let (mut low, mut high) = (0, 0);
    for n in 1..=most {
        // From above, since a hit moves a state up onto its neighbour.
        for x in (low..=high + 1).rev() {
            let stayed = states[x].take();
            let moved = x.checked_sub(1).and_then(|below| states[below].as_ref());
            let Some(state) = arrived(stayed, moved, truths) else {
                continue;
            };
            if state.masses.iter().all(|&mass| mass < LEAST_PROBABILITY) {
                continue;
            }
            if state.test.look() == Look::Continue {
                states[x] = Some(state);
                continue;
            }
            for (result, mass) in results.iter_mut().zip(&state.masses) {
                result.stopped[n] += mass;
                match state.test.look() {
                    Look::Pass => result.pass += mass,
                    Look::Fail => result.fail += mass,
                    Look::Inconclusive | Look::Continue => result.inconclusive += mass,
                }
            }
        }
        high += 1;
        while low < high && states[low].is_none() {
            low += 1;
        }
        while high > low && states[high].is_none() {
            high -= 1;
        }
    }
    results
}

/// The state that a miss of `stayed` and a hit of `moved` lead to.
fn arrived(stayed: Option<State>, moved: Option<&State>, truths: &[f64]) -> Option<State> {
    match (stayed, moved) {
        (Some(mut state), moved) => {
            state.test.observe(Some(1));
            for (index, (mass, truth)) in state.masses.iter_mut().zip(truths).enumerate() {
                let hit = moved.map_or(0.0, |moved| moved.masses[index] * truth);
                *mass = *mass * (1.0 - truth) + hit;
            }
            Some(state)
        }
        (None, Some(moved)) => {
            let mut test = moved.test.clone();
            test.observe(Some(0));
            let masses = moved
                .masses
                .iter()
                .zip(truths)
                .map(|(mass, truth)| mass * truth);
            let masses = masses.collect();
            Some(State { test, masses })
        }
        (None, None) => None,
    }
}
