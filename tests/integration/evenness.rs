//! `--expect-even`: pods that are to share the requests equally.

use lbtest::parts::{Config, Ingress};
use serde_json::Value;

use crate::program::{codes, findings, lbtest, lbtest_reading};

fn demo(arguments: &[&str]) -> (i32, Value) {
    let mut all = vec!["demo", "--expect-even=5", "--json", "-"];
    all.extend(arguments);
    let ran = lbtest(&all);
    (ran.status, ran.json())
}

fn message(report: &Value, list: &str) -> String {
    report[list][0]["message"].as_str().unwrap().to_owned()
}

#[test]
fn equal_pods_pass_with_a_row_for_each() {
    let (status, report) = demo(&[]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(codes(&report), ["pods_even"]);
    assert_eq!(report["requests"]["attributed"], 5074);
    assert_eq!(report["evenness"]["pods_expected"], 5);
    assert_eq!(report["evenness"]["pods_seen"], 5);
    let pods = report["pods"].as_array().unwrap();
    assert_eq!(pods.len(), 5);
    for pod in pods {
        assert_eq!(pod["name"], pod["label"]);
        let figure = |name: &str| pod[name].as_f64().unwrap();
        assert!((figure("equal_share_ratio") - 5.0 * figure("share")).abs() < 1e-9);
        assert!(figure("interval_low") < figure("share"));
        assert!(figure("interval_high") > figure("share"));
    }
}

/// What `demo` says of pods whose number nobody gave.
fn discovering(arguments: &[&str]) -> (i32, Value, String) {
    let ran = lbtest(&[&["demo", "--expect-even", "--json", "-"], arguments].concat());
    (ran.status, ran.json(), ran.stderr)
}

#[test]
fn pods_that_nobody_counted_are_found_first_and_visibly() {
    let (status, report, stderr) = discovering(&["--pods", "app=7"]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(report["evenness"]["pods_expected"], 7);
    let found = &report["requests"]["set_aside_by_reason"]["discovery"];
    assert_eq!(found, 108);
    let message = "7 pods answered 108 requests, which are set aside; another that gets half of an equal share is missed \
                at most 1 run in 1000";
    assert!(stderr.contains(message), "{stderr}");
    let opened = report["connections"]["opened"].as_u64();
    let sent = report["requests"]["sent"].as_u64();
    assert_eq!(opened, sent, "the connections of the discovery count");

    let (status, report, _) = discovering(&["--pods", "app=1"]);
    assert_eq!((status, codes(&report)[0]), (4, "one_pod_alone"));
    let (status, report, _) = discovering(&["--split", "a=8,slow=1", "--pods", "a=4"]);
    assert_eq!((status, codes(&report)[0]), (1, "pods_uneven"));
}

#[test]
fn a_ready_pod_of_the_manifests_that_never_answered_is_named() {
    let (_, report) = demo(&[]);
    let pods = report["pods"].as_array().unwrap();
    let mut names: Vec<&str> = pods
        .iter()
        .map(|pod| pod["name"].as_str().unwrap())
        .collect();
    let (_, report) = demo(&["--pods", "app=4"]);
    let answering = report["pods"].to_string();
    names.sort_by_key(|name| !answering.contains(name));
    let silent = names[4];
    let list = |is_ready: &str| {
        let item = |name: &&str| {
            let ready = if *name == silent { is_ready } else { "True" };
            serde_json::json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": "shop"},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            })
        };
        let items: Vec<Value> = names.iter().map(item).collect();
        serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pods.json");
    let path = file.to_str().unwrap();
    let from = ["--pods", "app=4", "--expect-from", path];
    std::fs::write(&file, list("True")).unwrap();
    let (status, report, stderr) = discovering(&from);
    assert!(
        stderr.contains("expecting equal shares of 5 pods: the ready Pods of the manifests"),
        "{stderr}"
    );
    assert_eq!((status, codes(&report)[0]), (1, "pod_never_answered"));
    let text = message(&report, "reasons");
    assert!(
        text.contains(&format!(
            "responses: {silent} never did, and gets at most 0.136 %"
        )),
        "{text}"
    );
    // One that is not ready gets nothing by right.
    std::fs::write(&file, list("False")).unwrap();
    let (status, report, _) = discovering(&from);
    assert_eq!((status, codes(&report)[0]), (0, "pods_even"), "{report}");
    // One that is not ready and answers is told by name, too.
    let (status, report, _) = discovering(&["--pods", "app=5", "--expect-from", path]);
    assert_eq!((status, codes(&report)[0]), (1, "unexpected_pod"));
    assert!(message(&report, "reasons").contains(silent), "{report}");

    let ran = lbtest(&["demo", "--expect-even=7", "--expect-from", path]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.contains("the ready Pods of the manifests are 4"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_pod_that_never_answered_fails_with_the_bound_of_what_it_gets() {
    let (status, report) = demo(&["--pods", "app=4"]);
    assert_eq!(status, 1);
    assert_eq!(codes(&report), ["pod_never_answered"]);
    let text = message(&report, "reasons");
    assert!(text.starts_with("4 of 5 pods answered"), "{text}");
    assert!(text.contains("at most 0.136 % of the requests"), "{text}");
    assert_eq!(report["evenness"]["pods_seen"], 4);
}

#[test]
fn a_pod_at_half_its_share_fails_and_is_named() {
    let (status, report) = demo(&["--split", "a=8,slow=1", "--pods", "a=4"]);
    assert_eq!(status, 1);
    assert_eq!(codes(&report), ["pods_uneven"]);
    let text = message(&report, "reasons");
    assert!(text.starts_with("challenge-app-slow-"), "{text}");
    assert!(text.contains("0.57 × its equal share"), "{text}");
    let findings: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect();
    assert_eq!(findings, ["pod_cold", "hottest_pod", "balancer_random"]);
    let cost = report["findings"][1]["message"].as_str().unwrap();
    assert!(
        cost.contains("it is full when the fleet runs at 86 %"),
        "{cost}"
    );
}

#[test]
fn two_groups_of_pods_are_told_with_what_each_gets() {
    let zones = [
        "--expect-even=5",
        "--split",
        "a=1,b=1",
        "--pods",
        "a=2,b=3",
        "--json",
        "-",
    ];
    let ran = lbtest(&[&["demo"], &zones[..]].concat());
    let report = ran.json();
    assert_eq!((ran.status, codes(&report)[0]), (1, "pods_uneven"));
    let groups = findings(&report)[0];
    assert_eq!(groups["code"], "pods_in_two_groups", "{groups:#}");
    assert_eq!(groups["evidence"]["pods_with_more"], 2.0);
    let text = groups["message"].as_str().unwrap();
    assert!(
        text.starts_with("2 pods get 1.2") && text.contains("and 3 pods get 0.8"),
        "{text}"
    );
}

#[test]
fn one_pod_too_many_fails_and_has_a_row() {
    let ran = lbtest(&[
        "demo",
        "--expect-even=5",
        "--pods",
        "app=6",
        "--no-progress",
    ]);
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    let rows = ran.stdout.lines();
    assert_eq!(
        // Names are cut within, so that their ends still tell them apart.
        rows.filter(|row| row.starts_with("chall")).count(),
        6
    );
    assert!(ran.stdout.contains("6 pods answered where 5 are expected"));
}

#[test]
fn a_pod_that_comes_goes_or_restarts_is_named_and_decides_nothing() {
    let (five, four) = (["--split", "a=4,b=1,c=0"], ["--split", "a=4,b=0"]);
    let cases: [(&[&str], &str, &str, &str); 6] = [
        (
            &five,
            "--expect-even=5",
            "2500:a=4,b=0",
            "b-.* nothing after request 2",
        ),
        (
            &five,
            "--expect-even=5",
            "4900:a=4,b=0",
            "b-.* nothing after request 4",
        ),
        (
            &four,
            "--expect-even=5",
            "120:a=4,b=1",
            "b-.* nothing before request [1-9]",
        ),
        (
            &four,
            "--expect-even=5",
            "4800:a=4,b=1",
            "b-.* nothing before request 4",
        ),
        // One too many, and yet none: it came.
        (
            &four,
            "--expect-even",
            "2500:a=4,b=1",
            "b-.* nothing before request 2",
        ),
        (
            &five,
            "--expect-even=5",
            "2500:a=4,b=0,c=1",
            "c-.* nothing before request 2",
        ),
    ];
    for (split, even, shift, text) in cases {
        // One at a time and with a seed: no answer overtakes another, and nothing is drawn anew.
        let rest = ["--pods", "a=4", "--shift", shift, "--json", "-"];
        let rest = [&rest[..], &["-c", "1", "--seed", "1"]].concat();
        let ran = lbtest(&[&["demo", even], split, &rest].concat());
        let report = ran.json();
        assert_eq!(ran.status, 3, "{shift}: {:#}", report["reasons"]);
        let pattern = regex::Regex::new(&format!("challenge-app-{text}")).unwrap();
        let message = message(&report, "reasons");
        assert!(pattern.is_match(&message), "{text}: {message}");
        let codes = codes(&report);
        assert!(
            codes[0] == "drift" && !codes.contains(&"pods_uneven"),
            "{codes:?}"
        );
        assert!(!codes.contains(&"unexpected_pod"), "{codes:?}");
        let about = findings(&report)[0];
        assert_eq!(about["code"], "balancer_unknown", "{report:#}");
    }
}

#[test]
fn pods_that_stayed_and_are_uneven_fail_whatever_came_or_went() {
    let uneven = ["--split", "a=8,slow=1,b=2", "--pods", "a=4"];
    let shift = ["--shift", "2500:a=8,slow=1,b=0", "--json", "-"];
    let ran = lbtest(&[&["demo", "--expect-even=6"], &uneven[..], &shift].concat());
    let report = ran.json();
    assert_eq!(ran.status, 1, "{:#}", report["reasons"]);
    assert_eq!(codes(&report), ["drift", "pods_uneven"]);
}

#[test]
fn shards_of_an_even_run_are_judged_together() {
    let folder = tempfile::tempdir().unwrap();
    let shards = |name: &str, pods: &str| -> (i32, Value) {
        let mut config = Config::new("app=1".parse().unwrap());
        config.pods = pods.parse().unwrap();
        let ingress = Ingress::start(&config).unwrap();
        let url = format!("http://{}/", ingress.addr());
        let files: Vec<String> = (0..3)
            .map(|index| {
                let file = folder.path().join(format!("{name}-{index}.json"));
                let file = file.to_str().unwrap().to_owned();
                let shard = format!("{index}/3");
                let own = ["--shard", &shard, "--run-id", name, "--json", &file];
                let ran = lbtest(&[&[&*url, "--expect-even=5"], &own[..]].concat());
                assert_eq!(ran.status, 0, "{ran:?}");
                file
            })
            .collect();
        let mut merge = vec!["merge", "--json", "-"];
        merge.extend(files.iter().map(String::as_str));
        let ran = lbtest(&merge);
        (ran.status, ran.json())
    };
    let (status, report) = shards("even", "app=5");
    assert_eq!((status, codes(&report)[0]), (0, "pods_even"), "{report:#}");
    assert_eq!(report["evenness"]["pods_seen"], 5);
    assert_eq!(report["requests"]["attributed"], 5074);
    let (status, report) = shards("four", "app=4");
    assert_eq!((status, codes(&report)[0]), (1, "pod_never_answered"));

    let refused = lbtest(&["demo", "--expect-even", "--shard", "0/2"]);
    assert_eq!(refused.status, 2);
    assert!(
        refused.stderr.contains("--shard needs the number of pods"),
        "{}",
        refused.stderr
    );
}

#[test]
fn one_pod_that_answers_everything_is_told_of_stickiness() {
    let (status, report) = demo(&["--pods", "app=1"]);
    assert_eq!(status, 1);
    assert_eq!(report["findings"][0]["code"], "one_pod_alone");
}

#[test]
fn connections_that_keep_to_a_pod_are_one_draw_each() {
    let kept = [
        "--requests-per-connection",
        "10",
        "--discipline",
        "per-connection",
    ];
    let (status, report) = demo(&kept);
    assert_eq!(status, 3);
    assert_eq!(codes(&report)[0], "too_few_requests");
    assert_eq!(report["test"]["method"], "first_response");
}

#[test]
fn five_hundred_pods_are_told_apart_and_a_thousand_planned() {
    // Ten requests for each pod; a release build sends the 850,953 of the usual promise in a minute.
    let few = ["--expect-even=500", "-n", "5000", "--judge", "significance"];
    let ran = lbtest(&[&["demo"], &few[..], &["--json", "-"]].concat());
    let report = ran.json();
    assert_eq!(ran.status, 0, "{:#}", report["reasons"]);
    assert_eq!(report["evenness"]["pods_seen"], 500);
    let ran = lbtest(&["plan", "--expect-even=1000", "--json", "-"]);
    let report = ran.json();
    assert!(
        report["requests"].as_u64() > Some(1_000_000),
        "{}",
        ran.stdout
    );
    let chance = |row: usize, of: &str| report["power"][row][of].as_f64().unwrap();
    assert!(
        chance(0, "pass_probability") > 0.99 && chance(5, "pass_probability") < 0.002,
        "{}",
        ran.stdout
    );
    let ran = lbtest(&["plan", "--expect-even=1001"]);
    assert!(ran.stderr.contains("from 1 to 1000"), "{}", ran.stderr);
}

#[test]
fn a_configuration_file_may_expect_even_shares() {
    let table = "[target]\nurl = \"http://127.0.0.1:9/\"\n[[check]]\nname = \"pods\"\nexpect_even = 3\neven_tolerance = \"60%\"\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lbtest.toml");
    std::fs::write(&file, table).unwrap();
    let ran = lbtest(&["--config", file.to_str().unwrap()]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.contains("60 is not a deviation"),
        "{}",
        ran.stderr
    );
}

#[test]
fn counts_of_uniq_are_judged() {
    let judged = |counts: &str| {
        let arguments = ["analyze", "--expect-even=3", "--json", "-"];
        let ran = lbtest_reading(&arguments, counts.as_bytes());
        (ran.status, ran.json())
    };
    let (status, report) = judged("   1000 app-a\n    990 app-b\n   1010 app-c\n");
    assert_eq!(status, 0, "{report}");
    assert_eq!(report["backends"][1]["label"], "app-b");
    assert_eq!(report["backends"][1]["observed"], 990);
    let arguments = ["analyze", "--expect-even", "--json", "-"];
    let ran = lbtest_reading(&arguments, b"   1000 app-a\n    990 app-b\n   1010 app-c\n");
    assert_eq!(
        (ran.status, &ran.json()["evenness"]["pods_expected"]),
        (0, &3.into())
    );
    let (status, report) = judged("   1500 app-a\n    990 app-b\n    510 app-c\n");
    assert_eq!((status, codes(&report)[0]), (1, "pods_uneven"));
}

#[test]
fn counts_that_no_run_has_are_refused() {
    let arguments = ["analyze", "--expect-even=2"];
    let counts = "   1000000000000000 app-a\n   1 app-b\n";
    let ran = lbtest_reading(&arguments, counts.as_bytes());
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("more than 10^15"), "{}", ran.stderr);
}

#[test]
fn a_page_shows_pods_by_share_and_folds_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let few = ["--expect-even=25", "-n", "2500", "--judge", "significance"];
    let ran = lbtest(&[&["demo"], &few[..], &["--html", page.to_str().unwrap()]].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains("… 5 more"));
    let rows = html
        .split("data-of=\"observed\" class=\"n\">")
        .skip(1)
        .take(10);
    let counts: Vec<u64> = rows
        .map(|row| row.split('<').next().unwrap().parse().unwrap())
        .collect();
    assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
}
