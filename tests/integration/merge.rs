//! Shards of a run as processes of their own, and their reports merged.

use std::fs;
use std::path::PathBuf;
use std::process::Child;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use lbtest::parts::{Config, Handle, Ingress, Page};
use serde_json::{Value, json};

use crate::program::{Ran, codes, command, in_turn, lbtest, lbtest_reading};

const SHARDS: usize = 8;

/// The reports of a run in a folder of their own.
struct Reports {
    folder: tempfile::TempDir,
}

impl Reports {
    /// Runs eight shards at once, of which the first `honest` meet a 70/30 split and the rest `other`. Each has a replica
    /// of its own: which of them got a draw that all share would be up to timing.
    fn measure(honest: usize, other: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let replicas: Vec<Handle> = (0..SHARDS)
            .map(|index| {
                let split = if index < honest { "v1=70,v2=30" } else { other };
                let config = Config {
                    seed: index as u64 + 1,
                    ..Config::new(split.parse().unwrap())
                };
                Ingress::start(&config).unwrap()
            })
            .collect();
        let reports = Self { folder };
        let shards: Vec<Child> = (0..SHARDS)
            .map(|index| {
                let (shard, file) = (format!("{index}/{SHARDS}"), reports.path(index));
                let replica = format!("::{}", replicas[index].addr());
                let mut arguments = vec!["http://ingress.example/", "--connect-to", &replica];
                arguments.extend(["--expect", "v1=70,v2=30", "-c", "8"]);
                arguments.extend(["--shard", &shard, "--run-id", "run-1", "--json"]);
                arguments.push(file.to_str().unwrap());
                arguments.extend(more);
                command(&arguments).spawn().unwrap()
            })
            .collect();
        for shard in shards {
            let ran: Ran = shard.wait_with_output().unwrap().into();
            assert_eq!(ran.status, 0, "{ran:?}");
            assert!(ran.stdout.starts_with("MEASURED"), "{ran:?}");
        }
        reports
    }

    fn path(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("s{index}.json"))
    }

    fn text(&self, index: usize) -> String {
        fs::read_to_string(self.path(index)).unwrap()
    }

    fn json(&self, index: usize) -> Value {
        serde_json::from_str(&self.text(index)).unwrap()
    }

    /// Merges the files of these shards.
    fn merge(&self, indices: &[usize]) -> (i32, Value) {
        let paths: Vec<PathBuf> = indices.iter().map(|&index| self.path(index)).collect();
        let mut arguments = vec!["merge", "--json", "-"];
        arguments.extend(paths.iter().map(|path| path.to_str().unwrap()));
        let ran = lbtest(&arguments);
        (ran.status, ran.json())
    }
}

const ALL: [usize; SHARDS] = [0, 1, 2, 3, 4, 5, 6, 7];

fn reason(report: &Value) -> &str {
    report["reasons"][0]["message"].as_str().unwrap()
}

/// A report without what names its run and its time of writing.
fn concluded(report: &Value) -> Value {
    let mut concluded = report.clone();
    for own in ["measurement", "command_line"] {
        concluded.as_object_mut().unwrap().remove(own);
    }
    concluded
}

