//! A whole run in this process: 2000 requests on 20 connections through the embedded ingress.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lbtest::identity::assignment::Mappings;
use lbtest::identity::rule::Rules;
use lbtest::ingress::{Config, Ingress};
use lbtest::plan::preparation::Preparation;
use lbtest::plan::{self, Budget, ConnectionUse, LoadShape, Plan, target};
use lbtest::split::Split;
use lbtest::stats::judge::Judge;
use lbtest::tally::pods::PodRegistry;

const REQUESTS: u64 = 2000;

fn end_to_end(criterion: &mut Criterion) {
    let split: Split = "v1=70,v2=30".parse().expect("a split");
    let ingress = Ingress::start(&Config::new(split.clone())).expect("loopback has a free port");
    let url = format!("http://{}/", ingress.addr());
    let (target, request) = target::target(
        &url,
        None,
        "GET",
        &[],
        Bytes::new(),
        &target::Dialling::default(),
    )
    .expect("a URL");
    let promise = plan::Criterion::new(&split, 0.001, 0.05, Judge::Equivalence, 0.01);
    let plan = Plan {
        target,
        request,
        criterion: promise.expect("the default criterion"),
        budget: Budget {
            requests: NonZeroU64::new(REQUESTS),
            duration: None,
            max_duration: Duration::from_mins(1),
        },
        preparation: Preparation::default(),
        load: LoadShape {
            concurrency: NonZeroUsize::new(20).expect("20 is not 0"),
            threads: NonZeroUsize::MIN,
            connection_use: ConnectionUse::KeepAlive,
            streams: NonZeroUsize::MIN,
            rate: None,
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            max_body: 1 << 20,
        },
        rules: Rules::builtin(),
        mappings: Mappings::parse(split.labels(), &[]).expect("no mappings"),
        limits: Vec::new(),
        sequential: false,
        stickiness: None,
        seed: 1,
        shard: None,
        run_id: None,
        split,
    };
    let mut group = criterion.benchmark_group("end_to_end");
    group.throughput(Throughput::Elements(REQUESTS));
    group.sample_size(10);
    group.bench_function("keep-alive", |bencher| {
        bencher.iter(|| {
            let registry = PodRegistry::shared(plan.mappings.clone());
            let run = lbtest::load::run(&plan, &registry, &mut |_| {}).expect("it is reachable");
            assert_eq!(run.tally.attributed(), REQUESTS);
        });
    });
    group.finish();
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
