//! Ports that a rule names and its Service has not.

use serde_json::Value;

use super::finding::Findings;
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::kind::listener::GROUP;
use crate::manifest::kind::rule::{self, is_ingress};
use crate::manifest::object::Object;
use crate::manifest::workload::Workloads;

/// Where kinds list their backends: group, kind, the lists on the way, and the list of backends.
const LISTS: [(&str, &str, &str, &str); 6] = [
    (GROUP, "HTTPRoute", "rules", "backendRefs"),
    (GROUP, "GRPCRoute", "rules", "backendRefs"),
    (GROUP, "TCPRoute", "rules", "backendRefs"),
    (GROUP, "TLSRoute", "rules", "backendRefs"),
    ("traefik.io", "IngressRoute", "routes", "services"),
    ("projectcontour.io", "HTTPProxy", "routes", "services"),
];

/// Findings about the ports that the rules of `object` lead to.
pub(super) fn lint(
    object: &Object,
    workloads: &Workloads<'_>,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    for (port, service) in ports(object, workloads)? {
        let wanted = port.value().map(plain).unwrap_or_default();
        let spec = service.root().at("spec")?;
        let mut known = Vec::new();
        let mut is_known = spec.at("type")?.text()? == Some("ExternalName");
        for own in spec.at("ports")?.items()? {
            for key in ["port", "name"] {
                known.extend(own.at(key)?.value().map(plain));
            }
            // ingress-nginx goes by what the port leads to as well.
            let target = own.at("targetPort")?.value().map(plain);
            is_known |= is_ingress(object) && target.as_ref() == Some(&wanted);
        }
        if is_known || known.is_empty() || known.contains(&wanted) {
            continue;
        }
        let message = format!(
            "is {wanted}, and {} has no such port ({}): what is sent there fails, or goes to the others; name one that it has",
            service.title(),
            known.join(", ")
        );
        findings.error("port_not_found", object, port.path(), message);
    }
    Ok(())
}

/// The ports that its rules name, numbers or names, with the Services that are given.
fn ports<'a>(
    object: &'a Object,
    workloads: &Workloads<'a>,
) -> Result<Vec<(Field<'a>, &'a Object)>, ManifestError> {
    let mut found = Vec::new();
    let mut add = |name: &Field<'_>, namespace: Option<&str>, port: Field<'a>| {
        let namespace = namespace.or(object.namespace.as_deref());
        let service = name
            .text()?
            .and_then(|name| workloads.service(name, namespace));
        found.extend(
            service
                .filter(|_| port.is_there())
                .map(|service| (port, service)),
        );
        Ok::<_, ManifestError>(())
    };
    if is_ingress(object) {
        for rule in rule::rules(object)? {
            if rule::is_action(&rule.field.at("backend")?)? {
                continue;
            }
            let service = rule.field.along(&["backend", "service"])?;
            for key in ["number", "name"] {
                add(&service.at("name")?, None, service.at("port")?.at(key)?)?;
            }
        }
    }
    let lists = LISTS
        .iter()
        .filter(|(group, kind, ..)| object.is(kind, &[group]));
    for (_, _, rules, backends) in lists {
        for rule in object.root().at("spec")?.at(rules)?.items()? {
            for backend in rule.at(backends)?.items()? {
                if matches!(backend.at("kind")?.text()?, None | Some("Service")) {
                    let namespace = backend.at("namespace")?.text()?;
                    add(&backend.at("name")?, namespace, backend.at("port")?)?;
                }
            }
        }
    }
    Ok(found)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
