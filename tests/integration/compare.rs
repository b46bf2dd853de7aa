//! Two routing tables, rule by rule: what is lost in a migration is found, and what is written in another way
//! and means the same is told as that.

use std::fs;

use lbtest::parts::{Config, Handle, Ingress};
use serde_json::Value;

use crate::program::{Ran, in_turn, lbtest};
use crate::servers::Server;
use crate::table::TABLE;

/// A canary of ingress-nginx, with more annotations.
fn nginx(annotations: &str) -> String {
    let ingress = |name: &str, service: &str, annotations: &str, paths: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {name}\n  annotations: {{{annotations}}}\nspec:\n  \
             ingressClassName: nginx\n  rules:\n  - host: shop.example\n    http:\n      paths:\n      \
             - {{path: /, pathType: Prefix, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}\n{paths}---\n"
        )
    };
    let canary = format!(r#"nginx.ingress.kubernetes.io/canary: "true", {annotations}"#);
    let static_path = "      - {path: /static, pathType: ImplementationSpecific, backend: {service: {name: files, port: {number: 80}}}}\n";
    ingress("shop", "shop", "", static_path) + &ingress("shop-next", "shop-next", &canary, "")
}

/// An `HTTPRoute` for the same host, with these rules.
fn route(rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: shop}}\nspec:\n  \
         hostnames: [shop.example]\n  rules:\n{rules}"
    )
}

const STATIC: &str = "  - matches: [{path: {type: PathPrefix, value: /static}}]\n    backendRefs: [{name: files, port: 80}]\n";

fn weighted(shop: u32, next: &str) -> String {
    format!(
        "{STATIC}  - backendRefs: [{{name: shop, port: 80, weight: {shop}}}, {{name: shop-next, port: 80{next}}}]\n"
    )
}

fn compare(old: &str, new: &str, more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let sides = [("old", old), ("new", new)].map(|(name, text)| {
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("routes.yaml"), text).unwrap();
        path.to_str().unwrap().to_owned()
    });
    lbtest(&[&["compare", &sides[0], &sides[1]], more].concat())
}

