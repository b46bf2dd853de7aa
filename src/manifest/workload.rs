//! Which pods and workloads stand behind a backend, as far as the objects tell.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::ManifestError;
use super::object::{Object, same_namespace};
use super::route::{Backend, PodsOf};
use crate::identity::workload;

/// Labels that say which version a pod runs, the first that is there counts.
const VERSION_LABELS: [&str; 2] = ["app.kubernetes.io/version", "version"];

/// What scales a workload, and the field that names it.
const SCALERS: [(&str, &str, &str); 4] = [
    ("HorizontalPodAutoscaler", "autoscaling", "scaleTargetRef"),
    ("ScaledObject", "keda.sh", "scaleTargetRef"),
    ("Rollout", "argoproj.io", "workloadRef"),
    ("Canary", "flagger.app", "targetRef"),
];

/// Whether a scaler sets the number of pods of what has 0. A `HorizontalPodAutoscaler` takes that for being switched off
/// (its documentation, "Implicit maintenance-mode deactivation"), unless its `minReplicas` is 0 or KEDA made it.
fn scales_from_0(scaler: &Object) -> Result<bool, ManifestError> {
    let root = scaler.root();
    let is_made = !root
        .along(&["metadata", "ownerReferences"])?
        .items()?
        .is_empty();
    let least = root.along(&["spec", "minReplicas"])?;
    Ok(scaler.kind != "HorizontalPodAutoscaler" || is_made || least.whole()? == Some(0))
}

/// Labels that Kubernetes and Argo Rollouts write a template's hash into.
const HASH_LABELS: [&str; 2] = ["pod-template-hash", "rollouts-pod-template-hash"];

/// A pod, or what pods are made from.
#[derive(Debug)]
pub(super) struct Workload<'a> {
    pub(super) object: &'a Object,
    /// The labels of its pods.
    labels: BTreeMap<&'a str, &'a str>,
    /// What responses are to be matched against: a pod's name, a workload's, or a pattern.
    names: Vec<String>,
    /// The workload that its pods belong to by their names.
    family: String,
    /// How many pods it has; `None` where nothing says so.
    pods: Option<u64>,
}

impl Workload<'_> {
    /// How many pods it has, as far as the manifest tells.
    pub(super) fn pods(&self) -> Option<u64> {
        self.pods
    }

    pub(super) fn object(&self) -> &Object {
        self.object
    }

    pub(super) fn is_pod(&self) -> bool {
        self.object.kind == "Pod"
    }

    /// The workload that its pods belong to by their names.
    pub(super) fn family(&self) -> &str {
        &self.family
    }

    /// The version that its pods run.
    pub(super) fn version(&self) -> Option<&str> {
        let label = |key: &&str| self.labels.get(*key).copied();
        VERSION_LABELS
            .iter()
            .find_map(label)
            .filter(|version| !version.is_empty())
    }
}

