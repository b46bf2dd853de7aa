//! Peers whose hostility shows over a whole run: no connection can tell it alone.

use std::net::TcpListener;

use super::answers::{POD, body, page, page_with, response, send, well_behaved};
use super::client::{self, Met};
use super::http2;
use super::peer::{Peer, Script, Step};
use crate::program::codes;

/// What a row's check gives: the outcome in words, and the run.
pub(crate) type Checked = (String, Met);

/// A row's name and its check.
type Row = (&'static str, fn() -> Checked);

pub(crate) const ALL: &[Row] = &[
    ("refuses", refuses),
    ("vanishes in mid-run", vanishes),
    ("HTTP/1.1 alone, asked for HTTP/2", || {
        other_protocol(well_behaved(), &["--http2"], "drop --http2")
    }),
    ("HTTP/2 alone, asked for HTTP/1.1", || {
        other_protocol(http2::well_behaved(), &[], "add --http2")
    }),
    ("another pod name each time", many_pods),
    ("another workload each time", many_workloads),
    ("pod names that reorder text", names_that_reorder),
    ("bodies of nothing but escape bytes", bodies_of_escapes),
    ("redirects to what is not UTF-8", odd_redirects),
    ("GOAWAY with streams in flight", || {
        goes_away(http2::going_away())
    }),
    ("GOAWAY before the answer, with streams in flight", || {
        goes_away(http2::going_away_first())
    }),
    ("GOAWAY with streams held back", || {
        goes_away(http2::going_away_with_others_held_back())
    }),
    ("GOAWAY with 15 KiB of words", says_much),
    ("429, again after an age", || limits("99999999999999999999")),
    ("429, again after what is no number", || {
        limits("\t-1, soon")
    }),
    ("429, again after half a minute", || limits("30")),
];

/// The same on every connection, of which so many are accepted.
fn peer(script: Vec<Step>, accepted: u64) -> Peer {
    let script: Script = script.into();
    Peer::start(1, accepted, Box::new(move |_| (0, script.clone())))
}

/// Whether anything in what a person sees could act on a terminal.
fn acts_on_a_terminal(text: &str) -> bool {
    text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}')
}

fn refuses() -> Checked {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let met = client::gate(&url, 30, &[]);
    assert_eq!((met.status, codes(&met.report)), (4, vec!["unreachable"]));
    ("unreachable".to_owned(), met)
}

fn vanishes() -> Checked {
    let peer = peer(well_behaved(), 50);
    let met = client::gate(&peer.url(), 200, &[]);
    met.adds_up();
    assert_eq!(met.count("attributed"), peer.met()[0].requests(), "{met:?}");
    assert!(met.count("never_sent") > 0, "{met:?}");
    assert_eq!(met.status, 3, "{met:?}");
    ("connect".to_owned(), met)
}

/// The two sides do not understand each other, and the remedy is said.
fn other_protocol(script: Vec<Step>, options: &[&str], remedy: &str) -> Checked {
    let peer = peer(script, u64::MAX);
    let met = client::gate(&peer.url(), 30, options);
    met.adds_up();
    assert_eq!((met.status, met.count("attributed")), (4, 0), "{met:?}");
    assert!(met.stderr.contains(remedy), "{}", met.stderr);
    ("reset or protocol".to_owned(), met)
}

/// 30,000 names that are told apart up to a bound, and counted all.
fn many(name: &str) -> Met {
    let script = vec![
        Step::Read,
        Step::SendNumbered(page(name).into()),
        Step::Again,
    ];
    let peer = peer(script, u64::MAX);
    let met = client::gate(&peer.url(), 30_000, &["--keep-alive"]);
    met.adds_up();
    assert_eq!(met.count("attributed"), 30_000, "{}", met.stderr);
    assert_eq!(peer.met()[0].requests(), 30_000);
    let told_apart = met.report["pods"].as_array().unwrap().len();
    assert!((10_000..11_000).contains(&told_apart), "{told_apart}");
    assert!(met.stderr.lines().count() < 100, "{}", met.stderr);
    met
}

