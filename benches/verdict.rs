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

criterion_group!(benches, verdict);
criterion_main!(benches);
