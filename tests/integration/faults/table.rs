//! The table of behaviours.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio_rustls::rustls::ServerConfig;

use super::behaviours::{self, Behaviour, Ends, Protocol};
use super::client::{self, Met};
use super::peer::{Peer, Script, Step};
use super::security::{self, Certificate};
use super::whole_runs::{self, Checked};
use super::{answers, http2, tcp};

/// Requests that are to be attributed in each row.
const REQUESTS: u64 = 30;
/// What no row may take, of which the unoptimised executable takes a third when nothing happens.
const MOST_MEBIBYTES: f64 = 64.0;

/// A peer that does nothing wrong.
pub(crate) fn well_behaved(protocol: Protocol) -> Script {
    let steps = match protocol {
        Protocol::Http1 | Protocol::Tls => answers::well_behaved(),
        Protocol::Http2 | Protocol::TlsHttp2 => http2::well_behaved(),
        Protocol::Tcp => tcp::well_behaved(),
        Protocol::Grpc => http2::grpc::well_behaved(),
    };
    Script {
        steps: steps.into(),
        security: security(protocol),
    }
}

/// What secures the connections of a peer that does nothing wrong.
pub(crate) fn security(protocol: Protocol) -> Option<Arc<ServerConfig>> {
    match protocol {
        Protocol::Http1 | Protocol::Http2 | Protocol::Tcp | Protocol::Grpc => None,
        Protocol::Tls => Some(security::server(Certificate::Good, &["http/1.1"])),
        Protocol::TlsHttp2 => Some(security::server(Certificate::Good, &["h2"])),
    }
}

/// The peer's URL, and the options of a client that speaks the protocol with it.
pub(crate) fn target(peer: &Peer, protocol: Protocol) -> (String, Vec<&'static str>) {
    let authority = security::authority().to_str().expect("a path in UTF-8");
    match protocol {
        Protocol::Http1 => (peer.url(), vec![]),
        Protocol::Grpc => (
            peer.url(),
            vec!["--grpc", "shop.Cart/Get", "--identify", "field:3.1"],
        ),
        Protocol::Http2 => (peer.url(), vec!["--http2"]),
        Protocol::Tcp => (
            format!("tcp://{}", peer.address),
            vec!["--send", r"hello\r\n\r\n"],
        ),
        Protocol::Tls => (peer.secure_url(), vec!["--cacert", authority]),
        Protocol::TlsHttp2 => (peer.secure_url(), vec!["--http2", "--cacert", authority]),
    }
}

/// The behaviour is on every other connection; or on all, where they are kept open.
fn against(behaviour: &Behaviour) -> (Peer, Met) {
    let scripts = [
        well_behaved(behaviour.protocol),
        Script {
            steps: behaviour.script.clone().into(),
            security: behaviour.security.clone(),
        },
    ];
    let everywhere = behaviour.is_kept_open();
    let peer = Peer::start(
        2,
        u64::MAX,
        Box::new(move |number| {
            let script = usize::from(everywhere || number % 2 == 1);
            (script, scripts[script].clone())
        }),
    );
    let requests = if behaviour.name.contains("1000") {
        2500
    } else {
        REQUESTS
    };
    let (url, options) = target(&peer, behaviour.protocol);
    let met = client::gate(&url, requests, &[&options, behaviour.options].concat());
    (peer, met)
}

/// Checks one row.
fn check(behaviour: &Behaviour) -> Checked {
    let (peer, met) = against(behaviour);
    met.adds_up();
    let [well, ill] = peer.met() else {
        panic!("two scripts")
    };
    let fails_in_the_dial = behaviour.ends == Ends::Failed("tls");
    // Where the peer waits for a request, one that never came is none; where it doesn't, it has one.
    let ill = match behaviour.script.first() {
        Some(Step::Read | Step::ReadStream(_)) if !fails_in_the_dial => ill.requests(),
        _ => ill.connections(),
    };
    let describe = || format!("{}: {ill} ill, {well:?}, {met:#?}", behaviour.name);
    assert!(ill > 0, "{}", describe());
    // A dial that the peer resets at once has met it too, though nothing was sent.
    let sent = met.count("sent") + met.count("never_sent");
    let lost = sent - met.count("attributed");
    let outcome = match behaviour.ends {
        Ends::Attributed if behaviour.is_kept_open() => {
            let reset = met.by("by_failure", "reset");
            assert_eq!((sent, lost), (ill + reset, reset), "{}", describe());
            "attributed".to_owned()
        }
        Ends::Attributed => {
            assert_eq!((lost, met.status), (0, 0), "{}", describe());
            "attributed".to_owned()
        }
        Ends::Unidentified(status) => {
            assert_eq!(
                met.by("unidentified_by_status", status),
                ill,
                "{}",
                describe()
            );
            format!("{status} without identity")
        }
        Ends::Failed("timeout") => {
            assert!(met.by("by_failure", "timeout") >= ill, "{}", describe());
            "timeout".to_owned()
        }
        Ends::Failed(kind) => {
            assert_eq!(met.by("by_failure", kind), ill, "{}", describe());
            kind.to_owned()
        }
        Ends::OneOf(kinds) => {
            let counts = kinds.iter().map(|kind| met.by("by_failure", kind));
            assert!(counts.sum::<u64>() >= ill, "{}", describe());
            kinds.join(" or ")
        }
    };
    // Whatever the machine is busy with, what the peer took is what the client counts.
    let taken = ill + well.requests();
    if behaviour.ends != Ends::Attributed {
        assert_eq!(sent, taken, "{}", describe());
    }
    assert!(
        !met.report.to_string().contains("intruder"),
        "{}",
        describe()
    );
    (outcome, met)
}

/// Checks the bounds that every row keeps, and describes the row.
fn describe(name: &str, (outcome, met): Checked) -> String {
    let sent = met.count("sent") + met.count("never_sent");
    let lost = sent - met.count("attributed");
    let (seconds, peak) = (met.elapsed.as_secs_f64(), met.peak_kib as f64 / 1024.0);
    let row = format!("{name:<44} {outcome:<24} {sent:>7} {lost:>7} {seconds:>6.2} {peak:>6.1}");
    assert!(peak <= MOST_MEBIBYTES, "{row}");
    row
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is a result")]
fn every_behaviour_ends_as_it_should() {
    let behaviours = behaviours::all();
    let names = behaviours.iter().map(|behaviour| behaviour.name);
    let names: Vec<&str> = names
        .chain(whole_runs::ALL.iter().map(|&(name, _)| name))
        .collect();
    let row = |place: usize| {
        let checked = match behaviours.get(place) {
            Some(behaviour) => check(behaviour),
            None => whole_runs::ALL[place - behaviours.len()].1(),
        };
        describe(names[place], checked)
    };
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::SeqCst);
                    if place >= names.len() {
                        return;
                    }
                    // The others are still to be seen when one fails.
                    let row = catch_unwind(AssertUnwindSafe(|| row(place))).ok();
                    rows.lock().unwrap().insert(place, row);
                }
            });
        }
    });
    let mut table = format!(
        "{:<44} {:<24} {:>7} {:>7} {:>6} {:>6}\n",
        "behaviour", "outcome", "sent", "lost", "s", "MiB"
    );
    let rows = rows.into_inner().unwrap();
    for (place, row) in &rows {
        let failed = || format!("{:<44} FAILED", names[*place]);
        table += &(row.clone().unwrap_or_else(failed) + "\n");
    }
    print!("{table}");
    assert!(rows.len() >= 40, "{} rows", rows.len());
    assert!(rows.values().all(Option::is_some), "{table}");
}
