//! gRPC calls to real servers of gRPC behind real proxies.

use serde_json::Value;

use crate::program::{Ran, codes, findings};
use crate::servers::Server;

/// What is told of a run: its exit status and its report.
fn judged(ran: &Ran) -> (i32, Value) {
    (ran.status, ran.json())
}

fn message(report: &Value) -> &str {
    report["reasons"][0]["message"].as_str().unwrap()
}

/// The health check, at the wider tolerance of tests that must not fail by chance.
fn call(server: &Server, url: &str, options: &[&str]) -> (i32, Value) {
    let base = ["--grpc", "--tolerance", "15"];
    judged(&server.gate_at(server.value(url), &[&base, options].concat()))
}

fn expected<'a>(weights: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--expect", weights], more].concat()
}

fn passes_and_fails(kind: &str) {
    let server = Server::start(&[kind, "--grpc", "--weights", "v1=70,v2=30", "--tls"]);
    let authority = server.value("ca_file");
    let ways: [(&str, &[&str]); 2] = [("h2c_url", &[]), ("tls_url", &["--cacert", authority])];
    for (url, trust) in ways {
        for identify in ["header:x-pod-name", "trailer:x-pod-name"] {
            let rule = [trust, &["--identify", identify]].concat();
            let (status, report) = call(&server, url, &expected("v1=70,v2=30", &rule));
            assert_eq!(status, 0, "{kind} {url} {identify}: {report:#}");
            assert_eq!(
                report["requests"]["by_status"]["OK"], report["requests"]["sent"],
                "{report:#}"
            );
        }
        let (status, report) = call(&server, url, &expected("v1=50,v2=50", trust));
        assert_eq!(status, 1, "{kind} {url}: {report:#}");

        let in_message = ["--grpc", "shop.Cart/Get", "--identify", "field:3.1"];
        let options = [&in_message[..], &["--tolerance", "15"], trust].concat();
        let address = server.value(url);
        let (status, report) = judged(&server.gate_at(address, &expected("v1=70,v2=30", &options)));
        assert_eq!(status, 0, "{kind} {url}: {report:#}");

        // Channels with ten calls under way on each; one alone says nothing of others.
        let channels =
            |number| [trust, &["-c", number, "--keep-alive", "--streams", "10"]].concat();
        let (status, report) = call(&server, url, &expected("v1=70,v2=30", &channels("50")));
        // Few channels can show a variance by chance that leaves too few answers for a verdict.
        assert_ne!(status, 1, "{kind} {url}: {report:#}");
        let (status, report) = call(&server, url, &expected("v1=50,v2=50", &channels("50")));
        assert_ne!(status, 0, "{kind} {url}: {report:#}");
        let (status, report) = call(&server, url, &expected("v1=70,v2=30", &channels("1")));
        assert_eq!(status, 3, "{kind} {url}: {report:#}");
        assert!(
            message(&report).contains("send one request on each"),
            "{report:#}"
        );
    }
}

#[test]
fn envoy_passes_the_split_of_calls_and_fails_another() {
    passes_and_fails("envoy");
}

#[test]
fn nginx_passes_the_split_of_calls_and_fails_another() {
    passes_and_fails("nginx");
}

#[test]
fn a_split_of_calls_that_is_60_40_fails_where_70_30_is_expected() {
    for kind in ["envoy", "nginx"] {
        let server = Server::start(&[kind, "--grpc", "--weights", "v1=60,v2=40"]);
        let options = ["--grpc", "--identify", "header:x-pod-name"];
        let options = [&options[..], &["--expect", "v1=70,v2=30", "-n", "4k"]].concat();
        let (status, report) = judged(&server.gate_at(server.value("h2c_url"), &options));
        assert_eq!(
            (status, codes(&report)[0]),
            (1, "split_off"),
            "{kind}: {report:#}"
        );
    }
}