#[test]
fn eight_shards_judged_together_are_their_sum() {
    let reports = Reports::measure(SHARDS, "v1=1", &[]);
    let (status, merged) = reports.merge(&ALL);
    assert_eq!(
        (status, &merged["verdict"]),
        (0, &json!("pass")),
        "{merged}"
    );
    assert_eq!(merged["run_id"], "run-1");
    assert_eq!(merged["requests"]["attributed"], 3664);
    assert_eq!(merged["plan"]["requests"], 3664);
    let parts: Vec<Value> = ALL.iter().map(|&index| reports.json(index)).collect();
    let observed = |report: &Value, backend: usize| {
        let backend = &report["backends"][backend];
        backend["observed"].as_u64().unwrap()
    };
    let sums = [0, 1].map(|backend| {
        parts
            .iter()
            .map(|part| observed(part, backend))
            .sum::<u64>()
    });
    assert_eq!(sums, [observed(&merged, 0), observed(&merged, 1)]);

    let counts = format!("v1={},v2={}", sums[0], sums[1]);
    let analyzed = lbtest(&[
        "analyze",
        "--expect",
        "v1=70,v2=30",
        "--observed",
        &counts,
        "--json",
        "-",
    ])
    .json();
    assert_eq!(merged["test"], analyzed["test"]);

    let mut latencies = Histogram::<u64>::new(3).unwrap();
    for part in &parts {
        let bytes = STANDARD.decode(part["latency"]["histogram"].as_str().unwrap());
        let read = Deserializer::new().deserialize::<u64, _>(&mut bytes.unwrap().as_slice());
        latencies.add(read.unwrap()).unwrap();
    }
    for (name, q) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
        let micros = latencies.value_at_quantile(q) as f64;
        let seconds = merged["latency"][format!("{name}_seconds")]
            .as_f64()
            .unwrap();
        assert!((seconds - micros / 1e6).abs() < 1e-9, "{name}: {seconds}");
    }
    assert!(merged["shard_agreement"]["p_value"].as_f64().unwrap() > 0.001);

    // Any order, and any grouping of files: what is incomplete is judged when the rest comes.
    let (_, backwards) = reports.merge(&[7, 3, 5, 1, 6, 2, 4, 0]);
    assert_eq!(concluded(&backwards), concluded(&merged));
    let (status, half) = reports.merge(&[0, 1, 2, 3]);
    assert_eq!((status, codes(&half)[0]), (3, "shards_missing"));
    assert!(half["test"].is_null());
    let mut rest = half.to_string();
    for index in [7, 6, 5, 4] {
        rest.push_str(&reports.text(index));
    }
    let ran = lbtest_reading(&["merge", "-", "--json"], rest.as_bytes());
    assert_eq!(concluded(&ran.json()), concluded(&merged));
    let again = lbtest_reading(&["merge", "-", "--json"], merged.to_string().as_bytes());
    assert_eq!(again.json()["measurement"], merged["measurement"]);
    assert_eq!(concluded(&again.json()), concluded(&merged));

    // A shard that is missing, and one that came twice.
    let (status, report) = reports.merge(&[0, 1, 2, 4, 5, 6, 7]);
    assert_eq!((status, codes(&report)[0]), (3, "shards_missing"));
    assert!(
        reason(&report).contains("missing: 3"),
        "{}",
        reason(&report)
    );
    let (status, report) = reports.merge(&[0, 1, 2, 3, 3, 4, 5, 6, 7]);
    assert_eq!((status, codes(&report)[0]), (3, "shards_repeated"));
    assert!(
        reason(&report).contains("shard 3 in"),
        "{}",
        reason(&report)
    );
    assert!(report["test"].is_null());

    logs_are_read_with_all_that_stands_between(&reports, &merged);
    other_plans_are_refused(&reports);
    hostile_reports_are_one_sentence(&reports);
}

fn logs_are_read_with_all_that_stands_between(reports: &Reports, merged: &Value) {
    let mut plain = String::new();
    let mut prefixed = String::new();
    for index in ALL {
        let text = reports.text(index);
        plain.push_str("458 requests {not json\r\nMEASURED  v1 70 %\n");
        plain.push_str(&text);
        let prefix = format!("[pod/lbtest-{index}-x7k2p/lbtest] ");
        prefixed.extend([prefix.as_str(), "sending\n", &prefix, &text]);
    }
    // A pod that was killed while it wrote, and was started again.
    let first = reports.text(0);
    let cut = format!("{}\n{plain}", &first[..first.len() / 2]);
    let concatenated: String = ALL.iter().map(|&index| reports.text(index)).collect();
    let joined = concatenated.replace('\n', "");
    let pretty: String = ALL
        .iter()
        .map(|&index| serde_json::to_string_pretty(&reports.json(index)).unwrap())
        .collect();
    for log in [plain, prefixed, cut, concatenated, joined, pretty] {
        let ran = lbtest_reading(&["merge", "--json", "-", "-"], log.as_bytes());
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert_eq!(concluded(&ran.json()), concluded(merged));
    }
}

