//! Checks that sessions stay on their backends.

use serde_json::{Value, json};

use crate::program::{Ran, codes, lbtest};

fn demo(arguments: &[&str]) -> Ran {
    let base = ["demo", "--expect", "v1=70,v2=30", "--json", "-"];
    lbtest(&[&base[..], arguments].concat())
}

#[test]
fn an_ingress_with_affinity_keeps_its_sessions_and_passes() {
    for more in [&[][..], &["--http2"], &["-z", "1s"], &["--rate", "2000/s"]] {
        let ran = demo(&[&["--expect-sticky", "--discipline", "sticky"], more].concat());
        let report = ran.json();
        let sessions = &report["stickiness"];
        assert_eq!(sessions["moved"], 0);
        // How many sessions a second is enough for is up to the machine.
        if more.contains(&"-z") && sessions["sessions"].as_u64() < Some(135) {
            assert_eq!((ran.status, codes(&report)[0]), (3, "too_few_sessions"));
            continue;
        }
        assert_eq!(ran.status, 0, "{ran:?}");
        assert_eq!(codes(&report), ["sessions_stayed"], "{more:?}");
        assert_eq!(sessions["carried"], json!(["INGRESSCOOKIE"]));
        assert_eq!(report["test"], Value::Null);
        assert!(sessions["p_value"].as_f64().unwrap() <= 0.001);
    }
}

#[test]
fn the_number_of_sessions_carries_the_promise() {
    let ran = demo(&["--expect-sticky", "--discipline", "sticky"]);
    let report = ran.json();
    // 0.95^135 is the first power at most 0.001.
    assert_eq!(report["stickiness"]["sessions"], 135);
    assert_eq!(report["requests"]["attributed"], 405);
    let began = report["stickiness"]["sessions_by_backend"]
        .as_object()
        .unwrap();
    let began: u64 = began.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(began, 135);
    assert!(ran.stderr.contains("135 sessions of 3 requests"), "{ran:?}");
}

