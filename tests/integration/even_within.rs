//! `--expect-even` beside `--expect`: pods that are to share the requests of their backend equally.

use serde_json::Value;

use crate::program::{codes, lbtest, lbtest_reading};

fn message(report: &Value, list: &str) -> String {
    report[list][0]["message"].as_str().unwrap().to_owned()
}

/// What `demo` says of a split whose backends have 3 pods and 1.
fn within(arguments: &[&str]) -> (i32, Value) {
    let base = [
        "demo",
        "--expect",
        "v1=70,v2=30",
        "--expect-even=v1=3,v2=1",
        "--json",
        "-",
    ];
    let ran = lbtest(&[&base, arguments].concat());
    (ran.status, ran.json())
}

#[test]
fn a_split_with_even_pods_within_its_backends_passes() {
    let (status, report) = within(&[]);
    assert_eq!(
        (status, codes(&report)),
        (0, vec!["split_matches", "pods_even", "pods_even"]),
        "{report:#}"
    );
    let parts = report["evenness_by_backend"].as_array().unwrap();
    assert_eq!(
        (&parts[0]["label"], &parts[0]["pods_seen"]),
        (&"v1".into(), &3.into())
    );
    assert_eq!(
        (&parts[1]["label"], &parts[1]["verdict"]),
        (&"v2".into(), &"pass".into())
    );
    assert_eq!(report["evenness"], Value::Null);
    for pod in report["pods"].as_array().unwrap() {
        assert!(
            (pod["equal_share_ratio"].as_f64().unwrap() - 1.0).abs() < 0.2,
            "{pod}"
        );
    }
    let promise = report["plan"]["promise"].as_str().unwrap();
    assert!(
        promise.contains("equal shares of 3 pods of v1, 1 pod of v2"),
        "{promise}"
    );
}

/// Four pods, each of which gets a quarter whatever the weights say.
#[test]
fn the_same_split_routed_uniformly_over_the_pods_fails_with_that_cause() {
    let (status, report) = within(&["--split", "v1=75,v2=25"]);
    assert_eq!((status, codes(&report)[0]), (1, "split_off"), "{report:#}");
    let finding = &report["findings"][0];
    let tied = finding["tied_with"].to_string();
    assert!(
        finding["code"] == "uniform_over_pods" || tied.contains("uniform_over_pods"),
        "{finding:#}"
    );
}

#[test]
fn a_part_that_is_off_fails_the_whole_and_says_where() {
    // v1's pods are two Deployments: 60 % on three pods, 10 % on one.
    let uneven = ["--split", "v1=60,slow=10,v2=30", "--pods", "v1=3"];
    let mapped = [
        "--backend",
        "v1=challenge-app",
        "--backend",
        "v1=challenge-app-slow",
        "--backend",
        "v2=challenge-app-v2",
    ];
    let base = [
        "demo",
        "--expect",
        "v1=70,v2=30",
        "--expect-even=v1=4,v2=1",
        "--json",
        "-",
    ];
    let ran = lbtest(&[&base[..], &uneven, &mapped].concat());
    let report = ran.json();
    assert_eq!(
        (ran.status, codes(&report)[0]),
        (1, "pods_uneven"),
        "{report:#}"
    );
    let told = message(&report, "reasons");
    assert!(told.starts_with("within v1: challenge-app-slow-"), "{told}");
    assert_eq!(report["findings"][0]["code"], "pod_cold", "{report:#}");

    let (status, report) = within(&["--pods", "v1=2,v2=1"]);
    assert_eq!(
        (status, codes(&report)[0]),
        (1, "pod_never_answered"),
        "{report:#}"
    );
    let (status, report) = within(&["--pods", "v1=3,v2=2"]);
    assert_eq!(
        (status, codes(&report)[0]),
        (1, "unexpected_pod"),
        "{report:#}"
    );
}

#[test]
fn pods_within_backends_are_counted_first_where_nobody_counted_them() {
    let base = [
        "demo",
        "--expect",
        "v1=70,v2=30",
        "--expect-even",
        "--json",
        "-",
    ];
    let ran = lbtest(&[&base[..], &["--pods", "v1=3,v2=2"]].concat());
    let report = ran.json();
    assert_eq!(ran.status, 0, "{report:#}");
    assert!(
        ran.stderr
            .contains("3 pods of v1, 2 pods of v2 answered 135 requests, which are set aside"),
        "{}",
        ran.stderr
    );
    assert_eq!(report["evenness_by_backend"][1]["pods_expected"], 2);
}

#[test]
fn what_says_nothing_of_pods_within_backends_is_refused_beside_them() {
    for (arguments, told) in [
        (&["--expect-even=3"][..], "does not say whose pods they are"),
        (
            &["--expect-even=v3=1"],
            "names 'v3', and --expect has no such backend",
        ),
        (&["--expect-even=v1=1,v1=2"], "gives the pods of 'v1' twice"),
        (
            &["--expect-even=v1=3", "--sequential"],
            "--expect-even and --sequential exclude",
        ),
        (
            &["--expect-even=v1=3", "--keep-alive"],
            "--expect-even and --keep-alive exclude",
        ),
        (
            &["--expect-even=v1=3", "--shard", "0/2"],
            "make two runs of them",
        ),
    ] {
        let ran = lbtest(&[&["demo", "--expect", "v1=70,v2=30"], arguments].concat());
        assert_eq!(ran.status, 2, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
    let ran = lbtest(&["demo", "--expect-even=v1=3"]);
    assert!(
        ran.stderr.contains("no split is expected"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_configuration_file_and_counts_may_expect_even_pods_within_backends() {
    let counts = "  1400 app-6f79ff6b8d-fmzvc\n  1410 app-6f79ff6b8d-x7k2p\n  1390 app-6f79ff6b8d-nnjmj\n  1800 app-v2-6b8464cddd-nnjmj\n";
    for even in ["--expect-even", "--expect-even=v1=3,v2=1"] {
        let ran = lbtest_reading(
            &[
                "analyze",
                "--expect",
                "v1=70,v2=30",
                even,
                "--backend",
                "v2=app-v2",
                "--json",
                "-",
            ],
            counts.as_bytes(),
        );
        assert_eq!(ran.status, 0, "{ran:?}");
        assert_eq!(
            codes(&ran.json()),
            ["split_matches", "pods_even", "pods_even"]
        );
    }
    let table = "[target]\nurl = \"http://127.0.0.1:9/\"\nexpect = \"v1=70,v2=30\"\nexpect_even = {v1 = 3, v2 = 1}\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lbtest.toml");
    std::fs::write(&file, table).unwrap();
    let ran = lbtest(&["--config", file.to_str().unwrap()]);
    assert_eq!(ran.status, 4, "{ran:?}");
}
