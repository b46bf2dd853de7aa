//! Many callers, slow ones, and ones that send what nobody asked for.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{ONE, Served, valid};
use crate::http::{connect, exchange, response};

const MIB: usize = 1 << 20;

#[test]
fn a_thousand_callers_at_once_are_all_answered_and_share_one_run() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    // The run ends after all have asked.
    let slow = ONE.replace("expect =", "rate = \"500/s\"\nexpect =");
    let served = Served::start("v1=70,v2=30", &slow, &[]);
    let mut callers: Vec<TcpStream> = (0..1000).map(|_| connect(&served.address)).collect();
    for caller in &mut callers {
        let request = "GET /verdict/shop HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        caller.write_all(request.as_bytes()).unwrap();
    }
    for mut caller in callers {
        let answered = response(&mut caller);
        assert_eq!(answered.status, 200);
        assert!(
            answered.body.contains("\"verdict\":\"running\""),
            "{answered:?}"
        );
    }
    assert_eq!(valid(&served.get("/verdict/shop"))["verdict"], "running");
    let message = served.get("/metrics").body;
    assert!(
        message.contains("lbtest_serve_running{check=\"shop\"} 1"),
        "{message}"
    );
    let ran = served.stop();
    // One run, which the signal has cut short.
    assert_eq!(
        ran.stderr.matches("shop (v1=70,v2=30): ").count(),
        1,
        "{ran:?}"
    );
    assert!(!ran.stderr.contains("PASS"), "{ran:?}");
}

#[test]
fn slow_clients_keep_nobody_out() {
    let text = ONE.replace("[serve]", "[serve]\nmax_connections = 32");
    let served = Served::start("v1=70,v2=30", &text, &[]);
    let mut slow: Vec<TcpStream> = Vec::new();
    for round in 0..100 {
        let mut client = connect(&served.address);
        let begun: &[u8] = match round % 3 {
            0 => b"",
            1 => b"GET /verdict/shop HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
            _ => b"POST /flagger/shop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{",
        };
        client.write_all(begun).unwrap();
        slow.push(client);
    }
    for _ in 0..10 {
        assert_eq!(served.get("/verdict/shop").status, 200);
        assert_eq!(served.get("/healthz").status, 200);
    }
    // The first have had to go.
    let mut rest = Vec::new();
    let ended = slow[0].read_to_end(&mut rest);
    assert!(ended.is_err() || rest.is_empty(), "{rest:?}");
}

#[test]
fn a_large_body_is_refused_without_being_kept() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    let body = vec![b' '; 10 * MIB];
    for path in ["/flagger/shop", "/verdict/shop", "/elsewhere"] {
        let refused = exchange(&served.address, "POST", path, &[], &body);
        assert_eq!(refused.status, 413, "{path}");
        assert!(refused.head.contains("connection: close"), "{refused:?}");
    }
    // Of a length that nobody has announced.
    let mut chunked = connect(&served.address);
    let head =
        "POST /flagger/shop HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    chunked.write_all(head.as_bytes()).unwrap();
    let chunk = [format!("{MIB:x}\r\n").as_bytes(), &body[..MIB], b"\r\n"].concat();
    for _ in 0..10 {
        chunked.write_all(&chunk).unwrap();
    }
    chunked.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(response(&mut chunked).status, 413);
    // Who asks first sends nothing in vain.
    let mut asking = connect(&served.address);
    let head = "POST /flagger/shop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10485760\r\nExpect: 100-continue\r\n\r\n";
    asking.write_all(head.as_bytes()).unwrap();
    assert_eq!(response(&mut asking).status, 413);
    // A body that Flagger could send is read whole.
    let long = format!(r#"{{"metadata":{{"other":"{}"}}}}"#, "a".repeat(60_000));
    assert_eq!(served.flagger("shop", &long).status, 425);
}

#[test]
fn what_is_no_request_is_refused_and_stops_nobody() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a".repeat(100_000)
    );
    for (sent, statuses) in [
        ("\0\x01\x02\r\n\r\n", &[400][..]),
        ("GET / HTTP/9.9\r\n\r\n", &[400, 505]),
        (&long, &[400, 414, 431]),
    ] {
        let mut client = connect(&served.address);
        // It may be refused before it is read whole.
        let _ = client.write_all(sent.as_bytes());
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        assert!(
            status.is_none_or(|status: u16| statuses.contains(&status)),
            "{answer}"
        );
    }
    for path in [
        "/verdict/%2e%2e",
        "/verdict/shop/",
        "/verdict/../shop",
        "//verdict/shop",
        "/%00",
    ] {
        assert_eq!(served.get(path).status, 404, "{path}");
    }
    assert_eq!(served.get("/verdict/shop?%00=%1b").status, 400);
    assert_eq!(served.get("/verdict/shop").status, 200);
}

