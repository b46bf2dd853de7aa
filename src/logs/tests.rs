//! Lines of every format, as their servers write them, and what depends on the client.

use std::fmt::Write;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::claim::Claim;
use crate::stats::intervals::wilson;
use crate::verdict::{VerdictName, judge_counts};

fn log(format: &str, field: Option<&str>) -> Log {
    Log {
        format: Format::parse(format, field).unwrap(),
        filter: Filter::default(),
        is_independent: false,
    }
}

fn claim() -> Claim {
    crate::claim::tests::claim("v1=70,v2=30")
}

fn read(log: &Log, text: &str) -> Read {
    let claim = claim();
    let mappings = Mappings::parse(claim.split.labels(), &[]).unwrap();
    log.read(text.as_bytes(), mappings).unwrap()
}

/// Of each format a line, who answered by default, and by another field.
const LINES: &[(&str, &str, &str, (&str, &str))] = &[
    (
        "nginx",
        r#"10.0.0.9 - - [29/Nov/2026:02:34:08 +0000] "GET /cart?x=1 HTTP/1.1" 200 612 "-" "curl/8 \x22x\x22" 10.42.1.7:8080"#,
        "10.42.1.7:8080",
        ("status", "200"),
    ),
    (
        "ingress-nginx",
        r#"10.0.0.9 - - [29/Nov/2026:02:34:08 +0000] "GET /cart HTTP/2.0" 200 612 "-" "curl/8" 75 0.003 [shop-web-80] [shop-web-canary-80] 10.42.1.7:8080 612 0.003 200 c0ffee"#,
        "shop-web-canary-80",
        ("upstream_addr", "10.42.1.7:8080"),
    ),
    (
        "envoy",
        r#"[2026-11-29T02:34:08.123Z] "GET /cart HTTP/1.1" 200 - 0 612 3 2 "10.0.0.9" "curl/8" "c0ffee" "shop.example" "10.42.1.7:8080""#,
        "10.42.1.7:8080",
        ("REQ(:AUTHORITY)", "shop.example"),
    ),
    (
        "envoy-json",
        r#"{"start_time":"2026-11-29T02:34:08.123Z","path":"/cart","response_code":200,"upstream_host":"10.42.1.7:8080","upstream_cluster":"v2","x_forwarded_for":"10.0.0.9","authority":"shop.example"}"#,
        "10.42.1.7:8080",
        ("upstream_cluster", "v2"),
    ),
    (
        "istio",
        r#"[2026-11-29T02:34:08.123Z] "GET /cart HTTP/1.1" 200 - via_upstream - "-" 0 612 3 2 "-" "curl/8" "c0ffee" "shop.example" "10.42.1.7:8080" outbound|80|v2|shop.default.svc.cluster.local 10.42.0.2:41000 10.42.0.2:8080 10.0.0.9:55000 - default"#,
        "outbound|80|v2|shop.default.svc.cluster.local",
        ("UPSTREAM_HOST", "10.42.1.7:8080"),
    ),
    (
        "traefik",
        r#"10.0.0.9 - - [29/Nov/2026:02:34:08 +0000] "GET /cart HTTP/1.1" 200 612 "-" "curl/8" 17 "shop@file" "http://10.42.1.7:8080" 3ms"#,
        "10.42.1.7:8080",
        ("router", "shop@file"),
    ),
    (
        "traefik-json",
        r#"{"ClientHost":"10.0.0.9","DownstreamStatus":200,"RequestHost":"shop.example","RequestPath":"/cart","RetryAttempts":0,"ServiceAddr":"10.42.1.7:8080","ServiceName":"shop-v2@file","ServiceURL":{"Scheme":"http","Host":"10.42.1.7:8080"},"StartUTC":"2026-11-29T02:34:08.1Z"}"#,
        "shop-v2@file",
        ("ServiceAddr", "10.42.1.7:8080"),
    ),
    (
        "haproxy",
        r#"Nov 29 02:34:08 lb haproxy[12]: 10.0.0.9:55000 [29/Nov/2026:02:34:08.123] ingress apps/v2 0/0/0/2/2 200 612 - - ---- 1/1/0/0/0 0/0 {shop.example|curl} "GET /cart HTTP/1.1""#,
        "v2",
        ("backend", "apps"),
    ),
    (
        "caddy",
        r#"{"level":"info","ts":1795919648.1,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"10.0.0.9","remote_port":"55000","client_ip":"10.0.0.9","proto":"HTTP/1.1","method":"GET","host":"shop.example","uri":"/cart","headers":{"User-Agent":["curl/8"]}},"duration":0.002,"size":612,"status":200,"resp_headers":{"X-Pod":["shop-v2-0"]},"upstream":"10.42.1.7:8080"}"#,
        "10.42.1.7:8080",
        ("resp_headers.X-Pod", "shop-v2-0"),
    ),
    (
        "$remote_addr [$time_local] $host \"$request\" $status upstream=\"$upstream_addr\" rt=$request_time",
        r#"10.0.0.9 [29/Nov/2026:02:34:08 +0000] shop.example "GET /cart HTTP/1.1" 200 upstream="10.42.1.7:8080" rt=0.003"#,
        "10.42.1.7:8080",
        ("host", "shop.example"),
    ),
];

