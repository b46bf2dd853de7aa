//! `--expect-from` and `lint`: a manifest of every kind with the split that it says, and broken ones with
//! their message.

use std::fs;
use std::path::{Path, PathBuf};

use lbtest::parts::{Choice, Input, Manifests, path_of};
use serde_json::Value;

use crate::program::{Ran, lbtest, lbtest_reading};

fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/manifests")
        .join(folder)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(data(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    files
}

/// What the comment `# key: value` at the head of a file says (in JSON, a string of it).
fn says<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let comment = format!("# {key}: ");
    let start = text.find(&comment)? + comment.len();
    let rest = text[start..].split('\n').next().unwrap();
    Some(if text.starts_with('{') {
        rest.split('"').next().unwrap()
    } else {
        rest
    })
}

fn read(path: &Path) -> Manifests {
    let bytes = fs::read(path).unwrap();
    let name = path.display().to_string();
    Manifests::read(&[Input {
        name,
        bytes,
        is_found: false,
    }])
    .unwrap()
}

/// One `error:` line with status 2.
fn refusal(ran: &Ran) -> &str {
    assert_eq!(ran.status, 2, "{ran:?}");
    let mut lines = ran
        .stderr
        .lines()
        .filter(|line| !line.starts_with("expecting "));
    let error = lines.next().unwrap();
    assert!(
        error.starts_with("error: ") && lines.next().is_none(),
        "{ran:?}"
    );
    error
}

#[test]
fn every_kind_gives_the_split_that_its_manifest_says() {
    for path in files("splits") {
        let shown = path.display();
        let text = fs::read_to_string(&path).unwrap();
        let choice = Choice {
            route: says(&text, "route"),
            host: None,
            step: says(&text, "step").and_then(|step| step.parse().ok()),
            path: says(&text, "url").and_then(path_of),
        };
        let found = read(&path).expectation(choice, None);
        let found = found.unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(
            Some(found.split.to_string().as_str()),
            says(&text, "split"),
            "{shown}"
        );
        assert_eq!(found.host.as_deref(), says(&text, "host"), "{shown}");
        assert_eq!(
            found.path.as_deref().unwrap_or("/"),
            says(&text, "path").unwrap_or("/"),
            "{shown}"
        );
        if let Some(asks) = says(&text, "asks") {
            assert_eq!(found.conditions.join(", "), asks, "{shown}");
        }
        if let Some(backends) = says(&text, "backends") {
            let mut parts = found.backends.clone();
            parts.sort();
            assert_eq!(parts.join(", "), backends, "{shown}");
        }
    }
}

#[test]
fn every_kind_that_is_read_has_manifests_in_three_forms() {
    let texts: Vec<String> = files("splits")
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let documents: Vec<Value> = texts
        .iter()
        .filter(|text| !text.starts_with('{'))
        .flat_map(|text| serde_saphyr::from_multiple::<Value>(text).unwrap())
        .collect();
    let is_of = |document: &Value, names: &[&str], groups: &[&str]| {
        let version = document["apiVersion"].as_str().unwrap_or_default();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let kind = document["kind"].as_str().unwrap_or_default();
        names.contains(&kind) && groups.contains(&group)
    };
    for kind in lbtest::parts::KINDS {
        let own = |names: &[&str]| {
            let own = documents
                .iter()
                .filter(|one| is_of(one, names, kind.groups));
            own.count()
        };
        assert!(
            own(kind.names) >= 3,
            "{:?} of {:?}",
            kind.names,
            kind.groups
        );
        for name in kind.names {
            assert!(own(&[name]) >= 3, "{name} of {:?}", kind.groups);
        }
    }
    // What a rule may lead to, in place of a Service.
    for kind in ["InferencePool", "XBackend", "UpstreamGroup"] {
        let leads = texts
            .iter()
            .filter(|text| text.contains(&format!("kind: {kind}")));
        assert!(leads.count() >= 3, "{kind}");
    }
}

#[test]
fn every_broken_form_gets_one_sentence_that_names_the_field() {
    for path in files("broken") {
        let shown = path.display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let ran = lbtest(&["--expect-from", &shown]);
        let error = refusal(&ran);
        let wanted = says(&text, "error").unwrap();
        assert!(error.contains(wanted), "{shown}: {error}");
        let is_placed = ["spec.", "metadata", "document ", "JSON", "YAML"];
        let is_placed = is_placed.iter().any(|part| wanted.contains(part));
        assert!(!is_placed || error.contains(&shown), "{shown}: {error}");
    }
}

const STABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/challenge/stable");
const CANARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/challenge/canary");
const PODS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/challenge/pods.json");
const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/paso05-output.txt");

fn codes(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect()
}

