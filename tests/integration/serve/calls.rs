//! Calls and their answers, one by one.

use std::fs;
use std::thread;
use std::time::Duration;

use lbtest::parts::Config;
use serde_json::Value;

use super::{ONE, Served, now, valid};
use crate::http::exchange;
use crate::program::{Ran, command, in_turn};

#[test]
fn a_check_runs_when_it_is_asked_for_and_answers_all_along() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    assert_eq!(served.get("/healthz").status, 200);
    assert_eq!(served.get("/readyz").status, 200);
    assert_eq!(served.ingress.counts().routed(), [0, 0]);
    let first = served.get("/verdict/shop");
    assert_eq!(first.status, 200);
    assert_eq!(valid(&first)["verdict"], "running");
    let answer = served.verdict("/verdict/shop");
    assert_eq!(answer["verdict"], "pass");
    assert_eq!(answer["expect"], "v1=70,v2=30");
    assert_eq!(answer["exit_status"], 0);
    assert_eq!(answer["reasons"][0]["code"], "split_matches");
    let ran = served.stop();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("shop (v1=70,v2=30): PASS"), "{ran:?}");
}

#[test]
fn pods_are_counted_and_judged_when_they_are_asked_for() {
    for (expected, pods, verdict, reason) in [
        ("true", "app=4", "pass", "pods_even"),
        ("5", "app=4", "fail", "pod_never_answered"),
        ("true", "app=1", "error", "not_run"),
    ] {
        let mut config = Config::new("app=1".parse().unwrap());
        config.pods = pods.parse().unwrap();
        let even = format!("expect_even = {expected}");
        let text = ONE.replace("expect = \"v1=70,v2=30\"\ntolerance = 10", &even);
        // The smallest for so many pods.
        let text = text.replace("alpha = 1e-8", "alpha = 1e-5");
        let served = Served::before(&config, &text, &[]);
        let answer = served.verdict("/verdict/shop");
        assert_eq!(answer["verdict"], verdict, "{answer}");
        assert_eq!(answer["reasons"][0]["code"], reason, "{answer}");
        assert_eq!(answer["expect"], "equal shares");
    }
}

#[test]
fn another_split_than_the_applied_one_fails_in_both_contracts() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    // As Argo Rollouts' web metric writes it.
    let answer = served.verdict("/verdict/shop?expect=v1=50,v2=50");
    assert_eq!(answer["verdict"], "fail");
    let payload = |expect: &str| {
        format!(
            r#"{{"name":"shop","namespace":"test","phase":"Progressing","checksum":"85d557f47b",
                "metadata":{{"expect":"{expect}"}}}}"#
        )
    };
    let failed = served.flagger("shop", &payload("v1=50,v2=50"));
    assert_eq!(failed.status, 409);
    assert_eq!(valid(&failed)["verdict"], "fail");
    // A split that is not known yet is neither.
    let awaited = served.flagger("shop", &payload("v1=70,v2=30"));
    assert_eq!(awaited.status, 425);
    assert_eq!(valid(&awaited)["verdict"], "running");
    assert_eq!(served.verdict("/verdict/shop")["verdict"], "pass");
    assert_eq!(served.flagger("shop", &payload("v1=70,v2=30")).status, 200);
}

#[test]
fn a_verdict_from_before_the_step_is_not_given() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    let before = served.verdict("/verdict/shop");
    let step = now();
    let path = format!("/verdict/shop?expect=v1=70,v2=30&not_before={step}");
    assert_eq!(valid(&served.get(&path))["verdict"], "running");
    let after = served.verdict(&path);
    assert_eq!(after["verdict"], "pass");
    assert_ne!(after["run_id"], before["run_id"]);
    assert!(
        after["started_at"].as_str() >= Some(&step),
        "{step}: {after}"
    );
}

#[test]
fn a_call_that_cannot_be_answered_says_why() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    for (path, status, message) in [
        ("/verdict/nope", 404, "no check of this name"),
        ("/verdict/", 404, "no check of this name"),
        ("/elsewhere", 404, "/verdict/NAME"),
        (
            "/report/shop/2026-01-31T12:00:00.000Z",
            404,
            "no report of such a run",
        ),
        ("/report/shop", 404, "no report of such a run"),
        ("/report/nope/x", 404, "no report of such a run"),
        ("/verdict/shop?expect=v1=70,v3=30", 400, "v1, v2"),
        ("/verdict/shop?expect=", 400, "no backends given"),
        ("/verdict/shop?exect=v1=70,v2=30", 400, "'exect'"),
        ("/verdict/shop?url=http://elsewhere/", 400, "'url'"),
        ("/verdict/shop?not_before=soon", 400, "'soon'"),
        ("/verdict/shop?not_before=99999999999", 400, "ahead"),
    ] {
        let response = served.get(path);
        assert_eq!(response.status, status, "{path}: {response:?}");
        let error: Value = serde_json::from_str(&response.body).unwrap();
        let error = error["error"].as_str().unwrap();
        assert!(error.contains(message), "{path}: {error}");
    }
    for body in ["{", "[1]", r#"{"metadata":{"expect":"x"}}"#] {
        assert_eq!(served.flagger("shop", body).status, 400, "{body}");
    }
    // A split in the URL of Flagger's webhook counts as well: here it contradicts the metadata.
    let twice = served.flagger(
        "shop?expect=v1=50,v2=50",
        r#"{"metadata":{"expect":"v1=70,v2=30"}}"#,
    );
    assert_eq!(twice.status, 400, "{twice:?}");
    assert!(twice.body.contains("expect is given twice"), "{twice:?}");
    let posted = exchange(&served.address, "POST", "/verdict/shop", &[], b"");
    assert_eq!(posted.status, 405);
    assert!(posted.head.contains("allow: get, head"), "{posted:?}");
    assert_eq!(served.get("/flagger/shop").status, 405);
    // Nothing of this has sent load.
    assert_eq!(served.ingress.counts().routed(), [0, 0]);
}

