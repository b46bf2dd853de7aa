//! AWS Load Balancer Controller: Ingress, `alb.ingress.kubernetes.io/actions.NAME`, whose
//! `forwardConfig.targetGroups[].weight` splits what a path with the port `use-annotation` takes, as far as
//! `conditions.NAME` allows.
//!
//! Weights are relative, from 0 to 999; of several groups, one without a weight counts 1 (the guide's
//! "Ingress annotations", `actions.${action-name}`; the API of ELB, `TargetGroupTuple`).

use serde_json::Value;

use super::rule::{Action, GROUPS, actions};
use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, PodsOf, Route};

/// The prefix of the annotations.
pub(super) const PREFIX: &str = "alb.ingress.kubernetes.io/";

pub(super) const KIND: Kind = Kind {
    names: &["Ingress"],
    groups: GROUPS,
    weights: "alb.ingress.kubernetes.io/actions.NAME: forwardConfig.targetGroups[].weight",
    meaning: "AWS load balancers: relative; left out: 1",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let mut routes = Vec::new();
    for action in actions(object)? {
        let backends = backends(object, &action)?;
        if backends.is_empty() {
            // It redirects, or answers by itself; a list is Alibaba's.
            continue;
        }
        let mut route = action.route(object, backends);
        let text = action.path.to_owned();
        route.path = match action.path_type {
            Some("Prefix") => PathRule::Prefix(text),
            _ if text.contains(['*', '?']) => {
                // A pattern for files.
                let pattern = regex::escape(&text);
                PathRule::Pattern(pattern.replace(r"\*", ".*").replace(r"\?", "."))
            }
            _ => PathRule::Exact(text),
        };
        route.conditions = conditions(object, action.name)?;
        routes.push(route);
    }
    Ok(routes)
}

/// What the action forwards to.
fn backends<'a>(
    object: &'a Object,
    action: &Action<'a>,
) -> Result<Vec<Backend<'a>>, ManifestError> {
    let key = format!("{PREFIX}actions.{}", action.name);
    let Some((place, value)) = folded(object, &key)? else {
        // A controller may have yet to write it.
        let mut backend = Backend::service(object, action.name, 1.0, &action.field);
        backend.pods = PodsOf::Unknown;
        return Ok(vec![backend]);
    };
    let groups = value
        .pointer("/forwardconfig/targetgroups")
        .and_then(Value::as_array);
    let lone = std::slice::from_ref(&value);
    let groups = match groups {
        Some(groups) => &groups[..],
        None if ["targetgrouparn", "targetgroupname"]
            .iter()
            .any(|key| value.get(*key).is_some()) =>
        {
            lone
        }
        None => return Ok(Vec::new()),
    };
    let group = |(index, group): (usize, &Value)| {
        let place = format!("{place}: forwardConfig.targetGroups[{index}]");
        let text = |key: &str| group.get(key).and_then(Value::as_str);
        let name = text("servicename").or(text("targetgroupname")).or_else(|| {
            // arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID
            text("targetgrouparn")?.split('/').nth(1)
        });
        let name =
            name.ok_or_else(|| object.refused(&format!("{place}.serviceName"), "is missing"))?;
        let weight = match group.get("weight") {
            None | Some(Value::Null) => Some(1),
            Some(weight) => weight.as_u64().or_else(|| weight.as_str()?.parse().ok()),
        };
        let place = format!("{place}.weight");
        let weight = weight.filter(|&weight| weight <= 999);
        let weight =
            weight.ok_or_else(|| object.refused(&place, "must be a whole number from 0 to 999"))?;
        let mut backend = Backend::service(object, name, weight as f64, &action.field);
        backend.field = (object, place);
        if text("servicename").is_none() {
            backend.pods = PodsOf::Unknown;
        }
        Ok(backend)
    };
    groups.iter().enumerate().map(group).collect()
}

/// The same with its keys in lower case: the controller, in Go, does not tell `ForwardConfig` from `forwardConfig`.
fn folded(object: &Object, key: &str) -> Result<Option<(String, Value)>, ManifestError> {
    fn fold(value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let field = |(key, value): (String, Value)| (key.to_ascii_lowercase(), fold(value));
                Value::Object(fields.into_iter().map(field).collect())
            }
            Value::Array(items) => Value::Array(items.into_iter().map(fold).collect()),
            plain => plain,
        }
    }
    Ok(json(object, key)?.map(|(place, value)| (place, fold(value))))
}

/// The JSON of an annotation, with its path.
pub(super) fn json(object: &Object, key: &str) -> Result<Option<(String, Value)>, ManifestError> {
    let field = object.root().along(&["metadata", "annotations", key])?;
    let Some(text) = field.text()? else {
        return Ok(None);
    };
    let value = serde_json::from_str(text)
        .map_err(|error| field.error(&format!("is not JSON that can be used: {error}")))?;
    Ok(Some((field.path().to_owned(), value)))
}

/// What a request must have beside host and path.
fn conditions(object: &Object, name: &str) -> Result<Vec<Condition>, ManifestError> {
    let read = folded(object, &format!("{PREFIX}conditions.{name}"))?;
    let list = read.and_then(|(_, value)| value.as_array().cloned());
    let condition = |condition: Value| {
        let field = condition["field"]
            .as_str()
            .unwrap_or("condition")
            .to_owned();
        let header = &condition["httpheaderconfig"];
        let lone = |values: &Value| match values.as_array().map(Vec::as_slice) {
            Some([value]) => Some(value.clone()),
            _ => None,
        };
        let plain = |value: &Value| {
            let text = value.as_str().filter(|text| !text.contains(['*', '?']));
            text.map(str::to_owned)
        };
        if let (Some(name), Some(value)) =
            (header["httpheadername"].as_str(), lone(&header["values"]))
        {
            return plain(&value).map_or_else(
                || format!("header {name}").into(),
                |value| Condition::header(name, Some(&value)),
            );
        }
        if let Some(pair) = lone(&condition["querystringconfig"]["values"])
            && let (Some(key), Some(value)) = (pair["key"].as_str(), plain(&pair["value"]))
        {
            return Condition::query(key, Some(&value));
        }
        if let Some(method) = lone(&condition["httprequestmethodconfig"]["values"])
            && let Some(method) = method.as_str()
        {
            return Condition::method(method);
        }
        field.into()
    };
    Ok(list.into_iter().flatten().map(condition).collect())
}
