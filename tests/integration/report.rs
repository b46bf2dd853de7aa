//! The JSON report: its schema, and that it is written whatever happens.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use lbtest::parts::Ingress;
use serde_json::Value;

use crate::program::{Ran, command, in_turn, lbtest};

/// The JSON Schema of what is written as `T`.
pub(crate) fn schema<T: schemars::JsonSchema>() -> Value {
    schemars::schema_for!(T).into()
}

/// Compares a published schema with the code's; `UPDATE_SCHEMA=1` rewrites it.
fn published(path: &str, schema: &Value) {
    let path = format!("{}/schema/{path}", env!("CARGO_MANIFEST_DIR"));
    let rendered = format!("{}\n", serde_json::to_string_pretty(schema).unwrap());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &rendered).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap();
    assert_eq!(
        published, rendered,
        "run UPDATE_SCHEMA=1 cargo test --test integration report"
    );
}

#[test]
fn the_published_schemas_are_those_of_the_code() {
    published("report.v1.json", &schema::<lbtest::parts::Report>());
    published("plan.v1.json", &schema::<lbtest::parts::ForecastReport>());
    published("lint.v1.json", &schema::<lbtest::parts::LintReport>());
    published("compare.v1.json", &schema::<lbtest::parts::CompareReport>());
    published("pairs.v1.json", &schema::<lbtest::parts::PairsReport>());
    published("checks.v1.json", &schema::<lbtest::parts::ChecksReport>());
    published("verdict.v1.json", &schema::<lbtest::parts::GateAnswer>());
    published("config.v1.json", &schema::<lbtest::parts::ConfigFile>());
}

fn valid(report: &Value) {
    let schema = schema::<lbtest::parts::Report>();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(report)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    // Every field that is written is one that the schema knows.
    let known = |value: &Value, properties: &Value| {
        for name in value.as_object().unwrap().keys() {
            assert!(
                properties.get(name).is_some(),
                "{name} is not in the schema"
            );
        }
    };
    known(report, &schema["properties"]);
    known(
        &report["requests"],
        &schema["$defs"]["RequestsReport"]["properties"],
    );
    for backend in report["backends"].as_array().unwrap() {
        known(backend, &schema["$defs"]["BackendReport"]["properties"]);
    }
}

#[test]
fn reports_of_every_verdict_are_valid() {
    let demo = ["demo", "--expect", "v1=70,v2=30", "--json", "-"];
    for (more, verdict) in [
        (&[][..], "pass"),
        (&["--split", "v1=50,v2=50"][..], "fail"),
        (&["-n", "99"][..], "inconclusive"),
        (&["--page", "none"][..], "error"),
        (&["--sequential"][..], "pass"),
        (&["--keep-alive", "--split", "v1=50,v2=50"][..], "fail"),
    ] {
        let report = lbtest(&[&demo[..], more].concat()).json();
        valid(&report);
        assert_eq!(report["verdict"], verdict, "{more:?}");
    }
    let unreachable = lbtest(&["http://127.0.0.1:9/", "--expect", "v1=1", "--json", "-"]).json();
    valid(&unreachable);
    valid(
        &lbtest(&[
            "analyze",
            "--expect",
            "v1=1,v2=0",
            "--observed",
            "v2=1",
            "--json",
            "-",
        ])
        .json(),
    );
    let plan = lbtest(&["plan", "--expect", "v1=1,v2=1", "-q", "10/s", "--json", "-"]).json();
    let schema = schema::<lbtest::parts::ForecastReport>();
    assert!(jsonschema::is_valid(&schema, &plan));
}

#[test]
fn each_backend_has_a_latency_histogram_of_its_own() {
    let report = lbtest(&[
        "demo",
        "--expect",
        "v1=70,v2=30",
        "-n",
        "200",
        "--json",
        "-",
    ])
    .json();
    for backend in report["backends"].as_array().unwrap() {
        let encoded = backend["latency_histogram"].as_str().unwrap();
        let compressed = STANDARD.decode(encoded).unwrap();
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut compressed.as_slice())
            .unwrap();
        assert_eq!(Some(histogram.len()), backend["observed"].as_u64());
    }
}