/// What stands before lines.
const PREFIXES: [&str; 7] = [
    "[pod/ingress-0/proxy] ",
    "2026-11-29T02:34:08Z stdout F ",
    "2026-11-29T02:34:08.123456789Z ",
    "[pod/ingress-0/proxy] 2026-11-29T02:34:08.123456789Z ",
    "ingress-7c5ddbdf54-x7kfd proxy ",
    "proxy-1  | ",
    "proxy-1  | 2026-11-29T02:34:08.123456789Z ",
];

#[test]
fn a_line_of_each_format_says_who_answered_whom_and_what() {
    assert!(
        NAMES
            .iter()
            .all(|name| *name == "json" || LINES.iter().any(|line| line.0 == *name))
    );
    for &(format, line, name, (field, other)) in LINES {
        let all = Filter {
            path: Some("/ca".to_owned()),
            statuses: Some("2xx".parse().unwrap()),
            since: parse_time("2026-11-29T02:34:08Z"),
            until: parse_time("2026-11-29T02:34:09Z"),
            host: None,
        };
        let mut log = log(format, None);
        log.format.suits(&all).unwrap();
        log.filter = all;
        let summary = read(&log, &format!("{line}\n\n")).summary;
        assert_eq!(
            summary.upstreams,
            [(name.to_owned(), 1)].into(),
            "{format}: {summary:?}"
        );
        assert_eq!(
            (summary.lines, summary.clients, summary.clientless),
            (1, 1, 0),
            "{format}"
        );
        let mut entry = Entry::default();
        assert!(log.format.read(line.as_bytes(), &mut entry));
        assert_eq!(entry.client(), b"10.0.0.9", "{format}");
        if !entry.host().is_empty() {
            assert_eq!(entry.host(), b"shop.example", "{format}");
        }
        let by_field = super::tests::log(format, Some(field));
        let summary = read(&by_field, line).summary;
        assert_eq!(
            summary.upstreams,
            [(other.to_owned(), 1)].into(),
            "{format}"
        );
        for prefix in PREFIXES {
            assert!(
                log.format
                    .read(format!("{prefix}{line}").as_bytes(), &mut entry)
            );
            assert!(log.filter.takes(&entry), "{format} after {prefix}");
            assert_eq!(entry.client(), b"10.0.0.9", "{format} after {prefix}");
        }
        for cut in 1..line.len() {
            let summary = read(&log, &line[..cut]).summary;
            assert!(summary.lines <= 1, "{format}");
        }
        let summary = read(&log, "something else\n{\"a\":\n").summary;
        assert_eq!((summary.unfit, summary.answers()), (2, 0), "{format}");
    }
}

