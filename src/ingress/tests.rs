//! The ingress as a client meets it: bytes over loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::counts::{BackendCount, Counts};
use super::*;

fn config(split: &str) -> Config {
    Config::new(split.parse().unwrap())
}

fn start(config: &Config) -> Handle {
    Ingress::start(config).unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    // A hung ingress fails the test instead of hanging it.
    stream
        .set_read_timeout(Some(Duration::from_mins(10)))
        .unwrap();
    stream
}

/// What comes back for `request` until the ingress closes the connection.
fn raw(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_ref()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// One GET on a connection of its own, with further header lines.
fn get(address: SocketAddr, headers: &str) -> String {
    raw(
        address,
        format!("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{headers}\r\n"),
    )
}

/// `n` GETs on one connection; the answers' bodies are the flask page.
fn keep_alive(address: SocketAddr, n: u64) {
    let mut stream = connect(address);
    let mut buffer = Vec::new();
    for _ in 0..n {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
            .unwrap();
        while !buffer.ends_with(b"</html>\n") {
            let mut chunk = [0; 1024];
            let read = stream.read(&mut chunk).unwrap();
            assert!(read > 0, "closed early: {buffer:?}");
            buffer.extend_from_slice(&chunk[..read]);
        }
        buffer.clear();
    }
}

/// Counts after `clients` threads sent `each` requests, on fresh connections or each on its own.
fn counts(config: &Config, clients: usize, each: u64, reuse: bool) -> Counts {
    let ingress = start(config);
    let address = ingress.addr();
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(move || {
                if reuse {
                    keep_alive(address, each);
                } else {
                    for _ in 0..each {
                        get(address, "");
                    }
                }
            });
        }
    });
    ingress.stop()
}

#[test]
fn the_same_seed_gives_the_same_counts_at_any_concurrency() {
    for discipline in [Discipline::Random, Discipline::RoundRobin] {
        let mut config = config("v1=70,v2=30");
        config.pods = "v1=3,v2=2".parse().unwrap();
        config.discipline = discipline;
        config.faults = vec!["v2=503:20%".parse().unwrap()];
        config.shifts = vec!["300:v1=50,v2=50".parse().unwrap()];
        config.seed = 42;
        let alone = counts(&config, 1, 600, false);
        assert_eq!(alone.routed().iter().sum::<u64>(), 600);
        assert!(alone.backends[1].faulted > 0);
        assert_eq!(alone, counts(&config, 20, 30, false));
        config.seed = 43;
        assert_ne!(alone, counts(&config, 20, 30, false));
    }
}

#[test]
fn random_counts_do_not_depend_on_keep_alive() {
    let config = config("v1=70,v2=30");
    assert_eq!(
        counts(&config, 1, 400, false),
        counts(&config, 20, 20, true)
    );
}

#[test]
fn per_connection_keeps_a_connection_on_its_pod_whatever_the_concurrency() {
    let mut config = config("v1=50,v2=50");
    config.pods = "v1=2,v2=2".parse().unwrap();
    config.discipline = Discipline::PerConnection;
    let apart = counts(&config, 20, 10, true);
    for backend in &apart.backends {
        assert!(backend.answered() > 0);
        for pod in &backend.pods {
            assert_eq!(pod.answered % 10, 0);
        }
    }
    let ingress = start(&config);
    for _ in 0..20 {
        keep_alive(ingress.addr(), 10);
    }
    assert_eq!(ingress.stop(), apart);
}

#[test]
fn per_client_keeps_an_address_on_its_backend() {
    let mut config = config("v1=50,v2=50");
    config.discipline = Discipline::PerClient;
    let routed = counts(&config, 2, 20, false).routed();
    assert!(routed == [40, 0] || routed == [0, 40], "{routed:?}");
}

#[test]
fn the_affinity_cookie_is_set_once_and_honoured() {
    let mut config = config("v1=50,v2=50");
    config.discipline = Discipline::Sticky;
    config.pods = "v1=3,v2=3".parse().unwrap();
    let ingress = start(&config);
    let first = get(ingress.addr(), "");
    let cookie = first
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let pod = |answer: &str| {
        let start = answer.find("Pod Name: ").unwrap();
        answer[start..answer.find("</p>\n</body>").unwrap()].to_owned()
    };
    for _ in 0..20 {
        let again = get(
            ingress.addr(),
            &format!("Cookie: a=b; {cookie}\r\nCookie: c=d\r\n"),
        );
        assert_eq!(pod(&again), pod(&first));
        assert!(!again.contains("set-cookie"));
    }
    // An unknown cookie is replaced.
    let unknown = get(ingress.addr(), "Cookie: INGRESSCOOKIE=0\r\n");
    assert!(unknown.contains("set-cookie: INGRESSCOOKIE="));
    // Without a jar the split is random.
    for _ in 0..60 {
        get(ingress.addr(), "");
    }
    assert!(ingress.stop().routed().iter().all(|&count| count > 20));
}