/// Sends signals to the executable once it has announced its load.
fn signalled(signals: &[&str], more: &[&str]) -> (Ran, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let path = file.to_str().unwrap();
    let base = [
        "demo",
        "--expect",
        "v1=70,v2=30",
        "-q",
        "100/s",
        "--json",
        path,
    ];
    let mut child = command(&[&base[..], more].concat()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut announced = String::new();
    stderr.read_line(&mut announced).unwrap();
    for signal in signals {
        // coreutils' timeout passes signals on to the executable.
        let kill = format!("kill {signal} {}", child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }
    let ran: Ran = child.wait_with_output().unwrap().into();
    let report = serde_json::from_str(&fs::read_to_string(&file).unwrap_or_default());
    (ran, report.unwrap_or(Value::Null))
}

#[test]
fn an_interrupted_run_still_reports() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let (ran, report) = signalled(&[signal], &[]);
        assert_eq!(ran.status, 130, "{signal}: {ran:?}");
        valid(&report);
        assert_eq!(report["interrupted"], true);
        assert_ne!(report["verdict"], "pass");
        assert_eq!(report["exit_status"], 130);
    }
}

#[test]
fn what_was_sent_before_a_signal_in_the_warm_up_stands_in_the_report() {
    let ingress = Ingress::start(&in_turn("v1=70,v2=30")).unwrap();
    let answered = || ingress.counts().routed().iter().sum::<u64>();
    let url = format!("http://{}/", ingress.addr());
    let base = [&*url, "--expect", "v1=70,v2=30", "--json", "-"];
    let child = command(&[&base[..], &["--warmup", "1h", "-q", "200/s"]].concat()).spawn();
    let child = child.unwrap();
    while answered() < 100 {
        std::thread::yield_now();
    }
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &id]).status();
    assert!(killed.unwrap().success());
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.status, 130, "{ran:?}");
    let requests = &ran.json()["requests"];
    assert_eq!(requests["sent"], answered(), "{requests}");
    assert_eq!(requests["set_aside_by_reason"]["warmup"], answered());
}

#[test]
fn a_second_signal_does_not_wait_for_what_is_in_flight() {
    let slow = ["--delay", "v1=1h", "--delay", "v2=1h", "-t", "2h"];
    let (ran, report) = signalled(&["-INT", "-TERM"], &slow);
    // Waiting would take an hour.
    assert_eq!(ran.status, 130, "{ran:?}");
    assert_eq!(report["interrupted"], true);
}

#[test]
fn a_report_replaces_a_file_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    fs::write(&file, "old").unwrap();
    let path = file.to_str().unwrap();
    let ran = lbtest(&[
        "analyze",
        "--expect",
        "v1=1,v2=1",
        "--observed",
        "v1=9,v2=0",
        "--json",
        path,
    ]);
    assert!(
        ran.stdout.starts_with("INCONCLUSIVE") || ran.stdout.starts_with("FAIL"),
        "{ran:?}"
    );
    let report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(report["schema_version"], 1);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn the_text_report_is_as_published() {
    let ran = lbtest(&[
        "analyze",
        "--expect",
        "v1=70,v2=30,v3=0",
        "--observed",
        "v1=2520,v2=1080",
    ]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/analyze.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, &ran.stdout).unwrap();
    }
    assert_eq!(ran.stdout, fs::read_to_string(path).unwrap());
}

#[test]
fn colour_is_for_terminals_and_on_request() {
    let base = [
        "analyze",
        "--expect",
        "v1=1,v2=1",
        "--observed",
        "v1=9,v2=9",
    ];
    assert!(!lbtest(&base).stdout.contains('\u{1b}'));
    let coloured = lbtest(&[&base[..], &["--color", "always"]].concat());
    assert!(coloured.stdout.contains('\u{1b}'));
}
