//! The real executable against real ingresses, started by `scripts/servers/run`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::config::{SIX, all_but, verdicts};
use crate::program::{Ran, codes, lbtest};

/// A launched server; dropping it stops everything that belongs to it.
pub(crate) struct Server {
    launcher: Child,
    pub(crate) about: Value,
}

impl Server {
    /// Starts `scripts/servers/run OPTIONS --attached`, and returns when the server answers.
    pub(crate) fn start(options: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers/run");
        let mut launcher = Command::new(script)
            .args(options)
            .arg("--attached")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/servers/run needs python3: run scripts/test");
        let mut line = String::new();
        BufReader::new(launcher.stdout.take().expect("stdout is piped"))
            .read_line(&mut line)
            .expect("the launcher prints UTF-8");
        let about = serde_json::from_str(&line).expect(
            "the server did not start, its reason is above; scripts/test installs what it needs",
        );
        Self { launcher, about }
    }

    pub(crate) fn url(&self) -> &str {
        self.value("url")
    }

    /// A part of what the launcher told of the server.
    pub(crate) fn value(&self, part: &str) -> &str {
        let message = self.about[part].as_str();
        message.unwrap_or_else(|| panic!("no {part}: {}", self.about))
    }

    /// Runs the gate against it, for 70/30.
    pub(crate) fn gate(&self, more: &[&str]) -> Ran {
        let options = ["--expect", "v1=70,v2=30"];
        self.gate_at(self.url(), &[&options, more].concat())
    }

    /// Runs the gate at an error rate that keeps each of these tests from failing by chance more than once in
    /// 1,000,000 runs: a real ingress has no seed. A machine that stands still for some seconds fails no request.
    pub(crate) fn gate_at(&self, url: &str, more: &[&str]) -> Ran {
        let patience = ["--timeout", "60s", "--connect-timeout", "60s"];
        let base = [&[url, "--json", "-", "--alpha", "1e-8"][..], &patience].concat();
        let host = if more.contains(&"--host") {
            vec![]
        } else {
            vec!["--host", self.value("host")]
        };
        lbtest(&[&base[..], &host, more].concat())
    }

