//! Pods that name themselves in other ways than the usual servers, and answers that come from no pod.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use crate::program::{Ran, codes, lbtest, lbtest_reading};

const A: &str = "shop-7c5ddbdf54-x7kfd";
const B: &str = "shop-v2-6b8464cddd-nnjmj";

/// Answers three requests of ten with the second of two responses, until the test ends; its address.
fn serve(responses: [String; 2]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        // A fixed sequence without a period that a test would notice.
        let mut state = 12_345_u64;
        for stream in listener.incoming().flatten() {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let second = (state >> 33) % 1000 < 300;
            let _ = answer(stream, &responses[usize::from(second)]);
        }
    });
    format!("http://{address}/")
}

fn answer(mut stream: TcpStream, response: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    let mut host = String::new();
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line
            .strip_prefix("host: ")
            .or_else(|| line.strip_prefix("Host: "))
        {
            value.trim().clone_into(&mut host);
        }
        line.clear();
    }
    let (head, body) = response.split_once("\n\n").unwrap();
    let head = head.replace('\n', "\r\n");
    let body = body.replace("@HOST@", &host);
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The run against a server with this response for both backends, `POD` standing for the pod.
fn run(response: &str, more: &[&str]) -> Ran {
    let url = serve([A, B].map(|pod| response.replace("POD", pod)));
    gate(&url, more)
}

fn gate(url: &str, more: &[&str]) -> Ran {
    let base = [
        url,
        "--expect",
        "v1=70,v2=30",
        "--no-progress",
        "-c",
        "4",
        "--json",
        "-",
    ];
    lbtest(&[&base[..], more].concat())
}

/// The words that `--identify` and `--backend` stand before in a message, as a shell would give them.
fn options(message: &str) -> Vec<String> {
    let start = message
        .find("--identify")
        .unwrap_or_else(|| panic!("{message}"));
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            &format!(
                "printf '%s\\n' {}",
                message[start..].split(" (check").next().unwrap()
            ),
        ])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn pods_are_told_wherever_they_are_named_and_the_rule_is_said() {
    for response in [
        "200 OK\n\nSalve, version: v1, instance: POD\n",
        "200 OK\n\n{\"id\": \"7\",\"podname\": \"POD\",\"items\": []}",
        "200 OK\n\nGuten Tag | Running on: POD | v=1\n",
        "200 OK\n\nRequest served by POD\n\nGET / HTTP/1.1\n\nHost: @HOST@\n",
        "200 OK\n\nGreetings from pod POD\n",
        "200 OK\n\nHost: POD, Version: v1.0.0\n",
        "200 OK\n\n<table>\n <tr>\n  <th>pod:</th>\n  <td>POD</td>\n </tr>\n</table>",
        "200 OK\nX-Served-By: POD\n\n<html>shop</html>",
        "200 OK\nVia: 1.1 POD (edge)\n\nshop",
    ] {
        let ran = run(response, &["--host", "shop.example"]);
        let report = ran.json();
        assert_eq!(ran.status, 0, "{response}: {ran:?}");
        let findings = report["findings"].as_array().unwrap();
        let found = findings
            .iter()
            .find(|finding| finding["code"] == "identity_found")
            .unwrap();
        let pinned = options(found["message"].as_str().unwrap());
        let pinned: Vec<&str> = pinned.iter().map(String::as_str).collect();
        let again = run(
            response,
            &[&["--host", "shop.example", "-n", "200"], &pinned[..]].concat(),
        );
        assert_eq!(
            again.json()["requests"]["attributed"],
            200,
            "{pinned:?}: {again:?}"
        );
    }
}

