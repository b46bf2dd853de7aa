//! The whole decision where answers depend on those before them: bursts, memory, workers that start alike, hash
//! keys used again, long round-robins. Fixed and sequential.

use std::sync::Arc;

use lbtest::parts::{
    Evidence, GroupId, Interner, Judge, Judgement, Look, MAX_BLOCKS, Mappings, Monitor,
    PodRegistry, Seen, Sequence, Verdict, decide,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::outcomes::in_parallel;
use super::row::{Lasting, Row, standard_error};
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

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ended {
    pub(crate) verdict: Verdict,
    pub(crate) drifted: bool,
    /// Whether the 95 % interval of the first backend's share misses the true one.
    pub(crate) missed: bool,
    /// The difference between both halves that a report calls refuted.
    pub(crate) refuted: Option<f64>,
}

impl Ended {
    fn of(judgement: &Judgement, share: f64) -> Self {
        let counts = &judgement.judged.counts;
        let basis = judgement.judged.interval_basis();
        let interval = basis.interval(counts.observed[0], counts.attributed(), MISSED);
        let change = judgement.change.as_ref();
        Self {
            verdict: judgement.verdict,
            drifted: change.is_some_and(|change| change.is_significant),
            missed: share < interval.low || interval.high < share,
            refuted: change.and_then(|change| change.refuted),
        }
    }
}

/// A split, what is true of it, and how its requests are shared out.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    expectation: Expectation,
    truth: Vec<f64>,
    order: Order,
    mode: Mode,
}

impl Cell {
    fn method(&self) -> &'static str {
        match self.mode {
            Mode::Fixed => "lbtest",
            Mode::Sequential => "lbtest_sequential",
        }
    }

    fn requests(&self) -> u64 {
        let claim = &self.expectation.claim;
        match self.mode {
            Mode::Fixed => claim.planned_requests().get(),
            Mode::Sequential => claim.sequential_cap().get(),
        }
    }
}

impl Lasting for Cell {
    fn is_of(&self, row: &Row) -> bool {
        row.split == written(self.expectation.shares())
            && row.truth == written(&self.truth)
            && row.setting == self.order.setting()
            && row.method == self.method()
    }

    /// The rate of each verdict, and how often an interval misses the true share.
    fn rates(&self, runs: u64) -> Vec<Row> {
        let Self {
            expectation,
            truth,
            order,
            mode,
        } = self;
        let shares = expectation.shares();
        let seed = seed_of(&format!(
            "dependent {} {} {} {mode:?}",
            written(shares),
            written(truth),
            order.setting()
        ));
        let length = usize::try_from(self.requests()).expect("a planned run fits");
        let streams: Vec<u64> = (0..runs).collect();
        let all = in_parallel(&streams, |&stream| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(stream);
            let labels = order.draw(truth, length, &mut random);
            ended(expectation, &labels, *mode, truth[0])
        });
        let is_right = truth == shares;
        let rate = |part, outcome, of: &dyn Fn(&Ended) -> bool, bound: Option<f64>| {
            let value = all.iter().filter(|run| of(run)).count() as f64 / runs as f64;
            Row {
                part,
                split: written(shares),
                requests: self.requests(),
                setting: order.setting(),
                truth: written(truth),
                method: self.method(),
                outcome,
                value,
                standard_error: Some(standard_error(value, runs)),
                runs: Some(runs),
                bound: bound.filter(|_| order.is_promised()),
            }
        };
        let is = |wanted: Verdict| move |run: &Ended| run.verdict == wanted;
        let promise = |is_error: bool| is_error.then_some(ALPHA);
        vec![
            rate("dependent", "pass", &is(Verdict::Pass), promise(!is_right)),
            rate("dependent", "fail", &is(Verdict::Fail), promise(is_right)),
            rate(
                "dependent",
                "inconclusive",
                &is(Verdict::Inconclusive),
                None,
            ),
            rate("coverage", "missed", &|run| run.missed, Some(MISSED)),
        ]
    }
}

/// How often a 95 % interval may miss.
pub(crate) const MISSED: f64 = 0.05;

/// How a run ends whose answers came from these backends, in dispatch order; `share` is the true one of the first.
pub(crate) fn ended(expectation: &Expectation, labels: &[usize], mode: Mode, share: f64) -> Ended {
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
    Ended::of(&decide(claim, &evidence), share)
}

/// The kinds of dependence that are looked at with any split, and with two backends besides.
const ORDERS: [Order; 11] = [
    Order::Independent,
    Order::Markov(0.1),
    Order::Markov(0.333),
    Order::Bursts(2),
    Order::Bursts(4),
    Order::Bursts(10),
    Order::Bursts(50),
    Order::Bursts(200),
    Order::SameSeed(2),
    Order::SameSeed(4),
    Order::Keys,
];
const MORE_ORDERS: [Order; 3] = [Order::Bursts(20), Order::Turns(100), Order::Turns(1000)];

/// So few requests that a tolerance of 20 points takes: a 60/40 as it should be, and off by that.
#[allow(dead_code, reason = "the tests measure them, and no table shows them")]
pub(crate) fn few_requests() -> Vec<Cell> {
    let expectation = Expectation::within(&[60.0, 40.0], Judge::Equivalence, 0.2);
    let mut truths = expectation.shifted();
    truths.insert(0, expectation.shares().to_vec());
    let orders = [
        Order::Independent,
        Order::Markov(0.333),
        Order::Bursts(2),
        Order::Bursts(4),
        Order::Bursts(10),
    ];
    let cell = |(truth, order): (&Vec<f64>, Order)| Cell {
        expectation: expectation.clone(),
        truth: truth.clone(),
        order,
        mode: Mode::Fixed,
    };
    let each = truths
        .iter()
        .flat_map(|truth| orders.map(|order| (truth, order)));
    each.map(cell).collect()
}

/// All cells: each split as it should be, and off by the tolerance.
pub(crate) fn cells() -> Vec<Cell> {
    let splits = [
        (&[70.0, 30.0][..], &MORE_ORDERS[..]),
        (&[50.0, 30.0, 20.0], &[]),
        (&[40.0, 30.0, 15.0, 10.0, 5.0], &[]),
    ];
    let mut cells = Vec::new();
    for (weights, more) in splits {
        let expectation = Expectation::new(weights);
        let mut truths = vec![expectation.shares().to_vec()];
        truths.extend(expectation.shifted().into_iter().take(1));
        for &order in ORDERS.iter().chain(more) {
            for (truth, mode) in truths
                .iter()
                .flat_map(|truth| [Mode::Fixed, Mode::Sequential].map(|mode| (truth, mode)))
            {
                cells.push(Cell {
                    expectation: expectation.clone(),
                    truth: truth.clone(),
                    order,
                    mode,
                });
            }
        }
    }
    cells
}
