//! What the client sends, and that no request is lost.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::{NonZeroU64, NonZeroUsize};
use std::thread::JoinHandle;
use std::time::Duration;

use lbtest::parts::{Config, ConnectionUse, Ingress, Plan, PodRegistry, Report, Settings, judge};
use serde_json::json;

use crate::program::lbtest;

/// A plan of `requests` fresh connections with the default criterion.
pub(crate) fn plan(url: &str, expect: &str, requests: u64) -> Plan {
    let asked = json!({
        "url": url,
        "expect": expect,
        "requests": requests,
        "max_duration": "15m",
        "concurrency": 20,
        "threads": 1,
        "timeout": "1m",
        "connect_timeout": "1m",
    });
    let asked = Settings::read(|| &asked).expect("settings");
    asked.plan().expect("a plan")
}

/// Runs a plan in this process.
pub(crate) fn report(plan: &Plan) -> Report {
    let registry = PodRegistry::shared(plan.mappings.clone());
    let measured = lbtest::parts::measure(plan, &registry, &mut |_| {});
    Report::of(&plan.claim, &measured, &judge(&plan.claim, &measured))
}

fn identified(report: &Report) -> u64 {
    let requests = &report.requests;
    assert_eq!(
        requests.sent,
        requests.attributed + requests.unattributed + requests.set_aside
    );
    report.requests.attributed
}

#[test]
fn exactly_as_many_requests_are_attributed_as_were_asked_for() {
    for (concurrency, threads) in [(1, 1), (7, 2), (300, 3)] {
        let ingress = Ingress::start(&Config::new("v1=70,v2=30".parse().unwrap())).unwrap();
        let mut plan = plan(&format!("http://{}/", ingress.addr()), "v1=70,v2=30", 1000);
        plan.load.concurrency = NonZeroUsize::new(concurrency).unwrap();
        plan.load.threads = NonZeroUsize::new(threads).unwrap();
        assert_eq!(identified(&report(&plan)), 1000);
        assert_eq!(ingress.stop().routed().iter().sum::<u64>(), 1000);
    }
}

#[test]
fn a_connection_that_closes_after_some_requests_loses_none() {
    let config = Config {
        close_after: NonZeroU64::new(7),
        ..Config::new("v1=70,v2=30".parse().unwrap())
    };
    let ingress = Ingress::start(&config).unwrap();
    let mut plan = plan(&format!("http://{}/", ingress.addr()), "v1=70,v2=30", 2000);
    plan.load.connection_use = ConnectionUse::KeepAlive;
    let report = report(&plan);
    assert_eq!(identified(&report), 2000);
    assert!(
        report.requests.by_failure.is_empty(),
        "{:?}",
        report.requests
    );
    assert_eq!(ingress.stop().routed().iter().sum::<u64>(), 2000);
    let opened = report.connections.unwrap().opened;
    assert!((2000 / 7..=2000 / 7 + 40).contains(&opened), "{opened}");
}

#[test]
fn a_connection_carries_as_many_requests_as_were_asked_for() {
    let ingress = Ingress::start(&Config::new("v1=70,v2=30".parse().unwrap())).unwrap();
    let mut plan = plan(&format!("http://{}/", ingress.addr()), "v1=70,v2=30", 1000);
    plan.load.connection_use = ConnectionUse::Requests(NonZeroU64::new(10).unwrap());
    let report = report(&plan);
    let opened = report.connections.unwrap().opened;
    assert!((100..=120).contains(&opened), "{opened}");
}

#[test]
fn what_is_in_flight_at_a_deadline_is_awaited() {
    let config = Config {
        delays: vec!["v2=300ms".parse().unwrap()],
        ..Config::new("v1=50,v2=50".parse().unwrap())
    };
    let ingress = Ingress::start(&config).unwrap();
    let mut plan = plan(&format!("http://{}/", ingress.addr()), "v1=50,v2=50", 1);
    plan.budget.requests = None;
    plan.budget.duration = Some(Duration::from_millis(700));
    let report = report(&plan);
    assert!(
        report.requests.by_failure.is_empty(),
        "{:?}",
        report.requests
    );
    assert_eq!(
        ingress.stop().routed().iter().sum::<u64>(),
        identified(&report)
    );
}