#[test]
fn the_first_of_several_upstreams_counts_and_one_that_is_not_told_is_missing() {
    let nginx = log("nginx", None);
    let of = |upstream: &str| LINES[0].1.replace("10.42.1.7:8080", upstream);
    let summary = read(&nginx, &of("10.0.0.1:80, 10.0.0.2:80 : 10.0.0.3:80")).summary;
    assert_eq!(summary.upstreams, [("10.0.0.1:80".to_owned(), 1)].into());
    assert_eq!(summary.retried, 1);
    let read_none = read(&nginx, &of("-"));
    assert_eq!(
        (read_none.summary.unrouted, read_none.evidence.unattributed),
        (1, 1)
    );
    let ingress = log("ingress-nginx", None);
    let line = LINES[1].1;
    let primary = line.replace("[shop-web-canary-80]", "[]");
    let retried = primary.replace(
        "10.42.1.7:8080 612 0.003 200",
        "10.0.0.1:80, 10.0.0.2:80 0, 612 0.1, 0.2 502, 200",
    );
    let limited = primary.replace("10.42.1.7:8080 612 0.003 200", "- - - -");
    let summary = read(&ingress, &format!("{primary}\n{retried}\n{limited}")).summary;
    assert_eq!(summary.upstreams, [("shop-web-80".to_owned(), 2)].into());
    assert_eq!(
        (summary.retried, summary.unrouted, summary.unfit),
        (1, 1, 0)
    );
    let haproxy = log("haproxy", None);
    let summary = |retries: &str| read(&haproxy, &LINES[7].1.replace("1/1/0/0/0", retries)).summary;
    assert_eq!(
        (summary("1/1/0/0/2").moved, summary("1/1/0/0/+1").moved),
        (0, 1)
    );
    let none = LINES[7].1.replace("apps/v2", "apps/<NOSRV>");
    assert_eq!(read(&haproxy, &none).summary.unrouted, 1);
}

#[test]
fn lines_that_are_not_meant_are_left_out() {
    let line = LINES[2].1;
    let filter = |change: fn(&mut Filter)| {
        let mut log = log("envoy", None);
        change(&mut log.filter);
        read(&log, line).summary.left_out
    };
    assert_eq!(
        filter(|filter| filter.host = Some("SHOP.example".to_owned())),
        0
    );
    assert_eq!(filter(|filter| filter.host = Some("example".to_owned())), 1);
    assert_eq!(filter(|filter| filter.path = Some("/api".to_owned())), 1);
    assert_eq!(filter(|filter| filter.statuses = "3xx,404".parse().ok()), 1);
    assert_eq!(
        filter(|filter| filter.until = parse_time("2026-11-29T02:34:08Z")),
        1
    );
}

