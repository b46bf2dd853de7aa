//! The whole decision where answers depend on those before them: bursts, memory, workers that start alike, hash
//! keys used again, long round-robins. Fixed and sequential.

use std::sync::Arc;

use lbtest::parts::{
    Evidence, GroupId, Interner, Look, MAX_BLOCKS, Mappings, Monitor, PodRegistry, Seen, Sequence,
    Verdict, decide,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::outcomes::in_parallel;
use super::row::{Row, standard_error};
use super::{ALPHA, Expectation, seed_of, written};

/// How a balancer chooses the backend of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Order {
    /// A draw for each.
    Independent,
    /// The backend of the request before with this chance, else a draw.
    Markov(f64),
    /// A draw for so many requests together.
    Bursts(usize),
    /// So many workers, each with the same random numbers; a request falls to any of them.
    SameSeed(usize),
    /// A draw for each of 1,000 keys, one of which is drawn for each request.
    Keys,
    /// So many requests shared out in stretches, in turn.
    Turns(usize),
}

impl Order {
    fn setting(self) -> String {
        match self {
            Self::Independent => "independent".to_owned(),
            Self::Markov(repeat) => format!("repeats with {repeat}"),
            Self::Bursts(length) => format!("bursts of {length}"),
            Self::SameSeed(workers) => format!("{workers} workers with one seed"),
            Self::Keys => "1000 hash keys".to_owned(),
            Self::Turns(length) => format!("stretches of a round-robin of {length}"),
        }
    }

    /// Whether the promise holds: what no test of the order can see, it does not.
    fn is_promised(self) -> bool {
        !matches!(self, Self::SameSeed(_) | Self::Keys)
    }

    fn draw(self, truth: &[f64], requests: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
        let at = |unit: f64| {
            let mut edge = 0.0;
            let place = truth.iter().position(|share| {
                edge += share;
                unit < edge
            });
            place.unwrap_or(truth.len() - 1)
        };
        let mut drawn = |count: usize| -> Vec<usize> {
            (0..count).map(|_| at(random.random::<f64>())).collect()
        };
        match self {
            Self::Independent => drawn(requests),
            Self::Bursts(length) => {
                let bursts = drawn(requests / length + 2);
                let offset = random.random_range(0..length);
                (0..requests)
                    .map(|request| bursts[(request + offset) / length])
                    .collect()
            }
            Self::Markov(repeat) => {
                let mut labels = drawn(requests);
                for request in 1..requests {
                    if random.random::<f64>() < repeat {
                        labels[request] = labels[request - 1];
                    }
                }
                labels
            }
            Self::SameSeed(workers) => {
                let numbers = drawn(requests);
                let mut places = vec![0; workers];
                let mut next = || {
                    let worker = random.random_range(0..workers);
                    places[worker] += 1;
                    numbers[places[worker] - 1]
                };
                (0..requests).map(|_| next()).collect()
            }
            Self::Keys => {
                let keys = drawn(1000);
                (0..requests)
                    .map(|_| keys[random.random_range(0..keys.len())])
                    .collect()
            }
            Self::Turns(length) => {
                let offset = random.random_range(0..length);
                let place = |request: usize| (request + offset) % length;
                (0..requests)
                    .map(|request| at((place(request) as f64 + 0.5) / length as f64))
                    .collect()
            }
        }
    }
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    /// After the planned number of requests.
    Fixed,
    /// As soon as the evidence is enough.
    Sequential,
}

/// The rate of each verdict on a split whose true shares are `truth`.
pub(crate) fn verdicts(
    expectation: &Expectation,
    truth: &[f64],
    order: Order,
    mode: Mode,
    runs: u64,
) -> Vec<Row> {
    let claim = &expectation.claim;
    let shares = expectation.shares();
    let requests = match mode {
        Mode::Fixed => claim.planned_requests().get(),
        Mode::Sequential => claim.sequential_cap().get(),
    };
    let setting = order.setting();
    let seed = seed_of(&format!(
        "dependent {} {} {setting} {mode:?}",
        written(shares),
        written(truth)
    ));
    let length = usize::try_from(requests).expect("a planned run fits");
    let streams: Vec<u64> = (0..runs).collect();
    let verdicts = in_parallel(&streams, |&stream| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        let labels = order.draw(truth, length, &mut random);
        verdict(expectation, &labels, mode)
    });
    let is_right = truth == shares;
    let rate = |wanted: Verdict, outcome: &'static str, is_bound: bool| {
        let count = verdicts
            .iter()
            .filter(|&&verdict| verdict == wanted)
            .count();
        let value = count as f64 / runs as f64;
        Row {
            part: "dependent",
            split: written(shares),
            requests,
            setting: setting.clone(),
            truth: written(truth),
            method: match mode {
                Mode::Fixed => "lbtest",
                Mode::Sequential => "lbtest_sequential",
            },
            outcome,
            value,
            standard_error: Some(standard_error(value, runs)),
            runs: Some(runs),
            bound: (is_bound && order.is_promised()).then_some(ALPHA),
        }
    };
    vec![
        rate(Verdict::Pass, "pass", !is_right),
        rate(Verdict::Fail, "fail", is_right),
        rate(Verdict::Inconclusive, "inconclusive", false),
    ]
}