fn other_plans_are_refused(reports: &Reports) {
    for (field, value, code) in [
        ("expect", json!("v1=50,v2=50"), "shards_of_other_plan"),
        ("alpha", json!(0.01), "shards_of_other_plan"),
        ("requests", json!(5000), "shards_of_other_plan"),
        ("shards", json!(9), "shards_of_other_plan"),
        ("settings_digest", json!("0"), "shards_of_other_plan"),
        ("run_id", json!("run-2"), "shards_of_other_run"),
    ] {
        let mut other = reports.json(7);
        other["measurement"]["plan"][field] = value;
        let mut log: String = (0..7).map(|index| reports.text(index)).collect();
        log.push_str(&other.to_string());
        let ran = lbtest_reading(&["merge", "-", "--json"], log.as_bytes());
        let report = ran.json();
        assert_eq!((ran.status, codes(&report)[0]), (3, code), "{field}");
        let message = reason(&report);
        assert!(
            message.contains("shard 7")
                && (code.ends_with("run")
                    || message.contains("digest")
                    || message.contains(field)
                    || field == "settings_digest"),
            "{message}"
        );
    }
}

/// Every way of spoiling a report, and a word of what is said then.
fn hostile_reports_are_one_sentence(reports: &Reports) {
    let text = reports.text(0);
    let spoilt = |path: &[&str], value: Value| {
        let mut report = reports.json(0);
        let mut place = &mut report["measurement"];
        for name in path {
            place = match name.parse::<usize>() {
                Ok(index) if place.is_array() => &mut place[index],
                _ => &mut place[*name],
            };
        }
        *place = value;
        report.to_string()
    };
    let shard = ["shards", "0"];
    let at = |rest: &[&str], value| spoilt(&[&shard, rest].concat(), value);
    let cases = [
        (String::new(), "no report"),
        ("{}".to_owned(), "no report"),
        ("[".repeat(1_000_000), "no report"),
        ("{\"a\":".repeat(1_000_000), "no report"),
        (text[..text.len() - 30].to_owned(), "cut off"),
        (
            json!({"schema_version": 1, "tool": {"name": "lbtest"}}).to_string(),
            "not of a shard",
        ),
        (
            json!({"schema_version": 2, "tool": {"name": "lbtest"}}).to_string(),
            "version 2",
        ),
        (spoilt(&["shards"], json!("all")), "measurement.shards"),
        (spoilt(&["plan", "expect"], json!("v1")), "plan"),
        (spoilt(&["plan", "url"], json!("\u{1b}[2J")), "plan"),
        (spoilt(&["plan", "alpha"], json!(7)), "alpha"),
        (spoilt(&["plan", "shards"], json!(0)), "shards"),
        (
            spoilt(&["plan", "shards"], json!(4_000_000_000_u32)),
            "shards",
        ),
        (
            spoilt(&["plan", "max_duration_seconds"], json!(-1)),
            "max_duration",
        ),
        (at(&["index"], json!(8)), "shard 8"),
        (at(&["by_status", "200"], json!(-1)), "by_status"),
        (at(&["by_status", "200"], json!(1.5)), "by_status"),
        (at(&["by_status", "200"], json!(u64::MAX)), "10^15"),
        (at(&["by_status"], json!({"x": 458})), "by_status"),
        (at(&["by_failure"], json!({"bored": 1})), "by_failure"),
        (
            at(&["groups", "0", "pods"], json!({"a": u64::MAX, "b": 1})),
            "groups[0]",
        ),
        (
            at(&["groups", "0", "errors"], json!(100_000)),
            "groups[0].errors",
        ),
        (
            at(&["groups", "0", "label"], json!("v9")),
            "groups[0].label",
        ),
        (
            at(&["groups", "0", "histogram"], json!("HISTFAAA")),
            "groups[0].histogram",
        ),
        (at(&["histogram"], json!("*")), "histogram"),
        (at(&["windows"], json!([])), "windows"),
        (at(&["window_length"], json!(3)), "windows"),
        (at(&["sequence"], json!("AAAA")), "sequence"),
        (at(&["duration_seconds"], json!(1e300)), "duration_seconds"),
        (at(&["started_at"], json!("yesterday")), "started_at"),
        (at(&["ending"], json!("bored")), "ending"),
    ];
    for (spoilt, part) in cases {
        // The other shards are whole, so that all are read to the end.
        let mut log: String = (1..SHARDS).map(|index| reports.text(index)).collect();
        if part == "no report" || part == "cut off" {
            log.clear();
        }
        let ran = lbtest_reading(&["merge", "-"], (spoilt + "\n" + &log).as_bytes());
        assert_eq!(ran.status, 2, "{part}: {ran:?}");
        assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{ran:?}");
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.contains(part),
            "{part}: {ran:?}"
        );
        assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
    }
    let missing = lbtest(&["merge", "/nonexistent/s0.json"]);
    assert_eq!(missing.status, 2);
    assert!(
        missing.stderr.contains("/nonexistent/s0.json"),
        "{missing:?}"
    );
}

