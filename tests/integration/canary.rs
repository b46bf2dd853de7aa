//! `canary`: what it derives beyond the exercise, and what it refuses.

use serde_json::Value;

use lbtest::parts::{Input, Manifests};

use crate::program::{Ran, lbtest_reading};

const STABLE: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
  namespace: store
  uid: 5a4f2f0c
  resourceVersion: "7"
  labels: {app: shop, app.kubernetes.io/version: 1.4.2}
  annotations: {deployment.kubernetes.io/revision: "3", meta.helm.sh/release-name: shop, meta.helm.sh/release-namespace: store}
spec:
  selector: {matchLabels: {app: shop, tier: web}}
  template:
    metadata: {labels: {app: shop, tier: web, app.kubernetes.io/version: 1.4.2}}
    spec:
      affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: host, labelSelector: {matchLabels: {app: shop}}}]}}
      containers:
      - {name: web, image: "shop:1.4.2", args: [serve]}
      volumes: [{name: data, persistentVolumeClaim: {claimName: shop-data}}]
status: {replicas: 3}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: store}
spec: {type: NodePort, clusterIP: 10.0.0.7, clusterIPs: [10.0.0.7], selector: {app: shop}, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  namespace: store
  annotations: {nginx.ingress.kubernetes.io/affinity: cookie, nginx.ingress.kubernetes.io/ssl-redirect: "true", cert-manager.io/issuer: ca}
spec:
  tls: [{hosts: [shop.example], secretName: shop}]
  rules:
  - host: shop.example
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}}
      - {path: /mail, pathType: Prefix, backend: {service: {name: mail, port: {number: 80}}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop, namespace: store}
spec: {maxReplicas: 3}
"#;

fn canary(stable: &str, more: &[&str]) -> Ran {
    let mut arguments = vec!["canary", "-"];
    for (option, value) in [
        ("--suffix", "next"),
        ("--image", "shop:1.5.0"),
        ("--weight", "5"),
    ] {
        if !more.contains(&option) {
            arguments.extend([option, value]);
        }
    }
    lbtest_reading(&[&arguments[..], more].concat(), stable.as_bytes())
}

fn objects(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.status, 0, "{ran:?}");
    let bytes = ran.stdout.clone().into_bytes();
    let manifests = Manifests::read(&[Input {
        name: "derived".to_owned(),
        bytes,
        is_found: false,
    }])
    .unwrap();
    manifests
        .objects()
        .iter()
        .map(|object| object.value.clone())
        .collect()
}

#[test]
fn everything_that_would_clash_or_mislead_is_the_canarys_own() {
    let ran = canary(STABLE, &["--args", "serve --fast"]);
    let derived = objects(&ran);
    let [deployment, service, ingress] = &derived[..] else {
        panic!("{derived:?}")
    };
    assert_eq!(
        deployment["metadata"],
        serde_json::json!({
            "name": "shop-next", "namespace": "store",
            "labels": {"app": "shop-next", "app.kubernetes.io/version": "next"},
        })
    );
    let spec = &deployment["spec"];
    assert_eq!(
        spec["selector"]["matchLabels"],
        serde_json::json!({"app": "shop-next", "tier": "web"})
    );
    assert_eq!(
        spec["template"]["metadata"]["labels"]["app.kubernetes.io/version"],
        "next"
    );
    let affinity = spec.pointer(
        "/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0",
    );
    assert_eq!(
        affinity.unwrap()["labelSelector"]["matchLabels"]["app"],
        "shop-next"
    );
    let container = &spec["template"]["spec"]["containers"][0];
    assert_eq!(container["args"], serde_json::json!(["serve", "--fast"]));
    assert!(deployment.get("status").is_none());
    assert_eq!(
        service["spec"],
        serde_json::json!({"type": "NodePort", "selector": {"app": "shop-next"}, "ports": [{"port": 80}]})
    );
    assert_eq!(
        ingress["metadata"]["annotations"],
        serde_json::json!({
            "nginx.ingress.kubernetes.io/affinity": "cookie",
            "nginx.ingress.kubernetes.io/canary": "true",
            "nginx.ingress.kubernetes.io/canary-weight": "5",
        })
    );
    assert!(ingress["spec"].get("tls").is_none());
    assert_eq!(
        ingress["spec"]["rules"][0]["http"]["paths"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for part in [
        "ssl-redirect",
        "cert-manager.io/issuer",
        "spec.tls",
        "/mail",
        "nodePort",
        "shop-data",
        "HorizontalPodAutoscaler",
        "app.kubernetes.io/version",
    ] {
        let notes = ran
            .stderr
            .lines()
            .filter(|line| line.contains(part))
            .count();
        assert_eq!(notes, 1, "{part}: {}", ran.stderr);
    }
}

/// The objects derived from `STABLE` after some replacements, each of which must find its place.
fn derived_from(changes: &[(&str, &str)]) -> Vec<Value> {
    let stable = changes
        .iter()
        .fold(STABLE.to_owned(), |stable, (from, to)| {
            assert!(stable.contains(from), "{from}");
            stable.replace(from, to)
        });
    objects(&canary(&stable, &[]))
}

#[test]
fn a_deployment_that_selects_by_version_still_selects_its_own_pods() {
    let derived = derived_from(&[
        (
            "matchLabels: {app: shop, tier: web}",
            "matchLabels: {app: shop, app.kubernetes.io/version: 1.4.2}",
        ),
        (
            "labelSelector: {matchLabels: {app: shop}}",
            "labelSelector: {matchLabels: {app: shop, app.kubernetes.io/version: 1.4.2}}",
        ),
    ]);
    let spec = &derived[0]["spec"];
    let own = serde_json::json!({"app": "shop-next", "app.kubernetes.io/version": "next"});
    assert_eq!(spec["selector"]["matchLabels"], own);
    for (key, value) in own.as_object().unwrap() {
        assert_eq!(spec["template"]["metadata"]["labels"][key], *value);
    }
    let spread = "/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0/labelSelector/matchLabels";
    assert_eq!(spec.pointer(spread), Some(&own));
    assert_eq!(derived[1]["spec"]["selector"]["app"], "shop-next");
}

#[test]
fn a_label_without_a_value_becomes_the_suffix_alone() {
    let derived = derived_from(&[("app: shop", "app: \"\"")]);
    assert_eq!(derived[1]["spec"]["selector"]["app"], "next");
}

#[test]
fn addresses_and_finalizers_stay_with_the_stable_objects() {
    let derived = derived_from(&[
        ("  uid: 5a4f2f0c", "  finalizers: [example.com/held]"),
        (
            "clusterIP: 10.0.0.7,",
            "externalIPs: [192.0.2.7], loadBalancerIP: 192.0.2.8, clusterIP: 10.0.0.7,",
        ),
    ]);
    assert!(derived[0]["metadata"].get("finalizers").is_none());
    assert_eq!(
        derived[1]["spec"],
        serde_json::json!({"type": "NodePort", "selector": {"app": "shop-next"}, "ports": [{"port": 80}]})
    );
}

#[test]
fn a_service_beside_the_ingress_that_selects_the_canary_is_named() {
    let service = |name: &str, label: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: store}}\nspec: {{selector: {label}, ports: [{{port: 80}}]}}\n"
        )
    };
    let (both, one) = (
        service("admin", "{tier: web}"),
        service("old", "{app: shop, tier: web}"),
    );
    let ran = canary(&format!("{STABLE}{both}{one}"), &[]);
    let note = |part: &str| {
        let line = ran.stderr.lines().find(|line| line.contains(part));
        line.unwrap_or_else(|| panic!("{}", ran.stderr)).to_owned()
    };
    assert!(note("Service store/admin").contains("selects the canary's pods as well"));
    assert!(note("Service store/old").contains("has no part"));
}

