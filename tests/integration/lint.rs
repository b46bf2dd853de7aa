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
fn what_is_wrong_in_several_places_is_said_once_with_all_of_them() {
    let ran = lbtest(&[
        "lint",
        "scripts/challenge/stable",
        "scripts/challenge/canary",
    ]);
    let ignored = ran.stdout.lines();
    let ignored: Vec<&str> = ignored
        .skip_while(|line| !line.starts_with("warning[ignored_annotation]"))
        .take_while(|line| !line.starts_with("split:"))
        .collect();
    assert!(ignored[0].contains("has no effect"), "{ran:?}");
    assert_eq!(ignored.len(), 5, "{ran:?}");
    let place = "  also scripts/challenge/canary/paso05-ingress.yaml:";
    let all = ignored[1..].iter().all(|line| line.starts_with(place));
    assert!(all, "{ran:?}");
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
        "3664 at 95 % of it then take 64 m 17 s",
    );
    for (more, is_found) in [
        (&["-n", "569"][..], false),
        (&["-n", "571"][..], true),
        (&["-n", "301", "--max-duration", "1m"][..], false),
        (&["--max-duration", "65m"][..], false),
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

/// Objects with a Gateway API route in front, as JSON documents one after the other.
fn route(backends: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, namespace: blue}}\n\
         spec: {{hostnames: [r.example], rules: [{{backendRefs: [{backends}]}}]}}\n"
    )
}

fn service(name: &str, namespace: &str, selector: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{selector: {{{selector}}}}}\n"
    )
}

fn deployment(name: &str, replicas: u64, labels: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\n\
         spec: {{replicas: {replicas}, template: {{metadata: {{labels: {{{labels}}}}}}}}}\n"
    )
}

fn codes(manifest: &str) -> Vec<String> {
    lint(manifest, &[])
        .1
        .into_iter()
        .map(|(code, ..)| code)
        .collect()
}

#[test]
fn a_selector_counts_in_its_own_namespace_and_is_told_once() {
    let two = route("{name: a}, {name: b, namespace: green}");
    let apart = two.clone() + &service("a", "blue", "app: x") + &service("b", "green", "app: x");
    assert_eq!(codes(&apart), ["no_reference_grant"]);
    let one = route("{name: a}, {name: b}");
    let again = one.replace("name: r,", "name: s,");
    let both = format!(
        "{one}---\n{again}{}{}",
        service("a", "blue", "app: x"),
        service("b", "blue", "app: x")
    );
    assert_eq!(codes(&both), ["selectors_overlap"]);
    // Argo Rollouts points its services, ping and pong among them, at pods by itself.
    let rollout = "---\napiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: r, namespace: blue}\n\
                   spec: {strategy: {canary: {pingPong: {pingService: a, pongService: b}, steps: [{setWeight: 100}]}}}\n";
    assert_eq!(codes(&(both + rollout)), Vec::<String>::new());
}