#[test]
fn a_shard_that_saw_another_split_is_named_and_the_run_does_not_pass() {
    let reports = Reports::measure(SHARDS - 1, "v1=50,v2=50", &[]);
    let (status, merged) = reports.merge(&ALL);
    assert_ne!(status, 0);
    assert!(codes(&merged).contains(&"shards_differ"), "{merged}");
    let differing = merged["shard_agreement"]["differing"].as_array().unwrap();
    assert_eq!(differing.len(), 1, "{differing:?}");
    assert_eq!(differing[0]["index"], 7);
}

#[test]
fn shards_over_kept_connections_are_judged_on_what_their_connections_say() {
    // Which draws a connection gets is up to timing: at this error rate, and with so many requests, less than one run in a
    // million does not pass, and the variance between 64 connections is beyond 2.5 times that of chance in one of 10^8.
    let promise = ["--keep-alive", "--alpha", "1e-8", "-n", "20k"];
    let reports = Reports::measure(SHARDS, "v1=1", &promise);
    let (status, merged) = reports.merge(&ALL);
    assert_eq!(
        (status, &merged["verdict"]),
        (0, &json!("pass")),
        "{merged}"
    );
    assert_eq!(merged["test"]["method"], "design_effect");
    assert!(merged["test"]["design_effect"].as_f64().unwrap() < 2.5);
}

#[test]
fn shards_that_ran_in_turn_are_told_so_and_given_no_number_of_connections() {
    let ingress = Ingress::start(&in_turn("v1=70,v2=30")).unwrap();
    let url = format!("http://{}/", ingress.addr());
    // Of 400 a second each sends half, and both together take twice as long.
    let pace = ["--rate", "400/s", "-n", "800", "-c", "400", "--run-id", "r"];
    let base = [&*url, "--expect", "v1=70,v2=30", "--json", "-"];
    let shard = |index| lbtest(&[&base[..], &pace, &["--shard", index]].concat()).stdout;
    let both = shard("0/2") + &shard("1/2");
    let merged = lbtest_reading(&["merge", "-", "--json"], both.as_bytes()).json();
    let found = merged["findings"].as_array().unwrap();
    let behind = found.iter().find(|one| one["code"] == "rate_not_reached");
    let text = behind.unwrap()["message"].as_str().unwrap();
    assert!(text.contains("did not run all at the same time"), "{text}");
    assert!(!text.contains("it takes about -c"), "{text}");
}