/// Exit status, and result, path and conditions of each rule.
fn results(old: &str, new: &str) -> (i32, Vec<String>) {
    let ran = compare(old, new, &["--json", "-"]);
    let report = ran.json();
    let describe = |rule: &Value| {
        let conditions = rule["conditions"].as_array().unwrap();
        let conditions = conditions
            .iter()
            .map(|asked| format!(" {}", asked.as_str().unwrap()));
        format!(
            "{} {}{}",
            rule["result"].as_str().unwrap(),
            rule["path"].as_str().unwrap(),
            conditions.collect::<String>()
        )
    };
    let rules = report["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(describe)
        .collect();
    assert!(jsonschema::is_valid(
        &crate::report::schema::<lbtest::parts::CompareReport>(),
        &report
    ));
    (ran.status, rules)
}

const TOTAL: &str = r#"nginx.ingress.kubernetes.io/canary-weight: "3", nginx.ingress.kubernetes.io/canary-weight-total: "10""#;

#[test]
fn a_weight_total_that_only_the_new_side_counts_is_found_and_explained() {
    let ran = compare(&nginx(TOTAL), &route(&weighted(7, ", weight: 3")), &[]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    for message in [
        "differs   shop.example /",
        "shop-next gets 3 % in old and 30 % in new",
        "the canary-weight-total of 10 in Ingress shop-next counts for nothing, as ingress-nginx takes one below 100 \
         for 100: weight 3 is 3 %, not 30 %",
        "2 rules: 1 the same, 1 with another split",
    ] {
        assert!(ran.stdout.contains(message), "{message}: {}", ran.stdout);
    }
    let summary = compare(
        &nginx(TOTAL),
        &route(&weighted(7, ", weight: 3")),
        &["--markdown", "-"],
    );
    assert!(
        summary.stdout.contains("shop 97 %, shop\\-next 3 %")
            || summary.stdout.contains("shop 97 %, shop-next 3 %"),
        "{}",
        summary.stdout
    );
    // Where a cookie decides, no weight does.
    let by = format!("{TOTAL}, nginx.ingress.kubernetes.io/canary-by-cookie: next");
    let ran = compare(&nginx(&by), &route(&weighted(7, ", weight: 3")), &[]);
    assert_eq!(
        ran.stdout.matches("counts for nothing").count(),
        1,
        "{}",
        ran.stdout
    );
}

#[test]
fn what_is_written_in_another_way_is_the_same_and_told_so() {
    for (new, message) in [
        (route(&weighted(97, ", weight: 3")), "counts for nothing"),
        (
            route(&weighted(970, ", weight: 30")),
            "97/3 in old and 970/30 in new are the same shares",
        ),
        (
            route(&weighted(97, ", weight: 3")),
            "ImplementationSpecific is a prefix to ingress-nginx",
        ),
    ] {
        let ran = compare(&nginx(TOTAL), &new, &[]);
        assert_eq!(ran.status, 0, "{}", ran.stdout);
        assert!(ran.stdout.contains(message), "{message}: {}", ran.stdout);
    }
    let tenth = r#"nginx.ingress.kubernetes.io/canary-weight: "10""#;
    let ran = compare(&nginx(tenth), &route(&weighted(9, "")), &[]);
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    let message = "shop-next has no weight in HTTPRoute shop, which means 1";
    assert!(ran.stdout.contains(message), "{}", ran.stdout);
}

#[test]
fn header_and_cookie_rules_are_found_again_or_missed() {
    let by = "nginx.ingress.kubernetes.io/canary-by-header: X-Next, nginx.ingress.kubernetes.io/canary-by-cookie: next";
    let pinned = |asked: &str, to: &str| {
        format!(
            "  - matches: [{{headers: [{asked}]}}]\n    backendRefs: [{{name: {to}, port: 80}}]\n"
        )
    };
    let header = pinned("{name: x-next, value: always}", "shop-next")
        + &pinned("{name: X-Next, value: never}", "shop");
    let pattern = |value: &str| {
        format!(
            r#"{{name: Cookie, type: RegularExpression, value: "(^|.*; *)next={value}(;.*|$)"}}"#
        )
    };
    let cookie = pinned(&pattern("always"), "shop-next") + &pinned(&pattern("never"), "shop");
    let rest = format!("{STATIC}  - backendRefs: [{{name: shop, port: 80}}]\n");
    let (status, found) = results(&nginx(by), &route(&(header.clone() + &rest)));
    let expected = [
        "same / header X-Next: always",
        "same / header X-Next: never",
        "only_old / cookie next: always",
        "same / cookie next: never",
        "same /",
        "same /static",
    ];
    assert_eq!((status, found), (1, expected.map(str::to_owned).to_vec()));
    let (status, found) = results(&nginx(by), &route(&(header.clone() + &cookie + &rest)));
    assert_eq!(
        (status, found),
        (
            0,
            expected
                .map(|rule| rule.replace("only_old", "same"))
                .to_vec()
        )
    );
    // A pattern that takes more than the cookie is another rule.
    let (status, found) = results(
        &nginx(by),
        &route(&(header + &cookie.replace("=always", "=") + &rest)),
    );
    assert_eq!(status, 1, "{found:?}");
}

#[test]
fn rules_that_come_true_in_another_order_or_for_fewer_paths_differ() {
    let split = "backendRefs: [{name: shop}]";
    let old = route(&format!(
        "  - {split}\n  - matches: [{{path: {{value: /api}}}}]\n    backendRefs: [{{name: api}}]\n"
    ));
    let service = |rules: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: shop}}\nspec:\n  \
             hosts: [shop.example]\n  http:\n{rules}"
        )
    };
    let api = "  - match: [{uri: {prefix: /api}}]\n    route: [{destination: {host: api}}]\n";
    let rest = "  - route: [{destination: {host: shop}}]\n";
    let (status, found) = results(&old, &service(&format!("{api}{rest}")));
    assert_eq!(
        (status, found),
        (0, vec!["same /".to_owned(), "same /api".to_owned()])
    );
    // The first rule that fits counts: the second is never reached.
    let (status, found) = results(&old, &service(&format!("{rest}{api}")));
    assert_eq!(
        (status, found),
        (1, vec!["same /".to_owned(), "only_old /api".to_owned()])
    );
    let exact = api.replace("prefix", "exact");
    let (status, found) = results(&old, &service(&format!("{exact}{rest}")));
    let expected = ["same /", "only_old /api", "same /api (exact)"];
    assert_eq!((status, found), (1, expected.map(str::to_owned).to_vec()));
}

