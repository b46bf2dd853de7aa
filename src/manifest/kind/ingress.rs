//! Ingress, as ingress-nginx splits it: a canary ingress takes `canary-weight` of `canary-weight-total` of
//! what its primary's rule gets.
//!
//! The canary's rule must equal the primary's in host, path and path type, and of several canaries only
//! the first counts (`internal/ingress/controller/controller.go`, `mergeAlternativeBackends`; the balancer
//! takes the first alternative backend). A total of 100 or less is taken as 100. Higress takes totals as they are
//! written, and adds several canaries up (`ingress_config.go`, `normalizeWeightedCluster`).

use std::collections::HashMap;

use super::rule::{Canary, GROUPS, Rule, route, rules};
use super::{Context, Kind, Read, Reading, annotated, haproxy};
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PodsOf, Route};

pub(super) const KIND: Kind = Kind {
    names: &["Ingress"],
    groups: GROUPS,
    weights: "nginx.ingress.kubernetes.io/canary-weight of canary-weight-total",
    meaning: "ingress-nginx: percent of the canary, or parts of a total above 100; the primary gets the rest",
    read: Read::All(routes),
};

/// The rules of all Ingresses, a canary's together with its primary's.
#[expect(
    clippy::too_many_lines,
    reason = "each branch is a rule of one controller"
)]
fn routes<'a>(objects: &[&'a Object], context: &Context<'a>, reading: &mut Reading<'a>) {
    let mut primaries = Vec::new();
    let mut canaries = Vec::new();
    for object in objects {
        if annotated::reads(object) || haproxy::reads(object, context.objects) {
            // Another controller's annotation weighs its services.
            continue;
        }
        match rules(object) {
            Err(error) => reading.refused.push((object, error)),
            Ok(rules) => {
                let (own, others): (Vec<_>, Vec<_>) =
                    rules.into_iter().partition(|rule| rule.canary.is_some());
                canaries.extend(own);
                primaries.extend(others);
            }
        }
    }
    let canaries = oldest_first(canaries);
    let by_place = by_place(&canaries);
    for primary in &primaries {
        let Some((name, _)) = &primary.service else {
            continue;
        };
        let canaries = at(&by_place, primary).filter(|canary| primary.takes(canary));
        let mut canaries: Vec<&Rule<'_>> = canaries.collect();
        if !canaries.iter().any(|rule| rule.is_higress()) {
            // ingress-nginx counts the first alone.
            canaries.truncate(1);
        }
        canaries.retain(|canary| canary.service != primary.service);
        let total = canaries.iter().find_map(|rule| rule.canary.as_ref());
        let total = total.map_or(100, Canary::total);
        let taken = canaries.iter().filter_map(|rule| rule.canary.as_ref());
        let taken: u64 = taken.map(|canary| canary.weight).sum();
        let rest = total.saturating_sub(taken);
        let mut backend = Backend::service(primary.object, name, rest as f64, &primary.field);
        backend.variant = port(primary);
        let mut backends = vec![backend];
        let mut related = Vec::new();
        let mut pins = Vec::new();
        for canary in canaries {
            let Some(backend) = canary_backend(canary) else {
                continue;
            };
            let number = backends.len();
            backends.push(backend);
            related.push(canary.object);
            let own = canary.canary.iter().flat_map(|canary| &canary.pins);
            pins.extend(own.map(|(condition, is_canary)| {
                (condition.clone(), if *is_canary { number } else { 0 })
            }));
        }
        reading.routes.push(Route {
            related,
            pins,
            ..route(primary, backends)
        });
    }
    let primaries = self::by_place(&primaries);
    for canary in &canaries {
        let first = at(&by_place, canary).find(|earlier| earlier.takes(canary));
        let is_first = first.is_some_and(|first| std::ptr::eq(first, canary));
        let has_primary = at(&primaries, canary).any(|primary| primary.takes(canary));
        let Some(backend) = canary_backend(canary) else {
            continue;
        };
        if has_primary || !is_first {
            continue;
        }
        // The primary is not among the objects: the rest goes to pods that nothing here names.
        let annotations = canary.canary.as_ref();
        let rest = annotations.map_or(0, |canary| canary.total() - canary.weight);
        let mut primary = Backend::service(canary.object, "primary", rest as f64, &canary.field);
        primary.role = Some("primary");
        primary.pods = PodsOf::Unknown;
        reading.routes.push(route(canary, vec![primary, backend]));
    }
}

/// Rules by their host (in lower case) and path.
pub(in crate::manifest) type ByPlace<'r, 'a> = HashMap<(String, &'a str), Vec<&'r Rule<'a>>>;

/// `rules` by host and path, each list in their order.
pub(in crate::manifest) fn by_place<'r, 'a>(rules: &'r [Rule<'a>]) -> ByPlace<'r, 'a> {
    let mut by_place = ByPlace::new();
    for rule in rules {
        let place = (rule.host.to_ascii_lowercase(), rule.path);
        by_place.entry(place).or_default().push(rule);
    }
    by_place
}

/// Those of the rules that share `rule`'s host and path.
pub(in crate::manifest) fn at<'m, 'r, 'a>(
    rules: &'m ByPlace<'r, 'a>,
    rule: &Rule<'a>,
) -> impl Iterator<Item = &'r Rule<'a>> + use<'m, 'r, 'a> {
    let place = (rule.host.to_ascii_lowercase(), rule.path);
    rules.get(&place).into_iter().flatten().copied()
}

/// ingress-nginx takes Ingresses in the order of their creation; those that were never created in that of
/// the input.
pub(in crate::manifest) fn oldest_first(mut rules: Vec<Rule<'_>>) -> Vec<Rule<'_>> {
    // RFC 3339 in UTC sorts as text.
    rules.sort_by_key(|rule| rule.object.value["metadata"]["creationTimestamp"].as_str());
    rules
}

fn port(rule: &Rule<'_>) -> Option<String> {
    let (_, port) = rule.service.as_ref()?;
    (!port.is_empty()).then(|| port.clone())
}

fn canary_backend<'a>(rule: &Rule<'a>) -> Option<Backend<'a>> {
    let (name, _) = rule.service.as_ref()?;
    let canary = rule.canary.as_ref()?;
    let mut backend = Backend::service(rule.object, name, canary.weight as f64, &canary.field);
    backend.variant = port(rule);
    Some(backend)
}