#[test]
fn another_field_in_place_of_the_upstream_names_nobody() {
    let line =
        r#"10.0.0.9 - - [29/Nov/2026:02:34:08 +0000] "GET / HTTP/1.1" 200 612 "-" "curl/8" "#;
    for other in ["0.002", "\"10.0.0.9\"", "rt=0.002", "to:", "-"] {
        let summary = read(
            &log("nginx", None),
            &format!("{line}{other} 10.42.1.7:8080"),
        )
        .summary;
        assert_eq!((summary.lines, summary.upstreams.len()), (1, 0), "{other}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_what_to_do() {
    let refused = |format, field| Format::parse(format, field).unwrap_err().to_string();
    assert!(refused("apache", None).contains("nginx, ingress-nginx"));
    assert!(refused("json", None).contains("--field NAME"));
    assert!(refused("nginx", Some("upstream")).contains("upstream_addr"));
    assert!(refused("$a$upstream_addr", None).contains("nothing separates"));
    let host = Filter {
        host: Some("shop.example".to_owned()),
        ..Filter::default()
    };
    let format = Format::parse("nginx", None).unwrap();
    assert!(
        format
            .suits(&host)
            .unwrap_err()
            .to_string()
            .contains("--host")
    );
    for text in ["", "20", "2xx-", "200-", "x"] {
        assert!(text.parse::<Statuses>().is_err(), "{text}");
    }
}

#[test]
fn hostile_lines_are_read_in_bounded_memory() {
    let nginx = log("nginx", None);
    let json = log("json", Some("a.b"));
    for unit in [
        "\0",
        "\u{202e}",
        "{\"a\":",
        "[",
        "\" ",
        " - [",
        "10.0.0.1:80, ",
        "$",
    ] {
        let text = unit.repeat((1 << 21) / unit.len());
        assert_eq!(read(&nginx, &text).summary.answers(), 0);
        assert_eq!(read(&json, &text).summary.answers(), 0);
    }
    let long = format!(
        "{{\"a\":{{\"b\":\"{}\"}}}}\n{{\"a\":{{\"b\":\"x\\u001b[2J\"}}}}",
        "x".repeat(1000)
    );
    assert_eq!(read(&json, &long).summary.unrouted, 2);
    let mut clients = Clients::default();
    for client in 0..100_000_u32 {
        clients.record(&client.to_le_bytes(), Some(usize::from(client % 3 == 0)));
    }
    assert_eq!(clients.count(), 1 << 14);
    assert_eq!(clients.closed().sums().observed(), [66_666, 33_334]);
}

/// A log in which each of `clients` asks as often as its weight says, in mixed order.
fn drawn(
    random: &mut ChaCha8Rng,
    clients: usize,
    lines: usize,
    share: f64,
    is_sticky: bool,
) -> String {
    let own: Vec<bool> = (0..clients).map(|_| random.random_bool(share)).collect();
    let mut text = String::new();
    for _ in 0..lines {
        // Some ask far more often than others.
        let client = random
            .random_range(0..clients)
            .min(random.random_range(0..clients));
        let is_second = if is_sticky {
            own[client]
        } else {
            random.random_bool(share)
        };
        let upstream = if is_second { "v2" } else { "v1" };
        let _ = writeln!(text, "10.0.{}.{} {upstream}", client / 256, client % 256);
    }
    text
}

/// How many of `logs` logs of a kind come to each verdict: FAIL, INCONCLUSIVE, PASS.
fn verdicts(logs: u64, is_independent: bool, draw: impl Fn(&mut ChaCha8Rng) -> String) -> [u64; 3] {
    let mut log = log("$remote_addr $upstream_addr", None);
    log.is_independent = is_independent;
    let mut seen = [0; 3];
    for seed in 0..logs {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let evidence = read(&log, &draw(&mut random)).evidence;
        let place = match judge_counts(&claim(), &evidence).verdict {
            VerdictName::Fail => 0,
            VerdictName::Pass => 2,
            _ => 1,
        };
        seen[place] += 1;
    }
    seen
}

#[test]
fn sticky_clients_fail_a_right_split_by_a_naive_test_and_not_by_this_one() {
    const LOGS: u64 = 20;
    let sticky = |random: &mut ChaCha8Rng| drawn(random, 50, 1000, 0.3, true);
    let [naive, ..] = verdicts(LOGS, true, sticky);
    let [failed, _, passed] = verdicts(LOGS, false, sticky);
    let rate = wilson(naive, LOGS, 0.05);
    assert!(rate.low > 0.3, "{naive} of {LOGS} naive tests failed");
    assert_eq!((failed, passed), (0, 0));
}

#[test]
fn a_draw_for_each_request_of_many_clients_is_judged_as_such() {
    let drawn_at = |share| move |random: &mut ChaCha8Rng| drawn(random, 500, 8000, share, false);
    let [failed, _, passed] = verdicts(12, false, drawn_at(0.3));
    assert_eq!(failed, 0);
    assert!(passed >= 10, "{passed} of 12 passed");
    let [failed, _, passed] = verdicts(4, false, drawn_at(0.4));
    assert_eq!((failed, passed), (4, 0));
}

#[test]
fn one_client_alone_is_no_verdict_unless_its_requests_are_said_to_be_independent() {
    let one = |random: &mut ChaCha8Rng| drawn(random, 1, 4000, 0.3, false);
    assert_eq!(verdicts(3, false, one), [0, 3, 0]);
    assert_eq!(verdicts(3, true, one), [0, 0, 3]);
}

/// A log of requests drawn one by one, of which every `clump` in turn stand sorted by who answered.
fn sorted_in_clumps(random: &mut ChaCha8Rng, clump: usize, shares: [f64; 2]) -> String {
    let mut text = String::new();
    for share in shares {
        let drawn: Vec<bool> = (0..1900).map(|_| random.random_bool(share)).collect();
        for mut lines in drawn.chunks(clump).map(<[bool]>::to_vec) {
            lines.sort_unstable();
            for is_second in lines {
                let upstream = if is_second { "v2" } else { "v1" };
                let _ = writeln!(text, "10.0.0.9 {upstream}");
            }
        }
    }
    text
}

#[test]
fn answers_that_ended_in_another_order_are_no_clumps_and_no_change() {
    for clump in [50, 100] {
        let right = move |random: &mut ChaCha8Rng| sorted_in_clumps(random, clump, [0.3, 0.3]);
        let [failed, _, passed] = verdicts(20, true, right);
        assert_eq!(failed, 0, "{clump}");
        assert!(passed >= 19, "{passed} of 20 passed, in clumps of {clump}");
    }
    let moved = |random: &mut ChaCha8Rng| sorted_in_clumps(random, 50, [0.2, 0.4]);
    assert_eq!(verdicts(4, true, moved), [0, 4, 0]);
}