#[test]
fn a_pattern_is_compared_by_a_text_that_it_matches() {
    let old = nginx(TOTAL).replace("{path: /static,", "{path: /static(/|$)(.*),");
    let rest = weighted(97, ", weight: 3");
    let (status, found) = results(&old, &route(&rest));
    let expected = ["same /", "same /static(/|$)(.*) (pattern)", "same /static"];
    assert_eq!((status, found), (0, expected.map(str::to_owned).to_vec()));
    let lost = rest.replace("value: /static", "value: /files");
    let (status, found) = results(&old, &route(&lost));
    let expected = [
        "same /",
        "only_old /static(/|$)(.*) (pattern)",
        "only_new /files",
    ];
    assert_eq!((status, found), (1, expected.map(str::to_owned).to_vec()));

    let by = "nginx.ingress.kubernetes.io/canary-by-header: X-Next, nginx.ingress.kubernetes.io/canary-by-header-pattern: beta.*";
    let pinned = |pattern: &str| {
        format!(
            "{STATIC}  - matches: [{{headers: [{{name: X-Next, type: RegularExpression, value: {pattern}}}]}}]\n    \
             backendRefs: [{{name: shop-next}}]\n  - backendRefs: [{{name: shop}}]\n"
        )
    };
    assert_eq!(results(&nginx(by), &route(&pinned("beta.*"))).0, 0);
    let (status, found) = results(&nginx(by), &route(&pinned("alpha.*")));
    let expected = [
        "only_old / header X-Next: pattern beta.*",
        "same /",
        "same /static",
        "only_new / header X-Next: alpha.*",
    ];
    assert_eq!((status, found), (1, expected.map(str::to_owned).to_vec()));
}

/// An `HTTPRoute` for `/` of shop.example behind a Gateway.
fn behind(gateway: &str, name: &str, shop: u32, next: u32) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: [{{name: {gateway}}}]\n  \
         hostnames: [shop.example]\n  rules: [{{backendRefs: [{{name: shop, weight: {shop}}}, {{name: shop-next, weight: {next}}}]}}]\n"
    )
}

#[test]
fn what_comes_in_by_another_gateway_is_another_request() {
    let both = |public: u32, inside: u32| {
        behind("public", "a", 100 - public, public) + &behind("inside", "b", 100 - inside, inside)
    };
    let (status, found) = results(&both(10, 50), &both(10, 50));
    let expected = ["same / at Gateway public", "same / at Gateway inside"];
    assert_eq!((status, found), (0, expected.map(str::to_owned).to_vec()));
    let (status, found) = results(&both(10, 50), &both(10, 40));
    let expected = ["same / at Gateway public", "differs / at Gateway inside"];
    assert_eq!((status, found), (1, expected.map(str::to_owned).to_vec()));
    // From one door to two: both must do what the one did.
    let old = behind("public", "a", 90, 10);
    assert_eq!(results(&old, &both(10, 10)), (0, vec!["same /".to_owned()]));
    let ran = compare(&old, &both(10, 40), &[]);
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("HTTPRoute b rule 1"), "{}", ran.stdout);
    // A rule for both Gateways is one for each.
    let shared = behind("public", "a", 90, 10)
        .replace("[{name: public}]", "[{name: public}, {name: inside}]");
    assert_eq!(results(&shared, &both(10, 40)).0, 1);
    assert_eq!(results(&shared, &both(10, 10)).0, 0);
}

#[test]
fn what_cannot_be_compared_is_never_the_same() {
    let shop = route("  - backendRefs: [{name: shop, weight: many}, {name: next}]\n");
    let own = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: other}\nspec:\n  rules: [{backendRefs: [{name: other}]}]\n";
    let both = shop.clone() + own;
    let (status, found) = results(&both, &both);
    let expected = ["same /", "unclear (not read)", "unclear (not read)"];
    assert_eq!((status, found), (1, expected.map(str::to_owned).to_vec()));
    let pattern = "  - matches: [{path: {type: RegularExpression, value: \"/a.*\"}}]\n    backendRefs: [{name: shop}]\n";
    let (status, found) = results(&route(pattern), &route(pattern));
    assert_eq!((status, found), (0, vec!["same /a.* (pattern)".to_owned()]));
    let (status, _) = results(&route(pattern), &route(STATIC));
    assert_eq!(status, 1);
    for (old, new) in [
        (&*shop, own),
        (own, "kind: Service\napiVersion: v1\nmetadata: {name: a}\n"),
    ] {
        let ran = compare(old, new, &[]);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    }
    assert_eq!(lbtest(&["compare", "-", "-"]).status, 2);
    let notes = nginx(TOTAL).replace(
        "annotations: {}",
        r#"annotations: {nginx.ingress.kubernetes.io/rewrite-target: "/"}"#,
    );
    let ran = compare(&notes, &route(&weighted(97, ", weight: 3")), &[]);
    assert!(
        ran.stdout
            .contains("note: old: Ingress shop has rewrite-target: not compared"),
        "{}",
        ran.stdout
    );
}

