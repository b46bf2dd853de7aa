//! The whole verdict: counts by workload → assignment → tests → reasons.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lbtest::parts::{Claim, Evidence, Judge, Mappings, Split, decide};

fn verdict(criterion: &mut Criterion) {
    for (name, expect, observed) in [
        ("two backends", "v1=70,v2=30", &[2543, 1121][..]),
        ("three backends", "a=50,b=30,c=20", &[2352, 1445, 955][..]),
    ] {
        let split: Split = expect.parse().expect("a split");
        let promise = lbtest::parts::Criterion::new(&split, 0.001, 0.05, Judge::Equivalence, 0.01)
            .expect("the default criterion");
        let mappings = Mappings::parse(split.labels(), &[]).expect("no mappings");
        let evidence = Evidence {
            groups: split
                .labels()
                .iter()
                .map(|label| mappings.group(label))
                .collect(),
            observed: observed.to_vec(),
            ..Evidence::default()
        };
        let claim = Claim::new(split, promise, 1);
        criterion.bench_function(&format!("verdict/{name}"), |bencher| {
            bencher.iter(|| decide(&claim, black_box(&evidence)));
        });
    }
}

/// The same with the order in which the answers came, as a run has it.
fn in_order(criterion: &mut Criterion) {
    for (n, tolerance) in [(3_664_u32, 0.05), (131_072, 0.01)] {
        let split: Split = "v1=70,v2=30".parse().expect("a split");
        let promise =
            lbtest::parts::Criterion::new(&split, 0.001, tolerance, Judge::Equivalence, 0.01)
                .expect("a criterion");
        let mappings = Mappings::parse(split.labels(), &[]).expect("no mappings");
        // A fixed sequence without a pattern: the fractions of the squares' multiples of an irrational number.
        let draw = |request: u32| {
            let square = f64::from(request) * f64::from(request) * std::f64::consts::SQRT_2;
            u16::from(square.fract() >= 0.7)
        };
        let labels: Vec<u16> = (0..n).map(draw).collect();
        let count = |block: &[u16]| {
            let others = block.iter().map(|&label| u64::from(label)).sum::<u64>();
            vec![block.len() as u64 - others, others]
        };
        let blocks = labels.chunks(labels.len().div_ceil(256));
        let evidence = Evidence {
            groups: ["v1", "v2"].map(|pod| mappings.group(pod)).to_vec(),
            observed: count(&labels),
            windows: blocks.map(count).collect(),
            sequence: labels.iter().map(|label| label + 1).collect(),
            ..Evidence::default()
        };
        let claim = Claim::new(split, promise, 1);
        criterion.bench_function(&format!("verdict/{n} in order"), |bencher| {
            bencher.iter(|| decide(&claim, black_box(&evidence)));
        });
    }
}

criterion_group!(benches, verdict, in_order);
criterion_main!(benches);
