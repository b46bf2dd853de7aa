//! Pods that came, went or restarted during a run, and backends that were left out for a while: stretches in which one
//! that answers elsewhere answers nothing.
//!
//! Where the c answers of one are anywhere among the n of the run, each of the c + 1 stretches before, between and after
//! them is longer than k with a chance of at most `(1 − k/n)ᶜ`: of `C(n − k, c)` of the `C(n, c)` ways. Its own count is
//! given, so that one which gets little is not taken for one that is away. Answers that come b at a time are c/b of them.

/// A stretch of a run in which a pod, or a backend, answered nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Silence {
    /// Which, a column of the windows.
    pub cell: usize,
    /// It begins after so many answers of the run.
    pub from: u64,
    /// It ends before this many.
    pub to: u64,
    /// The chance of one as long, for any of them; the ends of the run and what is between have half of it each.
    pub p_value: f64,
}

/// The longest silence of each pod or backend, where chance explains it with at most `alpha`.
///
/// `windows[t][j]` counts the answers of cell `j` in block `t` of the order of dispatch, missing entries 0, and they come
/// `at_a_time`, at least 1. A stretch is as long as the whole blocks in it, which can only be too short.
pub fn silences(windows: &[Vec<u64>], at_a_time: f64, alpha: f64) -> Vec<Silence> {
    let cells = windows.iter().map(Vec::len).max().unwrap_or(0);
    let sum = |cell: usize| {
        let counts = windows.iter().filter_map(|window| window.get(cell));
        counts.sum::<u64>()
    };
    let sums: Vec<u64> = (0..cells).map(sum).collect();
    let all: u64 = sums.iter().sum();
    let answering = sums.iter().filter(|&&sum| sum > 0).count() as f64;
    let counted = sums.iter().enumerate().filter(|&(_, &sum)| sum > 0);
    let longest = counted.filter_map(|(cell, &count)| {
        let count = count as f64 / at_a_time;
        let judged = stretches(windows, cell).into_iter().map(|(from, to)| {
            let is_at_an_end = from == 0 || to == all;
            let places = if is_at_an_end { 2.0 } else { count };
            let share = (to - from) as f64 / all as f64;
            let chance = 2.0 * answering * places * (count * (-share).ln_1p()).exp();
            Silence {
                cell,
                from,
                to,
                p_value: chance.min(1.0),
            }
        });
        judged.min_by(|a, b| a.p_value.total_cmp(&b.p_value))
    });
    longest.filter(|silence| silence.p_value <= alpha).collect()
}

/// The answers before and after each stretch of blocks without one of `cell`.
fn stretches(windows: &[Vec<u64>], cell: usize) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let (mut before, mut from) = (0, 0);
    for window in windows {
        if window.get(cell).is_some_and(|&count| count > 0) {
            if from < before {
                found.push((from, before));
            }
            from = before + window.iter().sum::<u64>();
        }
        before += window.iter().sum::<u64>();
    }
    if from < before {
        found.push((from, before));
    }
    found
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Blocks of 16 of 5,008 draws among five pods, of which `away` may keep one from answering.
    fn run(seed: u64, away: impl Fn(u64, usize) -> bool) -> Vec<Vec<u64>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut block = |place: u64| {
            let mut counts = vec![0; 5];
            for request in 0..16 {
                let mut pod = random.random_range(0..5);
                while away(16 * place + request, pod) {
                    pod = random.random_range(0..5);
                }
                counts[pod] += 1;
            }
            counts
        };
        (0..313).map(&mut block).collect()
    }

    fn found(away: impl Fn(u64, usize) -> bool) -> Vec<(usize, u64, u64)> {
        let silences = silences(&run(1, away), 1.0, 0.001).into_iter();
        silences
            .map(|silence| (silence.cell, silence.from, silence.to))
            .collect()
    }

    #[test]
    fn pods_that_stay_are_seldom_taken_for_others() {
        let taken =
            (0..2000).filter(|&seed| !silences(&run(seed, |_, _| false), 1.0, 0.01).is_empty());
        // 20 in the mean at most, standard deviation 4.5.
        assert!(taken.count() <= 40);
    }

    #[test]
    fn a_pod_that_comes_goes_or_is_away_for_a_while_is_found_with_its_place() {
        assert_eq!(
            found(|request, pod| pod == 4 && request < 128),
            [(4, 0, 128)]
        );
        assert_eq!(
            found(|request, pod| pod == 2 && request >= 4800),
            [(2, 4800, 5008)]
        );
        let restarted = found(|request, pod| pod == 1 && (2000..2208).contains(&request));
        assert_eq!(restarted, [(1, 2000, 2208)]);
    }

    #[test]
    fn a_pod_that_gets_little_is_not_away() {
        let little = |request: u64, pod: usize| pod == 3 && !request.is_multiple_of(50);
        assert_eq!(found(little), []);
    }

    #[test]
    fn turns_of_a_hundred_leave_nobody_out() {
        let block = |block: u64| {
            let second = (16 * block..16 * block + 16).filter(|request| request % 100 >= 70);
            let second = second.count() as u64;
            vec![16 - second, second]
        };
        let windows: Vec<Vec<u64>> = (0..229).map(block).collect();
        assert_ne!(silences(&windows, 1.0, 0.001), []);
        assert_eq!(silences(&windows, 21.0, 0.001), []);
    }

    #[test]
    fn nothing_was_silent_where_nothing_was_asked() {
        assert_eq!(silences(&[], 1.0, 0.5), []);
        assert_eq!(silences(&[vec![], vec![0, 0]], 1.0, 0.5), []);
    }
}