#[test]
fn a_backend_that_answers_unavailable_is_told() {
    for kind in ["envoy", "nginx"] {
        let server = Server::start(&[
            kind,
            "--grpc",
            "--weights",
            "v1=70,v2=30",
            "--fault",
            "v2=503",
        ]);
        let named = [
            "--identify",
            "header:x-pod-name",
            "--backend",
            "v1=challenge-app",
        ];
        let options = [&named[..], &["--expect", "v1=70,v2=30"]].concat();
        let (status, report) = call(&server, "h2c_url", &options);
        assert_eq!(
            (status, codes(&report)[0]),
            (1, "backend_never_answered"),
            "{kind}: {report:#}"
        );
        let finding = &report["findings"][0];
        assert_eq!(finding["code"], "canary_failing", "{report:#}");
        let text = finding["message"].as_str().unwrap();
        assert!(text.contains("UNAVAILABLE ×"), "{kind}: {text}");
    }
}

#[test]
fn a_server_without_health_checks_is_told_with_what_to_do() {
    for kind in ["envoy", "nginx"] {
        let server = Server::start(&[kind, "--grpc=bare", "--weights", "v1=70,v2=30"]);
        let (status, report) = call(&server, "h2c_url", &["--expect", "v1=70,v2=30"]);
        assert_eq!(
            (status, codes(&report)[0]),
            (4, "calls_failed"),
            "{kind}: {report:#}"
        );
        assert!(
            message(&report)
                .contains("the first ended as UNIMPLEMENTED: the server has no such service"),
            "{report:#}"
        );
        assert!(findings(&report).is_empty(), "{report:#}");
    }
}

/// A call that names its pod counts for the split whatever its code, and for `--max-error` by it.
#[test]
fn codes_that_blame_the_server_count_for_max_error_and_others_do_not() {
    for kind in ["envoy", "nginx"] {
        let server = Server::start(&[kind, "--grpc", "--weights", "v1=70,v2=30"]);
        let run = |code: &str, limit: &str| {
            let asked = format!("x-fail: {code}");
            let named = ["--identify", "header:x-pod-name"];
            let options = [&["-H", &asked, "--max-error", limit][..], &named].concat();
            call(&server, "h2c_url", &expected("v1=70,v2=30", &options))
        };
        for code in ["INTERNAL", "DATA_LOSS", "UNAVAILABLE", "UNKNOWN"] {
            let (status, report) = run(code, "v2=1%");
            let what = format!("{kind} {code}: {report:#}");
            assert_eq!(
                (status, codes(&report)[0]),
                (1, "errors_exceeded"),
                "{what}"
            );
            assert_eq!(report["split_verdict"], "pass", "{what}");
            let text = message(&report);
            assert!(
                text.contains("responses (100 %) have a status that blames the server (UNKNOWN,")
                    && text.ends_with("--max-error allows 1 %"),
                "{what}"
            );
            assert_eq!(
                report["backends"][1]["errors"], report["backends"][1]["observed"],
                "{what}"
            );
            assert_eq!(
                report["requests"]["by_status"][code], report["backends"][1]["observed"],
                "{what}"
            );
        }
        for (code, limit) in [
            ("NOT_FOUND", "v2=0%"),
            ("INTERNAL", "v1=0%"),
            ("INTERNAL", "v2=100%"),
        ] {
            let (status, report) = run(code, limit);
            assert_eq!(status, 0, "{kind} {code} {limit}: {report:#}");
        }
    }
}

/// What speaks HTTP/2 and no gRPC is told in one sentence, with one hint.
#[test]
fn a_plain_answer_in_place_of_a_call_is_told_with_one_hint() {
    let server = Server::start(&["static", "--weights", "v1=70,v2=30"]);
    let (status, report) = call(&server, "h2c_url", &["--expect", "v1=70,v2=30"]);
    assert_eq!((status, codes(&report).len()), (4, 1), "{report:#}");
    let text = message(&report);
    assert!(
        text.ends_with(
            "requests got something that is not gRPC: the answer is plain HTTP (200): check the port and the path, and \
             that the ingress speaks gRPC to its backends"
        ),
        "{text}"
    );
    // A port that speaks HTTP/1.1 alone.
    let (status, report) = call(&server, "url", &["--expect", "v1=70,v2=30"]);
    assert_eq!(status, 4, "{report:#}");
    let text = report["reasons"].to_string();
    assert_eq!(text.matches("gRPC needs HTTP/2").count(), 1, "{text}");
}
