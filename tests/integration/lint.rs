//! `lint`: each finding has a manifest that shows it, and hostile manifests end at once.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::program::{command, lbtest, lbtest_reading};

/// A primary and a canary of one rule, as YAML with things to replace.
const PAIR: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: store, annotations: {}}
spec:
  ingressClassName: nginx
  rules: [{host: shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: next
  namespace: store
  annotations: {nginx.ingress.kubernetes.io/canary: "true", nginx.ingress.kubernetes.io/canary-weight: "30"}
spec:
  ingressClassName: nginx
  rules: [{host: shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: next, port: {number: 80}}}}]}}]
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: store}
spec: {selector: {app: shop, track: stable}}
---
apiVersion: v1
kind: Service
metadata: {name: next, namespace: store}
spec: {selector: {app: shop, track: canary}}
"#;

const WEIGHT: &str = r#"nginx.ingress.kubernetes.io/canary-weight: "30""#;

fn lint(manifest: &str, more: &[&str]) -> (i32, Vec<(String, String, String)>) {
    let arguments = [&["lint", "-", "--json", "-"][..], more].concat();
    let ran = lbtest_reading(&arguments, manifest.as_bytes());
    let report: Value = ran.json();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.map(|found| {
        (
            text(found, "code"),
            text(found, "path"),
            text(found, "message"),
        )
    });
    (ran.status, findings.collect())
}

#[test]
fn a_proper_pair_has_no_finding() {
    assert_eq!(lint(PAIR, &[]), (0, vec![]));
}

/// One finding with this code, this path and this part of its message; the status says how grave it is.
fn finds(manifest: &str, status: i32, code: &str, path: &str, part: &str) {
    assert_ne!(manifest, PAIR, "nothing was replaced");
    let (ended, found) = lint(manifest, &[]);
    assert_eq!(ended, status, "{code}: {found:?}");
    let own = found.iter().find(|(known, ..)| known == code);
    let (_, own_path, message) = own.unwrap_or_else(|| panic!("{code}: {found:?}"));
    assert_eq!(own_path, path, "{code}");
    assert!(message.contains(part), "{code}: {message}");
}

#[test]
fn each_fault_of_a_canary_ingress_is_found_with_its_field() {
    let annotation =
        |name: &str| format!("metadata.annotations[\"nginx.ingress.kubernetes.io/{name}\"]");
    let with = |more: &str| {
        PAIR.replace(
            WEIGHT,
            &format!("{WEIGHT}, nginx.ingress.kubernetes.io/{more}"),
        )
    };
    finds(
        &with("proxy-body-size: 3m"),
        0,
        "ignored_annotation",
        &annotation("proxy-body-size"),
        "primary",
    );
    let total = PAIR.replace(WEIGHT, r#"nginx.ingress.kubernetes.io/canary-weight: "3", nginx.ingress.kubernetes.io/canary-weight-total: "10""#);
    finds(
        &total,
        1,
        "weight_total_ignored",
        &annotation("canary-weight-total"),
        "3 of 10 gives 3 %, not 30 %",
    );
    let misspelt = with("canary-wieght: \"5\"");
    finds(
        &misspelt,
        1,
        "unknown_canary_annotation",
        &annotation("canary-wieght"),
        "canary-weight",
    );
    let disabled = PAIR.replace("canary: \"true\"", "canary: \"false\"");
    finds(
        &disabled,
        1,
        "canary_not_enabled",
        &annotation("canary-weight"),
        "canary: \"true\"",
    );
    let weightless = PAIR.replace(&format!(", {WEIGHT}"), "");
    finds(
        &weightless,
        0,
        "canary_takes_nothing",
        &annotation("canary-weight"),
        "neither a weight",
    );
    let rule = "spec.rules[0].http.paths[0]";
    for (from, to, part) in [
        ("host: shop.example", "host: shop.exemple", "shop has host"),
        ("path: /,", "path: /shop,", "has path"),
        ("pathType: Prefix", "pathType: Exact", "has pathType"),
        (
            "ingressClassName: nginx",
            "ingressClassName: other",
            "has class other",
        ),
    ] {
        let first = PAIR.replacen(from, to, 1);
        finds(&first, 1, "no_primary", rule, part);
    }
    let alone = PAIR.split("---").nth(1).unwrap();
    finds(alone, 0, "no_primary", rule, "add the primary");
    let documents: Vec<&str> = PAIR.split("---").collect();
    let second = format!(
        "{PAIR}---{}",
        documents[1].replace("name: next\n", "name: third\n")
    );
    finds(
        &second,
        1,
        "second_canary",
        rule,
        "Ingress store/next comes first",
    );
    let own = PAIR.replacen("service: {name: shop", "service: {name: next", 1);
    finds(
        &own,
        1,
        "canary_is_primary",
        &format!("{rule}.backend"),
        "of its own",
    );
    let other = documents[0]
        .replace("shop.example", "next.example")
        .replace("name: shop", "name: next");
    let bypass = format!(
        "{PAIR}---{}",
        other.replacen("name: next", "name: direct", 1)
    );
    finds(
        &bypass,
        1,
        "canary_service_used",
        &format!("{rule}.backend"),
        "host next.example",
    );
}

#[test]
fn selectors_and_weights_are_checked_for_every_kind() {
    let same = PAIR.replace("track: canary", "track: stable");
    finds(&same, 1, "selectors_overlap", "spec.selector", "store/next");
    let wide = PAIR.replace(", track: stable", "");
    finds(
        &wide,
        1,
        "selectors_overlap",
        "spec.selector",
        "every pod of Service store/next",
    );
    let pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: x-0, namespace: store, labels: {app: shop, track: stable, kind: both}}\n";
    let crossed = PAIR.replace("app: shop, track: canary", "kind: both") + pod;
    finds(
        &crossed,
        1,
        "selectors_overlap",
        "spec.selector",
        "Pod store/x-0",
    );
    let nothing = format!("{PAIR}{pod}");
    finds(
        &nothing,
        0,
        "selector_matches_nothing",
        "spec.selector",
        "no pod",
    );
    let missing = PAIR.replace("metadata: {name: next, ", "metadata: {name: nxt, ");
    let weight = "metadata.annotations[\"nginx.ingress.kubernetes.io/canary-weight\"]";
    finds(&missing, 0, "service_not_found", weight, "Service next");
    let zero = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\n\
                spec: {rules: [{backendRefs: [{name: a, weight: 0}, {name: b, weight: 0}]}]}";
    finds(
        zero,
        1,
        "weights_sum_to_zero",
        "spec.rules[0].backendRefs[0].weight",
        "a=0,b=0",
    );
    let rollout = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: r}\n\
                   spec: {strategy: {canary: {steps: [{setWeight: 20}]}}}";
    finds(
        rollout,
        0,
        "approximate_split",
        "spec.strategy.canary.trafficRouting",
        "--judge tolerance",
    );
}