/// The workloads, pods and Services among the objects, indexed.
#[derive(Debug)]
pub(super) struct Workloads<'a> {
    all: Vec<Workload<'a>>,
    by_label: HashMap<(&'a str, &'a str), Vec<usize>>,
    services: HashMap<&'a str, Vec<&'a Object>>,
    /// Kind, namespace and name of the workloads that a controller scales, and whether it does so from 0 too.
    scaled: BTreeSet<(&'a str, Option<&'a str>, &'a str, bool)>,
    /// The objects that can't be what their kind says, and why.
    pub(super) refused: Vec<(&'a Object, ManifestError)>,
}

/// What a Service selects.
#[derive(Debug, Clone)]
pub(super) enum Selection<'a> {
    /// No Service of that name is among the objects.
    NoService,
    /// The Service has no selector.
    NoSelector,
    /// The pods with these labels.
    Labels(&'a Object, BTreeMap<&'a str, &'a str>),
}

impl<'a> Workloads<'a> {
    /// Reads them off `objects`.
    pub(super) fn read(objects: &'a [Object]) -> Self {
        let mut workloads = Self {
            all: Vec::new(),
            by_label: HashMap::new(),
            services: HashMap::new(),
            scaled: BTreeSet::new(),
            refused: Vec::new(),
        };
        for object in objects {
            if let Err(error) = workloads.add(object) {
                workloads.refused.push((object, error));
            }
        }
        workloads
    }

    fn add(&mut self, object: &'a Object) -> Result<(), ManifestError> {
        if object.is("Service", &[""]) {
            // What it selects is read where it is needed; that it can be is known from here on.
            object.root().along(&["spec", "selector"])?.strings()?;
            self.services.entry(&object.name).or_default().push(object);
        }
        for (kind, group, reference) in SCALERS {
            if object.is(kind, &[group]) {
                let target = object.root().at("spec")?.at(reference)?;
                let kind = target.at("kind")?.text()?.unwrap_or("Deployment");
                let name = target.at("name")?.text()?.unwrap_or_default();
                let namespace = object.namespace.as_deref();
                let by = scales_from_0(object)?;
                self.scaled.insert((kind, namespace, name, by));
            }
        }
        if let Some(workload) = read(object)? {
            let index = self.all.len();
            for (&key, &value) in &workload.labels {
                self.by_label.entry((key, value)).or_default().push(index);
            }
            self.all.push(workload);
        }
        Ok(())
    }

    /// All of them, in the order of the objects.
    pub(super) fn all(&self) -> &[Workload<'a>] {
        &self.all
    }

    /// Whether a controller sets the number of its pods.
    pub(super) fn is_scaled(&self, workload: &Workload<'_>) -> bool {
        let mut scalers = self.scalers(workload);
        scalers.any(|from_0| from_0 || workload.pods != Some(0))
    }

    /// Whether an autoscaler is for it that leaves it at the 0 pods that it has.
    pub(super) fn stays_at_0(&self, workload: &Workload<'_>) -> bool {
        self.scalers(workload).next().is_some() && !self.is_scaled(workload)
    }

    /// The controllers that are to set the number of its pods: whether each does so from 0 too.
    fn scalers(&self, workload: &Workload<'_>) -> impl Iterator<Item = bool> {
        let object = workload.object;
        let own = self.scaled.iter().filter(|(kind, namespace, name, _)| {
            *kind == object.kind
                && *name == object.name
                && same_namespace(*namespace, object.namespace.as_deref())
        });
        own.map(|(.., from_0)| *from_0)
    }

    /// The Service called `name`.
    pub(super) fn service(&self, name: &str, namespace: Option<&str>) -> Option<&'a Object> {
        let services = self.services.get(name)?;
        let fits = |service: &&&Object| same_namespace(service.namespace.as_deref(), namespace);
        services.iter().find(fits).copied()
    }

    /// What the Service called `name` selects.
    pub(super) fn selection(
        &self,
        name: &str,
        namespace: Option<&str>,
    ) -> Result<Selection<'a>, ManifestError> {
        let Some(service) = self.service(name, namespace) else {
            return Ok(Selection::NoService);
        };
        let selector = service.root().along(&["spec", "selector"])?.strings()?;
        Ok(if selector.is_empty() {
            Selection::NoSelector
        } else {
            Selection::Labels(service, selector)
        })
    }

    /// The pods and workloads behind `backend`, in the order of the objects.
    pub(super) fn of(&self, backend: &Backend<'a>) -> Result<Vec<&Workload<'a>>, ManifestError> {
        let namespace = backend.namespace.as_deref();
        let in_namespace = |workload: &&Workload<'a>| {
            same_namespace(workload.object.namespace.as_deref(), namespace)
        };
        match &backend.pods {
            PodsOf::Unknown => Ok(Vec::new()),
            PodsOf::Service => match self.selection(&backend.name, namespace)? {
                Selection::Labels(_, selector) => Ok(self.with_labels(&selector, namespace)),
                Selection::NoService | Selection::NoSelector => Ok(Vec::new()),
            },
            PodsOf::Subset(labels) => {
                let mut wanted: BTreeMap<&str, &str> =
                    match self.selection(&backend.name, namespace)? {
                        Selection::Labels(_, selector) => selector,
                        Selection::NoService | Selection::NoSelector => BTreeMap::new(),
                    };
                if labels.is_empty() {
                    return Ok(Vec::new());
                }
                wanted.extend(
                    labels
                        .iter()
                        .map(|(key, value)| (key.as_str(), value.as_str())),
                );
                Ok(self.with_labels(&wanted, namespace))
            }
            PodsOf::Template { workload, hash } => {
                let hashed = |found: &&Workload<'a>| {
                    found.family == *workload
                        && HASH_LABELS
                            .iter()
                            .any(|key| found.labels.get(key) == Some(&hash.as_str()))
                };
                Ok(self
                    .all
                    .iter()
                    .filter(in_namespace)
                    .filter(hashed)
                    .collect())
            }
            PodsOf::Workload(name) => {
                let named = |found: &&Workload<'a>| found.family == *name;
                Ok(self.all.iter().filter(in_namespace).filter(named).collect())
            }
        }
    }

    fn with_labels(
        &self,
        wanted: &BTreeMap<&str, &str>,
        namespace: Option<&str>,
    ) -> Vec<&Workload<'a>> {
        // The rarest label leaves the fewest to look at.
        let lists = wanted.iter().map(|(key, value)| {
            self.by_label
                .get(&(*key, *value))
                .map_or(&[][..], Vec::as_slice)
        });
        let rarest = lists.min_by_key(|list| list.len()).unwrap_or_default();
        let is_wanted = |workload: &&Workload<'a>| {
            same_namespace(workload.object.namespace.as_deref(), namespace)
                && wanted
                    .iter()
                    .all(|(key, value)| workload.labels.get(key) == Some(value))
        };
        rarest
            .iter()
            .map(|&index| &self.all[index])
            .filter(is_wanted)
            .collect()
    }
}

