//! Our HTTP/1.1 client beside hyper's: the same bytes in the same pieces to both, and the same comes of them:
//! the kind of outcome, status, body, and whether the connection takes another request.
//!
//! A share runs with the other tests; a million cases and more, of another seed, by
//! `LBTEST_DIFFERENTIAL_CASES=1000000 LBTEST_DIFFERENTIAL_SEED=2 cargo test --release --locked --test integration -- differential --nocapture`.

mod clients;
mod grammar;
mod script;

use std::collections::BTreeMap;

use http::Method;
use lbtest::parts::{Broken, ChunksError, HeadError, Lender};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use self::clients::{Case, Course, Ended, hypers, ours};
use self::script::{Piece, Turns};
use crate::faults::behaviours;
use crate::faults::peer::Step;

/// A flood is as long as it takes to be more than any bound.
const FLOOD: usize = 2 << 20;

/// What became of a case.
struct Compared {
    ended: Vec<Ended>,
    /// Why ours ended otherwise than hyper's, if it did.
    difference: Option<&'static str>,
}

/// Where ours may differ: it refuses what hyper lets pass. The reason, or none for a difference that must not be.
fn justified(case: &Case, ours: &Course, hypers: &Course) -> Option<&'static str> {
    if let [.., Ended::Answered { status: 204, .. }, Ended::Unsent] = ours.ended[..]
        && case.method == Method::CONNECT
    {
        // Behind any 2xx to a CONNECT is the tunnel (RFC 9110 §9.3.6).
        return Some("204 to a CONNECT");
    }
    match ours.broken.as_ref()? {
        // Whoever stands between client and backend may have read it in the other way.
        Broken::Head(HeadError::Framing(_)) => Some("ambiguous length"),
        // What is no head whatever follows is refused with the first read, which is longer than hyper's; it waits.
        Broken::Head(HeadError::Syntax(_)) if hypers.ended.last() == Some(&Ended::Stalled) => {
            Some("broken before its end")
        }
        // hyper's bound is the size that its buffer happens to have.
        Broken::LongHead => Some("head beyond 128 KiB"),
        // hyper stops at a blank line within, and leaves what follows unread.
        Broken::Chunks(ChunksError::Syntax) => Some("trailers behind a blank line"),
        _ => None,
    }
}

/// Plays a case to both, which must end alike or differ for a reason.
fn compare(case: &Case, lender: &Lender) -> Compared {
    let (ours, hypers) = (ours(case, lender), hypers(case));
    if ours.ended == hypers.ended {
        let is_old = hypers.written.windows(8).any(|part| part == b"HTTP/1.0");
        // Having met HTTP/1.0, hyper goes on in it; ours says what it said before.
        assert!(is_old || ours.written == hypers.written, "{case:?}");
        return Compared {
            ended: ours.ended,
            difference: None,
        };
    }
    // Up to the refusal they agree.
    let (refusal, before) = ours.ended.split_last().expect("an exchange");
    assert_eq!(Some(before), hypers.ended.get(..before.len()), "{case:?}");
    let reason = justified(case, &ours, &hypers);
    assert!(
        reason.is_some(),
        "{refusal:?} {:?} {hypers:?}\n{case:?}",
        ours.broken
    );
    Compared {
        ended: ours.ended,
        difference: reason,
    }
}

/// A number that the environment gives.
fn given(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect("a number"))
}

#[test]
#[expect(clippy::print_stdout, reason = "the counts are a result")]
fn responses_of_a_grammar_and_their_mutations_end_alike() {
    let cases = given("LBTEST_DIFFERENTIAL_CASES", 20_000);
    let seed = given("LBTEST_DIFFERENTIAL_SEED", 1);
    let lender = Lender::default();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rows = rows();
    let mut endings: BTreeMap<String, u64> = BTreeMap::new();
    let mut differences: BTreeMap<&str, u64> = BTreeMap::new();
    for number in 0..cases {
        let case = if number % 4 == 0 {
            let (_, row) = &rows[rng.random_range(0..rows.len())];
            mutated(row, &mut rng)
        } else {
            grammar::case(&mut rng)
        };
        let compared = compare(&case, &lender);
        for ended in compared.ended {
            *endings.entry(ended.name()).or_default() += 1;
        }
        if let Some(reason) = compared.difference {
            *differences.entry(reason).or_default() += 1;
        }
    }
    println!("{cases} cases of seed {seed}: {endings:?}");
    println!("differences: {differences:?}");
    // Neither the right nor the wrong is rare.
    assert_eq!(endings.len(), 7, "{endings:?}");
    assert!(
        endings.values().all(|&count| count > cases / 1000),
        "{endings:?}"
    );
}

