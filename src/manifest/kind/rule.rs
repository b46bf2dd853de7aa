//! The rules of an Ingress, whichever controller splits them, and ingress-nginx's annotations.

use serde_json::Value;

use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::field::Field;
use crate::manifest::object::{Object, same_namespace};
use crate::manifest::route::{Backend, PathRule, Route};
use crate::manifest::template;

/// The API groups that Ingress has stood in.
pub(super) const GROUPS: &[&str] = &["networking.k8s.io", "extensions"];

/// The prefix of the annotations that ingress-nginx reads.
pub(in crate::manifest) const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// The total that a smaller one is raised to.
pub(in crate::manifest) const LEAST_TOTAL: u64 = 100;

pub(in crate::manifest) fn is_ingress(object: &Object) -> bool {
    object.is("Ingress", GROUPS)
}

/// One path of one rule.
#[derive(Debug, Clone)]
pub(in crate::manifest) struct Rule<'a> {
    pub(in crate::manifest) object: &'a Object,
    /// Its number among the paths of the object, from 1.
    pub(in crate::manifest) number: usize,
    pub(in crate::manifest) host: &'a str,
    pub(in crate::manifest) path: &'a str,
    pub(in crate::manifest) path_type: &'a str,
    /// The Service, and its port as it is written.
    pub(in crate::manifest) service: Option<(&'a str, String)>,
    pub(in crate::manifest) field: Field<'a>,
    pub(in crate::manifest) class: Option<&'a str>,
    /// How much a canary takes; `None` for a primary.
    pub(in crate::manifest) canary: Option<Canary<'a>>,
}

/// The annotations of a canary.
#[derive(Debug, Clone)]
pub(in crate::manifest) struct Canary<'a> {
    /// The field of `canary-weight`.
    pub(in crate::manifest) field: Field<'a>,
    /// Its value; 0 if it is not there.
    pub(in crate::manifest) weight: u64,
    /// The value of `canary-weight-total`.
    pub(in crate::manifest) written_total: Option<u64>,
    /// Whether a header or a cookie decides first.
    pub(in crate::manifest) by: Vec<&'static str>,
    /// Whether Higress reads it: its totals count as they are written, and several canaries add up.
    pub(in crate::manifest) is_higress: bool,
    /// The headers and cookies that decide, and whether for the canary.
    pub(super) pins: Vec<(Condition, bool)>,
}

impl Canary<'_> {
    /// The total that the weight is a part of.
    pub(in crate::manifest) fn total(&self) -> u64 {
        match self.written_total {
            Some(total) if self.is_higress && total > 0 => total,
            total => total.unwrap_or(LEAST_TOTAL).max(LEAST_TOTAL),
        }
    }
}

impl Rule<'_> {
    /// Whether it is a canary that Higress reads.
    pub(in crate::manifest) fn is_higress(&self) -> bool {
        self.canary.as_ref().is_some_and(|canary| canary.is_higress)
    }

    pub(in crate::manifest) fn takes(&self, canary: &Rule<'_>) -> bool {
        let (one, other) = (self.object, canary.object);
        self.host.eq_ignore_ascii_case(canary.host)
            && self.path == canary.path
            && self.path_type == canary.path_type
            && self.class == canary.class
            && same_namespace(one.namespace.as_deref(), other.namespace.as_deref())
    }
}

/// The prefixes of other controllers with the same canary annotations: Higress, and Alibaba's MSE and ALB
/// Ingress.
const LIKE_IT: [&str; 3] = [
    "higress.io/",
    "mse.ingress.kubernetes.io/",
    "alb.ingress.kubernetes.io/",
];

/// An annotation of an Ingress, and the field that it stands in.
pub(in crate::manifest) fn annotation<'a>(
    object: &'a Object,
    name: &str,
) -> Result<(Field<'a>, Option<&'a str>), ManifestError> {
    let annotations = object.root().along(&["metadata", "annotations"])?;
    let mut field = annotations.at(&format!("{PREFIX}{name}"))?;
    if !field.is_there() && name.starts_with("canary") {
        for prefix in LIKE_IT {
            let other = annotations.at(&format!("{prefix}{name}"))?;
            if other.is_there() {
                field = other;
            }
        }
    }
    let text = field.text()?;
    Ok((field, text))
}

/// Whether Higress reads the canary annotations of `object`, or Alibaba's MSE, which is made of it.
fn is_higress(object: &Object) -> bool {
    let metadata = &object.value["metadata"];
    let class = object.value["spec"]["ingressClassName"].as_str();
    let class = class.or(metadata["annotations"]["kubernetes.io/ingress.class"].as_str());
    let own = |prefix: &&str| metadata["annotations"][format!("{prefix}canary")].is_string();
    class.is_some_and(|class| class == "higress" || class == "mse") || LIKE_IT[..2].iter().any(own)
}

/// The largest weight or total that is read.
const MAX_WEIGHT: u64 = 1_000_000_000;

