//! The hot loop allocates nothing once it is warm.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use lbtest::parts::{Mappings, Observation, Outcome, PodRegistry, Rules, Sequence, Tally};

#[test]
fn a_response_is_identified_and_tallied_without_an_allocation() {
    let rules = Rules::builtin().ignoring_host("edu.challenger-03");
    let headers = HeaderMap::new();
    let pods = [
        "challenge-app-6f79ff6b8d-fmzvc",
        "challenge-app-v2-6b8464cddd-nnjmj",
    ];
    let pages = pods
        .map(|pod| format!("<html><body><p>Node Name: n</p><p>Pod Name: {pod}</p></body></html>"));
    let registry = PodRegistry::shared(Mappings::parse(&[], &[]).unwrap());
    let mut tally = Tally::new(registry, Arc::new(Sequence::new(100_000)));
    let mut respond = |tickets: std::ops::Range<u64>| {
        for ticket in tickets {
            let page = &pages[usize::from(ticket % 10 > 6)];
            let name = rules
                .identify(&headers, page.as_bytes())
                .expect("the page names its pod");
            let pod = tally.intern(&name);
            tally.record(&Observation {
                ticket,
                outcome: Outcome::Responded {
                    status: 200,
                    pod: Some(pod),
                },
                dispatched: Duration::from_micros(ticket),
                latency: Duration::from_micros(100 + ticket % 900),
            });
        }
    };
    // A run opens at most 256 time blocks, each with an allocation; in those that are open there is none.
    respond(0..100_000);
    let counted = allocation_counter::measure(|| respond(70_000..100_000));
    assert_eq!(counted.count_total, 0);
}