#[test]
fn what_is_spoken_survives_the_merge() {
    for protocol in ["grpc", "tcp"] {
        let mut config = in_turn("v1=70,v2=30");
        config.page = Page::Grpc;
        config.listen_tcp = Some("127.0.0.1:0".parse().unwrap());
        let ingress = Ingress::start(&config).unwrap();
        let (url, options) = match ingress.tcp_addr().filter(|_| protocol == "tcp") {
            Some(address) => (format!("tcp://{address}"), vec!["--identify", r"^(\S+)"]),
            None => (
                format!("http://{}/", ingress.addr()),
                vec!["--grpc", "--identify", "header:x-pod-name"],
            ),
        };
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<String> = ["0/2", "1/2"]
            .iter()
            .map(|shard| {
                let file = folder.path().join(format!("{}.json", &shard[..1]));
                let file = file.to_str().unwrap().to_owned();
                let own = ["--shard", shard, "--run-id", "r", "--json", &file];
                let base = [&*url, "--expect", "v1=70,v2=30"];
                let ran = lbtest(&[&base[..], &own, &options].concat());
                assert_eq!(ran.status, 0, "{ran:?}");
                file
            })
            .collect();
        let ran = lbtest(&["merge", &files[0], &files[1], "--json", "-"]);
        let report = ran.json();
        assert_eq!(ran.status, 0, "{report:#}");
        assert_eq!(report["target"]["protocol"], protocol, "{report:#}");
    }
}

#[test]
fn a_shard_that_cannot_measure_leaves_with_4_until_it_is_started_again() {
    let base = [
        "http://127.0.0.1:9/",
        "--expect",
        "v1=70,v2=30",
        "--json",
        "-",
    ];
    let shard = |index: &str| lbtest(&[&base[..], &["--shard", index]].concat());
    let (first, second) = (shard("0/2"), shard("1/2"));
    for ran in [&first, &second] {
        assert_eq!((ran.status, &ran.json()["verdict"]), (4, &json!("error")));
    }
    let one = lbtest_reading(&["merge", "-", "--json"], first.stdout.as_bytes());
    let codes_of_one = one.json();
    assert_eq!(
        (one.status, codes(&codes_of_one)),
        (3, vec!["shards_missing", "shards_unmeasured"])
    );
    let both = first.stdout.clone() + &second.stdout;
    let both = lbtest_reading(&["merge", "-", "--json"], both.as_bytes());
    assert_eq!((both.status, &both.json()["verdict"]), (4, &json!("error")));
    assert!(
        both.json()["reasons"][0]["message"]
            .as_str()
            .unwrap()
            .contains("cannot reach")
    );
}

#[test]
fn the_index_of_a_shard_comes_from_the_flag_or_from_kubernetes() {
    let base = [
        "demo",
        "--expect",
        "v1=70,v2=30",
        "-n",
        "100",
        "--json",
        "-",
    ];
    let indexed = |index: &str, more: &[&str]| -> Ran {
        let mut command = command(&[&base[..], more].concat());
        command.env("JOB_COMPLETION_INDEX", index);
        command.output().unwrap().into()
    };
    let ran = indexed("2", &["--shard", "3", "--run-id", "x"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let report = ran.json();
    assert_eq!(report["shard"], json!({"index": 2, "count": 3}));
    assert_eq!(
        (&report["plan"]["requests"], &report["run_id"]),
        (&json!(33), &json!("x"))
    );
    assert_eq!(
        indexed("2", &["--shard", "0/3"]).json()["shard"]["index"],
        0
    );
    let whole = indexed("2", &[]);
    assert!(whole.json()["shard"].is_null());
    assert!(whole.stderr.contains("JOB_COMPLETION_INDEX"), "{whole:?}");
    for (more, part) in [
        (&["--shard", "3/3"][..], "2/3"),
        (&["--shard", "0/3", "--sequential"], "--sequential"),
        (&["--shard", "0/101"], "-n 101"),
        (&["--shard", "x"], "I/N"),
        (&["--shard", "3"], "JOB_COMPLETION_INDEX"),
        (&["--shard", "0/3", "--run-id", ""], "--run-id"),
    ] {
        let ran = lbtest(&[&base[..], more].concat());
        assert_eq!(ran.status, 2, "{more:?}: {ran:?}");
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.contains(part),
            "{ran:?}"
        );
    }
}