/// A run over `table::TABLE` against two ingresses.
fn both(before: &str, after: &str, more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("table.yaml"), TABLE).unwrap();
    let from = [
        "compare",
        "--from",
        folder.path().to_str().unwrap(),
        "--json",
        "-",
    ];
    let urls = ["--before", before, "--after", after, "--tolerance", "20"];
    lbtest(&[&from[..], &urls, more].concat())
}

/// The checks of a comparison by verdict: those that passed, and the others.
fn passed(report: &Value) -> (usize, Vec<(&str, &str)>) {
    let checks = report["checks"].as_array().unwrap();
    let others = checks.iter().filter(|check| check["verdict"] != "pass");
    let others: Vec<(&str, &str)> = others
        .map(|check| {
            (
                check["name"].as_str().unwrap(),
                check["verdict"].as_str().unwrap(),
            )
        })
        .collect();
    (checks.len() - others.len(), others)
}

#[test]
fn two_ingresses_are_asked_the_same_and_the_rule_that_is_lost_is_named() {
    let start = |change: fn(&mut Config)| {
        let mut config = in_turn("v1=70,v2=30");
        config.route_header = Some("X-Canary".parse().unwrap());
        config.route_cookie = Some("canary".parse().unwrap());
        config.route_paths = vec!["/stable:v1=1".parse().unwrap()];
        change(&mut config);
        Ingress::start(&config).unwrap()
    };
    let url = |ingress: &Handle| format!("http://{}/", ingress.addr());
    let (before, same) = (start(|_| {}), start(|_| {}));
    let ran = both(&url(&before), &url(&same), &[]);
    let report = ran.json();
    assert_eq!(
        (ran.status, passed(&report)),
        (0, (8, vec![])),
        "{}",
        ran.stderr
    );
    assert!(jsonschema::is_valid(
        &crate::report::schema::<lbtest::parts::PairsReport>(),
        &report
    ));

    let lost = start(|config| config.route_cookie = None);
    let ran = both(&url(&before), &url(&lost), &["--markdown", "/dev/null"]);
    let names = [
        ("shop.example-canary-always", "fail"),
        ("shop.example-canary-never", "fail"),
    ];
    let report = ran.json();
    assert_eq!(
        (ran.status, passed(&report)),
        (1, (6, names.to_vec())),
        "{report:#}"
    );
    let text = report["checks"][3]["reasons"][0]["message"]
        .as_str()
        .unwrap();
    assert!(
        text.starts_with("they route differently: challenge-app"),
        "{text}"
    );

    let ran = both(&url(&before), "http://127.0.0.1:9/", &[]);
    assert_eq!(
        (ran.status, ran.json()["verdict"].as_str()),
        (4, Some("error"))
    );
    let short = both(&url(&before), &url(&same), &["-n", "40"]);
    assert_eq!(short.status, 3, "{}", short.stdout);
    for wrong in [
        &["--from", "a", "--before", "b"][..],
        &["a", "b", "-n", "5"],
        &["--before", "a", "--after", "b"],
    ] {
        assert_eq!(
            lbtest(&[&["compare"][..], wrong].concat()).status,
            2,
            "{wrong:?}"
        );
    }
}

/// A table that nginx keeps, rebuilt on `HAProxy` with and without one mistake.
#[test]
fn what_is_rebuilt_on_haproxy_with_one_mistake_differs_there_alone() {
    let site = [
        "--host",
        "shop.example",
        "--weights",
        "v1=70,v2=30",
        "--route-header",
        "X-Canary",
        "--route-cookie",
        "canary",
    ];
    let start = |kind, path| Server::start(&[&[kind], &site[..], &["--route-path", path]].concat());
    let before = start("nginx", "/stable:v1=1");
    for (path, status, others) in [
        ("/stable:v1=1", 0, vec![]),
        (
            "/stable:v1=70,v2=30",
            1,
            vec![("shop.example-stable", "fail")],
        ),
    ] {
        let after = start("haproxy", path);
        // Real ingresses have no seed: this fails by chance once in a million runs.
        let patience = ["--alpha", "1e-7", "-t", "60s"];
        let ran = both(before.url(), after.url(), &patience);
        let report = ran.json();
        assert_eq!(
            (ran.status, passed(&report).1),
            (status, others),
            "{report:#}"
        );
    }
}
