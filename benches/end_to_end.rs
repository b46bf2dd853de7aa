//! A whole run in this process: 2000 requests on 20 connections through the embedded ingress.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lbtest::parts::{Config, Ingress, PodRegistry, Settings, Split};
use serde_json::json;

const REQUESTS: u64 = 2000;

fn end_to_end(criterion: &mut Criterion) {
    let split: Split = "v1=70,v2=30".parse().expect("a split");
    let ingress = Ingress::start(&Config::new(split.clone())).expect("loopback has a free port");
    let url = format!("http://{}/", ingress.addr());
    let asked = json!({
        "url": url,
        "expect": split.to_string(),
        "requests": REQUESTS,
        "max_duration": "1m",
        "concurrency": 20,
        "threads": 1,
        "keep_alive": true,
    });
    let asked = Settings::read(|| &asked).expect("settings");
    let plan = asked.plan().expect("a plan");
    let mut group = criterion.benchmark_group("end_to_end");
    group.throughput(Throughput::Elements(REQUESTS));
    group.sample_size(10);
    group.bench_function("keep-alive", |bencher| {
        bencher.iter(|| {
            let registry = PodRegistry::shared(plan.mappings.clone());
            let run = lbtest::parts::run(&plan, &registry, &mut |_| {}).expect("it is reachable");
            assert_eq!(run.counted.attributed(), REQUESTS);
        });
    });
    group.finish();
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