#[test]
fn the_exercises_canary_has_five_annotations_without_effect() {
    let ran = lbtest(&["lint", &format!("{CANARY}/paso05-ingress.yaml"), "--json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let report = ran.json();
    let ignored: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["code"] == "ignored_annotation")
        .map(|finding| finding["path"].as_str().unwrap())
        .collect();
    let names = [
        "limit-burst-multiplier",
        "limit-rpm",
        "proxy-body-size",
        "proxy-buffer-size",
        "rewrite-target",
    ];
    let paths =
        names.map(|name| format!("metadata.annotations[\"nginx.ingress.kubernetes.io/{name}\"]"));
    assert_eq!(ignored, paths);
    assert!(codes(&report).contains(&"no_primary"), "{report}");
    assert!(jsonschema::is_valid(
        &crate::report::schema::<lbtest::parts::LintReport>(),
        &report
    ));

    let both = lbtest(&["lint", STABLE, CANARY]);
    assert_eq!(both.status, 0, "{both:?}");
    assert!(
        both.stdout
            .contains("3664 at 95 % of it then take 22 m 02 s"),
        "{both:?}"
    );
    assert!(
        both.stdout.contains("app-service=70,app-service-v2=30"),
        "{both:?}"
    );
    let patient = lbtest(&["lint", STABLE, CANARY, "--max-duration", "23m"]);
    assert!(!patient.stdout.contains("rate_limit"), "{patient:?}");
}

#[test]
fn the_exercises_log_is_judged_under_the_manifests_names() {
    let judged = |more: &[&str]| {
        let log = fs::read(LOG).unwrap();
        let base = [
            "analyze",
            "--json",
            "-",
            "--expect-from",
            STABLE,
            "--expect-from",
            CANARY,
        ];
        lbtest_reading(&[&base[..], more].concat(), &log)
    };
    for more in [
        &[][..],
        &["--expect-from", PODS],
        &["--expect", "v1=70,v2=30"],
    ] {
        let ran = judged(more);
        let report = ran.json();
        assert_eq!(ran.status, 3, "{report}");
        let observed: Vec<_> = (0..2)
            .map(|row| report["backends"][row]["observed"].as_u64())
            .collect();
        assert_eq!(observed, [Some(69), Some(30)], "{more:?}: {report}");
        let labels = if more.contains(&"--expect") {
            ["v1", "v2"]
        } else {
            ["app-service", "app-service-v2"]
        };
        assert_eq!(
            [
                &report["backends"][0]["label"],
                &report["backends"][1]["label"]
            ],
            labels
        );
    }
    // These end before they read the log.
    let refused = |expect: &str| {
        lbtest(&[
            "analyze",
            "--expect-from",
            STABLE,
            "--expect-from",
            CANARY,
            "--expect",
            expect,
        ])
    };
    let other = refused("v1=60,v2=40");
    let error = refusal(&other);
    assert!(
        error.contains("v1=60,v2=40") && error.contains("app-service=70,app-service-v2=30"),
        "{error}"
    );
    let foreign = refused("blue=70,green=30");
    assert!(
        refusal(&foreign).contains("name them app-service, app-service-v2"),
        "{foreign:?}"
    );
}

#[test]
fn the_derived_canary_is_the_exercises_own() {
    let ran = lbtest(&[
        "canary",
        &format!("{STABLE}/deployment.yaml"),
        &format!("{STABLE}/paso04-ingress.yaml"),
        "--suffix",
        "v2",
        "--image",
        "edual/app:v2",
        "--weight",
        "30",
        "--command",
        "python app.py",
    ]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(ran.stderr.matches("note: ").count(), 5, "{ran:?}");
    let derived = Manifests::read(&[Input {
        name: "derived".to_owned(),
        bytes: ran.stdout.into_bytes(),
        is_found: false,
    }]);
    let derived: Vec<Value> = derived
        .unwrap()
        .objects()
        .iter()
        .map(|object| object.value.clone())
        .collect();
    let mut own = Vec::new();
    for file in ["paso05-deploy-edualv2.yaml", "paso05-ingress.yaml"] {
        let manifests = read(&Path::new(CANARY).join(file));
        own.extend(
            manifests
                .objects()
                .iter()
                .map(|object| object.value.clone()),
        );
    }
    // What ingress-nginx ignores is no effect.
    let annotations = own[2]["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.retain(|key, _| key.starts_with("nginx.ingress.kubernetes.io/canary"));
    assert_eq!(derived, own);
    // And lint has nothing to say of it.
    let yaml = lbtest::parts::to_yaml(&derived);
    let stdin = lbtest_reading(
        &["lint", STABLE, "-", "--max-duration", "1h"],
        yaml.as_bytes(),
    );
    assert_eq!(
        (
            stdin.status,
            stdin.stdout.contains("0 errors, 0 warnings in 6 objects")
        ),
        (0, true),
        "{stdin:?}"
    );
}

#[test]
fn a_run_takes_host_and_path_from_the_manifests_and_reports_their_findings() {
    let ran = lbtest(&[
        "demo",
        "--expect-from",
        STABLE,
        "--expect-from",
        CANARY,
        "--json",
        "-",
    ]);
    let report = ran.json();
    assert_eq!(ran.status, 0, "{report}");
    assert_eq!(report["target"]["host"], "edu.challenger-03");
    let codes = codes(&report);
    assert_eq!(
        codes
            .iter()
            .filter(|code| **code == "ignored_annotation")
            .count(),
        5,
        "{codes:?}"
    );
    assert!(codes.contains(&"rate_limit"), "{codes:?}");

    let route = format!("{}/splits/httproute-rule.yaml", data("").display());
    // Nothing listens there: the report names the target all the same.
    let nowhere = [
        "http://127.0.0.1:9",
        "--expect-from",
        &route,
        "--route",
        "store/shop/cart",
        "--json",
        "-",
    ];
    let report = lbtest(&nowhere).json();
    assert_eq!(report["target"]["url"], "http://127.0.0.1:9/cart");
    assert_eq!(report["target"]["host"], "shop.example");
    // What the user says counts.
    let own = lbtest(&[&nowhere[..], &["--host", "other.example"]].concat()).json();
    assert_eq!(own["target"]["host"], "other.example");
    let unknown = lbtest(&["demo", "--expect-from", &route, "--host", "other.example"]);
    assert!(
        refusal(&unknown).contains("--host other.example is none"),
        "{unknown:?}"
    );
    let unknown = lbtest(&["demo", "--expect-from", &route, "--route", "store/other"]);
    assert!(
        refusal(&unknown).contains("--route store/other is none"),
        "{unknown:?}"
    );
}
