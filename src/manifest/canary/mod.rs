//! Stable manifests → those of a canary beside them: Deployment, Service and Ingress.
//!
//! Structure decides what is renamed: the Ingress names its Service, that selects the Deployment's pods. The
//! canary gets names of its own and a label of its own, so that neither Service selects the other's pods.
//! What can't be derived is refused or noted, never guessed.

mod choosing;
mod edit;
mod ingress;

use serde_json::{Value, json};

use super::kind::rule::LEAST_TOTAL;
use super::object::{Object, same_namespace};
use super::{ManifestError, Manifests};
use choosing::Stable;
use edit::{entry, relabel, remove, set, suffixed};

/// What the canary is to be.
#[derive(Debug, Clone, Default)]
pub struct CanaryOptions {
    /// What names and the label get behind a `-`.
    pub suffix: String,
    /// The image of its container.
    pub image: String,
    /// How much of the traffic it gets, of `weight_total`.
    pub weight: u64,
    /// The total; 100 if it is not given.
    pub weight_total: Option<u64>,
    /// Its container's command and arguments; those of the stable one where empty.
    pub command: Vec<String>,
    /// See `command`.
    pub args: Vec<String>,
    /// Which container, where there are several.
    pub container: Option<String>,
    /// Which Deployment, where there are several.
    pub deployment: Option<String>,
    /// Which Ingress, where there are several.
    pub ingress: Option<String>,
}

/// The derived objects, and what was left out of them.
#[derive(Debug, Clone)]
pub struct Canary {
    /// Deployment, Service and Ingress.
    pub objects: Vec<Value>,
    /// For a person, a sentence each.
    pub notes: Vec<String>,
}

/// What the API server and controllers write into metadata: nobody would take a finalizer off the canary.
const SERVER_METADATA: [&str; 10] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Labels that hold a version, which the suffix replaces.
const VERSION_LABELS: [&str; 2] = ["app.kubernetes.io/version", "version"];

/// The longest name of a Service and value of a label (RFC 1035).
const MAX_LABEL: usize = 63;

/// Derives the canary from the stable objects among `manifests`.
///
/// # Errors
/// Options that make no canary; objects of which it can't be told which are meant, or that can't be
/// derived from.
pub(super) fn derive(
    manifests: &Manifests,
    options: &CanaryOptions,
) -> Result<Canary, ManifestError> {
    check(options)?;
    let stable = Stable::find(&manifests.objects, options)?;
    let mut notes = Vec::new();
    let deployment = deployment(&stable, options, &mut notes)?;
    let mut objects = vec![deployment];
    for service in &stable.services {
        objects.push(self::service(service, &stable, options, &mut notes)?);
    }
    objects.push(ingress::derived(&stable, options, &mut notes)?);
    for object in &objects {
        let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
        let namespace = object["metadata"]["namespace"].as_str();
        let is_taken = |known: &&Object| {
            known.kind == *kind
                && known.name == *name
                && same_namespace(known.namespace.as_deref(), namespace)
        };
        if let Some(known) = manifests.objects.iter().find(is_taken) {
            return Err(known.root().at("metadata")?.at("name")?.error(
                "is the name that the canary would get: give the stable manifests alone, or another --suffix",
            ));
        }
    }
    let labels = &objects[0]["spec"]["template"]["metadata"]["labels"];
    for object in manifests
        .objects
        .iter()
        .filter(|object| !stable.has(object))
    {
        let is_near = same_namespace(
            object.namespace.as_deref(),
            stable.deployment.namespace.as_deref(),
        );
        let why = if is_near && selects(object, labels)? {
            "it selects the canary's pods as well, and sends them its own requests"
        } else {
            "it has no part in the canary"
        };
        notes.push(format!("{} is left out: {why}", object.title()));
    }
    Ok(Canary { objects, notes })
}

/// Whether `object` is a Service that selects pods of these labels.
fn selects(object: &Object, labels: &Value) -> Result<bool, ManifestError> {
    if !object.is("Service", &[""]) {
        return Ok(false);
    }
    let selector = object.root().along(&["spec", "selector"])?.strings()?;
    Ok(!selector.is_empty() && selector.iter().all(|(key, value)| labels[*key] == **value))
}

fn refused(message: impl Into<String>) -> ManifestError {
    ManifestError::Canary(message.into())
}

fn check(options: &CanaryOptions) -> Result<(), ManifestError> {
    let suffix = &options.suffix;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if suffix.is_empty()
        || !suffix.chars().all(is_name)
        || suffix.ends_with('-')
        || suffix.starts_with('-')
    {
        return Err(refused(format!(
            "--suffix '{}' makes no name: use lower-case letters, digits and '-', such as v2",
            suffix.escape_debug()
        )));
    }
    if options.image.trim().is_empty() || options.image.contains(char::is_whitespace) {
        let image = options.image.escape_debug();
        return Err(refused(format!(
            "--image '{image}' is no image: write it as NAME:TAG"
        )));
    }
    let total = options.weight_total.unwrap_or(LEAST_TOTAL);
    if total < LEAST_TOTAL {
        return Err(refused(format!(
            "--weight-total {total} would be ignored: ingress-nginx takes a total of 100 or more"
        )));
    }
    if options.weight > total {
        return Err(refused(format!(
            "--weight {} is more than the total of {total}: give a number from 0 to {total}",
            options.weight
        )));
    }
    Ok(())
}

