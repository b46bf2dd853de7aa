//! How does a balancer deal requests out: by chance, in turn, or by what is in flight?
//!
//! Over blocks of the dispatch order the counts of the pods vary as chance has it where every request is drawn by
//! itself, whatever the length of a block. Where requests are dealt in turn they vary no more over long blocks than
//! over short ones, by the requests in flight alone. Where a pod gets less while it is busy they vary less than by chance,
//! and yet the more the longer a block is.
//!
//! The measure is the index of dispersion, `D = χ²/((B − 1)(k − 1))` of the B blocks × k pods (Fisher 1950): 1 by
//! chance. The variance of a count is `D·L·p(1 − p)` for blocks of L requests, so that it grows as `Lᵉ`, e = 1 by chance
//! and 0 in turn.

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Fewer blocks say little of their variance.
const LEAST_BLOCKS: usize = 16;
/// Blocks are to be so many times as long as there are requests in flight, which arrive in an order of their own.
const LEAST_LENGTH: usize = 2;
/// So many standard errors are between the exponent and the middle.
const STANDARD_ERRORS: f64 = 2.0;
/// The exponent between that of dealing in turn and that of chance.
const MIDDLE: f64 = 0.5;
/// Counts that vary so little over the longest blocks are dealt in turn whatever the exponent.
const FIXED: f64 = 0.02;

/// How requests are dealt to the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dealing {
    /// Each by a draw of its own.
    ByChance,
    /// One pod after the other.
    InTurn,
    /// More regularly than by chance, less than in turn.
    ByLoad,
    /// One of these two.
    Regular,
    Clumped,
    /// The order does not tell.
    Unknown,
}

/// How much counts vary over blocks of one length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dispersion {
    /// Requests in a block.
    pub length: usize,
    /// The variance of the counts, by chance 1.
    pub index: f64,
    freedom: f64,
}

/// What the order of answers shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dealt {
    /// How requests are dealt.
    pub dealing: Dealing,
    /// Over the shortest blocks.
    pub short: Dispersion,
    /// Over the longest.
    pub long: Dispersion,
    /// How the variance grows with the length of a block: 1 by chance, 0 in turn.
    pub exponent: f64,
}

/// The order of answers: `labels` are the pods of the requests one after the other, each below `pods` (others are
/// passed over), of which `in_flight` were under way at once. Whatever is not by chance is said at level `alpha`.
///
/// `None` where there are fewer answers than tell anything, or fewer than two pods.
pub fn dealt(labels: &[u16], pods: usize, in_flight: u64, alpha: f64) -> Option<Dealt> {
    let known = labels.iter().map(|&label| usize::from(label));
    let known: Vec<usize> = known.filter(|&label| label < pods).collect();
    let longest = known.len() / LEAST_BLOCKS;
    let lengths = std::iter::successors(Some(longest), |length| Some(length / 2));
    let scales: Vec<Dispersion> = lengths
        .take_while(|&length| length >= pods.max(2))
        .filter_map(|length| Dispersion::new(&known, pods, length))
        .collect();
    let (&long, &short) = (scales.first()?, scales.last()?);
    let in_flight = usize::try_from(in_flight).unwrap_or(usize::MAX);
    // Within the blocks that are shorter requests stand in any order.
    let least = in_flight.max(2 * pods);
    let compared = scales.iter().rfind(|scale| scale.length >= least);
    let growth = Growth::new(compared.unwrap_or(&long), &long);
    let each = alpha / (2.0 * scales.len() as f64);
    let is_clumped = scales.iter().any(|scale| scale.at_least() <= each);
    let is_regular = scales.iter().any(|scale| scale.at_most() <= each);
    let is_long = long.length >= in_flight.saturating_mul(LEAST_LENGTH);
    let dealing = match (is_clumped, is_regular) {
        (true, false) => Dealing::Clumped,
        (false, true) if long.index <= FIXED || growth.is_below(MIDDLE) => Dealing::InTurn,
        (false, true) if growth.is_above(MIDDLE) => Dealing::ByLoad,
        (false, true) => Dealing::Regular,
        (false, false) if is_long => Dealing::ByChance,
        _ => Dealing::Unknown,
    };
    Some(Dealt {
        dealing,
        short,
        long,
        exponent: growth.exponent,
    })
}

