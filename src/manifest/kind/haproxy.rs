//! haproxy-ingress: Ingress or Service, `blue-green-balance` (or `blue-green-deploy`), `LABEL=VALUE=WEIGHT`
//! for groups of pods behind one Service.
//!
//! In the mode `deploy`, the default, a weight is the group's; in `pod` it is each pod's, and shares follow
//! the numbers of pods ("Blue-green" of the documentation).

use super::rule::{self, GROUPS};
use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PodsOf, Remark, Route};

pub(super) const KIND: Kind = Kind {
    names: &["Ingress"],
    groups: GROUPS,
    weights: "haproxy-ingress.github.io/blue-green-balance: LABEL=VALUE=WEIGHT",
    meaning: "haproxy-ingress: relative, of groups of pods",
    read: Read::Each(routes),
};

const PREFIXES: [&str; 2] = ["haproxy-ingress.github.io/", "ingress.kubernetes.io/"];
const NAMES: [&str; 2] = ["blue-green-balance", "blue-green-deploy"];

/// Whether an annotation weighs groups of pods.
pub(super) fn reads(object: &Object) -> bool {
    let annotations = &object.value["metadata"]["annotations"];
    PREFIXES.iter().any(|prefix| {
        NAMES
            .iter()
            .any(|name| annotations[format!("{prefix}{name}")].is_string())
    })
}

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    if !reads(object) {
        return Ok(Vec::new());
    }
    let annotations = object.root().along(&["metadata", "annotations"])?;
    let mut field = annotations.at("(none)")?;
    let mut is_by_pod = false;
    for prefix in PREFIXES {
        for name in NAMES {
            let known = annotations.at(&format!("{prefix}{name}"))?;
            if known.is_there() {
                field = known;
            }
        }
        is_by_pod |= annotations
            .at(&format!("{prefix}blue-green-mode"))?
            .text()?
            == Some("pod");
    }
    let mut routes = Vec::new();
    for rule in rule::rules(object)? {
        let Some((service, _)) = &rule.service else {
            continue;
        };
        let mut route = rule::route(&rule, groups(object, service, &field)?);
        if is_by_pod {
            route.remarks.push(Remark {
                is_error: false,
                code: "approximate_split",
                field: (object, field.path().to_owned()),
                message: "weighs each pod (blue-green-mode: pod), so that shares follow the numbers of pods: \
                          judge such a split with --judge tolerance"
                    .to_owned(),
            });
        }
        routes.push(route);
    }
    Ok(routes)
}

fn groups<'a>(
    object: &'a Object,
    service: &str,
    field: &Field<'a>,
) -> Result<Vec<Backend<'a>>, ManifestError> {
    let mut backends = Vec::new();
    for item in field.text()?.unwrap_or_default().split(',') {
        let parts: Vec<&str> = item.trim().split('=').collect();
        let weight = parts.get(2).and_then(|weight| weight.parse::<u32>().ok());
        let ([label, value, _], Some(weight)) = (&parts[..], weight) else {
            let shown = item.escape_debug();
            return Err(field.error(&format!("has \"{shown}\": write LABEL=VALUE=WEIGHT")));
        };
        let mut backend = Backend::service(object, service, f64::from(weight), field);
        backend.variant = Some((*value).to_owned());
        backend.pods = PodsOf::Subset([((*label).to_owned(), (*value).to_owned())].into());
        backends.push(backend);
    }
    Ok(backends)
}
