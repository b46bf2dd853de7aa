//! Canary Ingresses that ingress-nginx does not treat as their author meant.

use std::collections::HashMap;

use super::class;
use super::finding::Findings;
use crate::manifest::ManifestError;
use crate::manifest::field::joined;
use crate::manifest::kind::ingress::{ByPlace, at, by_place, oldest_first};
use crate::manifest::kind::rule::{self, PREFIX, Rule, annotation, is_ingress};
use crate::manifest::object::Object;

/// The annotations of a canary itself.
const CANARY: [&str; 7] = [
    "canary",
    "canary-by-cookie",
    "canary-by-header",
    "canary-by-header-pattern",
    "canary-by-header-value",
    "canary-weight",
    "canary-weight-total",
];

/// The other annotations that count on a canary Ingress (ingress-nginx's user guide, "Canary"): load
/// balancing, hashing and session affinity.
const COUNTING: [&str; 7] = [
    "affinity",
    "affinity-canary-behavior",
    "affinity-mode",
    "load-balance",
    "upstream-hash-by",
    "upstream-hash-by-subset",
    "upstream-hash-by-subset-size",
];

/// How many primaries a canary without one is compared with.
const MAX_COMPARED: usize = 1000;

/// Whether the annotation `name` (without ingress-nginx's prefix) does anything on a canary Ingress.
pub(in crate::manifest) fn counts_on_a_canary(name: &str) -> bool {
    CANARY.contains(&name) || COUNTING.contains(&name) || name.starts_with("session-cookie-")
}

/// Findings about all Ingresses.
pub(super) fn lint(objects: &[Object], findings: &mut Findings) {
    let (mut primaries, mut canaries) = (Vec::new(), Vec::new());
    for object in objects.iter().filter(|object| is_ingress(object)) {
        // What can't be read is told where the kind is read.
        let (Ok(canary), Ok(rules)) = (rule::canary(object), rule::rules(object)) else {
            continue;
        };
        let is_canary = canary.is_some();
        let checked = annotations(object, is_canary, findings);
        findings.take(object, checked);
        if is_canary && rules.is_empty() {
            let message = "is missing: the canary has neither rules nor a defaultBackend, so that nothing leads to it"
                .to_owned();
            findings.error("canary_without_rules", object, "spec.rules", message);
        }
        if let Some(rule) = rules.first().filter(|_| is_canary) {
            let checked = weight(rule, findings);
            findings.take(object, checked);
            class::lint(rule, objects, findings);
        }
        if is_canary {
            canaries.extend(rules);
        } else {
            primaries.extend(rules);
        }
    }
    let canaries = oldest_first(canaries);
    class::same_place(&primaries, findings);
    let (primaries_at, canaries_at) = (by_place(&primaries), by_place(&canaries));
    for canary in &canaries {
        pairing(canary, &primaries, &primaries_at, &canaries_at, findings);
    }
    let mut users: HashMap<_, Vec<&Rule<'_>>> = HashMap::new();
    for primary in primaries.iter().filter(|primary| primary.service.is_some()) {
        users
            .entry((&primary.object.namespace, &primary.service))
            .or_default()
            .push(primary);
    }
    // Higress makes a route of each rule, and shares no upstream.
    for canary in canaries.iter().filter(|canary| !canary.is_higress()) {
        let of_canary = users.get(&(&canary.object.namespace, &canary.service));
        bypass(canary, of_canary.map_or(&[][..], Vec::as_slice), findings);
        let primary = at(&primaries_at, canary).find(|primary| primary.takes(canary));
        if let Some(primary) = primary.filter(|primary| primary.service != canary.service) {
            let sharing = users.get(&(&primary.object.namespace, &primary.service));
            takes_more(
                canary,
                primary,
                sharing.map_or(&[][..], Vec::as_slice),
                &canaries_at,
                findings,
            );
        }
    }
}