/// How the variance of a count grows with the length of a block.
struct Growth {
    exponent: f64,
    /// Infinite where the lengths are too close to tell.
    standard_error: f64,
}

impl Growth {
    fn new(short: &Dispersion, long: &Dispersion) -> Self {
        let variance = |scale: &Dispersion| {
            // What never varies is as good as this.
            (scale.index * scale.length as f64).max(1e-9)
        };
        let lengths = (long.length as f64 / short.length as f64).ln();
        if lengths < std::f64::consts::LN_2 {
            return Self {
                exponent: 1.0,
                standard_error: f64::INFINITY,
            };
        }
        Self {
            exponent: (variance(long) / variance(short)).ln() / lengths,
            standard_error: (2.0 / long.freedom + 2.0 / short.freedom).sqrt() / lengths,
        }
    }

    fn is_below(&self, exponent: f64) -> bool {
        self.exponent + STANDARD_ERRORS * self.standard_error < exponent
    }

    fn is_above(&self, exponent: f64) -> bool {
        self.exponent - STANDARD_ERRORS * self.standard_error > exponent
    }
}

impl Dispersion {
    fn new(labels: &[usize], pods: usize, length: usize) -> Option<Self> {
        let blocks = labels.len() / length;
        let labels = &labels[..blocks * length];
        let mut sums = vec![0_u64; pods];
        for &label in labels {
            sums[label] += 1;
        }
        let answering = sums.iter().filter(|&&sum| sum > 0).count();
        if answering < 2 || blocks < 2 {
            return None;
        }
        let mut statistic = 0.0;
        let mut counts = vec![0_u64; pods];
        for block in labels.chunks_exact(length) {
            counts.fill(0);
            for &label in block {
                counts[label] += 1;
            }
            for (&count, &sum) in counts.iter().zip(&sums) {
                if sum > 0 {
                    let expected = sum as f64 / blocks as f64;
                    statistic += (count as f64 - expected).powi(2) / expected;
                }
            }
        }
        let freedom = ((blocks - 1) * (answering - 1)) as f64;
        Some(Self {
            length,
            index: statistic / freedom,
            freedom,
        })
    }

    fn law(&self) -> Option<ChiSquared> {
        ChiSquared::new(self.freedom).ok()
    }

    /// The chance that draws would vary so little.
    fn at_most(&self) -> f64 {
        let law = self.law();
        law.map_or(1.0, |law| law.cdf(self.index * self.freedom))
    }

    /// The chance that draws would vary so much.
    fn at_least(&self) -> f64 {
        let law = self.law();
        law.map_or(1.0, |law| law.sf(self.index * self.freedom))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const ALPHA: f64 = 0.001;

    /// Each request is overtaken by others of the `in_flight` that are under way with it.
    fn displaced(labels: Vec<u16>, in_flight: usize, random: &mut ChaCha8Rng) -> Vec<u16> {
        let mut waiting: Vec<u16> = Vec::new();
        let mut arrived = Vec::new();
        for label in labels {
            waiting.push(label);
            if waiting.len() == in_flight {
                arrived.push(waiting.swap_remove(random.random_range(0..in_flight)));
            }
        }
        arrived.extend(waiting);
        arrived
    }

    /// Pods that serve one request after the other, each for a time around its mean; a request goes to the less busy of two.
    fn two_choices(pods: usize, in_flight: usize, requests: usize, seed: u64) -> Vec<u16> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut queues = vec![VecDeque::<f64>::new(); pods];
        let mut labels = Vec::new();
        let (mut now, mut under_way) = (0.0, 0);
        while labels.len() < requests {
            if under_way < in_flight {
                let one = random.random_range(0..pods);
                let other = (one + random.random_range(1..pods)) % pods;
                let pod = if queues[other].len() < queues[one].len() {
                    other
                } else {
                    one
                };
                let begins = queues[pod].back().copied().unwrap_or(now).max(now);
                queues[pod].push_back(begins + 0.5 + random.random::<f64>());
                labels.push(u16::try_from(pod).unwrap());
                under_way += 1;
                continue;
            }
            let ends = queues.iter().filter_map(|queue| queue.front().copied());
            now = ends.fold(f64::INFINITY, f64::min);
            for queue in &mut queues {
                while queue.front().is_some_and(|&end| end <= now) {
                    queue.pop_front();
                    under_way -= 1;
                }
            }
        }
        labels
    }