#[test]
fn a_reference_to_another_namespace_needs_a_grant_that_fits() {
    let cross = route("{name: a, weight: 70}, {name: b, namespace: green, weight: 30}");
    let grant = |from: &str, to: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: g, namespace: green}}\n\
             spec: {{from: [{{group: gateway.networking.k8s.io, kind: {from}, namespace: blue}}], to: [{{group: \"\", kind: Service{to}}}]}}\n"
        )
    };
    finds(
        &cross,
        0,
        "no_reference_grant",
        "spec.rules[0].backendRefs[1].weight",
        "30 % of the requests get 500",
    );
    for (from, to, is_granted) in [
        ("HTTPRoute", "", true),
        ("HTTPRoute", ", name: b", true),
        ("HTTPRoute", ", name: c", false),
        ("GRPCRoute", "", false),
    ] {
        let found = codes(&(cross.clone() + &grant(from, to)));
        assert_eq!(found.is_empty(), is_granted, "{from} {to}: {found:?}");
    }
}

#[test]
fn one_service_over_several_workloads_splits_by_their_pods() {
    let shared =
        route("{name: a}") + &service("a", "blue", "app: x") + &deployment("one", 3, "app: x");
    assert_eq!(codes(&shared), Vec::<String>::new());
    let two = shared.clone() + &deployment("two", 1, "app: x");
    finds(
        &two,
        0,
        "approximate_split",
        "spec.selector",
        "one (3) and two (1)",
    );
    let off = shared.clone() + &deployment("two", 0, "app: x");
    assert_eq!(codes(&off), Vec::<String>::new());
    let scaled = two
        + "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\n\
                        spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: two}}\n";
    let ran = lbtest_reading(&["plan", "--expect-from", "-"], scaled.as_bytes());
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(
        ran.stderr.contains("one (3) and two (any number)"),
        "{ran:?}"
    );
}

#[test]
fn a_backend_without_pods_is_told_by_what_it_does_to_the_others() {
    let pods = |shop: u64, next: u64| {
        PAIR.to_owned()
            + &deployment("shop", shop, "app: shop, track: stable")
            + &deployment("next", next, "app: shop, track: canary")
    };
    assert_eq!(codes(&pods(1, 1)), Vec::<String>::new());
    finds(
        &pods(0, 1),
        1,
        "backend_without_pods",
        "spec.replicas",
        "503 to every request",
    );
    finds(
        &pods(1, 0),
        1,
        "backend_without_pods",
        "spec.replicas",
        "to the primary",
    );
    let scaler = |spec: &str| {
        format!(
            "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: s, namespace: store}}\nspec: {{{spec}maxReplicas: 5, scaleTargetRef: {{kind: Deployment, name: shop}}}}\n"
        )
    };
    finds(
        &(pods(0, 1) + &scaler("minReplicas: 2, ")),
        1,
        "backend_without_pods",
        "spec.replicas",
        "is 0, which its HorizontalPodAutoscaler takes for switched off",
    );
    let from_0 = pods(0, 1) + &scaler("minReplicas: 0, ");
    assert_eq!(codes(&from_0), [""; 0]);
    let route = route("{name: a}, {name: b}")
        + &service("a", "blue", "app: a")
        + &service("b", "blue", "app: b");
    let dead = route + &deployment("a", 1, "app: a") + &deployment("b", 0, "app: b");
    finds(
        &dead,
        1,
        "backend_without_pods",
        "spec.replicas",
        "its share of the requests fails",
    );
}

#[test]
fn a_canary_takes_of_every_rule_with_its_primarys_service() {
    let documents: Vec<&str> = PAIR.split("---").collect();
    let other = documents[0]
        .replace(
            "name: shop, namespace: store, ann",
            "name: other, namespace: store, ann",
        )
        .replace("host: shop.example", "host: other.example");
    let shared = format!("{PAIR}---{other}");
    finds(
        &shared,
        1,
        "canary_takes_more",
        "spec.rules[0].http.paths[0].backend",
        "host other.example",
    );
    let canary = documents[1]
        .replace("name: next\n", "name: next2\n")
        .replace("host: shop.example", "host: other.example");
    assert_eq!(codes(&format!("{shared}---{canary}")), Vec::<String>::new());
    let twice = format!(
        "{PAIR}---{}",
        other
            .replace("other.example", "shop.example")
            .replace("service: {name: shop", "service: {name: third")
    );
    assert!(codes(&twice).contains(&"host_and_path_twice".to_owned()));
}

#[test]
fn canaries_that_no_controller_reads_are_told() {
    let prefix = PAIR.replace(
        "nginx.ingress.kubernetes.io/canary",
        "ingress.kubernetes.io/canary",
    );
    assert!(codes(&prefix).contains(&"unknown_canary_annotation".to_owned()));
    for key in [
        "canary_weight",
        "Canary-Weight",
        "nginx.org/canary-weight",
        "nginx.ingress.kubernetes.io.canary-weight",
        "canary-weight",
    ] {
        let key = if key.contains('.') || key == "canary-weight" {
            key.to_owned()
        } else {
            format!("nginx.ingress.kubernetes.io/{key}")
        };
        let found = codes(&PAIR.replace(WEIGHT, &format!("{key}: \"30\"")));
        assert_eq!(
            found,
            ["unknown_canary_annotation", "canary_takes_nothing"],
            "{key}"
        );
    }
    for (more, part) in [
        (
            "canary-by-header-value: a",
            "without nginx.ingress.kubernetes.io/canary-by-header",
        ),
        (
            "canary-by-header: a, nginx.ingress.kubernetes.io/canary-by-header-value: a, nginx.ingress.kubernetes.io/canary-by-header-pattern: b",
            "beside nginx.ingress.kubernetes.io/canary-by-header-value",
        ),
    ] {
        let more = PAIR.replace(
            WEIGHT,
            &format!("{WEIGHT}, nginx.ingress.kubernetes.io/{more}"),
        );
        let (status, found) = lint(&more, &[]);
        let [(code, _, message)] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!((status, &**code), (0, "ignored_annotation"));
        assert!(message.contains(part), "{message}");
    }
    let template = PAIR.replace(
        WEIGHT,
        "nginx.ingress.kubernetes.io/canary-weight: '{{ .Values.weight }}'",
    );
    finds(
        &template,
        1,
        "unusable_field",
        "metadata.annotations[\"nginx.ingress.kubernetes.io/canary-weight\"]",
        "seems to be a template",
    );
    let class = PAIR.replace("ingressClassName: nginx", "ingressClassName: gce");
    finds(
        &class,
        1,
        "class_without_canary",
        "spec.ingressClassName",
        "gce",
    );
    let named = PAIR.to_owned()
        + "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: nginx}\nspec: {controller: example.com/other}\n";
    finds(
        &named,
        1,
        "class_without_canary",
        "spec.ingressClassName",
        "example.com/other",
    );
    let empty = PAIR.replace("rules: [{host: shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: next, port: {number: 80}}}}]}}]", "rules: []");
    finds(
        &empty,
        1,
        "canary_without_rules",
        "spec.rules",
        "neither rules nor a defaultBackend",
    );
}

#[test]
fn ports_that_a_service_has_not_are_found() {
    let pair = PAIR.replace(
        "{app: shop, track: canary}}",
        "{app: shop, track: canary}, ports: [{name: web, port: 8080, targetPort: http}]}",
    );
    let path = "spec.rules[0].http.paths[0].backend.service.port.number";
    finds(&pair, 1, "port_not_found", path, "(8080, web)");
    for port in ["number: 8080", "name: web", "name: http"] {
        let (before, after) = pair.rsplit_once("number: 80}").unwrap();
        let fitting = format!("{before}{port}}}{after}");
        assert_eq!(lint(&fitting, &[]), (0, vec![]), "{port}");
    }
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {rules: [{backendRefs: [{name: a, port: 80}]}]}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: PORT}]}\n";
    let path = "spec.rules[0].backendRefs[0].port";
    finds(
        &route.replace("PORT", "81"),
        1,
        "port_not_found",
        path,
        "(81)",
    );
    assert_eq!(lint(&route.replace("PORT", "80"), &[]), (0, vec![]));
    // AWS's controller takes the name for an action, which Argo Rollouts writes.
    let action = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\nspec: {ingressClassName: alb, defaultBackend: {service: {name: root, port: {name: use-annotation}}}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: root}\nspec: {ports: [{port: 80}]}\n---\napiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: r}\nspec: {strategy: {canary: {canaryService: a, stableService: b, trafficRouting: {alb: {ingress: i, rootService: root, servicePort: 80}}, steps: [{setWeight: 10}]}}}\n";
    assert_eq!(lint(action, &[]), (0, vec![]));
}