#[test]
fn responses_without_identity_are_replaced_up_to_the_bound_that_is_stated() {
    let config = Config {
        faults: vec!["v2=503:100%".parse().unwrap()],
        ..Config::new("v1=20,v2=80".parse().unwrap())
    };
    let ingress = Ingress::start(&config).unwrap();
    let plan = plan(&format!("http://{}/", ingress.addr()), "v1=70,v2=30", 500);
    let report = report(&plan);
    assert_eq!(report.plan.replacements, Some(500));
    identified(&report);
    assert_eq!(report.requests.sent - report.requests.set_aside, 1000);
    assert!(
        report
            .reasons
            .iter()
            .any(|reason| reason.code == "cut_short")
    );
    drop(ingress);
}

#[test]
fn the_open_loop_keeps_its_pace() {
    let ingress = Ingress::start(&Config::new("v1=70,v2=30".parse().unwrap())).unwrap();
    let mut plan = plan(&format!("http://{}/", ingress.addr()), "v1=70,v2=30", 200);
    plan.load.rate = Some("400/s".parse().unwrap());
    let report = report(&plan);
    assert_eq!(identified(&report), 200);
    // 199 spacings of 2.5 ms; how much later it ends is up to the machine.
    assert!(
        report.duration_seconds >= 0.497,
        "{}",
        report.duration_seconds
    );
    drop(ingress);
}

/// A server that answers every connection with `answer`, and gives back what the first one sent.
fn raw_server(answer: &'static [u8]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let read = |mut stream: TcpStream| {
        let mut lines = Vec::new();
        let mut reader = BufReader::new(stream.try_clone().expect("a socket clones"));
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let _ = stream.write_all(answer);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.take(1024).read_to_end(&mut Vec::new());
        lines
    };
    let server = std::thread::spawn(move || {
        loop {
            // The preflight opens a connection and sends nothing on it.
            let (stream, _) = listener.accept().expect("the client connects");
            let lines = read(stream);
            if !lines.is_empty() {
                return lines;
            }
        }
    });
    (url, server)
}

#[test]
fn requests_are_in_origin_form_with_one_host_header() {
    let (url, server) =
        raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\nPod Name: v1</p>");
    let url = format!("{url}a/b?c=d");
    let host = ["--host", "edu.challenger-03", "-H", "X-Probe: yes"];
    let base = [url.as_str(), "--expect", "v1=1", "-n", "1", "-c", "1"];
    let ran = lbtest(&[&base[..], &host].concat());
    let lines = server.join().unwrap();
    assert_eq!(lines[0], "GET /a/b?c=d HTTP/1.1", "{ran:?}");
    let named = |name: &str| {
        let named = lines
            .iter()
            .filter(|line| line.to_lowercase().starts_with(name));
        named.cloned().collect::<Vec<_>>()
    };
    assert_eq!(named("host:"), ["host: edu.challenger-03"]);
    assert_eq!(named("connection:"), ["connection: close"]);
    assert_eq!(named("x-probe:"), ["x-probe: yes"]);
    assert_eq!(
        named("user-agent:"),
        [format!("user-agent: lbtest/{}", env!("CARGO_PKG_VERSION"))]
    );
}

#[test]
fn a_peer_that_closes_without_answering_is_a_failure() {
    let config = Config {
        faults: vec!["v1=close:100%".parse().unwrap()],
        ..Config::new("v1=50,v2=50".parse().unwrap())
    };
    let ingress = Ingress::start(&config).unwrap();
    for connection_use in [
        ConnectionUse::KeepAlive,
        ConnectionUse::Requests(NonZeroU64::MIN),
    ] {
        let mut plan = plan(&format!("http://{}/", ingress.addr()), "v1=50,v2=50", 200);
        plan.load.connection_use = connection_use;
        let report = report(&plan);
        identified(&report);
        let closed = report.requests.by_failure["reset"];
        assert_eq!(
            closed, report.requests.unattributed,
            "{:?}",
            report.requests
        );
        assert!(closed > 50, "{closed}");
    }
    drop(ingress);
}

/// In flight when time is up, and awaited: nothing of what was planned is missing.
#[test]
fn a_run_whose_last_answers_come_after_the_time_is_complete() {
    let slow = ["--delay", "v1=500ms", "--delay", "v2=500ms"];
    let at_once = ["-n", "20", "-c", "20", "--judge", "significance"];
    let short = ["--max-duration", "250ms", "--json", "-"];
    let base = ["demo", "--expect", "v1=70,v2=30"];
    let ran = lbtest(&[&base[..], &slow, &at_once, &short].concat());
    let report = ran.json();
    assert_eq!(report["requests"]["attributed"], 20, "{ran:?}");
    assert_eq!(ran.status, 0, "{ran:?}");
}
