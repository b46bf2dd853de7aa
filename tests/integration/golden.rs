//! Seeded runs of every kind, whose reports stay what they are: verdict, exit status, codes, counts and shape.
//!
//! Sentences, times and ports are compared by their type alone, and fields may be added. After a change that is meant,
//! `UPDATE_GOLDEN=1 cargo test --test integration golden` writes the reports again.

use std::fs;
use std::path::{Path, PathBuf};

use lbtest::parts::{Config, Ingress};
use serde_json::{Value, json};

use crate::program::{Ran, lbtest, lbtest_reading};

/// What differs from run to run.
const VOLATILE: [&str; 23] = [
    "run_id",
    "started_at",
    "finished_at",
    "duration_seconds",
    "throughput_per_second",
    "latency_p50_seconds",
    "latency_p99_seconds",
    "latency_histogram",
    "mean_seconds",
    "p50_seconds",
    "p90_seconds",
    "p99_seconds",
    "p999_seconds",
    "max_seconds",
    "histogram",
    "start_seconds",
    "url",
    "address",
    "version",
    "host",
    "settings_digest",
    "failure_messages",
    "sequence",
];

/// What is written for people.
const WORDS: [&str; 5] = [
    "message",
    "promise",
    "statistic_reason",
    "reason",
    "unmeasured",
];

/// Of longer lists the beginning and the length are compared.
const MOST_ITEMS: usize = 8;

/// What a report must keep.
fn pinned(name: &str, value: &Value) -> Value {
    let kind = |value: &Value| match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!("a truth value"),
        Value::Number(_) => json!("a number"),
        Value::String(_) => json!("a text"),
        Value::Array(_) => json!("a list"),
        Value::Object(_) => json!("an object"),
    };
    let is_words = WORDS.contains(&name) && !value.is_object();
    match value {
        Value::Array(items) if name == "addresses" => {
            items.iter().map(|item| pinned("address", item)).collect()
        }
        _ if is_words || (VOLATILE.contains(&name) && !value.is_object()) => kind(value),
        Value::Object(fields) => {
            let pinned = |(name, value): (&String, &Value)| (name.clone(), pinned(name, value));
            Value::Object(fields.iter().map(pinned).collect())
        }
        Value::Array(items) if name == "findings" => {
            let own = items.iter().filter(|item| item["code"] != "slow_dials");
            own.map(|item| pinned("", item)).collect()
        }
        Value::Array(items) if items.len() > MOST_ITEMS => {
            let first = items.iter().take(MOST_ITEMS);
            let first: Value = first.map(|item| pinned("", item)).collect();
            json!({ "items": items.len(), "first": first })
        }
        Value::Array(items) => items.iter().map(|item| pinned("", item)).collect(),
        // Sums may be taken in another order.
        Value::Number(number) if !number.is_u64() => {
            let figure = format!("{:.9e}", number.as_f64().unwrap());
            json!(figure.parse::<f64>().unwrap())
        }
        _ => value.clone(),
    }
}

/// Where `now` lacks something of `golden`, or has it otherwise.
fn difference(path: &str, golden: &Value, now: &Value) -> Option<String> {
    match (golden, now) {
        (Value::Object(golden), Value::Object(now)) => golden.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match now.get(name) {
                Some(now) => difference(&path, value, now),
                None => Some(format!("{path} is gone")),
            }
        }),
        (Value::Array(golden), Value::Array(now)) if golden.len() == now.len() => {
            let mut places = golden.iter().zip(now).enumerate();
            places.find_map(|(place, (golden, now))| {
                difference(&format!("{path}[{place}]"), golden, now)
            })
        }
        _ if golden == now => None,
        _ => Some(format!("{path} was {golden} and is {now}")),
    }
}

/// Compares a run with what it was.
fn golden(name: &str, ran: &Ran) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reports");
    let path = folder.join(format!("{name}.json"));
    let now = json!({ "status": ran.status, "report": pinned("", &ran.json()) });
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            &path,
            format!("{}\n", serde_json::to_string_pretty(&now).unwrap()),
        )
        .unwrap();
    }
    let golden: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    if let Some(difference) = difference("", &golden, &now) {
        panic!("{name}: {difference}: {ran:?}");
    }
}

/// Options that leave nothing to chance: one request after the other.
const ONE_BY_ONE: [&str; 6] = ["-c", "1", "--tolerance", "10", "--json", "-"];

