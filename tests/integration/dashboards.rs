//! The dashboards and alert rules against what the program writes, both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lbtest::parts::{Config, FAMILIES, Ingress};
use regex::Regex;
use serde_json::Value;

use crate::program::lbtest;
use crate::serve::{ONE, Served};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("dashboards")
        .join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(file(name)).unwrap()).unwrap()
}

/// Every value of `key` that is a text, wherever it stands.
fn texts(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == key {
                    found.extend(value.as_str().map(str::to_owned));
                }
                texts(value, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        _ => {}
    }
}

/// The panels' targets with an expression: `(expression, legend)`.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets
        .map(|target| {
            let text = |key: &str| target[key].as_str().unwrap().to_owned();
            (text("expr"), text("legendFormat"))
        })
        .collect()
}

fn rules() -> Vec<String> {
    let text = fs::read_to_string(file("alerts.yaml")).unwrap();
    let document: Value = serde_saphyr::from_str(&text).unwrap();
    let mut found = Vec::new();
    texts(&document, "expr", &mut found);
    assert_eq!(found.len(), 7);
    found
}

/// Checks that between them have every figure that a report can have.
const CHECKS: &str = r#"
[target]
url = "URL"
expect = "v1=70,v2=30"

[[check]]
name = "split"

[[check]]
name = "sessions"
expect_sticky = true

[[check]]
name = "pods"
expect_even = {v1 = 1, v2 = 1}
"#;