#[test]
fn an_affinity_cookie_stands_above_header_and_cookie_and_a_path_above_it() {
    let mut config = config("v1=100,v2=0");
    config.discipline = Discipline::Sticky;
    config.route_header = Some("X-Canary".parse().unwrap());
    config.route_cookie = Some("canary".parse().unwrap());
    config.route_paths = vec!["/beta:v2=1".parse().unwrap()];
    let ingress = start(&config);
    let first = get(ingress.addr(), "");
    let kept = first
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .and_then(|cookie| cookie.split(';').next())
        .unwrap();
    for (headers, version) in [
        (String::new(), "v1"),
        ("X-Canary: always\r\n".to_owned(), "v2"),
        ("Cookie: canary=always\r\n".to_owned(), "v2"),
        (
            "X-Canary: never\r\nCookie: canary=always\r\n".to_owned(),
            "v1",
        ),
        (format!("X-Canary: always\r\nCookie: {kept}\r\n"), "v1"),
    ] {
        let answer = get(ingress.addr(), &headers);
        let is_canary = answer.contains("Pod Name: challenge-app-v2-");
        assert_eq!(is_canary, version == "v2", "{headers}");
    }
    let beta = raw(
        ingress.addr(),
        format!("GET /beta/x HTTP/1.1\r\nHost: a\r\nCookie: {kept}\r\nConnection: close\r\n\r\n"),
    );
    assert!(
        beta.contains("challenge-app-v2-") && !beta.contains("set-cookie"),
        "{beta}"
    );
}

#[test]
fn other_hosts_get_the_default_backend() {
    let mut config = config("v1=1");
    config.host = Some("edu.challenger-03:8080".to_owned());
    let ingress = start(&config);
    let address = ingress.addr();
    let ask = |host: &str| {
        let request = format!("GET / HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        raw(address, request)
    };
    assert!(ask("Host: edu.challenger-03\r\n").starts_with("HTTP/1.1 200"));
    assert!(ask("Host: EDU.challenger-03.:80\r\n").starts_with("HTTP/1.1 200"));
    let other = ask("Host: other\r\n");
    assert!(other.starts_with("HTTP/1.1 404"));
    assert!(other.ends_with("default backend - 404"));
    assert!(ask("Host: \r\n").starts_with("HTTP/1.1 404"));
    assert!(ask("").starts_with("HTTP/1.1 400"));
    assert!(ask("Host: edu.challenger-03\r\nHost: other\r\n").starts_with("HTTP/1.1 400"));
    let absolute = raw(
        address,
        "GET http://edu.challenger-03/ HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n",
    );
    assert!(absolute.starts_with("HTTP/1.1 200"));
    let counts = ingress.stop();
    assert_eq!((counts.routed(), counts.refused), (vec![3], 4));
}

#[test]
fn head_and_http_1_0_are_answered() {
    let ingress = start(&config("v1=1"));
    let address = ingress.addr();
    let head = raw(
        address,
        "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert!(head.starts_with("HTTP/1.1 200"));
    assert!(head.ends_with("\r\n\r\n") && head.contains("content-length: "));
    let old = raw(address, "GET / HTTP/1.0\r\n\r\n");
    assert!(old.starts_with("HTTP/1.0 200") && old.ends_with("</html>\n"));
    assert_eq!(ingress.stop().routed(), [2]);
}

#[test]
fn bodies_are_read_up_to_a_megabyte() {
    let ingress = start(&config("v1=1"));
    let address = ingress.addr();
    let small = raw(
        address,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
         POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         5\r\nhello\r\n0\r\n\r\n",
    );
    assert_eq!(small.matches("HTTP/1.1 200").count(), 2);
    let large = raw(
        address,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n",
    );
    assert!(large.starts_with("HTTP/1.1 413"));
    assert!(large.contains("Request Entity Too Large"));
    // One that breaks off takes no ordinal and gets no answer.
    let mut broken = connect(address);
    broken
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
        .unwrap();
    broken.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    broken.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "");
    assert_eq!(ingress.stop().routed(), [2]);
}

#[test]
fn malformed_requests_leave_it_standing() {
    let ingress = start(&config("v1=1"));
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "A: b\r\n".repeat(1000)
    );
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100_000));
    for request in [
        "\r\n\r\n\r\n\u{0}\u{1}",
        "NONSENSE\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET http:// HTTP/1.1\r\nHost: \u{ff}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \u{e9}\r\nConnection: close\r\n\r\n",
        many.as_str(),
        long.as_str(),
    ] {
        let mut stream = connect(ingress.addr());
        // The ingress may have closed before all of it is written.
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    assert!(get(ingress.addr(), "").starts_with("HTTP/1.1 200"));
}