#[test]
fn names_that_leave_doubt_or_come_from_the_request_never_pass() {
    // Both pods are named, and which answered is not said.
    let both = run(
        "200 OK\n\nhere POD, peers shop-v2-6b8464cddd-nnjmj shop-7c5ddbdf54-x7kfd\n",
        &[],
    );
    assert_eq!(
        (both.status, codes(&both.json())[0]),
        (4, "identity_in_doubt"),
        "{both:?}"
    );
    // The request's own Host and headers are echoed.
    for more in [["--host", A], ["-H", "X-From: shop-7c5ddbdf54-x7kfd"]] {
        let echoed = run("200 OK\n\nHost: @HOST@ from shop-7c5ddbdf54-x7kfd\n", &more);
        assert_eq!(echoed.status, 4, "{echoed:?}");
    }
    // One backend names its pods elsewhere than the other.
    let url = serve([
        "200 OK\n\non shop-7c5ddbdf54-x7kfd".into(),
        format!("200 OK\nX-Pod: {B}\n\nok"),
    ]);
    let ran = gate(&url, &[]);
    assert_ne!(ran.status, 0, "{ran:?}");
    assert!(codes(&ran.json()).contains(&"identity_in_doubt"), "{ran:?}");
    let message = ran.stderr;
    assert!(message.contains("--identify header:x-pod"), "{message}");
}

#[test]
fn an_ingress_that_names_itself_is_taken_for_no_backend() {
    let ingress = "X-Served-By: ingress-nginx-controller-7c5ddbdf54-x7kfd";
    // In every response: nothing is known of the pods behind it.
    let ran = run(&format!("200 OK\n{ingress}\n\n<html>shop</html>"), &[]);
    let doubt = codes(&ran.json())[0].to_owned();
    assert_eq!(
        (ran.status, &doubt[..]),
        (4, "identity_in_doubt"),
        "{ran:?}"
    );
    // In its own errors alone: those are nobody's.
    let url = serve([
        format!("200 OK\n\nPod Name: {A}</p>\nPod Name: {A}</p>"),
        format!("503 X\n{ingress}\n\n<h1>503</h1>"),
    ]);
    let report = gate(&url, &["-n", "200"]).json();
    assert_eq!(
        report["requests"]["by_status"]["503"],
        report["requests"]["unattributed"]
    );
}

#[test]
fn versions_and_colours_are_offered_with_options_that_work() {
    for (one, other) in [
        ("Good day from v1!", "Good day from v2!"),
        ("{\"color\":\"blue\"}", "{\"color\":\"green\"}"),
        ("<b>Version: 1.4.0</b>", "<b>Version: 2.0.1</b>"),
    ] {
        let url = serve([one, other].map(|body| format!("200 OK\n\n{body}\n")));
        let ran = gate(&url, &[]);
        let report = ran.json();
        assert_eq!(
            (ran.status, codes(&report)[0]),
            (4, "nothing_identified"),
            "{ran:?}"
        );
        let offered = options(report["reasons"][0]["message"].as_str().unwrap());
        let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
        let again = gate(&url, &offered);
        assert_eq!(again.status, 0, "{offered:?}: {again:?}");
        let log = [one, one, other, one, other, other].join("\n");
        let judged = ["analyze", "--expect", "v1=50,v2=50", "--json", "-"];
        let ran = lbtest_reading(&judged, log.as_bytes());
        assert_eq!(ran.status, 4, "{ran:?}");
        if !one.starts_with('{') {
            let offered = options(&ran.stderr.replace("; or say", " (check"));
            let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
            let again = lbtest_reading(&[&judged[..], &offered].concat(), log.as_bytes());
            assert_eq!(
                again.json()["requests"]["attributed"],
                6,
                "{offered:?}: {again:?}"
            );
        }
    }
}

#[test]
fn answers_from_before_the_pods_say_what_to_do() {
    for (response, code, part) in [
        (
            "404 X\n\n<center><h1>404 Not Found</h1></center>\n<hr><center>nginx</center>",
            "no_rule",
            "no rule matches Host shop.example",
        ),
        (
            "404 X\n\n404 page not found\n",
            "no_rule",
            "no rule matches Host shop.example",
        ),
        (
            "404 X\nServer: envoy\n\n",
            "no_rule",
            "no rule matches Host shop.example",
        ),
        ("404 X\n\n", "no_rule", "no rule matches Host shop.example"),
        (
            "404 X\n\n{\"message\":\"no Route matched with those values\"}",
            "no_rule",
            "check --host and the path",
        ),
        (
            "200 X\nServer: Caddy\n\n",
            "no_rule",
            "no site matches Host shop.example",
        ),
        (
            "302 X\nLocation: https://login.example/oauth2/start?rd=%2F\n\n",
            "login_required",
            "-b NAME=VALUE",
        ),
        (
            "302 X\nLocation: https://shop.example/auth?next=/\n\n",
            "login_required",
            "login",
        ),
        (
            "307 X\nLocation: https://other.example/\n\n",
            "redirected",
            "another host",
        ),
        (
            "308 X\nLocation: https://shop.example/authors\n\n",
            "redirected",
            "use that URL",
        ),
        (
            "401 X\nWWW-Authenticate: Basic realm=\"shop\"\n\nno",
            "login_required",
            "Authorization",
        ),
    ] {
        let ran = run(response, &["--host", "shop.example"]);
        let report = ran.json();
        assert_eq!(
            (ran.status, codes(&report)[0]),
            (4, code),
            "{response}: {ran:?}"
        );
        let message = report["reasons"][0]["message"].as_str().unwrap();
        assert!(message.contains(part), "{response}: {message}");
    }
}