#[test]
fn routes_that_no_listener_takes_are_found() {
    let route = |parent: &str, listener: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: g, namespace: infra}}\nspec: {{listeners: [{{name: http, {listener}}}]}}\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, namespace: web}}\nspec: {{hostnames: [shop.example], parentRefs: [{{name: g{parent}}}], rules: [{{backendRefs: [{{name: a, port: 80}}]}}]}}\n"
        )
    };
    let (infra, all) = (
        ", namespace: infra",
        "allowedRoutes: {namespaces: {from: All}}",
    );
    let code = "route_not_attached";
    let parent = "spec.parentRefs[0]";
    finds(&route("", all), 1, code, parent, "add namespace: infra");
    finds(
        &route(infra, "port: 80"),
        1,
        code,
        parent,
        "routes of infra alone",
    );
    let section = format!("{infra}, sectionName: https");
    let path = "spec.parentRefs[0].sectionName";
    finds(&route(&section, all), 1, code, path, "of that name (http)");
    let other = format!("{all}, hostname: '*.other.example'");
    finds(
        &route(infra, &other),
        1,
        code,
        "spec.hostnames",
        "shop.example (*.other.example)",
    );
    for (listener, part) in [
        (
            "protocol: TLS",
            "no listener takes this HTTPRoute (http has protocol TLS): nothing leads to the route; it needs one with protocol \
             HTTP or HTTPS",
        ),
        (
            "protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}",
            "(http allows GRPCRoute): nothing leads to the route; it needs HTTPRoute among allowedRoutes.kinds",
        ),
    ] {
        finds(&route(infra, listener), 1, code, parent, part);
    }
    for hostname in ["shop.example", "'*.example'", "''"] {
        let listener = format!("{all}, hostname: {hostname}");
        assert_eq!(
            lint(&route(infra, &listener), &[]),
            (0, vec![]),
            "{hostname}"
        );
    }
    let istio = |host: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: g}}\nspec: {{servers: [{{hosts: [{host}]}}]}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec: {{hosts: [shop.example], gateways: [g], http: [{{route: [{{destination: {{host: a}}}}]}}]}}\n"
        )
    };
    finds(
        &istio("other.example"),
        1,
        code,
        "spec.hosts",
        "no server for shop.example (other.example)",
    );
    for host in ["shop.example", "'*.example'", "'*'", "./shop.example"] {
        assert_eq!(lint(&istio(host), &[]), (0, vec![]), "{host}");
    }
    let elsewhere = istio("infra/shop.example").replace("name: v}", "name: v, namespace: web}");
    finds(
        &elsewhere,
        1,
        code,
        "spec.hosts",
        "for shop.example of namespace web (infra/shop.example)",
    );
}

#[test]
fn routes_that_claim_the_requests_of_another_are_found() {
    let route = |name: &str, more: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec: {{hostnames: [shop.example], parentRefs: [{{name: g}}], rules: [{{{more}backendRefs: [{{name: {name}, port: 80}}]}}]}}\n"
        )
    };
    let twice = route("a", "") + &route("b", "");
    finds(
        &twice,
        0,
        "host_and_path_twice",
        "spec.rules[0].backendRefs[0].weight",
        "as HTTPRoute a does",
    );
    let apart = route("a", "") + &route("b", "matches: [{path: {value: /b}}], ");
    assert_eq!(lint(&apart, &[]), (0, vec![]));
    let elsewhere = route("a", "") + &route("b", "").replace("name: g", "name: h");
    assert_eq!(lint(&elsewhere, &[]), (0, vec![]));
}

#[test]
fn actions_of_load_balancers_and_paths_find_each_other() {
    let ingress = |action: &str, port: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: i\n  annotations: {{alb.ingress.kubernetes.io/actions.{action}: '{{\"forwardConfig\":{{\"targetGroups\":[{{\"serviceName\":\"a\",\"weight\":7}},{{\"serviceName\":\"b\",\"weight\":3}}]}}}}'}}\nspec: {{ingressClassName: alb, rules: [{{http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: split, port: {{{port}}}}}}}}}]}}}}]}}\n"
        )
    };
    let named = "name: use-annotation";
    assert_eq!(lint(&ingress("split", named), &[]), (0, vec![]));
    let code = "action_not_found";
    let path = "spec.rules[0].http.paths[0]";
    finds(
        &ingress("spilt", named),
        1,
        code,
        path,
        "actions.split says",
    );
    let path = "metadata.annotations[\"alb.ingress.kubernetes.io/actions.split\"]";
    finds(
        &ingress("split", "number: 80"),
        1,
        code,
        path,
        "the port use-annotation",
    );
}

#[test]
fn routes_that_lack_the_canary_of_their_rollout_are_found() {
    let both = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: r}\nspec: {strategy: {canary: {stableService: a, canaryService: b, trafficRouting: {istio: {virtualService: {name: v}}}, steps: [{setWeight: 30}]}}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec: {hosts: [x.example], http: [{route: [{destination: {host: a.web.svc.cluster.local}, weight: 100}, {destination: {host: b}, weight: 0}]}]}\n";
    assert_eq!(lint(both, &[]), (0, vec![]));
    let one = both.replace(", {destination: {host: b}, weight: 0}", "");
    let path = "spec.strategy.canary.canaryService";
    finds(
        &one,
        1,
        "driven_route_without_canary",
        path,
        "VirtualService v does not lead",
    );
}