#[test]
fn faults_without_an_identity_tell_nothing_of_the_pod() {
    let mut config = config("v1=1");
    config.faults = vec!["v1=503:100%".parse().unwrap()];
    let ingress = start(&config);
    let answer = get(ingress.addr(), "");
    assert!(answer.starts_with("HTTP/1.1 503"));
    assert!(answer.contains("<center><h1>503 Service Temporarily Unavailable</h1></center>"));
    assert!(!answer.contains("challenge-app"));
    let counts = ingress.stop();
    assert_eq!(
        (counts.backends[0].answered(), counts.backends[0].faulted),
        (0, 1)
    );
}

#[test]
fn an_error_of_the_application_keeps_its_identity() {
    let mut config = config("v1=1");
    config.faults = vec!["v1=error".parse().unwrap()];
    let ingress = start(&config);
    let answer = get(ingress.addr(), "");
    assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("Pod Name: challenge-app-"));
    assert_eq!(ingress.stop().backends[0].answered(), 1);
}

#[test]
fn closed_and_reset_connections_carry_no_byte() {
    let mut config = config("v1=1");
    config.faults = vec![
        "v1=close@0-1".parse().unwrap(),
        "v1=reset@1-2".parse().unwrap(),
    ];
    let ingress = start(&config);
    assert_eq!(get(ingress.addr(), ""), "");
    let mut stream = connect(ingress.addr());
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let reset = stream.read(&mut [0; 64]).unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(get(ingress.addr(), "").starts_with("HTTP/1.1 200"));
    assert_eq!(ingress.stop().backends[0].faulted, 2);
}

#[test]
fn the_limiter_lets_the_burst_through_and_its_rejections_take_no_ordinal() {
    let mut limited = config("v1=70,v2=30");
    // 1 a minute drains less than one request in the time that this takes.
    limited.limit_rpm = std::num::NonZeroU32::new(1);
    limited.burst_multiplier = std::num::NonZeroU32::new(49).unwrap();
    let counts_limited = counts(&limited, 10, 8, false);
    assert_eq!(counts_limited.limited, 30);
    // The 50 that passed got the draws of the first 50 requests.
    let free = counts(&config("v1=70,v2=30"), 1, 50, false);
    assert_eq!(counts_limited.routed(), free.routed());
}

#[test]
fn a_rejection_is_a_503_or_a_429_that_says_when_to_return() {
    let mut config = config("v1=1");
    config.limit_rpm = std::num::NonZeroU32::new(1);
    config.burst_multiplier = std::num::NonZeroU32::MIN;
    for status in ["503", "429"] {
        config.limit_status = status.parse().unwrap();
        let ingress = start(&config);
        get(ingress.addr(), "");
        get(ingress.addr(), "");
        let rejected = get(ingress.addr(), "");
        assert!(rejected.starts_with(&format!("HTTP/1.1 {status}")));
        assert!(!rejected.contains("challenge-app"));
        let retry = rejected
            .lines()
            .find_map(|line| line.strip_prefix("retry-after: "));
        match retry {
            // 1 a minute is 16 thousandths a second, as nginx cuts it.
            Some(seconds) => assert!((1..=63).contains(&seconds.parse().unwrap())),
            None => assert_eq!(status, "503"),
        }
    }
}

#[test]
fn a_limiter_inside_one_backend_spares_the_other() {
    let mut config = config("v1=50,v2=50");
    config.limit_rpm = std::num::NonZeroU32::new(1);
    config.burst_multiplier = std::num::NonZeroU32::MIN;
    config.limit_backend = Some("v2".to_owned());
    let observed = counts(&config, 1, 100, false);
    assert_eq!(observed.routed()[1], 2);
    assert_eq!(observed.routed()[0] + observed.limited, 98);
}