fn many_pods() -> Checked {
    let met = many("challenge-app-1########");
    assert_eq!(met.status, 0, "{}", met.stderr);
    ("attributed".to_owned(), met)
}

fn many_workloads() -> Checked {
    let met = many("x########y");
    // None of them is the workload that --backend names.
    assert_eq!(met.status, 1, "{}", met.stderr);
    ("attributed, of no backend".to_owned(), met)
}

fn names_that_reorder() -> Checked {
    let script = vec![Step::Read, send(response("", body("web\u{202e}0-ppa")))];
    let peer = peer(script, u64::MAX);
    let met = client::gate(&peer.url(), 30, &["--identify", "Pod Name: (.*?)</p>"]);
    met.adds_up();
    assert_eq!(met.count("attributed"), 30, "{met:?}");
    assert!(met.stderr.contains("web\\u{202e}0-ppa"), "{}", met.stderr);
    assert!(!acts_on_a_terminal(&met.stderr), "{}", met.stderr);
    ("attributed".to_owned(), met)
}

fn nothing_identified(answer: impl AsRef<[u8]>) -> Met {
    let peer = peer(vec![Step::Read, send(answer)], u64::MAX);
    let met = client::gate(&peer.url(), 30, &[]);
    met.adds_up();
    assert_eq!((met.status, met.count("attributed")), (4, 0), "{met:?}");
    assert_eq!(met.count("sent"), peer.met()[0].requests(), "{met:?}");
    assert!(!acts_on_a_terminal(&met.stderr), "{}", met.stderr);
    met
}

fn bodies_of_escapes() -> Checked {
    let escapes = "\u{1b}[2J\u{1b}]0;title\u{7}\0\u{9b}31m\u{202e}".repeat(20);
    let met = nothing_identified(response("", escapes));
    assert!(met.stderr.contains("\\u{1b}[2J"), "{}", met.stderr);
    ("200 without identity".to_owned(), met)
}

fn odd_redirects() -> Checked {
    let location = b"Location: https://\xff\xfe/\xc2\x9b31m\r\n";
    let page = page(POD).replacen("200 OK", "308 Permanent Redirect", 1);
    let page = page.replace(&body(POD), &"x".repeat(body(POD).len()));
    let (status, rest) = page.split_at(page.find("\r\n").unwrap() + 2);
    let met = nothing_identified([status.as_bytes(), location, rest.as_bytes()].concat());
    ("308 without identity".to_owned(), met)
}

/// Whoever was not looked at asks again, and is answered.
fn goes_away(script: Vec<Step>) -> Checked {
    let peer = peer(script, u64::MAX);
    let options = ["--http2", "--keep-alive", "--streams", "4"];
    let met = client::gate(&peer.url(), 300, &options);
    met.adds_up();
    assert_eq!(met.count("attributed"), 300, "{met:?}");
    assert_eq!(met.count("unattributed"), 0, "{met:?}");
    let reopened = met.report["connections"]["reopened"].as_u64();
    assert!(reopened > Some(50), "{met:?}");
    ("attributed".to_owned(), met)
}

/// What it says is cut once, and nowhere longer than a sentence.
fn says_much() -> Checked {
    let peer = peer(http2::going_away_at_length(), u64::MAX);
    let met = client::gate(&peer.url(), 30, &["--http2"]);
    met.adds_up();
    assert_eq!(met.count("attributed"), 0, "{met:?}");
    let message = met.report.to_string();
    assert!(
        message.contains("yyy") && !message.contains(&"y".repeat(1000)),
        "{met:?}"
    );
    ("reset".to_owned(), met)
}

/// Every response is a rejection: the run ends when its time does, whatever it is told to wait.
fn limits(retry_after: &str) -> Checked {
    let rejected = page_with(&format!("Retry-After: {retry_after}\r\n"));
    let rejected = rejected.replacen("200 OK", "429 Too Many Requests", 1);
    let peer = peer(vec![Step::Read, send(rejected)], u64::MAX);
    let met = client::gate(&peer.url(), 200, &["--max-duration", "2s"]);
    met.adds_up();
    assert_eq!(met.count("sent"), peer.met()[0].requests(), "{met:?}");
    ("429".to_owned(), met)
}