#[test]
fn routes_that_a_rollout_names_and_its_virtual_service_has_not_are_found() {
    let with = |routes: &str, rules: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: r}}\nspec: {{strategy: {{canary: {{stableService: a, canaryService: b, trafficRouting: {{istio: {{virtualService: {{name: v{routes}}}}}}}, steps: [{{setWeight: 30}}]}}}}}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec: {{hosts: [x.example], http: [{rules}]}}\n"
        )
    };
    let rule = |more: &str| {
        format!(
            "{{{more}route: [{{destination: {{host: a}}, weight: 100}}, {{destination: {{host: b}}, weight: 0}}]}}"
        )
    };
    let (named, code) = (rule("name: main, "), "driven_route_not_found");
    assert_eq!(lint(&with(", routes: [main]", &named), &[]), (0, vec![]));
    // As Argo Rollouts' own tests have it.
    let tls = with(
        ", routes: [main], tlsRoutes: [{port: 443}]",
        &rule("match: [{port: 443}], "),
    );
    let (code_of_none, _) = lint(&tls.replace("http: [", "tls: ["), &[]);
    assert_eq!(code_of_none, 0, "{tls}");
    let path = "spec.strategy.canary.trafficRouting.istio.virtualService.routes";
    finds(
        &with(", routes: [other]", &named),
        1,
        code,
        &format!("{path}[0]"),
        "is other, and VirtualService v has no http rule of that name (main)",
    );
    let two = format!("{}, {named}", rule("match: [{uri: {prefix: /a}}], "));
    finds(&with("", &two), 1, code, path, "has 2 http rules");
}

#[test]
fn what_a_delegate_asks_for_must_be_part_of_what_its_root_leads_there() {
    let both = |root: &str, leaf: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: root}}\nspec: {{hosts: [x.example], http: [{{match: [{{{root}}}], delegate: {{name: leaf}}}}]}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: leaf}}\nspec: {{http: [{{match: [{{{leaf}}}], route: [{{destination: {{host: a}}}}]}}]}}\n"
        )
    };
    for (root, leaf, is_part) in [
        ("uri: {prefix: /a}", "uri: {prefix: /a/b}", true),
        ("uri: {prefix: /a}", "uri: {exact: /a}", true),
        ("uri: {prefix: /a}", "headers: {x: {exact: one}}", true),
        ("uri: {prefix: /a}", "uri: {prefix: /}", false),
        ("uri: {prefix: /a/b}", "uri: {prefix: /a}", false),
        ("uri: {exact: /a}", "uri: {prefix: /a}", false),
        ("uri: {prefix: /a}", "uri: {regex: /a/.*}", false),
        ("method: {exact: GET}", "method: {exact: POST}", false),
        (
            "headers: {x: {exact: one}}",
            "headers: {x: {exact: two}}",
            false,
        ),
        ("port: 80", "port: 81", false),
    ] {
        let found = codes(&both(root, leaf));
        assert_eq!(found.is_empty(), is_part, "{root} and {leaf}: {found:?}");
        assert!(is_part || found == ["delegate_left_out"], "{found:?}");
    }
}

#[test]
fn a_rule_of_traefik_below_the_priority_of_a_wider_one_is_found() {
    let rules = |first: &str, second: &str| {
        format!(
            "apiVersion: traefik.io/v1alpha1\nkind: IngressRoute\nmetadata: {{name: r}}\nspec: {{routes: [{{{first}, services: [{{name: a, port: 80}}]}}, {{{second}, services: [{{name: b, port: 80}}]}}]}}\n"
        )
    };
    let host = "match: Host(`x.example`)";
    let all = "match: PathPrefix(`/`), priority: 100";
    finds(
        &rules(host, all),
        1,
        "rule_never_reached",
        "spec.routes[0].services[0].weight",
        "(a=1); its priority is 17: raise it above that of rule 2, or remove one",
    );
    for (first, second) in [
        (host, "match: PathPrefix(`/`)"),
        (&*format!("{host}, priority: 100"), all),
        (host, "match: PathPrefix(`/x`), priority: 100"),
        (host, "match: Host(`y.example`), priority: 100"),
        (host, "match: Method(`GET`), priority: 100"),
        (host, "\"match\": \"ClientIP(`192.0.2.1`)\", priority: 100"),
        (
            "match: Host(`x.example`) || PathPrefix(`/y`)",
            "match: Host(`x.example`), priority: 100",
        ),
    ] {
        assert_eq!(
            codes(&rules(first, second)),
            [""; 0],
            "{first} and {second}"
        );
    }
}

#[test]
fn rules_and_subsets_that_lead_nowhere_are_found() {
    let service = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec: {hosts: [v.example], http: [";
    let to = |subset: &str| format!("route: [{{destination: {{host: a, subset: {subset}}}}}]");
    let rules = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: a, subsets: [{name: one, labels: {v: \"1\"}}]}\n";
    let missing = format!("{service}{{{}}}]}}\n{rules}", to("two"));
    finds(
        &missing,
        1,
        "subset_not_found",
        "spec.http[0].route[0].weight",
        "DestinationRule a has not",
    );
    let pods = "---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {app: a}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a-1, labels: {app: a, v: \"2\"}}\n";
    let empty = format!("{service}{{{}}}]}}\n{rules}{pods}", to("one"));
    finds(
        &empty,
        1,
        "selector_matches_nothing",
        "spec.http[0].route[0].weight",
        "(v=1)",
    );
    assert_eq!(codes(&empty.replace("v: \"2\"", "v: \"1\"")), [""; 0]);
    let alone = format!("{service}{{{}}}]}}\n{pods}", to("one"));
    finds(
        &alone,
        0,
        "subset_not_found",
        "spec.http[0].route[0].weight",
        "no DestinationRule of a",
    );
    let order = |first: &str, second: &str| {
        format!(
            "{service}{{{first}{}}}, {{{second}{}}}]}}\n{rules}",
            to("one"),
            to("one")
        )
    };
    let prefix = |path: &str| format!("match: [{{uri: {{prefix: {path}}}}}], ");
    for (first, second, is_hidden) in [
        (String::new(), prefix("/x"), true),
        (prefix("/x"), prefix("/x/y"), true),
        (prefix("/x"), prefix("/y"), false),
        (prefix("/x/y"), prefix("/x"), false),
        (
            "match: [{headers: {a: {exact: b}}}], ".to_owned(),
            String::new(),
            false,
        ),
        ("match: [{port: 80}], ".to_owned(), String::new(), false),
    ] {
        let found = codes(&order(&first, &second));
        assert_eq!(
            found == ["rule_never_reached"],
            is_hidden,
            "{first} {second}: {found:?}"
        );
    }
}

#[test]
fn a_rule_that_is_never_reached_is_an_error_only_where_another_split_is_lost() {
    let rules = |second: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: a}}\nspec:\n  rules:\n  \
             - {{filters: [{{type: RequestHeaderModifier}}], backendRefs: [{{name: a}}]}}\n  - backendRefs: [{{name: {second}}}]\n"
        )
    };
    for (second, status, message) in [("a", 0, "what else it says is lost"), ("b", 1, "(b=1)")] {
        let (found, findings) = lint(&rules(second), &[]);
        assert_eq!((found, findings.len()), (status, 1), "{findings:?}");
        assert!(findings[0].2.contains(message), "{findings:?}");
    }
}

#[test]
fn assertions_of_tests_are_passed_over_among_manifests() {
    let folder = tempfile::tempdir().unwrap();
    let assertion = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: r}\n\
                     status:\n  (phase == 'Healthy'): true\n";
    fs::write(folder.path().join("assertion.yaml"), assertion).unwrap();
    fs::write(folder.path().join("shop.yaml"), PAIR).unwrap();
    let ran = lbtest(&["lint", folder.path().to_str().unwrap(), "--json", "-"]);
    let report = ran.json();
    assert_eq!(
        (ran.status, &report["findings"]),
        (0, &Value::Array(vec![]))
    );
    let passed_over = report["passed_over"][0]["reason"].as_str().unwrap();
    assert!(
        passed_over.contains("an assertion of a test"),
        "{passed_over}"
    );
    assert_eq!(
        lbtest_reading(&["lint", "-"], assertion.as_bytes()).status,
        2
    );
}