fn number(object: &Object, name: &str) -> Result<Option<u64>, ManifestError> {
    let (field, text) = annotation(object, name)?;
    let Some(text) = text else { return Ok(None) };
    let number = text.parse().ok().filter(|&number| number <= MAX_WEIGHT);
    number.map(Some).ok_or_else(|| {
        if template::is_placeholder(text) {
            return field.error(&format!(
                "is \"{}\": {}",
                text.escape_debug(),
                template::remedy(text)
            ));
        }
        let text: String = text.chars().take(60).collect();
        let text = text.escape_debug();
        field.error(&format!(
            "is \"{text}\": it must be a whole number from 0 to {MAX_WEIGHT}"
        ))
    })
}

/// A Go boolean (`strconv.ParseBool`), as ingress-nginx reads it.
fn is_canary(object: &Object) -> Result<bool, ManifestError> {
    let (field, text) = annotation(object, "canary")?;
    match text {
        Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
        None | Some("0" | "f" | "F" | "false" | "False" | "FALSE" | "") => Ok(false),
        Some(other) => {
            let other: String = other.chars().take(60).collect();
            let other = other.escape_debug();
            Err(field.error(&format!("is \"{other}\": it must be \"true\" or \"false\"")))
        }
    }
}

pub(in crate::manifest) fn canary(object: &Object) -> Result<Option<Canary<'_>>, ManifestError> {
    // The weights are read in any case: one that is no number is an error wherever it stands.
    let weight = number(object, "canary-weight")?;
    let written_total = number(object, "canary-weight-total")?;
    if !is_canary(object)? {
        return Ok(None);
    }
    let mut by = Vec::new();
    for name in ["canary-by-header", "canary-by-cookie"] {
        if annotation(object, name)?.1.is_some() {
            by.push(name);
        }
    }
    let is_higress = is_higress(object);
    // Higress makes one rule of a canary: by a header or a cookie, or by weight (`CanaryConfig`).
    let weight = weight.filter(|_| !is_higress || by.is_empty());
    let mut pins = pins(object)?;
    pins.retain(|(_, is_canary)| *is_canary || !is_higress);
    let canary = Canary {
        field: annotation(object, "canary-weight")?.0,
        weight: weight.unwrap_or(0),
        written_total,
        by,
        is_higress,
        pins,
    };
    if canary.weight > canary.total() {
        let (weight, total) = (canary.weight, canary.total());
        return Err(canary.field.error(&format!(
            "is {weight}, more than the total of {total}: set it to at most that, or raise canary-weight-total"
        )));
    }
    Ok(Some(canary))
}

/// What decides before the weight: the header, then the cookie (`rootfs/etc/nginx/lua/balancer.lua`,
/// `route_to_alternative_balancer`).
fn pins(object: &Object) -> Result<Vec<(Condition, bool)>, ManifestError> {
    let text =
        |name| Ok::<_, ManifestError>(annotation(object, name)?.1.filter(|text| !text.is_empty()));
    let switch = |make: fn(&str, Option<&str>) -> Condition, name: &str| {
        [
            (make(name, Some("always")), true),
            (make(name, Some("never")), false),
        ]
    };
    let mut pins = Vec::new();
    if let Some(name) = text("canary-by-header")? {
        match (
            text("canary-by-header-value")?,
            text("canary-by-header-pattern")?,
        ) {
            (Some(value), _) => pins.push((Condition::header(name, Some(value)), true)),
            (None, Some(pattern)) => {
                let message = format!("header {name}: pattern {pattern}");
                pins.push((Condition::header_like(name, pattern, message), true));
            }
            (None, None) => pins.extend(switch(Condition::header, name)),
        }
    }
    if let Some(name) = text("canary-by-cookie")? {
        pins.extend(switch(Condition::cookie, name));
    }
    Ok(pins)
}

/// Every path of every rule of an Ingress, `defaultBackend` included.
pub(in crate::manifest) fn rules(object: &Object) -> Result<Vec<Rule<'_>>, ManifestError> {
    if !is_ingress(object) {
        return Ok(Vec::new());
    }
    let canary = canary(object)?;
    let root = object.root();
    let spec = root.at("spec")?;
    let old = root.along(&["metadata", "annotations", "kubernetes.io/ingress.class"])?;
    let class = match spec.at("ingressClassName")?.text()? {
        Some(class) => Some(class),
        None => old.text()?,
    };
    let rule = |host, path, path_type, field, service, number| Rule {
        object,
        number,
        host,
        path,
        path_type,
        service,
        field,
        class,
        canary: canary.clone(),
    };
    let mut rules = Vec::new();
    for field in spec.at("rules")?.items()? {
        let host = field.at("host")?.text()?.unwrap_or_default();
        for field in field.along(&["http", "paths"])?.items()? {
            let path = match field.at("path")?.text()? {
                Some(path) if !path.is_empty() => path,
                _ => "/",
            };
            let path_type = field
                .at("pathType")?
                .text()?
                .unwrap_or("ImplementationSpecific");
            if !matches!(path_type, "Exact" | "Prefix" | "ImplementationSpecific") {
                return Err(field.at("pathType")?.error(
                    "is none of the path types: write Prefix, Exact or ImplementationSpecific",
                ));
            }
            let service = service(&field.at("backend")?)?;
            rules.push(rule(host, path, path_type, field, service, rules.len() + 1));
        }
    }
    for key in ["defaultBackend", "backend"] {
        let field = spec.at(key)?;
        if field.is_there() {
            let service = service(&field)?;
            rules.push(rule("", "/", "Prefix", field, service, rules.len() + 1));
        }
    }
    Ok(rules)
}