    /// A server launched with 70/30 and `--tls` passes that and fails 50/50, over HTTP/1.1 and HTTP/2, in
    /// the clear and over TLS, on fresh connections and on those that are kept open.
    fn passes_and_fails_over_each_protocol(&self) {
        let authority = self.value("ca_file");
        let ways: [(&str, &[&str]); 4] = [
            ("url", &[]),
            ("h2c_url", &["--http2"]),
            ("tls_url", &["--cacert", authority]),
            ("tls_url", &["--cacert", authority, "--http2"]),
        ];
        for (url, options) in ways {
            let kept_open: &[&str] = if options.contains(&"--http2") {
                &["-c", "5", "--keep-alive", "--streams", "4"]
            } else {
                &["-c", "20", "--requests-per-connection", "20"]
            };
            let run = |expected, uses: &[&str]| {
                let base = ["--expect", expected, "--tolerance", "15"];
                let ran = self.gate_at(self.value(url), &[&base, options, uses].concat());
                let report = ran.json();
                let requests = &report["requests"];
                // First what the server's part in it is: the end of a long message may be cut.
                assert_eq!(
                    requests["unattributed"], 0,
                    "{url} {options:?} {uses:?}: {requests}\n{}\n{report:#}",
                    ran.stderr
                );
                (ran.status, report)
            };
            let (status, report) = run("v1=70,v2=30", &[]);
            assert_eq!(status, 0, "{url} {options:?}: {report:#}");
            let sent = &report["requests"]["sent"];
            assert_eq!(&report["connections"]["opened"], sent, "{report:#}");
            let (status, report) = run("v1=50,v2=50", &[]);
            assert_eq!(status, 1, "{url} {options:?}: {report:#}");
            // Few connections can show a variance by chance that leaves too few answers for a verdict.
            let (status, report) = run("v1=70,v2=30", kept_open);
            assert_ne!(status, 1, "{url} {options:?}: {report:#}");
            let (status, report) = run("v1=50,v2=50", kept_open);
            assert_ne!(status, 0, "{url} {options:?}: {report:#}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.launcher.stdin.take());
        let _ = self.launcher.wait();
    }
}

#[test]
fn nginx_with_the_split_passes_and_every_other_host_is_explained() {
    let server = Server::start(&["nginx", "--weights", "v1=70,v2=30"]);
    let ran = server.gate(&[]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let wrong_host = server.gate(&["--host", "wrong.example"]);
    assert_eq!(wrong_host.status, 4);
    assert_eq!(codes(&wrong_host.json())[0], "default_backend");
    let sequential = server.gate(&["--sequential"]);
    assert_eq!(sequential.status, 0, "{sequential:?}");
    let keep_alive = server.gate(&["--keep-alive"]);
    // 50 connections can show a variance by chance that leaves too few answers for a verdict.
    assert_ne!(keep_alive.status, 1, "{keep_alive:?}");

    let url = server.url().to_owned();
    drop(server);
    let stopped = lbtest(&[&url, "--expect", "v1=70,v2=30", "--json", "-"]);
    assert_eq!(stopped.status, 4);
    assert_eq!(codes(&stopped.json())[0], "unreachable");
}

/// The checks' own error rates: see [`SIX`].
fn six_checks(server: &Server) -> Ran {
    let host = server.value("host");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lbtest.toml");
    let text = SIX.replace("URL", server.url()).replace("HOST", host);
    std::fs::write(&file, text).unwrap();
    lbtest(&["--config", file.to_str().unwrap(), "--json", "-"])
}

#[test]
fn nginx_passes_six_checks_and_fails_the_one_that_is_broken() {
    let rules = [
        "nginx",
        "--weights",
        "v1=70,v2=30",
        "--route-header",
        "X-Canary",
        "--route-cookie",
        "canary",
        "--route-path",
        "/beta:v1=20,v2=80",
        "--route-path",
        "/stable:v1=1",
    ];
    let server = Server::start(&[&rules[..], &["--sticky"]].concat());
    let ran = six_checks(&server);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(verdicts(&ran.json()), all_but(&[]));
    drop(server);
    let ran = six_checks(&Server::start(&rules));
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(verdicts(&ran.json()), all_but(&["sessions"]));
}

#[test]
fn nginx_with_another_split_fails() {
    let server = Server::start(&["nginx", "--weights", "v1=60,v2=40"]);
    assert_eq!(server.gate(&[]).status, 1);
}

#[test]
fn nginx_with_a_dead_canary_fails_by_name() {
    let server = Server::start(&["nginx", "--weights", "v1=70,v2=30", "--fault", "v2=503"]);
    let ran = server.gate(&[]);
    assert_eq!(
        (ran.status, codes(&ran.json())[0]),
        (1, "backend_never_answered")
    );
}

#[test]
fn nginx_passes_the_split_and_fails_another_over_each_protocol() {
    let server = Server::start(&["nginx", "--weights", "v1=70,v2=30", "--tls"]);
    server.passes_and_fails_over_each_protocol();
}

/// ingress-nginx's limiter, ten times as fast as the exercise's, so that the test takes half a minute.
#[test]
fn nginx_with_a_limiter_is_judged_at_the_pace_that_it_lets_through() {
    let limit = ["--limit-rpm", "1800", "--burst-multiplier", "1"];
    let server = Server::start(&[&["nginx", "--weights", "v1=70,v2=30"], &limit[..]].concat());
    // The warm-up takes the burst, which is as large as what a minute lets through.
    let ran = server.gate(&["--tolerance", "15", "--warmup", "2600"]);
    let report = ran.json();
    assert_eq!(ran.status, 0, "{ran:?}");
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "rate_limited", "{report:#}");
    let found = finding["evidence"]["limit_per_minute"].as_f64().unwrap();
    // Within a tenth on a machine that has time (the limiter's own tests); a busy one may leave places of the limiter unused.
    assert!(found > 0.0 && found <= 3600.0, "{found} a minute");
    let set_aside = &report["requests"]["set_aside_by_reason"];
    assert!(set_aside["before_pacing"].as_u64() > Some(0), "{report:#}");
    assert!(ran.stderr.contains("a rate limiter lets about"), "{ran:?}");

    // The bucket is empty again: what a short time leaves is no verdict.
    let short = server.gate(&["--tolerance", "15", "--max-duration", "8s"]);
    assert_eq!(short.status, 3, "{short:?}");
}

/// Traefik's `inFlightReq`. It deals in turn, so that nothing here is drawn.
#[test]
fn a_limit_of_what_is_in_flight_is_no_wrong_split_and_a_lower_concurrency_ends_it() {
    let server = Server::start(&["traefik", "--weights", "v1=70,v2=30", "--in-flight", "10"]);
    let many = server.gate(&["--tolerance", "10", "-c", "50"]);
    let report = many.json();
    assert_ne!(many.status, 1, "{many:?}");
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "rate_limited", "{report:#}");
    let advice = finding["message"].as_str().unwrap();
    assert!(advice.contains("try a lower -c first"), "{advice}");
    assert!(report["requests"]["set_aside"].as_u64() > Some(0));

    let few = server.gate(&["--tolerance", "10", "-c", "8"]);
    let report = few.json();
    assert_eq!(
        (few.status, codes(&report)[0]),
        (0, "split_matches"),
        "{report:#}"
    );
    assert_eq!(report["requests"]["set_aside"], 0);
}

#[test]
fn a_canary_that_answers_503_behind_a_limiter_is_no_limiter() {
    let limit = ["--limit-rpm", "6000", "--fault", "v2=503"];
    let server = Server::start(&[&["nginx", "--weights", "v1=70,v2=30"], &limit[..]].concat());
    let ran = server.gate(&["--tolerance", "15"]);
    let report = ran.json();
    assert_eq!(
        (ran.status, codes(&report)[0]),
        (1, "backend_never_answered")
    );
    let findings = report["findings"].as_array().unwrap();
    let is_limiter = |finding: &Value| finding["code"] == "rate_limited";
    assert!(!findings.iter().any(is_limiter), "{report:#}");
}

#[test]
fn haproxy_passes_the_split_and_fails_another_over_each_protocol() {
    let options = ["haproxy", "--weights", "v1=70,v2=30", "--tls"];
    Server::start(&options).passes_and_fails_over_each_protocol();
    // Not `random`: HAProxy 2.6 draws on a ring of hashes, where 70/30 comes out as 67.25/32.75.
    let server = Server::start(&[&options[..], &["--balance", "static-rr"]].concat());
    assert_eq!(server.gate(&[]).status, 0);
}

/// Weights that are dealt out in turn, over kept connections: more regular than chance, so that nothing here is drawn.
#[test]
fn round_robin_over_kept_connections_passes_and_is_called_so() {
    for (kind, algorithm) in [("nginx", "smooth"), ("haproxy", "roundrobin")] {
        let server = Server::start(&[kind, "--weights", "v1=7,v2=3", "--balance", algorithm]);
        let kept = [
            "--requests-per-connection",
            "20",
            "--timeout",
            "60s",
            "--json",
            "-",
        ];
        let base = [
            server.url(),
            "--host",
            server.value("host"),
            "--connect-timeout",
            "60s",
        ];
        let run = |expected| {
            let ran = lbtest(&[&base[..], &["--expect", expected], &kept].concat());
            (ran.status, ran.json())
        };
        let (status, report) = run("v1=70,v2=30");
        assert_eq!(status, 0, "{kind}: {report:#}");
        let findings = report["findings"].as_array().unwrap();
        let is_told = |finding: &Value| finding["code"] == "weighted_round_robin";
        assert!(findings.iter().any(is_told), "{kind}: {report:#}");
        let (status, report) = run("v1=60,v2=40");
        assert_eq!(status, 1, "{kind}: {report:#}");
    }
}

/// Right splits in an order that is no draw: workers that all begin with the same backend, and backends in long turns.
#[test]
fn a_right_split_that_is_dealt_in_turn_never_fails_right_after_a_start() {
    let many = [
        "nginx",
        "--balance",
        "smooth",
        "--workers",
        "64",
        "--weights",
    ];
    let caddy = ["caddy", "--weights"];
    for (options, weights) in [
        (&many[..], "v1=50,v2=50"),
        (&many, "v1=90,v2=10"),
        (&caddy, "v1=70,v2=30"),
    ] {
        for more in [&[][..], &["--sequential"]] {
            let server = Server::start(&[options, &[weights]].concat());
            let base = ["--expect", weights, "--tolerance", "10"];
            let ran = server.gate_at(server.url(), &[&base, more].concat());
            assert!(
                matches!(ran.status, 0 | 3),
                "{options:?} {weights} {more:?}: {ran:?}"
            );
        }
    }
}

/// The pods of a service by `HAProxy`'s algorithms: in turn they are even, by the client's address one has all.
#[test]
fn pods_behind_haproxy_are_even_in_turn_and_alone_by_the_clients_address() {
    let weights = "v1=1,v2=1,v3=1,v4=1,v5=1";
    for (algorithm, status, code) in [
        ("roundrobin", 0, "pods_even"),
        ("source", 1, "pod_never_answered"),
    ] {
        let server = Server::start(&["haproxy", "--weights", weights, "--balance", algorithm]);
        let options = [
            "--expect-even=5",
            "--alpha",
            "1e-5",
            "--timeout",
            "60s",
            "--json",
            "-",
        ];
        let ran = lbtest(
            &[
                &[server.url(), "--host", server.value("host")],
                &options[..],
            ]
            .concat(),
        );
        let report = ran.json();
        assert_eq!(
            (ran.status, codes(&report)[0]),
            (status, code),
            "{algorithm}: {report:#}"
        );
        if status == 1 {
            assert_eq!(report["findings"][0]["code"], "one_pod_alone", "{report:#}");
        }
    }
}

#[test]
fn envoy_passes_the_split_and_fails_another_over_each_protocol() {
    let server = Server::start(&["envoy", "--weights", "v1=70,v2=30", "--tls"]);
    server.passes_and_fails_over_each_protocol();
}

/// Four times the requests may take at most 1 MiB more, once what is remembered of their order is full. The release build is
/// measured with a million.
#[test]
fn memory_does_not_grow_with_the_number_of_requests() {
    let server = Server::start(&["static", "--weights", "v1=70,v2=30"]);
    let peak = |requests: &str| -> u64 {
        let host = server.about["host"].as_str().unwrap();
        let output = Command::new("/usr/bin/time")
            .args([
                "-f",
                "%M",
                env!("CARGO_BIN_EXE_lbtest"),
                server.url(),
                "--host",
                host,
            ])
            .args(["--expect", "v1=70,v2=30", "--keep-alive", "-n", requests])
            .args(["--alpha", "1e-8", "--timeout", "60s"])
            .output()
            .expect("/usr/bin/time is there: scripts/test installs it");
        // What is measured is the memory: an INCONCLUSIVE run has sent everything too.
        let status = output.status.code();
        assert!(matches!(status, Some(0 | 3)), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        stderr.lines().last().unwrap().parse().unwrap()
    };
    // The same run takes up to 2 MiB more or less each time; four bytes a request would be 4 MiB.
    let (few, many) = (peak("150k"), peak("1200k"));
    assert!(
        many <= few + 4096,
        "{few} KiB for 150k, {many} KiB for 1200k"
    );
}

/// One connection is one trial: the banner names the pod, and so does the certificate where TLS passes through.
#[test]
fn a_proxy_of_tcp_connections_passes_the_split_and_fails_another() {
    for kind in ["nginx", "haproxy"] {
        for secured in [false, true] {
            let tls = if secured { &["--tls"][..] } else { &[] };
            let options = [&[kind, "--tcp", "--weights", "v1=70,v2=30"], tls].concat();
            let server = Server::start(&options);
            let scheme = if secured { "tls" } else { "tcp" };
            let url = format!("{scheme}://{}", server.value("tcp_address"));
            let authority = if secured { server.value("ca_file") } else { "" };
            let trust = ["--cacert", authority];
            let rules: &[&str] = if secured {
                &["cert:cn", "cert:san", r"pod (\S+)"]
            } else {
                &[r"pod (\S+)"]
            };
            for rule in rules {
                let run = |expected| {
                    let base = [
                        "--expect",
                        expected,
                        "--tolerance",
                        "15",
                        "--identify",
                        rule,
                    ];
                    let trust = if secured { &trust[..] } else { &[] };
                    let ran = server.gate_at(&url, &[&base, trust].concat());
                    let report = ran.json();
                    assert_eq!(
                        report["requests"]["unattributed"], 0,
                        "{kind} {rule}: {report:#}"
                    );
                    (ran.status, report)
                };
                let (status, report) = run("v1=70,v2=30");
                assert_eq!(status, 0, "{kind} {rule}: {report:#}");
                let (status, report) = run("v1=40,v2=60");
                assert_eq!(status, 1, "{kind} {rule}: {report:#}");
            }
        }
    }
}
