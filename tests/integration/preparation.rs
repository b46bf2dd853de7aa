//! What is sent before the requests that count, and what the first of those tell.

use std::net::TcpListener;

use lbtest::parts::Ingress;
use serde_json::Value;

use crate::program::{codes, in_turn, lbtest};

fn adds_up(requests: &Value) {
    let count = |name: &str| requests[name].as_u64().unwrap();
    assert_eq!(
        count("sent"),
        count("attributed") + count("unattributed") + count("set_aside"),
        "{requests}"
    );
}

#[test]
fn warm_up_and_polls_are_set_aside_and_reported() {
    let demo = [
        "demo",
        "--expect",
        "v1=70,v2=30",
        "--json",
        "-",
        "-n",
        "942",
    ];
    let more = [
        "--tolerance",
        "10",
        "--warmup",
        "300",
        "--wait-ready",
        "10m",
    ];
    let ran = lbtest(&[&demo[..], &more].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    let report = ran.json();
    let requests = &report["requests"];
    adds_up(requests);
    assert_eq!(requests["attributed"], 942);
    assert_eq!(requests["set_aside_by_reason"]["warmup"], 300);
    assert!(requests["set_aside_by_reason"]["wait_ready"].as_u64() >= Some(2));
    assert_eq!(report["plan"]["warmup_requests"], 300);
    assert_eq!(report["plan"]["wait_ready_seconds"], 600.0);
    assert!(ran.stderr.contains("300 requests of warm-up"), "{ran:?}");
}

#[test]
fn a_backend_that_is_not_there_in_time_is_named() {
    let demo = ["demo", "--expect", "v1=70,v2=30", "--absent", "v2"];
    let ran = lbtest(&[&demo[..], &["--wait-ready", "1s", "--json", "-"]].concat());
    assert_eq!(ran.status, 4, "{ran:?}");
    assert_eq!(codes(&ran.json()), ["not_ready"]);
    assert!(ran.stderr.contains("v2 did not answer"), "{ran:?}");
    // What was sent stands in the report, though none of it counts.
    let requests = &ran.json()["requests"];
    adds_up(requests);
    assert!(requests["set_aside_by_reason"]["wait_ready"].as_u64() > Some(0));
}

#[test]
fn what_is_neither_a_time_nor_a_number_warms_nothing_up() {
    let ran = lbtest(&["--expect", "a=1", "--warmup", "soon"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("--warmup"), "{ran:?}");
}

#[test]
fn shards_warm_up_each_and_what_they_set_aside_adds_up() {
    let ingress = Ingress::start(&in_turn("v1=70,v2=30")).unwrap();
    let url = format!("http://{}/", ingress.addr());
    let directory = tempfile::tempdir().unwrap();
    let files = [0, 1].map(|shard| {
        let file = directory.path().join(format!("{shard}.json"));
        let file = file.to_str().unwrap().to_owned();
        let base = [&*url, "--expect", "v1=70,v2=30", "--run-id", "warm"];
        let part = format!("{shard}/2");
        let more = ["--shard", &*part, "--warmup", "50", "--json", &*file];
        let ran = lbtest(&[&base[..], &more].concat());
        assert_eq!(ran.status, 0, "{ran:?}");
        file
    });
    let merged = lbtest(&["merge", &files[0], &files[1], "--json", "-"]);
    let report = merged.json();
    adds_up(&report["requests"]);
    assert_eq!(report["requests"]["set_aside_by_reason"]["warmup"], 100);
}

#[test]
fn a_slow_target_that_names_no_pod_is_told_of_early() {
    let demo = [
        "demo",
        "--expect",
        "v1=70,v2=30",
        "--page",
        "none",
        "--json",
        "-",
    ];
    let ran = lbtest(&[&demo[..], &["--rate", "20/s"]].concat());
    assert_eq!(ran.status, 4, "{ran:?}");
    let report = ran.json();
    assert_eq!(codes(&report)[0], "nothing_identified");
    let sent = report["requests"]["sent"].as_u64().unwrap();
    assert!((29..1000).contains(&sent), "{sent} requests");
    assert!(ran.stderr.contains("--identify"), "{ran:?}");
}

#[test]
fn a_target_that_never_answers_is_told_of_early() {
    // The kernel takes the connections, and nobody reads them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let ran = lbtest(&[&url, "--expect", "v1=70,v2=30", "--json", "-", "-t", "2s"]);
    assert_eq!(ran.status, 4, "{ran:?}");
    let report = ran.json();
    assert_eq!(report["requests"]["attributed"], 0);
    let sent = report["requests"]["sent"].as_u64().unwrap();
    assert!(sent <= 1000, "{sent} requests");
    assert!(ran.stderr.contains("no answer yet"), "{ran:?}");
}
