//! The hot loop: response body → identity → tally, for a page of 200 bytes and one of 16 KiB.
//!
//! Beside it runs a bare search for the same literal in the same body, which is the floor: the ratio of
//! the two is printed last.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use http::HeaderMap;
use lbtest::parts::{Mappings, Observation, Outcome, PodRegistry, Rules, Sequence, Tally};
use memchr::memmem::Finder;

const POD: &str = "challenge-app-6f79ff6b8d-fmzvc";
const LITERAL: &str = "Pod Name:";

/// How many calls one sample of the ratio spans, and how many samples give its median.
const CALLS: u32 = 20_000;
const SAMPLES: usize = 101;

/// A page of `length` bytes that names its pod near the end, as the challenge's Flask app does.
fn page(length: usize) -> Vec<u8> {
    let head = "<!DOCTYPE html>\n<html><head><title>Challenge</title></head>\n<body>\n";
    let tail = format!("<p>Node Name: node-1</p>\n<p>{LITERAL} {POD}</p>\n</body></html>\n");
    let filling = "<p>Lorem ipsum dolor sit amet.</p>\n";
    let room = length
        .checked_sub(head.len() + tail.len())
        .expect("a page has room for its head and tail");
    let body: String = filling.chars().cycle().take(room).collect();
    format!("{head}{body}{tail}").into_bytes()
}

/// The median time of one call, in nanoseconds.
fn median_nanoseconds(mut call: impl FnMut()) -> f64 {
    let mut sample = || {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        start.elapsed()
    };
    sample();
    let mut samples: Vec<Duration> = (0..SAMPLES).map(|_| sample()).collect();
    samples.sort_unstable();
    samples[SAMPLES / 2].as_secs_f64() * 1e9 / f64::from(CALLS)
}

#[expect(
    clippy::print_stdout,
    reason = "a bench reports its ratio where criterion reports times"
)]
#[expect(clippy::too_many_lines, reason = "the benchmarks, one after the other")]
fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let is_test = std::env::args().any(|argument| argument == "--test");
    let rules = Rules::builtin().ignoring_host("edu.challenger-03");
    let user = Rules::parse(&["Pod Name: ([^<]+)".to_owned()]).expect("the rule is one");
    let headers = HeaderMap::new();
    let finder = Finder::new(LITERAL);

    for (name, length) in [("200 B", 200), ("16 KiB", 16 << 10)] {
        let body = page(length);
        let identify = || rules.identify(&headers, black_box(&body));
        let identify_by_regex = || user.identify(&headers, black_box(&body));
        let search = || finder.find(black_box(&body));
        let mappings = Mappings::parse(&[], &[]).expect("no mappings");
        let sequence = Arc::new(Sequence::new(0));
        let mut tally = Tally::new(PodRegistry::shared(mappings), sequence);
        let mut respond = || {
            let name = rules.identify(&headers, black_box(&body))?;
            let pod = tally.intern(&name);
            tally.record(&Observation {
                ticket: 0,
                outcome: Outcome::Responded {
                    status: 200,
                    pod: Some(pod),
                },
                dispatched: Duration::ZERO,
                latency: Duration::from_micros(100),
            });
            Some(pod)
        };
        assert_eq!(identify().as_deref(), Some(POD));
        assert_eq!(identify_by_regex().as_deref(), Some(POD));
        assert!(search().is_some());

        let mut group = criterion.benchmark_group(format!("hot_loop/{name}"));
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function("respond", |bencher| bencher.iter(&mut respond));
        group.bench_function("identify", |bencher| bencher.iter(identify));
        group.bench_function("identify_by_regex", |bencher| {
            bencher.iter(identify_by_regex);
        });
        group.bench_function("memmem", |bencher| bencher.iter(search));
        group.finish();

        if !is_test {
            let respond = median_nanoseconds(|| {
                black_box(respond());
            });
            let identify = median_nanoseconds(|| {
                black_box(identify());
            });
            let identify_by_regex = median_nanoseconds(|| {
                black_box(identify_by_regex());
            });
            let search = median_nanoseconds(|| {
                black_box(search());
            });
            let ratio = respond / search;
            println!(
                "{name}: body to tally {respond:.1} ns (identity {identify:.1} ns, by a regular \
                 expression {identify_by_regex:.1} ns), bare memmem {search:.1} ns, ratio {ratio:.2}\n"
            );
        }
    }
    criterion.final_summary();
}