#[test]
fn more_splits_than_may_wait_are_refused_with_the_time_to_come_back() {
    // No run ends while this asks.
    let slow = "requests = 1000000\nrate = \"10/s\"\nexpect =";
    let served = Served::start("v1=70,v2=30", &ONE.replace("expect =", slow), &[]);
    let ask = |stable: u32| {
        served.get(&format!(
            "/verdict/shop?expect=v1={stable},v2={}",
            100 - stable
        ))
    };
    let statuses: Vec<u16> = (1..=12).map(|stable| ask(stable).status).collect();
    let refused = statuses.iter().filter(|&&status| status == 429).count();
    // The first may have begun to run already, and waits no longer.
    assert!((3..=4).contains(&refused), "{statuses:?}");
    let full = ask(50);
    assert_eq!(full.status, 429);
    assert!(full.head.contains("retry-after:"), "{full:?}");
    // Who asks for what waits already is not turned away.
    assert_eq!(ask(2).status, 200);
    let ran = served.stop();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
}

#[test]
fn strangers_need_the_token_and_learn_nothing_without_it() {
    let served = Served::start("v1=70,v2=30", ONE, &[("LBTEST_TOKEN", "s3cret")]);
    for path in ["/verdict/shop", "/verdict/nope", "/metrics", "/elsewhere"] {
        for headers in [
            &[][..],
            &["Authorization: Bearer s3cre"],
            &["Authorization: Basic czNjcmV0"],
        ] {
            let response = exchange(&served.address, "GET", path, headers, b"");
            assert_eq!(response.status, 401, "{path}");
            assert!(
                response.head.contains("www-authenticate: bearer"),
                "{response:?}"
            );
        }
    }
    assert_eq!(served.flagger("shop", "{}").status, 401);
    assert_eq!(served.flagger("shop", "{").status, 401);
    let wrong = r#"{"metadata":{"token":"16688eb5e9f289f1991c"}}"#;
    assert_eq!(served.flagger("shop", wrong).status, 401);
    // Flagger's webhooks have no headers.
    assert_eq!(
        served
            .flagger("shop", r#"{"metadata":{"token":"s3cret"}}"#)
            .status,
        425
    );
    let bearer = ["Authorization: Bearer s3cret"];
    assert_eq!(
        exchange(&served.address, "GET", "/verdict/shop", &bearer, b"").status,
        200
    );
    assert_eq!(
        exchange(&served.address, "GET", "/verdict/nope", &bearer, b"").status,
        404
    );
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn what_cannot_be_served_is_one_sentence_and_status_2() {
    let refused = |text: &str, more: &[&str], token: Option<&str>, message: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lbtest.toml"), text).unwrap();
        let mut command = command(&[&["serve"], more].concat());
        if let Some(token) = token {
            command.env("LBTEST_TOKEN", token);
        }
        let ran: Ran = command.current_dir(folder.path()).output().unwrap().into();
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.lines().count() == 1,
            "{ran:?}"
        );
        assert!(ran.stderr.contains(message), "{message}: {ran:?}");
    };
    refused(ONE, &["--listen", "0.0.0.0:0"], None, "LBTEST_TOKEN");
    refused(ONE, &["--listen", "[::]:0"], None, "token_file");
    refused(ONE, &["--listen", "0"], Some(" "), "LBTEST_TOKEN is empty");
    refused(ONE, &["--token-file", "/nonexistent"], None, "/nonexistent");
    refused(
        ONE,
        &["--listen", "192.0.2.1:1"],
        Some("x"),
        "cannot listen on 192.0.2.1:1",
    );
    refused("", &[], None, "[[check]]");
    refused("[serve]\nlisen = 1\n", &[], None, "did you mean 'listen'?");
    refused(
        "[[check]]\nname = \"a\"\nexpect_from = \"/nonexistent\"\n",
        &[],
        None,
        "check 'a'",
    );
    let nowhere = tempfile::tempdir().unwrap();
    let ran: Ran = command(&["serve"])
        .current_dir(nowhere.path())
        .output()
        .unwrap()
        .into();
    assert!(
        ran.status == 2 && ran.stderr.contains("--config"),
        "{ran:?}"
    );
}