#[test]
fn a_header_that_no_rule_knows_is_told_before_the_weights() {
    let canary = [
        "demo",
        "--split",
        "v1=90,v2=10",
        "--expect",
        "v1=0,v2=100",
        "--json",
        "-",
    ];
    let header = [
        "--route-header",
        "X-Canary",
        "-H",
        "X-Api-Key: s3cr3t",
        "-H",
        "X-Canary: s3cr3t",
    ];
    let ran = lbtest(&[&canary[..], &header].concat());
    let report = ran.json();
    assert_eq!(
        (ran.status, &report["findings"][0]["code"]),
        (1, &"canary_header_ignored".into())
    );
    // A header's value may be a secret.
    let message = report["findings"][0]["message"].as_str().unwrap();
    let is_of_canary = message.starts_with("the header x-canary is sent");
    assert!(is_of_canary && !message.contains("s3cr3t"), "{message}");
    let codes: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| &finding["code"])
        .collect();
    assert!(
        !codes.contains(&&"canary_weight_total_ignored".into()),
        "{codes:?}"
    );
}

#[test]
fn a_total_that_is_not_read_is_recognised_above_a_hundred_too() {
    let manifest = std::env::temp_dir().join(format!("lbtest-total-{}.yaml", std::process::id()));
    let canary = include_str!("../data/manifests/splits/ingress-nginx.yaml").replace(
        "canary-weight: \"30\"",
        "canary-weight: \"20\"\n    nginx.ingress.kubernetes.io/canary-weight-total: \"1000\"",
    );
    std::fs::write(&manifest, canary).unwrap();
    let ran = lbtest(&[
        "demo",
        "--split",
        "shop=80,shop-canary=20",
        "--expect-from",
        manifest.to_str().unwrap(),
        "--json",
        "-",
    ]);
    std::fs::remove_file(&manifest).unwrap();
    let finding = &ran.json()["findings"][0];
    assert_eq!(finding["code"], "canary_weight_total_ignored", "{ran:?}");
    assert!(
        finding["message"]
            .as_str()
            .unwrap()
            .contains("out of 1000 read as out of 100"),
        "{finding}"
    );
}

/// What stands before the pods names itself first, in one of the usual forms.
#[test]
fn of_two_pods_in_an_answer_the_one_that_differs_is_offered_and_none_is_judged() {
    const EDGE: &str = "edge-6d4b75cb6d-hp8mk";
    for body in [
        "via EDGE to POD",
        "edge-pod: EDGE\npod: POD",
        "Hostname: EDGE\nBackend: POD\n",
        "{\"hostname\": \"EDGE\", \"upstream\": \"POD\"}",
        "{\"pod\": \"EDGE\", \"backend\": {\"pod\": \"POD\"}}",
    ] {
        let response = format!("200 OK\n\n{}", body.replace("EDGE", EDGE));
        let ran = run(&response, &["-n", "300"]);
        let report = ran.json();
        assert_eq!(
            (ran.status, codes(&report)[0]),
            (4, "identity_in_doubt"),
            "{body}: {ran:?}"
        );
        let message = report["reasons"][0]["message"].as_str().unwrap();
        assert!(message.contains("what differs between them"), "{message}");
        let rule = options(message.split(", or say which backend").next().unwrap());
        let rule: Vec<&str> = rule.iter().map(String::as_str).collect();
        let again = run(&response, &[&["-n", "300"], &rule[..]].concat());
        assert_eq!(again.json()["requests"]["attributed"], 300, "{again:?}");
        assert_eq!(again.status, 3, "{rule:?}: {again:?}");
    }
    // The one backend that is expected is not whatever answers first.
    let both = [A, B].map(|pod| format!("200 OK\n\nHostname: {EDGE}\nBackend: {pod}\n"));
    let options = ["--expect", "v1=100,v2=0", "-n", "300", "--json", "-"];
    let ran = lbtest(&[&[&*serve(both)], &options[..]].concat());
    assert_eq!(codes(&ran.json())[0], "identity_in_doubt", "{ran:?}");
}