    fn drawn(pods: u16, requests: usize, seed: u64) -> Vec<u16> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..requests)
            .map(|_| random.random_range(0..pods))
            .collect()
    }

    #[test]
    fn draws_are_seldom_taken_for_anything_else() {
        let mut others = 0;
        for seed in 0..2000 {
            let found = dealt(&drawn(5, 5074, seed), 5, 50, ALPHA).unwrap();
            others += u32::from(found.dealing != Dealing::ByChance);
        }
        // Two in the mean.
        assert!(others <= 8, "{others}");
    }

    #[test]
    fn turns_are_told_whatever_is_in_flight() {
        for in_flight in [1, 10, 50] {
            for seed in 0..50 {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                let turns = (0..5074_u16).map(|request| request % 5).collect();
                let labels = displaced(turns, in_flight, &mut random);
                let found = dealt(&labels, 5, in_flight as u64, ALPHA).unwrap();
                // With fifty in flight there are too few requests to be sure.
                let is_told = [Dealing::InTurn, Dealing::Regular].contains(&found.dealing);
                assert!(is_told, "{in_flight} {seed} {found:?}");
                assert!(
                    found.dealing == Dealing::InTurn || in_flight == 50,
                    "{in_flight} {seed} {found:?}"
                );
            }
        }
    }

    #[test]
    fn the_less_busy_of_two_varies_less_than_by_chance_and_more_than_in_turn() {
        let mut recognised = 0;
        for seed in 0..50 {
            let found = dealt(&two_choices(5, 10, 20_000, seed), 5, 10, ALPHA).unwrap();
            assert_ne!(found.dealing, Dealing::InTurn, "{found:?}");
            recognised += u32::from(found.dealing == Dealing::ByLoad);
            let found = dealt(&two_choices(5, 50, 5074, seed), 5, 50, ALPHA).unwrap();
            assert_ne!(found.dealing, Dealing::InTurn, "{found:?}");
        }
        assert!(recognised >= 48, "{recognised}");
    }

    #[test]
    fn weights_are_no_dealing_of_their_own() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let labels: Vec<u16> = (0..4000)
            .map(|_| u16::from(random.random::<f64>() < 0.2))
            .collect();
        let found = dealt(&labels, 2, 50, ALPHA).unwrap();
        assert_eq!(found.dealing, Dealing::ByChance, "{found:?}");
    }

    #[test]
    fn clumps_and_few_answers_are_not_named() {
        let clumped: Vec<u16> = drawn(5, 500, 1)
            .into_iter()
            .flat_map(|pod| [pod; 10])
            .collect();
        assert_eq!(
            dealt(&clumped, 5, 1, ALPHA).unwrap().dealing,
            Dealing::Clumped
        );
        assert_eq!(
            dealt(&drawn(5, 400, 1), 5, 50, ALPHA).unwrap().dealing,
            Dealing::Unknown
        );
        assert_eq!(dealt(&drawn(5, 40, 1), 5, 1, ALPHA), None);
        assert_eq!(dealt(&vec![0; 5000], 5, 1, ALPHA), None);
    }
}