#[test]
fn a_verdict_beyond_the_age_limit_is_not_given() {
    let text = ONE.replace("[serve]", "[serve]\nmax_age = \"1s\"");
    let served = Served::start("v1=70,v2=30", &text, &[]);
    let first = served.verdict("/verdict/shop");
    assert_eq!(first["verdict"], "pass");
    assert!(first["age_seconds"].as_f64() < Some(1.0), "{first}");
    std::thread::sleep(std::time::Duration::from_secs(1));
    let stale = valid(&served.get("/verdict/shop"));
    assert_eq!(stale["verdict"], "running", "{stale}");
    let again = served.verdict("/verdict/shop");
    assert_ne!(again["run_id"], first["run_id"]);
}

#[test]
fn the_background_measures_without_being_asked_and_tells_what_it_could_not() {
    // One request a connection, to where nobody listens.
    let text = r#"
[serve]
interval = "1s"
[[check]]
name = "nobody"
url = "http://127.0.0.1:9/"
expect = "v1=1"
[[check]]
name = "shop"
url = "URL"
expect = "v1=70,v2=30"
"#;
    let served = Served::start("v1=70,v2=30", text, &[]);
    let error = served.verdict("/verdict/nobody");
    assert_eq!(error["verdict"], "error");
    assert_eq!(error["reasons"][0]["code"], "unreachable");
    assert_eq!(served.flagger("nobody", "{}").status, 425);
    let first = served.verdict("/verdict/shop");
    // Another run replaces it, though nobody asks for one.
    let begun = std::time::Instant::now();
    while valid(&served.get("/verdict/shop"))["run_id"] == first["run_id"] {
        assert!(begun.elapsed() < super::PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

#[test]
fn manifests_say_what_a_check_expects() {
    let manifests = r#"
[serve]
interval = "off"
[target]
url = "URL"
tolerance = 10
alpha = 1e-8
[[check]]
name = "shop"
expect_from = "shop.yaml"
"#;
    let route = r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: shop}
spec:
  hostnames: [shop.example]
  rules:
    - backendRefs:
        - {name: challenge-app, port: 80, weight: 70}
        - {name: challenge-app-v2, port: 80, weight: 30}
";
    let config = lbtest::parts::Config {
        host: Some("shop.example".to_owned()),
        ..in_turn("v1=70,v2=30")
    };
    let files = [("lbtest.toml", manifests), ("shop.yaml", route)];
    let served = Served::with_files(&config, &files, &[]);
    let answer = served.verdict("/verdict/shop");
    assert_eq!(answer["verdict"], "pass", "{answer}");
    assert_eq!(answer["expect"], "challenge-app=70,challenge-app-v2=30");
    let step = "/verdict/shop?expect=challenge-app=50,challenge-app-v2=50";
    assert_eq!(served.verdict(step)["verdict"], "fail");
    // The same file is one for the gate.
    let ran: Ran = command(&["--json", "-"])
        .current_dir(served.folder())
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(
        ran.json()["checks"][0]["report"]["target"]["host"],
        "shop.example"
    );
}

#[test]
fn a_token_is_replaced_without_a_restart() {
    let text = ONE.replace("[serve]", "[serve]\ntoken_file = \"token\"");
    let files = [("lbtest.toml", &*text), ("token", "first\n")];
    let config = in_turn("v1=70,v2=30");
    let served = Served::with_files(&config, &files, &[]);
    let status = |token: &str| {
        let header = format!("Authorization: Bearer {token}");
        exchange(&served.address, "GET", "/metrics", &[&header], b"").status
    };
    assert_eq!((status("first"), status("second")), (200, 401));
    fs::write(served.folder().join("token"), "second\n").unwrap();
    while status("second") != 200 {
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(status("first"), 401);
    let message = served.stop().stderr;
    assert!(message.contains("holds a new token"), "{message}");
}

#[test]
fn a_gate_that_stops_says_so_before_it_takes_no_connection_any_more() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    assert_eq!(served.get("/readyz").status, 200);
    super::terminate(served.child.as_ref().unwrap());
    while served.get("/readyz").status == 200 {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(served.get("/verdict/shop").status, 200);
}

#[test]
fn an_age_limit_that_leaves_times_without_a_verdict_is_told() {
    let text = ONE.replace("\"off\"", "\"5m\"\nmax_age = \"1m\"");
    let served = Served::start("v1=70,v2=30", &text, &[]);
    let message = served.stop().stderr;
    assert!(
        message.contains("serve.max_age (60s) is below serve.interval (300s)"),
        "{message}"
    );
}