#[test]
fn an_ingress_without_affinity_fails_with_the_moves_as_evidence() {
    let ran = demo(&["--expect-sticky"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let report = ran.json();
    assert_eq!(codes(&report), ["session_moved", "nothing_to_carry"]);
    let message = &report["stickiness"]["moves"][0];
    assert_ne!(message["from_label"], message["to_label"]);
    for pod in ["from_pod", "to_pod"] {
        let pod = message[pod].as_str().unwrap();
        assert!(ran.stderr.contains(pod), "{pod}: {ran:?}");
    }
}

#[test]
fn affinity_by_another_cookie_than_the_one_that_is_meant_fails() {
    let ran = demo(&["--expect-sticky=cookie:route", "--discipline", "sticky"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(codes(&ran.json()), ["session_moved", "nothing_to_carry"]);
    let named = demo(&[
        "--expect-sticky=cookie:INGRESSCOOKIE",
        "--discipline",
        "sticky",
    ]);
    assert_eq!(named.status, 0, "{named:?}");
}

#[test]
fn what_cannot_be_told_is_inconclusive_and_says_why() {
    for (arguments, code) in [
        (&["--discipline", "per-client"][..], "nothing_to_carry"),
        (&["--discipline", "sticky", "-n", "30"], "too_few_sessions"),
        (&["--discipline", "sticky", "--absent", "v2"], "one_backend"),
        (
            &["--discipline", "sticky", "--fault", "v1=503:2%"],
            "sessions_in_doubt",
        ),
        // A browser keeps no Secure cookie from http.
        (
            &[
                "--discipline",
                "per-client",
                "--response-header",
                "Set-Cookie: route=1; Secure",
            ],
            "nothing_to_carry",
        ),
        (
            &[
                "--discipline",
                "sticky",
                "--rate",
                "20/s",
                "--max-duration",
                "1s",
            ],
            "cut_short",
        ),
    ] {
        let ran = demo(&[&["--expect-sticky"], arguments].concat());
        assert_eq!(ran.status, 3, "{arguments:?}: {ran:?}");
        assert_eq!(codes(&ran.json())[0], code, "{arguments:?}: {ran:?}");
        if arguments.len() == 4 && arguments[2] == "--response-header" {
            assert!(ran.stderr.contains("Secure"), "{ran:?}");
        }
    }
}

#[test]
fn a_few_follow_ups_without_an_identity_do_not_stand_against_many_sessions() {
    let arguments = ["--discipline", "sticky", "--fault", "v1=503:1%", "-n", "9k"];
    let ran = demo(&[&["--expect-sticky"], &arguments[..]].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    let sessions = &ran.json()["stickiness"];
    assert!(sessions["in_doubt"].as_u64().unwrap() > 0, "{sessions}");
}

#[test]
fn a_backend_of_weight_zero_fails_whatever_the_sessions_do() {
    let ran = lbtest(&[
        "demo",
        "--expect",
        "v1=50,v2=50,v3=0",
        "--split",
        "v1=50,v2=40,v3=10",
        "--discipline",
        "sticky",
        "--expect-sticky",
        "--json",
        "-",
    ]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(codes(&ran.json())[0], "zero_weight_hit");
}

#[test]
fn nothing_to_measure_is_told_as_for_every_run() {
    let ran = demo(&["--expect-sticky", "--page", "none"]);
    assert_eq!(ran.status, 4, "{ran:?}");
    assert_eq!(codes(&ran.json())[0], "nothing_identified");
}

#[test]
fn options_that_contradict_sessions_are_one_sentence() {
    for (arguments, named) in [
        (&["--expect-sticky", "--keep-alive"][..], "--keep-alive"),
        (&["--expect-sticky", "--sequential"], "--sequential"),
        (
            &["--expect-sticky", "--requests-per-connection", "5"],
            "--requests-per-connection",
        ),
        (&["--expect-sticky", "--shard", "0/2"], "--shard"),
        (&["--expect-sticky=route"], "cookie:NAME"),
        (
            &["--expect-sticky", "--expect", "v1=100,v2=0"],
            "two backends",
        ),
    ] {
        let base = if arguments.contains(&"--expect") {
            vec!["demo"]
        } else {
            vec!["demo", "--expect", "v1=70,v2=30"]
        };
        let ran = lbtest(&[&base, arguments].concat());
        assert_eq!(ran.status, 2, "{arguments:?}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert!(ran.stderr.contains(named), "{named}: {ran:?}");
    }
}

#[test]
fn every_report_tells_of_the_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [junit, markdown, metrics, html] =
        ["junit.xml", "summary.md", "metrics.prom", "page.html"].map(file);
    let ran = demo(&[
        "--expect-sticky",
        "--junit",
        &junit,
        "--markdown",
        &markdown,
        "--openmetrics",
        &metrics,
        "--html",
        &html,
    ]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let junit = read(&junit);
    assert!(junit.contains("<testcase name=\"sessions\""), "{junit}");
    assert!(junit.contains("type=\"session_moved\""), "{junit}");
    assert!(
        read(&markdown).contains("Sessions\\: 135") || read(&markdown).contains("Sessions: 135")
    );
    let metrics = read(&metrics);
    assert!(metrics.contains("lbtest_sessions{") && metrics.contains("outcome=\"moved\""));
    assert!(read(&html).contains("sent back"));
}

#[test]
fn reports_say_that_shares_are_not_judged() {
    let sessions = ["--expect-sticky", "--discipline", "sticky"];
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (junit, html) = (path("a.xml"), path("a.html"));
    let ran = demo(&[&sessions[..], &["--junit", &junit, "--html", &html]].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(junit.contains("does not judge the backends"), "{junit}");
    assert!(!junit.contains("no response was attributed"), "{junit}");
    let html = std::fs::read_to_string(html).unwrap();
    assert!(html.contains("How requests are split is not judged here."));
    assert!(!html.contains(">unsettled<"), "{html}");
}
