//! Alibaba's ALB Ingress: `alb.ingress.kubernetes.io/actions.NAME`, a list with a `ForwardGroup`, whose
//! `ForwardConfig.ServerGroups[].Weight` splits what a path with the port `use-annotation` takes; relative, at most 100
//! ("Customize the forwarding rules of an ALB Ingress" of Container Service for Kubernetes).

use serde_json::Value;

use super::alb::{PREFIX, json};
use super::rule::{self, Action, GROUPS, actions};
use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PodsOf, Route};

pub(super) const KIND: Kind = Kind {
    names: &["Ingress"],
    groups: GROUPS,
    weights: "alb.ingress.kubernetes.io/actions.NAME: [].ForwardConfig.ServerGroups[].Weight",
    meaning: "Alibaba's load balancers: relative, at most 100",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let mut routes = Vec::new();
    for action in actions(object)? {
        let backends = backends(object, &action)?;
        if backends.is_empty() {
            continue;
        }
        let mut route = action.route(object, backends);
        route.path = rule::path(action.path, action.path_type.unwrap_or_default());
        let key = format!("{PREFIX}conditions.{}", action.name);
        if object.value["metadata"]["annotations"][key].is_string() {
            route
                .conditions
                .push(format!("conditions.{}", action.name).into());
        }
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
    let Some((place, Value::Array(list))) = json(object, &key)? else {
        return Ok(Vec::new());
    };
    let mut backends = Vec::new();
    for (index, entry) in list.iter().enumerate() {
        let groups = entry.pointer("/ForwardConfig/ServerGroups");
        for (number, group) in groups
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            let place = format!("{place}: [{index}].ForwardConfig.ServerGroups[{number}]");
            let text = |key: &str| group.get(key).and_then(Value::as_str);
            let name = text("ServiceName").or(text("ServerGroupID"));
            let name =
                name.ok_or_else(|| object.refused(&format!("{place}.ServiceName"), "is missing"))?;
            let place = format!("{place}.Weight");
            let weight = group
                .get("Weight")
                .and_then(Value::as_u64)
                .filter(|weight| *weight <= 100);
            let weight = weight
                .ok_or_else(|| object.refused(&place, "must be a whole number from 0 to 100"))?;
            let mut backend = Backend::service(object, name, weight as f64, &action.field);
            backend.field = (object, place);
            if text("ServiceName").is_none() {
                backend.pods = PodsOf::Unknown;
            }
            backends.push(backend);
        }
    }
    Ok(backends)
}
