//! Which of the objects are the stable ones, and which label tells the canary's pods from theirs.

use super::edit::{Relabel, suffixed};
use super::{CanaryOptions, MAX_LABEL, ManifestError, VERSION_LABELS, refused};
use crate::manifest::kind::rule::{self, is_ingress};
use crate::manifest::object::{Object, same_namespace};
use std::collections::BTreeMap;

/// The objects that the canary is derived from.
pub(super) struct Stable<'a> {
    pub(super) deployment: &'a Object,
    /// The Services that the Ingress leads to and that select the Deployment's pods; at least one.
    pub(super) services: Vec<&'a Object>,
    pub(super) ingress: &'a Object,
    pub(super) labels: Vec<Relabel>,
}

/// Labels to make the canary's own, if several could be, the first comes first.
const PREFERRED: [&str; 6] = [
    "version",
    "app.kubernetes.io/version",
    "app",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/name",
    "k8s-app",
];

impl<'a> Stable<'a> {
    pub(super) fn find(
        objects: &'a [Object],
        options: &CanaryOptions,
    ) -> Result<Self, ManifestError> {
        let ingress = the_ingress(objects, options)?;
        let rules = rule::rules(ingress)?;
        let named: Vec<&str> = rules
            .iter()
            .filter_map(|rule| rule.service.as_ref().map(|(name, _)| *name))
            .collect();
        let namespace = ingress.namespace.as_deref();
        let is_near = |object: &&Object| same_namespace(object.namespace.as_deref(), namespace);
        let services: Vec<&Object> = objects
            .iter()
            .filter(|object| object.is("Service", &[""]) && named.contains(&object.name.as_str()))
            .filter(is_near)
            .collect();
        if services.is_empty() {
            return Err(refused(format!(
                "{} leads to the Service {}, which is not among the manifests: give its file as well",
                ingress.title(),
                named.join(", ")
            )));
        }
        let deployments: Vec<&Object> = objects
            .iter()
            .filter(|object| object.is("Deployment", &["apps", "extensions"]))
            .filter(is_near)
            .collect();
        let deployment = the_deployment(&deployments, &services, options)?;
        let mut selecting = Vec::new();
        for service in services {
            if selects(service, deployment)? {
                selecting.push(service);
            }
        }
        if selecting.is_empty() {
            return Err(refused(format!(
                "no Service that {} leads to selects the pods of {}",
                ingress.title(),
                deployment.title()
            )));
        }
        let labels = own_labels(deployment, &selecting, &options.suffix)?;
        Ok(Self {
            deployment,
            services: selecting,
            ingress,
            labels,
        })
    }

    pub(super) fn has(&self, object: &Object) -> bool {
        let own = [self.deployment, self.ingress];
        own.iter()
            .chain(&self.services)
            .any(|known| std::ptr::eq(*known, object))
    }

    /// The index of the container that gets the image.
    pub(super) fn container(&self, options: &CanaryOptions) -> Result<usize, ManifestError> {
        let field = self.deployment.root();
        let containers = field.along(&["spec", "template", "spec", "containers"])?;
        let mut names = Vec::new();
        for container in containers.items()? {
            names.push(container.at("name")?.required()?);
        }
        match (&options.container, &names[..]) {
            (_, []) => Err(containers.error("is empty")),
            (None, [_]) => Ok(0),
            (None, _) => Err(refused(format!(
                "{} has several containers: say which one gets the image with --container: {}",
                self.deployment.title(),
                names.join(", ")
            ))),
            (Some(name), _) => names.iter().position(|known| known == name).ok_or_else(|| {
                refused(format!(
                    "--container {}: {} has {}",
                    name.escape_debug(),
                    self.deployment.title(),
                    names.join(", ")
                ))
            }),
        }
    }
}

fn titles(objects: &[&Object]) -> String {
    let names: Vec<String> = objects.iter().map(|object| object.full_name()).collect();
    names.join(", ")
}

/// The object that `name` means (`NAME` or `NAMESPACE/NAME`), or the only one.
fn one<'a>(
    objects: &[&'a Object],
    name: Option<&str>,
    option: &str,
    kind: &str,
) -> Result<&'a Object, ManifestError> {
    let fits = |object: &&&'a Object| {
        name.is_none_or(|name| name == object.name || name == object.full_name())
    };
    let fitting: Vec<&'a Object> = objects.iter().filter(fits).copied().collect();
    match (&fitting[..], name) {
        ([only], _) => Ok(*only),
        ([], None) => Err(refused(format!(
            "there is no {kind} among the manifests: give the file of the stable one"
        ))),
        ([], Some(name)) => Err(refused(format!(
            "{option} {} is not among the manifests, which have {}",
            name.escape_debug(),
            titles(objects)
        ))),
        _ => Err(refused(format!(
            "there are several objects of kind {kind}: choose one with {option}: {}",
            titles(&fitting)
        ))),
    }
}

