//! A whole routing table: every rule of manifests becomes a check, and the run finds the one that is not so.

use std::fs;

use lbtest::parts::{Config, Ingress};

use crate::config::verdicts;
use crate::program::{Ran, command, in_turn, lbtest, lbtest_reading};
use crate::servers::Server;

/// A canary by header, cookie and weight, and a path that does not split.
pub(crate) const TABLE: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  ingressClassName: nginx
  rules:
    - host: shop.example
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: challenge-app, port: {number: 80}}}}
          - {path: /stable, pathType: Prefix, backend: {service: {name: challenge-app, port: {number: 80}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: next
  annotations:
    nginx.ingress.kubernetes.io/canary: "true"
    nginx.ingress.kubernetes.io/canary-weight: "30"
    nginx.ingress.kubernetes.io/canary-by-header: X-Canary
    nginx.ingress.kubernetes.io/canary-by-cookie: canary
spec:
  ingressClassName: nginx
  rules:
    - host: shop.example
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: challenge-app-v2, port: {number: 80}}}}]}
"#;

/// The names of the checks of `TABLE`, in their order.
const NAMES: [&str; 8] = [
    "shop.example-X-Canary-always",
    "shop.example-X-Canary-lbtest",
    "shop.example-X-Canary-never",
    "shop.example-canary-always",
    "shop.example-canary-lbtest",
    "shop.example-canary-never",
    "shop.example",
    "shop.example-stable",
];

/// Runs against an ingress that keeps the table, but for what `change` does to it.
fn run(arguments: &[&str], change: impl FnOnce(&mut Config)) -> Ran {
    let mut config = in_turn("v1=70,v2=30");
    config.route_header = Some("X-Canary".parse().unwrap());
    config.route_cookie = Some("canary".parse().unwrap());
    config.route_paths = vec!["/stable:v1=1".parse().unwrap()];
    change(&mut config);
    let ingress = Ingress::start(&config).unwrap();
    let url = format!("http://{}/", ingress.addr());
    let options = ["--json", "-", "--tolerance", "10", "--alpha", "1e-8"];
    lbtest(&[&[&*url][..], &options, arguments].concat())
}

fn expected(failing: &[&str]) -> Vec<(String, String)> {
    let verdict = |name: &str| {
        if failing.contains(&name) {
            "fail"
        } else {
            "pass"
        }
    };
    NAMES
        .map(|name| (name.to_owned(), verdict(name).to_owned()))
        .to_vec()
}

#[test]
fn the_file_of_checks_passes_where_the_table_is_kept_and_names_the_rule_that_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (manifests, file) = (
        folder.path().join("table.yaml"),
        folder.path().join("lbtest.toml"),
    );
    fs::write(&manifests, TABLE).unwrap();
    let file = file.to_str().unwrap();
    let wrote = lbtest(&["checks", folder.path().to_str().unwrap(), "--out", file]);
    assert_eq!((wrote.status, &*wrote.stdout), (0, ""), "{}", wrote.stderr);

    let ran = run(&["--config", file], |_| {});
    assert_eq!((ran.status, verdicts(&ran.json())), (0, expected(&[])));
    let ran = run(&["--config", file], |config| {
        config.route_paths = vec!["/stable:v1=70,v2=30".parse().unwrap()];
    });
    let found = verdicts(&ran.json());
    assert_eq!((ran.status, found), (1, expected(&["shop.example-stable"])));
}

#[test]
fn all_rules_of_a_folder_are_checked_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("table.yaml"), TABLE).unwrap();
    let folder = folder.path().to_str().unwrap();
    let ran = run(&["--expect-from", folder, "--all"], |config| {
        config.route_cookie = None;
    });
    let lost = ["shop.example-canary-always", "shop.example-canary-never"];
    assert_eq!((ran.status, verdicts(&ran.json())), (1, expected(&lost)));
}