#[test]
fn a_primary_without_endpoints_is_a_503_for_all() {
    let mut config = config("v1=0,v2=100");
    config.absent = vec!["v1".to_owned()];
    let ingress = start(&config);
    assert!(get(ingress.addr(), "").starts_with("HTTP/1.1 503"));
    let counts = ingress.stop();
    assert_eq!((counts.routed(), counts.refused), (vec![0, 0], 1));
}

#[test]
fn a_connection_is_closed_after_its_requests() {
    let mut config = config("v1=1");
    config.close_after = std::num::NonZeroU64::new(3);
    let ingress = start(&config);
    let pipelined = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5);
    let answers = raw(ingress.addr(), pipelined);
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3);
    assert_eq!(answers.matches("connection: close").count(), 1);
}

#[test]
fn a_delay_holds_its_backend_back_alone() {
    let mut config = config("v1=1,v2=0");
    config.delays = vec!["v1=80ms".parse().unwrap(), "v2=1h".parse().unwrap()];
    let ingress = start(&config);
    let asked = Instant::now();
    get(ingress.addr(), "");
    assert!(asked.elapsed() >= Duration::from_millis(80));
}

#[test]
fn extra_headers_pages_and_redirects_arrive() {
    let mut config = config("v1=1");
    config.page = Page::Agnhost;
    config.headers = vec!["Age: 30".parse().unwrap(), "X-Pod: {pod}".parse().unwrap()];
    let pod = config.backends()[0].pods[0].clone();
    let answer = get(start(&config).addr(), "");
    assert!(answer.contains("age: 30\r\n"));
    assert!(answer.contains(&format!("x-pod: {pod}\r\n")));
    assert!(answer.ends_with(&format!("\r\n\r\n{pod}")));
    config.ssl_redirect = true;
    let redirect = get(start(&config).addr(), "");
    assert!(redirect.starts_with("HTTP/1.1 308"));
    assert!(redirect.contains("location: https://a.example/\r\n"));
}

#[test]
fn stopping_finishes_what_is_in_flight_and_frees_the_port() {
    let mut config = config("v1=1");
    let ingress = start(&config);
    let address = ingress.addr();
    let idle = connect(address);
    let mut busy = connect(address);
    busy.write_all(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    )
    .unwrap();
    let mut interim = [0; 25];
    busy.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    // The request is in flight now: its answer waits for its body.
    let stopping = thread::spawn(move || ingress.stop());
    while TcpStream::connect(address).is_ok() {
        thread::yield_now();
    }
    busy.write_all(b"hello").unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"));
    assert_eq!(stopping.join().unwrap().routed(), [1]);
    drop(idle);
    config.listen = address;
    assert_eq!(start(&config).addr(), address);
}

#[test]
fn a_taken_address_and_an_impossible_config_are_errors() {
    let ingress = start(&config("v1=1"));
    let mut second = config("v1=1");
    second.listen = ingress.addr();
    let error = Ingress::start(&second).unwrap_err();
    assert!(matches!(&error, IngressError::Listen { address, .. } if *address == ingress.addr()));
    assert!(error.to_string().contains("--listen"));
    second.absent = vec!["v9".to_owned()];
    let error = Ingress::start(&second).unwrap_err();
    assert!(matches!(error, IngressError::Config(_)));
}

#[test]
fn a_tcp_connection_is_greeted_by_its_pod() {
    let mut config = config("v1=70,v2=30");
    config.listen_tcp = Some(config.listen);
    config.faults = vec!["v2=close:50%".parse().unwrap()];
    let ingress = start(&config);
    let address = ingress.tcp_addr().unwrap();
    let greeted = (0..200).filter(|_| {
        let mut line = String::new();
        let mut stream = connect(address);
        // A connection that is closed may be reset too.
        let _ = stream.read_to_string(&mut line);
        line.starts_with("challenge-app") && line.ends_with('\n')
    });
    let greeted = greeted.count() as u64;
    let counts = ingress.stop();
    let answered: u64 = counts.backends.iter().map(BackendCount::answered).sum();
    assert_eq!(answered, greeted);
    assert_eq!(counts.routed().iter().sum::<u64>(), 200);
    assert!(counts.backends[1].faulted > 0);
}
