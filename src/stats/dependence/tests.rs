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

#[test]
fn a_connection_that_carries_most_of_a_run_leaves_its_variance_unknown() {
    let mut equal = ConnectionSums::default();
    for connection in 0..50 {
        equal.record(&[20 + connection % 3, 16], Some(0));
    }
    let found = equal.clustering();
    assert_eq!(found.variance().0, found.design_effect);
    close(found.variance().1, 49.0, 1e-3);

    let mut dominated = ConnectionSums::default();
    for _ in 0..1000 {
        dominated.record(&[1, 0], Some(0));
    }
    dominated.record(&[1820, 780], Some(0));
    let (design_effect, freedom) = dominated.clustering().variance();
    close(design_effect, (2600.0 * 2600.0 + 1000.0) / 3600.0, 1e-12);
    assert_eq!(freedom, 1.0);
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
