//! `/metrics`, as promtool, an OpenMetrics parser and Debian's Prometheus read it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{PATIENCE, Served};
use crate::http::exchange;
use crate::metrics::{Listening, accepted_by};

const TEXT: &str = r#"
[serve]
interval = "1s"

[target]
url = "URL"
tolerance = 10
alpha = 1e-8

[[check]]
name = "right"
expect = "v1=70,v2=30"

[[check]]
name = "wrong"
expect = "v1=30,v2=70"
"#;

#[test]
fn promtool_and_an_openmetrics_parser_find_nothing_to_say() {
    let served = Served::start("v1=70,v2=30", TEXT, &[]);
    served.verdict("/verdict/right");
    served.verdict("/verdict/wrong");
    served.get("/nope");
    let plain = served.get("/metrics");
    assert!(
        plain.head.contains("text/plain; version=0.0.4"),
        "{plain:?}"
    );
    assert_eq!(
        accepted_by("promtool", &["check", "metrics"], &plain.body),
        ""
    );
    let accept = ["Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5"];
    let open = exchange(&served.address, "GET", "/metrics", &accept, b"");
    assert!(
        open.head
            .contains("application/openmetrics-text; version=1.0.0"),
        "{open:?}"
    );
    let parse = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        for family in parse(sys.stdin.read()):\n    \
        print(family.name, family.type, len(family.samples))";
    let families = accepted_by("/usr/bin/python3", &["-c", parse], &open.body);
    for family in [
        "lbtest_verdict gauge 10",
        "lbtest_serve_runs counter 2",
        "lbtest_serve_requests counter",
        "lbtest_serve_queued gauge 2",
    ] {
        assert!(families.contains(family), "{family}: {families}");
    }
}

#[test]
fn prometheus_scrapes_the_verdicts() {
    let served = Served::start("v1=70,v2=30", TEXT, &[("LBTEST_TOKEN", "s3cret")]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prometheus.yml");
    let config = format!(
        "scrape_configs:\n\
         - job_name: lbtest\n  \
           scrape_interval: 1s\n  \
           authorization: {{credentials: s3cret}}\n  \
           static_configs: [{{targets: [\"{}\"]}}]\n",
        served.address
    );
    fs::write(&file, config).unwrap();
    let prometheus = Listening::start(
        "prometheus",
        &[
            &format!("--config.file={}", file.display()),
            &format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ),
        ],
    );
    let query = |query: &str| -> Option<String> {
        let path = format!("/api/v1/query?query={query}");
        let (_, body) = prometheus.exchange("GET", &path, "");
        let answer: Value = serde_json::from_str(&body).ok()?;
        let value = answer["data"]["result"][0]["value"][1].as_str()?;
        Some(value.to_owned())
    };
    let becomes = |what: &str, expected: &str| {
        let begun = Instant::now();
        loop {
            let found = query(what);
            if found.as_deref() == Some(expected) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {found:?}");
            thread::sleep(Duration::from_millis(250));
        }
    };
    becomes("lbtest_verdict{check=%22right%22,verdict=%22pass%22}", "1");
    becomes("lbtest_verdict{check=%22wrong%22,verdict=%22fail%22}", "1");
    becomes(
        "lbtest_backend_expected_ratio{check=%22right%22,backend=%22v2%22}",
        "0.3",
    );
    becomes("up", "1");
    becomes(
        "lbtest_serve_requests_total{resource=%22metrics%22,status=%22200%22}>bool%201",
        "1",
    );
}