fn the_ingress<'a>(
    objects: &'a [Object],
    options: &CanaryOptions,
) -> Result<&'a Object, ManifestError> {
    let mut stable = Vec::new();
    let mut canaries = Vec::new();
    for object in objects.iter().filter(|object| is_ingress(object)) {
        let rules = rule::rules(object)?;
        if rules.iter().any(|rule| rule.canary.is_some()) {
            canaries.push(object);
        } else {
            stable.push(object);
        }
    }
    if stable.is_empty() && !canaries.is_empty() {
        return Err(refused(format!(
            "{} is a canary already: give the Ingress that it belongs to",
            titles(&canaries)
        )));
    }
    one(&stable, options.ingress.as_deref(), "--ingress", "Ingress")
}

/// The Deployment that is asked for, or the one whose pods the Services select.
fn the_deployment<'a>(
    deployments: &[&'a Object],
    services: &[&Object],
    options: &CanaryOptions,
) -> Result<&'a Object, ManifestError> {
    let mut selected = Vec::new();
    for &deployment in deployments {
        for service in services {
            if selects(service, deployment)? {
                selected.push(deployment);
                break;
            }
        }
    }
    let choice = if selected.is_empty() || options.deployment.is_some() {
        deployments
    } else {
        &selected
    };
    one(
        choice,
        options.deployment.as_deref(),
        "--deployment",
        "Deployment",
    )
}

/// Whether the Service selects the Deployment's pods.
fn selects(service: &Object, deployment: &Object) -> Result<bool, ManifestError> {
    let selector = service.root().along(&["spec", "selector"])?.strings()?;
    let labels = pod_labels(deployment)?;
    let has = |(key, value): (&&str, &&str)| labels.get(key) == Some(value);
    Ok(!selector.is_empty() && selector.iter().all(has))
}

fn pod_labels(deployment: &Object) -> Result<BTreeMap<&str, &str>, ManifestError> {
    deployment
        .root()
        .along(&["spec", "template", "metadata", "labels"])?
        .strings()
}

/// The labels whose values are to be the canary's own: one that every Service selects by, and one that the
/// Deployment does, which is the same where possible; and those of the version.
#[expect(clippy::too_many_lines, reason = "each case is a shape of selectors")]
fn own_labels(
    deployment: &Object,
    services: &[&Object],
    suffix: &str,
) -> Result<Vec<Relabel>, ManifestError> {
    let selector = deployment.root().along(&["spec", "selector"])?;
    let expressions = selector.at("matchExpressions")?;
    if !expressions.items()?.is_empty() {
        return Err(expressions.error("can't be derived from: select by matchLabels alone"));
    }
    let matched = selector.at("matchLabels")?.strings()?;
    if matched.is_empty() {
        return Err(selector.at("matchLabels")?.error("is missing"));
    }
    let mut selectors = vec![matched];
    for service in services {
        selectors.push(service.root().along(&["spec", "selector"])?.strings()?);
    }
    let labels = pod_labels(deployment)?;
    let mut keys: Vec<&str> = Vec::new();
    for selector in &selectors {
        if selector.keys().any(|key| keys.contains(key)) {
            continue;
        }
        // One that all select by makes for the smallest change.
        let rank = |key: &&&str| {
            let is_shared = selectors
                .iter()
                .all(|selector| selector.contains_key(**key));
            let is_name = labels.get(**key) == Some(&deployment.name.as_str());
            let preferred = PREFERRED.iter().position(|known| known == *key);
            let is_version = VERSION_LABELS.contains(*key);
            (
                !is_shared,
                !is_version,
                !is_name,
                preferred.unwrap_or(PREFERRED.len()),
            )
        };
        keys.extend(selector.keys().min_by_key(rank).copied());
    }
    let relabel = |key: &str| {
        let from = labels.get(key).copied().unwrap_or_default();
        let to = if VERSION_LABELS.contains(&key) || from.is_empty() {
            suffix.to_owned()
        } else {
            suffixed(from, suffix, MAX_LABEL)?
        };
        if to == from {
            return Err(refused(format!(
                "the pods of {} have the label {key}: {from} already: choose another --suffix",
                deployment.title()
            )));
        }
        Ok(Relabel {
            key: key.to_owned(),
            from: from.to_owned(),
            to,
        })
    };
    let mut own: Vec<Relabel> = keys.into_iter().map(relabel).collect::<Result<_, _>>()?;
    // The canary's version is another wherever it is named, whether or not that would be needed to tell the
    // pods apart: a Deployment whose selector keeps the old one is refused by the API server.
    for key in VERSION_LABELS {
        let Some(&from) = labels.get(key) else {
            continue;
        };
        if from != suffix && !own.iter().any(|label| label.key == key) {
            own.push(Relabel {
                key: key.to_owned(),
                from: from.to_owned(),
                to: suffix.to_owned(),
            });
        }
    }
    Ok(own)
}
