//! What is wrong with manifests that can be read: each finding names the object and the field.
//!
//! An error makes the split another than the one that is written, a warning does not.

mod action;
mod attached;
mod class;
mod driven;
pub(super) mod finding;
mod ingress;
mod port;
mod rate;
mod route;
mod selector;
mod special;
mod status;
mod twice;

pub(super) use finding::concerning;
pub use finding::{Finding, Severity};
pub(super) use ingress::counts_on_a_canary;

use std::time::Duration;

use super::kind::{self, unread};
use super::object::Object;
use super::route::Route;
use super::workload::Workloads;
use super::{join, sets};
use crate::split::Split;
use finding::Findings;

/// The codes of all findings, and what each says.
pub const CODES: &[(&str, &str)] = &[
    (
        "unusable_field",
        "A field is missing, or not what its kind says.",
    ),
    (
        "object_twice",
        "One object stands twice: what is applied last counts. Files of one folder that repeat each other are checked by themselves.",
    ),
    (
        "kind_not_read",
        "An object holds weights that are not read, by its kind or in an annotation or a plugin.",
    ),
    (
        "weights_sum_to_zero",
        "No backend of a rule gets any request.",
    ),
    (
        "rule_never_reached",
        "A rule before takes every request that this one asks for.",
    ),
    (
        "approximate_split",
        "Numbers of pods make the shares: judge them with --judge tolerance.",
    ),
    (
        "include_not_found",
        "A rule leads to an object that holds its weights and is not among the manifests: an included HTTPProxy, a delegate, a RouteTable, a VirtualServerRoute, a TraefikService.",
    ),
    (
        "zero_weight",
        "A weight of 0 does not keep requests away: all of several are 0, it is the only one, or clients hold a cookie.",
    ),
    (
        "canary_gets_nothing",
        "A Rollout without a router stands behind its stable Service, which has the stable pods alone.",
    ),
    (
        "unknown_router",
        "trafficRouting has a router that Argo Rollouts does not know.",
    ),
    (
        "driven_route_not_found",
        "trafficRouting names an object that is not among the manifests, or a route that its VirtualService has not.",
    ),
    (
        "driven_route_without_canary",
        "The route that a Rollout drives does not lead to its canary's Service.",
    ),
    (
        "service_not_found",
        "A rule leads to a Service that is not among the manifests.",
    ),
    (
        "port_not_found",
        "A rule leads to a port that its Service has not.",
    ),
    (
        "action_not_found",
        "A path names an action of an AWS load balancer that no annotation has, or an annotation has one that no path names.",
    ),
    (
        "route_not_attached",
        "No listener of the Gateways of a route takes it.",
    ),
    (
        "delegate_left_out",
        "A rule of a delegate VirtualService asks for requests that its root does not lead to it: Istio leaves it out.",
    ),
    (
        "subset_not_found",
        "A VirtualService leads to a subset that its DestinationRule has not, or that no DestinationRule of the manifests has.",
    ),
    (
        "no_reference_grant",
        "A route leads to another namespace, and no ReferenceGrant allows it.",
    ),
    (
        "backend_without_pods",
        "The workloads of a backend have no replicas.",
    ),
    (
        "selectors_overlap",
        "The Services of two backends select the same pods.",
    ),
    (
        "selector_matches_nothing",
        "A Service or a subset selects no pod and no workload of the manifests.",
    ),
    (
        "unknown_canary_annotation",
        "A canary annotation is misspelt, or stands under a prefix that ingress-nginx does not read.",
    ),
    (
        "canary_not_enabled",
        "Canary annotations without canary: \"true\".",
    ),
    (
        "canary_without_rules",
        "A canary Ingress has neither rules nor a defaultBackend.",
    ),
    (
        "class_without_canary",
        "The class of a canary Ingress is one of a controller that does not read its annotations.",
    ),
    (
        "ignored_annotation",
        "An annotation has no effect on a canary Ingress.",
    ),
    (
        "weight_total_ignored",
        "ingress-nginx ignores a canary-weight-total of 100 or less.",
    ),
    (
        "canary_takes_nothing",
        "A canary has neither a weight nor a header or cookie.",
    ),
    (
        "no_primary",
        "No Ingress without canary has the canary's host, path and pathType.",
    ),
    (
        "second_canary",
        "Of several canaries of one rule the first alone counts.",
    ),
    (
        "canary_is_primary",
        "A canary leads to its primary's own Service.",
    ),
    (
        "canary_service_used",
        "A rule that is no canary leads to the canary's Service as well.",
    ),
    (
        "canary_takes_more",
        "The canary takes its part of other hosts or paths too, since they share the primary's Service.",
    ),
    (
        "host_and_path_twice",
        "Two objects of one kind claim one host and path: the older one counts.",
    ),
    (
        "rate_limit",
        "A limit of the primary makes the planned run longer than it may take.",
    ),
    (
        "balance_not_roundrobin",
        "An OpenShift Route has weights, and a balance that does not keep to them for one client (source, leastconn).",
    ),
    (
        "in_mesh_route",
        "A route for a Service splits what clients inside the mesh send.",
    ),
    (
        "route_not_in_effect",
        "The status of a live object says that its controller did not take it, or not all of it.",
    ),
    (
        "retries_move_requests",
        "Retries may send a failed request to another backend.",
    ),
    (
        "unequal_pods",
        "Localities, trafficDistribution or internalTrafficPolicy keep the pods of a backend from sharing its requests equally.",
    ),
];

