//! What is told of the balancer beside whether pods are even: its algorithm, and what connections do.

use serde_json::Value;

use crate::program::{codes, lbtest};

fn demo(arguments: &[&str]) -> (i32, Value) {
    let ran = lbtest(&[&["demo", "--expect-even=5", "--json", "-"], arguments].concat());
    (ran.status, ran.json())
}

fn finding<'r>(report: &'r Value, code: &str) -> &'r Value {
    let mut findings = report["findings"].as_array().unwrap().iter();
    findings
        .find(|finding| finding["code"] == code)
        .unwrap_or_else(|| panic!("no {code}: {:#}", report["findings"]))
}

fn message_of<'r>(report: &'r Value, code: &str) -> &'r str {
    finding(report, code)["message"].as_str().unwrap()
}

#[test]
fn the_algorithm_is_named_with_its_evidence() {
    let five = ["--split", "a=1,b=1,c=1,d=1,e=1"];
    let (status, report) = demo(&[]);
    assert_eq!(status, 0, "{report:#}");
    let random = finding(&report, "balancer_random");
    let dispersion = random["evidence"]["long_dispersion"].as_f64().unwrap();
    assert!((0.4..1.8).contains(&dispersion), "{random:#}");

    let turns = [&five[..], &["--discipline", "round-robin"]].concat();
    let (status, report) = demo(&turns);
    assert_eq!((status, codes(&report)[0]), (0, "pods_even"), "{report:#}");
    let message = message_of(&report, "balancer_round_robin");
    assert!(message.contains("(round robin)"), "{message}");

    let (status, report) = demo(&[&five[..], &["--discipline", "per-client"]].concat());
    assert_eq!((status, codes(&report)[0]), (1, "pod_never_answered"));
    let message = message_of(&report, "balancer_hash");
    assert!(
        message.contains("one of 5 pods answered them all"),
        "{message}"
    );
    assert!(message_of(&report, "one_pod_alone").contains("--shard"));

    let few = demo(&["-n", "300", "--judge", "significance"]).1;
    let message = message_of(&few, "balancer_unknown");
    assert!(
        message.contains("with 50 in flight: ") && message.contains("send more"),
        "{message}"
    );
}

#[test]
fn fresh_and_kept_connections_are_compared_where_asked() {
    let kept = [
        "--compare-connections",
        "--discipline",
        "per-connection",
        "--split",
        "a=1,b=1,c=1,d=1,e=1",
    ];
    let (status, report) = demo(&kept);
    assert_eq!((status, codes(&report)[0]), (0, "pods_even"), "{report:#}");
    let message = message_of(&report, "pinned_by_connection");
    let [fresh, pinned] = ["a connection for each request: PASS", "kept connections: "]
        .map(|part| message.find(part).unwrap_or_else(|| panic!("{message}")));
    assert!(fresh < pinned, "{message}");
    assert!(!message.contains("kept connections: PASS"), "{message}");
    let evidence = &finding(&report, "pinned_by_connection")["evidence"];
    assert!(
        evidence["kept_hottest_ratio"].as_f64() > evidence["fresh_hottest_ratio"].as_f64(),
        "{evidence}"
    );
    // The verdict is that of the run that was asked for, and this one is the other.
    let (status, report) = demo(&[&kept[..], &["--requests-per-connection", "20"]].concat());
    assert_eq!(status, 3, "{report:#}");
    let message = message_of(&report, "pinned_by_connection");
    assert!(
        message.starts_with("a connection for each request: PASS")
            && message.contains("20 requests a connection: INCONCLUSIVE"),
        "{message}"
    );

    let (status, report) = demo(&["--compare-connections"]);
    assert_eq!(status, 0, "{report:#}");
    let message = message_of(&report, "connections_compared");
    assert!(message.contains("kept connections: PASS"), "{message}");

    let split = [
        "demo",
        "--compare-connections",
        "--discipline",
        "per-connection",
    ];
    let ran = lbtest(&[&split[..], &["--json", "-"]].concat());
    let message = message_of(&ran.json(), "pinned_by_connection").to_owned();
    assert!(message.contains("PASS, v1 "), "{message}");

    let refused = lbtest(&["demo", "--compare-connections", "--sequential"]);
    assert_eq!(refused.status, 2);
    assert!(
        refused
            .stderr
            .contains("--compare-connections and --sequential exclude each other"),
        "{}",
        refused.stderr
    );
}