#[test]
fn a_router_that_is_unknown_or_missing_is_told() {
    let rollout = |routing: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: r, namespace: blue}}\n\
             spec: {{strategy: {{canary: {{stableService: a, canaryService: b, {routing} steps: [{{setWeight: 20}}]}}}}}}\n---\n{}",
            route("{name: a}")
        )
    };
    finds(
        &rollout(""),
        1,
        "canary_gets_nothing",
        "spec.rules[0].backendRefs[0].weight",
        "add spec.strategy.canary.trafficRouting",
    );
    let unknown = rollout("trafficRouting: {ngnix: {stableIngress: r}},");
    finds(
        &unknown,
        1,
        "unknown_router",
        "spec.strategy.canary.trafficRouting.ngnix",
        "no router of Argo Rollouts",
    );
    let missing =
        rollout("trafficRouting: {plugins: {argoproj-labs/gatewayAPI: {httpRoute: other}}},");
    assert!(codes(&missing).contains(&"driven_route_not_found".to_owned()));
    let half = rollout("trafficRouting: {plugins: {argoproj-labs/gatewayAPI: {httpRoute: r}}},");
    assert_eq!(codes(&half), ["driven_route_without_canary"]);
    let fits = half.replace("{name: a}", "{name: a}, {name: b}");
    assert_eq!(codes(&fits), Vec::<String>::new());
}

#[test]
fn what_moves_requests_beside_the_weights_is_told() {
    let retried =
        route("{name: a}, {name: b}").replace("rules: [{", "rules: [{retry: {attempts: 2}, ");
    finds(
        &retried,
        0,
        "retries_move_requests",
        "spec.rules[0].retry",
        "another backend",
    );
    let mesh = route("{name: a}, {name: b}").replace(
        "hostnames: [r.example]",
        "parentRefs: [{kind: Service, name: s}]",
    );
    finds(
        &mesh,
        0,
        "in_mesh_route",
        "spec.parentRefs[0].kind",
        "in a pod of it",
    );
    let live = route("{name: a}")
        + "status: {parents: [{conditions: [{type: ResolvedRefs, status: \"False\", reason: BackendNotFound, message: gone}]}]}\n";
    finds(
        &live,
        1,
        "route_not_in_effect",
        "status.parents[0].conditions[0]",
        "ResolvedRefs: False (BackendNotFound)",
    );
    let near = format!(
        "{}{}",
        route("{name: a}"),
        service("a", "blue", "app: x")
            .replace("spec: {", "spec: {trafficDistribution: PreferClose, ")
    );
    finds(
        &near,
        0,
        "unequal_pods",
        "spec.trafficDistribution",
        "PreferClose",
    );
    let balance = "apiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {name: r, annotations: {haproxy.router.openshift.io/balance: source}}\n\
                   spec: {to: {name: a}, alternateBackends: [{name: b}]}\n";
    finds(
        balance,
        0,
        "balance_not_roundrobin",
        "metadata.annotations[\"haproxy.router.openshift.io/balance\"]",
        "roundrobin",
    );
    let unread = "apiVersion: example.com/v1\nkind: Splitter\nmetadata: {name: s}\nspec: {to: [{service: a, weight: 1}]}\n";
    finds(unread, 0, "kind_not_read", "spec.to[].weight", "Splitter");
}

#[test]
fn only_a_balance_that_hides_the_weights_from_one_client_is_told() {
    let route = |annotations: &str| {
        format!(
            "apiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {{name: r, annotations: {{{annotations}}}}}\n\
             spec: {{to: {{name: a, weight: 70}}, alternateBackends: [{{name: b, weight: 30}}]}}\n"
        )
    };
    // The router's own choice where several Services have weights is roundrobin.
    assert_eq!(codes(&route("")), Vec::<String>::new());
    for (balance, is_told) in [
        ("roundrobin", false),
        ("random", false),
        ("leastconn", true),
    ] {
        let found = codes(&route(&format!(
            "haproxy.router.openshift.io/balance: {balance}"
        )));
        assert_eq!(
            found == ["balance_not_roundrobin"],
            is_told,
            "{balance}: {found:?}"
        );
    }
}