#[test]
fn a_grpc_server_that_is_asked_with_get_is_told_with_what_to_do() {
    let response = "415 Unsupported Media Type\nContent-Type: application/grpc\n\n";
    let ran = run(response, &["-n", "300"]);
    assert_eq!(codes(&ran.json())[0], "grpc_answered", "{ran:?}");
    assert!(ran.stderr.contains("--grpc SERVICE/METHOD"), "{ran:?}");
}

#[test]
fn a_log_whose_answers_name_the_gateway_first_is_not_judged_by_it() {
    for line in [
        "{\"log\":\"GET / 200 POD\",\"kubernetes\":{\"pod_name\":\"edge-6d4b75cb6d-hp8mk\"}}\n",
        "{\"hostname\":\"edge-6d4b75cb6d-hp8mk\",\"upstream\":\"POD\"}\n",
    ] {
        let lines = |pod| line.replace("POD", pod);
        let log = [lines(A), lines(A), lines(B)].concat().repeat(20);
        let ran = lbtest_reading(
            &["analyze", "--expect", "shop=70,shop-v2=30"],
            log.as_bytes(),
        );
        assert_eq!(ran.status, 4, "{ran:?}");
        for part in ["that may be the ingress", "what differs between them"] {
            assert!(ran.stderr.contains(part), "{part}: {ran:?}");
        }
    }
}

#[test]
fn a_log_that_is_given_twice_in_one_stream_is_refused() {
    let line = |n: usize| {
        let pod = if n % 10 < 7 { A } else { B };
        format!(
            "2024-11-23T10:{:02}:{:02}Z Hostname: {pod}\n",
            n / 60,
            n % 60
        )
    };
    let log: String = (0..400).map(line).collect();
    let split = ["analyze", "--expect", "shop=70,shop-v2=30"];
    let twice = lbtest_reading(&split, log.repeat(2).as_bytes());
    assert_eq!(twice.status, 2, "{twice:?}");
    assert!(
        twice.stderr.contains("begins again at line 401"),
        "{twice:?}"
    );
    assert_eq!(lbtest_reading(&split, log.as_bytes()).status, 3);
}

#[test]
fn a_primary_that_is_to_get_nothing_is_named_where_nothing_answers() {
    let ran = lbtest(&[
        "demo",
        "--split",
        "stable=0,canary=100",
        "--absent",
        "stable",
        "--expect",
        "stable=0,canary=100",
        "--json",
        "-",
    ]);
    let report = ran.json();
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "primary_dead", "{ran:?}");
    assert!(
        finding["message"]
            .as_str()
            .unwrap()
            .contains("canary or stable"),
        "{finding}"
    );
}

#[test]
fn analyze_says_how_many_named_somebody_and_how_many_nobody() {
    let log = format!(
        "curl: (7) Failed to connect\n{}",
        format!("Hostname: {A}\nHostname: {B}\n").repeat(20)
    );
    let ran = lbtest_reading(&["analyze", "--expect", "v1=50,v2=50"], log.as_bytes());
    assert!(
        ran.stderr
            .contains("41 answers: 40 naming somebody, 1 nobody"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("\"curl: (7) Failed to connect\""),
        "{ran:?}"
    );
    let refused = lbtest_reading(&["analyze", "--expect", "v1=50,v2=50"], b"hello\nworld\n");
    assert_eq!(refused.status, 4);
    for part in ["\"hello\"", "--identify", "--observed"] {
        assert!(refused.stderr.contains(part), "{refused:?}");
    }
    let table = lbtest_reading(
        &["analyze", "--expect", "v1=70,v2=30", "--json", "-"],
        b"  690 v1\n  310 v2\n",
    );
    assert_eq!(table.json()["requests"]["attributed"], 1000);
}
