//! What a verdict costs: the tests that gate, and the planning of a run.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lbtest::parts::{
    Expected, Judge, MOST_LINES, Prospect, StatisticsError, binomial_p_value, monte_carlo_p_value,
    multinomial_p_value, requests_for_exact_power,
};

fn exact(criterion: &mut Criterion) {
    for n in [1_000, 100_000, 1_000_000_000] {
        criterion.bench_function(&format!("exact p, 2 backends, n={n}"), |bencher| {
            bencher.iter(|| binomial_p_value(black_box(n / 10 * 3 + n / 1000), n, 0.3));
        });
    }
    for n in [1_000, 100_000] {
        let shift = n / 500;
        let observed = [n / 2 + shift, n / 10 * 3, n / 5 - shift];
        criterion.bench_function(&format!("exact p, 3 backends, n={n}"), |bencher| {
            bencher.iter(|| {
                multinomial_p_value(black_box(&observed), &[0.5, 0.3, 0.2], MOST_LINES)
                    .expect("three backends stay far below the cap")
            });
        });
    }
}

fn simulated(criterion: &mut Criterion) {
    let observed: Vec<u64> = (0..50).map(|backend| 90 + backend % 21).collect();
    let mut group = criterion.benchmark_group("monte carlo");
    group.sample_size(10);
    group.bench_function("p, 50 backends, 100,000 draws", |bencher| {
        bencher.iter(|| monte_carlo_p_value(black_box(&observed), &[0.02; 50], 0.001, 1));
    });
    group.finish();
}

fn prospect(shares: &[f64], requests: u64) -> Result<Prospect, StatisticsError> {
    let expected = Expected {
        shares,
        tolerance: 0.05,
        alpha: 0.001,
    };
    Prospect::new(&expected, requests, Judge::Equivalence, 1)
}

fn planned(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(10);
    group.bench_function("exact power, 70/30, 5 points", |bencher| {
        bencher.iter(|| requests_for_exact_power(black_box(&[0.7, 0.3]), 0.05, 0.001, 0.99));
    });
    group.bench_function("verdict chances, 70/30", |bencher| {
        bencher.iter(|| {
            prospect(black_box(&[0.7, 0.3]), 3664)
                .map(|prospect| prospect.verdict_probabilities(&[0.65, 0.35]))
        });
    });
    group.bench_function("verdict chances, 50/30/20", |bencher| {
        let shares = [0.5, 0.3, 0.2];
        bencher.iter(|| {
            prospect(black_box(&shares), 4752)
                .map(|prospect| prospect.verdict_probabilities(&shares))
        });
    });
    group.finish();
}

criterion_group!(benches, exact, simulated, planned);
criterion_main!(benches);