#[test]
fn a_weight_of_0_that_keeps_nobody_away_is_told() {
    let single = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\n\
                  spec: {hosts: [v.example], http: [{route: [{destination: {host: a}, weight: 0}]}]}\n";
    finds(
        single,
        0,
        "zero_weight",
        "spec.http[0].route[0].weight",
        "gets all of its requests",
    );
    let proxy = |weights: [u8; 2]| {
        format!(
            "apiVersion: projectcontour.io/v1\nkind: HTTPProxy\nmetadata: {{name: p}}\nspec: {{virtualhost: {{fqdn: p.example}}, \
             routes: [{{services: [{{name: a, port: 80, weight: {}}}, {{name: b, port: 80, weight: {}}}]}}]}}\n",
            weights[0], weights[1]
        )
    };
    finds(
        &proxy([0, 0]),
        0,
        "zero_weight",
        "spec.routes[0].services[0].weight",
        "even shares",
    );
    assert_eq!(codes(&proxy([0, 1])), Vec::<String>::new());
    let open = "apiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {name: r}\n\
                spec: {to: {name: a, weight: 0}, alternateBackends: [{name: b, weight: 1}]}\n";
    finds(
        open,
        0,
        "zero_weight",
        "spec.to.weight",
        "the router's cookie",
    );
    let passthrough = open.replace("spec: {", "spec: {tls: {termination: passthrough}, ");
    assert_eq!(codes(&passthrough), Vec::<String>::new());
}

#[test]
fn what_a_live_object_says_against_itself_is_told() {
    let of = |kind: &str, spec: &str, status: &str| {
        format!(
            "apiVersion: {}\nkind: {}\nmetadata: {{name: x}}\nspec: {spec}\nstatus: {status}\n",
            kind.split(' ').next().unwrap(),
            kind.split(' ').nth(1).unwrap()
        )
    };
    let rules = "{rules: [{backendRefs: [{name: a}]}]}";
    let cases = [
        (
            of(
                "gateway.networking.k8s.io/v1 HTTPRoute",
                rules,
                "{parents: [{conditions: [{type: Accepted, status: \"True\"}, {type: PartiallyInvalid, status: \"True\", reason: UnsupportedValue, message: dropped}]}]}",
            ),
            "status.parents[0].conditions[1]",
            "PartiallyInvalid: True (UnsupportedValue): dropped",
        ),
        (
            of(
                "gateway.networking.k8s.io/v1 Gateway",
                "{}",
                "{conditions: [{type: Programmed, status: \"False\", reason: AddressNotAssigned}]}",
            ),
            "status.conditions[0]",
            "Programmed: False (AddressNotAssigned): it does not say why",
        ),
        (
            of(
                "route.openshift.io/v1 Route",
                "{to: {name: a}}",
                "{ingress: [{conditions: [{type: Admitted, status: \"False\", reason: HostAlreadyClaimed}]}]}",
            ),
            "status.ingress[0].conditions[0]",
            "HostAlreadyClaimed",
        ),
        (
            of(
                "projectcontour.io/v1 HTTPProxy",
                "{routes: [{services: [{name: a, port: 80}]}]}",
                "{currentStatus: orphaned, description: no root includes it}",
            ),
            "status.currentStatus",
            "is orphaned: no root includes it",
        ),
        (
            of(
                "k8s.nginx.org/v1 VirtualServer",
                "{host: a.example}",
                "{state: Invalid, reason: Rejected}",
            ),
            "status.state",
            "is Invalid: Rejected",
        ),
    ];
    for (manifest, path, part) in cases {
        finds(&manifest, 1, "route_not_in_effect", path, part);
        let good = manifest
            .replace("\"False\"", "\"Unknown\"")
            .replace(
                "PartiallyInvalid, status: \"True\"",
                "PartiallyInvalid, status: \"False\"",
            )
            .replace("orphaned,", "valid,")
            .replace("state: Invalid", "state: Valid");
        assert_eq!(codes(&good), Vec::<String>::new(), "{good}");
    }
}

#[test]
fn an_object_that_a_rule_leads_to_and_that_is_not_given_is_told() {
    let proxy = "apiVersion: projectcontour.io/v1\nkind: HTTPProxy\nmetadata: {name: root}\nspec:\n  virtualhost: {fqdn: a.example}\n  \
                 routes: [{services: [{name: a, port: 80}]}]\n  includes: [{name: blog, conditions: [{prefix: /blog}]}]\n";
    finds(
        proxy,
        0,
        "include_not_found",
        "spec.includes[0].name",
        "the HTTPProxy blog",
    );
    let blog = "---\napiVersion: projectcontour.io/v1\nkind: HTTPProxy\nmetadata: {name: blog}\nspec: {routes: [{services: [{name: b, port: 80}]}]}\n";
    assert_eq!(codes(&format!("{proxy}{blog}")), Vec::<String>::new());
    let traefik = "apiVersion: traefik.io/v1alpha1\nkind: IngressRoute\nmetadata: {name: r}\nspec: {routes: [{match: \"Host(`a.example`)\", \
                   services: [{name: split, kind: TraefikService}]}]}\n";
    finds(
        traefik,
        0,
        "include_not_found",
        "spec.routes[0].services[0].name",
        "the TraefikService split",
    );
    // What Traefik knows from elsewhere is no manifest.
    let file = traefik.replace("name: split", "name: split@file");
    assert_eq!(codes(&file), Vec::<String>::new());
    let delegate = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: root}\n\
                    spec: {hosts: [a.example], http: [{delegate: {name: cart}}]}\n";
    finds(
        delegate,
        0,
        "include_not_found",
        "spec.http[0].delegate.name",
        "the VirtualService cart",
    );
}