#[test]
fn a_limit_is_found_where_the_run_would_take_too_long() {
    let limited = PAIR.replace(
        "annotations: {}",
        "annotations: {nginx.ingress.kubernetes.io/limit-rpm: \"60\"}",
    );
    let path = "metadata.annotations[\"nginx.ingress.kubernetes.io/limit-rpm\"]";
    // Multiplier 5: 301 at once, one a second from then on.
    finds(
        &limited,
        0,
        "rate_limit",
        path,
        "(3664 − 301) / 1.000 a second = 56 m 03 s",
    );
    for (more, is_found) in [
        (&["-n", "901"][..], false),
        (&["-n", "902"][..], true),
        (&["--max-duration", "1h"][..], false),
        (&["--tolerance", "20"][..], false),
    ] {
        let (_, found) = lint(&limited, more);
        assert_eq!(!found.is_empty(), is_found, "{more:?}: {found:?}");
    }
}

/// What could take for ever or fill memory: one sentence, status 2, under 200 MiB.
#[test]
fn hostile_manifests_end_at_once() {
    let lists = |name: usize, of: &str| format!("a{name}: &a{name} [{}]\n", [of; 10].join(","));
    let bomb: String = (0..9)
        .map(|level| {
            lists(
                level,
                &level
                    .checked_sub(1)
                    .map_or("x".to_owned(), |one| format!("*a{one}")),
            )
        })
        .collect();
    let anchors = (0..5000).map(|key| format!("k{key}: &a{key} v\n"));
    let cases = [
        ("bomb", bomb, "aliases stand for more than"),
        (
            "cycle",
            "a: &a [*a]\n".to_owned(),
            "an alias stands in what it refers to",
        ),
        (
            "merge",
            "a: &a {<<: *a}\n".to_owned(),
            "an alias stands in what it refers to",
        ),
        ("deep", "[".repeat(1 << 20), "nested deeper than 64"),
        (
            "deep.json",
            "{\"a\":".repeat(1 << 18),
            "nested deeper than 64",
        ),
        ("wide", "- \n".repeat(1 << 20), "more than 500000 values"),
        (
            "wide.json",
            format!("[{}0]", "0,".repeat(1 << 20)),
            "more than 500000 values",
        ),
        (
            "documents",
            "---\na: 1\n".repeat(20_000),
            "more than 10000 documents",
        ),
        ("anchors", anchors.collect(), "more than 1000 anchors"),
        (
            "large",
            "# x\n".repeat((100 << 20) / 4),
            "larger than 16 MiB",
        ),
        (
            "twice",
            "a: 1\na: 2\n".to_owned(),
            "the key 'a' stands twice",
        ),
        ("text", "hello".to_owned(), "is the string \"hello\""),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, content, part) in cases {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let lbtest = command(&["lint", path.to_str().unwrap()]);
        let mut measured = Command::new("/usr/bin/time");
        measured
            .args(["-f", "%M"])
            .arg(lbtest.get_program())
            .args(lbtest.get_args());
        let output = measured
            .output()
            .expect("/usr/bin/time is there: scripts/test installs it");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {stderr}");
        let error = stderr.lines().next().unwrap();
        assert!(
            error.starts_with("error: ") && error.contains(part),
            "{name}: {stderr}"
        );
        let kibibytes: u64 = stderr.lines().last().unwrap().parse().unwrap();
        assert!(kibibytes < 200 * 1024, "{name}: {stderr}");
    }
}

#[test]
fn findings_never_replace_a_manifest() {
    let ran = lbtest(&["lint", "--json", "ingress.yaml", "deployment.yaml"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(
        ran.stderr
            .contains("--json ingress.yaml looks like a manifest"),
        "{ran:?}"
    );
}
