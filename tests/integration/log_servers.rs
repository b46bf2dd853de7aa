//! Access logs of real servers say what lbtest itself has seen in the same run, to the request.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Ran, command};
use crate::servers::Server;

/// Reads a log of the server's, in which the backends are called so.
fn analyze(file: &str, format: &str, names: &[String; 2], more: &[&str]) -> Ran {
    let backends = [format!("v1={}", names[0]), format!("v2={}", names[1])];
    let options = ["analyze", "--expect", "v1=70,v2=30", "--format", format];
    let names = ["--backend", &backends[0], "--backend", &backends[1]];
    // The launcher asks for a host that is not routed, until the server is ready.
    let filter = ["--status", "200", "--json", "-"];
    let input = File::open(file).unwrap();
    let output = command(&[&options[..], &names, &filter, more].concat())
        .stdin(Stdio::from(input))
        .output();
    output.unwrap().into()
}

fn observed(report: &Value) -> Vec<u64> {
    let backends = report["backends"].as_array().unwrap().iter();
    backends
        .map(|backend| backend["observed"].as_u64().unwrap())
        .collect()
}

fn agrees(kind: &str) {
    let server = Server::start(&[kind, "--weights", "v1=70,v2=30", "--access-log"]);
    let own = server.gate(&["-n", "3000", "--tolerance", "15"]).json();
    let sent = own["requests"]["sent"].as_u64().unwrap();
    assert_eq!(own["requests"]["unattributed"], 0, "{own:#}");
    let ports = &server.about["ports"];
    let addresses = ["v1", "v2"].map(|label| format!("127.0.0.1:{}", ports[label]));
    let services = ["v1", "v2"].map(|label| format!("default-{label}-80"));
    let labels = ["v1", "v2"].map(str::to_owned);
    let logs = server.about["access_logs"].as_object().unwrap();
    assert!(!logs.is_empty());
    for (format, file) in logs {
        let file = file.as_str().unwrap();
        let names = match format.as_str() {
            "ingress-nginx" => &services,
            "istio" | "haproxy" => &labels,
            _ => &addresses,
        };
        // Envoy writes its logs now and then.
        let begun = Instant::now();
        let requests = |text: String| {
            text.matches(" 200 ")
                .count()
                .max(text.matches(":200,").count())
        };
        while (requests(fs::read_to_string(file).unwrap()) as u64) < sent
            && begun.elapsed() < Duration::from_mins(15)
        {
            std::thread::sleep(Duration::from_millis(50));
        }
        let ran = analyze(
            file,
            format,
            names,
            &["--independent", "--alpha", "1e-8", "--tolerance", "15"],
        );
        let report = ran.json();
        assert_eq!(
            observed(&report),
            observed(&own),
            "{kind} {format}: {ran:?}"
        );
        assert_eq!(
            report["requests"]["unattributed"], 0,
            "{kind} {format}: {ran:?}"
        );
        assert_eq!(ran.status, 0, "{kind} {format}: {ran:?}");
        // One client alone does not tell whether its requests depend on each other.
        let ran = analyze(file, format, names, &[]);
        assert_eq!(ran.status, 3, "{kind} {format}: {ran:?}");
        assert_eq!(observed(&ran.json()), observed(&own), "{kind} {format}");
    }
}

#[test]
fn the_log_of_nginx_says_what_lbtest_saw() {
    agrees("nginx");
}

#[test]
fn the_log_of_haproxy_says_what_lbtest_saw() {
    agrees("haproxy");
}

#[test]
fn the_log_of_envoy_says_what_lbtest_saw() {
    agrees("envoy");
}
