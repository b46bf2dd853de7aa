//! The verdict on access logs whose clients keep to a backend, or do not.

use std::fmt::Write as _;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use lbtest::parts::{Filter, Format, Log, Mappings, VerdictName, judge_evidence};

use super::outcomes::in_parallel;
use super::row::{Lasting, Row, standard_error};
use super::{ALPHA, Expectation, drawn, seed_of, written};

/// What is promised where requests are gathered by client, as for connections of several requests.
const PROMISE: f64 = 2.0 * ALPHA;

/// A log: its clients, its lines, the true shares, and whether each client keeps to one backend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    clients: usize,
    lines: usize,
    truth: [f64; 2],
    is_sticky: bool,
}

pub(crate) const KINDS: [Kind; 5] = [
    kind(4500, 9000, 0.7, true),
    kind(4500, 9000, 0.65, true),
    kind(50, 1000, 0.7, true),
    kind(50, 8000, 0.7, false),
    kind(50, 8000, 0.65, false),
];

const fn kind(clients: usize, lines: usize, first: f64, is_sticky: bool) -> Kind {
    Kind {
        clients,
        lines,
        truth: [first, 1.0 - first],
        is_sticky,
    }
}

impl Kind {
    fn setting(&self) -> String {
        let stickiness = if self.is_sticky { " sticky" } else { "" };
        format!("{}{stickiness} clients", self.clients)
    }
}

impl Lasting for Kind {
    fn is_of(&self, row: &Row) -> bool {
        row.part == "clients"
            && row.requests == self.lines as u64
            && row.setting == self.setting()
            && row.truth == written(&self.truth)
    }

    fn rates(&self, runs: u64) -> Vec<Row> {
        rates(self, runs)
    }
}

/// How an expected 70/30 is judged by a kind of log, in so many logs that are drawn from seeds, written and read as a
/// whole: by client, and as if each line were a draw of its own.
fn rates(kind: &Kind, runs: u64) -> Vec<Row> {
    let expectation = Expectation::new(&[70.0, 30.0]);
    let setting = kind.setting();
    let truth = written(&kind.truth);
    let seed = seed_of(&format!("clients {setting} {} {truth}", kind.lines));
    let streams: Vec<u64> = (0..runs).collect();
    let methods = ["lbtest", "independent"];
    let ended = in_parallel(&streams, |&stream| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        let text = kind.written(&mut random);
        methods.map(|method| verdict(&expectation, &text, method == "independent"))
    });
    let is_right = truth == written(expectation.shares());
    let wrong = if is_right { "fail" } else { "pass" };
    let mut rows = Vec::new();
    for (place, method) in methods.into_iter().enumerate() {
        for outcome in ["pass", "fail", "inconclusive"] {
            let count = ended.iter().filter(|run| run[place] == outcome).count();
            let value = count as f64 / runs as f64;
            rows.push(Row {
                part: "clients",
                split: written(expectation.shares()),
                requests: kind.lines as u64,
                setting: setting.clone(),
                truth: truth.clone(),
                method,
                outcome,
                value,
                standard_error: Some(standard_error(value, runs)),
                runs: Some(runs),
                bound: (outcome == wrong).then_some(PROMISE),
            });
        }
    }
    rows
}

impl Kind {
    /// A log of this kind, some of whose clients ask far more often than others.
    fn written(&self, random: &mut ChaCha8Rng) -> String {
        let homes: Vec<usize> = (0..self.clients)
            .map(|_| drawn(&self.truth, random.random()))
            .collect();
        let mut text = String::new();
        for _ in 0..self.lines {
            let [one, other] = [(); 2].map(|()| random.random_range(0..self.clients));
            let client = one.min(other);
            let backend = if self.is_sticky {
                homes[client]
            } else {
                drawn(&self.truth, random.random())
            };
            let _ = writeln!(
                text,
                "10.0.{}.{} v{}",
                client / 256,
                client % 256,
                backend + 1
            );
        }
        text
    }
}

/// What `analyze --format` says of a log, with or without `--independent`.
fn verdict(expectation: &Expectation, text: &str, is_independent: bool) -> &'static str {
    let log = Log {
        format: Format::parse("$remote_addr $upstream_addr", None).expect("it is a format"),
        filter: Filter::default(),
        is_independent,
    };
    let claim = &expectation.claim;
    let mappings = Mappings::parse(claim.split.labels(), &[]).expect("there are none");
    let read = log
        .read(text.as_bytes(), mappings)
        .expect("a text can be read");
    match judge_evidence(claim, &read.evidence).verdict {
        VerdictName::Pass => "pass",
        VerdictName::Fail => "fail",
        _ => "inconclusive",
    }
}