/// A copy of `object` under the canary's name, without what the API server wrote.
fn copy(object: &Object, options: &CanaryOptions, longest: usize) -> Result<Value, ManifestError> {
    let mut value = object.value.clone();
    remove(&mut value, &["status"]);
    for key in SERVER_METADATA {
        remove(&mut value, &["metadata", key]);
    }
    for key in [
        "kubectl.kubernetes.io/last-applied-configuration",
        "deployment.kubernetes.io/revision",
        // The release of Helm that these name has no canary in it.
        "meta.helm.sh/release-name",
        "meta.helm.sh/release-namespace",
    ] {
        remove(&mut value, &["metadata", "annotations", key]);
    }
    if entry(&value, &["metadata", "annotations"]).is_some_and(|value| *value == json!({})) {
        remove(&mut value, &["metadata", "annotations"]);
    }
    let name = suffixed(&object.name, &options.suffix, longest)?;
    set(&mut value, &["metadata", "name"], name.into());
    Ok(value)
}

fn deployment(
    stable: &Stable<'_>,
    options: &CanaryOptions,
    notes: &mut Vec<String>,
) -> Result<Value, ManifestError> {
    let object = stable.deployment;
    let mut value = copy(object, options, 253)?;
    let places: [&[&str]; 3] = [
        &["spec", "selector", "matchLabels"],
        &["spec", "template", "metadata", "labels"],
        &["metadata", "labels"],
    ];
    for place in places {
        relabel(&mut value, place, &stable.labels);
    }
    // What spreads pods apart or together means the canary's own from now on.
    for key in ["affinity", "topologySpreadConstraints"] {
        if let Some(value) = value.pointer_mut(&format!("/spec/template/spec/{key}")) {
            edit::relabel_everywhere(value, &stable.labels);
        }
    }
    for label in &stable.labels {
        if VERSION_LABELS.contains(&&*label.key) {
            notes.push(format!(
                "{}: the label {} is {} for the canary",
                object.title(),
                label.key,
                label.to
            ));
        }
    }
    let index = stable.container(options)?;
    let containers = value.pointer_mut("/spec/template/spec/containers");
    let container = containers.and_then(|containers| containers.get_mut(index));
    let Some(Value::Object(container)) = container else {
        return Err(refused(format!("{} has no containers", object.title())));
    };
    container.insert("image".to_owned(), options.image.as_str().into());
    if !options.command.is_empty() {
        container.insert("command".to_owned(), json!(options.command));
        container.remove("args");
    }
    if !options.args.is_empty() {
        container.insert("args".to_owned(), json!(options.args));
    }
    for volume in object
        .root()
        .along(&["spec", "template", "spec", "volumes"])?
        .items()?
    {
        let claim = volume.along(&["persistentVolumeClaim", "claimName"])?;
        if let Some(claim) = claim.text()? {
            notes.push(format!(
                "{}: the canary shares the PersistentVolumeClaim {claim} with the stable pods",
                object.title()
            ));
        }
    }
    Ok(value)
}

fn service(
    object: &Object,
    stable: &Stable<'_>,
    options: &CanaryOptions,
    notes: &mut Vec<String>,
) -> Result<Value, ManifestError> {
    let mut value = copy(object, options, MAX_LABEL)?;
    relabel(&mut value, &["spec", "selector"], &stable.labels);
    relabel(&mut value, &["metadata", "labels"], &stable.labels);
    for key in ["clusterIP", "clusterIPs", "healthCheckNodePort"] {
        // A headless Service stays one.
        let is_headless = entry(&value, &["spec", key])
            .is_some_and(|value| *value == "None" || *value == json!(["None"]));
        if !is_headless {
            remove(&mut value, &["spec", key]);
        }
    }
    let ports = value
        .pointer_mut("/spec/ports")
        .and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        if port.remove("nodePort").is_some() {
            notes.push(format!(
                "{}: nodePort is left out, since it can be used once",
                object.title()
            ));
        }
    }
    for key in ["externalIPs", "loadBalancerIP"] {
        if entry(&value, &["spec", key]).is_some() {
            remove(&mut value, &["spec", key]);
            notes.push(format!(
                "{}: {key} is left out, since an address has one Service",
                object.title()
            ));
        }
    }
    if entry(&value, &["spec", "type"]).is_some_and(|value| value == "LoadBalancer") {
        notes.push(format!(
            "{}: the canary gets a load balancer of its own, which passes by the Ingress",
            object.title()
        ));
    }
    Ok(value)
}