/// A path that leads to an action of a cloud's load balancer, by the annotation `actions.NAME`.
#[derive(Debug)]
pub(in crate::manifest) struct Action<'a> {
    number: usize,
    host: &'a str,
    class: Option<&'a str>,
    pub(in crate::manifest) name: &'a str,
    pub(super) path: &'a str,
    pub(super) path_type: Option<&'a str>,
    pub(in crate::manifest) field: Field<'a>,
}

impl<'a> Action<'a> {
    /// Its route over `backends`, for any path.
    pub(super) fn route(&self, object: &'a Object, backends: Vec<Backend<'a>>) -> Route<'a> {
        let mut route = Route::new(object, self.number, backends);
        route
            .doors
            .extend(self.class.map(|class| format!("class {class}")));
        if !self.host.is_empty() {
            route.hosts.push(self.host.to_owned());
        }
        route
    }
}

/// The paths of `object` that lead to actions, that of `defaultBackend` among them.
pub(in crate::manifest) fn actions(object: &Object) -> Result<Vec<Action<'_>>, ManifestError> {
    let spec = object.root().at("spec")?;
    let class = spec.at("ingressClassName")?.text()?;
    let mut actions = Vec::new();
    let mut number = 0;
    for rule in spec.at("rules")?.items()? {
        let host = rule.at("host")?.text()?.unwrap_or_default();
        for field in rule.along(&["http", "paths"])?.items()? {
            number += 1;
            let backend = field.at("backend")?;
            if is_action(&backend)? {
                actions.push(Action {
                    number,
                    host,
                    class,
                    name: service_name(&backend)?,
                    path: field.at("path")?.text()?.unwrap_or("/"),
                    path_type: field.at("pathType")?.text()?,
                    field,
                });
            }
        }
    }
    let backend = spec.at("defaultBackend")?;
    if is_action(&backend)? {
        actions.push(Action {
            number: number + 1,
            host: "",
            class,
            name: service_name(&backend)?,
            path: "/",
            path_type: Some("Prefix"),
            field: backend,
        });
    }
    Ok(actions)
}

fn service_name<'a>(backend: &Field<'a>) -> Result<&'a str, ManifestError> {
    let new = backend.along(&["service", "name"])?.text()?;
    Ok(new
        .or(backend.at("serviceName")?.text()?)
        .unwrap_or_default())
}

/// Whether a backend is an action of a cloud's load balancer, not a Service.
pub(in crate::manifest) fn is_action(field: &Field<'_>) -> Result<bool, ManifestError> {
    let new = field.along(&["service", "port"])?;
    let port = match new.value() {
        Some(Value::Object(port)) => port.get("name"),
        _ => field.at("servicePort")?.value(),
    };
    Ok(port.and_then(Value::as_str) == Some("use-annotation"))
}

/// The Service of a backend, as `networking.k8s.io/v1` has it or as the versions before; `None` for a
/// resource backend or an action.
fn service<'a>(field: &Field<'a>) -> Result<Option<(&'a str, String)>, ManifestError> {
    if !field.is_there() {
        return Err(field.error("is missing"));
    }
    if field.at("resource")?.is_there() || is_action(field)? {
        return Ok(None);
    }
    let port = |field: &Field<'_>| match field.value() {
        Some(Value::String(name)) => name.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let old = field.at("serviceName")?;
    if old.is_there() {
        return Ok(Some((old.required()?, port(&field.at("servicePort")?))));
    }
    let service = field.at("service")?;
    let name = service.at("name")?.required()?;
    let number = service.along(&["port", "number"])?;
    let shown = if number.is_there() {
        number
    } else {
        service.along(&["port", "name"])?
    };
    Ok(Some((name, port(&shown))))
}

/// The route of `rule`, over `backends`.
pub(super) fn route<'a>(rule: &Rule<'a>, backends: Vec<Backend<'a>>) -> Route<'a> {
    let mut route = Route::new(rule.object, rule.number, backends);
    route
        .doors
        .extend(rule.class.map(|class| format!("class {class}")));
    if !rule.host.is_empty() {
        route.hosts = vec![rule.host.to_owned()];
    }
    route.path = path(rule.path, rule.path_type);
    route
}

/// The paths that a path of an Ingress stands for.
pub(super) fn path(path: &str, path_type: &str) -> PathRule {
    // With use-regex or ImplementationSpecific a path may be a pattern.
    let is_plain = !path.contains(['(', '[', '*', '$', '^', '|', '\\', '?', '+']);
    let path = path.to_owned();
    match path_type {
        _ if !is_plain => PathRule::Pattern(path),
        "Exact" => PathRule::Exact(path),
        _ => PathRule::Prefix(path),
    }
}