#[test]
fn localities_are_told_for_a_host_a_port_and_a_subset() {
    let locality = "{loadBalancer: {localityLbSetting: {enabled: true, distribute: [{from: a/*, to: {\"a/*\": 80, \"b/*\": 20}}]}}}";
    let rule = |spec: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a}}\nspec: {{host: a, {spec}}}\n"
        )
    };
    let cases = [
        (format!("trafficPolicy: {locality}"), "spec.trafficPolicy"),
        (
            format!(
                "trafficPolicy: {{portLevelSettings: [{{port: {{number: 80}}, {}}}]}}",
                &locality[1..locality.len() - 1]
            ),
            "spec.trafficPolicy.portLevelSettings[0]",
        ),
        (
            format!("subsets: [{{name: one, labels: {{v: \"1\"}}, trafficPolicy: {locality}}}]"),
            "spec.subsets[0].trafficPolicy",
        ),
    ];
    for (spec, place) in cases {
        let path = format!("{place}.loadBalancer.localityLbSetting.distribute");
        finds(&rule(&spec), 0, "unequal_pods", &path, "localities");
        let off = rule(&spec.replace("enabled: true", "enabled: false"));
        assert_eq!(codes(&off), Vec::<String>::new());
    }
}

#[test]
fn retries_are_told_of_every_kind_that_splits_and_only_where_they_are_on() {
    let of = |kind: &str, spec: String| {
        let (version, kind) = kind.split_once(' ').unwrap();
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n")
    };
    let cases = |count: u8| {
        [
            (
                of(
                    "networking.istio.io/v1 VirtualService",
                    format!(
                        "{{hosts: [a.example], gateways: [gw], http: [{{retries: {{attempts: {count}}}, route: [{{destination: {{host: a}}, weight: 1}}, {{destination: {{host: b}}, weight: 1}}]}}]}}"
                    ),
                ),
                "spec.http[0].retries",
            ),
            (
                of(
                    "projectcontour.io/v1 HTTPProxy",
                    format!(
                        "{{virtualhost: {{fqdn: a.example}}, routes: [{{retryPolicy: {{count: {count}}}, services: [{{name: a, port: 80}}, {{name: b, port: 80}}]}}]}}"
                    ),
                ),
                "spec.routes[0].retryPolicy",
            ),
            (
                of(
                    "gateway.solo.io/v1 RouteTable",
                    format!(
                        "{{routes: [{{options: {{retries: {{numRetries: {count}}}}}, routeAction: {{multi: {{destinations: [{{destination: {{upstream: {{name: a}}}}, weight: 1}}, {{destination: {{upstream: {{name: b}}}}, weight: 1}}]}}}}}}]}}"
                    ),
                ),
                "spec.routes[0].options.retries",
            ),
        ]
    };
    for (manifest, path) in cases(2) {
        finds(
            &manifest,
            0,
            "retries_move_requests",
            path,
            "another backend",
        );
    }
    for (manifest, path) in cases(0) {
        assert_eq!(codes(&manifest), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn a_mesh_route_is_told_only_where_no_gateway_is_a_parent() {
    let parents = |parents: &str| {
        route("{name: a}, {name: b}").replace(
            "hostnames: [r.example]",
            &format!("hostnames: [r.example], parentRefs: [{parents}]"),
        )
    };
    assert_eq!(
        codes(&parents("{kind: Service, name: s}")),
        ["in_mesh_route"]
    );
    assert_eq!(
        codes(&parents("{kind: Service, name: s}, {name: gw}")),
        Vec::<String>::new()
    );
    let mesh = |top: &str| {
        format!(
            "apiVersion: kuma.io/v1alpha1\nkind: MeshHTTPRoute\nmetadata: {{name: m}}\nspec: {{targetRef: {{kind: {top}}}, to: [{{targetRef: {{kind: MeshService, \
             name: a}}, rules: [{{default: {{backendRefs: [{{kind: MeshService, name: a}}, {{kind: MeshService, name: b}}]}}}}]}}]}}\n"
        )
    };
    assert_eq!(codes(&mesh("Mesh")), ["in_mesh_route"]);
    assert_eq!(codes(&mesh("MeshGateway")), Vec::<String>::new());
}

#[test]
fn weights_that_are_not_read_are_named_wherever_they_stand() {
    let object = |head: &str, rest: &str| {
        let (version, kind) = head.split_once(' ').unwrap();
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\n{rest}\n")
    };
    for (manifest, path) in [
        (
            object(
                "machinelearning.seldon.io/v1 SeldonDeployment",
                "spec: {predictors: [{name: a, traffic: 75}, {name: b, traffic: 25}]}",
            ),
            "spec.predictors[].traffic",
        ),
        (
            object(
                "serving.kubeflow.org/v1alpha2 InferenceService",
                "spec: {canaryTrafficPercent: 10}",
            ),
            "spec.canaryTrafficPercent",
        ),
        (
            object(
                "configuration.konghq.com/v1 KongPlugin",
                "plugin: canary\nconfig: {percentage: 10, upstream_host: next}",
            ),
            "config.percentage",
        ),
        (
            object(
                "appmesh.k8s.aws/v1beta2 VirtualRouter",
                "spec: {routes: [{name: r, httpRoute: {action: {weightedTargets: [{virtualNodeRef: {name: a}, weight: 1}]}}}]}",
            ),
            "spec.routes[].httpRoute.action.weightedTargets[].weight",
        ),
        (
            object(
                "linkerd.io/v1alpha2 ServiceProfile",
                "spec: {dstOverrides: [{authority: a.web.svc.cluster.local, weight: 500m}]}",
            ),
            "spec.dstOverrides[].weight",
        ),
        (
            object(
                "networking.gloo.solo.io/v2 RouteTable",
                "spec: {http: [{forwardTo: {destinations: [{ref: {name: a}, weight: 1}]}}]}",
            ),
            "spec.http[].forwardTo.destinations[].weight",
        ),
        (
            object(
                "cis.f5.com/v1 VirtualServer",
                "spec: {pools: [{service: a, weight: 1}]}",
            ),
            "spec.pools[].weight",
        ),
        (
            object(
                "traefik.io/v1alpha1 IngressRouteUDP",
                "spec: {routes: [{services: [{name: a, port: 53, weight: 1}]}]}",
            ),
            "spec.routes[].services[].weight",
        ),
    ] {
        finds(&manifest, 0, "kind_not_read", path, "--expect");
    }
    let bfe = PAIR.replacen(
        "annotations: {}",
        "annotations: {bfe.ingress.kubernetes.io/balance.weight: \"{}\"}",
        1,
    );
    finds(
        &bfe,
        0,
        "kind_not_read",
        "metadata.annotations[\"bfe.ingress.kubernetes.io/balance.weight\"]",
        "--expect",
    );
    let citrix = PAIR.replace(
        "nginx.ingress.kubernetes.io/canary-weight:",
        "ingress.citrix.com/canary-weight:",
    );
    assert!(codes(&citrix).contains(&"kind_not_read".to_owned()));
}

#[test]
fn a_finding_has_the_line_of_its_field() {
    let text = "# before\napiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  trafficDistribution: PreferClose\n---\n\
                apiVersion: v1\nkind: List\nitems:\n- apiVersion: gateway.networking.k8s.io/v1\n  kind: HTTPRoute\n  metadata: {name: r}\n  spec:\n    rules:\n    \
                - backendRefs:\n      - {name: a, weight: 0}\n      - name: b\n        weight: 0\n";
    let ran = lbtest_reading(&["lint", "-", "--json", "-"], text.as_bytes());
    let report = ran.json();
    let lines: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| (found["code"].as_str().unwrap(), found["line"].as_u64()))
        .collect();
    assert!(lines.contains(&("unequal_pods", Some(7))), "{lines:?}");
    assert!(
        lines.contains(&("weights_sum_to_zero", Some(18))),
        "{lines:?}"
    );
    let message = lbtest_reading(&["lint", "-"], text.as_bytes()).stdout;
    assert!(
        message.contains("standard input:7, Service a: spec.trafficDistribution: is PreferClose"),
        "{message}"
    );
    let json = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"trafficDistribution": "PreferClose"}}"#;
    let ran = lbtest_reading(&["lint", "-", "--json", "-"], json.as_bytes());
    assert_eq!(ran.json()["findings"][0]["line"], Value::Null);
}