/// The workloads that share the requests of one service by their numbers of pods, if there are several, in
/// the order of the objects; `None` for a number that nothing tells.
pub(super) fn shared(
    found: &[&Workload<'_>],
    workloads: &Workloads<'_>,
) -> Option<Vec<(String, Option<u64>)>> {
    let mut families: Vec<(String, Option<u64>)> = Vec::new();
    let has_pods = found.iter().any(|found| found.is_pod());
    for &workload in found {
        let is_known = |known: &&mut (String, Option<u64>)| known.0 == workload.family;
        let known = families.iter_mut().find(is_known);
        let pods = if workloads.is_scaled(workload) {
            None
        } else {
            workload.pods
        };
        match known {
            // Pods are counted one by one; a ReplicaSet counts what its Deployment has said.
            Some((_, number)) if workload.is_pod() => *number = number.map(|number| number + 1),
            Some(_) => {}
            None if has_pods && !workload.is_pod() => {}
            None => families.push((workload.family.clone(), pods)),
        }
    }
    families.retain(|(_, pods)| *pods != Some(0));
    (families.len() > 1).then_some(families)
}

/// The versions that `workloads` run: those of the pods if there are any.
pub(super) fn versions<'w>(workloads: &[&'w Workload<'_>]) -> BTreeSet<Option<&'w str>> {
    let has_pods = workloads.iter().any(|workload| workload.is_pod());
    let counted = workloads
        .iter()
        .filter(|workload| workload.is_pod() == has_pods);
    counted.map(|workload| workload.version()).collect()
}

/// For each backend the names and patterns of its pods: those that no other backend's pods have.
pub(super) fn names(backends: &[Vec<&Workload<'_>>]) -> Vec<Vec<String>> {
    let mut owner: BTreeMap<String, Option<usize>> = BTreeMap::new();
    let mut families: BTreeMap<String, Option<usize>> = BTreeMap::new();
    let note = |names: &mut BTreeMap<String, Option<usize>>, name: &str, index: usize| match names
        .get_mut(name)
    {
        Some(known) if *known != Some(index) => *known = None,
        Some(_) => {}
        None => {
            names.insert(name.to_owned(), Some(index));
        }
    };
    for (index, workloads) in backends.iter().enumerate() {
        for workload in workloads {
            for name in &workload.names {
                note(&mut owner, name, index);
            }
            note(&mut families, &workload.family, index);
        }
    }
    // A pod may start after the list was made: its workload's name tells whose it is, unless two share it.
    for (family, index) in families {
        owner.entry(family).or_insert(index);
    }
    let mut names = vec![Vec::new(); backends.len()];
    for (name, index) in owner {
        if let Some(index) = index {
            names[index].push(name);
        }
    }
    names
}

/// `object` as a workload, if it is one that may have pods.
#[expect(clippy::too_many_lines, reason = "each arm is a kind of workload")]
fn read(object: &Object) -> Result<Option<Workload<'_>>, ManifestError> {
    let root = object.root();
    let name = object.name.clone();
    if object.is("Pod", &[""]) {
        let owner = owner(object)?;
        let family = workload::workload(&name);
        let family = match owner {
            Some(("StatefulSet" | "DaemonSet" | "Job", owner)) => owner,
            Some(("ReplicaSet", owner)) => template_of(owner),
            _ => family,
        };
        return Ok(Some(Workload {
            labels: object.labels()?,
            family: family.to_owned(),
            names: vec![name],
            object,
            pods: Some(1),
        }));
    }
    let is_apps = object.group == "apps" || object.group == "extensions";
    let is_workload = match object.kind.as_str() {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => is_apps,
        "Rollout" => object.group == "argoproj.io",
        _ => false,
    };
    if !is_workload {
        return Ok(None);
    }
    let spec = root.at("spec")?;
    let labels = spec.along(&["template", "metadata", "labels"])?.strings()?;
    let mut workload = Workload {
        object,
        labels,
        names: vec![name.clone()],
        family: name.clone(),
        pods: match object.kind.as_str() {
            "DaemonSet" => None,
            _ => Some(spec.at("replicas")?.whole()?.unwrap_or(1)),
        },
    };
    if object.kind == "ReplicaSet" {
        if workload.pods == Some(0) {
            // What is left of an earlier version.
            return Ok(None);
        }
        let hashes = HASH_LABELS
            .iter()
            .filter_map(|key| workload.labels.get(key));
        let is_generated = hashes
            .clone()
            .any(|hash| name.ends_with(&format!("-{hash}")));
        if let Some((_, owner)) = owner(object)? {
            owner.clone_into(&mut workload.family);
            workload.names.clear();
        } else if is_generated {
            template_of(&name).clone_into(&mut workload.family);
            workload.names.clear();
        }
        if is_generated {
            workload.names.push(format!("{name}-*"));
        }
    }
    Ok(Some(workload))
}

/// The name before the template hash of a `ReplicaSet`'s name.
fn template_of(replica_set: &str) -> &str {
    // What `workload` removes from a pod's name is the suffix and, before it, a hash.
    let pod = format!("{replica_set}-x7kfd");
    let length = workload::workload(&pod).len();
    &replica_set[..length.min(replica_set.len())]
}

/// Kind and name of what controls `object`.
fn owner(object: &Object) -> Result<Option<(&str, &str)>, ManifestError> {
    for reference in object
        .root()
        .along(&["metadata", "ownerReferences"])?
        .items()?
    {
        let kind = reference.at("kind")?.text()?.unwrap_or_default();
        if reference.at("controller")?.flag()? || kind == "ReplicaSet" {
            return Ok(Some((kind, reference.at("name")?.required()?)));
        }
    }
    Ok(None)
}
