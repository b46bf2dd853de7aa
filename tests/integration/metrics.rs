//! The metrics against the programs that read them: promtool, the Pushgateway, the node exporter.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use crate::formats::hostile;
use crate::http::exchange;
use crate::program::lbtest;

/// A program of Prometheus that listens on a free port, until it is dropped.
pub(crate) struct Listening {
    child: Child,
    pub(crate) address: String,
}

impl Listening {
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program}: {error}: scripts/test packages installs it")
            });
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut address = || {
            log.by_ref().find_map(|line| {
                let line = line.unwrap();
                let (_, rest) = line.split_once("127.0.0.1:")?;
                let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                (port != "0").then(|| format!("127.0.0.1:{port}"))
            })
        };
        let address = address().expect("the program says where it listens");
        // A full pipe would stop it.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, address }
    }

    /// The status and body of an exchange.
    pub(crate) fn exchange(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let response = exchange(&self.address, method, path, &[], body.as_bytes());
        (response.status, response.body)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The metrics of a run that passes, of one that fails with hostile names, and of one without responses.
fn documents() -> Vec<String> {
    let demo = ["demo", "--expect", "v1=70,v2=30", "--openmetrics", "-"];
    let unreachable = [
        "http://127.0.0.1:9/",
        "--expect",
        "v1=1",
        "--openmetrics",
        "-",
    ];
    vec![
        lbtest(&demo).stdout,
        hostile(&["--openmetrics", "-"]).stdout,
        lbtest(&unreachable).stdout,
    ]
}

/// Runs a program that reads a document on stdin, and asserts that it finds nothing to say.
pub(crate) fn accepted_by(program: &str, arguments: &[&str], document: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}: scripts/test packages installs it"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(document.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}\n{document}");
    assert!(output.stderr.is_empty(), "{output:?}\n{document}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn promtool_and_an_openmetrics_parser_find_nothing_to_say() {
    let parse = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        for family in parse(sys.stdin.read()):\n    \
        assert family.type == 'gauge' and family.samples, family\n    \
        print(family.name, family.unit)";
    for document in documents() {
        assert_eq!(
            accepted_by("promtool", &["check", "metrics"], &document),
            ""
        );
        let families = accepted_by("/usr/bin/python3", &["-c", parse], &document);
        assert!(families.contains("lbtest_verdict"), "{families}");
        assert!(
            families.contains("lbtest_duration_seconds seconds"),
            "{families}"
        );
        assert!(families.contains("lbtest_alpha_ratio ratio"), "{families}");
    }
}

#[test]
fn the_pushgateway_takes_the_metrics() {
    let gateway = Listening::start("prometheus-pushgateway", &[]);
    for (job, document) in documents().iter().enumerate() {
        let path = format!("/metrics/job/lbtest{job}");
        let (status, answer) = gateway.exchange("PUT", &path, document);
        assert_eq!(status, 200, "{answer}\n{document}");
    }
    let (_, exposed) = gateway.exchange("GET", "/metrics", "");
    for line in [
        "instance=\"\",job=\"lbtest0\",url=",
        "lbtest_verdict{instance=\"\",job=\"lbtest1\",verdict=\"inconclusive\"} 1",
        "verdict=\"error\"} 1",
    ] {
        assert!(exposed.contains(line), "{line}: {exposed}");
    }
}

#[test]
fn the_node_exporters_textfile_collector_takes_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lbtest.prom");
    let path = file.to_str().unwrap();
    let ran = lbtest(&["demo", "--expect", "v1=70,v2=30", "--openmetrics", path]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let directory = format!("--collector.textfile.directory={}", folder.path().display());
    let exporter = Listening::start(
        "prometheus-node-exporter",
        &[
            "--collector.disable-defaults",
            "--collector.textfile",
            &directory,
        ],
    );
    let (status, exposed) = exporter.exchange("GET", "/metrics", "");
    assert_eq!(status, 200);
    assert!(
        exposed.contains("node_textfile_scrape_error 0"),
        "{exposed}"
    );
    let written = fs::read_to_string(&file).unwrap();
    let sample = |line: &str| !line.starts_with('#');
    for line in written.lines().filter(|line| sample(line)) {
        let (name, _) = line.split_once(['{', ' ']).unwrap();
        assert!(
            exposed.contains(&format!("\n{name}{{")),
            "{name}: {exposed}"
        );
    }
}
