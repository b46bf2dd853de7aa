//! `--expect-even` beside `--expect`: pods that are to share the requests of their backend equally.

use std::fmt::Write;

use lbtest::parts::{Config, Ingress};
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
    let text = message(&report, "reasons");
    assert!(text.starts_with("within v1: challenge-app-slow-"), "{text}");
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
    for (arguments, message) in [
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
            &["--expect-even", "--shard", "0/2"],
            "--shard needs the number of pods",
        ),
    ] {
        let ran = lbtest(&[&["demo", "--expect", "v1=70,v2=30"], arguments].concat());
        assert_eq!(ran.status, 2, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
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

#[test]
fn shards_of_a_split_with_even_pods_are_judged_together() {
    let folder = tempfile::tempdir().unwrap();
    let merged = |pods: &str| {
        let config = Config {
            pods: pods.parse().unwrap(),
            ..Config::new("v1=70,v2=30".parse().unwrap())
        };
        let ingress = Ingress::start(&config).unwrap();
        let url = format!("http://{}/", ingress.addr());
        let base = [&*url, "--expect", "v1=70,v2=30", "--expect-even=v1=3,v2=1"];
        let mut merge = vec!["merge".to_owned(), "--json".to_owned(), "-".to_owned()];
        for index in 0..3 {
            let file = folder.path().join(format!("{index}.json"));
            let (file, shard) = (file.to_str().unwrap(), format!("{index}/3"));
            let own = ["--shard", &shard, "--run-id", "r", "--json", file];
            let ran = lbtest(&[&base[..], &own].concat());
            assert_eq!(ran.status, 0, "{ran:?}");
            merge.push(file.to_owned());
        }
        let merge: Vec<&str> = merge.iter().map(String::as_str).collect();
        let ran = lbtest(&merge);
        (ran.status, ran.json())
    };
    let (status, report) = merged("v1=3,v2=1");
    assert_eq!(
        (status, codes(&report)),
        (0, vec!["split_matches", "pods_even", "pods_even"]),
        "{report:#}"
    );
    assert_eq!(report["requests"]["attributed"], 4126);
    let (status, report) = merged("v1=2,v2=1");
    assert_eq!(
        (status, codes(&report)[0]),
        (1, "pod_never_answered"),
        "{report:#}"
    );
}

/// The pods of a demo, by workload.
fn names() -> Vec<String> {
    let (_, report) = within(&[]);
    let pods = report["pods"].as_array().unwrap().iter();
    pods.map(|pod| pod["name"].as_str().unwrap().to_owned())
        .collect()
}

/// A route of 70/30 to two Services, and these pods behind them, of which `unready` is not ready.
fn manifests(names: &[String], unready: &str) -> String {
    let mut text = String::from(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: shop}\nspec:\n  rules:\n  - backendRefs:\n    \
         - {name: v1, port: 80, weight: 70}\n    - {name: v2, port: 80, weight: 30}\n",
    );
    for version in ["v1", "v2"] {
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {version}}}\nspec: {{selector: {{version: {version}}}}}\n"
        );
    }
    for name in names {
        let version = if name.contains("-v2-") { "v2" } else { "v1" };
        let ready = if name == unready { "False" } else { "True" };
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{version: {version}}}}}\nstatus: {{conditions: [{{type: \
             Ready, status: '{ready}'}}]}}\n"
        );
    }
    text
}

#[test]
fn manifests_count_the_pods_of_each_backend_and_name_the_one_that_is_silent() {
    let names = names();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.yaml");
    let path = file.to_str().unwrap();
    let run = |unready: &str, more: &[&str]| {
        std::fs::write(&file, manifests(&names, unready)).unwrap();
        let base = ["demo", "--expect", "v1=70,v2=30", "--expect-from", path];
        lbtest(&[&base[..], &["--json", "-"], more].concat())
    };
    let ran = run("", &["--expect-even"]);
    let report = ran.json();
    assert_eq!(
        (ran.status, codes(&report)),
        (0, vec!["split_matches", "pods_even", "pods_even"]),
        "{report:#}"
    );
    assert!(
        ran.stderr.contains(
            "expecting equal shares of 3 pods of v1 (the ready Pods), 1 pods of v2 (the ready Pods)"
        ),
        "{}",
        ran.stderr
    );

    let ran = run("", &["--expect-even", "--pods", "v1=2,v2=1"]);
    let report = ran.json();
    assert_eq!((ran.status, codes(&report)[0]), (1, "pod_never_answered"));
    let text = message(&report, "reasons");
    let silent = names.iter().find(|name| text.contains(&***name));
    assert!(
        silent.is_some() && text.starts_with("within v1: 2 of 3 pods answered"),
        "{text}"
    );

    let ran = run(&names[0], &["--expect-even"]);
    let report = ran.json();
    assert_eq!((ran.status, codes(&report)[0]), (1, "unexpected_pod"));
    assert!(
        message(&report, "reasons").contains(&names[0]),
        "{report:#}"
    );

    let refused = run("", &["--expect-even=v1=5,v2=1"]);
    assert_eq!(refused.status, 2);
    assert!(
        refused.stderr.contains(
            "--expect-even=v1=5, but the ready Pods of v1 in the manifests are 3: drop one of them"
        ),
        "{}",
        refused.stderr
    );
}