#[test]
fn canaries_of_higress_add_up_and_their_totals_count() {
    let higress = PAIR.replace("ingressClassName: nginx", "ingressClassName: higress");
    let total = higress.replace(WEIGHT, r#"nginx.ingress.kubernetes.io/canary-weight: "3", nginx.ingress.kubernetes.io/canary-weight-total: "10""#);
    assert_eq!(codes(&total), Vec::<String>::new());
    let documents: Vec<&str> = higress.split("---").collect();
    let second = documents[1]
        .replace("name: next\n", "name: third\n")
        .replace("service: {name: next", "service: {name: shop3");
    let found = codes(&format!("{higress}---{second}"));
    assert!(!found.contains(&"second_canary".to_owned()), "{found:?}");
    let other = documents[0]
        .replace(
            "name: shop, namespace: store, ann",
            "name: other, namespace: store, ann",
        )
        .replace("host: shop.example", "host: other.example");
    assert_eq!(codes(&format!("{higress}---{other}")), Vec::<String>::new());
}

#[test]
fn a_route_that_leads_to_other_routes_needs_no_grant() {
    let delegates =
        route("{group: gateway.networking.k8s.io, kind: HTTPRoute, name: \"*\", namespace: green}");
    let child = route("{name: a}").replace("name: r, namespace: blue", "name: c, namespace: green");
    assert_eq!(
        codes(&format!("{delegates}---\n{child}")),
        Vec::<String>::new()
    );
}

#[test]
fn a_field_that_cannot_be_used_is_a_finding_beside_the_others() {
    let broken = format!("{PAIR}---\n{}", route("{weight: 1}"));
    let (status, found) = lint(&broken, &[]);
    assert_eq!(status, 1);
    assert_eq!(found[0].0, "unusable_field");
    assert_eq!(found[0].1, "spec.rules[0].backendRefs[0].name");
}

/// A Git folder as it lies: values, templates, patches, folders below and the same object twice.
#[test]
fn a_folder_is_read_as_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let report = || {
        let ran = lbtest(&["lint", folder.path().to_str().unwrap(), "--json", "-"]);
        (
            ran.status,
            ran.stderr.clone(),
            if ran.status == 2 {
                Value::Null
            } else {
                ran.json()
            },
        )
    };
    write("notes.txt", "no manifest");
    assert!(report().1.contains("nor have those below it"));
    write("values.yaml", "replicaCount: 2\n");
    assert!(report().1.contains("none of the 1 files is a manifest"));
    write(
        "chart/templates/route.yaml",
        "{{- if .Values.on }}\nkind: x\n{{- end }}\n",
    );
    write("base/pair.yaml", PAIR);
    write("base/kustomization.yaml", "patches: [{path: patch.yaml}]\n");
    write(
        "base/patch.yaml",
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: r}\n",
    );
    write(".git/config.yaml", "kind: [\n");
    let (status, notes, found) = report();
    assert_eq!((status, found["objects"].as_u64()), (0, Some(4)), "{notes}");
    assert_eq!(found["passed_over"].as_array().unwrap().len(), 2, "{found}");
    assert!(
        notes.contains("apiVersion is missing") && notes.contains("helm template"),
        "{notes}"
    );
    assert!(
        notes.contains("changes objects (patches)") && notes.contains("kubectl kustomize"),
        "{notes}"
    );
    // Another folder with the same objects is a set of its own, another file is one and is told.
    write("other/pair.yaml", &PAIR.replace("\"30\"", "\"40\""));
    let (status, _, found) = report();
    assert_eq!(
        (status, found["findings"].as_array().unwrap().len()),
        (0, 0),
        "{found}"
    );
    assert_eq!(found["routes"].as_array().unwrap().len(), 2);
    write("other/pair2.yaml", &PAIR.replace("\"30\"", "\"50\""));
    let (_, _, found) = report();
    let findings = found["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{found}");
    assert_eq!(findings[0]["code"], "object_twice");
    assert_eq!(found["routes"].as_array().unwrap().len(), 3);
}
