//! AWS Load Balancer Controller: Ingress, `alb.ingress.kubernetes.io/actions.NAME`, whose
//! `forwardConfig.targetGroups[].weight` splits what a path with the port `use-annotation` takes.
//!
//! Weights are relative, from 0 to 999; of several groups, one without a weight counts 1 (the guide's
//! "Ingress annotations", `actions.${action-name}`; the API of ELB, `TargetGroupTuple`).

use serde_json::Value;

use super::rule::{GROUPS, is_action};
use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::field::{Field, joined};
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, PodsOf, Route};

/// The prefix of the annotations.
const PREFIX: &str = "alb.ingress.kubernetes.io/";

pub(super) const KIND: Kind = Kind {
    names: &["Ingress"],
    groups: GROUPS,
    weights: "alb.ingress.kubernetes.io/actions.NAME: forwardConfig.targetGroups[].weight",
    meaning: "AWS load balancers: relative",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let mut routes = Vec::new();
    let mut number = 0;
    for rule in object.root().along(&["spec", "rules"])?.items()? {
        let host = rule.at("host")?.text()?.unwrap_or_default();
        for path in rule.along(&["http", "paths"])?.items()? {
            number += 1;
            if !is_action(&path)? {
                continue;
            }
            let name = path.along(&["backend", "service", "name"])?.text()?;
            let name = name
                .or(path.along(&["backend", "serviceName"])?.text()?)
                .unwrap_or_default();
            let backends = action(object, name, &path)?;
            if backends.is_empty() {
                // It redirects, or answers by itself.
                continue;
            }
            let mut route = Route::new(object, number, backends);
            route
                .hosts
                .extend((!host.is_empty()).then(|| host.to_owned()));
            let text = path.at("path")?.text()?.unwrap_or("/").to_owned();
            route.path = match path.at("pathType")?.text()? {
                Some("Prefix") => PathRule::Prefix(text),
                _ if text.contains(['*', '?']) => {
                    // A pattern for files.
                    let pattern = regex::escape(&text);
                    PathRule::Pattern(pattern.replace(r"\*", ".*").replace(r"\?", "."))
                }
                _ => PathRule::Exact(text),
            };
            routes.push(route);
        }
    }
    Ok(routes)
}

/// What the action called `name` forwards to.
fn action<'a>(
    object: &'a Object,
    name: &str,
    path: &Field<'a>,
) -> Result<Vec<Backend<'a>>, ManifestError> {
    let annotations = object.root().along(&["metadata", "annotations"])?;
    let key = format!("{PREFIX}actions.{name}");
    let field = annotations.at(&key)?;
    let place = joined(annotations.path(), &key);
    let Some(text) = field.text()? else {
        // A controller may have yet to write it.
        let mut backend = Backend::service(object, name, 1.0, path);
        backend.pods = PodsOf::Unknown;
        return Ok(vec![backend]);
    };
    let action: Value = serde_json::from_str(text).map_err(|error| {
        object.refused(&place, &format!("is not JSON that can be used: {error}"))
    })?;
    let groups = action
        .pointer("/forwardConfig/targetGroups")
        .and_then(Value::as_array);
    let lone = std::slice::from_ref(&action);
    let groups = match groups {
        Some(groups) => &groups[..],
        None if action.get("targetGroupARN").is_some() => lone,
        None => return Ok(Vec::new()),
    };
    let group = |(index, group): (usize, &Value)| {
        let place = format!("{place}: forwardConfig.targetGroups[{index}]");
        let text = |key: &str| group.get(key).and_then(Value::as_str);
        let name = text("serviceName").or(text("targetGroupName")).or_else(|| {
            // arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID
            text("targetGroupARN")?.split('/').nth(1)
        });
        let name =
            name.ok_or_else(|| object.refused(&format!("{place}.serviceName"), "is missing"))?;
        let weight = match group.get("weight") {
            None | Some(Value::Null) => Some(1),
            Some(weight) => weight.as_u64().or_else(|| weight.as_str()?.parse().ok()),
        };
        let weight = weight.filter(|&weight| weight <= 999).ok_or_else(|| {
            object.refused(
                &format!("{place}.weight"),
                "must be a whole number from 0 to 999",
            )
        })?;
        let mut backend = Backend::service(object, name, weight as f64, path);
        backend.field = (object, format!("{place}.weight"));
        if text("serviceName").is_none() {
            backend.pods = PodsOf::Unknown;
        }
        Ok(backend)
    };
    groups.iter().enumerate().map(group).collect()
}