/// The verdict on a run whose answers came from these backends, in dispatch order.
fn verdict(expectation: &Expectation, labels: &[usize], mode: Mode) -> Verdict {
    let claim = &expectation.claim;
    let split = &claim.split;
    let mappings = Mappings::parse(split.labels(), &[]).expect("no mapping is no mistake");
    let registry = PodRegistry::shared(mappings);
    let mut interner = Interner::new(Arc::clone(&registry));
    let groups: Vec<usize> = split
        .labels()
        .iter()
        .map(|label| {
            let pod = interner.intern(label);
            let GroupId(group) = interner.group(pod);
            usize::from(group)
        })
        .collect();
    let mut sent = labels.len();
    let mut standing = None;
    if mode == Mode::Sequential {
        let cap = claim.sequential_cap().get();
        let mut monitor = Monitor::new(claim.clone(), Arc::clone(&registry), cap, labels.len());
        let stopped = (0..).zip(labels).find(|&(ticket, &label)| {
            monitor.place(ticket, Seen::Group(groups[label])) != Look::Continue
        });
        sent = stopped.map_or(sent, |(ticket, _)| {
            usize::try_from(ticket).expect("few") + 1
        });
        standing = Some(monitor.standing());
    }
    let labels = &labels[..sent];
    let mut size = 1;
    while (sent - 1) / size >= MAX_BLOCKS {
        size *= 2;
    }
    let sequence = Sequence::new(sent as u64);
    let mut observed = vec![0; groups.len()];
    for (ticket, &label) in (0..).zip(labels) {
        sequence.record(ticket, groups[label]);
        observed[groups[label]] += 1;
    }
    let windows = labels.chunks(size).map(|block| {
        let mut counts = vec![0; groups.len()];
        for &label in block {
            counts[groups[label]] += 1;
        }
        counts
    });
    let evidence = Evidence {
        groups: registry.groups(),
        observed,
        windows: windows.collect(),
        sequence: sequence.codes(),
        standing,
        ..Evidence::default()
    };
    decide(claim, &evidence).verdict
}

/// The kinds of dependence that are looked at with two backends, and with more.
pub(crate) const ORDERS: [Order; 14] = [
    Order::Independent,
    Order::Markov(0.1),
    Order::Markov(0.333),
    Order::Bursts(2),
    Order::Bursts(4),
    Order::Bursts(10),
    Order::Bursts(20),
    Order::Bursts(50),
    Order::Bursts(200),
    Order::SameSeed(2),
    Order::SameSeed(4),
    Order::Keys,
    Order::Turns(100),
    Order::Turns(1000),
];
pub(crate) const FEW_ORDERS: [Order; 5] = [
    Order::Independent,
    Order::Markov(0.333),
    Order::Bursts(4),
    Order::Bursts(10),
    Order::Bursts(50),
];

/// All cells of a split: right, and off by the tolerance. `seen` is shown each when it is done, for they take long.
pub(crate) fn cells(
    weights: &[f64],
    orders: &[Order],
    runs: u64,
    seen: impl Fn(&[Row]),
) -> Vec<Row> {
    let expectation = &Expectation::new(weights);
    let mut shifted = expectation.shifted();
    shifted.truncate(1);
    shifted.insert(0, expectation.shares().to_vec());
    let mut rows = Vec::new();
    for &order in orders {
        for truth in &shifted {
            for mode in [Mode::Fixed, Mode::Sequential] {
                let cell = verdicts(expectation, truth, order, mode, runs);
                seen(&cell);
                rows.extend(cell);
            }
        }
    }
    rows
}
