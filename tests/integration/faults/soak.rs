//! Random behaviours from one seed, a hundred kinds of them mixed on the connections of each run.
//!
//! A short form runs with the other tests. The long one, of a million requests and more:
//! `LBTEST_SOAK_REQUESTS=1000000 cargo test --release --locked --test integration -- random_behaviours --nocapture`
//! (and `LBTEST_SOAK_SEED=2` for other ones).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::answers::page;
use super::behaviours::{self, Behaviour, Ends, Protocol, row};
use super::client::{Client, Met};
use super::peer::{self, Peer, Script, Step};
use super::table;

/// Peers that keep a request waiting do so for this long.
const TIMES: [&str; 4] = ["--timeout", "150ms", "--connect-timeout", "500ms"];
/// What no run may take: each of 32 connections may be reading a mebibyte.
const MOST_MEBIBYTES: f64 = 128.0;

/// How the connections of one run are used.
#[derive(Debug, Clone, Copy)]
struct Use {
    name: &'static str,
    protocol: Protocol,
    options: &'static [&'static str],
    /// What part of a run's requests: handshakes take their time.
    part: u64,
}

impl Use {
    /// Whether every request has a connection of its own.
    fn is_fresh(self) -> bool {
        self.options.is_empty()
    }
}

const USES: &[Use] = &[
    Use {
        name: "HTTP/1.1, fresh",
        protocol: Protocol::Http1,
        options: &[],
        part: 1,
    },
    Use {
        name: "HTTP/1.1, kept open",
        protocol: Protocol::Http1,
        options: &["--keep-alive"],
        part: 1,
    },
    Use {
        name: "HTTP/2, fresh",
        protocol: Protocol::Http2,
        options: &[],
        part: 1,
    },
    Use {
        name: "HTTP/1.1 over TLS, fresh",
        protocol: Protocol::Tls,
        options: &[],
        part: 4,
    },
    Use {
        name: "HTTP/1.1, 3 a connection",
        protocol: Protocol::Http1,
        options: &["--requests-per-connection", "3"],
        part: 1,
    },
    Use {
        name: "HTTP/2, 4 streams",
        protocol: Protocol::Http2,
        options: &["--keep-alive", "--streams", "4"],
        part: 1,
    },
    Use {
        name: "HTTP/2 over TLS, fresh",
        protocol: Protocol::TlsHttp2,
        options: &[],
        part: 4,
    },
];

/// A behaviour with the chance that a connection meets it, relative to the others.
struct Candidate {
    behaviour: Behaviour,
    weight: usize,
}

/// What may be met over a protocol: the rows of the table that need no options of their own.
fn candidates(behaviours: &[Behaviour], protocol: Protocol) -> Vec<Candidate> {
    let in_the_clear = match protocol {
        Protocol::Http1 | Protocol::Tls | Protocol::Tcp => Protocol::Http1,
        Protocol::Http2 | Protocol::TlsHttp2 | Protocol::Grpc => Protocol::Http2,
    };
    let security = table::security(protocol);
    let mut candidates: Vec<Candidate> = behaviours
        .iter()
        .filter(|behaviour| [protocol, in_the_clear].contains(&behaviour.protocol))
        .filter(|behaviour| is_judged_alike(behaviour.options))
        .cloned()
        .map(|mut behaviour| {
            if behaviour.protocol != protocol {
                behaviour.security.clone_from(&security);
            }
            let weight = if is_heavy(&behaviour.script) { 1 } else { 20 };
            Candidate { behaviour, weight }
        })
        .collect();
    let good = table::well_behaved(protocol);
    candidates.push(Candidate {
        behaviour: Behaviour {
            security: good.security,
            ..row("well-behaved", Ends::Attributed, good.steps.to_vec())
        },
        weight: 400,
    });
    if in_the_clear == Protocol::Http1 {
        let numbered = Step::SendNumbered(page("challenge-app-1########").into());
        let script = vec![Step::Read, numbered];
        candidates.push(Candidate {
            behaviour: Behaviour {
                security,
                ..row("another pod name each time", Ends::Attributed, script)
            },
            weight: 600,
        });
    }
    candidates
}

/// Whether these options of a row change nothing but times.
fn is_judged_alike(options: &[&str]) -> bool {
    let times = ["--timeout", "--connect-timeout", "400ms", "--keep-alive"];
    options.iter().all(|option| times.contains(option))
}

/// Whether a script keeps a client waiting, or busy.
fn is_heavy(script: &[Step]) -> bool {
    script.iter().any(|step| match step {
        Step::Stall | Step::Repeat(..) | Step::Drip(..) => true,
        Step::Send(bytes) => bytes.len() > 100_000,
        _ => false,
    })
}

/// How a request may end that meets the behaviour, besides too late: on a busy machine what a pause should
/// let the client read may be lost in the reset behind it.
fn endings(behaviour: &Behaviour) -> Vec<&'static str> {
    let mut endings = match behaviour.ends {
        Ends::Attributed => vec!["attributed"],
        Ends::Unidentified(_) => vec!["unidentified"],
        Ends::Failed(kind) => vec![kind],
        Ends::OneOf(kinds) => kinds.to_vec(),
    };
    let breaks_off = |step: &Step| matches!(step, Step::Pause(_) | Step::Reset | Step::Cut);
    if behaviour.script.iter().any(breaks_off) {
        endings.extend(["reset", "body", "protocol"]);
    }
    endings
}

