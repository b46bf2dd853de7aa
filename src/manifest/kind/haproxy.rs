//! haproxy-ingress: Ingress or Service, `blue-green-balance` (or `blue-green-deploy`), `LABEL=VALUE=WEIGHT`
//! for groups of pods behind one Service.
//!
//! In the mode `deploy`, the default, a weight is the group's; in `pod` it is each pod's, and shares follow
//! the numbers of pods. A header or a cookie of `blue-green-header` or `-cookie` (`NAME:LABEL`) names a group
//! ("Blue-green" of the documentation). What a Service says goes before what the Ingress says.

use super::rule::{self, GROUPS, Rule};
use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PodsOf, Remark, Route};

pub(super) const KIND: Kind = Kind {
    names: &["Ingress"],
    groups: GROUPS,
    weights: "haproxy-ingress.github.io/blue-green-balance: LABEL=VALUE=WEIGHT (Ingress or Service)",
    meaning: "haproxy-ingress: relative, of groups of pods",
    read: Read::Each(routes),
};

const PREFIXES: [&str; 2] = ["haproxy-ingress.github.io/", "ingress.kubernetes.io/"];
const NAMES: [&str; 2] = ["blue-green-balance", "blue-green-deploy"];

/// Whether an annotation of `object`, or of a Service that it leads to, weighs groups of pods.
pub(super) fn reads(object: &Object, objects: &[Object]) -> bool {
    if has_balance(object) {
        return true;
    }
    let rules = rule::rules(object).unwrap_or_default();
    let service = |rule: &Rule<'_>| service(rule, objects).is_some_and(has_balance);
    rules.iter().any(service)
}

fn has_balance(object: &Object) -> bool {
    let mut names = NAMES.iter();
    names.any(|name| annotation(object, name).is_ok_and(|field| field.is_there()))
}

/// The Service that a rule leads to.
fn service<'o>(rule: &Rule<'_>, objects: &'o [Object]) -> Option<&'o Object> {
    let (name, _) = rule.service.as_ref()?;
    let namespace = rule.object.namespace.as_deref();
    let is_meant =
        |object: &&Object| object.is("Service", &[""]) && object.is_called(name, namespace);
    objects.iter().find(is_meant)
}

/// The annotation `name` under any prefix.
fn annotation<'a>(object: &'a Object, name: &str) -> Result<Field<'a>, ManifestError> {
    let annotations = object.root().along(&["metadata", "annotations"])?;
    let [new, old] = PREFIXES.map(|prefix| annotations.at(&format!("{prefix}{name}")));
    let new = new?;
    if new.is_there() { Ok(new) } else { old }
}

fn routes<'a>(object: &'a Object, context: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    if !reads(object, context.objects) {
        return Ok(Vec::new());
    }
    let mut routes = Vec::new();
    for rule in rule::rules(object)? {
        let Some((name, _)) = &rule.service else {
            continue;
        };
        let holders = service(&rule, context.objects).into_iter().chain([object]);
        let Some(holder) = holders.into_iter().find(|holder| has_balance(holder)) else {
            let alone = Backend::service(object, name, 100.0, &rule.field);
            routes.push(rule::route(&rule, vec![alone]));
            continue;
        };
        let [new, old] = NAMES.map(|name| annotation(holder, name));
        let field = if new.as_ref().is_ok_and(Field::is_there) {
            new?
        } else {
            old?
        };
        let (backends, labels) = groups(object, holder, name, &field)?;
        let zero = backends.iter().any(|backend| backend.weight <= 0.0);
        let mut route = rule::route(&rule, backends);
        route
            .related
            .extend((!std::ptr::eq(holder, object)).then_some(holder));
        pins(&mut route, holder, &labels)?;
        let place = (holder, field.path().to_owned());
        if annotation(holder, "blue-green-mode")?.text()? == Some("pod") {
            route.remarks.push(Remark {
                is_error: false,
                code: "approximate_split",
                field: place.clone(),
                message: "weighs each pod (blue-green-mode: pod), so that shares follow the numbers of pods: \
                          judge such a split with --judge tolerance"
                    .to_owned(),
            });
        }
        if zero && annotation(holder, "affinity")?.is_there() {
            let sentence = "has a weight of 0, which lets clients go there that hold the affinity cookie of this group";
            route.remarks.push(Remark::zero(place, sentence));
        }
        routes.push(route);
    }
    Ok(routes)
}

/// The groups of pods behind `service`, and the label of each.
fn groups<'a>(
    object: &'a Object,
    holder: &'a Object,
    service: &str,
    field: &Field<'a>,
) -> Result<(Vec<Backend<'a>>, Vec<String>), ManifestError> {
    let (mut backends, mut labels) = (Vec::new(), Vec::new());
    for item in field.text()?.unwrap_or_default().split(',') {
        let parts: Vec<&str> = item.trim().split('=').collect();
        let weight = parts.get(2).and_then(|weight| weight.parse::<u32>().ok());
        let ([label, value, _], Some(weight)) = (&parts[..], weight) else {
            let shown = item.escape_debug();
            return Err(field.error(&format!("has \"{shown}\": write LABEL=VALUE=WEIGHT")));
        };
        let mut backend = Backend::service(object, service, f64::from(weight), field);
        backend.field.0 = holder;
        backend.variant = Some((*value).to_owned());
        backend.pods = PodsOf::Subset([((*label).to_owned(), (*value).to_owned())].into());
        backends.push(backend);
        labels.push((*label).to_owned());
    }
    Ok((backends, labels))
}

/// The header and the cookie that name a group.
fn pins(route: &mut Route<'_>, holder: &Object, labels: &[String]) -> Result<(), ManifestError> {
    let header = (
        "blue-green-header",
        Condition::header as fn(&str, Option<&str>) -> Condition,
    );
    for (key, make) in [header, ("blue-green-cookie", Condition::cookie)] {
        let Some((name, label)) = annotation(holder, key)?
            .text()?
            .and_then(|text| text.split_once(':'))
        else {
            continue;
        };
        for (index, backend) in route.backends.iter().enumerate() {
            if labels.get(index).is_some_and(|own| own == label) {
                route
                    .pins
                    .push((make(name, backend.variant.as_deref()), index));
            }
        }
    }
    Ok(())
}