#[test]
fn every_row_of_the_table_ends_alike() {
    let lender = Lender::default();
    let rows = rows();
    assert!(rows.len() > 80, "{} rows", rows.len());
    let mut different = vec![];
    for (name, case) in rows {
        if compare(&case, &lender).difference.is_some() {
            different.push(name);
        }
    }
    let ambiguous = [
        "Content-Length twice, the same",
        "Content-Length and chunks",
    ];
    assert_eq!(different, ambiguous);
}

/// The rows of the table of hostile peers over HTTP/1.1 in the clear.
fn rows() -> Vec<(&'static str, Case)> {
    let rows = behaviours::all().into_iter().filter_map(|row| {
        let case = Case {
            turns: turns(&row.script)?,
            method: Method::GET,
            limit: 1 << 20,
        };
        Some((row.name, case))
    });
    rows.collect()
}

/// What a script comes to on a stream in memory; `None` where it is about TLS or HTTP/2.
fn turns(script: &[Step]) -> Option<Turns> {
    let mut turns = vec![vec![]];
    let steps = script.iter().cycle();
    for (place, step) in steps.take(8 * script.len()).enumerate() {
        let begun = turns.len();
        let pieces = turns.last_mut()?;
        match step {
            Step::Read if begun > clients::EXCHANGES => return Some(turns),
            Step::Read => turns.push(vec![]),
            Step::Send(bytes) => pieces.push(Piece::Bytes(bytes.clone())),
            Step::Repeat(bytes, times) => {
                let most = u64::try_from(FLOOD / bytes.len()).ok()?;
                let times = usize::try_from(most.min(*times)).ok()?;
                pieces.extend(std::iter::repeat_n(Piece::Bytes(bytes.clone()), times));
            }
            Step::Drip(bytes, _) => {
                for at in 0..bytes.len() {
                    pieces.extend([Piece::Wait, Piece::Bytes(bytes.slice(at..=at))]);
                }
            }
            Step::Pause(_) => pieces.push(Piece::Wait),
            Step::Stall => return Some(turns),
            Step::HalfClose | Step::Cut => pieces.push(Piece::Close),
            Step::Reset => {
                pieces.push(Piece::Reset);
                return Some(turns);
            }
            Step::Again => {}
            Step::ReadStream(_) | Step::Raw(_) | Step::Handshake(..) | Step::SendNumbered(_) => {
                return None;
            }
        }
        if place + 1 == script.len() && !matches!(step, Step::Again) {
            turns.last_mut()?.push(Piece::Close);
            return Some(turns);
        }
    }
    Some(turns)
}

/// A row with a few bytes changed, and other pieces.
fn mutated(row: &Case, rng: &mut ChaCha8Rng) -> Case {
    let mut case = row.clone();
    for pieces in &mut case.turns {
        let total: usize = pieces.iter().map(length).sum();
        if total > 20_000 && rng.random_range(0..50) != 0 {
            pieces.truncate(3);
        }
        let mut changed = vec![];
        for piece in pieces.drain(..) {
            match piece {
                Piece::Bytes(bytes) if bytes.len() < 20_000 => {
                    let mut bytes = bytes.to_vec();
                    if rng.random_range(0..3) == 0 {
                        grammar::mutate(rng, &mut bytes);
                    }
                    changed.extend(grammar::cut(rng, &bytes));
                }
                other => changed.push(other),
            }
        }
        *pieces = changed;
    }
    case
}

fn length(piece: &Piece) -> usize {
    match piece {
        Piece::Bytes(bytes) => bytes.len(),
        Piece::Wait | Piece::Close | Piece::Reset => 0,
    }
}