/// What a run would send, for limits that would slow it down.
pub struct PlannedRun<'p> {
    /// How many requests a split needs; `None` where time alone bounds the run.
    pub requests: &'p dyn Fn(&Split) -> Option<u64>,
    /// How long the run may take.
    pub max_duration: Duration,
}

impl std::fmt::Debug for PlannedRun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlannedRun")
            .field("max_duration", &self.max_duration)
            .finish_non_exhaustive()
    }
}

/// What lint says of some objects.
#[derive(Debug)]
pub struct Checked {
    /// What is wrong, in the order of the objects.
    pub findings: Vec<Finding>,
    /// The rules that split traffic, each in a sentence.
    pub splits: Vec<String>,
}

/// Everything that is wrong with `objects`; `planned` is what a run would send.
pub fn lint(objects: &[Object], planned: Option<&PlannedRun<'_>>) -> Checked {
    let mut findings = Findings::default();
    let reading = kind::read(objects, None);
    let workloads = Workloads::read(objects);
    for (object, error) in reading.refused.iter().chain(&workloads.refused) {
        findings.unusable(object, error);
    }
    for route in &reading.routes {
        let checked = route::controller(route.object, objects, route, &mut findings);
        findings.take(route.object, checked);
    }
    for (first, second) in sets::twins(objects) {
        let message = format!(
            "{} stands twice, here and in {}: what is applied last counts; keep one",
            second.title(),
            first.origin
        );
        findings.error("object_twice", second, "metadata.name", message);
    }
    for object in objects {
        alone(object, objects, &workloads, &mut findings);
    }
    ingress::lint(objects, &mut findings);
    let routes = match join::joined(reading.routes, &workloads) {
        Ok(routes) => routes,
        Err(error) => {
            if let Some(object) = objects.first() {
                findings.unusable(object, &error);
            }
            Vec::new()
        }
    };
    for route in &routes {
        let checked = route::lint(route, &routes, objects, &workloads, &mut findings);
        findings.take(route.object, checked);
        if let Some(planned) = planned {
            let checked = rate::lint(route, planned, &mut findings);
            findings.take(route.object, checked);
        }
    }
    for object in objects {
        let checked = action::lint(object, &routes, &mut findings);
        findings.take(object, checked);
    }
    twice::lint(&routes, &mut findings);
    selector::lint(&routes, objects, &workloads, &mut findings);
    let splits = routes
        .iter()
        .filter(|route| route.backends.len() > 1 && route.unready.is_none());
    Checked {
        splits: splits.map(Route::describe).collect(),
        findings: findings.once(),
    }
}

/// What is wrong with `object`, whatever the routes are.
fn alone(object: &Object, objects: &[Object], workloads: &Workloads<'_>, findings: &mut Findings) {
    let checked = special::lint(object, findings);
    findings.take(object, checked);
    let checked = status::lint(object, findings);
    findings.take(object, checked);
    let checked = attached::lint(object, objects, findings);
    findings.take(object, checked);
    let checked = driven::lint(object, objects, findings);
    findings.take(object, checked);
    let checked = port::lint(object, workloads, findings);
    findings.take(object, checked);
    if let Some(path) = unread::weights(object) {
        let message = format!(
            "holds weights that lbtest does not read ({}): say them with --expect",
            object.kind
        );
        findings.warning("kind_not_read", object, &path, message);
    }
}
