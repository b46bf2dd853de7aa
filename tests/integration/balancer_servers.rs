//! Real balancers before five equal pods: the verdict, and what their algorithm is called. The table of
//! docs/how-to/evenness.md is made here, by `UPDATE_DOCS=1 cargo test --test integration balancer_servers`.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{PATIENCE, codes, findings, lbtest};
use crate::servers::Server;

/// How a balancer chooses, as far as its answers can show it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Algorithm {
    InTurn,
    ByLoad,
    ByChance,
    ByKey,
}

/// A server, what its launcher calls the algorithm, and what the table calls it.
type Balancer = (&'static str, &'static str, &'static str, Algorithm);

const BALANCERS: [Balancer; 11] = [
    ("nginx", "smooth", "nginx, round robin", Algorithm::InTurn),
    (
        "nginx",
        "least_conn",
        "nginx, `least_conn`",
        Algorithm::ByLoad,
    ),
    (
        "nginx",
        "random-two",
        "nginx, `random two`",
        Algorithm::ByLoad,
    ),
    (
        "nginx",
        "hash",
        "nginx, `hash $remote_addr`",
        Algorithm::ByKey,
    ),
    (
        "haproxy",
        "roundrobin",
        "HAProxy, `roundrobin`",
        Algorithm::InTurn,
    ),
    (
        "haproxy",
        "leastconn",
        "HAProxy, `leastconn`",
        Algorithm::ByLoad,
    ),
    ("haproxy", "source", "HAProxy, `source`", Algorithm::ByKey),
    (
        "envoy",
        "ROUND_ROBIN",
        "Envoy, `ROUND_ROBIN`",
        Algorithm::InTurn,
    ),
    (
        "envoy",
        "LEAST_REQUEST",
        "Envoy, `LEAST_REQUEST`",
        Algorithm::ByLoad,
    ),
    ("envoy", "RANDOM", "Envoy, `RANDOM`", Algorithm::ByChance),
    (
        "envoy",
        "RING_HASH",
        "Envoy, `RING_HASH` by a header",
        Algorithm::ByKey,
    ),
];

const PAGE: &str = "docs/how-to/evenness.md";
/// Servers are asked by tests of their own, and write the same page.
static WRITING: Mutex<()> = Mutex::new(());

impl Algorithm {
    /// Whether `cell`, a verdict and the code of a note, is right. Over kept connections few of them may leave the
    /// verdict open; a pod that is slow for a while may be taken for a change.
    fn allows(self, cell: &str, kept: bool) -> bool {
        let verdicts: &[&str] = match (self, kept) {
            (Self::ByKey, _) => &["FAIL"],
            (Self::InTurn, false) => &["PASS"],
            // On a busy machine a pod that is slow for a while truly gets less than its share.
            (Self::ByLoad, _) => &["PASS", "FAIL", "INCONCLUSIVE"],
            _ => &["PASS", "INCONCLUSIVE"],
        };
        let name = match self {
            Self::InTurn => "`balancer_round_robin`",
            Self::ByLoad => "`balancer_least_request`",
            Self::ByChance => "`balancer_random`",
            Self::ByKey => "`balancer_hash`",
        };
        let is_named = cell.ends_with(name) || cell.ends_with("`balancer_unknown`");
        verdicts.iter().any(|verdict| cell.starts_with(verdict)) && is_named
    }
}

/// The report of whether `server` balances five pods equally.
fn asked(server: &Server, more: &[&str]) -> Value {
    let options = [
        server.url(),
        "--host",
        server.value("host"),
        "--expect-even=5",
        "-c",
        "10",
        "--timeout",
        "60s",
        "--connect-timeout",
        "60s",
        "-H",
        "X-Key: one",
        "--json",
        "-",
    ];
    lbtest(&[&options[..], more].concat()).json()
}

/// `PASS, balancer_round_robin`, with the reason where a verdict is open.
fn cell(server: &Server, kept: bool) -> String {
    let kept: &[&str] = if kept { &["--keep-alive"] } else { &[] };
    let report = asked(server, kept);
    // More than these, such as a lone 500 of a busy server, would leave the verdict open.
    let unattributed = report["requests"]["unattributed"].as_u64();
    assert!(unattributed.is_some_and(|count| count <= 50), "{report:#}");
    let verdict = report["verdict"].as_str().unwrap().to_uppercase();
    let reason = match &*verdict {
        "INCONCLUSIVE" => format!(" (`{}`)", codes(&report)[0]),
        _ => String::new(),
    };
    let found = findings(&report);
    let codes = found.iter().filter_map(|finding| finding["code"].as_str());
    let mut notes = codes.filter(|code| code.starts_with("balancer_"));
    let note = notes.next().unwrap_or_else(|| panic!("{report:#}"));
    format!("{verdict}{reason}, `{note}`")
}

/// Asks every balancer of a server, and compares its rows of the table with what is right, or writes them.
fn ask(server: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    for (kind, algorithm, name, way) in BALANCERS {
        if kind != server {
            continue;
        }
        let weights = "v1=1,v2=1,v3=1,v4=1,v5=1";
        let server = Server::start(&[kind, "--weights", weights, "--balance", algorithm]);
        let cells = [false, true].map(|kept| {
            let cell = cell(&server, kept);
            assert!(way.allows(&cell, kept), "{name}, kept {kept}: {cell}");
            cell
        });
        let writing = WRITING.lock().unwrap();
        let text = fs::read_to_string(&page).unwrap();
        let begin = format!("| {name} | ");
        let old = text.lines().find(|line| line.starts_with(&begin));
        let old = old.unwrap_or_else(|| panic!("{PAGE} has no row of {name}"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let new = format!("{begin}{} |", cells.join(" | "));
            fs::write(&page, text.replacen(old, &new, 1)).unwrap();
        } else {
            let parts: Vec<&str> = old.split(" | ").skip(1).collect();
            for (parts, kept) in parts.iter().zip([false, true]) {
                assert!(
                    way.allows(parts.trim_end_matches(" |"), kept),
                    "{PAGE}: {old}"
                );
            }
        }
        drop(writing);
    }
}

/// Sends nginx, which balances five pods, a configuration while lbtest asks it: without the last pod or with all again.
fn reloaded(server: &Server, has_last: bool) -> Value {
    let folder = Path::new(server.value("directory"));
    let configuration = folder.join("nginx.conf");
    let whole = folder.join("whole.conf");
    if !whole.exists() {
        fs::copy(&configuration, &whole).unwrap();
    }
    let text = fs::read_to_string(&whole).unwrap();
    let last = format!(
        "server 127.0.0.1:{} weight=1; ",
        server.about["ports"]["v5"]
    );
    assert!(text.contains(&last), "{text}");
    let log = server.about["access_logs"]["nginx"]
        .as_str()
        .unwrap()
        .to_owned();
    let lines = move || fs::read_to_string(&log).unwrap().lines().count();
    let before = lines();
    let pid = server.about["pids"]["nginx"].to_string();
    let reload = std::thread::spawn(move || {
        let began = Instant::now();
        while lines() < before + 2000 {
            assert!(began.elapsed() < PATIENCE, "nginx logged no 2000 requests");
            std::thread::sleep(Duration::from_millis(5));
        }
        let text = if has_last {
            text
        } else {
            text.replace(&last, "")
        };
        fs::write(&configuration, text).unwrap();
        let status = std::process::Command::new("kill")
            .args(["-HUP", &pid])
            .status();
        assert!(status.unwrap().success());
    });
    let report = asked(server, &[]);
    reload.join().unwrap();
    report
}

#[test]
fn a_pod_that_nginx_drops_or_adds_on_a_reload_is_named_and_decides_nothing() {
    let weights = "v1=1,v2=1,v3=1,v4=1,v5=1";
    let options = ["nginx", "--weights", weights, "--balance", "smooth"];
    let server = Server::start(&[&options[..], &["--access-log", "nginx"]].concat());
    let last = server.about["pods"]["v5"].as_str().unwrap().to_owned();
    for (has_last, place) in [(false, "after"), (true, "before")] {
        let report = reloaded(&server, has_last);
        assert_eq!(
            (&report["verdict"], codes(&report)[0]),
            (&"inconclusive".into(), "drift"),
            "{report:#}"
        );
        let text = report["reasons"][0]["message"].as_str().unwrap();
        let expected = format!("{last} answered nothing {place} request ");
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn nginx_is_called_by_its_algorithm() {
    ask("nginx");
}

#[test]
fn haproxy_is_called_by_its_algorithm() {
    ask("haproxy");
}

#[test]
fn envoy_is_called_by_its_algorithm() {
    ask("envoy");
}