/// ingress-nginx makes one upstream of a Service and port: what a canary takes of it, it takes wherever it is
/// used.
fn takes_more(
    canary: &Rule<'_>,
    primary: &Rule<'_>,
    sharing: &[&Rule<'_>],
    canaries_at: &ByPlace<'_, '_>,
    findings: &mut Findings,
) {
    for rule in sharing
        .iter()
        .filter(|rule| !rule.takes(canary) && rule.class == primary.class)
    {
        let is_meant =
            at(canaries_at, rule).any(|own| rule.takes(own) && own.service == canary.service);
        if is_meant {
            continue;
        }
        let message = format!(
            "shares the service of {} (host {}, path {}), and ingress-nginx has one upstream for both: the canary {} takes its \
             part of host {} and path {} as well; give one of them a Service of its own",
            primary.object.title(),
            shown(primary.host),
            primary.path,
            canary.object.title(),
            shown(rule.host),
            rule.path
        );
        let path = format!("{}.backend", rule.field.path());
        findings.error("canary_takes_more", rule.object, &path, message);
    }
}

fn annotations(
    object: &Object,
    is_canary: bool,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    let field = object.root().along(&["metadata", "annotations"])?;
    for key in field.keys()? {
        let Some(name) = key.strip_prefix(PREFIX) else {
            class::prefix(object, &joined(field.path(), key), key, findings);
            continue;
        };
        let path = joined(field.path(), key);
        let has = |name: &str| {
            field
                .at(&format!("{PREFIX}{name}"))
                .map(|other| other.is_there())
        };
        let lacks_header = name.starts_with("canary-by-header-") && !has("canary-by-header")?;
        let is_second = name == "canary-by-header-pattern" && has("canary-by-header-value")?;
        if name.to_ascii_lowercase().starts_with("canary") && !CANARY.contains(&name) {
            let message = format!(
                "is no annotation of ingress-nginx: it has {}",
                CANARY.join(", ")
            );
            findings.error("unknown_canary_annotation", object, &path, message);
        } else if is_canary && (lacks_header || is_second) {
            let message = if lacks_header {
                format!("has no effect without {PREFIX}canary-by-header, which names the header")
            } else {
                format!("has no effect beside {PREFIX}canary-by-header-value")
            };
            findings.warning("ignored_annotation", object, &path, message);
        } else if is_canary && !counts_on_a_canary(name) {
            let message = "has no effect on a canary Ingress, which takes all but the canary-* \
                           annotations from its primary: set it there or remove it"
                .to_owned();
            findings.warning("ignored_annotation", object, &path, message);
        } else if !is_canary && name.starts_with("canary-") {
            let message = format!("has no effect without {PREFIX}canary: \"true\"");
            findings.error("canary_not_enabled", object, &path, message);
        }
    }
    Ok(())
}

fn weight(rule: &Rule<'_>, findings: &mut Findings) -> Result<(), ManifestError> {
    let Some(canary) = &rule.canary else {
        return Ok(());
    };
    if let Some(total) = canary.written_total.filter(|&total| total < canary.total()) {
        let (field, _) = annotation(rule.object, "canary-weight-total")?;
        let weight = canary.weight;
        let meant = match total {
            0 => String::new(),
            _ => format!(", not {} %", 100.0 * weight as f64 / total as f64),
        };
        let message = format!(
            "is {total}: a total of 100 or less is ignored, so that {weight} of {total} gives {weight} %{meant}"
        );
        let finding = findings.error("weight_total_ignored", rule.object, field.path(), message);
        finding.evidence = vec![
            ("canary_weight", weight as f64),
            ("canary_weight_total", total as f64),
        ];
    }
    if canary.weight == 0 && canary.by.is_empty() {
        let message = "the canary takes no request: it has neither a weight nor a header or cookie"
            .to_owned();
        findings.warning(
            "canary_takes_nothing",
            rule.object,
            canary.field.path(),
            message,
        );
    }
    Ok(())
}

fn pairing<'a>(
    canary: &Rule<'a>,
    primaries: &[Rule<'a>],
    primaries_at: &ByPlace<'_, 'a>,
    canaries_at: &ByPlace<'_, 'a>,
    findings: &mut Findings,
) {
    let earlier = at(canaries_at, canary).find(|other| other.takes(canary));
    let earlier = earlier.filter(|first| !std::ptr::eq(*first, canary) && !canary.is_higress());
    if let Some(first) = earlier {
        let message = format!(
            "is a second canary for host {} and path {}: {} comes first, and only the first counts",
            shown(canary.host),
            canary.path,
            first.object.title()
        );
        findings.error("second_canary", canary.object, canary.field.path(), message);
    }
    let Some(primary) = at(primaries_at, canary).find(|primary| primary.takes(canary)) else {
        no_primary(canary, primaries, findings);
        return;
    };
    if primary.service.is_some() && primary.service == canary.service {
        let message = format!(
            "leads to the primary's own service ({}), so that nothing is split: give the canary a Service of its own",
            primary.object.title()
        );
        let path = format!("{}.backend", canary.field.path());
        findings.error("canary_is_primary", canary.object, &path, message);
    }
}

fn no_primary<'a>(canary: &Rule<'a>, primaries: &[Rule<'a>], findings: &mut Findings) {
    let rule = format!(
        "host {}, path {} and pathType {}",
        shown(canary.host),
        canary.path,
        canary.path_type
    );
    // What is nearest differs in least.
    let nearest = primaries.iter().take(MAX_COMPARED).max_by_key(|primary| {
        let same_host = primary.host.eq_ignore_ascii_case(canary.host);
        let same = [
            same_host,
            primary.path == canary.path,
            primary.path_type == canary.path_type,
        ];
        (same_host, same.iter().filter(|same| **same).count())
    });
    let (object, path) = (canary.object, canary.field.path());
    let Some(near) = nearest else {
        let message = format!(
            "no Ingress without canary is given, so that it stays unchecked whether one has the same {rule}: add the primary"
        );
        findings.warning("no_primary", object, path, message);
        return;
    };
    let namespace = |object: &'a Object| object.namespace.as_deref().unwrap_or_default();
    let (host, other_host) = (
        canary.host.to_ascii_lowercase(),
        near.host.to_ascii_lowercase(),
    );
    let compared = [
        ("host", host.as_str(), other_host.as_str()),
        ("path", canary.path, near.path),
        ("pathType", canary.path_type, near.path_type),
        (
            "class",
            canary.class.unwrap_or_default(),
            near.class.unwrap_or_default(),
        ),
        ("namespace", namespace(object), namespace(near.object)),
    ];
    let differs = compared.iter().filter(|(_, own, other)| own != other);
    let differs: Vec<_> = differs
        .map(|(what, _, other)| format!("{what} {}", shown(other)))
        .collect();
    let message = format!(
        "no Ingress without canary has the same {rule}, so that the canary gets nothing: {} has {}",
        near.object.title(),
        differs.join(", ")
    );
    findings.error("no_primary", object, path, message);
}

/// ingress-nginx knows an upstream by namespace, service and port: one that a primary uses too is no
/// alternative backend any more.
fn bypass(canary: &Rule<'_>, users: &[&Rule<'_>], findings: &mut Findings) {
    if let Some(user) = users.iter().find(|user| !user.takes(canary)) {
        let message = format!(
            "{} uses the canary's service too (host {}, path {}): ingress-nginx then takes it for a primary's, \
             and requests reach it beside the split",
            user.object.title(),
            shown(user.host),
            user.path
        );
        let path = format!("{}.backend", canary.field.path());
        findings.error("canary_service_used", canary.object, &path, message);
    }
}

fn shown(text: &str) -> &str {
    if text.is_empty() { "(any)" } else { text }
}