/// A demo of each kind: its name and options.
const DEMOS: &[(&str, &[&str])] = &[
    ("pass", &[]),
    ("fail", &["--split", "v1=50,v2=50"]),
    ("inconclusive", &["-n", "99"]),
    ("error", &["--page", "none", "-n", "300"]),
    (
        "tolerance",
        &["--judge", "tolerance", "--split", "v1=66,v2=34"],
    ),
    ("significance", &["--judge", "significance", "-n", "200"]),
    ("sequential", &["--sequential"]),
    (
        "sequential-fail",
        &["--sequential", "--split", "v1=40,v2=60"],
    ),
    ("sticky", &["--expect-sticky", "--discipline", "sticky"]),
    ("sticky-moved", &["--expect-sticky", "-n", "90"]),
    (
        "limits",
        &[
            "--max-p99",
            "v2=1h",
            "--max-error",
            "v1=1%",
            "--fault",
            "v1=503:50%@0-400",
        ],
    ),
    ("limits-exceeded", &["--max-p99", "v2=1us"]),
    ("keep-alive", &["--keep-alive", "--split", "v1=50,v2=50"]),
    (
        "per-connection",
        &[
            "--requests-per-connection",
            "10",
            "--discipline",
            "per-connection",
        ],
    ),
    (
        "zero-weight",
        &["--expect", "v1=100,v2=0", "--split", "v1=99,v2=1"],
    ),
    ("drift", &["--shift", "400:v1=40,v2=60"]),
    (
        "unexpected",
        &[
            "--backend",
            "v1=none-such",
            "--backend",
            "v2=challenge-app-v2",
        ],
    ),
    (
        "three",
        &[
            "--expect",
            "a=50,b=30,c=20",
            "--split",
            "a=30,b=20,c=50",
            "--seed",
            "7",
        ],
    ),
];

#[test]
fn golden_demos() {
    for (name, options) in DEMOS {
        let mut arguments = vec!["demo"];
        arguments.extend(ONE_BY_ONE);
        arguments.extend(*options);
        if !options.contains(&"--expect") {
            arguments.extend(["--expect", "v1=70,v2=30"]);
        }
        golden(name, &lbtest(&arguments));
    }
}

#[test]
fn golden_counts() {
    let expect = ["analyze", "--expect", "v1=70,v2=30", "--json", "-"];
    for (name, options) in [
        ("counts-pass", &["--observed", "v1=3500,v2=1500"][..]),
        ("counts-fail", &["--observed", "v1=69,v2=131"]),
        ("counts-few", &["--observed", "v1=69,v2=30"]),
        ("counts-none", &["--observed", "v1=0,v2=0"]),
        (
            "counts-unattributed",
            &["--observed", "v1=3500,v2=1500", "--unattributed", "400"],
        ),
        (
            "counts-sequential",
            &["--observed", "v1=3500,v2=1500", "--sequential"],
        ),
    ] {
        golden(name, &lbtest(&[&expect[..], options].concat()));
    }
    let pods = "challenge-app-6c4f8d9b7c-x2x4z\nalpha-5d8b9c7f6d-abcde\nnone of them\n".repeat(30);
    golden("log-doubtful", &lbtest_reading(&expect, pods.as_bytes()));
    let unreachable = lbtest(&["http://127.0.0.1:9/", "--expect", "v1=1", "--json", "-"]);
    golden("unreachable", &unreachable);
}

#[test]
fn golden_shards() {
    let ingress = Ingress::start(&Config::new("v1=70,v2=30".parse().unwrap())).unwrap();
    let url = format!("http://{}/", ingress.addr());
    let folder = tempfile::tempdir().unwrap();
    let shards: Vec<PathBuf> = (0..3)
        .map(|index| {
            let shard = format!("{index}/3");
            let mut arguments = vec![&*url, "--expect", "v1=70,v2=30", "-n", "900"];
            arguments.extend(["--shard", &shard, "--run-id", "golden"]);
            arguments.extend(["--max-error", "v2=1%"]);
            arguments.extend(ONE_BY_ONE);
            let ran = lbtest(&arguments);
            if index == 1 {
                golden("shard", &ran);
            }
            let path = folder.path().join(format!("{index}.json"));
            fs::write(&path, ran.stdout).unwrap();
            path
        })
        .collect();
    let path = |index: usize| shards[index].to_str().unwrap();
    for (name, files) in [
        ("merge", &[0, 1, 2][..]),
        ("merge-missing", &[2, 0]),
        ("merge-repeated", &[0, 1, 2, 1]),
    ] {
        let mut arguments = vec!["merge", "--json", "-"];
        arguments.extend(files.iter().map(|&index| path(index)));
        golden(name, &lbtest(&arguments));
    }
}

#[test]
fn golden_checks() {
    let ingress = Ingress::start(&Config::new("v1=70,v2=30".parse().unwrap())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lbtest.toml");
    let text = format!(
        r#"
        [target]
        url = "http://{}/"
        requests = 300
        concurrency = 1
        tolerance = "20pp"

        [[check]]
        name = "right"
        expect = "v1=70,v2=30"

        [[check]]
        name = "wrong"
        expect = "v1=30,v2=70"

        [[check]]
        name = "none"
        expect = "v1=70,v2=30"
        url = "http://127.0.0.1:9/"
        "#,
        ingress.addr()
    );
    fs::write(&file, text).unwrap();
    golden(
        "checks",
        &lbtest(&["--config", file.to_str().unwrap(), "--json", "-"]),
    );
}