/// The labels of every metric that the program writes.
fn exported() -> BTreeMap<String, BTreeSet<String>> {
    let mut config = Config::new("v1=70,v2=30".parse().unwrap());
    config.faults = vec!["v2=close:5%".parse().unwrap()];
    config.shifts = vec!["1500:v1=50,v2=50".parse().unwrap()];
    let ingress = Ingress::start(&config).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lbtest.toml");
    let url = format!("http://{}/", ingress.addr());
    fs::write(&file, CHECKS.replace("URL", &url)).unwrap();
    let file = file.to_str().unwrap();
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    served.verdict("/verdict/shop");
    let documents = [
        lbtest(&["--config", file, "--openmetrics", "-"]).stdout,
        served.get("/metrics").body,
    ];
    let sample = Regex::new(r"^(lbtest_\w+)(?:\{(.*)\})? \S+$").unwrap();
    let label = Regex::new(r#"(\w+)="(?:[^"\\]|\\.)*""#).unwrap();
    let mut exported: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in documents.iter().flat_map(|document| document.lines()) {
        let Some(found) = sample.captures(line) else {
            continue;
        };
        let labels = exported.entry(found[1].to_owned()).or_default();
        let written = found.get(2).map_or("", |labels| labels.as_str());
        labels.extend(
            label
                .captures_iter(written)
                .map(|label| label[1].to_owned()),
        );
    }
    exported
}

#[test]
fn queries_and_rules_name_exported_metrics_with_their_labels_and_leave_none_out() {
    let exported = exported();
    let dashboard = json("lbtest-prometheus.json");
    let queries = queries(&dashboard);
    let rules = rules();
    let mut variables = Vec::new();
    texts(&dashboard["templating"], "definition", &mut variables);
    let expressions = queries.iter().map(|(expression, _)| expression);
    let all = expressions.chain(&rules).chain(&variables);

    let metric = Regex::new(r"lbtest_\w+").unwrap();
    let matcher = Regex::new(r"(lbtest_\w+)\{([^}]*)\}").unwrap();
    let label = Regex::new(r#"(\w+)\s*(?:=~|!~|!=|=)\s*""#).unwrap();
    let grouping = Regex::new(r"(?:by|without) \(([^)]*)\)").unwrap();
    let mut used = BTreeSet::new();
    for expression in all {
        let names: BTreeSet<&str> = metric.find_iter(expression).map(|m| m.as_str()).collect();
        assert!(!names.is_empty(), "{expression}");
        for name in &names {
            assert!(
                exported.contains_key(*name),
                "{name} is not exported: {expression}"
            );
        }
        for found in matcher.captures_iter(expression) {
            for label in label.captures_iter(&found[2]) {
                assert!(
                    exported[&found[1]].contains(&label[1]),
                    "{}: {expression}",
                    &label[1]
                );
            }
        }
        for found in grouping.captures_iter(expression) {
            for label in found[1].split(',').map(str::trim) {
                let has_it = names.iter().any(|name| exported[*name].contains(label));
                assert!(has_it, "{label}: {expression}");
            }
        }
        used.extend(names.into_iter().map(str::to_owned));
    }
    let shown = Regex::new(r"\{\{(\w+)\}\}").unwrap();
    for (expression, legend) in &queries {
        for label in shown.captures_iter(legend) {
            let mut names = metric.find_iter(expression);
            let has_it = names.any(|name| exported[name.as_str()].contains(&label[1]));
            assert!(has_it, "{}: {expression}", &label[1]);
        }
    }
    let families = FAMILIES.iter().map(|family| family.name.to_owned());
    let known: BTreeSet<String> = families.chain(exported.into_keys()).collect();
    let unused: Vec<&String> = known.difference(&used).collect();
    assert!(unused.is_empty(), "no panel and no rule shows {unused:?}");
}

#[test]
fn promtool_accepts_the_rules_their_tests_and_every_query() {
    let promtool = |arguments: &[&str], file: &Path| {
        let ran = Command::new("promtool").args(arguments).arg(file).output();
        let ran = ran.expect("promtool is there: scripts/test packages installs it");
        assert!(ran.status.success(), "{ran:?}");
    };
    promtool(&["check", "rules"], &file("alerts.yaml"));
    promtool(&["test", "rules"], &file("alerts_test.yaml"));
    // Grafana fills its variables in before Prometheus reads a query.
    let mut rules = "groups:\n- name: queries\n  rules:\n".to_owned();
    for (number, (expression, _)) in queries(&json("lbtest-prometheus.json")).iter().enumerate() {
        let filled = expression
            .replace("$__rate_interval", "5m")
            .replace("$host", ".*")
            .replace("$check", ".*");
        assert!(!filled.contains('$'), "{filled}");
        let quoted = serde_json::to_string(&filled).unwrap();
        writeln!(rules, "  - record: query:{number}\n    expr: {quoted}").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queries.yaml");
    fs::write(&path, rules).unwrap();
    promtool(&["check", "rules"], &path);
}

#[test]
fn the_panels_without_prometheus_read_fields_that_the_report_has() {
    let dashboard = json("lbtest-infinity.json");
    let schema: Value = crate::report::schema::<lbtest::parts::Report>();
    let mut count = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let root = target["root_selector"].as_str().unwrap();
            for column in target["columns"].as_array().unwrap() {
                let selector = column["selector"].as_str().unwrap();
                let path = root.split('.').chain(selector.split('.'));
                let mut place = &schema;
                for part in path.filter(|part| !part.is_empty()) {
                    place = field(&schema, place, part)
                        .unwrap_or_else(|| panic!("the report has no {root} {selector}"));
                }
                count += 1;
            }
        }
    }
    assert!(count > 30, "{count}");
}

/// The schema of a field of an object, or of the items of a list.
fn field<'s>(schema: &'s Value, place: &'s Value, name: &str) -> Option<&'s Value> {
    let alternatives = place["anyOf"].as_array();
    let alternatives = alternatives.map_or_else(|| vec![place], |all| all.iter().collect());
    alternatives.into_iter().find_map(|place| {
        let place = match place["$ref"].as_str() {
            Some(reference) => schema.pointer(reference.strip_prefix('#')?)?,
            None => place,
        };
        match place.get("items") {
            Some(items) => field(schema, items, name),
            None => place["properties"].get(name),
        }
    })
}

#[test]
fn the_dashboards_are_whole() {
    for name in ["lbtest-prometheus.json", "lbtest-infinity.json"] {
        let dashboard = json(name);
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<u64> = panels
            .iter()
            .filter_map(|panel| panel["id"].as_u64())
            .collect();
        assert_eq!(ids.len(), panels.len(), "{name}");
        for (index, panel) in panels.iter().enumerate() {
            assert!(
                panel["title"]
                    .as_str()
                    .is_some_and(|title| !title.is_empty())
            );
            let place = |panel: &Value| {
                let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
                (at("x"), at("y"), at("x") + at("w"), at("y") + at("h"))
            };
            let (left, top, right, bottom) = place(panel);
            assert!(right <= 24, "{name}: {}", panel["title"]);
            for other in &panels[..index] {
                let (l, t, r, b) = place(other);
                let is_apart = right <= l || r <= left || bottom <= t || b <= top;
                assert!(
                    is_apart,
                    "{name}: {} over {}",
                    panel["title"], other["title"]
                );
            }
        }
    }
}
