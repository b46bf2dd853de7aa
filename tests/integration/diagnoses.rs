//! What a split that is off is said to look like, by servers whose balancer is known.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::program::lbtest;

const PODS: [&str; 2] = ["v1-6f79ff6b8d-fmzvc", "v2-6b8464cddd-nnjmj"];

/// What a balancer knows of a request: its number, and how many are in flight with it.
struct Asked {
    number: u64,
    in_flight: u64,
}

impl Asked {
    /// A draw without a pattern, from 0 to 99, fixed by the number.
    fn draw(&self) -> u64 {
        let mixed = (self.number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 32) % 100
    }
}

/// Serves until the test ends; `choose` says which pod answers, after so many milliseconds. Its address.
fn serve(choose: impl Fn(&Asked) -> (usize, u64) + Copy + Send + 'static) -> String {
    serve_at(TcpListener::bind("127.0.0.1:0").unwrap(), choose)
}

fn serve_at(
    listener: TcpListener,
    choose: impl Fn(&Asked) -> (usize, u64) + Copy + Send + 'static,
) -> String {
    let address = listener.local_addr().unwrap();
    let open = Arc::new(AtomicU64::new(0));
    std::thread::spawn(move || {
        for (number, stream) in (0..).zip(listener.incoming().flatten()) {
            let in_flight = open.fetch_add(1, Ordering::SeqCst) + 1;
            let open = Arc::clone(&open);
            std::thread::spawn(move || {
                let _ = answer(stream, choose(&Asked { number, in_flight }));
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    format!("http://{address}/")
}

fn answer(mut stream: TcpStream, (pod, millis): (usize, u64)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    std::thread::sleep(Duration::from_millis(millis));
    let body = PODS[pod];
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nX-Pod: {body}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// The first finding of a run of 1,000 requests, and what stderr said.
fn first(url: &str, more: &[&str]) -> (String, String, String) {
    let base = [
        url,
        "--expect",
        "v1=70,v2=30",
        "--identify",
        "header:X-Pod",
        "-n",
        "1000",
        "--json",
        "-",
    ];
    let ran = lbtest(&[&base[..], more].concat());
    let finding = ran.json()["findings"][0].clone();
    let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    (text("code"), text("message"), ran.stderr)
}

/// 70/30 for a request alone, 90/10 under load.
fn spills(asked: &Asked) -> (usize, u64) {
    let (canary, millis) = if asked.in_flight > 2 {
        (10, 20)
    } else {
        (30, 1)
    };
    (usize::from(asked.draw() < canary), millis)
}

#[test]
fn a_share_that_depends_on_the_load_is_told_by_a_probe_of_one_at_a_time() {
    let (code, message, stderr) = first(&serve(spills), &["--alpha", "1e-7"]);
    assert_eq!(code, "share_depends_on_load", "{message}");
    assert!(
        message.contains("with one request in flight (a probe of"),
        "{message}"
    );
    assert!(
        stderr.contains("up to 400 requests, one at a time"),
        "{stderr}"
    );
}

#[test]
fn a_split_that_is_off_whatever_the_load_is_not_said_to_depend_on_it() {
    let (code, message, _) = first(&serve(|asked| (usize::from(asked.draw() < 15), 1)), &[]);
    assert_eq!(code, "unexplained", "{message}");
    assert!(
        message.contains("with one request in flight (a probe of"),
        "{message}"
    );
}

#[test]
fn a_run_of_one_request_at_a_time_is_not_probed_again() {
    let url = serve(|asked| (usize::from(asked.draw() < 15), 0));
    let (_, message, stderr) = first(&url, &["-c", "1"]);
    assert!(
        !message.contains("probe") && !stderr.contains("probe"),
        "{message} {stderr}"
    );
}

#[test]
fn names_that_tell_no_backend_are_told_early_and_keep_their_interim_shares() {
    let url = serve(|asked| (usize::from(asked.draw() < 30), 0));
    let base = [
        &url,
        "--expect",
        "blue=70,green=30",
        "--identify",
        "header:X-Pod",
        "-q",
        "50/s",
        "-z",
        "5s",
    ];
    let ran = lbtest(&base);
    let (first, rest) = ran
        .stderr
        .split_once("cannot be told from the name")
        .unwrap();
    assert!(
        first.contains("after ") && !first.contains("interim"),
        "{ran:?}"
    );
    assert!(
        rest.contains("add --backend LABEL=v1 --backend LABEL=v2"),
        "{ran:?}"
    );
    assert!(
        rest.contains("interim blue 0.0 %") && rest.contains(", v1 "),
        "{ran:?}"
    );
}

#[test]
fn answers_that_are_decided_ten_at_a_time_are_bursts_and_no_change() {
    let url = serve(|asked| {
        let decision = Asked {
            number: asked.number / 10,
            in_flight: 1,
        };
        (usize::from(decision.draw() < 30), 0)
    });
    let (code, message, _) = first(&url, &["--tolerance", "10", "-c", "1"]);
    assert_eq!(code, "answers_in_bursts", "{message}");
    assert!(message.contains(" at a time (longest run "), "{message}");
}

#[test]
fn twelve_runs_against_bursts_of_a_right_split_never_fail() {
    // One request at a time, so that the seeds alone decide what each run sees.
    for seed in 0..12 {
        let url = serve(move |asked| {
            let decision = Asked {
                number: asked.number / 10 + 1_000_000 * seed,
                in_flight: 1,
            };
            (usize::from(decision.draw() < 30), 0)
        });
        for more in [&[][..], &["--sequential"]] {
            let run = ["--expect", "v1=70,v2=30", "--identify", "header:X-Pod"];
            let short = [&url, "-c", "1", "--tolerance", "10", "--json", "-"];
            let ran = lbtest(&[&short, &run[..], more].concat());
            let report = ran.json();
            assert_ne!(report["verdict"], "fail", "{seed} {more:?}: {report}");
            let findings = report["findings"].as_array().unwrap();
            let is_other = |found: &serde_json::Value| found["code"] != "answers_in_bursts";
            assert!(!findings.iter().any(is_other), "{seed} {more:?}: {report}");
        }
    }
}

#[test]
fn backends_that_have_long_turns_never_fail_a_right_split() {
    // As pingora deals weights of 700 and 300.
    let url = serve(|asked| (usize::from(asked.number % 1000 >= 700), 0));
    for more in [&[][..], &["--sequential"]] {
        let run = ["--expect", "v1=70,v2=30", "--identify", "header:X-Pod"];
        let short = [&url, "-c", "4", "--tolerance", "10", "--json", "-"];
        let ran = lbtest(&[&short, &run[..], more].concat());
        let report = ran.json();
        assert_ne!(report["verdict"], "fail", "{more:?}: {report}");
    }
}

#[test]
fn a_page_shows_the_answers_that_name_no_pod_where_they_came() {
    let page = tempfile::NamedTempFile::new().unwrap();
    let path = page.path().to_str().unwrap();
    let fails = ["--fault", "v2=503:100%", "-n", "300", "--no-progress"];
    let base = [
        "demo",
        "--expect",
        "v1=70,v2=30",
        "--html",
        path,
        "--json",
        "-",
    ];
    let report = lbtest(&[&base[..], &fails].concat()).json();
    let windows = report["windows"].as_array().unwrap().iter();
    let missing: u64 = windows
        .map(|window| window["unidentified"].as_u64().unwrap())
        .sum();
    assert_eq!(Some(missing), report["requests"]["unattributed"].as_u64());
    let html = std::fs::read_to_string(path).unwrap();
    assert!(html.contains("<title>names no pod</title>"), "{html}");
}

#[test]
fn connections_that_a_full_backlog_keeps_waiting_are_told() {
    // Two connections fit; the first packets of the others are dropped, and sent again after a second.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let bound = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind("127.0.0.1:0".parse().unwrap())?;
        socket.listen(1)?.into_std()
    });
    let listener = bound.unwrap();
    listener.set_nonblocking(false).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        serve_at(listener, |asked| (usize::from(asked.draw() < 30), 0));
    });
    let url = format!("http://{address}/");
    let run = ["--expect", "v1=70,v2=30", "--identify", "header:X-Pod"];
    let short = [&url, "-n", "200", "-c", "20", "--json", "-"];
    let report = lbtest(&[&short, &run[..]].concat()).json();
    let findings = report["findings"].as_array().unwrap();
    let slow = findings.iter().find(|found| found["code"] == "slow_dials");
    let slow = slow.unwrap_or_else(|| panic!("{report}"));
    let connections = slow["evidence"]["connections"].as_f64().unwrap();
    assert!((1.0..=20.0).contains(&connections), "{slow}");
}