#[test]
fn nginx_keeps_the_whole_table_and_the_path_that_splits_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("table.yaml"), TABLE).unwrap();
    let from = ["--expect-from", folder.path().to_str().unwrap(), "--all"];
    // A real ingress has no seed: each of these fails by chance once in 1,000,000 runs.
    let options = ["--json", "-", "--tolerance", "10", "--alpha", "1e-8"];
    let patience = ["--timeout", "60s", "--connect-timeout", "60s"];
    let rules = ["--route-header", "X-Canary", "--route-cookie", "canary"];
    for (path, status, failing) in [
        ("/stable:v1=1", 0, &[][..]),
        ("/stable:v1=70,v2=30", 1, &["shop.example-stable"][..]),
    ] {
        let site = [
            "nginx",
            "--host",
            "shop.example",
            "--weights",
            "v1=70,v2=30",
            "--route-path",
            path,
        ];
        let server = Server::start(&[&site[..], &rules].concat());
        let ran = lbtest(&[&[server.url()][..], &from, &options, &patience].concat());
        assert_eq!(
            (ran.status, verdicts(&ran.json())),
            (status, expected(failing)),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn what_the_gate_would_refuse_is_no_check() {
    let route = |host: &str, gateway: &str, name: &str, next: u32| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: [{{name: {gateway}}}]\n  \
             hostnames: [\"{host}\"]\n  rules: [{{backendRefs: [{{name: shop, weight: 9}}, {{name: next, weight: {next}}}]}}]\n"
        )
    };
    let describe = |manifests: &str| {
        let ran = lbtest_reading(&["checks", "-"], manifests.as_bytes());
        let left_out: Vec<String> = ran
            .stdout
            .lines()
            .filter_map(|line| Some(line.strip_prefix("# Not checked: ")?.to_owned()))
            .collect();
        (
            ran.status,
            ran.stdout.matches("[[check]]").count(),
            left_out,
        )
    };
    let good = route("shop.example", "public", "a", 1);
    let (status, checks, left_out) =
        describe(&(good.clone() + &route("shop example", "public", "b", 1)));
    assert_eq!((status, checks, left_out.len()), (0, 1, 1), "{left_out:?}");
    assert!(left_out[0].contains("is not a host name"), "{left_out:?}");
    let (_, checks, left_out) =
        describe(&(good.clone() + &route("bücher.example", "public", "b", 1)));
    assert_eq!((checks, left_out.len()), (1, 1), "{left_out:?}");
    // One address can't be two Gateways.
    let (_, checks, left_out) =
        describe(&(good.clone() + &route("shop.example", "inside", "b", 3)));
    assert_eq!((checks, left_out.len()), (1, 1), "{left_out:?}");
    assert!(
        left_out[0].contains("check the rules of each by themselves"),
        "{left_out:?}"
    );
    let (_, checks, left_out) =
        describe(&(good.clone() + &route("shop.example", "inside", "b", 1)));
    assert_eq!((checks, left_out.len()), (1, 0), "{left_out:?}");
}

#[test]
fn rules_compete_as_gateway_api_says_and_what_has_no_request_is_told() {
    let route = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  hostnames: ["*.example"]
  rules:
    - backendRefs: [{name: shop, weight: 9}, {name: shop-next}]
    - matches: [{path: {type: Exact, value: /api}}, {queryParams: [{name: beta, value: "a b"}]}]
      backendRefs: [{name: api}]
    - matches: [{headers: [{name: x-user, type: RegularExpression, value: "a.*"}]}]
      backendRefs: [{name: shop-next}]
    - matches: [{headers: [{name: x-other, type: RegularExpression, value: "(?=a)"}]}]
      backendRefs: [{name: shop-next}]
"#;
    let ran = lbtest_reading(&["checks", "-"], route.as_bytes());
    let lines = |start: &str| {
        let own = ran.stdout.lines().filter(|line| line.starts_with(start));
        own.map(|line| line[start.len()..].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(
        lines("path = "),
        [
            r#""/""#,
            r#""/api""#,
            r#""/api/lbtest""#,
            r#""/?beta=a%20b""#,
            r#""/?beta=lbtest""#,
            r#""/""#,
            r#""/""#
        ]
    );
    let weights = r#""shop=9,shop-next=1,api=0""#;
    let api = r#""api=1,shop=0,shop-next=0""#;
    let next = r#""shop-next=1,shop=0,api=0""#;
    let expected = [weights, api, weights, api, weights, next, weights];
    assert_eq!(lines("expect = "), expected);
    assert_eq!(
        lines("header = "),
        [r#"["x-user: a"]"#, r#"["x-user: lbtest"]"#]
    );
    assert_eq!(lines("host = ")[0], r#""lbtest.example""#);
    assert_eq!(lines("# Not checked: ").len(), 1, "{}", ran.stdout);
    let out = command(&["--all", "--expect", "a=1"]).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
}