/// How many requests of a run ended in each way.
fn ended(met: &Met) -> BTreeMap<String, u64> {
    let requests = &met.report["requests"];
    let failures = requests["by_failure"].as_object().expect("a table");
    let mut ended: BTreeMap<String, u64> = failures
        .iter()
        .map(|(kind, count)| (kind.clone(), count.as_u64().expect("a count")))
        .collect();
    ended.insert("attributed".to_owned(), met.count("attributed"));
    let failed: u64 = failures
        .values()
        .filter_map(serde_json::Value::as_u64)
        .sum();
    let sent = met.count("sent") + met.count("never_sent");
    ended.insert(
        "unidentified".to_owned(),
        sent - met.count("attributed") - failed,
    );
    ended
}

/// One run of the executable against connections that behave as `seed` says.
fn run(behaviours: &[Behaviour], of: Use, seed: u64, requests: u64) -> Met {
    let candidates = candidates(behaviours, of.protocol);
    let scripts: Vec<Script> = candidates
        .iter()
        .map(|candidate| Script {
            steps: candidate.behaviour.script.clone().into(),
            security: candidate.behaviour.security.clone(),
        })
        .collect();
    let urn: Vec<usize> = candidates
        .iter()
        .enumerate()
        .flat_map(|(script, candidate)| std::iter::repeat_n(script, candidate.weight))
        .collect();
    let rng = RefCell::new(ChaCha8Rng::seed_from_u64(seed));
    let well_behaved = table::well_behaved(of.protocol);
    let first = scripts.len();
    let choose: peer::Choose = Box::new(move |number| {
        // The connection that asks whether anyone listens.
        if number == 0 {
            return (first, well_behaved.clone());
        }
        let script = urn[rng.borrow_mut().random_range(0..urn.len())];
        (script, scripts[script].clone())
    });
    let peer = Peer::start(first + 1, u64::MAX, choose);
    let (url, options) = table::target(&peer, of.protocol);
    let met = Client {
        connections: 32,
        patience: Duration::from_mins(30),
    }
    .gate(&url, requests, &[&options[..], of.options, &TIMES].concat());
    met.adds_up();
    if of.is_fresh() {
        check_fresh(&met, &candidates, peer.met());
    }
    let read: u64 = peer.met().iter().map(peer::Met::requests).sum();
    assert!(met.count("attributed") <= read, "{read} read, {met:#?}");
    met
}

/// Checks that every connection was one request, and that no ending is counted more often than it was met.
fn check_fresh(met: &Met, candidates: &[Candidate], scripts: &[peer::Met]) {
    let mut most: BTreeMap<&str, u64> = BTreeMap::new();
    let mut connections = 0;
    for (candidate, script) in candidates.iter().zip(scripts) {
        connections += script.connections();
        for ending in endings(&candidate.behaviour) {
            *most.entry(ending).or_default() += script.connections();
        }
    }
    let sent = met.count("sent") + met.count("never_sent");
    assert_eq!(sent, connections, "{met:#?}");
    for (ending, count) in ended(met) {
        let most = most.get(ending.as_str()).copied().unwrap_or(0);
        let may_be_late = ["timeout", "tls", "connect"].contains(&ending.as_str());
        assert!(count <= most || may_be_late, "{ending}: {most}, {met:#?}");
    }
}

/// A number that the environment gives.
fn given(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect("a number"))
}

#[test]
#[expect(clippy::print_stdout, reason = "the sums are a result")]
fn random_behaviours_lose_no_request() {
    let (requests, seed) = (
        given("LBTEST_SOAK_REQUESTS", 20_000),
        given("LBTEST_SOAK_SEED", 1),
    );
    let in_a_run = (requests / 16).clamp(500, 50_000);
    let behaviours = behaviours::all();
    let began = Instant::now();
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let (mut sent, mut peak) = (0, 0.0_f64);
    for (seed, &of) in (seed << 32..).zip(USES.iter().cycle()) {
        let met = run(&behaviours, of, seed, in_a_run / of.part);
        let mebibytes = met.peak_kib as f64 / 1024.0;
        let ended = ended(&met);
        let of_run: u64 = ended.values().sum();
        println!(
            "{:<26} {of_run:>8} requests {:>7.2} s {mebibytes:>6.1} MiB {ended:?}",
            of.name,
            met.elapsed.as_secs_f64()
        );
        assert!(mebibytes <= MOST_MEBIBYTES, "{mebibytes} MiB: {met:#?}");
        peak = peak.max(mebibytes);
        sent += of_run;
        for (ending, count) in ended {
            *sums.entry(ending).or_default() += count;
        }
        if sent >= requests {
            break;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{sent} requests, {seconds:.1} s, {peak:.1} MiB at most: {sums:?}");
    assert_eq!(sums.values().sum::<u64>(), sent);
}