#[test]
fn two_hundred_silent_clients_at_once_leave_a_place_for_probes() {
    let text = ONE.replace("[serve]", "[serve]\nmax_connections = 32");
    let served = Served::start("v1=70,v2=30", &text, &[]);
    let mut silent: Vec<TcpStream> = (0..200).map(|_| connect(&served.address)).collect();
    assert_eq!(served.get("/healthz").status, 200);
    // The first has had to go.
    let mut rest = Vec::new();
    let ended = silent[0].read_to_end(&mut rest);
    assert!(ended.is_err() || rest.is_empty(), "{rest:?}");
}

#[test]
fn strangers_are_refused_from_the_head_alone() {
    let served = Served::start("v1=70,v2=30", ONE, &[("LBTEST_TOKEN", "s3cret")]);
    // The answer comes although the body does not.
    let mut stranger = connect(&served.address);
    let head = "POST /verdict/shop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n";
    stranger.write_all(head.as_bytes()).unwrap();
    assert_eq!(response(&mut stranger).status, 401);
}

#[test]
fn strangers_hold_little_memory_and_keep_the_token_welcome() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let served = Served::start("v1=70,v2=30", ONE, &[("LBTEST_TOKEN", "s3cret")]);
    let begun = format!(
        "POST /flagger/shop HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\nContent-Length: 60000\r\n\r\n{}",
        "a".repeat(7_000),
        "{".repeat(8_000)
    );
    // 8 MiB hold 559 of these; who was first has to go.
    let mut strangers: Vec<TcpStream> = (0..600).map(|_| connect(&served.address)).collect();
    for stranger in &mut strangers {
        let _ = stranger.write_all(begun.as_bytes());
    }
    assert_eq!(response(strangers.last_mut().unwrap()).status, 408);
    let mut rest = Vec::new();
    let ended = strangers[0].read_to_end(&mut rest);
    assert!(ended.is_err() || rest.is_empty(), "{rest:?}");
    let token = ["Authorization: Bearer s3cret"];
    let answer = exchange(&served.address, "POST", "/flagger/shop", &token, b"{}");
    assert_eq!(answer.status, 425);
}

#[test]
fn a_head_that_does_not_end_is_refused_beyond_8_kib() {
    let served = Served::start("v1=70,v2=30", ONE, &[("LBTEST_TOKEN", "s3cret")]);
    let long = |bytes| format!("X-Long: {}\r\n", "a".repeat(bytes));
    let mut stranger = connect(&served.address);
    let begun = format!(
        "GET /verdict/shop HTTP/1.1\r\nHost: localhost\r\n{}",
        long(8 << 10)
    );
    stranger.write_all(begun.as_bytes()).unwrap();
    assert_eq!(response(&mut stranger).status, 431);
    let (token, more) = ("Authorization: Bearer s3cret", long(7_000));
    let headers = [token, more.trim_end()];
    let answer = exchange(&served.address, "GET", "/verdict/shop", &headers, b"");
    assert_eq!(answer.status, 200);
}

#[test]
fn without_a_token_no_web_page_is_answered() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    for headers in [
        "Host: evil.example",
        "Host: localhost\r\nSec-Fetch-Site: cross-site",
        "Host: localhost\r\nOrigin: http://evil.example",
    ] {
        let mut page = connect(&served.address);
        let request = format!("GET /verdict/shop HTTP/1.0\r\n{headers}\r\n\r\n");
        page.write_all(request.as_bytes()).unwrap();
        assert_eq!(response(&mut page).status, 403, "{headers}");
    }
    let message = served.stop().stderr;
    assert!(!message.contains("shop"), "{message}");
}

#[test]
fn patterns_that_would_take_long_to_compile_are_refused() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    let patterns = (0..10_000)
        .map(|at| format!("v1=*{at}"))
        .collect::<Vec<_>>();
    let body = format!(
        r#"{{"metadata":{{"backend":"{}"}}}}"#,
        &patterns.join(",")[..60_000]
    );
    let refused = served.flagger("shop", &body);
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("64 patterns"), "{refused:?}");
}