#[test]
fn a_name_is_taken_in_its_own_namespace_alone() {
    let documents: Vec<&str> = STABLE.split("---").collect();
    let elsewhere = documents[0]
        .replace("name: shop\n", "name: shop-next\n")
        .replace("namespace: store", "namespace: other");
    let ran = canary(&format!("{STABLE}---{elsewhere}"), &[]);
    assert_eq!(objects(&ran).len(), 3);
}

#[test]
fn what_cannot_be_derived_is_refused_in_a_sentence() {
    let documents: Vec<&str> = STABLE.split("---").collect();
    let two = |index: usize, name: &str| {
        format!(
            "{STABLE}---{}",
            documents[index].replace("name: shop\n", &format!("name: {name}\n"))
        )
    };
    let sidecar = STABLE.replace(
        "args: [serve]}",
        "args: [serve]}\n      - {name: proxy, image: proxy}",
    );
    for (stable, more, part) in [
        (STABLE.to_owned(), &["--suffix", "V2"][..], "--suffix 'V2'"),
        (STABLE.to_owned(), &["--image", ""], "--image ''"),
        (STABLE.to_owned(), &["--weight", "101"], "--weight 101"),
        (
            STABLE.to_owned(),
            &["--weight-total", "10"],
            "--weight-total 10",
        ),
        (STABLE.to_owned(), &["--weight", "many"], "--weight"),
        (STABLE.to_owned(), &["--command", "sh -c 'x"], "--command"),
        (STABLE.to_owned(), &["--container", "db"], "--container db"),
        (
            STABLE.to_owned(),
            &["--deployment", "db"],
            "--deployment db",
        ),
        (
            two(0, "other"),
            &[],
            "--deployment: store/shop, store/other",
        ),
        (two(2, "other"), &[], "--ingress: store/shop, store/other"),
        (sidecar, &[], "--container: web, proxy"),
        (
            documents[2].to_owned(),
            &[],
            "the Service shop, mail, which is not among",
        ),
        (documents[1].to_owned(), &[], "there is no Ingress"),
        (documents[1..3].join("---"), &[], "there is no Deployment"),
        (
            STABLE.replace("selector: {app: shop}", "selector: {app: x}"),
            &[],
            "selects the pods of Deployment store/shop",
        ),
        (
            STABLE.replace(
                "matchLabels: {app: shop, tier: web}",
                "matchExpressions: [{key: app, operator: Exists}]",
            ),
            &[],
            "spec.selector.matchExpressions",
        ),
        (
            two(0, "shop-next"),
            &["--deployment", "shop"],
            "is the name that the canary would get",
        ),
        (
            STABLE.replace("affinity: cookie", "canary: \"true\""),
            &[],
            "is a canary already",
        ),
    ] {
        let ran = canary(&stable, more);
        assert_eq!(ran.status, 2, "{part}: {ran:?}");
        assert!(
            ran.stdout.is_empty() && ran.stderr.lines().count() == 1,
            "{part}: {ran:?}"
        );
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.contains(part),
            "{part}: {ran:?}"
        );
    }
}
