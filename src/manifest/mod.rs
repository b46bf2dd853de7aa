//! Kubernetes objects → the expected split, the target, whose pods are whose, and what is wrong with them.
//!
//! bytes → documents → objects → routes → the one that is meant → [`Expectation`]
//!
//! No cluster is asked: files, or what `kubectl get -o json` prints, are enough. Reading files is the
//! caller's.

mod canary;
mod checks;
mod choice;
mod compare;
mod condition;
mod document;
mod expectation;
mod field;
mod host;
mod input;
mod join;
mod kind;
mod label;
mod lines;
mod lint;
mod object;
mod pattern;
mod pods;
mod probe;
mod route;
mod sets;
mod table;
mod template;
mod workload;

pub use canary::{Canary, CanaryOptions};
pub use checks::Derived;
pub use choice::Choice;
pub use document::{Kustomization, MAX_BYTES, to_yaml};
pub use expectation::{Expectation, path_of};
pub use input::{Input, PassedOver};
pub use kind::ALL as KINDS;
pub use lint::{CODES, Finding, PlannedRun, Severity, lint};
pub use object::Object;
pub use sets::Sets;

use std::num::NonZeroUsize;

use crate::split::Split;
use join::Joined;
pub use pods::Pods;

/// Why manifests can't be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ManifestError {
    /// An input is neither YAML nor JSON, or beyond a limit.
    #[error("{file} {problem}")]
    Input {
        /// The input's name.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A field is missing, or not what its kind says.
    #[error("{place}: {path} {problem}")]
    Field {
        /// File, document and object.
        place: String,
        /// The path of the field in its object.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No object splits or routes traffic.
    #[error("the manifests hold no route to a backend: {why}")]
    NoRoute {
        /// What is read and what was found, or why what was found has none.
        why: String,
    },
    /// One of two sides says nothing.
    #[error("{side}: {error}")]
    Side {
        /// Which.
        side: &'static str,
        /// Why.
        error: Box<ManifestError>,
    },
    /// An option names a route that is not there.
    #[error("{option} is none of the manifests' routes: {routes}")]
    Unknown {
        /// The option with its value.
        option: String,
        /// The routes that there are.
        routes: String,
    },
    /// Several routes could be meant.
    #[error(
        "the manifests have several routes: choose one with --route NAMESPACE/NAME (or NAMESPACE/NAME/RULE) or --host: {routes}"
    )]
    Ambiguous {
        /// The routes that could be meant.
        routes: String,
    },
    /// The labels of `--expect` can't be matched to a route's backends.
    #[error(
        "--expect {expected} names other backends than the manifests, {route}: name them {labels}"
    )]
    Labels {
        /// The split of `--expect`.
        expected: String,
        /// The route.
        route: String,
        /// The labels that its backends have.
        labels: String,
    },
    /// No canary can be derived.
    #[error("{0}")]
    Canary(String),
    /// `--expect` says another split than the manifests.
    #[error(
        "--expect says {expected}, but the manifests say {split}: {route}; drop --expect, or correct one of them"
    )]
    Disagreement {
        /// The split of `--expect`.
        expected: String,
        /// The split of the manifests.
        split: String,
        /// The route that it comes from.
        route: String,
    },
}

impl ManifestError {
    /// The input called `name` is larger than [`MAX_BYTES`], or more than what others leave of it.
    pub fn too_large(name: &str) -> Self {
        Self::Input {
            file: name.to_owned(),
            problem: document::too_large(),
        }
    }
}

/// The objects of some manifests.
#[derive(Debug, Clone)]
pub struct Manifests {
    objects: Vec<Object>,
    passed_over: Vec<PassedOver>,
}

impl Manifests {
    /// Reads all `inputs`.
    ///
    /// # Errors
    /// An input that is neither YAML nor JSON or beyond the limits, or a document that is no Kubernetes
    /// object, unless it was found in a folder.
    pub fn read(inputs: &[Input]) -> Result<Self, ManifestError> {
        let (objects, passed_over) = input::objects(inputs)?;
        Ok(Self {
            objects,
            passed_over,
        })
    }

    /// The objects, in the order of the inputs.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// What lay among them and is no manifest.
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// What the route that `choice` means lets expect, under the labels of `expected` where that is given.
    ///
    /// # Errors
    /// A field that can't be used; no route, or several; an `expected` split that is another.
    pub fn expectation(
        &self,
        choice: Choice<'_>,
        expected: Option<&Split>,
    ) -> Result<Expectation, ManifestError> {
        let joined = self.joined(choice)?;
        let route = match choice::chosen(&joined.routes, &self.objects, choice) {
            Ok(route) if choice.route.is_some() => route,
            // What can't be read might be what is meant.
            found => match joined.refused.first() {
                Some(error) => return Err(error.clone()),
                None => found?,
            },
        };
        sets::once(route, &sets::twins(&self.objects))?;
        Expectation::new(route, &joined.workloads, expected)
    }

    fn joined(&self, choice: Choice<'_>) -> Result<Joined<'_>, ManifestError> {
        Joined::read(&self.objects, choice.step.map(NonZeroUsize::get))
    }

    /// The pods that are to share requests, and the route to them where there is one.
    ///
    /// # Errors
    /// A field that can't be used; several routes; a route that is asked for and not there.
    pub fn pods(
        &self,
        choice: Choice<'_>,
    ) -> Result<(Option<Pods>, Option<Expectation>), ManifestError> {
        let expectation = match self.expectation(choice, None) {
            Ok(expectation) => Some(expectation),
            Err(ManifestError::NoRoute { .. }) => None,
            Err(error) => return Err(error),
        };
        let joined = self.joined(choice)?;
        let route = match expectation {
            Some(_) => Some(choice::chosen(&joined.routes, &self.objects, choice)?),
            None => None,
        };
        let pods = pods::ready(&self.objects, &joined.workloads, route)?;
        Ok((pods, expectation))
    }

    /// What [`Manifests::expectation`] says, and the pods of each backend of its split, where the objects tell.
    ///
    /// # Errors
    /// As there.
    pub fn pods_within(
        &self,
        choice: Choice<'_>,
        expected: Option<&Split>,
    ) -> Result<(Expectation, Vec<Option<Pods>>), ManifestError> {
        let expectation = self.expectation(choice, expected)?;
        let joined = self.joined(choice)?;
        let route = choice::chosen(&joined.routes, &self.objects, choice)?;
        let mut pods = vec![None; expectation.split.len()];
        for (backend, &label) in route.backends.iter().zip(&expectation.labels) {
            pods[label] = pods::of_backend(&self.objects, &joined.workloads, backend)?;
        }
        Ok((expectation, pods))
    }

    /// The canary that `options` ask for, derived from the stable objects.
    ///
    /// # Errors
    /// Options that make no canary; objects that can't be derived from.
    pub fn canary(&self, options: &CanaryOptions) -> Result<Canary, ManifestError> {
        canary::derive(self, options)
    }

    /// The manifests, divided where one object stands in several folders or files: what belongs together then
    /// lies together.
    pub fn into_sets(self) -> Sets {
        sets::divided(self.objects)
    }

    /// What is wrong with the objects that `expectation` comes from; `planned` is what a run would send.
    pub fn concerning(&self, expectation: &Expectation, planned: &PlannedRun<'_>) -> Vec<Finding> {
        let checked = lint::lint(&self.objects, Some(planned));
        lint::concerning(checked.findings, &expectation.objects)
    }
}
